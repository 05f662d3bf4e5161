"""``max_jobs`` and the canary limit the cost of a batch, even if its runs die and are repeated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, ObjectResult, ObjectState
from airflow_provider_ci.batch.registry.registry import REGISTRY_PREFIX
from airflow_provider_ci.client import CIClient
from tests.batch.conftest import Power, die, dies

MakeBatch = Callable[..., Batch]
Fill = Callable[..., None]
Count = Callable[[CIClient], int]
Results = Callable[..., dict[str, ObjectResult]]
UNFINISHED = ObjectState.UNFINISHED


def states(results: dict[str, ObjectResult]) -> dict[str, int]:
    found = [str(result.state) for result in results.values()]
    return {state: found.count(state) for state in sorted(set(found))}


# max_jobs


def test_a_batch_submits_no_more_than_max_jobs_and_says_how_to_go_on(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill, job_count: Count, results: Results
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(9)))
    with pytest.raises(BatchFailedError, match=r"max_jobs is 4, .* with a higher max_jobs") as failed:
        batch(client, max_jobs=4).run()
    assert job_count(client) == failed.value.summary.jobs == 4
    found = results(client)
    assert states(found) == {"succeeded": 4, "unfinished": 5}
    assert {each.message for each in found.values() if each.state is UNFINISHED} == {
        failed.value.summary.stop_reason
    }
    with pytest.raises(BatchFailedError, match="max_jobs is 4"):  # a retry submits nothing more
        batch(client, max_jobs=4).run()
    assert job_count(client) == 4
    with pytest.raises(BatchFailedError, match="max_jobs is 6"):
        batch(client, max_jobs=6).run()
    assert job_count(client) == 6
    summary = batch(client, max_jobs=9).run()
    assert (job_count(client), summary.jobs, summary.stop_reason) == (9, 9, "")


def test_what_needs_no_job_is_not_stopped_by_max_jobs(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill, job_count: Count
) -> None:
    fill_bucket("in/a.docx", "in/c.docx")
    batch(client).run()
    fill_bucket("in/b.docx")
    assert batch(client, max_jobs=1).run().skipped == 2
    assert job_count(client) == 3


@pytest.mark.parametrize("requests", range(1, 40, 3))
@pytest.mark.parametrize("keeps_claim", [True, False])
def test_the_count_survives_a_killed_run(
    requests: int, keeps_claim: bool, bucket: Path, client: CIClient, batch: MakeBatch, fill_bucket: Fill,
    job_count: Count,
    power: Power, end_leases: Callable[[], None],
) -> None:  # fmt: skip
    fill_bucket(*(f"in/{number}.docx" for number in range(8)))
    power.last_for(requests, is_heard=requests % 2 == 0)
    made = batch(client, max_jobs=5, max_in_flight=2, threads=1, lease_seconds=3)
    try:
        made.run()
    except BaseException as error:  # the run may have ended before the power cut
        assert type(error).__name__ in ("PowerCut", "BatchFailedError")
    power.last_for()
    end_leases()
    if not keeps_claim:  # another batch may have removed the claim
        shutil.rmtree(bucket / REGISTRY_PREFIX, ignore_errors=True)
    with pytest.raises(BatchFailedError, match="max_jobs is 5"):
        made.run()
    assert job_count(client) == 5
    made = replace(made, max_jobs=8)
    summary = made.run()
    assert summary.succeeded + summary.skipped == 8
    assert job_count(client) == 8


# Canary


def fill_mixed(client: CIClient, fill_bucket: Fill, bad: int, good: int) -> None:
    fill_bucket(*(f"in/good-{number:03}.docx" for number in range(good)))
    fill_bucket(*(f"in/bad-{number:03}.docx" for number in range(bad)), content=b"")


def test_a_good_sample_is_followed_by_the_rest(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill, job_count: Count, results: Results
) -> None:
    fill_bucket(*(f"in/{number:03}.docx" for number in range(100)))
    assert batch(client, canary=10).run().succeeded == 100
    first = [each.key for each in results(client).values() if each.index < 10]
    numbers = sorted(int(key[3:6]) for key in first)
    assert numbers == list(range(9, 100, 10)), "spread over the plan"
    assert job_count(client) == 100


def test_a_bad_sample_stops_the_batch_and_every_retry(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill, job_count: Count, results: Results
) -> None:
    fill_mixed(client, fill_bucket, bad=30, good=30)
    options = {"canary": 6, "max_failures": "40%"}
    for _ in range(2):
        with pytest.raises(BatchFailedError, match="3 of the 6 objects of the canary failed") as e:
            batch(client, **options).run()
        assert job_count(client) == 6
        assert states(results(client)) == {"failed": 3, "succeeded": 3, "unfinished": 54}
        assert "(allowed: 40%)" in e.value.summary.stop_reason
        assert e.value.summary.stop_reason in {each.message for each in results(client).values()}
    with pytest.raises(BatchFailedError, match="30 failed of 60"):
        batch(client, canary=6, max_failures="40%", canary_failures="50%").run()
    assert job_count(client) == 60


def test_a_batch_goes_on_without_its_canary(
    client: CIClient, batch: MakeBatch, fill_bucket: Fill, job_count: Count
) -> None:
    fill_mixed(client, fill_bucket, bad=10, good=10)
    with pytest.raises(BatchFailedError, match="of the 4 objects of the canary failed"):
        batch(client, canary=4).run()
    batch(client, canary=0, max_failures="50%").run()
    assert job_count(client) == 20


def test_a_sample_of_everything_is_no_sample(client: CIClient, batch: MakeBatch, fill_bucket: Fill) -> None:
    fill_mixed(client, fill_bucket, bad=1, good=3)
    assert batch(client, canary=100, max_failures=1, canary_failures=0).run().failed == 1


@pytest.mark.parametrize("look", [1, 2, 3])
@pytest.mark.parametrize("bad", [0, 8])
def test_a_run_that_dies_in_its_canary_is_continued(
    look: int, bad: int, client: CIClient, batch: MakeBatch, fill_bucket: Fill, job_count: Count,
    end_leases: Callable[[], None],
) -> None:  # fmt: skip
    fill_mixed(client, fill_bucket, bad=bad, good=24 - bad)
    options = {"canary": 6, "max_in_flight": 3, "lease_seconds": 3}
    try:
        die(batch(client, progress=dies(look), **options))
    except BaseException as error:
        assert "canary" in str(error) or "DID NOT RAISE" in str(error)
    end_leases()
    if bad:
        with pytest.raises(BatchFailedError, match="of the 6 objects of the canary failed"):
            batch(client, **options).run()
        assert job_count(client) == 6
    else:
        batch(client, **options).run()
        assert job_count(client) == 24


@pytest.mark.parametrize(
    "options", [{"max_jobs": 0}, {"canary": -1}, {"canary": 5, "canary_failures": "lots"}]
)
def test_what_makes_no_sense_is_refused(client: CIClient, batch: MakeBatch, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(reversed(options))):
        batch(client, **options)
