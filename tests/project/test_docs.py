"""The manual's examples run, and the messages that it quotes are in the sources."""

from __future__ import annotations

import ast
import builtins
import io
import re
import shlex
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, JobState, QueueState
from airflow_provider_ci.commands.main import main as ci_batch
from airflow_provider_ci.local import LocalCI

REPO = Path(__file__).parents[2]
DOCS = REPO / "docs"
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FIRST_CELL = re.compile(r"^\| (.+?) \| ", re.MULTILINE)
OPERATORS = (DOCS / "operators.md").read_text()
IMPORTS, *EXAMPLES = PYTHON.findall(OPERATORS)
OBJECTS = ("inbox/letter.docx", "inbox/2026/sheet.xlsx", "photos/portrait.jpg")
FILES = ("inbox/report.pdf", "inbox/summary.pdf")

MANUAL = sorted([*DOCS.rglob("*.md"), *REPO.glob("*.md")])


def first_task(example: str) -> str:
    return re.search(r'task_id="(\w+)"', example)[1]  # type: ignore[index] # an example without one is an error


@pytest.fixture
def run_example(
    run_dag: Callable[..., Any], fill_bucket: Callable[..., None]
) -> Callable[[str], dict[str, Any]]:
    fill_bucket(*OBJECTS)

    def run(example: str) -> dict[str, Any]:
        if "archive.zip" in example:
            fill_bucket(*FILES, content=b"%PDF-1.7\n")
            fill_bucket("inbox/archive.zip", content=_archive())
        # The objects were written just now; the test does not wait until they count as settled.
        example = example.replace("settled_seconds=30", "settled_seconds=0")
        timetable = 'schedule=CronDataIntervalTimetable("@daily", timezone="UTC")'
        tasks = textwrap.indent(example, "    ")
        result = run_dag(f"{IMPORTS}\nfrom airflow.sdk import DAG\n\nwith DAG(DAG_ID, {timetable}):\n{tasks}")
        assert result.state == "success"
        results: dict[str, Any] = result.results
        return results

    return run


def _archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", "alpha")
    return made.getvalue()


@pytest.mark.parametrize("example", EXAMPLES, ids=first_task)
def test_each_example_of_the_operators_runs(
    run_example: Callable[[str], dict[str, Any]], example: str
) -> None:
    results = run_example(example)
    assert set(results) >= set(re.findall(r'task_id="(\w+)"', example))


def test_an_example_does_what_is_said_of_it(
    run_example: Callable[[str], dict[str, Any]], client: CIClient, bucket: Path
) -> None:
    example = next(text for text in EXAMPLES if 'task_id="pause"' in text)
    run_example(example)
    assert client.list_doc_queues()[0].state is QueueState.ACTIVE
    counting = next(text for text in EXAMPLES if "count_failures" in text)
    assert run_example(counting)["count_failures"] == 1
    assert (bucket / "some" / "letter.pdf").exists()
    # The object that does not exist fails without a job.
    assert {job.state for job in client.list_doc_jobs()} == {JobState.SUCCESS}


COMMANDS = re.findall(r"^ci-batch (.+)$", (DOCS / "command-line.md").read_text(), re.MULTILINE)


def test_the_commands_of_the_command_line_run(
    local_ci: LocalCI, fill_bucket: Callable[..., None], client: CIClient, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fill_bucket(*(f"inbox/{number}.docx" for number in range(40)), "inbox/letter.docx")
    fill_bucket("inbox/empty.docx", content=b"")
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("TENCENTCLOUD_SECRET_ID", local_ci.secret_id),
        ("TENCENTCLOUD_SECRET_KEY", local_ci.secret_key),
        ("CI_BUCKET", client.bucket),
        ("CI_REGION", "ap-guangzhou"),
        ("CI_ENDPOINT", local_ci.endpoint),
    ):
        monkeypatch.setenv(name, value)
    codes = [ci_batch(shlex.split(command)) for command in COMMANDS]
    assert codes == [1 if command.startswith("retry") else 0 for command in COMMANDS]
    assert {path.name for path in tmp_path.iterdir()} >= {"letters.csv", "letters.parquet"}


def test_every_public_operator_and_sensor_has_an_example() -> None:
    from airflow_provider_ci import operators, sensors

    public = [name for name in (*operators.__all__, *sensors.__all__) if not name.endswith("Error")]
    assert len(public) == 11
    assert [name for name in public if not any(f"{name}(" in example for example in EXAMPLES)] == []


def texts_of(path: Path) -> Iterator[str]:
    """The strings of a source file, with ``…`` in place of every inserted value."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}|%[sdr]", "…", node.value)


SOURCES = sorted((REPO / "airflow_provider_ci").rglob("*.py"))
TEXTS = {text for path in SOURCES for text in texts_of(path)}
CLASSES = {
    node.name
    for path in SOURCES
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ClassDef)
}
SEEN = [
    cell
    for cell in FIRST_CELL.findall((DOCS / "troubleshooting.md").read_text())
    if cell[0] == "`"  # the other cells describe symptoms without a message
]


def test_the_troubleshooting_table_is_read() -> None:
    assert len(SEEN) > 50


@pytest.mark.parametrize("cell", SEEN)
def test_the_errors_and_messages_of_troubleshooting_are_in_the_sources(cell: str) -> None:
    for name in re.findall(r"`(\w+)`", cell):
        assert name in CLASSES or name in TEXTS or hasattr(builtins, name), f"no error is called {name}"
    for quoted in re.findall("“(.+?)”", cell):
        wanted = re.sub("^… |[ :]*…$", "", quoted)
        assert any(wanted in text for text in TEXTS), f"no message says {quoted!r}"


@pytest.mark.parametrize("path", MANUAL, ids=lambda path: str(path.relative_to(REPO)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in LINK.findall(text):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), target
        if heading:
            assert heading in anchors(found), target


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes from a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached() -> None:
    starts = [REPO / "README.md", REPO / "CONTRIBUTING.md", DOCS / "index.md"]
    reached = {
        (start.parent / link).resolve() for start in starts for link in LINK.findall(start.read_text())
    }
    pages = [*DOCS.glob("*.md"), *(DOCS / "recipes").glob("*.md")]
    assert [path.name for path in pages if path not in reached and path not in starts] == []
