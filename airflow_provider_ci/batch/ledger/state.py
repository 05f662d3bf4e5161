"""The progress of a batch: the state has exactly one place for every object of the plan."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject, planned_line, planned_of_line
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, result_line, result_of_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One submission of a job for an object."""

    planned: PlannedObject
    number: int = 1
    look_back_to: datetime | None = None
    """Creation time of the newest job known before this submission, by the service's clock."""
    expires_at: float = 0.0
    """Service time, in Unix seconds, after which the service refuses this submission."""

    @property
    def is_adopted(self) -> bool:
        """Whether another batch, or an unknown program, submitted the job of this attempt."""
        # A later attempt is our own job, because the adopted one has failed.
        return self.number == 1 and self.planned.decision in (Decision.ADOPTED, Decision.SHARED)

    def next(self) -> Attempt:
        """The submission that follows after the job of this one has failed."""
        return Attempt(planned=self.planned, number=self.number + 1)

    def unconfirmed(self, look_back_to: datetime | None, expires_at: float) -> Attempt:
        """The same submission, after its response was lost."""
        return replace(self, look_back_to=look_back_to, expires_at=expires_at)


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job of the batch that is not known to have ended."""

    attempt: Attempt
    job_id: str
    created_at: datetime | None
    queue_id: str = ""
    """Queue of the job; empty if it is unknown."""


@dataclass(slots=True, kw_only=True)
class BatchState:
    """The progress of a plan. Its size depends on the window, not on the number of objects.

    Each object is in one of these places: it is untouched (only from ``next_index`` on), it waits for its
    submission, its submission is unconfirmed, its job is running, another batch makes its output, it waits
    for the output of an earlier step, or its result is in the journal. (In a batch with several steps, each
    object and step counts as an object of its own.)
    """

    next_index: int = 0
    """Index of the first untouched object of the plan."""
    waiting: deque[Attempt] = field(default_factory=deque)
    """Objects that have to be submitted and certainly have no running job."""
    unconfirmed: list[Attempt] = field(default_factory=list)
    """Submissions whose response was lost."""
    running: dict[str, RunningJob] = field(default_factory=dict)
    """Running jobs, by job id."""
    followed: dict[int, PlannedObject] = field(default_factory=dict)
    """Objects whose output another batch is making, by index."""
    blocked: dict[int, list[PlannedObject]] = field(default_factory=dict)
    """Lines that wait for the output of an earlier step, by the index of that step's line."""
    resolved: dict[int, ObjectResult] = field(default_factory=dict)
    """Results, by index, that other lines still need: results that a line waits for while the records are
    read, and results without an output while other lines of the same object are untouched."""
    done_ahead: set[int] = field(default_factory=set)
    """Indexes of objects from ``next_index`` on that already have a result."""
    counts: Counter[ObjectState] = field(default_factory=Counter)
    """Number of results by state."""
    jobs: int = 0
    """Number of jobs that this batch submitted; the service charges for them."""
    newest_job: datetime | None = None
    """Creation time of the newest job of the batch, by the service's clock."""
    asked_to_cancel: bool = False
    """Whether a run cancelled waiting jobs before it ended; the objects of these jobs are submitted again."""

    @property
    def finished(self) -> int:
        """Number of objects that have a result."""
        return sum(self.counts.values())

    @property
    def in_flight(self) -> int:
        """Number of jobs that are running, or may be running."""
        return len(self.running) + len(self.unconfirmed)

    @property
    def look_back_to(self) -> datetime | None:
        """No unrecorded job was created before this time; None if nothing is known."""
        moments = [attempt.look_back_to for attempt in self.unconfirmed]
        # A submission without a known time may have made a job at any moment.
        if None in moments:
            return None
        return min([moment for moment in (*moments, self.newest_job) if moment], default=None)

    @property
    def is_consistent(self) -> bool:
        """Whether every object up to ``next_index`` has its place; false when results were deleted."""
        blocked = sum(map(len, self.blocked.values()))
        places = len(self.waiting) + self.in_flight + len(self.followed) + blocked
        return self.finished + places == self.next_index + len(self.done_ahead)

    @property
    def blocked_attempts(self) -> list[Attempt]:
        """The first submissions of the lines that wait for an earlier step."""
        return [Attempt(planned=planned) for waiting in self.blocked.values() for planned in waiting]

    def block(self, planned: PlannedObject) -> None:
        """Let a line wait for the output of its earlier step."""
        assert planned.parent is not None
        self.blocked.setdefault(planned.parent, []).append(planned)

    def is_blocked(self, planned: PlannedObject) -> bool:
        """Whether a line waits for the output of its earlier step."""
        waiting = self.blocked.get(planned.parent, ()) if planned.parent is not None else ()
        return any(each.index == planned.index for each in waiting)

    def open_lines(self) -> set[int]:
        """The touched lines that have no result yet."""
        attempts = (*self.waiting, *self.unconfirmed, *(found.attempt for found in self.running.values()))
        touched = {attempt.planned.index for attempt in (*attempts, *self.blocked_attempts)}
        return touched.union(self.followed)

    def add_job(self, attempt: Attempt, job_id: str, created_at: datetime | None, queue_id: str = "") -> None:
        """Record a job that the service has accepted."""
        self.running[job_id] = RunningJob(attempt, job_id, created_at, queue_id)
        # The service charges the batch that submitted the job; an adopted job may be older than this batch.
        if attempt.is_adopted:
            return
        self.jobs += 1
        if created_at is not None and (self.newest_job is None or created_at > self.newest_job):
            self.newest_job = created_at

    def count(self, result: ObjectResult) -> None:
        """Count an object that has its result."""
        self.counts[result.state] += 1

    def as_header(self) -> dict[str, Any]:
        """The counts and indexes of the state, as JSON."""
        header = {
            "next_index": self.next_index,
            "done_ahead": sorted(self.done_ahead),
            "counts": {state.value: count for state, count in self.counts.items()},
            "jobs": self.jobs,
            "newest_job": self.newest_job and self.newest_job.isoformat(),
        }
        resolved = [result_line(result) for result in self.resolved.values() if not result.is_good]
        return {**header, "resolved": resolved} if resolved else header

    def as_lines(self) -> Iterable[dict[str, Any]]:
        """The objects that were touched and have no result, as JSON."""
        yield from map(running_line, self.running.values())
        yield from map(unconfirmed_line, self.unconfirmed)
        yield from map(waiting_line, self.waiting)
        yield from map(followed_line, self.followed.values())
        for waiting in self.blocked.values():
            yield from map(blocked_line, waiting)

    @classmethod
    def from_json(cls, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> BatchState:
        """The state from :meth:`as_header` and :meth:`as_lines`."""
        state = cls(
            next_index=header["next_index"],
            done_ahead=set(header["done_ahead"]),
            counts=Counter({ObjectState(name): count for name, count in header["counts"].items()}),
            newest_job=_moment(header["newest_job"]),
        )
        resolved = map(result_of_line, header.get("resolved", ()))
        state.resolved = {result.index: result for result in resolved}
        state.apply(lines)
        # apply() counts only the jobs in flight. The header has the number of all jobs.
        state.jobs = header["jobs"]
        return state

    def apply(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Apply the lines of a record; they replace the old state of their objects."""
        # Of several lines for one object, the last one counts.
        news = {line["index"]: line for line in lines}
        self.forget(news.keys())
        for line in news.values():
            place, attempt = line["place"], _attempt_of_line(line)
            if place == "running":
                created_at = _moment(line.get("created_at"))
                self.add_job(attempt, line["job_id"], created_at, line.get("queue_id", ""))
            elif place == "unconfirmed":
                self.unconfirmed.append(attempt)
            elif place == "followed":
                self.followed[attempt.planned.index] = attempt.planned
            elif place == "blocked":
                self.block(attempt.planned)
            else:
                self.waiting.append(attempt)

    def settle(self, results: Iterable[ObjectResult]) -> None:
        """Count the results of objects, and remove the objects from their other places."""
        done = set()
        awaited = {*self.blocked, *(planned.parent for planned in self.followed.values())}
        open_lines = self.open_lines()
        for result in results:
            self.count(result)
            if result.job_id and result.job_id not in self.running and result.index not in self.followed:
                # No block names the job. Either the job was found after its response had been lost, or the
                # block was deleted. If it was deleted, none of the line's jobs has been counted.
                self.jobs += min(result.attempts, 1) if result.index in open_lines else result.attempts
            done.add(result.index)
            # Later lines of the same object must not wait for an output that will never exist.
            is_ahead = bool(result.step) and result.index >= self.next_index and not result.is_good
            if result.index in awaited or is_ahead:
                self.resolved[result.index] = result
        self.forget(done)
        self.done_ahead |= {index for index in done if index >= self.next_index}

    def pass_index(self, next_index: int) -> None:
        """Move ``next_index`` forward, and drop the objects before it from ``done_ahead``."""
        self.next_index = max(self.next_index, next_index)
        self.done_ahead = {index for index in self.done_ahead if index >= self.next_index}

    def forget(self, indexes: Iterable[int]) -> None:
        """Remove objects from their places, because the caller knows another place for them."""
        known = set(indexes)
        self.waiting = deque(each for each in self.waiting if each.planned.index not in known)
        self.unconfirmed = [each for each in self.unconfirmed if each.planned.index not in known]
        self.running = {
            job_id: found
            for job_id, found in self.running.items()
            if found.attempt.planned.index not in known
        }
        for index in known:
            self.followed.pop(index, None)
        for parent, waiting in list(self.blocked.items()):
            left = [planned for planned in waiting if planned.index not in known]
            if left:
                self.blocked[parent] = left
            else:
                del self.blocked[parent]


def running_line(found: RunningJob) -> dict[str, Any]:
    """A job that the service has accepted."""
    created_at = found.created_at and found.created_at.isoformat()
    line = {**_line("running", found.attempt), "job_id": found.job_id, "created_at": created_at}
    return {**line, "queue_id": found.queue_id} if found.queue_id else line


def unconfirmed_line(attempt: Attempt) -> dict[str, Any]:
    """A submission whose response was lost."""
    look_back_to = attempt.look_back_to and attempt.look_back_to.isoformat()
    return {
        **_line("unconfirmed", attempt),
        "look_back_to": look_back_to,
        "expires_at": attempt.expires_at,
    }


def waiting_line(attempt: Attempt) -> dict[str, Any]:
    """An object that has to be submitted."""
    return _line("waiting", attempt)


def followed_line(planned: PlannedObject) -> dict[str, Any]:
    """An object whose output another batch is making."""
    return _line("followed", Attempt(planned=planned))


def blocked_line(planned: PlannedObject) -> dict[str, Any]:
    """A line that waits for the output of an earlier step."""
    return _line("blocked", Attempt(planned=planned))


def _line(place: str, attempt: Attempt) -> dict[str, Any]:
    return {"place": place, "attempt": attempt.number, **planned_line(attempt.planned)}


def _attempt_of_line(line: Mapping[str, Any]) -> Attempt:
    return Attempt(
        planned=planned_of_line(line),
        number=line["attempt"],
        look_back_to=_moment(line.get("look_back_to")),
        expires_at=line.get("expires_at", 0.0),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
