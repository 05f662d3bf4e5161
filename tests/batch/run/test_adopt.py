from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ci.batch.dispatch.adopt import UnrecordedJobs, adopt_unrecorded
from airflow_provider_ci.batch.dispatch.operations import Operations
from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.ledger.state import Attempt, BatchState
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.client import DocProcess, Job, JobState
from airflow_provider_ci.jobs.kinds import DOCUMENTS

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def planned(index: int) -> PlannedObject:
    return PlannedObject(
        index=index, key=f"in/{index}", size=1, etag="e", output_key=f"out/{index}", fingerprint="f"
    )


def attempt(index: int, number: int = 1) -> Attempt:
    return Attempt(planned=planned(index), number=number)


def job(index: int, number: int = 1, *, echoes: bool = True, **values: Any) -> Job:
    defaults = {
        "job_id": f"d{index}of{number}",
        "state": JobState.RUNNING,
        "user_data": f"ours-{index}-{number}" if echoes else "",
        "created_at": NOON,
    }
    return Job(tag="DocProcess", input_key=f"in/{index}", output_key=f"out/{index}", **{**defaults, **values})


def unrecorded(state: BatchState, *jobs: Job, not_before: float = 0.0, plan: int = 0) -> UnrecordedJobs:
    """Find the jobs that ``state`` does not record; the plan has ``plan`` objects."""
    job_type = replace(DOCUMENTS, list=lambda *_, **__: iter(jobs))
    client: Any = None  # no request is sent
    submitter = Submitter(
        client=client,
        operations=Operations.of_one(DocProcess(target="pdf"), job_type),
        queues=Queues(client, [job_type], ["queue"]),
        token="ours",
        expires_at=lambda: 0.0,
        not_before=not_before,
        options={},
    )
    rest = range(state.next_index, plan)
    return adopt_unrecorded(submitter, state, upcoming=lambda: map(planned, rest))


def test_recorded_jobs_and_jobs_of_others_are_left_out() -> None:
    state = BatchState(next_index=1)
    state.add_job(attempt(0), "d0of1", NOON)
    left = unrecorded(state, job(0), job(1, user_data="theirs-1-1"), job(1))
    assert left.by_index == {1: (1, job(1))}
    assert not left.by_keys


def test_of_the_jobs_of_an_object_the_latest_living_one_counts() -> None:
    jobs = [job(0, 1), job(0, 2, job_id="dead", state=JobState.CANCEL), job(0, 2), job(0, 1, job_id="late")]
    assert unrecorded(BatchState(), *jobs).by_index == {0: (2, job(0, 2))}


def test_the_listing_is_read_back_to_the_last_recorded_job() -> None:
    state = BatchState(newest_job=NOON)
    jobs = [
        job(0, created_at=NOON + timedelta(hours=1)),
        job(1, created_at=NOON - timedelta(seconds=50)),
        job(2, created_at=NOON - timedelta(hours=1)),
    ]
    assert unrecorded(state, *jobs).by_index.keys() == {0, 1}


@pytest.mark.parametrize("user_data", ["ours-0-1", "", "ours"], ids=["echo", "no echo", "cut echo"])
@pytest.mark.parametrize("place", ["unconfirmed", "waiting"])
def test_an_object_without_a_job_has_it_now(place: str, user_data: str) -> None:
    state = BatchState(next_index=1)
    getattr(state, place).append(attempt(0))
    left = unrecorded(state, job(0, user_data=user_data))
    assert state.running["d0of1"].attempt == attempt(0)
    assert not state.unconfirmed
    assert not state.waiting
    assert not left.by_index
    assert not left.by_keys


@pytest.mark.parametrize("echoes", [True, False], ids=["echo", "no echo"])
def test_a_running_job_is_followed_by_the_one_submitted_after_it(echoes: bool) -> None:
    state = BatchState(next_index=1)
    state.add_job(attempt(0), "d0of1", NOON)
    unrecorded(state, job(0, 2, echoes=echoes))
    assert state.running.keys() == {"d0of2"}
    assert state.running["d0of2"].attempt == attempt(0, 2)


def test_an_earlier_submission_is_no_news() -> None:
    state = BatchState(next_index=1)
    state.waiting.append(attempt(0, 2))
    left = unrecorded(state, job(0, 1, state=JobState.FAILED))
    assert not state.running
    assert list(state.waiting) == [attempt(0, 2)]
    assert not left.by_index


def test_objects_that_have_their_result_need_no_job() -> None:
    state = BatchState(next_index=2, done_ahead={3})
    left = unrecorded(state, job(0), job(1), job(2), job(3), job(4))
    assert left.by_index.keys() == {2, 4}


def test_without_an_echo_dead_old_and_other_jobs_are_not_ours() -> None:
    other = {"Operation": {"DocProcess": {"TgtType": "jpg"}}}
    jobs = [
        job(0, echoes=False, state=JobState.FAILED),
        job(1, echoes=False, state=JobState.CANCEL),
        job(2, echoes=False, raw=other),
        job(3, echoes=False, created_at=NOON - timedelta(seconds=1)),
        job(5, echoes=False),
    ]
    left = unrecorded(BatchState(), *jobs, not_before=NOON.timestamp(), plan=9)
    assert left.by_index == {5: (1, jobs[-1])}


def test_jobs_of_foreign_programs_stay_unplaced() -> None:
    left = unrecorded(BatchState(), job(7, echoes=False), plan=5)
    assert not left.by_index
    assert left.by_keys == {("in/7", "out/7"): [job(7, echoes=False)]}
