from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.reconcile import (
    Unnoted,
    adopt_known,
    find_unnoted,
    forget_done,
    place_by_keys,
)
from airflow_provider_ci.batch.state import BatchState
from airflow_provider_ci.batch.submit import Attempt, Submitter

from airflow_provider_ci.client import DocProcess, Job, JobState
from airflow_provider_ci.jobs.kinds import DOCUMENTS

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def planned(index: int) -> PlannedJob:
    return PlannedJob(
        index=index, key=f"in/{index}", size=1, etag="e", output_key=f"out/{index}", fingerprint="f"
    )


def attempt(index: int, number: int = 1) -> Attempt:
    return Attempt(planned=planned(index), number=number)


def job(index: int, number: int = 1, *, echoes: bool = True, **values: Any) -> Job:
    defaults = {
        "job_id": f"d{index}of{number}",
        "state": JobState.RUNNING,
        "user_data": f"ours-{index}-{number}" if echoes else None,
        "created_at": NOON,
    }
    return Job(tag="DocProcess", input_key=f"in/{index}", output_key=f"out/{index}", **{**defaults, **values})


def unnoted(state: BatchState, *jobs: Job, **options: Any) -> Unnoted:
    kind = replace(DOCUMENTS, list=lambda *_, **__: iter(jobs))
    submitter = Submitter(
        client=None,  # type: ignore[arg-type] # not asked
        kind=kind,
        operation=DocProcess(target="pdf"),
        token="ours",
        **options,
    )
    return find_unnoted(submitter, state)


def reconciled(state: BatchState, *jobs: Job, **options: Any) -> Unnoted:
    """What is left for the rest of the plan when all that is known was looked through."""
    left = unnoted(state, *jobs, **options)
    adopt_known(left, state)
    forget_done(left, state)
    return left


def test_jobs_that_stand_in_the_ledger_and_jobs_of_others_are_left_out() -> None:
    state = BatchState(next_index=2)
    state.take_up(attempt(0), "d0of1", NOON)
    left = unnoted(state, job(0), job(1, user_data="theirs-1-1"), job(1))
    assert left.by_index == {1: (1, job(1))}
    assert not left.by_keys


def test_the_latest_submission_of_an_object_counts_and_of_its_jobs_the_one_that_lives() -> None:
    jobs = [job(0, 1), job(0, 2, job_id="dead", state=JobState.CANCEL), job(0, 2), job(0, 1, job_id="late")]
    assert unnoted(BatchState(), *jobs).by_index == {0: (2, job(0, 2))}


def test_a_listing_is_read_back_to_the_last_job_that_was_noted() -> None:
    state = BatchState(newest_job=NOON)
    jobs = [
        job(0, created_at=NOON + timedelta(hours=1)),
        job(1, created_at=NOON - timedelta(seconds=50)),
        job(2, created_at=NOON - timedelta(hours=1)),
    ]
    assert unnoted(state, *jobs).by_index.keys() == {0, 1}


@pytest.mark.parametrize("echoes", [True, False], ids=["echo", "no echo"])
@pytest.mark.parametrize("place", ["unsure", "waiting"])
def test_what_had_no_job_has_it_now(place: str, echoes: bool) -> None:
    state = BatchState(next_index=1)
    getattr(state, place).append(attempt(0))
    left = reconciled(state, job(0, echoes=echoes))
    assert state.running["d0of1"].attempt == attempt(0)
    assert not state.unsure
    assert not state.waiting
    assert not left.by_index
    assert not left.by_keys


@pytest.mark.parametrize("echoes", [True, False], ids=["echo", "no echo"])
def test_a_job_that_runs_is_followed_by_the_one_that_was_submitted_after_it(echoes: bool) -> None:
    state = BatchState(next_index=1)
    state.take_up(attempt(0), "d0of1", NOON)
    reconciled(state, job(0, 2, echoes=echoes))
    assert state.running.keys() == {"d0of2"}
    assert state.running["d0of2"].attempt == attempt(0, 2)


def test_an_earlier_submission_is_no_news() -> None:
    state = BatchState(next_index=1)
    state.waiting.append(attempt(0, 2))
    left = reconciled(state, job(0, 1, state=JobState.FAILED))
    assert not state.running
    assert list(state.waiting) == [attempt(0, 2)]
    assert not left.by_index


def test_objects_that_have_their_verdict_need_no_job() -> None:
    state = BatchState(next_index=2, done_ahead={3})
    left = reconciled(state, job(0), job(1), job(2), job(3), job(4))
    assert left.by_index.keys() == {2, 4}


def test_without_an_echo_dead_and_older_jobs_and_other_operations_are_not_ours() -> None:
    other = {"Operation": {"DocProcess": {"TgtType": "jpg"}}}
    jobs = [
        job(0, echoes=False, state=JobState.FAILED),
        job(1, echoes=False, state=JobState.CANCEL),
        job(2, echoes=False, raw=other),
        job(3, echoes=False, created_at=NOON - timedelta(seconds=1)),
        job(4, echoes=False),
        job(5, echoes=False),
    ]
    left = unnoted(BatchState(), *jobs, not_before=NOON, foreign_jobs=frozenset({"d4of1"}))
    assert left.by_keys == {("in/5", "out/5"): jobs[5]}


def test_without_an_echo_the_plan_tells_whose_job_it_is() -> None:
    left = Unnoted(by_keys={("in/7", "out/7"): job(7, echoes=False)})
    place_by_keys(left, map(planned, range(5, 9)))
    assert left.by_index == {7: (1, job(7, echoes=False))}
    assert not left.by_keys


def test_the_plan_is_read_only_as_far_as_there_are_jobs_to_place() -> None:
    rest = map(planned, range(100))
    place_by_keys(Unnoted(), rest)
    assert next(rest).index == 0
    place_by_keys(Unnoted(by_keys={("in/3", "out/3"): job(3, echoes=False)}), rest)
    assert next(rest).index == 4
