"""The list of jobs, and one job: its sentence, its input beside its output, and its code to copy."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.jobs.jobs import FINAL, WAITING, Job, State
from airflow_provider_ci.local.jobs.responses.details import job_detail
from airflow_provider_ci.local.pages import sentences, snippets
from airflow_provider_ci.local.pages.overview import Wanted
from airflow_provider_ci.local.pages.parts import Parts, Shown, Visit
from airflow_provider_ci.local.pages.previews import can_convert
from airflow_provider_ci.local.pages.views.objects import object_figure
from airflow_provider_ci.local.pages.views.rows import flat, job_row
from airflow_provider_ci.web.figures import plural

PAGE_SIZE = 50
FAILED_FIRST = 5
SHOWN_OUTPUTS = 60
CONVERTING = ("DocProcess", "PicProcess")
"""The tags of the jobs that the form of an object submits."""

_TABS: Mapping[str, tuple[str, tuple[State, ...]]] = {
    "": ("All", ()),
    "failed": ("Failed", (State.FAILED,)),
    "running": ("Running", (State.RUNNING,)),
    "waiting": ("Waiting", WAITING),
    "done": ("Done", (State.SUCCESS,)),
    "cancelled": ("Cancelled", (State.CANCEL,)),
}


def job_list(parts: Parts, visit: Visit) -> Shown:
    """All jobs: the newest failed jobs first, then the newest jobs."""
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
    bucket = sentences.output_bucket(found)
    made = _made(parts, found, keys, page)
    source = found.input_object.removeprefix("/")
    access = snippets.Access.of(parts, visit.endpoint)
    return Shown(
        template="job.html",
        title=f"Job {found.job_id}: {found.state}",
        refresh=0 if found.state in FINAL else 1,
        values={
            "job": found,
            "row": job_row(found, visit.now),
            "input": object_figure(parts, found.bucket, source, _input_page(found, page)),
            "can_convert": found.tag in CONVERTING and can_convert(source),
            "output": made,
            "outputs": keys[:SHOWN_OUTPUTS],
            "output_count": max(len(keys), _unpacked(found)),
            "output_bucket": bucket,
            "output_folder": sentences.unpacked_prefix(found) if _unpacked(found) else None,
            "page": page,
            "last": last,
            "unit": "File" if found.tag == "FileUncompress" else "Page",
            "is_waiting": found.state in WAITING,
            "is_final": found.state in FINAL,
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


def _made(parts: Parts, found: Job, keys: list[str], page: int) -> dict[str, object] | None:
    """What a job made: an object, a hash, or files that its result does not name; None if nothing."""
    bucket = sentences.output_bucket(found)
    if len(keys) == 1:
        return object_figure(parts, bucket, keys[0], page)
    if keys:
        return object_figure(parts, bucket, keys[min(page, len(keys)) - 1], 1)
    if found.state is State.SUCCESS:
        return _WITHOUT_KEYS.get(found.tag, lambda found: None)(found)
    return None


def _hash_figure(found: Job) -> dict[str, object]:
    kind, digest = sentences.digest(found)
    return _figure(found, kind="text", key=kind, text=digest or "The result holds no hash.")


def _files_figure(found: Job) -> dict[str, object]:
    prefix, number = sentences.unpacked_prefix(found), plural(sentences.unpacked_files(found), "file")
    note = f"{number} {f'below {prefix}' if prefix else 'in the bucket'}. The job was not asked to list them."
    return _figure(found, kind="none", key=prefix, note=note)


def _figure(found: Job, **shown: object) -> dict[str, object]:
    """A figure of something that is not an object."""
    bucket = sentences.output_bucket(found)
    return {"bucket": bucket, "page": 1, "text": "", "note": "", "exists": False, **shown}


_WITHOUT_KEYS = {"FileHashCode": _hash_figure, "FileUncompress": _files_figure}


def _unpacked(found: Job) -> int:
    return sentences.unpacked_files(found) if found.tag == "FileUncompress" else 0


def _facts(found: Job, now: float) -> list[tuple[str, object]]:
    """Facts that are not in the sentence, which gives the duration only after Success."""
    is_failed = found.state is State.FAILED
    return [
        *([("Took", sentences.elapsed(found, now)), ("Error", found.code)] if is_failed else []),
        ("User data", found.operation.get("UserData", "")),
    ]
