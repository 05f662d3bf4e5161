"""Waiting for the jobs of a batch without running it: what a trigger does between two windows."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from airflow_provider_ci.batch.kinds import kind_of_job
from airflow_provider_ci.batch.ledger import Ledger, find_generation
from airflow_provider_ci.batch.pauses import PauseWatch
from airflow_provider_ci.batch.records import RecordError
from airflow_provider_ci.batch.watch import JobsInFlight, Pace, cancel_waiting
from airflow_provider_ci.client import CIClient, CIError

log = logging.getLogger(__name__)

_RETURN_SHARE = 4
"""With more to submit, the batch is taken up again when so small a part of its window is left."""


class BatchWatch:
    """Looks at the jobs that a batch has left in its ledger, without running the batch.

    :param folder: of the batch, with its ``/`` at the end.
    :param pause_seconds: how long a paused queue is waited for.
    :raises RecordError: there is no such batch.
    """

    def __init__(self, client: CIClient, folder: str, *, pace: Pace, pause_seconds: float) -> None:
        generation = find_generation(client, folder)
        if generation is None:
            raise RecordError(f"there is no batch in {folder!r}")
        self._client = client
        self._pace = pace
        self._ledger = Ledger(client=client, folder=folder, generation=generation)
        state = self._ledger.read_state()
        self._created: dict[str, datetime] = {
            job_id: found.created_at for job_id, found in state.running.items()
        }
        has_more = bool(state.waiting) or state.next_index < generation.total
        self._enough = len(self._created) // _RETURN_SHARE if has_more else 0
        self._had_jobs = bool(self._created)
        self._finished = 0
        self._began = time.monotonic()
        if self._created:
            kind = kind_of_job(next(iter(self._created)))
            self._jobs = JobsInFlight(client, kind)
            self._pauses = PauseWatch(client, kind, limit_seconds=pause_seconds, every_seconds=pace.longest)

    @property
    def pending(self) -> int:
        """Jobs that have not ended, as far as is known."""
        return len(self._created)

    @property
    def is_due(self) -> bool:
        """Whether the batch should be taken up again."""
        if not self._had_jobs:  # the queue was full of other jobs: there is nothing to look at
            return time.monotonic() - self._began >= self._pace.longest
        return self.pending <= self._enough

    def look(self) -> None:
        """Ask the service; when it does not answer for now, the next look may tell.

        :raises QueueStaysPausedError: the queue has been paused for too long.
        """
        if not self._created:
            return
        try:
            ended = self._jobs.ended(self._created)
            for job in ended:
                del self._created[job.job_id]
            self._finished += len(ended)
            self._pauses.look(self._created, is_moving=bool(ended))
        except CIError as error:
            if not error.is_retryable:
                raise
            log.warning("the service does not answer, still waiting: %s", error)

    def wait_seconds(self) -> float:
        """Seconds until the next look."""
        if not self._had_jobs:
            return self._pace.longest
        return self._pace.wait_seconds(
            pending=self.pending, finished=self._finished, elapsed_seconds=time.monotonic() - self._began
        )

    def cancel(self) -> None:
        """Cancel the jobs that have not begun; the next run of the batch submits their objects again."""
        if self._created:
            self._ledger.note_cancelling()
            cancel_waiting(self._client, self._created)
