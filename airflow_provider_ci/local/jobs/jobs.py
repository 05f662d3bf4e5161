"""The table of jobs: their states and transitions, and their listing page by page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import count, product
from secrets import token_hex

from airflow_provider_ci.local.database import Database, Row

RETENTION_SECONDS = 31 * 24 * 3600
"""Seconds for which the record of a finished job is kept; the API pages say one month (1045/47932)."""

MASK = "******"
"""Shown in place of a password wherever a job is shown."""


class State(str, Enum):
    """The states of a job, spelt as the API does (1045/47933)."""

    SUBMITTED = "Submitted"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    PAUSE = "Pause"
    CANCEL = "Cancel"

    def __str__(self) -> str:
        return self.value


FOLLOWS: Mapping[State, frozenset[State]] = {
    State.SUBMITTED: frozenset({State.RUNNING, State.PAUSE, State.CANCEL}),
    State.PAUSE: frozenset({State.SUBMITTED, State.CANCEL}),
    State.RUNNING: frozenset({State.SUCCESS, State.FAILED, State.SUBMITTED}),
    State.SUCCESS: frozenset(),
    State.FAILED: frozenset(),
    State.CANCEL: frozenset(),
}
"""Which states may follow a state. Running goes back to Submitted if the server died while the job ran."""

WAITING = (State.SUBMITTED, State.PAUSE)
FINAL = tuple(state for state, following in FOLLOWS.items() if not following)

ID_PREFIXES = {
    "DocProcess": "d",
    "DocWatermark": "d",
    "FileHashCode": "f",
    "FileUncompress": "f",
    "PicProcess": "c",
}
"""The tags of jobs that can be submitted, and the letter that their ids start with."""

_IS_WAITING = f"state IN ('{WAITING[0]}', '{WAITING[1]}')"
"""Must equal the condition of the index ``waiting_jobs``, or SQLite does not use that index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A checked request for a job. Responses show ``operation``, but not ``secret`` (the password)."""

    bucket: str
    region: str
    tag: str
    queue_id: str
    level: int
    input_object: str
    operation: Mapping[str, object]
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as stored in the table. Times are in Unix seconds; ``result`` is set only after Success."""

    seq: int
    job_id: str
    bucket: str
    region: str
    tag: str
    queue_id: str
    state: State
    level: int
    created: int
    started: int | None = None
    ended: int | None = None
    input_object: str
    operation: dict[str, dict[str, str]]
    secret: str = field(repr=False)
    code: str = "Success"
    message: str = ""
    result: dict[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: a result, or the code and message of its failure."""

    result: Mapping[str, object] | None = None
    code: str = "Success"
    message: str = ""

    @property
    def state(self) -> State:
        """Success if there is a result, else Failed."""
        return State.FAILED if self.result is None else State.SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which jobs of the given queues to list.

    Creation times are in Unix seconds, and both are inclusive. ``ended_after`` (Unix seconds) leaves out
    jobs that ended at that time or earlier. A value that is empty or None filters nothing.
    """

    queue_ids: tuple[str, ...]
    tag: str
    states: tuple[State, ...] = ()
    created_from: int | None = None
    created_to: int | None = None
    ended_after: float | None = None
    input_object: str = ""
    newest_first: bool = True


class Jobs:
    """All jobs of all buckets. Every change of state goes through :data:`FOLLOWS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_created = int(self._value("SELECT max(created) FROM jobs") or 0)
        self._waiting: Counter[str] = Counter()
        self._token = token_hex(8)  # one per object: a forked process shares its parent's module globals
        self._ids = count()
        self.recount()

    def recount(self) -> None:
        """Count the waiting jobs of each queue again, after many of them changed state at once."""
        rows = self._database.rows(
            f"SELECT queue_id, count(*) AS jobs FROM jobs WHERE {_IS_WAITING} GROUP BY queue_id"  # noqa: S608
        )
        self._waiting = Counter({row["queue_id"]: row["jobs"] for row in rows})

    def recover(self, now: float) -> int:
        """Delete old jobs; requeue jobs that ran when the last server died, and return their number."""
        self._database.change(
            # Only jobs that have ended: a job that waits in a paused queue for a month still has to run.
            f"DELETE FROM jobs WHERE created < ? AND state IN {_marks(FINAL)}",  # noqa: S608
            (int(now) - RETENTION_SECONDS, *FINAL),
        )
        again = self._database.change(
            "UPDATE jobs SET state = ?, started = NULL WHERE state = ?", (State.SUBMITTED, State.RUNNING)
        )
        self.recount()
        return again

    def add(self, submission: Submission, state: State, now: float) -> Job:
        """Store a new job. Creation times never decrease, so they have the same order as job numbers."""
        self._last_created = max(self._last_created, int(now))
        operation = json.dumps(submission.operation, ensure_ascii=False)
        job_id = f"{ID_PREFIXES[submission.tag]}{self._last_created:08x}{self._token}{next(self._ids):08x}"
        seq = self._database.insert(
            "INSERT INTO jobs (job_id, bucket, region, tag, queue_id, state, level, created, input_object,"
            " operation, secret, code, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'Success', '')",
            (
                job_id,
                submission.bucket,
                submission.region,
                submission.tag,
                submission.queue_id,
                state,
                submission.level,
                self._last_created,
                submission.input_object,
                operation,
                submission.secret or None,
            ),
        )
        self._waiting[submission.queue_id] += 1
        return Job(
            seq=seq,
            job_id=job_id,
            bucket=submission.bucket,
            region=submission.region,
            tag=submission.tag,
            queue_id=submission.queue_id,
            state=state,
            level=submission.level,
            created=self._last_created,
            input_object=submission.input_object,
            operation=json.loads(operation),
            secret=submission.secret,
        )

    def get(self, bucket: str, job_ids: Iterable[str]) -> list[Job]:
        """The jobs of ``bucket`` with these ids, in the order of the ids; unknown ids are left out."""
        wanted = tuple(job_ids)
        rows = self._database.rows(
            f"SELECT * FROM jobs WHERE job_id IN {_marks(wanted)}",  # noqa: S608
            wanted,
        )
        found = {row["job_id"]: row for row in rows if row["bucket"] == bucket}
        return [_job(found[job_id]) for job_id in wanted if job_id in found]

    def find(self, job_id: str) -> Job | None:
        """The job with this id, in any bucket."""
        row = self._database.row("SELECT * FROM jobs WHERE job_id = ?", (job_id,))
        return _job(row) if row else None

    def counts(self, queue_id: str, tag: str) -> dict[State, int]:
        """The number of a queue's jobs by state; a state without jobs is left out."""
        rows = self._database.rows(
            "SELECT state, count(*) AS jobs FROM jobs INDEXED BY jobs_by_queue"
            " WHERE queue_id = ? AND tag = ? GROUP BY state",
            (queue_id, tag),
        )
        return {State(row["state"]): row["jobs"] for row in rows}

    def page(self, wanted: Filter, *, size: int, after: int | None) -> list[Job]:
        """At most ``size`` jobs in the requested order of creation, after job number ``after`` (exclusive).

        Paging by number keeps pages stable while jobs are added.
        """
        first, last = self._bounds(wanted, after)
        places = product(wanted.queue_ids, wanted.states or State)
        numbers = [seq for place in places for seq in self._numbers(wanted, *place, first, last, size)]
        # Each queue and state was read separately, in order; together they can have more jobs than a page.
        shown = tuple(sorted(numbers, reverse=wanted.newest_first)[:size])
        if not shown:
            return []
        rows = self._database.rows(f"SELECT * FROM jobs WHERE seq IN {_marks(shown)}", shown)  # noqa: S608
        return sorted(map(_job, rows), key=lambda job: job.seq, reverse=wanted.newest_first)

    def next_waiting(self, queue_id: str, most: int = 1) -> list[Job]:
        """Up to ``most`` jobs of a queue that run next: highest level first, then oldest first."""
        rows = self._database.rows(
            f"SELECT * FROM jobs WHERE queue_id = ? AND state = ? AND {_IS_WAITING}"  # noqa: S608
            " ORDER BY level DESC, seq LIMIT ?",
            (queue_id, State.SUBMITTED, most),
        )
        return [_job(row) for row in rows]

    def waiting(self, queue_id: str) -> int:
        """The number of a queue's waiting jobs, including held jobs."""
        return self._waiting[queue_id]

    def queues_with_work(self) -> list[str]:
        """The queues that have waiting jobs."""
        return [queue_id for queue_id, jobs in self._waiting.items() if jobs > 0]

    def start(self, job: Job, now: float) -> bool:
        """Record that the job now runs; return False if it no longer waits."""
        if not self._move(job, State.RUNNING, {"started": int(now)}):
            return False
        self._waiting[job.queue_id] -= 1
        return True

    def finish(self, job: Job, outcome: Outcome, now: float) -> bool:
        """Record how a running job ended, and delete its password; return False if it was not running."""
        result = None if outcome.result is None else json.dumps(outcome.result, ensure_ascii=False)
        changes = {"code": outcome.code, "message": outcome.message, "result": result}
        return self._end(job, outcome.state, now, changes)

    def cancel(self, job: Job, now: float) -> bool:
        """Cancel a waiting job; return False if it no longer waits."""
        if not self._end(job, State.CANCEL, now, {}):
            return False
        self._waiting[job.queue_id] -= 1
        return True

    def hold(self, queue_id: str, *, held: bool) -> None:
        """Hold the waiting jobs of a queue, or release them."""
        before, after = (State.SUBMITTED, State.PAUSE) if held else (State.PAUSE, State.SUBMITTED)
        self._database.change(
            f"UPDATE jobs SET state = ? WHERE queue_id = ? AND state = ? AND {_IS_WAITING}",  # noqa: S608
            (after, queue_id, before),
        )

    def _end(self, job: Job, state: State, now: float, changes: Mapping[str, object]) -> bool:
        has_ended = self._move(job, state, {"ended": int(now), "secret": None, **changes})
        if job.secret:
            # The write-ahead log of SQLite keeps old pages, and with them the password.
            self._database.forget_log()
        return has_ended

    def _move(self, job: Job, state: State, changes: Mapping[str, object]) -> bool:
        # The condition is part of the UPDATE, so that only one of two simultaneous moves succeeds.
        sources = tuple(source for source, following in FOLLOWS.items() if state in following)
        columns = ", ".join(f"{name} = ?" for name in changes)
        changed = self._database.change(
            f"UPDATE jobs SET state = ?, {columns} WHERE seq = ? AND state IN {_marks(sources)}",  # noqa: S608
            (state, *changes.values(), job.seq, *sources),
        )
        return changed == 1

    def _bounds(self, wanted: Filter, after: int | None) -> tuple[int, int]:
        """The first and last job number that the token and the creation times allow."""
        first, last = 0, 2**62
        if after is not None and wanted.newest_first:
            last = after - 1
        elif after is not None:
            first = after + 1
        if wanted.created_from is not None:
            first = max(first, self._edge(">=", "ASC", wanted.created_from, 2**62))
        if wanted.created_to is not None:
            last = min(last, self._edge("<=", "DESC", wanted.created_to, -1))
        return first, last

    def _edge(self, compare: str, order: str, created: int, none: int) -> int:
        """The number of the first job created from ``created`` on, or the last until then; else ``none``."""
        value = self._value(
            f"SELECT seq FROM jobs WHERE created {compare} ? ORDER BY created {order}, seq {order} LIMIT 1",  # noqa: S608
            (created,),
        )
        return none if value is None else int(value)

    def _numbers(
        self, wanted: Filter, queue_id: str, state: State, first: int, last: int, size: int
    ) -> list[int]:
        conditions = ["queue_id = ?", "tag = ?", "state = ?", "seq BETWEEN ? AND ?"]
        values: list[object] = [queue_id, wanted.tag, state, first, last]
        index = "jobs_by_queue"
        if wanted.input_object:
            conditions.append("input_object = ?")
            values.append(wanted.input_object)
        if wanted.input_object and wanted.tag == "PicProcess":
            # The condition on the tag must equal the index's condition, or SQLite does not use the index.
            conditions.append("tag = 'PicProcess'")
            index = "pictures_by_input"
        if wanted.ended_after is not None:
            conditions.append("(ended IS NULL OR ended > ?)")
            values.append(wanted.ended_after)
        order = "DESC" if wanted.newest_first else "ASC"
        rows = self._database.rows(
            f"SELECT seq FROM jobs INDEXED BY {index} WHERE {' AND '.join(conditions)}"  # noqa: S608
            f" ORDER BY seq {order} LIMIT ?",
            (*values, size),
        )
        return [row["seq"] for row in rows]

    def _value(self, sql: str, values: tuple[object, ...] = ()) -> int | None:
        row = self._database.row(sql, values)
        return None if row is None else row[0]


def _marks(values: tuple[object, ...]) -> str:
    return f"({', '.join('?' * len(values))})"


def _job(row: Row) -> Job:
    return Job(
        seq=row["seq"],
        job_id=row["job_id"],
        bucket=row["bucket"],
        region=row["region"],
        tag=row["tag"],
        queue_id=row["queue_id"],
        state=State(row["state"]),
        level=row["level"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        input_object=row["input_object"],
        operation=json.loads(row["operation"]),
        secret=row["secret"] or "",
        code=row["code"],
        message=row["message"],
        result=json.loads(row["result"]) if row["result"] else None,
    )
