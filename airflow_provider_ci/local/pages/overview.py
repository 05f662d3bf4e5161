"""Queries over all jobs and queues, for which the API has no operation. Only reads."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from threading import Lock

from airflow_provider_ci.local.database import Database
from airflow_provider_ci.local.jobs import queues
from airflow_provider_ci.local.jobs.jobs import Filter, Job, Jobs, State
from airflow_provider_ci.local.jobs.queues import Queue, Queues

TAGS = {
    queues.DOC: ("DocProcess", "DocWatermark"),
    queues.PIC: ("PicProcess",),
    queues.MEDIA: ("PicProcess",),
    queues.FILE: ("FileHashCode", "FileUncompress"),
}
"""The tags of the jobs in the queues of each category."""

SEARCHED_JOBS = 50_000
"""Number of the newest jobs that a text search looks at, so that it is fast in a table of any size."""

_RECENT_JOBS = 5_000
_REST = 20
"""Counts are kept for this many times as long as counting took, because a large table takes a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs to list: in these states (empty: all), with ``text`` in the input's key or as the job id."""

    states: tuple[State, ...] = ()
    text: str = ""
    before: int | None = None
    """List only jobs with a lower number, for the next page; None for the first page."""


class Overview:
    """The tables of jobs and queues as a whole. Thread-safe."""

    def __init__(self, database: Database, jobs: Jobs, queues: Queues) -> None:
        self._database = database
        self._jobs = jobs
        self._queues = queues
        self._lock = Lock()
        self._counts: Mapping[str, Mapping[State, int]] = {}
        self._count_again = 0.0

    def queues(self) -> list[Queue]:
        """Every queue of every bucket, by bucket."""
        rows = self._database.rows("SELECT queue_id FROM queues ORDER BY bucket, category, name")
        return [queue for row in rows if (queue := self._queues.find(row["queue_id"]))]

    def counts(self, queue: Queue) -> Mapping[State, int]:
        """The number of a queue's jobs by state; a state without jobs is left out."""
        return self._counted().get(queue.queue_id, {})

    def totals(self) -> dict[State, int]:
        """The number of all jobs in each state."""
        counted = self._counted().values()
        return {state: sum(counts.get(state, 0) for counts in counted) for state in State}

    def _counted(self) -> Mapping[str, Mapping[State, int]]:
        with self._lock:
            started = time.monotonic()
            if started >= self._count_again:
                self._counts = self._count()
                ended = time.monotonic()
                self._count_again = ended + _REST * (ended - started)
            return self._counts

    def _count(self) -> Mapping[str, Mapping[State, int]]:
        rows = self._database.rows(
            "SELECT queue_id, state, count(*) AS jobs FROM jobs INDEXED BY jobs_by_queue"
            " GROUP BY queue_id, tag, state"
        )
        counts: defaultdict[str, Counter[State]] = defaultdict(Counter)
        for row in rows:
            counts[row["queue_id"]][State(row["state"])] += row["jobs"]
        return dict(counts)

    def ended_since(self, moment: float) -> int:
        """How many of the newest 5,000 jobs have ended since ``moment`` (Unix seconds)."""
        row = self._database.row(
            "SELECT count(*) AS jobs FROM jobs WHERE seq > (SELECT max(seq) FROM jobs) - ? AND ended >= ?",
            (_RECENT_JOBS, int(moment)),
        )
        return int(row["jobs"]) if row else 0

    def newest(self, wanted: Wanted, size: int) -> list[Job]:
        """Up to ``size`` of the newest jobs that match, of all queues."""
        if wanted.text:
            return self._found(wanted, size)
        return self._newest_of(self._filters(wanted.states), size, wanted.before)

    def of_queue(self, queue: Queue, size: int) -> list[Job]:
        """The newest jobs of one queue."""
        filters = [Filter(queue_ids=(queue.queue_id,), tag=tag) for tag in TAGS[queue.category]]
        return self._newest_of(filters, size, None)

    def _newest_of(self, filters: list[Filter], size: int, before: int | None) -> list[Job]:
        found = [job for item in filters for job in self._jobs.page(item, size=size, after=before)]
        return sorted(found, key=lambda job: job.seq, reverse=True)[:size]

    def _filters(self, states: tuple[State, ...]) -> list[Filter]:
        known = self.queues()
        ids = {
            tag: tuple(queue.queue_id for queue in known if tag in TAGS[queue.category])
            for tag in sorted(set(chain(*TAGS.values())))
        }
        return [Filter(queue_ids=found, tag=tag, states=states) for tag, found in ids.items() if found]

    def _found(self, wanted: Wanted, size: int) -> list[Job]:
        states: Sequence[State] = wanted.states or tuple(State)
        rows = self._database.rows(
            "SELECT job_id FROM jobs WHERE seq > (SELECT max(seq) FROM jobs) - ? AND seq < ?"
            " AND (instr(lower(input_object), ?) OR job_id = ?)"
            " AND state IN (SELECT value FROM json_each(?)) ORDER BY seq DESC LIMIT ?",
            (
                SEARCHED_JOBS,
                2**62 if wanted.before is None else wanted.before,
                wanted.text.lower(),
                wanted.text,
                json.dumps(states),
                size,
            ),
        )
        return [job for row in rows if (job := self._jobs.find(row["job_id"]))]
