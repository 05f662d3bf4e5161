"""How far the jobs of a task are, told at a human pace: soon at first, then ever more rarely."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from airflow_provider_ci.batch import BatchSummary, Progress
from airflow_provider_ci.compat import StateStore

STORE_KEY = "progress"
"""Where Airflow 3.3 and newer show it among the task's state."""
_FIRST_SECONDS = 2.0
_LONGEST_SECONDS = 60.0

Clock = Callable[[], float]


class Log(Protocol):
    """The logger of an operator or a trigger, whose kind depends on the version of Airflow."""

    def info(self, message: str, /, *values: Any) -> Any: ...  # noqa: D102

    def warning(self, message: str, /, *values: Any) -> Any: ...  # noqa: D102


class HumanPace:
    """Says when to tell something: after 2 seconds, then after twice as long each time, up to a minute."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._wait = _FIRST_SECONDS
        self._next = clock() + self._wait

    def is_time(self) -> bool:
        """Whether to tell something now; if so, the next time is later."""
        now = self._clock()
        if now < self._next:
            return False
        self._wait = min(self._wait * 2, _LONGEST_SECONDS)
        self._next = now + self._wait
        return True


class BatchProgress:
    """Tells in the log, and in the task's state store, how far a batch is."""

    def __init__(self, log: Log, store: StateStore, clock: Clock = time.monotonic) -> None:
        self._log = log
        self._store = store
        self._pace = HumanPace(clock)

    def __call__(self, progress: Progress) -> None:
        """Tell it, if it is time."""
        if not self._pace.is_time():
            return
        done = progress.finished - progress.skipped - progress.earlier
        self._log.info(
            "%s of %s objects done, %s failed, %s in flight; %s",
            *_counts(progress.finished, progress.total, progress.failed, progress.in_flight),
            rate_and_rest(done, progress.total - progress.finished, progress.seconds),
        )
        self._keep(
            total=progress.total,
            finished=progress.finished,
            failed=progress.failed,
            in_flight=progress.in_flight,
            objects_per_second=_rate(done, progress.seconds),
            seconds_left=None if progress.seconds_left is None else round(progress.seconds_left),
        )

    def close(self, summary: BatchSummary) -> None:
        """Tell the end, in one line, and the first failures below it."""
        done = summary.succeeded + summary.failed + summary.cancelled
        self._log.info(
            "%s objects: %s succeeded, %s failed, %s skipped in %s (%.1f/s); report %s",
            *_counts(summary.total, summary.succeeded, summary.failed, summary.skipped),
            spoken(summary.seconds),
            _rate(done, summary.seconds),
            summary.report_key,
        )
        for failure in summary.first_failures:
            self._log.warning("failed: %s", failure)
        self._keep(
            total=summary.total,
            finished=summary.total - summary.unfinished,
            failed=summary.failed + summary.cancelled,
            in_flight=0,
            objects_per_second=_rate(done, summary.seconds),
            seconds_left=0,
        )

    def _keep(self, **values: float | None) -> None:
        try:
            self._store.set(STORE_KEY, values)
        except Exception as error:  # whatever it is, a batch does not end because nobody can watch it
            self._log.warning("the progress cannot be stored: %s", error)


class JobsProgress:
    """Tells in the log how many of some jobs have ended.

    :param jobs: how many there are to wait for.
    """

    def __init__(self, log: Log, jobs: int, clock: Clock = time.monotonic) -> None:
        self._log = log
        self._jobs = jobs
        self._clock = clock
        self._began = clock()
        self._pace = HumanPace(clock)

    def __call__(self, pending: int) -> None:
        """Tell it, if it is time."""
        if self._pace.is_time():
            done = self._jobs - pending
            rest = rate_and_rest(done, pending, self._clock() - self._began)
            self._log.info("%s of %s jobs ended, %s to go; %s", *_counts(done, self._jobs, pending), rest)


def rate_and_rest(done: int, to_go: int, seconds: float) -> str:
    """How fast it goes and how long it will take: ``12.5/s, about 3 min 20 s left``."""
    if done <= 0 or seconds <= 0:
        return "time left not known yet"
    return f"{done / seconds:.1f}/s, about {spoken(to_go * seconds / done)} left"


def spoken(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _rate(done: int, seconds: float) -> float:
    return round(done / seconds, 1) if seconds > 0 else 0.0


def _counts(*numbers: int) -> tuple[str, ...]:
    return tuple(f"{number:,}" for number in numbers)
