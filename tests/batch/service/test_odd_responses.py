"""Responses that the service's documentation does not describe, and responses without documented parts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectResult, ObjectState, Step
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.client import CIClient, CIError, CIResponseError, DocProcess, JobState
from airflow_provider_ci.jobs.in_flight import JobsInFlight
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import Kill

KEYS = tuple(f"in/{number:02}.docx" for number in range(6))
ONE_JOB_EACH = Counter(dict.fromkeys(KEYS, 1))
FOLDER = batch_folder("_ci_batches/", "test")
SHORT_LEASE = {"lease_seconds": 3}

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], Counter[str]]
Results = Callable[..., dict[str, ObjectResult]]
slow_jobs = pytest.mark.parametrize("local_ci", [0.3], indirect=True, ids=["slow jobs"])


@pytest.fixture(autouse=True)
def objects(fill_bucket: Fill) -> None:
    """Put the objects of each test's batch into the bucket."""
    fill_bucket(*KEYS)


@pytest.fixture
def known_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a job as forgotten after the service has not known it for one second."""
    defaults: Any = JobsInFlight.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "unknown_seconds", 1.0)


def lose_a_response(local_ci: LocalCI, action: str = "cut_after", **details: Any) -> None:
    local_ci.faults.add(action, method="POST", **details)


def assert_done(client: CIClient, local_ci: LocalCI, live_jobs: Count, summary: Any) -> None:
    local_ci.traits.reset()
    assert (summary.total, summary.succeeded) == (len(KEYS), len(KEYS))
    assert live_jobs(client) == ONE_JOB_EACH


# Jobs of others


@pytest.mark.parametrize("is_lost", [False, True], ids=["all responses", "a lost response"])
def test_unreadable_jobs_of_others_do_not_matter(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, is_lost: bool
) -> None:
    local_ci.traits.set(foreign_jobs=True)
    if is_lost:
        lose_a_response(local_ci)
    assert_done(client, local_ci, live_jobs, batch(client).run())


@slow_jobs
def test_unreadable_jobs_hide_no_job_after_a_crash(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, bucket: Path
) -> None:
    local_ci.traits.set(foreign_jobs=True)
    batch(client, max_in_flight=3, **SHORT_LEASE).advance(patience=0, deadline=time.time() + 60)
    for record in (*bucket.glob(f"{FOLDER}runs/*"), *bucket.glob(f"{FOLDER}*/*/*.jsonl")):
        record.unlink()  # as if the run had died before it wrote these records
    for record in bucket.glob(f"{FOLDER}*/checkpoint.jsonl"):
        record.unlink()
    assert_done(client, local_ci, live_jobs, batch(client, **SHORT_LEASE).run())


def test_only_our_queue_is_listed(local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count) -> None:
    local_ci.traits.set(require_queue_id=True)
    lose_a_response(local_ci)
    assert_done(client, local_ci, live_jobs, batch(client).run())


# Jobs that the service does not know


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_a_job_may_be_unknown_for_some_seconds(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, seconds: float
) -> None:
    local_ci.traits.set(hide_jobs_seconds=seconds)
    assert_done(client, local_ci, live_jobs, batch(client).run())


@slow_jobs
def test_a_forgotten_job_with_an_output_is_done(
    local_ci: LocalCI,
    client: CIClient,
    batch: Make,
    live_jobs: Count,
    verdicts: Results,
    known_for_a_second: None,
    bucket: Path,
) -> None:
    assert batch(client).advance(patience=0, deadline=time.time() + 60) is None
    wait_for_jobs(client)
    (bucket / "out/00.pdf").unlink()
    local_ci.traits.set(forget_jobs_seconds=0)
    summary = batch(client).run()
    assert (summary.total, summary.succeeded) == (len(KEYS), len(KEYS))
    results = verdicts(client, summary.report_key)
    local_ci.traits.reset()
    assert live_jobs(client) == ONE_JOB_EACH + Counter({"in/00.docx": 1})
    assert {result.state for result in results.values()} == {ObjectState.SUCCEEDED}
    assert "no longer knows" in results["in/01.docx"].message


@pytest.mark.parametrize("posts", [1, 6, 9])
@pytest.mark.parametrize("steps", [1, 2])
def test_forgotten_jobs_of_a_dead_run_are_known_by_their_outputs(
    steps: int,
    posts: int,
    local_ci: LocalCI,
    client: CIClient,
    kill: Kill,
    batch: Make,
    live_outputs: Count,
    end_leases: Callable[[], None],
    known_for_a_second: None,
) -> None:
    """The run died before it recorded its submissions, and the next run starts a month later."""
    operations = {
        "pdf": Step(DocProcess(target="pdf"), "out/{stem}.pdf"),
        "page": Step(DocProcess(target="jpg", start_page=1, end_page=1), "out/{stem}.jpg", after="pdf"),
    }
    options = {"operations": dict([*operations.items()][:steps]), "operation": None, "output": ""}
    kill(min(posts, steps * len(KEYS)), lambda doomed: batch(doomed, threads=1, **options))
    wait_for_jobs(client)
    local_ci.traits.set(forget_jobs_seconds=0)
    end_leases()
    summary = batch(client, **options).run()
    assert (summary.total, summary.succeeded) == (len(KEYS), len(KEYS))
    local_ci.traits.reset()
    assert len(live_outputs(client)) == steps * len(KEYS)
    assert set(live_outputs(client).values()) == {1}


def wait_for_jobs(client: CIClient) -> None:
    while any(not job.state.is_final for job in client.list_doc_jobs()):
        time.sleep(0.02)


# Echoed parameters that differ from the submitted ones


@pytest.mark.parametrize("limit", [None, 0, 1, 12, 13])
@pytest.mark.parametrize("end_page", [None, -1, 3])
def test_a_lost_response_is_matched_by_what_is_echoed(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, limit: int | None, end_page: int
) -> None:
    local_ci.traits.set(user_data_limit=limit, echoes={"EndPage:-1": "5001", "TgtType:pdf": "PDF"})
    lose_a_response(local_ci, count=2)
    operation = DocProcess(target="pdf", end_page=end_page)
    assert_done(client, local_ci, live_jobs, batch(client, operation=operation).run())


# Listings


@pytest.mark.parametrize("tokens", ["", "same"])
@pytest.mark.parametrize("empty_pages", [0, 1, 3])
def test_empty_pages_and_repeated_tokens_end_nothing(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, tokens: str, empty_pages: int
) -> None:
    local_ci.traits.set(empty_pages=empty_pages, endless_tokens=tokens)
    lose_a_response(local_ci)
    assert_done(client, local_ci, live_jobs, batch(client, timeout_seconds=60).run())


def test_a_listing_without_an_end_is_an_error_in_time(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count
) -> None:
    """Without a complete listing, jobs may be in flight unseen, so nothing is submitted."""
    local_ci.traits.set(endless_tokens="new")
    with pytest.raises(CIResponseError, match="the listing of jobs does not end"):
        batch(client).run()
    local_ci.traits.reset()
    assert not live_jobs(client)
    assert_done(client, local_ci, live_jobs, batch(client).run())


# Responses that do not come from the service


@pytest.mark.parametrize("status", [200, 400, 403, 404, 408, 429, 499, 502])
def test_a_page_of_a_proxy_refuses_no_submission(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, status: int
) -> None:
    lose_a_response(local_ci, "page_after", status=status, count=2)
    assert_done(client, local_ci, live_jobs, batch(client).run())


@pytest.mark.parametrize("record", ["plan.json", "report.jsonl", "runs/", ""])
def test_a_page_in_place_of_a_write_is_no_success(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, bucket: Path, record: str
) -> None:
    local_ci.faults.add("page", method="PUT", path=f"/{FOLDER}{record}", count=2)
    summary = batch(client, **SHORT_LEASE).run()
    assert_done(client, local_ci, live_jobs, summary)
    assert (bucket / FOLDER / "plan.json").exists()
    assert (bucket / summary.report_key).exists()


@pytest.mark.parametrize("request_", [("GET", "ci"), ("GET", "cos"), ("PUT", "cos"), ("POST", "ci")])
def test_an_error_inside_a_success_is_an_error(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, request_: tuple[str, str]
) -> None:
    method, host = request_
    local_ci.faults.add("error", status=200, code="SlowDown", method=method, host=host, count=2)
    assert_done(client, local_ci, live_jobs, batch(client).run())


# Service errors that concern the whole bucket

ABOUT_THE_BUCKET = (
    "AIBucketUnBinded",
    "DocBucketUnBinded",
    "MediaBucketUnBinded",
    "NoSuchQueue",
    "PicBucketUnBinded",
    "QueueNotFound",
    "WriteTargetBucketDenied",
)


@pytest.mark.parametrize("code", ABOUT_THE_BUCKET)
def test_a_refusal_about_the_bucket_stops_the_batch(
    local_ci: LocalCI, client: CIClient, batch: Make, code: str
) -> None:
    local_ci.traits.set(refuse_submissions=code)
    local_ci.reset_request_counts()
    with pytest.raises(CIError, match=code):
        batch(client, threads=1, max_failures="100%").run()
    assert local_ci.request_counts()["POST ci /doc_jobs"] == 1


@pytest.mark.parametrize("failure", [*ABOUT_THE_BUCKET, "InvalidArgument:the bucket's host is unavailable"])
def test_a_job_that_fails_for_the_bucket_stops_the_batch(
    local_ci: LocalCI, client: CIClient, batch: Make, failure: str
) -> None:
    local_ci.traits.set(fail_jobs={"*": failure})
    with pytest.raises(CIError, match=failure.rpartition(":")[2]) as problem:
        batch(client, threads=1, max_in_flight=1, max_failures="100%").run()
    assert "Then run the batch again" in str(problem.value)
    assert len(list(client.list_doc_jobs())) == 1


def test_a_bucket_that_is_repaired_is_done_by_the_next_run(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count
) -> None:
    local_ci.traits.set(fail_jobs={"*": "DocBucketUnBinded"})
    with pytest.raises(CIError, match="DocBucketUnBinded"):
        batch(client, threads=1, max_in_flight=1).run()
    local_ci.traits.reset()
    assert_done(client, local_ci, live_jobs, batch(client).run())
    failed = [job for job in client.list_doc_jobs() if job.state is JobState.FAILED]
    assert len(failed) == 1
