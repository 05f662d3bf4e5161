"""The queue of a local CI with a clock that the caller sets, so that hours of jobs take seconds."""

from __future__ import annotations

import heapq
import json
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.jobs import DOCUMENTS, JobsInFlight, Pace
from benchmarks.counting import Requests

_COLUMNS = "bucket, region, tag, queue_id, level, input_object, operation, code, message"
_RESULT = json.dumps({"TotalPageCount": "1", "SuccPageCount": "1", "FailPageCount": "0"})


@dataclass(slots=True)
class Fifo:
    """Document jobs in a queue that runs ten at once, the oldest first.

    The server does not process the jobs: its queue is paused, and this class changes the server's table of
    jobs.
    """

    client: CIClient
    table: sqlite3.Connection
    ends: dict[str, float] = field(default_factory=dict)
    """End of each job, in seconds after the start, by job id."""
    created: dict[str, datetime | None] = field(default_factory=dict)
    """When each job was created, by job id."""
    starts: dict[str, float] = field(default_factory=dict)

    def add(self, count: int, *, seconds: float, at_once: int = 10, per_second: int = 500) -> None:
        """Add jobs with the given seconds per job and jobs created per second."""
        model = self.client.submit_doc_job("in/model.docx", "out/model.pdf", DocProcess()).job_id
        created = int(time.time())
        rows = [(f"d{number:032x}", created + number // per_second, model) for number in range(count)]
        with self.table:
            self.table.executemany(
                f"INSERT INTO jobs (job_id, created, state, {_COLUMNS}) SELECT ?, ?, 'Submitted', {_COLUMNS} "
                "FROM jobs WHERE job_id = ?",
                rows,
            )
            self.table.execute("DELETE FROM jobs WHERE job_id = ?", (model,))
        free = [0.0] * at_once
        for job_id, moment, _ in rows:
            self.created[job_id] = datetime.fromtimestamp(moment, timezone.utc)
            self.starts[job_id] = heapq.heappop(free)
            self.ends[job_id] = self.starts[job_id] + seconds
            heapq.heappush(free, self.ends[job_id])

    def turn_to(self, now: float) -> None:
        """Set the state of every job as it is ``now`` seconds after the start."""
        ended = [(job_id,) for job_id, end in self.ends.items() if end <= now]
        running = [(job_id,) for job_id, start in self.starts.items() if start <= now < self.ends[job_id]]
        with self.table:
            self.table.executemany("UPDATE jobs SET state = 'Running' WHERE job_id = ?", running)
            self.table.executemany(
                f"UPDATE jobs SET state = 'Success', result = '{_RESULT}' WHERE job_id = ?", ended
            )


@contextmanager
def fifo(client: CIClient, root: Path) -> Iterator[Fifo]:
    """A queue without jobs in a local CI that serves this folder."""
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    table = sqlite3.connect(next(root.glob(".*/state.sqlite")))
    try:
        yield Fifo(client, table)
    finally:
        table.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The requests and delays of a wait, until it has noticed the end of all jobs."""

    jobs: int
    looks: int
    requests: int
    median_delay: float
    """Seconds between the end of a job and the poll that found it."""
    longest_delay: float

    @property
    def requests_per_job(self) -> float:
        """Number of requests per job; all requests that read jobs or queues count."""
        return self.requests / self.jobs


def watch(queue: Fifo) -> Watched:
    """Wait for all jobs as a batch does."""
    in_flight, pace = JobsInFlight(queue.client, DOCUMENTS), Pace()
    pending, delays, now, looks = dict(queue.created), [], 0.0, 0
    with Requests() as requests:
        while pending:
            queue.turn_to(now)
            looks += 1
            for job in in_flight.ended(pending):
                del pending[job.job_id]
                delays.append(now - queue.ends[job.job_id])
            now += pace.wait_seconds(pending=len(pending), finished=len(delays), elapsed_seconds=now)
    return Watched(
        jobs=len(delays),
        looks=looks,
        requests=requests.count,
        median_delay=statistics.median(delays),
        longest_delay=max(delays),
    )
