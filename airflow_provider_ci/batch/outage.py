"""How long the service has been away, and when that is too long."""

from __future__ import annotations

import logging
import time

from airflow_provider_ci.client import CIError, SubmissionUnknownError

log = logging.getLogger(__name__)


class Outage:
    """Notes what went wrong in each round of a batch.

    :param limit_seconds: how long nothing may move while something is wrong.
    """

    def __init__(self, batch_id: str, *, limit_seconds: float) -> None:
        self._batch_id = batch_id
        self._limit = limit_seconds
        self._since: float | None = None
        self._moved = 0
        self.lost: SubmissionUnknownError | None = None
        """The last lost answer since anything moved."""
        self.is_over = True
        """Whether nothing was wrong in the last round."""
        self.is_full_queue = False
        """Whether all that is wrong is that the queue takes no more for now."""

    def note(self, error: CIError | None, *, moved: int) -> None:
        """Go on waiting, unless the service has been away for too long; a full queue is no outage.

        :param moved: grows with every submission that is taken and every object that is finished.
        :raises CIError: the error itself, when it has.
        """
        is_moving, self._moved = moved > self._moved, moved
        self.is_over = error is None and self.lost is None
        self.is_full_queue = getattr(error, "code", "") == "QueueSaturated"
        if is_moving:
            self.lost = None
        error = error or self.lost
        if error is None or is_moving or self.is_full_queue:
            self._since = None
        if error is not None:
            self._wait_or_raise(error)

    def _wait_or_raise(self, error: CIError) -> None:
        now = time.monotonic()
        self._since = self._since or now
        away = now - self._since
        if away > self._limit:
            raise error
        log.warning("batch %s waits for the service (%.0f s so far): %s", self._batch_id, away, error)
