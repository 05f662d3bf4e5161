"""Reports a paused queue, and raises an error if the queue stays paused for too long."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from airflow_provider_ci.client import CIClient, CIError, NotFoundError, QueueState
from airflow_provider_ci.jobs.kinds import JobType

log = logging.getLogger(__name__)


class QueueStaysPausedError(CIError):
    """The queue of the jobs has been paused for longer than the limit; the jobs are still in the queue."""

    def __init__(self, queue_id: str, seconds: float) -> None:
        self.queue_id = queue_id
        self.seconds = seconds
        super().__init__(
            f"queue {queue_id} has been paused for {seconds:.0f} s, and its jobs wait; "
            "resume it, then run again: the next run continues with these jobs"
        )

    def __reduce__(self) -> tuple[type[QueueStaysPausedError], tuple[str, float]]:
        # Without this, pickle would call the class with only the message.
        return type(self), (self.queue_id, self.seconds)


class PauseWatch:
    """Reads the state of the queue when no job has ended for some time.

    :param limit_seconds: how long the queue may be paused.
    :param every_seconds: time without an ended job before each request, in seconds.
    :param queue_id: the queue; by default, the queue of a waiting job.
    """

    def __init__(
        self,
        client: CIClient,
        job_type: JobType,
        *,
        limit_seconds: float,
        every_seconds: float = 30.0,
        queue_id: str | None = None,
    ) -> None:
        self._client = client
        self._type = job_type
        self._limit = limit_seconds
        # With a short limit, two reads are still needed: one sees the pause, the other sees that it lasts.
        self._every = min(every_seconds, limit_seconds / 2)
        self._queue_id = queue_id or ""
        self._looked_at = time.monotonic()
        self._paused_since: float | None = None

    def look(self, job_ids: Iterable[str], *, is_moving: bool) -> None:
        """Read the queue's state if a read is due.

        :param job_ids: jobs that wait in the queue.
        :param is_moving: whether a job has ended since the last call.
        :raises QueueStaysPausedError: the queue has been paused for too long.
        """
        now = time.monotonic()
        # No job of a paused queue ends, so there is no need to read the state after a job has ended.
        if is_moving:
            self._looked_at, self._paused_since = now, None
        job_id = next(iter(job_ids), None)
        if job_id is None or now - self._looked_at < self._every:
            return
        self._looked_at = now
        if not self._is_paused(job_id):
            self._paused_since = None
            return
        self._paused_since = self._paused_since or now
        paused_for = now - self._paused_since
        log.warning("queue %s is paused (for at least %.0f s); its jobs wait", self._queue_id, paused_for)
        if paused_for >= self._limit:
            raise QueueStaysPausedError(self._queue_id, paused_for)

    def _is_paused(self, job_id: str) -> bool:
        self._queue_id = self._queue_id or self._queue_of(job_id)
        if not self._queue_id:
            return False
        queues = self._type.queues(self._client, queue_ids=[self._queue_id])
        return any(queue.state is QueueState.PAUSED for queue in queues)

    def _queue_of(self, job_id: str) -> str:
        try:
            return self._type.get(self._client, job_id).queue_id
        except NotFoundError:
            return ""
