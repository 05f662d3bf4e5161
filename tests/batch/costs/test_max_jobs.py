"""``max_jobs`` limits the number of jobs, for every kind of work and even if runs are killed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchFailedError
from airflow_provider_ci.batch.registry.registry import REGISTRY_PREFIX
from airflow_provider_ci.client import CIClient
from tests.batch.conftest import Power, PowerCut, dies
from tests.batch.costs.conftest import Make
from tests.batch.costs.test_canary import jobs

Outputs = Callable[[CIClient], "Counter[str]"]
OBJECTS = 6


@pytest.mark.parametrize("most", [1, 4])
def test_no_more_jobs_than_allowed(most: int, kind: Make, live_outputs: Outputs) -> None:
    kind.add(OBJECTS)
    for _ in range(2):  # a retry submits nothing more
        with pytest.raises(BatchFailedError, match=f"max_jobs is {most}") as failed:
            kind(max_jobs=most).run()
        assert jobs(kind.client) == failed.value.summary.jobs == most
    with pytest.raises(BatchFailedError, match=f"max_jobs is {most + 1}"):
        kind(max_jobs=most + 1, max_in_flight=1).run()
    assert jobs(kind.client) == most + 1
    summary = kind(max_jobs=OBJECTS * kind.steps).run()
    assert (summary.jobs, jobs(kind.client)) == (OBJECTS * kind.steps,) * 2
    assert set(live_outputs(kind.client).values()) == {1}


@pytest.mark.parametrize("keeps_claim", [True, False])
@pytest.mark.parametrize("posts", [2, 3, 5, 7, 9])
def test_the_count_survives_a_killed_run(
    posts: int, keeps_claim: bool, kind: Make, power: Power, bucket: Path,
    end_leases: Callable[[], None], live_outputs: Outputs,
) -> None:  # fmt: skip
    """The power is cut at a submission; in some cases the service still receives that submission."""
    kind.add(OBJECTS)
    options: dict[str, Any] = {"max_jobs": 7 if kind.steps > 1 else 4, "lease_seconds": 3}
    options |= {"max_in_flight": 3, "threads": 1, "canary": 2}
    for number in range(2):
        power.last_for(posts + number, method="POST", is_heard=posts % 2 == 0)
        try:
            kind(**options).run()
        except BaseException as error:  # the run may have ended before the power cut
            assert type(error).__name__ in ("PowerCut", "BatchFailedError"), error
        power.last_for()
        assert jobs(kind.client) <= options["max_jobs"]
        end_leases()
        if not keeps_claim:  # another batch may have removed the claim
            shutil.rmtree(bucket / REGISTRY_PREFIX, ignore_errors=True)
    with pytest.raises(BatchFailedError, match=f"max_jobs is {options['max_jobs']}"):
        kind(**options).run()
    assert jobs(kind.client) == options["max_jobs"]
    summary = kind(**{**options, "max_jobs": OBJECTS * kind.steps}).run()
    assert summary.total == summary.succeeded + summary.skipped
    assert jobs(kind.client) == OBJECTS * kind.steps
    assert set(live_outputs(kind.client).values()) == {1}


def test_a_cap_within_the_sample_leaves_the_verdict_open(kind: Make, live_outputs: Outputs) -> None:
    kind.add(OBJECTS)
    sample = {"canary": 3, "canary_failures": 0}
    with pytest.raises(BatchFailedError, match="max_jobs is 2"):
        kind(**sample, max_jobs=2).run()
    assert jobs(kind.client) == 2
    kind(**sample, max_jobs=OBJECTS * kind.steps).run()
    assert jobs(kind.client) == OBJECTS * kind.steps
    assert set(live_outputs(kind.client).values()) == {1}


def test_retries_of_failed_objects_count_too(kind: Make) -> None:
    """If an object that failed permanently is retried, the jobs of both attempts count."""
    kind.add(OBJECTS, bad=[0, 1, 2])
    options = {"retry_failed": True, "max_failures": 0}
    with pytest.raises(BatchFailedError, match="failed of") as first:
        kind(**options, max_jobs=100).run()
    made = jobs(kind.client)
    assert first.value.summary.jobs == made
    for _ in range(2):
        with pytest.raises(BatchFailedError, match=f"max_jobs is {made + 1}"):
            kind(**options, max_jobs=made + 1).run()
        assert jobs(kind.client) == made + 1
    with pytest.raises(BatchFailedError, match="failed of") as last:
        kind(**options, max_jobs=100).run()
    assert last.value.summary.jobs == jobs(kind.client) > made + 1


def test_a_batch_that_was_good_enough_begins_to_count_anew(kind: Make, live_outputs: Outputs) -> None:
    kind.add(2, bad=[1])
    kind(max_jobs=OBJECTS, max_failures="50%").run()
    kind.add(OBJECTS, bad=[1])
    before = jobs(kind.client)
    most = (OBJECTS - 2) * kind.steps
    summary = kind(max_jobs=most, max_failures="50%").run()
    assert (summary.jobs, jobs(kind.client) - before) == (most, most)


@pytest.mark.parametrize("name", ["one output", "chain"])
@pytest.mark.parametrize("deleted", ["submitted", "results", "all"])
def test_the_count_survives_deleted_records(
    name: str, deleted: str, make_of: Callable[[str], Make], bucket: Path, end_leases: Callable[[], None]
) -> None:
    """Every record except the plan may be deleted, because the service still lists the jobs."""
    made = make_of(name)
    made.add(OBJECTS)
    with pytest.raises(PowerCut):
        made(max_jobs=5, max_in_flight=2, lease_seconds=3, progress=dies(3)).run()
    end_leases()
    before = jobs(made.client)
    assert 1 < before < 5
    (blocks,) = bucket.glob("_ci_batches/test*/*/submitted")
    for path in blocks.parent.iterdir():
        if deleted in (path.name, "all") and path.is_dir():
            shutil.rmtree(path)
    with pytest.raises(BatchFailedError, match="max_jobs is 5"):
        made(max_jobs=5).run()
    assert jobs(made.client) == 5
