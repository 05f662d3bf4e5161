"""The actions of the pages' forms. Jobs and queues change through the operations that API clients use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.jobs import queues
from airflow_provider_ci.local.jobs.queues import Queue
from airflow_provider_ci.local.objects import keys
from airflow_provider_ci.local.pages import process
from airflow_provider_ci.local.pages.forms import Form
from airflow_provider_ci.local.pages.guard import RefusedError
from airflow_provider_ci.local.pages.parts import Parts, Visit
from airflow_provider_ci.local.pages.views.simulate import PRESETS, SWITCHES

Action = Callable[[Parts, Visit, Form], Awaitable[str]]
"""An action returns the path below ``/_local/`` that the browser opens next."""

_QUEUE_PATHS = {
    queues.DOC: "docqueue",
    queues.PIC: "picqueue",
    queues.MEDIA: "queue",
    queues.FILE: "file_queue",
}
_CANCEL_PATHS = {
    "DocProcess": "doc_jobs",
    "DocWatermark": "doc_jobs",
    "FileHashCode": "jobs",
    "FileUncompress": "jobs",
    "PicProcess": "jobs",
}
_NUMBERS = {"count": int, "status": int, "seconds": float, "retry_after": int}
_FAULT_FIELDS = ("action", "method", "path", "host", "code", "part", *_NUMBERS)


def prepare(parts: Parts, fields: Mapping[str, str]) -> None:
    """Make the bucket that a form names, if the form asks for it, before a file is stored there."""
    if fields.get("make_bucket"):
        _make_bucket(parts, fields.get("bucket", ""))


async def convert(parts: Parts, visit: Visit, form: Form) -> str:
    """Submit a job for each dropped file, or for the object that the form names."""
    bucket = form.get("bucket")
    wanted = form.keys or [key for key in [form.fields.get("key", "")] if key]
    if not wanted:
        raise RefusedError(400, "The form has no file: choose one, or drop it on the page.")
    job_ids = [await _submit(parts, visit, form, bucket, key) for key in wanted]
    return f"jobs/{job_ids[0]}" if len(job_ids) == 1 else "jobs"


async def make_bucket(parts: Parts, visit: Visit, form: Form) -> str:
    """Make a bucket, which is a folder."""
    name = form.get("name")
    _make_bucket(parts, name)
    return f"buckets/{name}"


async def change_queue(parts: Parts, visit: Visit, form: Form) -> str:
    """Pause or resume a queue."""
    found = parts.queues.find(visit.rest)
    if found is None:
        raise ServiceError("QueueNotFound", f"Queue {visit.rest!r} does not exist.")
    path = f"/{_QUEUE_PATHS[found.category]}/{found.queue_id}"
    await parts.call(visit, "PUT", found.bucket, path, _queue_body(found, form.get("state")))
    return f"queues/{found.queue_id}" if form.get("back") == "queue" else "queues"


async def cancel_job(parts: Parts, visit: Visit, form: Form) -> str:
    """Cancel a job that has not started."""
    found = parts.jobs.find(visit.rest)
    if found is None:
        raise ServiceError("ResourceNotFound", f"Job {visit.rest!r} does not exist.")
    path = f"/{_CANCEL_PATHS[found.tag]}/{found.job_id}"
    await parts.call(visit, "PUT", found.bucket, path, query="cancel")
    return f"jobs/{found.job_id}"


async def change_faults(parts: Parts, visit: Visit, form: Form) -> str:
    """Add a fault, delete all faults, switch a trait, or reset all traits."""
    choice = form.get("do")
    if choice == "clear":
        parts.faults.clear()
    elif choice == "reset":
        parts.traits.reset()
    elif choice == "add":
        parts.faults.add_mapping(_fault(form))
    elif choice in PRESETS:
        parts.faults.add_mapping(PRESETS[choice].fault)
    elif choice in SWITCHES:
        parts.traits.set_mapping({choice: form.get("on") == "true"})
    else:
        raise RefusedError(400, f"The fault or trait {choice!r} is unknown.")
    return "simulate"


ACTIONS: Mapping[tuple[str, bool], Action] = {
    ("convert", False): convert,
    ("buckets", False): make_bucket,
    ("queues", True): change_queue,
    ("jobs", True): cancel_job,
    ("simulate", False): change_faults,
}
"""The keys are the kind of page, and whether its path names something."""


async def _submit(parts: Parts, visit: Visit, form: Form, bucket: str, key: str) -> str:
    order = process.read(form.fields, bucket, key)
    answer = await parts.call(visit, "POST", bucket, order.path, order.body)
    return wire.text(wire.parse(answer.body, "Response"), "JobsDetail/JobId")


def _make_bucket(parts: Parts, name: str) -> None:
    if not keys.is_bucket_name(name) or len(name) > 60:
        raise RefusedError(
            400,
            f"{name!r} is not the name of a bucket: lower-case letters, digits and -, such as my-1250000000.",
        )
    parts.store.bucket_path(name).mkdir(exist_ok=True)
    parts.store.require_bucket(name)


def _queue_body(found: Queue, state: str) -> bytes:
    return wire.document(
        "Request",
        {"Name": found.name, "QueueID": found.queue_id, "State": state, "NotifyConfig": {}},
    )


def _fault(form: Form) -> dict[str, object]:
    """A fault from the filled fields of the form."""
    values: dict[str, object] = {}
    for name in _FAULT_FIELDS:
        text = form.get(name)
        if text:
            values[name] = _NUMBERS[name](text) if name in _NUMBERS else text
    return values
