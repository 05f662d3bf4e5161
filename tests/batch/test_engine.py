from __future__ import annotations

import json
import threading
import time
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
    AccessDeniedError,
    AuthenticationError,
    CIClient,
    CIConnectionError,
    CIError,
    Credentials,
    DocProcess,
    JobState,
    NotFoundError,
    PicProcess,
    RetryPolicy,
    SubmissionUnknownError,
)
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import ConversionError, DocumentResult, InstantConverters

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
    retry = options.pop("retry", RetryPolicy(max_attempts=2, max_seconds=1))
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
        {"action": "slow", "seconds": 0.3, "count": 12},
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


def test_a_generator_of_keys_is_read_once_and_each_key_taken_once(
    client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    twice = batch(client, (key for key in ("in/a.docx", "in/b.docx", "in/a.docx")))
    assert twice.run().succeeded == 2
    assert twice.run().skipped == 2
    assert job_count(client) == 2


@pytest.mark.parametrize("source", [None, 5, "in/", {"job_id": "d1"}])
def test_what_is_no_source_is_refused_before_anything_is_asked(client: CIClient, source: Any) -> None:
    with pytest.raises(ValueError, match="source is an ObjectSelection or a list of object keys"):
        batch(client, source)


def test_an_output_key_that_is_too_long_fails_its_object_alone(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", f"in/{'x' * 240}.docx", "in/z.docx")
    deep = Batch(
        client, INBOX, DocProcess(target="pdf"), "{stem}/" * 3 + f"{'y' * 200}.pdf", batch_id="t", pace=FAST
    )
    with pytest.raises(BatchFailedError, match="an object key has at most 850") as failed:
        deep.run()
    assert (failed.value.summary.succeeded, failed.value.summary.failed) == (2, 1)


def test_a_refusal_of_one_object_names_its_request(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    local_ci.faults.add("error", status=400, code="ResourceAccessDenied", method="POST", count=1)
    summary = batch(client, max_failures=1).run()
    assert (summary.succeeded, summary.failed) == (3, 1)
    (refused,) = [found for found in verdicts(client, summary.report_key).values() if found.reason]
    assert refused.code == "ResourceAccessDenied"
    assert refused.request_id


@pytest.mark.parametrize("code", ["QueueNotFound", "PermanentRedirect", "NoSuchBucket"])
def test_what_the_next_object_would_meet_too_ends_the_batch(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, code: str
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(40)))
    status = {"PermanentRedirect": 301}.get(code, 404)
    local_ci.faults.add("error", status=status, code=code, method="POST", count=10_000)
    with pytest.raises(CIError, match=code):
        batch(client).run()
    states = {found.state for found in read_report(client, "_ci_batches/test/report.jsonl")}
    assert states == {ObjectState.UNFINISHED}


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(403, "SignatureDoesNotMatch", AuthenticationError), (403, "AccessDenied", AccessDeniedError)],
)
def test_a_key_that_becomes_wrong_on_the_way_loses_no_verdict(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, status: int, code: str, error: type[CIError]
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")

    def turn(progress: Progress) -> None:
        if progress.finished and not local_ci.faults.pending():
            local_ci.faults.add("error", status=status, code=code, host="ci", count=10_000)

    with pytest.raises(error, match=code):
        batch(client, max_in_flight=1, progress=turn).run()
    states = [found.state for found in read_report(client, "_ci_batches/test/report.jsonl")]
    assert sorted(states) == [ObjectState.SUCCEEDED, ObjectState.UNFINISHED, ObjectState.UNFINISHED]


def test_a_server_that_comes_back_finds_every_object_with_one_job(tmp_path: Path) -> None:
    inbox = tmp_path / "examplebucket-1250000000" / "in"
    inbox.mkdir(parents=True)
    for number in range(20):
        (inbox / f"{number}.docx").write_text("text")
    server = LocalCI(tmp_path, convert="instant")
    server.start()
    looks = 0

    def leave_and_return(_: Progress) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            server.stop()
        elif looks == 3:
            server.start()

    try:
        with client_of(server) as client:
            summary = batch(client, max_in_flight=5, progress=leave_and_return, settle_seconds=0.3).run()
            assert looks > 3
            assert summary.succeeded == 20
            assert job_count(client) == 20
    finally:
        server.stop()


def test_a_submission_that_the_service_takes_late_is_not_sent_again(
    local_ci: LocalCI, client: CIClient, fill_bucket: Fill
) -> None:
    """The time in which it may still show begins when its answer is lost, not when its turn came."""
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    local_ci.faults.add("slow", seconds=0.3, method="POST", count=3)
    local_ci.faults.add("cut_before", method="POST", count=1)

    def take_late(progress: Progress) -> None:
        if job_count(client) == 3:
            client.submit_doc_job("in/3.docx", "out/3.pdf", DocProcess(target="pdf"))

    summary = batch(client, threads=1, settle_seconds=0.6, progress=take_late).run()
    assert summary.succeeded == 4
    assert job_count(client) == 4


def test_a_service_that_loses_every_answer_ends_the_batch(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    """It accepts nothing and refuses nothing; without an end the batch would try for a day."""
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_before", method="POST", count=10_000)
    with pytest.raises(SubmissionUnknownError, match=r"in/a\.docx"):
        batch(client, outage_seconds=0.5, settle_seconds=0.05, timeout_seconds=5).run()


class SlowConverters(InstantConverters):
    """Each conversion takes its time."""

    def document(self, *arguments: Any) -> DocumentResult:
        time.sleep(0.6)
        return super().document(*arguments)


def test_a_full_queue_is_no_outage(tmp_path: Path) -> None:
    inbox = tmp_path / "examplebucket-1250000000" / "in"
    inbox.mkdir(parents=True)
    for number in range(3):
        (inbox / f"{number}.docx").write_text("text")
    with (
        LocalCI(tmp_path, convert=SlowConverters(), queue_size=1, queue_concurrency=1) as server,
        client_of(server, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        assert batch(client, outage_seconds=0.01).run().succeeded == 3


def test_the_reports_of_earlier_batches_are_no_objects(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx", "_ci_batches/old/report.jsonl", "_ci_batches/old/summary.json")
    assert batch(client, ObjectSelection()).run().total == 1


class FailingConverters(InstantConverters):
    """The first so many conversions fail with this code."""

    def __init__(self, code: str, failures: int) -> None:
        super().__init__()
        self._code = code
        self._left = failures
        self._lock = threading.Lock()

    def document(self, *arguments: Any) -> DocumentResult:
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                raise ConversionError(self._code, "this failure was asked for")
        return super().document(*arguments)


@pytest.mark.parametrize(
    ("code", "failures", "state", "jobs"),
    [
        ("InternalError", 1, ObjectState.SUCCEEDED, 2),
        ("InternalError", 2, ObjectState.SUCCEEDED, 3),
        ("InternalError", 3, ObjectState.FAILED, 3),
        ("Broken", 1, ObjectState.FAILED, 1),
    ],
)
def test_what_may_be_transient_is_submitted_again(
    tmp_path: Path, code: str, failures: int, state: ObjectState, jobs: int
) -> None:
    inbox = tmp_path / "examplebucket-1250000000" / "in"
    inbox.mkdir(parents=True)
    (inbox / "a.docx").write_text("text")
    with LocalCI(tmp_path, convert=FailingConverters(code, failures)) as server, client_of(server) as client:
        summary = batch(client, object_attempts=3, max_failures=1).run()
        (found,) = read_report(client, summary.report_key)
        assert (found.state, found.attempts, job_count(client)) == (state, jobs, jobs)


def test_the_time_left_is_not_judged_by_what_was_skipped() -> None:
    now = Progress(total=1010, finished=1005, skipped=1000, failed=0, in_flight=5, seconds=10)
    assert now.seconds_left == 10
    assert Progress(total=5, finished=4, skipped=4, failed=0, in_flight=1, seconds=1).seconds_left is None


def test_a_batch_that_is_stopped_says_what_it_leaves_behind(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    stop = threading.Event()
    stopped = batch(client, progress=lambda _: stop.set(), is_stopped=stop.is_set, max_in_flight=1)
    with pytest.raises(BatchStoppedError) as left:
        stopped.run()
    report = read_report(client, "_ci_batches/test/report.jsonl")
    unfinished = [found for found in report if found.state is ObjectState.UNFINISHED]
    assert len(report) == 3
    assert set(left.value.job_ids) == {found.job_id for found in unfinished if found.job_id}


@pytest.mark.parametrize("local_ci", [0.4], indirect=True)
@pytest.mark.parametrize("cancels", [True, False])
def test_a_stopped_batch_cancels_what_has_not_begun_if_it_is_told_to(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, cancels: bool
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(8)))
    stop = threading.Event()
    stopped = batch(
        client, progress=lambda _: stop.set(), is_stopped=stop.is_set, cancels_when_stopped=lambda: cancels
    )
    with pytest.raises(BatchStoppedError):
        stopped.run()
    states = [job.state for job in client.list_doc_jobs()]
    assert len(states) == 8
    assert (JobState.CANCEL in states) is cancels
