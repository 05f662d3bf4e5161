"""What the pages show and send; markup and scripts in users' files or names have no effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.tasks.batch_page import RECORD_KEY
from tests.plugin.conftest import HOSTILE_KEYS, SCRIPT, SVG, Site


def batch(site: Site, dag_id: str, **query: object) -> str:
    answer = site.get("batch", "viewer", **site.names(dag_id), **query)
    assert answer.status_code == 200
    return answer.text


@contextmanager
def recorded(site: Site, dag_id: str, **changes: Any) -> Iterator[None]:
    """Change the XCom record of a batch within the block, as any task could push such a record."""
    where = f"WHERE dag_id = '{dag_id}' AND key = '{RECORD_KEY}'"
    with site.database() as database:
        (before,) = database.execute(f"SELECT value FROM xcom {where}").fetchone()
        database.execute(
            f"UPDATE xcom SET value = ? {where}", (json.dumps({**json.loads(before), **changes}),)
        )
    yield
    with site.database() as database:
        database.execute(f"UPDATE xcom SET value = ? {where}", (before,))


def test_a_failed_batch_is_explained(site: Site) -> None:
    text = batch(site, "pages_failed")
    assert "4 of 9 objects failed; 5 made in this run. None may fail, so the task failed." in text
    assert "Why objects failed" in text
    assert "EmptyFile" in text
    assert "pages_failed/00 report.docx" in text
    assert "pages_failed/02 report.docx" not in text  # failures come first
    assert "4 objects failed for a reason that does not pass" in text


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ({"state": "all"}, ("00 report", "02 report"), ()),
        ({"state": "succeeded"}, ("02 report",), ("00 report.docx</a>",)),
        ({"state": "bad", "code": "EmptyFile"}, ("00 report",), ("02 report",)),
        ({"state": "all", "text": "03 REP"}, ("03 report",), ("02 report",)),
        ({"state": "bad", "text": "file is empty"}, ("00 report",), ("02 report",)),
        ({"state": "bad", "text": "nothing has this"}, ("No object matches",), ("02 report",)),
    ],
)
def test_objects_are_filtered(
    site: Site, query: dict[str, object], shown: tuple[str, ...], hidden: tuple[str, ...]
) -> None:
    text = batch(site, "pages_failed", **query).partition('id="rows"')[2]
    assert all(each in text for each in shown)
    assert not any(each in text for each in hidden)


def test_a_tolerated_failure_and_an_empty_source_are_told(site: Site) -> None:
    assert "1 of 6 objects failed, which max_failures=50% allows" in batch(site, "pages_tolerant")
    assert "The source has no objects" in batch(site, "pages_empty")


def test_a_plan_without_a_run_shows_its_estimate(site: Site) -> None:
    text = batch(site, "pages_planned")
    assert "Only planned, nothing was submitted: 2 jobs for 2 objects" in text
    for each in ("Jobs to submit", "Requests", "Cost, about", "An estimate"):
        assert each in text
    assert "Only planned: 2 jobs for 2 objects" in site.get("", "viewer").text


def test_a_deferred_batch_shows_its_progress(site: Site) -> None:
    text = batch(site, "pages_running")
    assert "1,200 of 5,000 objects have a result, 3 of them failed; about 5 min 4 s left." in text
    assert 'data-refresh="5"' in text


def test_an_object_is_shown_with_its_job_and_both_sides(site: Site) -> None:
    text = site.get("object", "viewer", **site.names("pages_good"), n=0).text
    for each in (
        "pages_good/photo-0.png",
        "out/pages_good/photo-0.png.png",
        "Attempts",
        "side=input",
        "side=output",
    ):
        assert each in text
    picture = site.get("picture", "viewer", **site.names("pages_good"), n=0, side="input")
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in picture.headers["Content-Security-Policy"]


def test_a_picture_that_cannot_be_made_says_why(site: Site) -> None:
    answer = site.get("picture", "viewer", **site.names("pages_failed"), n=0, side="input")
    assert answer.status_code == 200
    assert "EmptyFile" in answer.text


def test_hostile_names_are_text(site: Site) -> None:
    pages = [batch(site, "pages_failed", state="all"), site.get("", "viewer").text]
    pages += [site.get("object", "viewer", **site.names("pages_failed"), n=n).text for n in range(9)]
    for text in pages:
        assert SCRIPT not in text
        assert "<img src=x" not in text
    assert HOSTILE_KEYS[0].replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;") in pages[0]
    told = batch(site, "pages_failed", text=f'">{SCRIPT}', code=SCRIPT)
    assert SCRIPT not in told


def test_hostile_contents_are_shown_as_text_and_saved_as_files(site: Site, page_client: CIClient) -> None:
    names = site.names("pages_failed")
    html = site.get("object", "viewer", **names, n=8).text
    assert "&lt;html&gt;&lt;script&gt;" in html
    file = site.get("file", "viewer", **names, n=8, side="input")
    assert file.content == f"<html>{SCRIPT}</html>".encode()
    assert file.headers["Content-Type"] == "application/octet-stream"
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    page_client.put_object("pages_good/photo-1.png", SVG.encode())  # an SVG with the name of a PNG
    answer = site.get("picture", "viewer", **site.names("pages_good"), n=1, side="input")
    assert "<script" not in answer.text


def test_what_is_read_does_not_come_from_the_address(site: Site) -> None:
    usual = batch(site, "pages_good", state="all")
    told = {"conn_id": "other", "bucket": "other-1250000000", "folder": "x.ci-batch/", "key": "secret.txt"}
    assert "pages_good/photo-0.png" in usual
    assert "secret" not in batch(site, "pages_good", state="all", **told)
    assert "other-125" not in batch(site, "pages_good", state="all", **told)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"conn_id": "no_such_connection"}, 502),
        ({"folder": "../../etc/"}, 404),
        ({"folder": ["a", "list"]}, 404),
        ({"bucket": "absent-1250000000"}, 502),
        ({"region": ""}, 200),
    ],
)
def test_an_odd_record_is_refused_or_told(site: Site, changes: dict[str, Any], status: int) -> None:
    with recorded(site, "pages_tolerant", **changes):
        answer = site.get("batch", "viewer", **site.names("pages_tolerant"))
    assert answer.status_code == status
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("page", "query", "status"),
    [
        ("batch", {}, 400),
        ("batch", {"map_index": "x"}, 400),
        ("batch", {"state": "no such state"}, 400),
        ("batch", {"map_index": 7}, 404),
        ("object", {"n": 10_000}, 404),
        ("picture", {"n": 0, "side": "elsewhere"}, 404),
        ("static/..%2fapp.py", {}, 404),
    ],
)
def test_damaged_addresses_get_a_page(site: Site, page: str, query: dict[str, object], status: int) -> None:
    names = site.names("pages_good") if query else {}
    answer = site.get(page, "viewer", **names, **query)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
