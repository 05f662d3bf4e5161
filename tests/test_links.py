"""A task has its links while it runs; they lead to the pages they name and hold no secret."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ci import compat, get_provider_info
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.links import CIBatchLink, CIJobLink, CIQueueLink, CIReportLink, TaskLinks
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import DocumentResult, InstantConverters

RunDag = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

BUCKET = "examplebucket-1250000000"
PAGE_LINK = {"CI batch"} if compat.has_batch_pages() else set[str]()
"""The link to the page of a batch, which Airflow 3.0 cannot have."""
KEYS = {link.name: link.xcom_key for link in (CIBatchLink(), CIJobLink(), CIQueueLink(), CIReportLink())}

DAG_TEXT = """
from airflow.sdk import DAG
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import *
from airflow_provider_ci.sensors import CIJobSensor

with DAG(DAG_ID, schedule=None) as dag:
    {task}
"""


@pytest.fixture
def task_id() -> str:
    """A unique id for the only task of a test."""
    return f"task_{uuid.uuid4().hex}"


@pytest.fixture
def run_task(run_dag: RunDag, task_id: str) -> RunDag:
    """Runs a DAG of one task."""
    return lambda task: run_dag(DAG_TEXT.replace("{task}", task).replace("TASK_ID", repr(task_id)))


DOCUMENT = """CIDocProcessOperator(
        task_id=TASK_ID, input_key="in/a.docx", output_key="out/a.pdf", operation=DocProcess(),
        poll_interval=0.1, %s)"""
BATCH = """CIBatchOperator(
        task_id=TASK_ID, source=["in/a.docx", "in/b.docx"], operation=DocProcess(), output="out/{stem}.pdf",
        batch_id="night shift/1", poll_interval=0.1, %s)"""


def links(task_id: str) -> dict[int, dict[str, str]]:
    """The links of a task that Airflow has stored so far, by map index."""
    names = {key: name for name, key in KEYS.items()}
    found: dict[int, dict[str, str]] = {}
    with create_session() as session:
        rows = select(XComModel).where(XComModel.task_id == task_id, XComModel.key.in_(names))
        for row in session.scalars(rows):
            if url := XComModel.deserialize_value(row):  # an empty URL means no link
                found.setdefault(row.map_index, {})[names[row.key]] = url
    return found


def page(url: str) -> str:
    with urlopen(url) as answer:
        text: str = answer.read().decode()
    return text


class Watched(InstantConverters):
    """Ends no job before Airflow has stored a link of the task, and keeps the links found in ``seen``."""

    def __init__(self, task_id: str) -> None:
        super().__init__()
        self._task_id = task_id
        self.seen: dict[int, dict[str, str]] = {}

    def document(self, *arguments: Any) -> DocumentResult:
        give_up_at = time.monotonic() + 20
        while not self.seen and time.monotonic() < give_up_at:
            time.sleep(0.05)
            self.seen = links(self._task_id)
        return super().document(*arguments)


@pytest.fixture
def converters(task_id: str) -> Watched:
    return Watched(task_id)


@pytest.fixture
def local_ci(tmp_path: Path, converters: Watched) -> Iterator[LocalCI]:
    (tmp_path / "buckets" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "buckets", convert=converters) as server:
        yield server


@pytest.fixture
def queue_id(client: CIClient) -> str:
    (queue,) = client.list_doc_queues()
    return queue.queue_id


@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_a_document_leads_to_its_job_and_its_queue(
    run_task: RunDag, task_id: str, fill_bucket: Fill, queue_id: str, how: str
) -> None:
    fill_bucket("in/a.docx")
    result = run_task(DOCUMENT % how)
    found = links(task_id)[-1]
    assert found.keys() == {"CI job", "CI queue"}
    assert result.results[task_id]["job_id"] in page(found["CI job"])
    assert queue_id in page(found["CI queue"])


def test_a_batch_leads_to_its_report(
    run_task: RunDag, task_id: str, fill_bucket: Fill, queue_id: str
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    assert run_task(BATCH % f"queue_id={queue_id!r}").state == "success"
    found = links(task_id)[-1]
    assert found.keys() == {*PAGE_LINK, "CI queue", "CI report"}
    assert "out/a.pdf" in page(found["CI report"])
    assert queue_id in page(found["CI queue"])


def test_a_batch_that_fails_leads_to_its_report_too(
    run_task: RunDag, task_id: str, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx")
    fill_bucket("in/b.docx", content=b"")
    assert run_task(BATCH % "").state == "failed"
    assert "in/b.docx" in page(links(task_id)[-1]["CI report"])


@pytest.mark.skipif(not PAGE_LINK, reason="Airflow 3.0 has no page of batches")
def test_a_batch_leads_to_its_page(
    run_task: RunDag, task_id: str, fill_bucket: Fill, monkeypatch: pytest.MonkeyPatch, printed: Printed
) -> None:
    """If Airflow's address is set, the report's link and the failure message also lead to the page."""
    fill_bucket("in/a.docx")
    fill_bucket("in/b.docx", content=b"")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/team/")
    assert run_task(BATCH % "").state == "failed"
    found = links(task_id)[-1]
    address = urlsplit(found["CI batch"])
    assert (address.scheme, address.netloc) == ("https", "airflow.example.com")
    assert address.path.startswith("/team/")
    assert address.path.endswith("/team/ci-batches/batch")
    assert parse_qs(address.query)["task_id"] == [task_id]
    assert found["CI report"] == f"{found['CI batch']}#objects"
    assert f"Details: {found['CI batch']}" in printed()


def test_a_page_that_is_switched_off_has_no_link(
    run_task: RunDag, task_id: str, fill_bucket: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    monkeypatch.setenv("AIRFLOW__TENCENT_CI__BATCH_PAGES", "False")
    assert run_task(BATCH % "").state == "success"
    assert "CI batch" not in links(task_id)[-1]


def test_a_sensor_of_one_job_leads_to_it(
    run_task: RunDag, task_id: str, fill_bucket: Fill, client: CIClient
) -> None:
    fill_bucket("in/a.docx")
    job_id = client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess()).job_id
    assert run_task(f'CIJobSensor(task_id=TASK_ID, job_ids="{job_id}", poke_interval=0.1)').state == "success"
    assert job_id in page(links(task_id)[-1]["CI job"])


@pytest.mark.parametrize(
    ("task", "names"),
    [(DOCUMENT, {"CI job"}), (BATCH, {*PAGE_LINK, "CI report"})],
    ids=["document", "batch"],
)
@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_the_links_are_there_while_the_task_runs(
    run_task: RunDag, fill_bucket: Fill, converters: Watched, task: str, names: set[str], how: str
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    assert run_task(task % how).state == "success"
    assert names <= converters.seen[-1].keys()


@pytest.mark.parametrize("module", ["jobs", "batch"])
def test_the_links_outlive_a_deferral(
    run_task: RunDag, task_id: str, fill_bucket: Fill, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setattr(f"airflow_provider_ci.operators.{module}._INLINE_SECONDS", 0.0)
    fill_bucket("in/a.docx", "in/b.docx")
    assert run_task({"jobs": DOCUMENT, "batch": BATCH}[module] % "deferrable=True").state == "success"
    found = links(task_id)[-1]
    if module == "batch" and PAGE_LINK:
        assert "task_id=" in found.pop("CI batch")
    for url in found.values():
        assert page(url)


def test_each_mapped_task_has_its_own(run_task: RunDag, task_id: str, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    result = run_task("""CIDocProcessOperator.partial(
        task_id=TASK_ID, operation=DocProcess(), output_key="out/{{ ti.map_index }}.pdf", poll_interval=0.1
    ).expand(input_key=["in/a.docx", "in/b.docx"])""")
    assert result.state == "success"
    found = links(task_id)
    for map_index, key in enumerate(("in/a.docx", "in/b.docx")):
        assert key in page(found[map_index]["CI job"])


def test_a_task_that_submits_nothing_has_no_link(run_task: RunDag, task_id: str) -> None:
    assert run_task(DOCUMENT % "").state == "failed"
    assert links(task_id) == {}


def test_airflow_knows_the_links(run_task: RunDag, task_id: str, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    stored = json.dumps(run_task(DOCUMENT % "").stored)
    assert "_link_CIJobLink" in stored
    assert "_link_CIQueueLink" in stored
    for name in get_provider_info()["extra-links"]:
        module, _, link = name.rpartition(".")
        assert getattr(import_module(module), link)().name.startswith("CI ")


class Instance:
    """A task instance that keeps the values that a task pushes to XCom."""

    def __init__(self) -> None:
        self.pushed: dict[str, str] = {}

    def xcom_push(self, key: str, value: str) -> None:
        self.pushed[key] = value


def told(connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **extra: str) -> dict[str, str]:
    """The links of a task whose connection has this extra, by name."""
    values = {**connection, "extra": {"region": "ap-guangzhou", "bucket": BUCKET, **extra}}
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps(values))
    ti = Instance()
    context: Any = {"ti": ti}
    task_links = TaskLinks(context, CIHook())
    task_links.tell_job("d" + "0" * 32)
    task_links.tell_queue(None)
    task_links.tell_report("_ci_batches/dag/night shift/", "report.jsonl")
    return {name: ti.pushed[key] for name, key in KEYS.items() if key in ti.pushed}


@pytest.mark.parametrize("extra", [{}, {"endpoint": "https://gateway.example.com"}], ids=["cloud", "gateway"])
def test_in_the_cloud_they_lead_to_the_console(
    connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch, extra: dict[str, str]
) -> None:
    console = "https://console.cloud.tencent.com"
    place = f"bucket={BUCKET}&region=ap-guangzhou"
    assert told(connection, monkeypatch, token="session-token-value", **extra) == {
        "CI job": f"{console}/ci/bucket?{place}",
        "CI queue": f"{console}/ci/bucket?{place}",
        "CI report": f"{console}/cos/bucket?{place}&path=%252F_ci_batches%252Fdag%252Fnight%2520shift%252F",
    }


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000/"])
def test_a_local_ci_has_no_page_of_a_default_queue(
    connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    base = endpoint.rstrip("/")
    assert told(connection, monkeypatch, endpoint=endpoint) == {
        "CI job": f"{base}/_local/jobs/d{'0' * 32}",
        "CI report": f"{base}/_local/objects/{BUCKET}/_ci_batches/dag/night%20shift/report.jsonl",
    }
