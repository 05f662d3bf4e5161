"""Jobs of any tag: their paths, their outputs, and a value for tags without a class.

Sources: tencentcloud.com document/product/1045/73114 (the tags of ``/jobs``), 1045/47932 and 1045/54392; the
paths of the official SDKs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Union

from airflow_provider_ci.client import checks
from airflow_provider_ci.client.files import FileHashCode, FileUncompress
from airflow_provider_ci.client.ocr import ImageOCR
from airflow_provider_ci.client.values import Value
from airflow_provider_ci.client.watermarks import DocAIGCMetadata, DocWatermark

PATHS = ("/jobs", "/doc_jobs", "/pic_jobs", "/file_jobs")
OUTPUTS = ("object", "prefix", "none")
"""What a job writes: the object ``Output.Object``, objects below a prefix, or nothing."""
LISTED_PATHS = frozenset({"/jobs", "/doc_jobs", "/pic_jobs"})
"""The paths that can list their jobs. No API page and no official SDK lists ``/file_jobs``."""

_PATHS_BY_TAG = {
    "DocAIGCMetadata": "/doc_jobs",
    "DocProcess": "/doc_jobs",
    "DocWatermark": "/doc_jobs",
    "FileCompress": "/file_jobs",
    "FileHashCode": "/file_jobs",
    "FileUncompress": "/file_jobs",
    "PicProcess": "/pic_jobs",
}
_OUTPUTS_BY_TAG = {
    "FileHashCode": "none",
    "FileUncompress": "prefix",
    "ImageOCR": "none",
    "MediaInfo": "none",
    "VideoTag": "none",
}
_PATHS_BY_LETTER = {"c": "/jobs", "d": "/doc_jobs", "f": "/file_jobs"}
"""By the first letter of a job's id; all others are read at ``/jobs``."""

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_ARGUMENTS = {"UserData": "user_data", "JobLevel": "job_level"}
_OUTPUT_ARGUMENTS = {"Object": "output_key", "Bucket": "output_bucket", "Region": "output_region"}
_SECRETS = {
    "DocPassword": "DocProcess(password=…)",
    "UnCompressKey": "FileUncompress(password=…)",
    "CompressKey": "the argument extra of CIClient.submit_job",
}
"""Nodes that a value must not hold, because values are shown and stored; what takes them instead."""


@dataclass(frozen=True, slots=True, repr=False)
class CIJob(Value):
    """An operation of any tag of the service, in the words of its API page.

    Tags with a class of their own are easier to use by that class: :class:`.DocProcess`,
    :class:`.PicProcess`, :class:`.DocWatermark`, :class:`.ImageOCR`, :class:`.FileHashCode`,
    :class:`.FileUncompress`.

    :param tag: the service's name for the type of job, such as ``Snapshot``.
    :param operation: the nodes within ``Operation``, such as ``{"Snapshot": {"Mode": "Average"}}`` or
        ``{"TemplateId": "t…"}``. Output, UserData and JobLevel are arguments of the submission.
    :param path: ``/jobs``, ``/doc_jobs``, ``/pic_jobs`` or ``/file_jobs``; the usual one of the tag if None,
        which is ``/jobs`` for unknown tags.
    :param output: what the job writes: ``object`` (the output key), ``prefix`` (objects whose names
        ``operation`` decides) or ``none`` (the result is in the job); ``object`` for unknown tags.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("tag",)

    tag: str
    _: KW_ONLY
    operation: Mapping[str, Any] = field(default_factory=dict, hash=False)
    path: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        checks.one_of("CIJob.path", self.path, PATHS)
        checks.one_of("CIJob.output", self.output, OUTPUTS)
        _check_operation(self.operation)
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
"""Operations that carry the path and the output of their jobs."""


def path_of_tag(tag: str) -> str:
    """The usual path of the jobs with this tag."""
    return _PATHS_BY_TAG.get(tag, "/jobs")


def output_of_tag(tag: str) -> str:
    """What the jobs with this tag usually write."""
    return _OUTPUTS_BY_TAG.get(tag, "object")


def path_of_job_id(job_id: str) -> str:
    """The path at which a job is read."""
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
