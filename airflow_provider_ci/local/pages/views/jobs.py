"""The list of jobs, and one job: its sentence, its input beside its output, and the same job to copy."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.jobs.jobs import FINAL, WAITING, Job, State
from airflow_provider_ci.local.jobs.responses.details import job_detail
from airflow_provider_ci.local.pages import sentences, snippets
from airflow_provider_ci.local.pages.overview import Wanted
from airflow_provider_ci.local.pages.parts import Parts, Shown, Visit
from airflow_provider_ci.local.pages.views.objects import object_figure
from airflow_provider_ci.local.pages.views.rows import flat, job_row

PAGE_SIZE = 50
FAILED_FIRST = 5
SHOWN_OUTPUTS = 60

_TABS: Mapping[str, tuple[str, tuple[State, ...]]] = {
    "": ("All", ()),
    "failed": ("Failed", (State.FAILED,)),
    "running": ("Converting", (State.RUNNING,)),
    "waiting": ("Waiting", WAITING),
    "done": ("Done", (State.SUCCESS,)),
    "cancelled": ("Cancelled", (State.CANCEL,)),
}


def job_list(parts: Parts, visit: Visit) -> Shown:
    """All jobs: the newest failed ones first, then the newest."""
    chosen = visit.parameter("state") if visit.parameter("state") in _TABS else ""
    text, before = visit.parameter("find").strip(), visit.number("before", 0, low=0)
    totals = parts.overview.totals()
    wanted = Wanted(states=_TABS[chosen][1], text=text, before=before or None)
    found = parts.overview.newest(wanted, PAGE_SIZE + 1)
    shown = found[:PAGE_SIZE]
    current = {"state": chosen, "find": text}
    failed_first = not (chosen or text or before)
    failed = parts.overview.newest(Wanted(states=(State.FAILED,)), FAILED_FIRST) if failed_first else []
    return Shown(
        template="jobs.html",
        title="Jobs",
        refresh=0 if before else 3,
        values={
            "tabs": [
                (word, _total(totals, states), name, name == chosen) for name, (word, states) in _TABS.items()
            ],
            "current": current,
            "failed": [job_row(job, visit.now) for job in failed],
            "failed_total": totals.get(State.FAILED, 0),
            "jobs": [job_row(job, visit.now) for job in shown if job not in failed],
            "next": shown[-1].seq if len(found) > PAGE_SIZE else 0,
            "before": before,
            "find": text,
            "chosen": chosen,
        },
    )


def job(parts: Parts, visit: Visit) -> Shown:
    """One job."""
    found = parts.jobs.find(visit.rest)
    if found is None:
        raise ServiceError("ResourceNotFound", f"Job {visit.rest!r} does not exist.")
    keys = sentences.outputs(found)
    last = _last_page(found, keys)
    page = visit.number("page", 1, high=last)
    bucket = found.operation["Output"]["Bucket"]
    access = snippets.Access.of(parts, visit.endpoint)
    return Shown(
        template="job.html",
        title=f"Job {found.job_id}: {found.state}",
        refresh=0 if found.state in FINAL else 1,
        values={
            "job": found,
            "row": job_row(found, visit.now),
            "input": object_figure(
                parts, found.bucket, found.input_object.removeprefix("/"), _input_page(found, page)
            ),
            "output": _shown_output(parts, bucket, keys, page),
            "outputs": keys[:SHOWN_OUTPUTS],
            "output_count": len(keys),
            "output_bucket": bucket,
            "page": page,
            "last": last,
            "is_waiting": found.state in WAITING,
            "is_final": found.state in FINAL,
            "goal": sentences.goal(found),
            "facts": _facts(found, visit.now),
            "queue": queue.name if (queue := parts.queues.find(found.queue_id)) else found.queue_id,
            "fields": list(flat(job_detail(found))),
            "snippets": snippets.of_job(access, found),
            "has_own_key": not parts.is_example_key,
        },
    )


def _total(totals: Mapping[State, int], states: tuple[State, ...]) -> int:
    return sum(totals.get(state, 0) for state in states or State)


def _last_page(found: Job, keys: list[str]) -> int:
    """How many pages can be shown: the pages of a PDF, or one per picture."""
    total = int(str((found.result or {}).get("TotalPageCount", 1)) or 1)
    return max(total if len(keys) == 1 else len(keys), 1)


def _input_page(found: Job, page: int) -> int:
    """The page of the input that belongs to output number ``page``; a sheet is shown from its beginning."""
    result = found.result or {}
    if "TotalSheetCount" in result:
        return 1
    pages = result.get("PageInfo", [])
    numbers = [int(item["PageNo"]) for item in pages] if isinstance(pages, list) else []
    return numbers[page - 1] if len(numbers) > 1 and page <= len(numbers) else page


def _shown_output(parts: Parts, bucket: str, keys: list[str], page: int) -> dict[str, object] | None:
    if not keys:
        return None
    if len(keys) == 1:
        return object_figure(parts, bucket, keys[0], page)
    return object_figure(parts, bucket, keys[min(page, len(keys)) - 1], 1)


def _facts(found: Job, now: float) -> list[tuple[str, object]]:
    return [
        ("Took", sentences.elapsed(found, now)),
        ("Error", found.code if found.state is State.FAILED else ""),
        ("User data", found.operation.get("UserData", "")),
    ]
