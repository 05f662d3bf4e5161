"""Every DAG of the recipes and of the first steps runs to its end against the local CI."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "index.md", *sorted((DOCS / "recipes").glob("*.md"))]
PYTHON = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
OUTPUTS = {
    "first_steps": "pdf/letter.pdf",
    "whole_archive": "pdf/letter.pdf",
    "convert_uploads": "pdf/uploads/letter.pdf",
    "report_failures": "pdf/letter.pdf",
    "million": "archive-pdf/letter.pdf",
    "two_queues": "urgent-pdf/letter.pdf",
    "locked_documents": "locked-pdf/letter.pdf",
}
"""DAG -> the output for a letter in its input folder. Other DAGs do not take objects written just now."""


def snippets() -> list[str]:
    return [textwrap.dedent(found[1]) for page in PAGES for found in PYTHON.findall(page.read_text())]


def dags_of(snippet: str) -> list[str]:
    return re.findall(r'with DAG\(\s*"(\w+)"', snippet)


def now_and_at_once(snippet: str) -> str:
    """Change a snippet so that it also takes new objects and does not wait until uploads are settled."""
    return snippet.replace("settled_seconds=30", "settled_seconds=0").replace("2026-01-01T", "2126-01-01T")


def test_every_page_has_a_dag() -> None:
    assert all(dags_of(snippet) for snippet in snippets())
    assert len(snippets()) == len(PAGES)


@pytest.mark.parametrize("snippet", snippets(), ids=lambda snippet: dags_of(snippet)[0])
def test_a_recipe_runs(
    snippet: str,
    run_dag_file: Callable[..., Any],
    fill_bucket: Callable[..., None],
    bucket: Path,
    client: CIClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill_bucket(*(f"{folder}/letter.docx" for folder in ("inbox", "uploads", "archive", "urgent", "locked")))
    queue = client.list_doc_queues()[0].queue_id
    variables = {"archive_password": "geheim", "queue_urgent": queue, "queue_archive": queue}
    for name, value in variables.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", value)
    file = tmp_path / "recipe.py"
    file.write_text(now_and_at_once(snippet))
    for dag_id in dags_of(snippet):
        assert run_dag_file(file, dag_id=dag_id).state == "success"
        if dag_id in OUTPUTS:
            assert (bucket / OUTPUTS[dag_id]).exists()
