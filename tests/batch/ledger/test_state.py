"""Each object of a plan is in exactly one part of the state, even after a round trip through JSON."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ci.batch import ObjectResult, ObjectState
from airflow_provider_ci.batch.ledger.state import (
    Attempt,
    BatchState,
    RunningJob,
    followed_line,
    running_line,
    unconfirmed_line,
    waiting_line,
)
from airflow_provider_ci.batch.planning.planned import (
    Decision,
    PlannedObject,
    planned_line,
    planned_of_line,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)

moments = st.integers(0, 100_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
planned_objects = st.builds(
    PlannedObject,
    index=st.integers(0, 1_000_000),
    key=st.text(min_size=1),
    size=st.integers(0, 10**9),
    etag=st.text(),
    output_key=st.text(),
    first_output=st.text(),
    fingerprint=st.text(),
    modified=st.integers(0, 10**10).map(float),
    decision=st.sampled_from(Decision),
    details=st.dictionaries(st.text(), st.text() | st.integers() | st.booleans(), max_size=3),
    step=st.text(),
    back=st.integers(0, 3),
    input_key=st.text(),
    parameters=st.dictionaries(st.text(), st.text() | st.integers() | st.booleans(), max_size=3),
    operation=st.text(),
    job_level=st.none() | st.integers(0, 2),
)
attempts = st.builds(
    Attempt,
    planned=planned_objects,
    number=st.integers(1, 9),
    look_back_to=st.none() | moments,
    expires_at=st.integers(0, 10**10).map(float),
)


def planned(index: int, decision: Decision = Decision.SUBMIT) -> PlannedObject:
    return PlannedObject(
        index=index, key=f"in/{index}", size=1, etag="e", output_key=f"out/{index}", decision=decision
    )


def attempt(index: int, **values: Any) -> Attempt:
    return Attempt(planned=planned(index), **values)


def result(index: int, state: ObjectState = ObjectState.SUCCEEDED) -> ObjectResult:
    return ObjectResult(key=f"in/{index}", state=state, output_key="o", index=index)


@st.composite
def states(draw: st.DrawFn) -> BatchState:
    touched = draw(st.lists(attempts, unique_by=lambda one: one.planned.index, max_size=12))
    state = BatchState(
        next_index=draw(st.integers(0, 10**6)),
        done_ahead=draw(st.sets(st.integers(0, 10**6))),
        counts=Counter(draw(st.dictionaries(st.sampled_from(ObjectState), st.integers(1, 10**6)))),
    )
    for number, one in enumerate(touched):
        place = draw(st.sampled_from(["running", "unconfirmed", "waiting", "followed"]))
        bare = Attempt(planned=one.planned, number=one.number)
        if place == "running":
            state.add_job(bare, f"d{number}", draw(moments))
        elif place == "unconfirmed":
            state.unconfirmed.append(one)
        elif place == "followed":
            state.followed[one.planned.index] = one.planned
        else:
            state.waiting.append(bare)
    state.jobs = draw(st.integers(0, 10**6))
    return state


@given(states())
def test_a_state_survives_the_way_through_json(state: BatchState) -> None:
    header = json.loads(json.dumps(state.as_header()))
    lines = [json.loads(json.dumps(line)) for line in state.as_lines()]
    assert BatchState.from_json(header, lines) == state


@given(planned_objects)
def test_an_object_survives_the_way_through_its_line(one: PlannedObject) -> None:
    assert planned_of_line({**json.loads(json.dumps(planned_line(one))), "of_a_later_version": 1}) == one


@given(attempts)
def test_an_attempt_can_be_looked_up(one: Attempt) -> None:
    """An attempt is hashable, although the details of its planned object are a dict."""
    assert {one: 1}[one] == 1


def test_what_is_recorded_of_an_object_later_counts() -> None:
    state = BatchState()
    state.apply([waiting_line(attempt(0)), waiting_line(attempt(1)), unconfirmed_line(attempt(2))])
    state.apply([followed_line(planned(3, Decision.SHARED))])
    state.apply([running_line(RunningJob(attempt(2), "d2", NOON)), unconfirmed_line(attempt(0))])
    assert [one.planned.index for one in state.waiting] == [1]
    assert [one.planned.index for one in state.unconfirmed] == [0]
    assert [job.attempt.planned.index for job in state.running.values()] == [2]
    assert state.followed.keys() == {3}
    state.apply([running_line(RunningJob(attempt(2, number=2), "d2b", NOON)), waiting_line(attempt(3))])
    assert state.running.keys() == {"d2b"}
    assert not state.followed


def test_a_result_takes_an_object_out_of_its_place() -> None:
    state = BatchState(next_index=3)
    state.apply([waiting_line(attempt(0)), unconfirmed_line(attempt(1)), waiting_line(attempt(7))])
    state.settle(map(result, [0, 1, 5, 7]))
    assert not (state.waiting or state.unconfirmed or state.running)
    assert state.done_ahead == {5, 7}, "what lies before next_index needs no note"
    state.pass_index(6)
    assert state.done_ahead == {7}


def test_a_missing_result_makes_a_state_inconsistent() -> None:
    state = BatchState(next_index=3)
    state.settle(map(result, [0, 1]))
    assert not state.is_consistent
    state.apply([waiting_line(attempt(2))])
    assert state.is_consistent


def test_jobs_of_other_batches_are_not_counted_as_ours() -> None:
    state = BatchState()
    for number, decision in enumerate((Decision.SUBMIT, Decision.ADOPTED, Decision.SHARED)):
        state.add_job(Attempt(planned=planned(number, decision)), f"d{number}", NOON)
    state.add_job(Attempt(planned=planned(3, Decision.ADOPTED), number=2), "d3", NOON)
    assert (state.jobs, state.in_flight) == (2, 4)


def test_the_newest_job_is_remembered_whatever_the_order() -> None:
    state = BatchState()
    for number, seconds in enumerate((5, 9, 2)):
        state.add_job(attempt(number), f"d{number}", NOON + timedelta(seconds=seconds))
    assert state.newest_job == NOON + timedelta(seconds=9)
    assert state.jobs == 3


@pytest.mark.parametrize(
    ("newest", "unconfirmed", "expected"),
    [
        (None, [], None),
        (NOON, [], NOON),
        (NOON, [NOON - timedelta(hours=1), NOON], NOON - timedelta(hours=1)),
        (NOON, [None], None),
        (None, [NOON], NOON),
    ],
    ids=["no job known", "newest job", "oldest unconfirmed", "without a bound", "only unconfirmed"],
)
def test_it_is_known_how_far_to_look_back(
    newest: datetime | None, unconfirmed: list[datetime | None], expected: datetime | None
) -> None:
    state = BatchState(newest_job=newest)
    state.unconfirmed = [attempt(number, look_back_to=at) for number, at in enumerate(unconfirmed)]
    assert state.look_back_to == expected


def test_finished_objects_are_counted_by_state() -> None:
    state = BatchState()
    for each in (ObjectState.SUCCEEDED, ObjectState.FAILED, ObjectState.SUCCEEDED):
        state.count(result(0, each))
    assert (state.finished, state.counts[ObjectState.SUCCEEDED]) == (3, 2)
