"""The types of jobs, the calls of the client that serve each, and the queue that each uses by default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Union
from weakref import WeakKeyDictionary

from airflow_provider_ci.client import (
    CIClient,
    CIServiceError,
    DocProcess,
    Job,
    JobPage,
    PicProcess,
    PicTemplate,
    Queue,
)
from airflow_provider_ci.jobs.matching import matches_operation

__all__ = [
    "DOCUMENTS",
    "PICTURES",
    "JobType",
    "Operation",
    "all_queue_ids",
    "default_queue_id",
    "matches_operation",
    "type_of_job_id",
    "type_of_operation",
    "type_of_tag",
]

log = logging.getLogger(__name__)

Operation = Union[DocProcess, PicProcess, PicTemplate]  # noqa: UP007  (evaluated at run time)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """Document jobs or picture jobs: the same verbs on different calls of the service."""

    tag: str
    """The service's tag: ``DocProcess`` or ``PicProcess``."""
    submit: Callable[..., Job]
    get: Callable[[CIClient, str], Job]
    list: Callable[..., Iterator[Job]]
    list_page: Callable[..., JobPage]
    cancel: Callable[[CIClient, str], None]
    queues: Callable[..., Sequence[Queue]]


DOCUMENTS = JobType(
    tag="DocProcess",
    submit=CIClient.submit_doc_job,
    get=CIClient.get_doc_job,
    list=CIClient.list_doc_jobs,
    list_page=CIClient.list_doc_jobs_page,
    cancel=CIClient.cancel_doc_job,
    queues=CIClient.list_doc_queues,
)
PICTURES = JobType(
    tag="PicProcess",
    submit=CIClient.submit_pic_job,
    get=CIClient.get_pic_job,
    list=CIClient.list_pic_jobs,
    list_page=CIClient.list_pic_jobs_page,
    cancel=CIClient.cancel_pic_job,
    queues=CIClient.list_pic_queues,
)

_OTHER_IDS = {
    "a": "an AI job",
    "b": "a job over an inventory",
    "f": "a file job",
    "j": "a media job",
    "p": "a queue",
    "t": "a template",
}
"""The meanings of other first letters of the service's ids."""


def type_of_operation(operation: Operation) -> JobType:
    """Return the type of the jobs that do this operation.

    :raises TypeError: it is not an operation on documents or pictures.
    """
    if isinstance(operation, DocProcess):
        return DOCUMENTS
    if isinstance(operation, (PicProcess, PicTemplate)):
        return PICTURES
    raise TypeError(
        f"operation must be a DocProcess, a PicProcess or a PicTemplate, not {type(operation).__name__}"
    )


def type_of_tag(tag: str) -> JobType:
    """Return the type of the jobs with this tag of the service.

    :raises ValueError: the tag is unknown.
    """
    for job_type in (DOCUMENTS, PICTURES):
        if job_type.tag == tag:
            return job_type
    raise ValueError(f"unknown tag {tag!r}: jobs are tagged {DOCUMENTS.tag} or {PICTURES.tag}")


def type_of_job_id(job_id: str) -> JobType:
    """Return the type of a job by the first letter of its id: ``d`` for documents, ``c`` for pictures.

    :raises ValueError: it is not a job id, or it is the id of another type of job.
    """
    if len(job_id) < 2 or not job_id.isalnum():
        raise ValueError(f"{job_id!r} is not a job id: a job id is a letter and 32 hexadecimal digits")
    if other := _OTHER_IDS.get(job_id[0]):
        raise ValueError(
            f"{job_id!r} is {other}: only document jobs (d...) and picture jobs (c...) are supported"
        )
    return DOCUMENTS if job_id.startswith("d") else PICTURES


_queue_ids: WeakKeyDictionary[CIClient, dict[str, tuple[str, ...]]] = WeakKeyDictionary()
_queue_ids_lock = Lock()


def default_queue_id(client: CIClient, job_type: JobType) -> str | None:
    """Return the queue of jobs submitted without one, looked up once per client and type of job.

    The service creates one queue when a feature is switched on. Of several queues, it marks none as the
    default. So the result is None if the bucket has several queues, or if the key may not list them.

    :raises CIError: the service is unavailable.
    """
    queue_ids = all_queue_ids(client, job_type)
    return queue_ids[0] if len(queue_ids) == 1 else None


def all_queue_ids(client: CIClient, job_type: JobType) -> tuple[str, ...]:
    """Return the bucket's queues for this type of job, looked up once. Empty if the key may not list them.

    :raises CIError: the service is unavailable.
    """
    with _queue_ids_lock:
        known = _queue_ids.setdefault(client, {})
        if not known.get(job_type.tag):
            known[job_type.tag] = _look_up_queue_ids(client, job_type)
        return known[job_type.tag]


def _look_up_queue_ids(client: CIClient, job_type: JobType) -> tuple[str, ...]:
    try:
        return tuple([queue.queue_id for queue in job_type.queues(client)])
    except CIServiceError as error:
        if error.is_retryable:
            raise
        log.info("cannot list the queues of %s jobs: %s", job_type.tag, error)
        return ()
