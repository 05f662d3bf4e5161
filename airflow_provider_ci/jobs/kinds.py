"""The types of job, the client's calls for each type, and the default queue of each type."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from threading import Lock
from typing import Any, NoReturn, Union
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
from airflow_provider_ci.client.jobs.any_job import (
    JOB_OPERATIONS,
    LISTED_PATHS,
    JobOperation,
    output_of_tag,
    path_of_tag,
)
from airflow_provider_ci.jobs.matching import matches_operation

__all__ = [
    "BY_ID",
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

Operation = Union[DocProcess, JobOperation, PicProcess, PicTemplate]  # noqa: UP007  (evaluated at run time)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """A type of job: the client's calls for the jobs of one tag, and the other differences between tags."""

    tag: str
    """The service's tag, such as ``DocProcess``; empty if only the ids of the jobs are known."""
    submit: Callable[..., Job]
    get: Callable[[CIClient, str], Job]
    list: Callable[..., Iterator[Job]]
    list_page: Callable[..., JobPage]
    cancel: Callable[[CIClient, str], None]
    queues: Callable[..., Sequence[Queue]]
    is_listed: bool = True
    """Whether the service lists such jobs. If not, a job cannot be found after its response was lost."""
    output: str = "object"
    """What a job writes: an ``object``, objects below a ``prefix``, or ``none``."""


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

_QUEUES_BY_PATH: dict[str, Callable[..., Sequence[Queue]]] = {
    "/doc_jobs": CIClient.list_doc_queues,
    "/file_jobs": CIClient.list_file_queues,
    "/pic_jobs": CIClient.list_pic_queues,
}
_QUEUES_BY_TAG: dict[str, Callable[..., Sequence[Queue]]] = {
    "FileCompress": CIClient.list_file_queues,
    "FileHashCode": CIClient.list_file_queues,
    "FileUncompress": CIClient.list_file_queues,
    "ImageOCR": CIClient.list_ai_queues,
    "PicProcess": CIClient.list_pic_queues,
}
"""For tags at ``/jobs``, which serves several features: the call that lists the queues of their feature."""

_NO_JOBS = {"b": "a job over an inventory", "p": "a queue", "t": "a template"}
"""First letters of ids that are not job ids, and what such ids name."""
_OTHER_JOBS = "afj"
"""First letters of the ids of AI jobs, file jobs and media jobs."""
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9]*")


def _no_queues(client: CIClient, **_: object) -> Sequence[Queue]:
    """Return no queues, for features unknown to this package; their jobs are listed over all queues."""
    return ()


def _not_by_id(*_: object, **__: object) -> NoReturn:
    raise TypeError("these jobs are known by their ids only: they can be read and cancelled")


BY_ID = JobType(
    tag="",
    submit=_not_by_id,
    get=CIClient.get_job,
    list=_not_by_id,
    list_page=_not_by_id,
    cancel=CIClient.cancel_job,
    queues=_no_queues,
    is_listed=False,
)
"""The type of jobs with an unknown tag. Only their ids are known, from which no tag can be derived."""


# Cached, so that equal arguments give the same type: types with separate partial objects would not be equal.
@cache
def _any_type(tag: str, path: str, output: str) -> JobType:
    return JobType(
        tag=tag,
        submit=CIClient.submit_job,
        # A job is read where it was submitted: a file job may be at /jobs, although its id begins with f.
        get=partial(CIClient.get_job, path=path),
        list=partial(_listed, CIClient.list_jobs, tag, path),
        list_page=partial(_listed, CIClient.list_jobs_page, tag, path),
        cancel=CIClient.cancel_job,
        queues=_QUEUES_BY_PATH.get(path) or _QUEUES_BY_TAG.get(tag, _no_queues),
        is_listed=path in LISTED_PATHS,
        output=output,
    )


def _listed(call: Callable[..., Any], tag: str, path: str, client: CIClient, **options: Any) -> Any:
    return call(client, tag, path=path, **options)


def type_of_operation(operation: Operation) -> JobType:
    """Return the type of the jobs that perform this operation.

    :raises TypeError: the argument is not an operation of the service.
    """
    if isinstance(operation, DocProcess):
        return DOCUMENTS
    if isinstance(operation, (PicProcess, PicTemplate)):
        return PICTURES
    # For a tag that our tables do not know, the user's operation names the path and the output.
    if isinstance(operation, JOB_OPERATIONS):
        tag = operation.tag
        path, output = operation.path or path_of_tag(tag), operation.output or output_of_tag(tag)
        return _any_type(tag, path, output)
    names = ", ".join(each.__name__ for each in (DocProcess, PicProcess, *JOB_OPERATIONS))
    raise TypeError(f"operation must be a PicTemplate or one of {names}, not {type(operation).__name__}")


def type_of_tag(tag: str) -> JobType:
    """Return the type of the jobs with this tag of the service, at the tag's usual path.

    :raises ValueError: the text cannot be a tag.
    """
    for job_type in (DOCUMENTS, PICTURES):
        if job_type.tag == tag:
            return job_type
    if not _TAG.fullmatch(tag):
        raise ValueError(f"{tag!r} is not a tag of the service, such as DocProcess")
    return _any_type(tag, path_of_tag(tag), output_of_tag(tag))


def type_of_job_id(job_id: str) -> JobType:
    """Return the type of a job by the first letter of its id.

    ``d`` means documents. ``a``, ``f`` and ``j`` mean other tags, whose jobs can only be read by id
    (:data:`BY_ID`). All other letters, such as ``c``, mean pictures.

    :raises ValueError: the text is not a job id, or is the id of something else, such as a queue.
    """
    if len(job_id) < 2 or not job_id.isalnum():
        raise ValueError(f"{job_id!r} is not a job id: a job id is a letter and 32 hexadecimal digits")
    if other := _NO_JOBS.get(job_id[0]):
        raise ValueError(f"{job_id!r} is {other}, not a job")
    if job_id[0] in _OTHER_JOBS:
        return BY_ID
    return DOCUMENTS if job_id.startswith("d") else PICTURES


# A weak dictionary does not keep clients alive.
_queue_ids: WeakKeyDictionary[CIClient, dict[str, tuple[str, ...]]] = WeakKeyDictionary()
_queue_ids_lock = Lock()


def default_queue_id(client: CIClient, job_type: JobType) -> str | None:
    """Return the queue of jobs that are submitted without a queue; looked up once per client and type of job.

    The service creates one queue when a feature is switched on. If a bucket has several queues, the service
    does not say which is the default. So the result is None for several queues, or if the key has no
    permission to list queues.

    :raises CIError: the service is unavailable.
    """
    queue_ids = all_queue_ids(client, job_type)
    return queue_ids[0] if len(queue_ids) == 1 else None


def all_queue_ids(client: CIClient, job_type: JobType) -> tuple[str, ...]:
    """Return the bucket's queues for this type of job, looked up once; empty if the key may not list them.

    :raises CIError: the service is unavailable.
    """
    # The lock is held during the request, so that threads that start together send only one request.
    with _queue_ids_lock:
        known = _queue_ids.setdefault(client, {})
        # An empty result is not kept, because the queue appears when the feature is switched on later.
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
