"""The building blocks of pages stay harmless, whatever values they get."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from airflow_provider_ci import web
from airflow_provider_ci.web import PAGE_HEADERS, content_security_policy, environment, static_file

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
PARTS = {
    "badge": "badge(x)",
    "bar": 'bar([("good", 1, x)], 2)',
    "legend": 'legend([("good", 1, x)])',
    "facts": "facts([(x, x)])",
    "figures": 'figures([(x, x, x, "bad")])',
    "tabs": "tabs(x, [(x, 1, x, true)])",
    "pager": "pager(x, x, x)",
    "empty": "empty(x, x)",
    "notice": "notice(x)",
    "copyable": "copyable(x)",
    "picture": 'preview(x, x, "picture", x)',
    "text": 'preview(x, x, "text", text=x)',
    "chart": "line_chart(none, x, missing=x)",
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_escapes_what_it_is_given(part: str) -> None:
    page = environment("airflow_provider_ci.web").from_string(
        f'{{% import "web/parts.html" as parts %}}{{{{ parts.{PARTS[part]} }}}}'
    )
    html = page.render(x=HOSTILE)
    assert "alert(1)" in html
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "\"'>" not in html


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment("airflow_provider_ci.web").from_string("{{ nothing }}").render()


def test_nothing_in_a_template_needs_an_exception_from_the_policy() -> None:
    assert "unsafe" not in content_security_policy()
    assert "default-src 'none'" in PAGE_HEADERS["Content-Security-Policy"]
    for path in Path(web.__file__).parents[1].glob("**/templates/*.html"):
        text = path.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://(?!www\.w3\.org)", text), path
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), path


def test_static_files_have_addresses_that_change_with_them() -> None:
    style = static_file("style.css")
    assert style is not None
    assert style.content_type.startswith("text/css")
    page = environment("airflow_provider_ci.web").from_string("{{ static_url('style.css') }}").render()
    assert page == f"static/style.css?v={style.version}"
    assert static_file("../figures.py") is None
