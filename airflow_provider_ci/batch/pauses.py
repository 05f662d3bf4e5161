"""A queue that is paused: said so, and waited for up to a limit."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from airflow_provider_ci.batch.kinds import JobKind
from airflow_provider_ci.client import CIClient, CIError, QueueState

log = logging.getLogger(__name__)


class QueueStaysPausedError(CIError):
    """The queue of the jobs was paused for longer than the batch waits. Its jobs are still in it."""

    def __init__(self, queue_id: str, seconds: float) -> None:
        self.queue_id = queue_id
        self.seconds = seconds
        super().__init__(
            f"queue {queue_id} has been paused for {seconds:.0f} s; resume it, then run the batch again: "
            "it goes on with the jobs that wait in it"
        )

    def __reduce__(self) -> tuple[type[QueueStaysPausedError], tuple[str, float]]:
        return type(self), (self.queue_id, self.seconds)


class PauseWatch:
    """Asks for the state of the queue when jobs have stopped ending.

    :param limit_seconds: how long a pause is waited for.
    :param every_seconds: time without an ended job before each question.
    """

    def __init__(
        self, client: CIClient, kind: JobKind, *, limit_seconds: float, every_seconds: float = 30.0
    ) -> None:
        self._client = client
        self._kind = kind
        self._limit = limit_seconds
        self._every = min(every_seconds, limit_seconds / 2)
        self._queue_id = ""
        self._asked_at = time.monotonic()
        self._paused_since: float | None = None

    def look(self, job_ids: Iterable[str], *, is_moving: bool) -> None:
        """Ask if it is time to.

        :param job_ids: jobs that wait in the queue.
        :raises QueueStaysPausedError: it has been paused for too long.
        """
        now = time.monotonic()
        if is_moving:
            self._asked_at, self._paused_since = now, None
        job_id = next(iter(job_ids), None)
        if job_id is None or now - self._asked_at < self._every:
            return
        self._asked_at = now
        if not self._is_paused(job_id):
            self._paused_since = None
            return
        self._paused_since = self._paused_since or now
        paused_for = now - self._paused_since
        log.warning("queue %s is paused (seen for %.0f s); its jobs wait", self._queue_id, paused_for)
        if paused_for >= self._limit:
            raise QueueStaysPausedError(self._queue_id, paused_for)

    def _is_paused(self, job_id: str) -> bool:
        self._queue_id = self._queue_id or self._kind.get(self._client, job_id).queue_id
        if not self._queue_id:
            return False
        queues = self._kind.queues(self._client, queue_ids=[self._queue_id])
        return any(queue.state is QueueState.PAUSED for queue in queues)
