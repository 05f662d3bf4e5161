"""A queue that is paused; it lives in :mod:`airflow_provider_ci.jobs.queue_pause`."""

from __future__ import annotations

from airflow_provider_ci.jobs.queue_pause import PauseWatch, QueueStaysPausedError

__all__ = ["PauseWatch", "QueueStaysPausedError"]
