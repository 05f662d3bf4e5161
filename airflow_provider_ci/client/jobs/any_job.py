"""Jobs of any tag: their paths, their outputs, their calls, and an operation for tags without a class.

Sources: tencentcloud.com document/product/1045/73114 (the tags of ``/jobs``), 1045/47932 and 1045/54392, and
the paths that the official SDKs use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Union

from airflow_provider_ci.client.jobs.calls import JobCalls
from airflow_provider_ci.client.jobs.files import FileHashCode, FileUncompress
from airflow_provider_ci.client.jobs.job import Job, JobKind, JobPage, JobState
from airflow_provider_ci.client.jobs.listings import Listing
from airflow_provider_ci.client.jobs.ocr import ImageOCR
from airflow_provider_ci.client.jobs.options import JobOptions, Order
from airflow_provider_ci.client.jobs.submissions import Operation
from airflow_provider_ci.client.jobs.watermarks import DocAIGCMetadata, DocWatermark
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value

if TYPE_CHECKING:
    from typing_extensions import Unpack

PATHS = ("/jobs", "/doc_jobs", "/pic_jobs", "/file_jobs")
OUTPUTS = ("object", "prefix", "none")
"""What a job writes: the object ``Output.Object``, objects below a prefix, or nothing."""
LISTED_PATHS = frozenset({"/jobs", "/doc_jobs", "/pic_jobs"})
"""The paths with a listing of jobs. No API page and no official SDK lists the jobs of ``/file_jobs``."""

# All other tags are at /jobs, which serves several features (1045/73114).
_PATHS_BY_TAG = {
    "DocAIGCMetadata": "/doc_jobs",
    "DocProcess": "/doc_jobs",
    "DocWatermark": "/doc_jobs",
    "FileCompress": "/file_jobs",
    "FileHashCode": "/file_jobs",
    "FileUncompress": "/file_jobs",
    "PicProcess": "/pic_jobs",
}
# FileUncompress chooses the names of its objects. The other jobs contain their own result (1045/73141).
_OUTPUTS_BY_TAG = {
    "FileHashCode": "none",
    "FileUncompress": "prefix",
    "ImageOCR": "none",
    "MediaInfo": "none",
    "VideoTag": "none",
}
# Picture jobs (c) can be read at /jobs, too (1045/73113).
_PATHS_BY_LETTER = {"c": "/jobs", "d": "/doc_jobs", "f": "/file_jobs"}
"""The path where a job is read, by the first letter of its id; ``/jobs`` for all other letters."""

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_ARGUMENTS = {"UserData": "user_data", "JobLevel": "job_level"}
_OUTPUT_ARGUMENTS = {"Object": "output_key", "Bucket": "output_bucket", "Region": "output_region"}
_SECRETS = {
    "DocPassword": "DocProcess(password=…)",
    "UnCompressKey": "FileUncompress(password=…)",
    "CompressKey": "the argument extra of CIClient.submit_job",
}
"""Secret nodes, which an operation must not contain because it is shown and stored; what to use instead."""


@dataclass(frozen=True, slots=True, repr=False)
class CIJob(Operation, Value):
    """An operation for any tag of the service, written with the node names of its API page.

    For tags that have a class of their own, that class is easier to use: :class:`.DocProcess`,
    :class:`.PicProcess`, :class:`.DocWatermark`, :class:`.ImageOCR`, :class:`.FileHashCode`,
    :class:`.FileUncompress`.

    :param tag: the service's name for the type of job, such as ``Snapshot``.
    :param operation: the nodes within ``Operation``, such as ``{"Snapshot": {"Mode": "Average"}}`` or
        ``{"TemplateId": "t…"}``. Output, UserData and JobLevel are arguments of the submission.
    :param path: ``/jobs``, ``/doc_jobs``, ``/pic_jobs`` or ``/file_jobs``; None means the usual path of the
        tag, which is ``/jobs`` for unknown tags.
    :param output: what the job writes: ``object`` (the output key), ``prefix`` (objects whose names
        ``operation`` decides) or ``none`` (the result is in the job); ``object`` for unknown tags.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("tag",)
    may_name_inputs: ClassVar[bool] = True

    tag: str  # type: ignore[misc] # set for each instance, not for the class
    _: KW_ONLY
    # Not part of the hash, because a dictionary is not hashable.
    operation: Mapping[str, Any] = field(default_factory=dict, hash=False)
    path: str | None = None
    output: str | None = None  # type: ignore[misc] # also set for each instance

    def __post_init__(self) -> None:
        checks.one_of("CIJob.path", self.path, PATHS)
        checks.one_of("CIJob.output", self.output, OUTPUTS)
        _check_operation(self.operation)
        # Airflow renders a template later; the rendered value is checked then.
        if checks.is_template(self.tag):
            return
        if not isinstance(self.tag, str) or not _TAG.fullmatch(self.tag):
            raise ValueError(f"CIJob.tag must be a tag of the service such as 'Snapshot', not {self.tag!r}")
        if self.path is None:
            object.__setattr__(self, "path", path_of_tag(self.tag))
        if self.output is None:
            object.__setattr__(self, "output", output_of_tag(self.tag))

    def to_nodes(self) -> dict[str, object]:
        """The nodes within ``Operation`` of a request."""
        return dict(self.operation)


JobOperation = Union[  # noqa: UP007  (evaluated at run time)
    CIJob, DocAIGCMetadata, DocWatermark, FileHashCode, FileUncompress, ImageOCR
]
JOB_OPERATIONS = (CIJob, DocAIGCMetadata, DocWatermark, FileHashCode, FileUncompress, ImageOCR)
"""Operations whose attributes name the path and the output of their jobs."""


def path_of_tag(tag: str) -> str:
    """Return the usual path of the jobs with this tag."""
    return _PATHS_BY_TAG.get(tag, "/jobs")


def output_of_tag(tag: str) -> str:
    """Return what the jobs with this tag usually write: one of :data:`OUTPUTS`."""
    return _OUTPUTS_BY_TAG.get(tag, "object")


def path_of_job_id(job_id: str) -> str:
    """Return the path at which a job is read."""
    return _PATHS_BY_LETTER.get(job_id[:1], "/jobs")


def _check_operation(operation: Any) -> None:
    if checks.is_template(operation):
        return
    if not isinstance(operation, Mapping):
        raise ValueError(f"CIJob.operation must be a dictionary of nodes, not {operation!r}")
    for name, argument in _ARGUMENTS.items():
        if name in operation:
            raise ValueError(f"CIJob.operation must not hold {name}: give {argument} to the submission")
    output = operation.get("Output")
    for name in _OUTPUT_ARGUMENTS.keys() & set(output if isinstance(output, Mapping) else ()):
        raise ValueError(
            f"CIJob.operation must not hold Output.{name}: give {_OUTPUT_ARGUMENTS[name]} to the submission"
        )
    for name in _names_in(operation):
        if name in _SECRETS:
            raise ValueError(
                f"CIJob.operation must not hold the secret {name}, because operations are shown in logs: "
                f"use {_SECRETS[name]}"
            )


def _names_in(content: Any) -> Iterator[str]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield name
            yield from _names_in(value)
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from _names_in(item)


class AnyJobFilters(TypedDict, total=False):
    """Filters, order and page size of a listing. None has the same meaning as leaving an argument out."""

    states: Iterable[JobState] | None
    queue_id: str | None
    queue_type: str | None
    input_key: str | None
    created_after: datetime | None
    created_before: datetime | None
    order: Order
    page_size: int


class AnyJobCalls(JobCalls):
    """Calls for jobs of any tag."""

    def submit_job(
        self,
        input_key: str | None,
        output_key: str | None,
        operation: JobOperation,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Submit a job of any tag; arguments as for :meth:`submit_doc_job`.

        The API's names are CreateMediaJobs (``/jobs``) and CreateFileProcessJobs (``/file_jobs``).

        :param input_key: may also be None if the operation names its inputs, as FileCompress does.
        :param output_key: None if the operation writes no object, or chooses the names of its objects.
        :param operation: :class:`.CIJob`, or the class of a tag, such as :class:`.DocWatermark`,
            :class:`.ImageOCR` or :class:`.FileHashCode`.
        """
        if not isinstance(operation, JOB_OPERATIONS):
            names = ", ".join(each.__name__ for each in JOB_OPERATIONS)
            raise TypeError(
                f"operation must be one of {names}, not {operation!r}; "
                "documents and pictures have submit_doc_job and submit_pic_job"
            )
        kind = _kind(operation.tag, operation.path or path_of_tag(operation.tag))
        # At most 1,024 printable ASCII characters (1045/73035). No page limits UserData of document jobs.
        if isinstance(operation.output, str) and kind.path != "/doc_jobs":
            checks.user_data(options.get("user_data"))
        return self._submit(kind, input_key, output_key, operation, options)

    def get_job(self, job_id: str, *, path: str | None = None) -> Job:
        """Read a job of any tag (DescribeMediaJob, DescribeFileProcessJob).

        :param path: such as ``/file_jobs``; by default it is derived from the first letter of the id.
        :raises NotFoundError: the job does not exist.
        """
        return self._get(_kind("", path or path_of_job_id(job_id)), job_id).named(job_id)

    def list_jobs(
        self, tag: str, *, path: str | None = None, **filters: Unpack[AnyJobFilters]
    ) -> Iterator[Job]:
        """Yield the jobs of a tag, newest first (DescribeMediaJobs); see :meth:`list_doc_jobs`.

        :param path: by default, the usual path of the tag.
        :param queue_type: such as ``FileProcess``; ``queue_id`` overrides it.
        :raises ValueError: the path is ``/file_jobs``, which has no listing.
        """
        return self._list(Listing(_listed_kind(tag, path), filters, AnyJobFilters))

    def list_jobs_page(
        self,
        tag: str,
        *,
        path: str | None = None,
        next_token: str | None = None,
        **filters: Unpack[AnyJobFilters],
    ) -> JobPage:
        """Read one page of :meth:`list_jobs`; without ``next_token``, the first page."""
        return self._list_page(Listing(_listed_kind(tag, path), filters, AnyJobFilters), next_token)

    def cancel_job(self, job_id: str) -> None:
        """Cancel a job of any tag that has not started (CancelMediaJob)."""
        self._cancel(_kind("", path_of_job_id(job_id)), job_id)


def _kind(tag: str, path: str) -> JobKind:
    checks.one_of("path", path, PATHS)
    # CancelPicJob and CancelMediaJob are both at /jobs. Only document jobs are cancelled elsewhere.
    return JobKind(tag=tag, path=path, cancel_path="/doc_jobs" if path == "/doc_jobs" else "/jobs")


def _listed_kind(tag: str, path: str | None) -> JobKind:
    kind = _kind(tag, path or path_of_tag(tag))
    if kind.path not in LISTED_PATHS:
        raise ValueError(
            f"the service has no listing at {kind.path}, so {tag} jobs are read by their ids; "
            "jobs that were submitted with path='/jobs' are listed there"
        )
    return kind
