from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.state import (
    BatchState,
    RunningJob,
    planned_line,
    planned_of_line,
    running_line,
    unsure_line,
    waiting_line,
)
from airflow_provider_ci.batch.submit import Attempt
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ci.batch import ObjectResult, ObjectState

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)

moments = st.integers(0, 100_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
planned_jobs = st.builds(
    PlannedJob,
    index=st.integers(0, 1_000_000),
    key=st.text(min_size=1),
    size=st.integers(0, 10**9),
    etag=st.text(),
    output_key=st.text(),
    fingerprint=st.text(),
    is_fresh=st.booleans(),
)
attempts = st.builds(
    Attempt, planned=planned_jobs, number=st.integers(1, 9), look_back_to=st.none() | moments
)


def planned(index: int) -> PlannedJob:
    return PlannedJob(
        index=index,
        key=f"in/{index}",
        size=1,
        etag="e",
        output_key=f"out/{index}",
        fingerprint="f",
    )


def attempt(index: int, **values: Any) -> Attempt:
    return Attempt(planned=planned(index), **values)


@st.composite
def states(draw: st.DrawFn) -> BatchState:
    taken_up = draw(st.lists(attempts, unique_by=lambda one: one.planned.index, max_size=12))
    state = BatchState(
        next_index=draw(st.integers(0, 10**6)),
        done_ahead=draw(st.sets(st.integers(0, 10**6))),
        counts=Counter(draw(st.dictionaries(st.sampled_from(ObjectState), st.integers(1, 10**6)))),
    )
    for number, one in enumerate(taken_up):
        place = draw(st.sampled_from(["running", "unsure", "waiting"]))
        if place == "running":
            state.take_up(replace(one, look_back_to=None), f"d{number}", draw(moments))
        elif place == "unsure":
            state.unsure.append(one)
        else:
            state.waiting.append(replace(one, look_back_to=None))
    state.jobs = draw(st.integers(len(state.running), 10**6))
    return state


@given(states())
def test_a_state_survives_the_way_through_json(state: BatchState) -> None:
    header = json.loads(json.dumps(state.as_header()))
    lines = [json.loads(json.dumps(line)) for line in state.as_lines()]
    found = BatchState.from_json(header, lines)
    found.unsure = [replace(one, lost_at=0.0) for one in found.unsure]
    found.waiting = type(found.waiting)(replace(one, lost_at=0.0) for one in found.waiting)
    found.running = {
        job_id: replace(job, attempt=replace(job.attempt, lost_at=0.0))
        for job_id, job in found.running.items()
    }
    assert found == state


@given(planned_jobs)
def test_an_object_survives_the_way_through_its_line(one: PlannedJob) -> None:
    assert planned_of_line({**json.loads(json.dumps(planned_line(one))), "of_a_later_version": 1}) == one


def test_what_is_said_of_an_object_later_counts() -> None:
    state = BatchState()
    state.apply([waiting_line(attempt(0)), waiting_line(attempt(1)), unsure_line(attempt(2))])
    state.apply([running_line(RunningJob(attempt(2), "d2", NOON)), unsure_line(attempt(0))])
    assert [one.planned.index for one in state.waiting] == [1]
    assert [one.planned.index for one in state.unsure] == [0]
    assert [job.attempt.planned.index for job in state.running.values()] == [2]
    state.apply([running_line(RunningJob(attempt(2, number=2), "d2b", NOON))])
    assert state.running.keys() == {"d2b"}


def test_a_verdict_takes_an_object_out_of_its_place() -> None:
    state = BatchState(next_index=3)
    state.apply([waiting_line(attempt(0)), unsure_line(attempt(1)), waiting_line(attempt(7))])
    state.settle([0, 1, 5, 7])
    assert not (state.waiting or state.unsure or state.running)
    assert state.done_ahead == {5, 7}, "what lies before next_index needs no note"


def test_the_newest_job_is_remembered_whatever_the_order() -> None:
    state = BatchState()
    for number, seconds in enumerate((5, 9, 2)):
        state.take_up(attempt(number), f"d{number}", NOON + timedelta(seconds=seconds))
    assert state.newest_job == NOON + timedelta(seconds=9)
    assert state.jobs == 3


@pytest.mark.parametrize(
    ("newest", "unsure", "expected"),
    [
        (None, [], None),
        (NOON, [], NOON),
        (NOON, [NOON - timedelta(hours=1), NOON], NOON - timedelta(hours=1)),
        (NOON, [None], None),
        (None, [NOON], NOON),
    ],
    ids=["no job known", "newest job", "oldest unsure", "unsure without a bound", "only unsure"],
)
def test_it_is_known_how_far_to_look_back(
    newest: datetime | None, unsure: list[datetime | None], expected: datetime | None
) -> None:
    state = BatchState(newest_job=newest)
    state.unsure = [attempt(number, look_back_to=moment) for number, moment in enumerate(unsure)]
    assert state.look_back_to == expected


def test_finished_objects_are_counted_by_verdict() -> None:
    state = BatchState()
    for verdict in (ObjectState.SUCCEEDED, ObjectState.FAILED, ObjectState.SUCCEEDED):
        state.note_verdict(ObjectResult(key="k", state=verdict, output_key="o"))
    assert (state.finished, state.counts[ObjectState.SUCCEEDED]) == (3, 2)
