"""A failing object stops no other, is not paid for twice, and is explained in the summary."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    BatchSummary,
    ObjectKeys,
    ObjectResult,
    ObjectState,
    WholeBatchError,
)
from airflow_provider_ci.client import CIClient, CIError, DocProcess
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], int]
Results = Callable[..., dict[str, ObjectResult]]

BUCKET = "examplebucket-1250000000"


def failed_summary(batch: Batch) -> BatchSummary:
    with pytest.raises(BatchFailedError) as failed:
        batch.run()
    return failed.value.summary


# One bad object


def test_one_bad_object_of_many_stops_nothing(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, job_count: Count, results: Results
) -> None:
    fill_bucket(*(f"in/{number:03}.docx" for number in range(300)))
    fill_bucket("in/007.docx", content=b"")
    summary = failed_summary(batch(client))
    assert (summary.total, summary.succeeded, summary.failed, summary.unfinished) == (300, 299, 1, 0)
    assert job_count(client) == 300
    assert len(list((bucket / "out").iterdir())) == 299
    assert [key for key, found in results(client).items() if not found.is_good] == ["in/007.docx"]


@pytest.mark.parametrize("limit", [0, 1, 2, "10%", "100%"])
def test_max_failures_decides_at_the_end_only(
    limit: int | str, client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(3)), content=b"")
    fill_bucket(*(f"in/{number}.docx" for number in range(3, 10)))
    made = batch(client, max_failures=limit, max_in_flight=3)
    summary = made.run() if limit == "100%" else failed_summary(made)
    assert (summary.succeeded, summary.failed, summary.unfinished) == (7, 3, 0)
    assert job_count(client) == 10


def test_the_error_names_the_bad_object_and_its_reason(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/c.docx")
    fill_bucket("in/b.docx", content=b"")
    with pytest.raises(BatchFailedError, match=r"1 failed of 3 objects .*in/b\.docx: .*report\.jsonl") as no:
        batch(client).run()
    assert str(pickle.loads(pickle.dumps(no.value))) == str(no.value)


# stop_early


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int, int], Path]:
    """Makes buckets with ``count`` objects, of which the first ``empty`` have no content."""

    def make(count: int, empty: int) -> Path:
        inbox = tmp_path / "many" / BUCKET / "in"
        inbox.mkdir(parents=True)
        for number in range(count):
            (inbox / f"{number:04}.docx").write_bytes(b"" if number < empty else b"x")
        return tmp_path / "many"

    return make


def test_half_of_the_first_thousand_failures_stop_a_batch(
    many: Callable[[int, int], Path], client_of: Connect, batch: Make, job_count: Count
) -> None:
    with LocalCI(many(1100, 560), convert="instant") as server, client_of(server) as client:
        summary = failed_summary(batch(client, max_in_flight=50))
        assert summary.stopped_early
        assert job_count(client) == summary.jobs
        assert 1000 <= summary.jobs < 1100
        assert (summary.total, summary.unfinished) == (1100, 1100 - summary.jobs)


@pytest.mark.parametrize(
    ("stop_early", "stops"), [(True, True), (False, False), ("70%", False), ("50%", True)]
)
def test_the_share_that_stops_a_batch_can_be_set(
    stop_early: bool | str,
    stops: bool,
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    job_count: Count,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this test, the first check comes after 50 finished objects instead of 1,000."""
    monkeypatch.setattr("airflow_provider_ci.batch.limits.EARLY_OBJECTS", 50)
    fill_bucket(*(f"in/{number:02}.docx" for number in range(80)))
    fill_bucket(*(f"in/{number:02}.docx" for number in range(80) if number % 16 < 9), content=b"")
    summary = failed_summary(batch(client, max_in_flight=10, threads=1, stop_early=stop_early))
    assert (summary.total, summary.jobs) == (80, job_count(client))
    if summary.stopped_early:
        assert summary.unfinished == 80 - summary.jobs > 0
    else:
        assert (summary.failed, summary.succeeded) == (45, 35)
    assert summary.stopped_early is stops


def test_below_a_thousand_objects_nothing_is_stopped_early(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(30)), content=b"")
    summary = failed_summary(batch(client, max_in_flight=5))
    assert (summary.failed, summary.unfinished, summary.stopped_early) == (30, 0, False)


@pytest.mark.parametrize("stop_early", ["", "0%", "101%", "x", "50", 3, None])
def test_a_stop_early_that_makes_no_sense_is_refused(stop_early: Any, client: CIClient, batch: Make) -> None:
    with pytest.raises(ValueError, match="stop_early must be True, False or a percentage"):
        batch(client, stop_early=stop_early)


# Objects that failed in an earlier run


def test_retries_submit_nothing_for_permanent_failures(
    client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket("in/a.docx")
    fill_bucket("in/x.docx", "in/y.docx", content=b"")
    first = failed_summary(batch(client))
    for _ in range(3):
        again = failed_summary(batch(client))
        assert (again.total, again.skipped, again.failed, again.failed_before) == (3, 1, 2, 2)
    assert first.failed_before == 0
    assert job_count(client) == 3


def test_another_batch_submits_nothing_for_permanent_failures(
    client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count, results: Results
) -> None:
    fill_bucket("in/x.docx", content=b"")
    first = failed_summary(batch(client, batch_id="one"))
    second = failed_summary(batch(client, batch_id="two"))
    found = results(client, second.report_key)["in/x.docx"]
    assert found.failed_before
    assert first.report_key in found.message
    assert job_count(client) == 1


@pytest.mark.parametrize("batch_id", ["test", "other"])
def test_failed_objects_are_submitted_again_on_request(
    batch_id: str, client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket("in/a.docx")
    fill_bucket("in/x.docx", content=b"")
    failed_summary(batch(client))
    again = failed_summary(batch(client, batch_id=batch_id, retry_failed=True))
    assert (again.skipped, again.failed, again.failed_before, again.jobs) == (1, 1, 0, 1)
    assert job_count(client) == 3


def test_changed_content_is_submitted_again(
    client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket("in/x.docx", content=b"")
    failed_summary(batch(client))
    fill_bucket("in/x.docx", content=b"repaired")
    assert batch(client).run().succeeded == 1
    assert job_count(client) == 2


def test_another_operation_is_tried_on_what_failed_before(
    client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket("in/x.docx", content=b"")
    failed_summary(batch(client))
    failed_summary(batch(client, operation=DocProcess(target="pdf", start_page=2)))
    assert job_count(client) == 2


@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable", "ResourceDownloadFailed"])
def test_failures_that_can_pass_are_submitted_again(
    code: str, client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket("in/a.docx", "in/x.docx")
    local_ci.traits.set(fail_jobs={"in/x*": code})
    with pytest.raises(BatchFailedError) as failed:
        batch(client).run()
    assert failed.value.is_retryable
    assert job_count(client) == 3, "two attempts at x"
    local_ci.traits.reset()
    assert batch(client).run().succeeded == 1
    assert job_count(client) == 4


def test_the_error_says_that_no_retry_can_help(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/x.docx", content=b"")
    with pytest.raises(BatchFailedError) as failed:
        batch(client).run()
    assert not failed.value.is_retryable


def test_a_missing_key_is_looked_for_again(
    client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    failed_summary(batch(client, ["in/later.docx"]))
    fill_bucket("in/later.docx")
    assert batch(client, ["in/later.docx"]).run().succeeded == 1
    assert job_count(client) == 1


# Invalid keys


@pytest.mark.parametrize(
    "bad", ["", "x" * 903, "合" * 300, "in/\ud800.docx", "missing.docx", "/", "a/../b", "in//x"]
)
def test_a_bad_key_fails_alone(
    bad: str, client: CIClient, fill_bucket: Fill, batch: Make, job_count: Count, results: Results
) -> None:
    fill_bucket("in/ok.docx", "in/z.docx")
    keys = ["in/ok.docx", bad, "in/z.docx"]
    summary = batch(client, keys, output="out/{key}.pdf", max_failures=1).run()
    assert (summary.total, summary.succeeded, summary.failed) == (3, 2, 1)
    report = results(client)
    assert report[bad].state is ObjectState.FAILED
    assert report[bad].code
    assert job_count(client) == 2


def test_an_output_key_that_is_too_long_fails_its_object_alone(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", f"in/{'x' * 240}.docx", "in/z.docx")
    with pytest.raises(BatchFailedError, match="850") as failed:
        batch(client, output="{stem}/" * 3 + f"{'y' * 200}.pdf").run()
    assert (failed.value.summary.succeeded, failed.value.summary.failed) == (2, 1)


@pytest.mark.parametrize("keys", [[], ["in/missing.docx"], ["", "x" * 903]])
def test_a_list_without_any_good_key_is_reported(
    keys: list[str], client: CIClient, batch: Make, results: Results
) -> None:
    summary = batch(client, ObjectKeys(keys=keys), max_failures="100%").run()
    assert (summary.total, summary.failed, summary.jobs) == (len(keys), len(keys), 0)
    assert results(client).keys() == set(keys)


# The summary


def test_failures_are_grouped_by_code(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)), content=b"")
    fill_bucket("in/a.docx", "in/b1.docx", "in/b2.docx")
    local_ci.traits.set(fail_jobs={"in/b*": "Broken:cannot be opened"})
    summary = batch(client, max_failures="100%").run()
    assert [(group.code, group.count) for group in summary.failures] == [("EmptyFile", 4), ("Broken", 2)]
    assert summary.failures[1].example in (f"in/b{n}.docx: Broken: cannot be opened" for n in (1, 2))
    assert summary.failed == 6
    assert BatchSummary.from_json(json.loads(json.dumps(summary.to_json()))) == summary


def test_a_summary_of_many_long_reasons_stays_small(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make
) -> None:
    names = [f"in/{number:02}-{'長' * 60}.docx" for number in range(25)]
    fill_bucket(*names)
    local_ci.traits.set(fail_jobs={f"in/{n:02}*": f"Code{n}:{'原因' * 200}" for n in range(25)})
    summary = batch(client, max_failures="100%").run()
    assert summary.failed == 25
    assert len(json.dumps(summary.to_json()).encode()) <= 3072
    assert 0 < len(summary.failures) <= 11
    if len(summary.failures) == 11:
        assert sum(group.count for group in summary.failures) == 25


def test_the_error_is_short_whatever_has_failed(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number:02}.docx" for number in range(20)))
    local_ci.traits.set(fail_jobs={f"in/{n:02}*": f"Code{n}:{'reason ' * 100}" for n in range(20)})
    with pytest.raises(BatchFailedError) as failed:
        batch(client).run()
    assert len(str(failed.value)) < 1500


# Failures that concern the whole bucket


@pytest.mark.parametrize(
    "code",
    ["DocBucketUnBinded", "PicBucketUnBinded", "AIBucketUnBinded", "MediaBucketUnBinded", "NoSuchQueue"],
)
def test_a_failure_about_the_bucket_stops_the_batch(
    code: str, client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket(*(f"in/{number:02}.docx" for number in range(60)))
    local_ci.traits.set(fail_jobs={"*": code})
    with pytest.raises(WholeBatchError, match=f"{code}: .*Every object of batch test would fail") as stop:
        batch(client, max_in_flight=5, max_failures="100%").run()
    assert job_count(client) == 5
    assert str(pickle.loads(pickle.dumps(stop.value))) == str(stop.value)
    local_ci.traits.reset()
    assert batch(client).run().succeeded == 60


@pytest.mark.parametrize("message", ["bucket's host is unavailable", "bucket unbinded"])
def test_a_message_about_the_bucket_stops_the_batch(
    message: str, client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket(*(f"in/{number:02}.docx" for number in range(20)))
    local_ci.traits.set(fail_jobs={"*": f"InvalidArgument:{message}"})
    with pytest.raises(WholeBatchError, match=message):
        batch(client, max_in_flight=4, max_failures="100%").run()
    assert job_count(client) == 4


@pytest.mark.parametrize("code", ["DocBucketUnBinded", "NoSuchQueue", "WriteTargetBucketDenied"])
def test_a_refusal_about_the_bucket_stops_the_batch(
    code: str, client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make, job_count: Count
) -> None:
    fill_bucket(*(f"in/{number:02}.docx" for number in range(60)))
    local_ci.traits.set(refuse_submissions=code)
    local_ci.reset_request_counts()
    with pytest.raises(CIError, match=code):
        batch(client, threads=4, max_failures="100%").run()
    assert job_count(client) == 0
    assert local_ci.request_counts()["POST ci /doc_jobs"] <= 8
    local_ci.traits.reset()
    summary = batch(client).run()
    assert Counter(job.input_key for job in client.list_doc_jobs()).most_common(1)[0][1] == 1
    assert summary.succeeded == 60
