"""The queues with their depth, and one queue with its newest jobs."""

from __future__ import annotations

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.jobs import queues
from airflow_provider_ci.local.jobs.jobs import State
from airflow_provider_ci.local.jobs.queues import Queue
from airflow_provider_ci.local.jobs.responses.details import queue_detail
from airflow_provider_ci.local.pages.parts import Parts, Shown, Visit
from airflow_provider_ci.local.pages.views.rows import flat, job_row, progress

NEWEST_JOBS = 50

_KINDS = {queues.DOC: "Documents", queues.PIC: "Pictures", queues.MEDIA: "Media", queues.FILE: "Files"}


def queue_list(parts: Parts, visit: Visit) -> Shown:
    """Every queue of every bucket."""
    return Shown(
        template="queues.html",
        title="Queues",
        refresh=2,
        values={"queues": [queue_row(parts, queue) for queue in parts.overview.queues()]},
    )


def queue(parts: Parts, visit: Visit) -> Shown:
    """One queue: its settings, its numbers, and its newest jobs."""
    found = parts.queues.find(visit.rest)
    if found is None:
        raise ServiceError("QueueNotFound", f"Queue {visit.rest!r} does not exist.")
    row = queue_row(parts, found)
    return Shown(
        template="queue.html",
        title=f"Queue {found.queue_id}: {found.state}",
        refresh=2,
        values={
            "queue": row,
            "fields": _settings(parts, found),
            "jobs": [job_row(job, visit.now) for job in parts.overview.of_queue(found, NEWEST_JOBS)],
        },
    )


def queue_row(parts: Parts, found: Queue) -> dict[str, object]:
    """The values of a queue that a list shows."""
    counts = parts.overview.counts(found)
    return {
        "queue_id": found.queue_id,
        "name": found.name,
        "bucket": found.bucket,
        "kind": _KINDS[found.category],
        "own_name": found.name if found.name != queues.DEFAULT_NAMES[found.category] else "",
        "is_paused": found.state == queues.PAUSED,
        "waiting": counts.get(State.SUBMITTED, 0) + counts.get(State.PAUSE, 0),
        "running": counts.get(State.RUNNING, 0),
        "size": parts.queue_size,
        "concurrency": min(parts.queue_concurrency, parts.workers),
        "progress": progress(counts),
        "total": sum(counts.values()),
    }


def _settings(parts: Parts, found: Queue) -> list[tuple[str, str]]:
    """The queue's settings without the address of its receiver, which may contain a secret."""
    detail = queue_detail(found, max_size=parts.queue_size, max_concurrent=parts.queue_concurrency)
    shown = {name: value for name, value in detail.items() if name != "NotifyConfig"}
    counts = parts.overview.counts(found)
    return [
        *flat(shown),
        ("Callbacks", found.notify["State"] or "Off"),
        *((f"Jobs {state}", str(number)) for state, number in counts.items()),
    ]
