"""Logs the progress of a task's jobs: first at short intervals, then less and less often."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from typing import Any, Protocol

from airflow_provider_ci.batch import BatchSummary, Progress
from airflow_provider_ci.compat import StateStore
from airflow_provider_ci.tasks.quiet import FewLines

STORE_KEY = "progress"
"""Key of the progress in the task's state store (Airflow 3.3 and newer)."""
_FIRST_SECONDS = 2.0
_LONGEST_SECONDS = 60.0
_SILENCE_CHECK_SECONDS = 1.0

Clock = Callable[[], float]


class Log(Protocol):
    """The logger of an operator or a trigger, whose kind depends on the version of Airflow."""

    def info(self, message: str, /, *values: Any) -> Any: ...  # noqa: D102

    def warning(self, message: str, /, *values: Any) -> Any: ...  # noqa: D102

    def error(self, message: str, /, *values: Any) -> Any: ...  # noqa: D102


class HumanPace:
    """Decides when to log: after 2 seconds, then after intervals that double each time, up to a minute."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._wait = _FIRST_SECONDS
        self._last = clock()
        self._next = self._last + self._wait

    def hurry(self) -> None:
        """Make the next line due now."""
        self._next = self._clock()

    def is_time(self) -> bool:
        """Whether a line is due now; if so, schedule the next one."""
        now = self._clock()
        if now < self._next:
            return False
        self._wait = min(self._wait * 2, _LONGEST_SECONDS)
        self._last = now
        self._next = now + self._wait
        return True

    def is_late(self) -> bool:
        """Whether a line is due, and the last one is a minute old; used for lines that repeat old numbers."""
        return self._clock() >= self._last + _LONGEST_SECONDS and self.is_time()


def immediate_pace() -> HumanPace:
    """A pace whose first line is due now."""
    pace = HumanPace()
    pace.hurry()
    return pace


class BatchProgress:
    """Reports the progress of a batch in the log and in the task's state store.

    The first numbers are logged at once, so that the log shows each resumed window. As a context manager, it
    also repeats the last numbers if nothing else was logged for a minute, and it leaves out most lines about
    single requests and objects.

    :param allowed: how many objects may fail, as the user wrote it.
    :param since: the value of ``since`` in the previous process of the try, so that rates cover the whole
        try.
    """

    def __init__(
        self,
        log: Log,
        store: StateStore,
        clock: Clock = time.monotonic,
        *,
        allowed: int | str = 0,
        since: Mapping[str, float] | None = None,
    ) -> None:
        self._log = log
        self._store = store
        self._allowed = allowed
        self.since = since
        """Start of the try, and the number of objects that needed no job from it; None until both are
        known."""
        self._is_resumed = since is not None
        self._pace = HumanPace(clock)
        self._last: Progress | None = None
        self._lock = Lock()
        self._is_over = Event()
        self._few_lines = FewLines()

    def __enter__(self) -> BatchProgress:
        self._few_lines.__enter__()
        # A daemon thread, so that it does not keep the process of a task alive.
        Thread(target=self._fill_silence, name="ci-progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._few_lines.__exit__()

    def __call__(self, progress: Progress) -> None:
        """Log the progress if a line is due."""
        with self._lock:
            if self._last is None:
                self._pace.hurry()
            self._last = progress
            if not self._pace.is_time():
                return
        self._tell(progress)
        done, seconds = self._done_in(progress)
        to_go = progress.total - progress.finished
        self._keep(
            total=progress.total,
            finished=progress.finished,
            failed=progress.failed,
            skipped=progress.skipped,
            in_flight=progress.in_flight,
            objects_per_second=_rate(done, seconds),
            seconds_left=round(to_go * seconds / done) if done > 0 else None,
        )

    def close(self, summary: BatchSummary, *, has_failed: bool = False, report_url: str = "") -> None:
        """Log the end: first the verdict, then the reasons for failures, then the address of the report.

        :param report_url: address of a page with the report; without an address, the key of the report is
            logged.
        """
        tell = self._log.error if has_failed else self._log.info
        tell(self._verdict(summary, has_failed))
        for group in summary.failures:
            self._log.warning("%s × %s, for example %s", group.count, group.code or "no code", group.example)
        self._log.info("report: %s", report_url or summary.report_key)
        done = summary.succeeded + summary.failed + summary.cancelled
        self._keep(
            total=summary.total,
            finished=summary.total - summary.unfinished,
            failed=summary.failed + summary.cancelled,
            skipped=summary.skipped,
            in_flight=0,
            objects_per_second=_rate(done, summary.seconds),
            seconds_left=0,
        )

    def _verdict(self, summary: BatchSummary, has_failed: bool) -> str:
        done = summary.succeeded + summary.failed + summary.cancelled
        bad = summary.failed + summary.cancelled
        counts = [
            f"{bad:,} of {summary.total:,} failed (allowed {self._allowed})" * bool(bad),
            f"{summary.unfinished:,} of {summary.total:,} unfinished" * bool(summary.unfinished),
            f"{summary.succeeded:,} of {summary.total:,} succeeded",
            f"{summary.skipped:,} up to date" * bool(summary.skipped),
            f"{summary.failed_before:,} failed before" * bool(summary.failed_before),
        ]
        if not has_failed:  # then the succeeded objects come first
            counts = counts[2:] + counts[:2]
        spent = f"in {spoken(summary.seconds)} ({spoken_rate(done, summary.seconds)})"
        return f"{', '.join(filter(None, counts))}, {spent}"

    def _tell(self, progress: Progress) -> None:
        done, seconds = self._done_in(progress)
        self._log.info(
            "%s of %s objects done, %s failed, %s in flight; %s",
            *_counts(progress.finished, progress.total, progress.failed, progress.in_flight),
            rate_and_rest(done, progress.total - progress.finished, seconds),
        )

    def _done_in(self, progress: Progress) -> tuple[int, float]:
        """How many objects this try has done, and in how many seconds.

        A resumed process finds objects that ended while the task was deferred, so its own running time is not
        used.
        """
        if not self._is_resumed:
            free = progress.skipped + progress.earlier
            self.since = {"began": time.time() - progress.seconds, "free": free}
            return progress.finished - free, progress.seconds
        assert self.since is not None
        return progress.finished - int(self.since["free"]), time.time() - self.since["began"]

    def _fill_silence(self) -> None:
        """Log the last numbers again when a line is due. The store is not updated: it is not thread-safe."""
        while not self._is_over.wait(_SILENCE_CHECK_SECONDS):
            with self._lock:
                if not self._pace.is_late():
                    continue
                last = self._last
            if last is None:
                self._log.info("the objects are being listed and planned; nothing is submitted yet")
            else:
                self._tell(last)

    def _keep(self, **values: float | None) -> None:
        try:
            self._store.set(STORE_KEY, values)
        except Exception as error:  # a batch must not fail because its progress cannot be shown
            self._log.warning("the progress cannot be stored: %s", error)


class JobsProgress:
    """Logs how many of a number of jobs have ended.

    :param jobs: number of jobs to wait for.
    """

    def __init__(self, log: Log, jobs: int, clock: Clock = time.monotonic) -> None:
        self._log = log
        self._jobs = jobs
        self._clock = clock
        self._began = clock()
        self._pace = HumanPace(clock)

    def __call__(self, pending: int) -> None:
        """Log the progress if a line is due."""
        if not self._pace.is_time():
            return
        done, seconds = self._jobs - pending, self._clock() - self._began
        if self._jobs == 1 and pending:
            self._log.info("the job has not ended after %s", spoken(seconds))
        else:
            rest = rate_and_rest(done, pending, seconds)
            self._log.info("%s of %s jobs ended, %s to go; %s", *_counts(done, self._jobs, pending), rest)


def rate_and_rest(done: int, to_go: int, seconds: float) -> str:
    """The rate and the estimated time left, in words: ``12.5/s, about 3 min 20 s left``."""
    if to_go <= 0:
        return "all done"
    if done <= 0 or seconds <= 0:
        return "time left not known yet"
    return f"{spoken_rate(done, seconds)}, about {spoken(to_go * seconds / done)} left"


def spoken_rate(done: int, seconds: float) -> str:
    """A rate in a readable unit: ``12.5/s``, or for low rates ``4.2/min`` or ``3.0/h``."""
    per_second = done / seconds if seconds > 0 else 0.0
    rates = ((per_second * length, unit) for length, unit in ((1, "s"), (60, "min"), (3600, "h")))
    number, unit = next(((number, unit) for number, unit in rates if number >= 1), (per_second, "s"))
    return f"{number:.1f}/{unit}"


def spoken(seconds: float) -> str:
    """A duration in readable units: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _rate(done: int, seconds: float) -> float:
    per_second = done / seconds if seconds > 0 else 0.0
    return round(per_second, 1 if per_second >= 1 else 4)


def _counts(*numbers: int) -> tuple[str, ...]:
    return tuple(f"{number:,}" for number in numbers)
