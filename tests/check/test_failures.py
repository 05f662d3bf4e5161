"""A check that cannot be carried out says why in one message, and leaves nothing behind."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.check import CheckInterrupted, Verdict, check_bucket
from airflow_provider_ci.client import CIClient, Credentials, RetryPolicy
from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
OTHER = "otherbucket-1250000000"

Serve = Callable[..., LocalCI]
Connect = Callable[..., CIClient]


def objects_in(buckets: Path) -> list[str]:
    return [path.name for path in (buckets / BUCKET).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"secret_id": "AKIDunknown"}, "InvalidAccessKeyId"),
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"bucket": OTHER}, "NoSuchBucket"),
    ],
    ids=["unknown key", "wrong secret", "unknown bucket"],
)
def test_a_bucket_that_cannot_be_read(
    serve: Serve, connect: Connect, own_buckets: Path, arguments: dict[str, str], words: str
) -> None:
    report = check_bucket(connect(serve(), **arguments))
    assert report.problem.startswith(f"bucket {arguments.get('bucket', BUCKET)} cannot be read: ")
    assert words in report.problem
    assert "Check the " in report.problem
    assert (report.exit_code, report.rows, report.jobs) == (2, (), 0)
    assert objects_in(own_buckets) == []


def test_a_server_that_does_not_listen(serve: Serve, own_buckets: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = CIClient(
        Credentials(secret_id="a", secret_key="b"),
        "ap-guangzhou",
        BUCKET,
        endpoint=f"http://127.0.0.1:{port}",
        retry=RetryPolicy(max_attempts=1),
    )
    report = check_bucket(client)
    assert "could not be reached" in report.problem
    assert (report.exit_code, report.left_behind) == (2, ())


def test_a_service_that_is_not_switched_on(serve: Serve, connect: Connect, own_buckets: Path) -> None:
    client = connect(serve())
    client.close_pic_bucket()
    report = check_bucket(client)
    assert report.problem.startswith(f"picture processing is not switched on for bucket {BUCKET}")
    assert "--skip pictures" in report.problem
    assert (report.exit_code, report.jobs) == (2, 0)
    assert objects_in(own_buckets) == []
    assert check_bucket(client, skip=["pictures"]).exit_code == 0


@pytest.mark.parametrize("code", ["DocBucketUnBinded", "CIRoleNotExist", "QueuePaused", "InvalidArgument"])
def test_a_submission_that_is_refused(serve: Serve, connect: Connect, own_buckets: Path, code: str) -> None:
    report = check_bucket(connect(serve(refuse_submissions=code)))
    assert report.problem.startswith(f"bucket {BUCKET} takes no document job: ")
    assert code in report.problem
    assert (report.exit_code, report.jobs, report.differences) == (2, 0, ())
    assert any(row.verdict is Verdict.FITS for row in report.rows)
    assert objects_in(own_buckets) == []


def test_a_lost_submission_leaves_nothing(serve: Serve, connect: Connect, own_buckets: Path) -> None:
    """The check finds the lost job in the listing, and waits for its end before it deletes the output."""
    server = serve()
    server.faults.add("cut_after", method="POST", path="/doc_jobs")
    client = connect(server)
    report = check_bucket(client)
    assert "unconfirmed submission" in report.problem
    assert report.left_behind == ()
    assert all(job.state.is_final for job in client.list_doc_jobs())
    assert objects_in(own_buckets) == []


def test_a_server_that_dies_is_told_with_what_stays(
    serve: Serve, connect: Connect, own_buckets: Path
) -> None:
    server = serve()
    client = connect(server)
    report = check_bucket(
        client, progress=lambda name: server.stop() if name == "document job: success" else None
    )
    assert report.exit_code == 2
    assert report.problem
    left = {key.rsplit("/", 1)[-1] for key in report.left_behind}
    assert set(objects_in(own_buckets)) <= left


def test_a_permission_that_is_missing_is_part_of_its_row(serve: Serve, connect: Connect) -> None:
    server = serve()
    client = connect(server)

    def refuse(name: str) -> None:
        if name == "unknown job":
            server.faults.add("error", method="GET", path="/doc_jobs/", status=403, code="AccessDenied")

    report = check_bucket(client, progress=refuse)
    (row,) = report.with_verdict(Verdict.DIFFERS)
    assert (row.name, row.seen) == ("unknown job", "403 AccessDenied")


def test_an_interrupt_leaves_nothing(serve: Serve, connect: Connect, own_buckets: Path) -> None:
    def interrupt(name: str) -> None:
        if name == "document listing: filters":
            raise KeyboardInterrupt

    with pytest.raises(CheckInterrupted) as raised:
        check_bucket(connect(serve()), progress=interrupt)
    assert raised.value.left_behind == ()
    assert objects_in(own_buckets) == []


def test_a_job_that_does_not_end_is_cancelled(serve: Serve, connect: Connect, own_buckets: Path) -> None:
    client = connect(serve())
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    report = check_bucket(client, patience_seconds=3)
    rows = {row.name: row for row in report.rows}
    assert rows["document queue"].seen == "one queue, Paused"
    assert rows["document job: success"].seen == "did not end in time"
    assert [str(job.state) for job in client.list_doc_jobs()] == ["Cancel"]
    assert objects_in(own_buckets) == []


def test_the_number_of_requests_is_limited(
    serve: Serve, connect: Connect, own_buckets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.check.run.MAX_REQUESTS", 80)
    report = check_bucket(connect(serve()))
    assert "has sent 20 requests and ends" in report.problem
    assert report.exit_code == 2
    assert objects_in(own_buckets) == []


def test_a_record_that_cannot_be_written_is_told_first(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    server = serve()
    with pytest.raises(OSError, match="no such folder"):
        check_bucket(connect(server), record=tmp_path / "no such folder" / "record.json")
    assert server.request_counts() == {}


@pytest.mark.parametrize(
    "arguments",
    [{"skip": ["videos"]}, {"skip": "pictures"}, {"folder": "a"}, {"folder": "/a/"}, {"patience_seconds": 0}],
)
def test_arguments_that_make_no_sense(serve: Serve, connect: Connect, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(arguments))} must"):
        check_bucket(connect(serve()), **arguments)
