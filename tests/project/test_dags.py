"""Every example DAG runs to its end in real Airflow, with real conversion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from PIL import Image
from sqlalchemy import select

from airflow_provider_ci.batch import read_report
from airflow_provider_ci.client import CIClient, DocProcess, JobState, QueueState
from airflow_provider_ci.local import LocalCI

REPO = Path(__file__).parents[2]
DAGS = sorted(path.stem for path in (REPO / "dags").glob("*.py"))


@pytest.fixture
def local_ci(tmp_path: Path) -> Any:
    """A local CI that really converts; its bucket has the demo's samples."""
    for folder in ("inbox", "photos"):
        target = tmp_path / "examplebucket-1250000000" / folder
        shutil.copytree(REPO / "demo" / "samples" / folder, target)
    with LocalCI(tmp_path) as server:
        yield server


def report_of(client: CIClient, result: Any, task_id: str) -> dict[str, Any]:
    report = read_report(client, result.results[task_id]["report_key"])
    return {verdict.key: verdict for verdict in report}


def pages_of(path: Path) -> int:
    return len(pypdfium2.PdfDocument(path))


def test_all_example_dags_are_run_here() -> None:
    assert [
        *("backfill_archive", "convert_documents", "convert_in_shards", "manage_queue"),
        *("plan_before_run", "process_pictures", "react_to_uploads", "single_document"),
    ] == DAGS


def test_backfill_archive_takes_the_day_of_its_run(
    run_dag_file: Callable[..., Any], client: CIClient, bucket: Path
) -> None:
    sample = (bucket / "inbox" / "suppliers.txt").read_bytes()
    noon = datetime(2025, 3, 1, 12, tzinfo=timezone.utc)
    for day in range(3):
        path = bucket / "archive" / f"{day}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sample)
        os.utime(path, times=((noon + timedelta(days=day)).timestamp(),) * 2)
    third_day = datetime(2025, 3, 3, tzinfo=timezone.utc)  # a manual run takes the day before its date
    result = run_dag_file(REPO / "dags" / "backfill_archive.py", logical_date=third_day)
    assert result.state == "success"
    assert list(report_of(client, result, "to_pdf")) == ["archive/1.txt"]
    assert (bucket / "archive-pdf" / "1.pdf").read_bytes().startswith(b"%PDF")


def test_backfill_archive_without_a_logical_date_takes_the_whole_folder(
    run_dag_file: Callable[..., Any], client: CIClient, bucket: Path
) -> None:
    """The UI triggers such a run when the date is left empty; the run has no data interval."""
    for day in range(2):
        path = bucket / "archive" / f"{day}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"text")
        os.utime(path, times=(86400.0 * day,) * 2)
    result = run_dag_file(REPO / "dags" / "backfill_archive.py", logical_date=None)
    assert result.state == "success"
    assert sorted(report_of(client, result, "to_pdf")) == ["archive/0.txt", "archive/1.txt"]


def test_convert_documents_of_an_own_folder_with_a_form(
    run_dag_file: Callable[..., Any], client: CIClient, bucket: Path
) -> None:
    (bucket / "uploads").mkdir()
    shutil.copy(bucket / "inbox" / "suppliers.txt", bucket / "uploads" / "mine.txt")
    form = {"prefix": "uploads/", "target": "jpg", "max_failures": "0"}
    first = run_dag_file(REPO / "dags" / "convert_documents.py", run_conf=form)
    assert first.state == "success"
    assert (bucket / "pdf" / "mine.pdf").exists()
    assert (bucket / "pages" / "mine" / "1.jpg").exists()
    again = run_dag_file(REPO / "dags" / "convert_documents.py", run_conf=form)
    assert again.results["to_pdf"]["skipped"] == 1
    forced = run_dag_file(REPO / "dags" / "convert_documents.py", run_conf={**form, "force": True})
    assert forced.results["to_pdf"]["succeeded"] == 1


def test_each_dag_has_a_description_and_a_form_with_titles() -> None:
    for path in (REPO / "dags").glob("*.py"):
        for dag in DagBag(path).dags.values():
            assert dag.description and dag.doc_md, dag.dag_id
            for name in dag.params:
                param = dag.params.get_param(name)
                assert param.schema.get("title") and param.description, f"{dag.dag_id}: {name}"


def test_convert_documents(run_dag_file: Callable[..., Any], client: CIClient, bucket: Path) -> None:
    result = run_dag_file(REPO / "dags" / "convert_documents.py")
    assert result.state == "success"
    assert report_of(client, result, "sheets_to_pages").keys() & {"inbox/sales-2025.xlsx"}
    assert (bucket / "pages" / "sales-2025" / "sheet-2-1.jpg").exists()
    for task_id in ("to_pdf", "to_pages"):
        report = report_of(client, result, task_id)
        failed = {key: verdict for key, verdict in report.items() if verdict.state != "succeeded"}
        assert list(failed) == ["inbox/broken-contract.docx"]
        assert failed["inbox/broken-contract.docx"].reason
    assert pages_of(bucket / "pdf" / "owners-handbook.pdf") == 5
    assert report_of(client, result, "to_pdf")["inbox/owners-handbook.pdf"].pages == 5
    with Image.open(bucket / "pages" / "owners-handbook" / "2.png") as page:
        assert page.format == "PNG"
    assert not (bucket / "pages" / "owners-handbook" / "3.png").exists()


def test_convert_in_shards(run_dag_file: Callable[..., Any], client: CIClient, bucket: Path) -> None:
    form = {"prefix": "inbox/", "max_objects": 3, "max_failures": "10%"}
    result = run_dag_file(REPO / "dags" / "convert_in_shards.py", run_conf=form)
    documents = [path for path in (bucket / "inbox").rglob("*") if path.is_file()]
    summary = result.results["report"]
    assert result.state == "success"
    assert (summary["total"], summary["failed"]) == (len(documents), 1)
    assert len(documents) / 3 <= summary["shards"] < len(documents)
    assert pages_of(bucket / "shards-pdf" / "owners-handbook.pdf") == 5


def test_process_pictures(run_dag_file: Callable[..., Any], client: CIClient, bucket: Path) -> None:
    result = run_dag_file(REPO / "dags" / "process_pictures.py")
    assert result.state == "success"
    photos = sorted((bucket / "photos").iterdir())
    assert result.results["for_the_web"]["succeeded"] == len(photos)
    assert sorted(result.results["list_photos"]) == sorted(f"photos/{path.name}" for path in photos)
    for photo in photos:
        with Image.open(bucket / "pictures" / "thumbnails" / f"{photo.stem}.jpg") as thumbnail:
            assert (thumbnail.format, thumbnail.size) == ("JPEG", (160, 160))
        with Image.open(bucket / "pictures" / "web" / f"{photo.stem}.webp") as web:
            assert web.format == "WEBP"
            assert max(web.size) <= 800
    with (
        Image.open(bucket / "photos" / "IMG_2041.jpg") as lying,
        Image.open(bucket / "pictures" / "web" / "IMG_2041.webp") as upright,
    ):
        assert lying.getexif()[0x0112] == 6
        assert (upright.width > upright.height) == (lying.width < lying.height)


def test_single_document(run_dag_file: Callable[..., Any], bucket: Path) -> None:
    result = run_dag_file(
        REPO / "dags" / "single_document.py",
        run_conf={"document": "inbox/合同 草案.docx", "folder": "single/合同"},
    )
    assert result.state == "success"
    assert result.results["wait"] == {"jobs": 1}
    folder = bucket / "single" / "合同"
    assert pages_of(folder / "document.pdf") == result.results["first_page"]["pages"]
    assert "合同" in pypdfium2.PdfDocument(folder / "document.pdf")[0].get_textpage().get_text_range()
    with Image.open(folder / "page-1.png") as page, Image.open(folder / "thumbnail.jpg") as thumbnail:
        assert page.format == "PNG"
        assert (thumbnail.format, thumbnail.width) == ("JPEG", 240)


def test_plan_before_run_waits_for_an_approval(run_dag_file: Callable[..., Any]) -> None:
    """No one can approve in a test run of Airflow, so the approval task is marked as successful."""
    form = {"prefix": "inbox/s", "approved": True}
    result = run_dag_file(REPO / "dags" / "plan_before_run.py", run_conf=form, mark_success_pattern="approve")
    assert result.state == "success"
    plan, summary = result.results["plan"], result.results["to_pdf"]
    assert plan["objects"] == plan["jobs"] == summary["succeeded"] > 2
    assert plan["cost"] > 0


def test_manage_queue(run_dag_file: Callable[..., Any], client: CIClient) -> None:
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    for number in range(3):
        client.submit_doc_job("inbox/suppliers.txt", f"out/{number}.pdf", DocProcess(target="pdf"))
    result = run_dag_file(REPO / "dags" / "manage_queue.py")
    assert result.state == "success"
    assert result.results["cancel_waiting"]["cancelled"] == 3
    assert {job.state for job in client.list_doc_jobs()} == {JobState.CANCEL}
    assert client.list_doc_queues()[0].state is QueueState.ACTIVE


def test_react_to_uploads(run_dag_file: Callable[..., Any], bucket: Path) -> None:
    (bucket / "uploads").mkdir()
    for name in ("suppliers.txt", "terms-of-sale.rtf"):
        path = Path(shutil.copy(bucket / "inbox" / name, bucket / "uploads"))
        os.utime(path, (time.time() - 60, time.time() - 60))
    result = run_dag_file(REPO / "dags" / "react_to_uploads.py")
    assert result.state == "success"
    assert result.results["wait"]["objects"] == result.results["to_pdf"]["succeeded"] == 2
    with create_session() as session:
        event = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == result.run.run_id)).one()
        assert event.asset.uri == "cos://examplebucket-1250000000/pdf/uploads"
        assert (event.extra["objects"], event.extra["failed"]) == (2, 0)
    reaction = run_dag_file(REPO / "dags" / "react_to_uploads.py", dag_id="preview_uploads")
    assert reaction.results["first_page"]["succeeded"] == 2
    with Image.open(bucket / "preview" / "uploads" / "suppliers-1.jpg") as preview:
        assert preview.format == "JPEG"


def test_parsing_the_dags_warns_of_nothing() -> None:
    for dag_id in DAGS:
        command = [sys.executable, "-W", "error", str(REPO / "dags" / f"{dag_id}.py")]
        subprocess.run(command, check=True, capture_output=True)
