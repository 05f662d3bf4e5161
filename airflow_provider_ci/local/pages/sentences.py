"""Describes a job in a sentence, with words from a table for each tag and state, and lists its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.local.jobs.jobs import Job, State
from airflow_provider_ci.local.jobs.requests.submission import FORMS, target_of
from airflow_provider_ci.local.jobs.work.files import prefix_of
from airflow_provider_ci.web import figures

_NAMES = {"jpeg": "JPG", "jpg": "JPG", "pdf": "PDF", "png": "PNG", "webp": "WebP"}

Words = Callable[[Job], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How jobs of one tag are described; ``outputs`` returns the keys of the objects that a job made."""

    task: Words
    """What the job does, as after "could not": ``make a PDF from a.docx``."""
    wish: Words
    """What happens to its input, as after "waits to": ``become a PDF``."""
    done: Words
    """What the job did: ``Made a PDF of 3 pages from a.docx``."""
    outputs: Callable[[Job], list[str]]


def sentence(job: Job, now: float) -> str:
    """The state of a job as a person would say it."""
    return _SENTENCES[job.state](job, now)


def outputs(job: Job) -> list[str]:
    """The keys of the objects that a job made and named in its result, in order."""
    return [str(key).removeprefix("/") for key in TELLINGS[job.tag].outputs(job)]


def parameters(job: Job) -> Mapping[str, str]:
    """The parameters of the job's operation, with the password masked."""
    return job.operation[FORMS[job.tag].node]


def output_bucket(job: Job) -> str:
    """The bucket of the job's outputs; for a job without outputs, the job's own bucket."""
    return job.operation.get("Output", {}).get("Bucket", job.bucket)


def short_name(key: str) -> str:
    """The last part of a key, which is enough in a sentence."""
    return key.rstrip("/").rpartition("/")[2] or key


def elapsed(job: Job, now: float) -> str:
    """How long a job has been running or ran, as text; times are in whole seconds."""
    if job.started is None:
        return ""
    seconds = max((job.ended or now) - job.started, 0)
    told = figures.duration(int(seconds)) if seconds >= 1 else "under 1 s"
    return told.replace(" ", "\N{NO-BREAK SPACE}")  # no line break between number and unit


def digest(job: Job) -> tuple[str, str]:
    """The kind of a hash and the hash, which is empty before the job has succeeded."""
    kind = parameters(job).get("Type", "").upper()
    return kind, str(_result(job).get(kind, ""))


def unpacked_files(job: Job) -> int:
    """How many files an archive held."""
    return _number(job, "FileCount")


def unpacked_prefix(job: Job) -> str:
    """The beginning of the keys of an archive's files."""
    return prefix_of(parameters(job), job.input_object.removeprefix("/"))


def _result(job: Job) -> Mapping[str, Any]:
    return job.result or {}


def _number(job: Job, name: str, default: int = 0) -> int:
    text = str(_result(job).get(name, ""))
    return int(text) if text.isdecimal() else default


def _input(job: Job) -> str:
    return short_name(job.input_object)


def _aim(job: Job) -> str:
    """What the job makes: ``a PDF`` or ``PNG pictures``."""
    target = target_of(parameters(job))
    return "a PDF" if target == "pdf" else f"{_NAMES[target]} pictures"


def _document_done(job: Job) -> str:
    pages = figures.plural(_number(job, "TotalPageCount", 1), "page")
    target = target_of(parameters(job))
    pictures = figures.plural(len(outputs(job)), f"{_NAMES[target]} picture")
    made = "a PDF" if target == "pdf" else pictures
    return f"Made {made} of {pages} from {_input(job)}"


def _picture_done(job: Job) -> str:
    made = _result(job).get("ProcessResult", {})
    shape = f"{made.get('Width', '?')}×{made.get('Height', '?')}"
    size = figures.size(float(made.get("Size", 0) or 0))
    name = str(made.get("Format", ""))
    return f"Made a {_NAMES.get(name, name.upper())} picture of {shape} ({size}) from {_input(job)}"


def _watermark_done(job: Job) -> str:
    pages = figures.plural(_number(job, "TotalPageCount", 1), "page")
    return f"Put a watermark on {pages} of {_input(job)}"


def _page_outputs(job: Job) -> list[str]:
    return [page["TgtUri"] for page in _result(job).get("PageInfo", [])]


def _picture_outputs(job: Job) -> list[str]:
    return [_result(job)["ObjectName"]] if "ObjectName" in _result(job) else []


def _watermark_outputs(job: Job) -> list[str]:
    return [job.operation["Output"]["Object"]] if job.state is State.SUCCESS else []


def _unpacked_outputs(job: Job) -> list[str]:
    """The keys of the unpacked files; only a result with a listing names them."""
    return [item["Key"] for item in _result(job).get("FileList", {}).get("Contents", [])]


TELLINGS: Mapping[str, Telling] = {
    "DocProcess": Telling(
        task=lambda job: f"make {_aim(job)} from {_input(job)}",
        wish=lambda job: f"become {_aim(job)}",
        done=_document_done,
        outputs=_page_outputs,
    ),
    "DocWatermark": Telling(
        task=lambda job: f"put a watermark on {_input(job)}",
        wish=lambda job: "get a watermark",
        done=_watermark_done,
        outputs=_watermark_outputs,
    ),
    "FileHashCode": Telling(
        task=lambda job: f"compute the {digest(job)[0]} hash of {_input(job)}",
        wish=lambda job: f"get its {digest(job)[0]} hash",
        done=lambda job: f"Computed the {digest(job)[0]} hash of {_input(job)}",
        outputs=lambda job: [],
    ),
    "FileUncompress": Telling(
        task=lambda job: f"unpack {_input(job)}",
        wish=lambda job: "be unpacked",
        done=lambda job: f"Unpacked {figures.plural(unpacked_files(job), 'file')} from {_input(job)}",
        outputs=_unpacked_outputs,
    ),
    "PicProcess": Telling(
        task=lambda job: f"make a picture from {_input(job)}",
        wish=lambda job: "become another picture",
        done=_picture_done,
        outputs=_picture_outputs,
    ),
}


def _success(job: Job, now: float) -> str:
    return f"{TELLINGS[job.tag].done(job)} in {elapsed(job, now) or 'no time'}."


def _failed(job: Job, now: float) -> str:
    return f"Could not {TELLINGS[job.tag].task(job)}: {job.message}"


def _running(job: Job, now: float) -> str:
    verb, _, rest = TELLINGS[job.tag].task(job).partition(" ")
    return f"{verb.capitalize()}s {rest}, for {elapsed(job, now)}."


def _waiting(job: Job, now: float) -> str:
    seconds = figures.duration(max(int(now) - job.created, 0)) or "0 s"
    return f"{_input(job)} waits to {TELLINGS[job.tag].wish(job)}, for {seconds}."


def _held(job: Job, now: float) -> str:
    return f"{_input(job)} is held: its queue is paused."


def _cancelled(job: Job, now: float) -> str:
    return f"{_input(job)} was cancelled before it began."


_SENTENCES: Mapping[State, Callable[[Job, float], str]] = {
    State.SUCCESS: _success,
    State.FAILED: _failed,
    State.RUNNING: _running,
    State.SUBMITTED: _waiting,
    State.PAUSE: _held,
    State.CANCEL: _cancelled,
}
