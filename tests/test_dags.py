"""Every example DAG runs to its end in real Airflow, with real conversion."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from airflow_provider_ci.batch import read_report
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI

REPO = Path(__file__).parents[1]
DAGS = sorted(path.stem for path in (REPO / "dags").glob("*.py"))


@pytest.fixture
def local_ci(tmp_path: Path) -> Any:
    """A local CI that really converts, its bucket filled with the demo's samples."""
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
    assert DAGS == ["convert_documents", "process_pictures", "single_document"]


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


def test_parsing_the_dags_warns_of_nothing() -> None:
    for dag_id in DAGS:
        command = [sys.executable, "-W", "error", str(REPO / "dags" / f"{dag_id}.py")]
        subprocess.run(command, check=True, capture_output=True)
