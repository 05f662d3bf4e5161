"""How far a batch is: every object of its plan is in exactly one place."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.submit import Attempt
from airflow_provider_ci.batch.verdict import ObjectState, ObjectVerdict

_PLANNED = tuple(item.name for item in fields(PlannedJob))


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job of the batch that the service has taken and not ended, as far as is known."""

    attempt: Attempt
    job_id: str
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class BatchState:
    """What a batch knows beside its plan. Its size goes with the window, not with the number of objects.

    An object is beyond ``next_index`` and untouched, or it waits to be submitted, or its submission is
    unsure, or it has a running job, or its verdict is in the results.
    """

    next_index: int = 0
    """The first object of the plan that was not taken up yet."""
    waiting: deque[Attempt] = field(default_factory=deque)
    """Taken up, and certainly without a job that runs."""
    unsure: list[Attempt] = field(default_factory=list)
    """Submitted without an answer."""
    running: dict[str, RunningJob] = field(default_factory=dict)
    """By job id."""
    done_ahead: set[int] = field(default_factory=set)
    """Objects from ``next_index`` on that have their verdict already."""
    counts: Counter[ObjectState] = field(default_factory=Counter)
    """Objects by verdict."""
    jobs: int = 0
    """Jobs that were submitted and noted: what the service counts."""
    newest_job: datetime | None = None
    """When the newest job known to the batch was created, by the service's clock."""

    @property
    def finished(self) -> int:
        """Objects that have their verdict."""
        return sum(self.counts.values())

    @property
    def look_back_to(self) -> datetime | None:
        """What the service took without our knowledge is not older than this."""
        moments = [attempt.look_back_to for attempt in self.unsure]
        if None in moments:
            return None
        return min([moment for moment in (*moments, self.newest_job) if moment], default=None)

    def take_up(self, attempt: Attempt, job_id: str, created_at: datetime) -> None:
        """Note that the service has taken this submission."""
        self.running[job_id] = RunningJob(attempt, job_id, created_at)
        self.jobs += 1
        if self.newest_job is None or created_at > self.newest_job:
            self.newest_job = created_at

    def note_verdict(self, verdict: ObjectVerdict) -> None:
        """Count an object that is done."""
        self.counts[verdict.state] += 1

    def as_header(self) -> dict[str, Any]:
        """The numbers, as JSON."""
        return {
            "next_index": self.next_index,
            "done_ahead": sorted(self.done_ahead),
            "counts": {state.value: count for state, count in self.counts.items()},
            "jobs": self.jobs,
            "newest_job": self.newest_job and self.newest_job.isoformat(),
        }

    def as_lines(self) -> Iterable[dict[str, Any]]:
        """The objects that were taken up, as JSON."""
        yield from (running_line(found) for found in self.running.values())
        yield from (unsure_line(attempt) for attempt in self.unsure)
        yield from (waiting_line(attempt) for attempt in self.waiting)

    @classmethod
    def from_json(cls, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> BatchState:
        """The state from :meth:`as_header` and :meth:`as_lines`."""
        state = cls(
            next_index=header["next_index"],
            done_ahead=set(header["done_ahead"]),
            counts=Counter({ObjectState(name): count for name, count in header["counts"].items()}),
            newest_job=_moment(header["newest_job"]),
        )
        state.apply(lines)
        state.jobs = header["jobs"]
        return state

    def apply(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in what a block says of its objects; it replaces what was known of them."""
        news = {line["index"]: line for line in lines}
        self.forget(news.keys())
        for line in news.values():
            attempt = attempt_of_line(line)
            if line["is"] == "running":
                self.take_up(attempt, line["job_id"], datetime.fromisoformat(line["created_at"]))
            elif line["is"] == "unsure":
                self.unsure.append(attempt)
            else:
                self.waiting.append(attempt)

    def settle(self, indexes: Iterable[int]) -> None:
        """Take in that these objects have their verdict."""
        done = set(indexes)
        self.forget(done)
        self.done_ahead |= {index for index in done if index >= self.next_index}

    def forget(self, indexes: Iterable[int]) -> None:
        """Take these objects out of their places; the caller knows another for them."""
        known = set(indexes)
        self.waiting = deque(one for one in self.waiting if one.planned.index not in known)
        self.unsure = [one for one in self.unsure if one.planned.index not in known]
        self.running = {
            job_id: found
            for job_id, found in self.running.items()
            if found.attempt.planned.index not in known
        }


def running_line(found: RunningJob) -> dict[str, Any]:
    """A submission that the service has taken."""
    line = _line("running", found.attempt)
    return {**line, "job_id": found.job_id, "created_at": found.created_at.isoformat()}


def unsure_line(attempt: Attempt) -> dict[str, Any]:
    """A submission without an answer."""
    look_back_to = attempt.look_back_to and attempt.look_back_to.isoformat()
    return {**_line("unsure", attempt), "look_back_to": look_back_to}


def waiting_line(attempt: Attempt) -> dict[str, Any]:
    """An object that was taken up and has to be submitted."""
    return _line("waiting", attempt)


def _line(kind: str, attempt: Attempt) -> dict[str, Any]:
    return {"is": kind, "attempt": attempt.number, **planned_line(attempt.planned)}


def planned_line(planned: PlannedJob) -> dict[str, Any]:
    """A line of the plan."""
    values = asdict(planned)
    if not values.pop("is_fresh"):
        return values
    return {**values, "is_fresh": True}


def planned_of_line(line: Mapping[str, Any]) -> PlannedJob:
    """The object of a line."""
    return PlannedJob(**{name: line[name] for name in _PLANNED if name in line})


def attempt_of_line(line: Mapping[str, Any]) -> Attempt:
    """The submission of a line."""
    return Attempt(
        planned=planned_of_line(line),
        number=line["attempt"],
        look_back_to=_moment(line.get("look_back_to")),
        lost_at=time.monotonic(),  # of an unsure one: its time to show itself begins anew
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
