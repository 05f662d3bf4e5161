"""A job in a sentence, and the objects that it made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_ci.local.jobs.jobs import Job, State
from airflow_provider_ci.local.jobs.requests.submission import target_of
from airflow_provider_ci.web import figures

_NAMES = {"pdf": "PDF", "png": "PNG", "jpg": "JPG"}


def sentence(job: Job, now: float) -> str:
    """The state of a job as a person would say it."""
    return _SENTENCES[job.state](job, now)


def outputs(job: Job) -> list[str]:
    """The keys of the objects that a job made, in order."""
    result: Mapping[str, Any] = job.result or {}
    if job.tag == "DocProcess":
        found = [page["TgtUri"] for page in result.get("PageInfo", [])]
    else:
        found = [result["ObjectName"]] if "ObjectName" in result else []
    return [str(key).removeprefix("/") for key in found]


def goal(job: Job) -> str:
    """What the job makes: ``PDF``, ``PNG pictures``, or ``picture``."""
    if job.tag == "DocProcess":
        target = target_of(job.operation["DocProcess"])
        return _NAMES[target] if target == "pdf" else f"{_NAMES[target]} pictures"
    return "picture"


def short_name(key: str) -> str:
    """The last part of a key, which says enough in a sentence."""
    return key.rstrip("/").rpartition("/")[2] or key


def elapsed(job: Job, now: float) -> str:
    """How long a job has run or ran; times have whole seconds."""
    if job.started is None:
        return ""
    seconds = max((job.ended or now) - job.started, 0)
    return figures.duration(int(seconds)) if seconds >= 1 else "less than a second"


def _success(job: Job, now: float) -> str:
    made = _pages_made(job) if job.tag == "DocProcess" else _picture_made(job)
    return f"Made {made} from {short_name(job.input_object)} in {elapsed(job, now)}."


def _pages_made(job: Job) -> str:
    result: Mapping[str, Any] = job.result or {}
    pages = figures.plural(int(result.get("TotalPageCount", 1)), "page")
    target = target_of(job.operation["DocProcess"])
    if target == "pdf":
        return f"a PDF of {pages}"
    pictures = figures.plural(len(outputs(job)), f"{_NAMES[target]} picture")
    return f"{pictures} of {pages}"


def _picture_made(job: Job) -> str:
    result: Mapping[str, Any] = job.result or {}
    made = result.get("ProcessResult", {})
    shape = f"{made.get('Width', '?')}×{made.get('Height', '?')}"
    size = figures.size(float(made.get("Size", 0) or 0))
    return f"a {str(made.get('Format', '')).upper()} picture of {shape} ({size})"


def _failed(job: Job, now: float) -> str:
    return f"Could not make a {_singular(goal(job))} from {short_name(job.input_object)}: {job.message}"


def _singular(text: str) -> str:
    return text.removesuffix("s")


def _running(job: Job, now: float) -> str:
    return f"Makes a {_singular(goal(job))} from {short_name(job.input_object)}, for {elapsed(job, now)}."


def _waiting(job: Job, now: float) -> str:
    seconds = figures.duration(max(int(now) - job.created, 0)) or "0 s"
    return f"{short_name(job.input_object)} waits to become a {_singular(goal(job))}, for {seconds}."


def _held(job: Job, now: float) -> str:
    return f"{short_name(job.input_object)} is held: its queue is paused."


def _cancelled(job: Job, now: float) -> str:
    return f"{short_name(job.input_object)} was cancelled before it began."


_SENTENCES: Mapping[State, Callable[[Job, float], str]] = {
    State.SUCCESS: _success,
    State.FAILED: _failed,
    State.RUNNING: _running,
    State.SUBMITTED: _waiting,
    State.PAUSE: _held,
    State.CANCEL: _cancelled,
}
