"""Every snippet of the README runs."""

from __future__ import annotations

import importlib
import json
import os
import re
import select
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from airflow_provider_ci import operators, sensors
from airflow_provider_ci.client import AuthenticationError, CIClient, Credentials
from airflow_provider_ci.hooks import CIHook

REPO = Path(__file__).parents[2]
README = (REPO / "README.md").read_text()
SNIPPETS: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def snippet(language: str, marker: str) -> str:
    found = [text for kind, text in SNIPPETS if kind == language and marker in text]
    assert len(found) == 1, f"{len(found)} {language} snippets with {marker!r}"
    return found[0]


def test_there_are_no_other_snippets() -> None:
    assert len(SNIPPETS) == 6


def test_the_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^`?make ([\w-]+)|`make ([\w-]+)`", README, re.MULTILINE))
    assert len(targets) >= 7
    makefile = (REPO / "Makefile").read_text()
    documented = set(re.findall(r"^([\w-]+):.*##", makefile, re.MULTILINE))
    assert {first or second for first, second in targets} <= documented


def test_the_names_in_the_table_are_public() -> None:
    table = README.split("## What there is")[1].split("## ")[0]
    names = set(re.findall(r"`((?:CI|Batch|Local)\w*)`", table))
    assert len(names) >= 14
    modules = ("operators", "sensors", "hooks", "client", "batch", "local", "links", "retry_policy")
    rooms = [importlib.import_module(f"airflow_provider_ci.{module}") for module in modules]
    assert {name for name in names if not any(hasattr(room, name) for room in rooms)} == set()
    missing = {name for name in (*operators.__all__, *sensors.__all__) if not name.endswith("Error")} - names
    assert missing == set()


def test_the_extras_exist() -> None:
    named = re.findall(r"airflow-provider-ci\[(\w+)\]", README) + re.findall(r"extra `(\w+)`", README)
    assert set(named) == {"local", "role"}
    optional = (REPO / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    assert set(named) <= set(re.findall(r"^(\w+) = \[", optional.split("\n[")[0], re.MULTILINE))


def test_the_dag_runs_to_its_end(
    run_dag: Callable[..., Any], fill_bucket: Callable[..., None], bucket: Path
) -> None:
    keys = ("inbox/a.docx", "inbox/2026/b.xlsx")
    fill_bucket(*keys)
    noon = datetime(2026, 1, 2, 12, tzinfo=timezone.utc).timestamp()
    for key in keys:
        os.utime(bucket / key, times=(noon, noon))
    source = snippet("python", "with DAG(").replace('"convert_documents"', "DAG_ID")
    # A manual run takes the day before its logical date.
    result = run_dag(source, logical_date=datetime(2026, 1, 3, tzinfo=timezone.utc))
    assert result.state == "success"
    assert result.results["to_pdf"]["succeeded"] == 2
    assert (bucket / "pdf/2026/b.pdf").exists()
    assert (bucket / result.results["to_pdf"]["report_key"]).exists()


def test_the_connection_is_read_by_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    name, value = shlex.split(snippet("bash", "AIRFLOW_CONN_"))[1].split("=", 1)
    monkeypatch.setenv(name, value)
    client = CIHook().client
    assert client.bucket == "examplebucket-1250000000"
    assert json.loads(value)["conn_type"] == CIHook.conn_type


@pytest.fixture
def readme_server(tmp_path: Path) -> Iterator[str]:
    """The endpoint of a local CI that was started with the README's own lines, but on a free port."""
    script = snippet("bash", "ci-local serve").replace("9000", "0")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    lines = script.strip().splitlines()
    shell = "\n".join([*lines[:-1], f"exec {lines[-1]}"])
    command = ["sh", "-ec", shell]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        readable, _, _ = select.select([server.stdout], [], [], 60)
        assert readable, "the server printed nothing"
        yield server.stdout.readline().split()[-1]
        server.terminate()
        assert server.wait(20) == 0


def test_the_client_converts_a_letter_on_the_local_ci(
    readme_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(snippet("python", "submit_doc_job").replace("http://127.0.0.1:9000", readme_server), {})
    with pypdfium2.PdfDocument(tmp_path / "letter.pdf") as document:
        assert "this becomes a PDF" in document[0].get_textpage().get_text_range()
    assert (tmp_path / "buckets/examplebucket-1250000000/pdf/letter.pdf").exists()


def test_keys_of_the_readme_are_checked(readme_server: str) -> None:
    wrong = Credentials(secret_id="SECRET_ID", secret_key="OTHER")
    client = CIClient(wrong, "ap-guangzhou", "examplebucket-1250000000", endpoint=readme_server)
    with client, pytest.raises(AuthenticationError):
        client.list_objects_page()
