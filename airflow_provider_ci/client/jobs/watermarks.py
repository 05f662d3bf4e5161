"""Document jobs of other tags: a watermark on every page, and the label for generated content.

Sources: the requests of the official Go and Java SDKs to ``/doc_jobs``, and cloud.tencent.com
document/product/460/123076.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from airflow_provider_ci.client.jobs.job import JobResult, result_of
from airflow_provider_ci.client.jobs.submissions import Operation
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import Value
from airflow_provider_ci.client.wire import nodes

_NUMBERS = ("dx", "dy", "batch", "horizontal_spacing", "vertical_spacing")


@dataclass(frozen=True, slots=True, repr=False)
class DocWatermark(Operation, Value):
    """A watermark on the pages of a document (``DocWatermark``). Fields that are None are not sent.

    :param type: of the watermark, such as ``1`` for an image.
    :param image: the address of the picture.
    :param source_type: the kind of document, such as ``pdf``.
    :param dx: distance from the edge in pixels, across; likewise ``dy``, down.
    :param batch: 1 repeats it over the page.
    :param horizontal_spacing: pixels between the repeated ones; likewise ``vertical_spacing``.
    :param extra: further nodes of ``DocWatermark``, by the names of the API page.
    """

    tag: ClassVar[str] = "DocWatermark"
    path: ClassVar[str] = "/doc_jobs"
    output: ClassVar[str] = "object"

    type: str | int
    _: KW_ONLY
    image: str | None = None
    source_type: str | None = None
    dx: int | str | None = None
    dy: int | str | None = None
    batch: int | str | None = None
    horizontal_spacing: int | str | None = None
    vertical_spacing: int | str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.type in (None, ""):
            raise ValueError("DocWatermark.type must be a type of watermark, such as 1, not empty")
        for name in _NUMBERS:
            number = checks.number(f"DocWatermark.{name}", getattr(self, name), 0)
            object.__setattr__(self, name, number)

    def to_node(self) -> dict[str, object]:
        """The ``DocWatermark`` node of a request."""
        return {
            "SrcType": self.source_type,
            "Type": self.type,
            "Image": self.image,
            "Dx": self.dx,
            "Dy": self.dy,
            "Batch": self.batch,
            "HorizontalSpacing": self.horizontal_spacing,
            "VerticalSpacing": self.vertical_spacing,
            **self.extra,
        }


@result_of("DocWatermark")
@dataclass(frozen=True, slots=True, kw_only=True)
class DocWatermarkResult(JobResult):
    """A document with a watermark; fields that the service leaves out are None or empty."""

    size: int | None = None
    total_page_count: int | None = None
    etag: str = ""

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> DocWatermarkResult:
        """Read a ``DocWatermarkResult`` node."""
        return cls(
            size=nodes.integer(node, "Size"),
            total_page_count=nodes.integer(node, "TotalPageCount"),
            # Pages and SDKs spell it in both ways.
            etag=nodes.text(node, "Etag") or nodes.text(node, "ETag"),
        )


@dataclass(frozen=True, slots=True, repr=False)
class DocAIGCMetadata(Operation, Value):
    """The label that says that a document's content is generated (``DocAIGCMetadata``).

    Fields that are None are not sent.

    :param label: whether the content is, may be, or is suspected to be generated.
    :param content_producer: name or code of the producer.
    :param produce_id: the producer's id of the content; may hold ``${InputName}``, ``${JobId}`` and so on.
    :param extra: further nodes of ``AIGCMetadata``, by the names of the API page.
    """

    tag: ClassVar[str] = "DocAIGCMetadata"
    path: ClassVar[str] = "/doc_jobs"
    output: ClassVar[str] = "object"

    label: str
    _: KW_ONLY
    content_producer: str | None = None
    produce_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.label:
            raise ValueError("DocAIGCMetadata.label must be a label, not empty")

    def to_node(self) -> dict[str, object]:
        """The ``DocAIGCMetadata`` node of a request."""
        return {
            "AIGCMetadata": {
                "Label": self.label,
                "ContentProducer": self.content_producer,
                "ProduceID": self.produce_id,
                **self.extra,
            }
        }
