"""CIJobOperator: jobs that write objects, jobs with their results in the response, and lost responses."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, CIError, CIJob, FileHashCode
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.operators import CIJobOperator, JobWaitError, UnconfirmedJobError

RunTasks = Callable[..., Any]
Fill = Callable[..., None]
Printed = Callable[[], str]

IMPORTS = """from airflow_provider_ci.client import CIJob, FileHashCode, FileUncompress, ImageOCR
    """


@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_a_hash_is_returned(run_tasks: RunTasks, fill_bucket: Fill, how: str) -> None:
    fill_bucket("in/a.bin", content=b"content")
    result = run_tasks(f"""{IMPORTS}CIJobOperator(
        task_id="hash", input_key="{{{{ params.folder }}}}/a.bin", poll_interval=0.1, {how},
        operation=FileHashCode("{{{{ 'sha1' }}}}", add_to_header="{{{{ True }}}}"))""")
    assert result.state == "success"
    returned = result.results["hash"]
    assert returned["hash"] == hashlib.sha1(b"content").hexdigest()
    assert (returned["size"], returned["output_key"], returned["state"]) == (7, "", "Success")


def test_an_archive_is_unpacked_for_mapped_tasks(
    run_tasks: RunTasks, bucket: Path, fill_bucket: Fill
) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", "alpha")
        archive.writestr("deep/b.txt", "beta")
    fill_bucket("in/a.zip", "in/b.zip", content=made.getvalue())
    result = run_tasks(f"""{IMPORTS}CIJobOperator.partial(
        task_id="unpack", poll_interval=0.1,
        operation=FileUncompress("out/", prefix_replaced=1, listing=True),
    ).expand(input_key=["in/a.zip", "in/b.zip"])""")
    assert result.state == "success"
    assert sorted(str(path.relative_to(bucket)) for path in (bucket / "out").rglob("*.txt")) == [
        f"out/{name}/{file}" for name in ("a", "b") for file in ("a.txt", "deep/b.txt")
    ]


def test_a_job_of_a_tag_without_a_class(run_tasks: RunTasks, fill_bucket: Fill, bucket: Path) -> None:
    fill_bucket("in/a.pdf", "in/stamp.png", content=b"%PDF-1.7\n")
    nodes = {
        "Type": "{{ 1 }}",
        "Image": "http://examplebucket-1250000000.cos.ap-guangzhou.myqcloud.com/in/stamp.png",
    }
    result = run_tasks(f"""{IMPORTS}CIJobOperator(
        task_id="mark", input_key="in/a.pdf", output_key="out/{{stem}}.pdf", poll_interval=0.1,
        operation=CIJob(tag="DocWatermark", operation={{"DocWatermark": {nodes!r}}}))""")
    assert result.state == "success"
    assert result.results["mark"]["output_key"] == "out/a.pdf"
    assert (bucket / "out/a.pdf").exists()


def test_a_tag_that_the_local_ci_does_not_do_is_named(
    run_tasks: RunTasks, fill_bucket: Fill, printed: Printed
) -> None:
    fill_bucket("in/a.png")
    result = run_tasks(f'{IMPORTS}CIJobOperator(task_id="ocr", input_key="in/a.png", operation=ImageOCR())')
    assert result.tasks == {"ocr": "failed"}
    assert "the local CI does not know jobs with Request.Tag ImageOCR" in printed()


# Lost responses


def hash_task(**options: Any) -> CIJobOperator:
    return CIJobOperator(
        task_id="hash", input_key="in/a.bin", operation=FileHashCode(), poll_interval=0.1, **options
    )


def hashes(client: CIClient) -> int:
    return len(list(client.list_jobs("FileHashCode", path="/jobs")))


@pytest.mark.parametrize("fault", ["cut_after", "cut_before"])
def test_a_lost_submission_is_repeated_only_where_a_user_allows_it(
    context: Any, client: CIClient, local_ci: LocalCI, fill_bucket: Fill, fault: str
) -> None:
    fill_bucket("in/a.bin")
    local_ci.faults.add(fault, method="POST", count=1)
    taken = 1 if fault == "cut_after" else 0
    for _ in range(2):  # the first try, and a run after the task was cleared
        with pytest.raises(UnconfirmedJobError, match="set repeat_unconfirmed=True and clear the task"):
            hash_task().execute(context)
        assert hashes(client) == taken
    hash_task(repeat_unconfirmed=True).execute(context)
    assert hashes(client) == taken + 1
    assert context["task_state_store"].values == {}


def test_a_refused_submission_is_no_lost_one(
    context: Any, client: CIClient, local_ci: LocalCI, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.bin")
    local_ci.faults.add("error", code="AccessDenied", method="POST", count=1)
    with pytest.raises(CIError, match="AccessDenied"):
        hash_task().execute(context)
    hash_task().execute(context)
    assert hashes(client) == 1


def test_a_try_that_died_before_it_sent_anything_is_no_reason_to_fail(
    context: Any, client: CIClient, fill_bucket: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_bucket("in/a.bin")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("airflow_provider_ci.operators.jobs.submit_once", die)
        hash_task().execute(context)
    hash_task().execute(context)
    assert hashes(client) == 1


def test_a_retry_takes_over_a_job_that_no_listing_shows(
    context: Any, client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.bin")
    (queue,) = client.list_file_queues()
    client.pause_file_queue(queue.queue_id)
    with pytest.raises(JobWaitError, match="a retry of this task takes it over"):
        hash_task(timeout_seconds=0).execute(context)
    client.resume_file_queue(queue.queue_id)
    hash_task().execute(context)
    assert hashes(client) == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"output_key": "out/a"}, "output_key must be None, not 'out/a'"),
        ({"operation": CIJob(tag="Snapshot")}, "output_key must be a non-empty object key, not None"),
    ],
)
def test_the_output_key_fits_the_operation(
    context: Any, client: CIClient, fill_bucket: Fill, options: dict[str, Any], complaint: str
) -> None:
    fill_bucket("in/a.bin")
    arguments: dict[str, Any] = {"input_key": "in/a.bin", "operation": FileHashCode(), **options}
    with pytest.raises(ValueError, match=complaint):
        CIJobOperator(task_id="hash", **arguments).execute(context)
    assert hashes(client) == 0
