"""The two kinds of jobs, and which calls of the client serve each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_ci.client import CIClient, DocProcess, Job, PicProcess, PicTemplate, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """Document jobs or picture jobs: the same verbs on different calls of the service."""

    tag: str
    """The service's tag: ``DocProcess`` or ``PicProcess``."""
    submit: Callable[..., Job]
    get: Callable[[CIClient, str], Job]
    list: Callable[..., Iterator[Job]]
    cancel: Callable[[CIClient, str], None]
    queues: Callable[..., Sequence[Queue]]


DOCUMENTS = JobKind(
    tag="DocProcess",
    submit=CIClient.submit_doc_job,
    get=CIClient.get_doc_job,
    list=CIClient.list_doc_jobs,
    cancel=CIClient.cancel_doc_job,
    queues=CIClient.list_doc_queues,
)
PICTURES = JobKind(
    tag="PicProcess",
    submit=CIClient.submit_pic_job,
    get=CIClient.get_pic_job,
    list=CIClient.list_pic_jobs,
    cancel=CIClient.cancel_pic_job,
    queues=CIClient.list_pic_queues,
)


def kind_of_operation(operation: DocProcess | PicProcess | PicTemplate) -> JobKind:
    """The kind of the jobs that do this operation.

    :raises TypeError: it is neither a ``DocProcess`` nor a ``PicProcess``.
    """
    if isinstance(operation, DocProcess):
        return DOCUMENTS
    if isinstance(operation, (PicProcess, PicTemplate)):
        return PICTURES
    raise TypeError(f"operation must be a DocProcess or a PicProcess, not {type(operation).__name__}")


def kind_of_tag(tag: str) -> JobKind:
    """The kind of the jobs with this tag of the service."""
    return {kind.tag: kind for kind in (DOCUMENTS, PICTURES)}[tag]


def kind_of_job(job_id: str) -> JobKind:
    """The kind of a job by the first letter of its id: ``d`` is a document job, others are picture jobs.

    :raises ValueError: it does not look like a job id.
    """
    if len(job_id) < 2 or not job_id.isalnum():
        raise ValueError(f"{job_id!r} is not a job id: they are a letter and 32 hexadecimal digits")
    return DOCUMENTS if job_id.startswith("d") else PICTURES


def does(job: Job, operation: DocProcess | PicProcess | PicTemplate) -> bool:
    """Whether what the service echoes of the job's operation is what this one asks for.

    What it does not echo says nothing; neither does a password.
    """
    echoed = job.raw.get("Operation")
    if isinstance(operation, PicTemplate):
        return not isinstance(echoed, Mapping) or echoed.get("TemplateId") in (None, operation.template_id)
    echo = echoed.get(job.tag) if isinstance(echoed, Mapping) else None
    if not isinstance(echo, Mapping):
        return True
    return all(
        echo.get(name) in (None, "", value if isinstance(value, str) else str(value).lower())
        for name, value in operation.to_node().items()
        if value is not None and name != "DocPassword"
    )
