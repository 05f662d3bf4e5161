"""File jobs: the hash of an object's content, and the unpacking of an archive.

Sources: tencentcloud.com document/product/1045/54392 and 436/54266; cloud.tencent.com document/api/436/83108
to 83111; the requests of the official Go, Java and Python SDKs to ``/file_jobs``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from airflow_provider_ci.client.jobs.job import JobResult, result_of
from airflow_provider_ci.client.jobs.submissions import Operation
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value
from airflow_provider_ci.client.wire import nodes

HASH_TYPES = ("MD5", "SHA1", "SHA256")
FILE_PATHS = ("/file_jobs", "/jobs")


@dataclass(frozen=True, slots=True, repr=False)
class FileHashCode(Operation, Value):
    """Hashes an object's content (``FileHashCode``). The result is in the job; no object is written.

    :param type: ``MD5``, ``SHA1`` or ``SHA256``.
    :param add_to_header: whether the service also stores the hash in a header of the object, such as
        ``x-cos-meta-md5``.
    :param path: ``/file_jobs`` as in the official SDKs, or ``/jobs`` as on newer API pages. Only ``/jobs``
        has a listing, in which a job can be found if the response to its submission was lost.
    :param extra: further nodes of ``FileHashCodeConfig``, by the names of the API page.
    """

    tag: ClassVar[str] = "FileHashCode"
    output: ClassVar[str] = "none"
    always_shown: ClassVar[tuple[str, ...]] = ("type",)

    type: str = "MD5"
    _: KW_ONLY
    add_to_header: bool | None = None
    path: str = "/file_jobs"
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        # Airflow renders a template later; the rendered value is checked then.
        if isinstance(self.type, str) and not checks.is_template(self.type):
            object.__setattr__(self, "type", self.type.upper())
        checks.required("FileHashCode.type", self.type)
        checks.one_of("FileHashCode.type", self.type, HASH_TYPES)
        flag = checks.flag("FileHashCode.add_to_header", self.add_to_header)
        object.__setattr__(self, "add_to_header", flag)
        checks.one_of("FileHashCode.path", self.path, FILE_PATHS)

    def to_nodes(self) -> dict[str, object]:
        """The nodes within ``Operation`` of a request."""
        config = {"Type": self.type, "AddToHeader": self.add_to_header, **self.extra}
        return {"FileHashCodeConfig": config}


@dataclass(frozen=True, slots=True, repr=False)
class FileUncompress(Operation, Value):
    """Unpacks the files of an archive to objects below a prefix (``FileUncompress``).

    :param prefix: prefix of the objects' keys; empty for the root of the bucket.
    :param prefix_replaced: 0 adds nothing to ``prefix``, 1 adds the archive's name, 2 adds its whole key.
    :param password: opens the archive; it is never shown.
    :param listing: whether the result lists the keys of the objects.
    :param path: as in :class:`FileHashCode`.
    :param extra: further nodes of ``FileUncompressConfig``, such as ``{"Mode": "1"}``.
    """

    tag: ClassVar[str] = "FileUncompress"
    output: ClassVar[str] = "prefix"
    always_shown: ClassVar[tuple[str, ...]] = ("prefix",)

    prefix: str | None = None
    _: KW_ONLY
    prefix_replaced: int | None = None
    password: str | None = field(default=None, repr=False)
    listing: bool | None = None
    path: str = "/file_jobs"
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("prefix", "password"):
            object.__setattr__(self, name, checks.text(f"FileUncompress.{name}", getattr(self, name)))
        number = checks.number("FileUncompress.prefix_replaced", self.prefix_replaced, 0, 2)
        object.__setattr__(self, "prefix_replaced", number)
        object.__setattr__(self, "listing", checks.flag("FileUncompress.listing", self.listing))
        checks.one_of("FileUncompress.path", self.path, FILE_PATHS)

    def to_nodes(self) -> dict[str, object]:
        """The nodes within ``Operation`` of a request."""
        config = {
            "Prefix": self.prefix,
            "PrefixReplaced": self.prefix_replaced,
            "UnCompressKey": _base64(self.password),
            "ListingFile": self.listing,
            **self.extra,
        }
        return {"FileUncompressConfig": config}


@result_of("FileHashCode")
@dataclass(frozen=True, slots=True, kw_only=True)
class FileHashCodeResult(JobResult):
    """The hash of a file. Hashes that were not requested and unreadable fields are empty or None."""

    md5: str = ""
    sha1: str = ""
    sha256: str = ""
    size: int | None = None
    etag: str = ""
    last_modified: str = ""

    @property
    def digest(self) -> str:
        """The requested hash."""
        return self.md5 or self.sha1 or self.sha256

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> FileHashCodeResult:
        """Read a ``FileHashCodeResult`` node."""
        return cls(
            md5=nodes.text(node, "MD5"),
            sha1=nodes.text(node, "SHA1"),
            sha256=nodes.text(node, "SHA256"),
            size=nodes.integer(node, "FileSize"),
            # API pages and SDKs use both spellings.
            etag=nodes.text(node, "Etag") or nodes.text(node, "ETag"),
            last_modified=nodes.text(node, "LastModified"),
        )


@result_of("FileUncompress")
@dataclass(frozen=True, slots=True, kw_only=True)
class FileUncompressResult(JobResult):
    """The unpacked objects. ``keys`` is empty unless ``listing`` was requested, and may be truncated."""

    bucket: str = ""
    region: str = ""
    file_count: int | None = None
    keys: tuple[str, ...] = ()
    is_truncated: bool = False

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> FileUncompressResult:
        """Read a ``FileUncompressResult`` node."""
        listed = nodes.child(node, "FileList")
        keys = [nodes.text(each, "Key") for each in nodes.children(listed, "Contents")]
        return cls(
            bucket=nodes.text(node, "Bucket"),
            region=nodes.text(node, "Region"),
            file_count=nodes.integer(node, "FileCount"),
            keys=tuple([key for key in keys if key]),
            is_truncated=nodes.text(listed, "IsTruncated").lower() == "true",
        )


def _base64(password: str | None) -> str | None:
    return None if password is None else base64.b64encode(password.encode()).decode()
