from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    BatchStoppedError,
    ObjectSelection,
    ObjectState,
    ObjectVerdict,
    Pace,
    Progress,
    read_report,
)
from airflow_provider_ci.client import (
    AuthenticationError,
    CIClient,
    CIConnectionError,
    Credentials,
    DocProcess,
    NotFoundError,
    PicProcess,
    RetryPolicy,
)
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
FAST = Pace(shortest=0.02, longest=0.1)
INBOX = ObjectSelection(prefix="in/")


def batch(client: CIClient, source: Any = INBOX, **options: Any) -> Batch:
    arguments = {"batch_id": "test", "pace": FAST, **options}
    return Batch(client, source, DocProcess(target="pdf"), "out/{dir}{stem}.pdf", **arguments)


def verdicts(client: CIClient, report_key: str) -> dict[str, ObjectVerdict]:
    return {verdict.key: verdict for verdict in read_report(client, report_key)}


def job_count(client: CIClient) -> int:
    return len(list(client.list_doc_jobs()))


def test_every_object_gets_a_job_an_output_and_a_verdict(
    client: CIClient, fill_bucket: Fill, bucket: Path
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(25)))
    summary = batch(client).run()
    assert (summary.total, summary.succeeded, summary.failed) == (25, 25, 0)
    report = verdicts(client, summary.report_key)
    assert len(report) == 25
    assert {verdict.state for verdict in report.values()} == {ObjectState.SUCCEEDED}
    assert report["in/7.docx"].pages == 1
    assert all((bucket / f"out/{number}.pdf").read_bytes().startswith(b"%PDF") for number in range(25))
    assert job_count(client) == 25


def test_an_empty_listing_is_an_empty_report(client: CIClient) -> None:
    summary = batch(client).run()
    assert summary.total == 0
    assert read_report(client, summary.report_key) == []


def test_the_summary_object_has_the_same_numbers(client: CIClient, fill_bucket: Fill, bucket: Path) -> None:
    fill_bucket("in/a.docx")
    summary = batch(client).run()
    stored = json.loads((bucket / "_ci_batches/test/summary.json").read_text())
    assert stored["version"] == 1
    assert {name: stored[name] for name in summary.to_json()} == summary.to_json()


def test_a_failing_object_fails_alone_and_is_named(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/c.docx")
    fill_bucket("in/b.docx", content=b"")
    with pytest.raises(BatchFailedError, match=r"of 3 objects 1 failed .*in/b\.docx") as failed:
        batch(client).run()
    report = verdicts(client, failed.value.summary.report_key)
    assert report["in/b.docx"].state is ObjectState.FAILED
    assert report["in/b.docx"].reason
    assert report["in/a.docx"].state is report["in/c.docx"].state is ObjectState.SUCCEEDED


def test_failures_within_the_limit_are_a_success(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(9)))
    fill_bucket("in/x.docx", content=b"")
    summary = batch(client, max_failures="10%").run()
    assert (summary.succeeded, summary.failed) == (9, 1)
    assert summary.first_failures[0].startswith("in/x.docx: ")


def test_a_missing_object_fails_alone(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    summary = batch(client, ["in/a.docx", "in/missing.docx"], max_failures=1).run()
    report = verdicts(client, summary.report_key)
    assert report["in/a.docx"].state is ObjectState.SUCCEEDED
    assert report["in/missing.docx"].state is ObjectState.FAILED
    assert "in/missing.docx" in report["in/missing.docx"].reason


def test_an_unknown_source_type_fails_alone_and_is_named(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.xyz")
    summary = batch(client, max_failures=1).run()
    (failure,) = summary.first_failures
    assert failure.startswith("in/b.xyz: ")
    assert "xyz" in failure.removeprefix("in/b.xyz: ")


def test_a_rule_that_makes_no_sense_fails_its_jobs_and_says_so(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.png")
    wrong = Batch(client, INBOX, PicProcess("imageMogr2/dance/1"), "out/{name}", batch_id="test", pace=FAST)
    with pytest.raises(BatchFailedError, match="dance"):
        wrong.run()


def test_a_second_run_does_only_what_is_missing(client: CIClient, fill_bucket: Fill, bucket: Path) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    batch(client).run()
    (bucket / "out/b.pdf").unlink()
    summary = batch(client).run()
    assert (summary.succeeded, summary.skipped) == (1, 1)
    assert job_count(client) == 3


def test_keys_with_blanks_signs_and_chinese_characters(
    client: CIClient, fill_bucket: Fill, bucket: Path
) -> None:
    keys = [
        "in/a b.docx",
        "in/offer 50%+tax.docx",
        "in/合同 草案.docx",
        "in/100%41.docx",
        "in/a&b=c?d#e.docx",
    ]
    fill_bucket(*keys)
    summary = batch(client).run()
    assert summary.succeeded == len(keys)
    assert sorted(path.name for path in (bucket / "out").iterdir()) == sorted(
        Path(key).with_suffix(".pdf").name for key in keys
    )


def test_the_window_is_never_exceeded(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket(*(f"in/{number:02}.docx" for number in range(30)))
    seen: list[Progress] = []
    summary = batch(client, max_in_flight=4, progress=seen.append).run()
    assert summary.succeeded == 30
    assert max(progress.in_flight for progress in seen) <= 4
    assert seen[-1].finished == seen[-1].total == 30


def test_a_full_queue_is_waited_out(tmp_path: Path) -> None:
    root = tmp_path / "small"
    (root / "examplebucket-1250000000" / "in").mkdir(parents=True)
    for number in range(12):
        (root / "examplebucket-1250000000" / "in" / f"{number}.docx").write_text("text")
    with (
        LocalCI(root, convert="instant", queue_size=2, queue_concurrency=1) as server,
        client_of(server) as client,
    ):
        summary = batch(client).run()
        assert summary.succeeded == 12
        assert job_count(client) == 12


def client_of(server: LocalCI, *, bucket: str = "examplebucket-1250000000", **options: Any) -> CIClient:
    credentials = Credentials(
        secret_id=server.secret_id, secret_key=options.pop("secret_key", None) or server.secret_key
    )
    retry = RetryPolicy(max_attempts=2, max_seconds=1)
    return CIClient(credentials, "ap-guangzhou", bucket, endpoint=server.endpoint, retry=retry, **options)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "error", "status": 503, "code": "SlowDown", "count": 8, "path": "/doc_jobs"},
        {"action": "error", "status": 429, "code": "SlowDown", "count": 8, "path": "/doc_jobs"},
        {"action": "error", "status": 503, "code": "ServiceUnavailable", "count": 8, "path": "/doc_jobs"},
        {"action": "cut_before", "count": 3, "method": "POST"},
        {"action": "cut_after", "count": 3, "method": "POST"},
        {"action": "cut_after", "count": 3, "method": "GET", "path": "/doc_jobs"},
        {"action": "truncate", "count": 2, "method": "GET", "path": "/doc_jobs"},
        {"action": "truncate", "count": 1, "host": "cos", "method": "GET"},
        {"action": "truncate", "count": 2, "method": "POST"},
        {"action": "error", "status": 500, "code": "InternalError", "count": 2, "method": "POST"},
        {"action": "clock", "seconds": 1200, "count": 10_000},
        {"action": "clock", "seconds": -1200, "count": 10_000},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()).replace("/", ""),
)
def test_faults_are_waited_out_and_every_object_has_one_job(
    local_ci: LocalCI, fill_bucket: Fill, fault: dict[str, Any]
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(10)))
    with client_of(local_ci) as client:
        local_ci.faults.add(**fault)
        summary = batch(client, settle_seconds=0.5).run()
        assert summary.succeeded == 10
        assert job_count(client) == 10


def test_a_wrong_key_ends_the_batch_at_once(local_ci: LocalCI, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    with client_of(local_ci, secret_key="wrong") as client, pytest.raises(AuthenticationError):
        batch(client).run()


def test_an_unknown_bucket_ends_the_batch_at_once(local_ci: LocalCI) -> None:
    with (
        client_of(local_ci, bucket="nosuch-1250000000") as client,
        pytest.raises(NotFoundError, match="NoSuchBucket"),
    ):
        batch(client).run()


def test_a_server_that_stays_away_ends_the_batch_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "examplebucket-1250000000" / "in").mkdir(parents=True)
    (tmp_path / "examplebucket-1250000000" / "in" / "a.docx").write_text("text")
    server = LocalCI(tmp_path, convert="instant")
    server.start()

    def leave(progress: Progress) -> None:
        server.stop()

    with client_of(server) as client:
        server.faults.add("error", status=503, code="ServiceUnavailable", count=9, path="/doc_jobs")
        gone = batch(client, progress=leave, outage_seconds=0.5)
        with pytest.raises(CIConnectionError):
            gone.run()


def test_what_has_not_ended_in_time_is_reported_as_unfinished(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    with pytest.raises(BatchFailedError, match="1 unfinished") as failed:
        batch(client, timeout_seconds=-1).run()
    assert verdicts(client, failed.value.summary.report_key)["in/a.docx"].state is ObjectState.UNFINISHED


def test_a_batch_can_be_stopped(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    stop = threading.Event()
    stopped = batch(client, progress=lambda _: stop.set(), is_stopped=stop.is_set, max_in_flight=1)
    with pytest.raises(BatchStoppedError):
        stopped.run()
