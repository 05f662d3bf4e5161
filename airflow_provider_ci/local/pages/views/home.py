"""The first page: what this is, a place to drop a file, the newest jobs, and how to connect."""

from __future__ import annotations

from airflow_provider_ci.local.jobs.jobs import State
from airflow_provider_ci.local.pages import process, snippets
from airflow_provider_ci.local.pages.overview import Wanted
from airflow_provider_ci.local.pages.parts import Parts, Shown, Visit
from airflow_provider_ci.local.pages.views.queues import queue_row
from airflow_provider_ci.local.pages.views.rows import job_row, progress

NEWEST_JOBS, NEWEST_FAILED = 8, 3
_BUSY_SECONDS = 1
_IDLE_SECONDS = 3
_MINUTE = 60


def home(parts: Parts, visit: Visit) -> Shown:
    """The page at the address of the local CI."""
    buckets = parts.store.buckets()
    totals = parts.overview.totals()
    is_busy = any(totals.get(state) for state in (State.RUNNING, State.SUBMITTED))
    access = snippets.Access.of(parts, visit.endpoint)
    jobs = parts.overview.newest(Wanted(), NEWEST_JOBS)
    failed = parts.overview.newest(Wanted(states=(State.FAILED,)), NEWEST_FAILED)
    return Shown(
        template="home.html",
        title="Local CI",
        refresh=_BUSY_SECONDS if is_busy else _IDLE_SECONDS,
        values={
            "buckets": buckets,
            "example_bucket": snippets.EXAMPLE_BUCKET,
            "converts": parts.converts,
            "endpoint": visit.endpoint,
            "numbers": numbers(parts, visit),
            "progress": progress(totals),
            "total": sum(totals.values()),
            "jobs": [job_row(job, visit.now) for job in jobs],
            "failed": [job_row(job, visit.now) for job in failed if job not in jobs],
            "queues": [queue_row(parts, queue) for queue in parts.overview.queues()],
            "connections": snippets.connections(access, buckets[0] if buckets else snippets.EXAMPLE_BUCKET),
            "is_example_key": parts.is_example_key,
            "faults": len(parts.faults.pending()),
            **form_values(),
        },
    )


def form_values() -> dict[str, object]:
    """The choices in the form of a conversion."""
    return {"goals": process.GOALS, "formats": process.FORMATS}


def numbers(parts: Parts, visit: Visit) -> list[tuple[str, object, str, str]]:
    """The live numbers: caption, value, note and tone of each."""
    totals = parts.overview.totals()
    waiting = totals.get(State.SUBMITTED, 0) + totals.get(State.PAUSE, 0)
    failed = totals.get(State.FAILED, 0)
    requests = sum(parts.counts.as_mapping().values())
    return [
        ("Running", totals.get(State.RUNNING, 0), f"of {parts.workers} workers", ""),
        ("Waiting", f"{waiting:,}", "", ""),
        ("Ended in the last minute", f"{parts.overview.ended_since(visit.now - _MINUTE):,}", "", ""),
        ("Done", f"{totals.get(State.SUCCESS, 0):,}", "", ""),
        ("Failed", f"{failed:,}", "", "bad" if failed else ""),
        ("API requests", f"{requests:,}", "", ""),
    ]
