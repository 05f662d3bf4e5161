"""Batches on limited machines: no writable temporary folder, a tiny one, or few open files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ci.batch import Batch
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
Make = Callable[..., Batch]

CHILD = """
import os, resource, sys
files, size, tmp, endpoint, secret_id, secret_key = sys.argv[1:]
if os.geteuid() == 0 and tmp == "read-only":
    # Root may write anywhere, so the folders for temporary files are taken away instead.
    os.environ["TMPDIR"] = os.environ["SQLITE_TMPDIR"] = "/proc/1/nothing"
if int(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
from airflow_provider_ci.batch import Batch, ObjectSelection, Pace
from airflow_provider_ci.client import CIClient, Credentials, DocProcess
credentials = Credentials(secret_id=secret_id, secret_key=secret_key)
client = CIClient(credentials, "ap-guangzhou", "examplebucket-1250000000", endpoint=endpoint)
if int(files):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), int(files)))
batch = Batch(
    client, ObjectSelection(prefix="in/"), DocProcess(target="pdf"), "out/{stem}.pdf", batch_id="test",
    pace=Pace(shortest=0.02, longest=0.1),
)
try:
    print(batch.run().succeeded)
except OSError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def run_child(local_ci: LocalCI) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a batch in a process with at most ``files`` open files, and ``size`` bytes in a file."""

    def run(*, files: int = 0, size: int = 0, tmp: str = "") -> subprocess.CompletedProcess[str]:
        arguments = [str(files), str(size), tmp, local_ci.endpoint, local_ci.secret_id, local_ci.secret_key]
        return subprocess.run(
            [sys.executable, "-c", CHILD, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_no_writable_temporary_folder_is_needed_for_small_batches(
    client: CIClient, fill_bucket: Fill, run_child: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(50)))
    child = run_child(tmp="read-only")
    assert child.stdout == "50\n", child.stderr


def test_a_tiny_temporary_folder_is_noticed_before_submitting(
    client: CIClient, fill_bucket: Fill, run_child: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """No file may be larger than 64 KiB."""
    fill_bucket(*(f"in/{number}.docx" for number in range(200)))
    child = run_child(size=65_536)
    jobs = len(list(client.list_doc_jobs()))
    if child.returncode:
        assert jobs == 0, child.stderr
        assert "temporary file" in child.stderr
    else:
        assert (child.stdout, jobs) == ("200\n", 200)


@pytest.mark.parametrize("files", [14, 20, 23])
def test_too_few_open_files_are_named_before_submitting(
    files: int,
    client: CIClient,
    fill_bucket: Fill,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    child = run_child(files=files)
    assert child.returncode == 1
    assert f"RLIMIT_NOFILE, ulimit -n) is {files}" in child.stderr
    assert not list(client.list_doc_jobs())


@pytest.mark.parametrize("files", [30, 40, 64])
def test_thirty_open_files_do_or_the_limit_is_named(
    files: int,
    client: CIClient,
    fill_bucket: Fill,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Either all jobs are done and reported, or nothing is submitted."""
    fill_bucket(*(f"in/{number}.docx" for number in range(80)))
    child = run_child(files=files)
    jobs = len(list(client.list_doc_jobs()))
    if child.returncode:
        assert f"is {files}" in child.stderr
        assert jobs == 0
    else:
        assert (child.stdout, jobs) == ("80\n", 80)


def test_the_next_run_needs_nothing_of_the_failed_one(
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    run_child: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    assert run_child(files=20).returncode == 1
    assert batch(client, on_running="fail").run().succeeded == 2


def test_a_batch_leaves_no_temporary_file_behind(
    client: CIClient, fill_bucket: Fill, batch: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("SQLITE_TMPDIR", str(folder))
    fill_bucket(*(f"in/{number}.docx" for number in range(20)))
    batch(client).run()
    assert not list(folder.iterdir())
