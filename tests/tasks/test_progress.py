from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchSummary, FailureGroup, Progress
from airflow_provider_ci.tasks import progress
from airflow_provider_ci.tasks.progress import (
    BatchProgress,
    HumanPace,
    JobsProgress,
    rate_and_rest,
    spoken,
    spoken_rate,
)

RunDag = Callable[..., Any]
Fill = Callable[..., None]

HAS_STATE_STORE = find_spec("airflow.models.task_state_store") is not None
"""Whether this Airflow has a task state store, which exists since 3.3."""

log = logging.getLogger(__name__)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Store:
    """A task state store in memory."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.writes = 0

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.loads(json.dumps(value))
        self.writes += 1

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


class BrokenStore(Store):
    def set(self, key: str, value: Any) -> None:
        raise OSError("no answer")


def halfway(**changes: Any) -> Progress:
    numbers = {"total": 5000, "finished": 2700, "failed": 3, "in_flight": 1000, "seconds": 100.0}
    return Progress(**{**numbers, "skipped": 150, "earlier": 50, **changes})


def end(**changes: Any) -> BatchSummary:
    counts = {"succeeded": 4790, "failed": 7, "skipped": 200, "cancelled": 1, "unfinished": 2}
    values = {"batch_id": "b", "total": 5000, "seconds": 200.0, "report_key": "b/report.jsonl", **counts}
    return BatchSummary(**{**values, **changes})


def test_the_pace_is_quick_at_first_and_a_minute_in_the_end(clock: Clock) -> None:
    pace = HumanPace(clock)
    told = []
    for second in range(400):
        clock.now = 1000.0 + second
        if pace.is_time():
            told.append(second)
    assert told == [2, 6, 14, 30, 62, 122, 182, 242, 302, 362]


def test_a_line_tells_counts_rate_and_time_left(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tell = BatchProgress(log, Store(), clock)
    clock.now += 2
    tell(halfway())
    assert caplog.messages == [
        "2,700 of 5,000 objects done, 3 failed, 1,000 in flight; 25.0/s, about 1 min 32 s left"
    ]


def test_what_airflow_shows_is_written_as_often_as_the_log(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    tell = BatchProgress(log, store, clock)
    for _ in range(600):
        clock.now += 0.1
        tell(halfway())
    assert store.writes == len(caplog.messages) == 4
    assert store.values == {
        "progress": {
            "total": 5000,
            "finished": 2700,
            "failed": 3,
            "skipped": 150,
            "in_flight": 1000,
            "objects_per_second": 25.0,
            "seconds_left": 92,
        }
    }


def test_the_verdict_comes_first_then_the_reasons_then_the_report(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    group = FailureGroup(code="Broken", count=1, example="in/a.docx: broken")
    BatchProgress(log, store, clock).close(end(failures=(group,)))
    assert caplog.messages == [
        "4,790 of 5,000 succeeded, 200 up to date, 8 of 5,000 failed (allowed 0), 2 of 5,000 unfinished, "
        "in 3 min 20 s (24.0/s)",
        "1 × Broken, for example in/a.docx: broken",
        "report: b/report.jsonl",
    ]
    assert store.values["progress"] == {
        "total": 5000,
        "finished": 4998,
        "failed": 8,
        "skipped": 200,
        "in_flight": 0,
        "objects_per_second": 24.0,
        "seconds_left": 0,
    }


def test_each_resume_is_one_line_and_one_write_at_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = Store()
    for _ in range(3):  # each process that resumes the task has a new BatchProgress
        tell = BatchProgress(log, store, clock)
        tell(halfway())
        tell(halfway())
    assert len(caplog.messages) == store.writes == 3


def test_no_minute_is_silent_and_none_has_two_lines(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine reports no progress while it lists a million objects or waits for a slow service."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "_SILENCE_CHECK_SECONDS", 0.001)
    store = Store()
    with BatchProgress(log, store, clock) as tell:
        clock.now += 59.0
        time.sleep(0.05)
        assert caplog.messages == []
        clock.now += 1.0
        wait_for(lambda: len(caplog.messages) == 1)
        tell(halfway())
        for minute in (2, 3, 4):
            clock.now += 60.0
            wait_for(lambda lines=minute + 1: len(caplog.messages) == lines)  # type: ignore[misc]
    assert caplog.messages[0] == "the objects are being listed and planned; nothing is submitted yet"
    assert store.writes == 1, "the store is not for other threads"


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_store_that_fails_ends_no_batch(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tell = BatchProgress(log, BrokenStore(), clock)
    clock.now += 2
    tell(halfway())
    assert caplog.messages[-1] == "the progress cannot be stored: no answer"


def test_jobs_are_told_by_how_many_are_left(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tell = JobsProgress(log, 1000, clock)
    for second, pending in ((1, 900), (4, 900), (8, 700), (9, 600)):
        clock.now = 1000.0 + second
        tell(pending)
    assert caplog.messages == [
        "100 of 1,000 jobs ended, 900 to go; 25.0/s, about 36 s left",
        "300 of 1,000 jobs ended, 700 to go; 37.5/s, about 19 s left",
    ]


def test_nothing_is_known_before_something_has_ended() -> None:
    assert rate_and_rest(0, 10, 5.0) == "time left not known yet"
    assert rate_and_rest(3, 10, 0.0) == "time left not known yet"
    assert rate_and_rest(3, 0, 5.0) == "all done"


@pytest.mark.parametrize(
    ("done", "seconds", "words"),
    [
        (125, 10.0, "12.5/s"),
        (2, 55.0, "2.2/min"),
        (3, 3600.0, "3.0/h"),
        (0, 60.0, "0.0/s"),
        (1, 0.0, "0.0/s"),
    ],
)
def test_a_rate_has_the_unit_that_shows_it(done: int, seconds: float, words: str) -> None:
    assert spoken_rate(done, seconds) == words


def test_one_job_is_told_by_its_time(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tell = JobsProgress(log, 1, clock)
    clock.now += 75.0
    tell(1)
    assert caplog.messages == ["the job has not ended after 1 min 15 s"]


def test_the_rate_of_a_resumed_task_counts_from_the_beginning_of_its_try(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A resumed task finds all jobs that ended meanwhile at once; they must not count as done that fast."""
    caplog.set_level(logging.INFO)
    first, store = BatchProgress(log, Store(), clock), Store()
    first(halfway(finished=200, in_flight=1000, seconds=10.0))
    assert first.since is not None
    since = {**first.since, "began": first.since["began"] - 90}  # the task was deferred for 90 s
    resumed = BatchProgress(log, store, clock, since=json.loads(json.dumps(since)))
    resumed(halfway(finished=1200, skipped=0, earlier=200, in_flight=0, seconds=0.1))
    assert caplog.messages == [
        "200 of 5,000 objects done, 3 failed, 1,000 in flight; time left not known yet",
        "1,200 of 5,000 objects done, 3 failed, 0 in flight; 10.0/s, about 6 min 20 s left",
    ]
    assert store.values["progress"]["seconds_left"] == 380


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (100_000, "27 h 46 min")],
)
def test_times_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


@pytest.mark.parametrize("local_ci", [0.4], indirect=True)
@pytest.mark.parametrize("how", ["deferrable=False", "deferrable=True"])
def test_a_batch_tells_how_far_it_is(
    run_dag: RunDag,
    fill_bucket: Fill,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: str,
) -> None:
    """The lines are in the task's log: from the operator while it waits, from the trigger while deferred."""
    monkeypatch.setattr(progress, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr("airflow_provider_ci.operators.batch._INLINE_SECONDS", 0.0)
    fill_bucket(*(f"in/{number}.docx" for number in range(6)))
    result = run_dag(f"""
from airflow.sdk import DAG
from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.compat import state_store
from airflow_provider_ci.operators import CIBatchOperator

with DAG(DAG_ID, schedule=None) as dag:
    CIBatchOperator(
        task_id="all", source=ObjectSelection(prefix="in/"), operation=DocProcess(),
        output="out/{{stem}}.pdf", poll_interval=0.1, {how},
        on_success_callback=lambda context: print("shown:", state_store(context).get("progress")),
    )""")
    assert result.state == "success"
    logged = "".join(capfd.readouterr())
    assert ("of 6 jobs ended" if "True" in how else "of 6 objects done") in logged
    assert logged.count("6 of 6 succeeded, in") == 1
    assert ("shown: {'total': 6, 'finished': 6, 'failed': 0," in logged) is HAS_STATE_STORE
