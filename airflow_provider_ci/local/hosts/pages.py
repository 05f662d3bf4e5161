"""Pages for a browser on the same machine: a job, a queue, a report. Read-only, unsigned, without scripts.

Links from Airflow lead here, so these paths are stable: ``/_local/jobs/<job id>``,
``/_local/queues/<queue id>`` and ``/_local/objects/<bucket>/<key>``. Only this machine can read them: the
request must come from it and name it as its host, which a page of another origin cannot do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from ipaddress import ip_address

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.http.wire import Value, local_time
from airflow_provider_ci.local.jobs import queues
from airflow_provider_ci.local.jobs.details import job_detail, queue_detail
from airflow_provider_ci.local.jobs.jobs import Filter, Job, Jobs, State
from airflow_provider_ci.local.jobs.queues import Queue, Queues
from airflow_provider_ci.local.objects.store import Store

FOLDER = "/_local/"

MAX_TEXT_BYTES = 1024 * 1024
"""Bytes of an object that are shown."""

NEWEST_JOBS = 50
"""Jobs of a queue that are shown."""

_TEXTS = (".json", ".jsonl")
_TAGS = {
    queues.DOC: ("DocProcess", "DocWatermark"),
    queues.PIC: ("PicProcess",),
    queues.MEDIA: ("PicProcess",),
    queues.FILE: ("FileHashCode", "FileUncompress"),
}
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Answers GET below ``/_local/``; ``queue_size`` and ``queue_concurrency`` are what queues show."""

    store: Store
    jobs: Jobs
    queues: Queues
    queue_size: int
    queue_concurrency: int

    def answer(self, request: Request) -> Answer:
        """Return the page that the path names, or a page with the error."""
        kind, _, name = request.path[len(FOLDER) :].partition("/")
        show = _KINDS.get(kind)
        if not _is_from_here(request):
            return _refusal(403, "These pages are for a browser on the machine of the local CI.")
        if show is None:
            return _refusal(404, f"There are pages of {', '.join(_KINDS)} here, none of {kind!r}.")
        if request.method not in ("GET", "HEAD"):
            return _refusal(405, "These pages can only be read.")
        try:
            title, body = show(self, name)
        except ServiceError as error:
            return _refusal(404, error.message)
        return _page(200, title, body)

    def job(self, job_id: str) -> tuple[str, str]:
        """A job, as the service describes it, with the password masked."""
        job = self.jobs.find(job_id)
        if job is None:
            raise ServiceError("ResourceNotFound", f"Job {job_id!r} does not exist.")
        rows = [_row(name, escape(value)) for name, value in _flat(job_detail(job))]
        rows.append(_row("Queue", _link("queues", job.queue_id)))
        return f"Job {job_id}: {job.state}", f"<table>{''.join(rows)}</table>"

    def queue(self, queue_id: str) -> tuple[str, str]:
        """A queue: its settings, how many jobs it has in each state, and the newest of them."""
        queue = self.queues.find(queue_id)
        if queue is None:
            raise ServiceError("QueueNotFound", f"Queue {queue_id!r} does not exist.")
        counts: Counter[State] = Counter()
        newest: list[Job] = []
        for tag in _TAGS[queue.category]:
            counts.update(self.jobs.counts(queue_id, tag))
            newest += self.jobs.page(Filter(queue_ids=(queue_id,), tag=tag), size=NEWEST_JOBS, after=None)
        newest = sorted(newest, key=lambda job: job.seq, reverse=True)[:NEWEST_JOBS]
        settings = [*self._settings(queue), *((f"Jobs {state}", str(n)) for state, n in counts.items())]
        return f"Queue {queue_id}: {queue.state}", (
            f"<table>{''.join(_row(name, escape(value)) for name, value in settings)}</table>"
            f"<h2>Newest jobs</h2><table>{_JOBS_HEAD}{''.join(map(_job_row, newest))}</table>"
        )

    def object(self, name: str) -> tuple[str, str]:
        """The text of a JSON or JSONL object, such as a report, or its beginning."""
        bucket, _, key = name.partition("/")
        if not key.endswith(_TEXTS):
            raise ServiceError("NoSuchKey", f"Only objects called {' or '.join(_TEXTS)} are shown here.")
        found = self.store.find(bucket, key)
        opened = self.store.open(found) if found else None
        if opened is None:
            raise ServiceError("NoSuchKey", f"Object {key!r} does not exist in bucket {bucket}.")
        with opened[0] as file:
            text = file.read(MAX_TEXT_BYTES).decode(errors="replace")
        size = opened[1].size
        note = f"<p>The first {MAX_TEXT_BYTES:,} of {size:,} bytes:</p>" if size > MAX_TEXT_BYTES else ""
        return f"Object {key} of bucket {bucket}", f"{note}<pre>{escape(text)}</pre>"

    def _settings(self, queue: Queue) -> Iterator[tuple[str, str]]:
        """Its settings without the address of its receiver, which may hold a secret."""
        detail = queue_detail(queue, max_size=self.queue_size, max_concurrent=self.queue_concurrency)
        yield from _flat({name: value for name, value in detail.items() if name != "NotifyConfig"})
        yield "Callbacks", queue.notify["State"] or "Off"


_KINDS: Mapping[str, Callable[[Pages, str], tuple[str, str]]] = {
    "jobs": Pages.job,
    "queues": Pages.queue,
    "objects": Pages.object,
}
_JOBS_HEAD = "<tr><th>Job</th><th>State</th><th>Created</th><th>Ended</th><th>Input</th><th>Message</th></tr>"


def _is_from_here(request: Request) -> bool:
    try:
        return ip_address(request.http.remote or "").is_loopback
    except ValueError:
        return False


def _refusal(status: int, message: str) -> Answer:
    return _page(status, "Local CI", f"<p>{escape(message)}</p>")


def _page(status: int, title: str, body: str) -> Answer:
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Answer(status=status, body=text.encode(errors="replace"), headers=dict(_HEADERS))


def _flat(nodes: Mapping[str, Value], place: str = "") -> Iterator[tuple[str, str]]:
    """Every filled node with the names that lead to it, ``Operation.Output.Object``."""
    for name, value in nodes.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from _flat(item, f"{place}{name}.")
            elif item not in (None, ""):
                yield place + name, str(item)


def _job_row(job: Job) -> str:
    times = (local_time(job.created), local_time(job.ended))
    return _cells(
        [_link("jobs", job.job_id), *map(escape, (job.state, *times, job.input_object, job.message))]
    )


def _row(name: str, cell: str) -> str:
    return f"<tr><th>{escape(name)}</th><td>{cell}</td></tr>"


def _cells(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _link(kind: str, name: str) -> str:
    """A link to another page; ids of jobs and queues need no quoting."""
    return f'<a href="{FOLDER}{kind}/{escape(name)}">{escape(name)}</a>'
