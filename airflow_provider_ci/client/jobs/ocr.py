"""Text recognition in pictures: the operation of a job, and its result.

Sources: tencentcloud.com document/product/1045/73141; cloud.tencent.com document/api/436/115976; the records
of the official Go SDK.
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

TYPES = ("general", "accurate", "efficient", "fast", "handwriting")


@dataclass(frozen=True, slots=True, repr=False)
class ImageOCR(Operation, Value):
    """Recognises the text in a picture (``ImageOCR``). The result is in the job; no object is written.

    Fields that are None are not sent, and the service uses its default.

    :param type: ``general``, ``accurate``, ``efficient``, ``fast`` or ``handwriting``.
    :param language_type: language of the text, such as ``zh`` or ``auto``; only for ``general``.
    :param is_pdf: whether the input may be a PDF; only for ``general`` and ``fast``.
    :param pdf_page_number: number of the page to read in a PDF, from 1.
    :param is_word: whether the result describes single characters; only for ``general`` and ``accurate``.
    :param enable_word_polygon: whether the result has the positions of characters; only for ``handwriting``.
    :param template_id: id of a template of the service that replaces the fields above.
    :param extra: further nodes of ``ImageOCR``, by the names of the API page.
    """

    tag: ClassVar[str] = "ImageOCR"
    path: ClassVar[str] = "/jobs"
    output: ClassVar[str] = "none"
    always_shown: ClassVar[tuple[str, ...]] = ("type",)

    type: str | None = "general"
    _: KW_ONLY
    language_type: str | None = None
    is_pdf: bool | None = None
    pdf_page_number: int | None = None
    is_word: bool | None = None
    enable_word_polygon: bool | None = None
    template_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        checks.one_of("ImageOCR.type", self.type, TYPES)
        for name in ("is_pdf", "is_word", "enable_word_polygon"):
            object.__setattr__(self, name, checks.flag(f"ImageOCR.{name}", getattr(self, name)))
        page = checks.number("ImageOCR.pdf_page_number", self.pdf_page_number, 1)
        object.__setattr__(self, "pdf_page_number", page)
        language = checks.text("ImageOCR.language_type", self.language_type)
        object.__setattr__(self, "language_type", language)
        # Airflow renders a template later; the rendered value is checked then.
        if self.template_id is not None and not checks.is_template(self.template_id):
            checks.identifier("ImageOCR.template_id", self.template_id)

    def to_nodes(self) -> dict[str, object]:
        """The nodes within ``Operation`` of a request."""
        if self.template_id is not None:
            return {"TemplateId": self.template_id}
        wanted = {
            "Type": self.type,
            "LanguageType": self.language_type,
            "IsPdf": self.is_pdf,
            "PdfPageNumber": self.pdf_page_number,
            "IsWord": self.is_word,
            "EnableWordPolygon": self.enable_word_polygon,
            **self.extra,
        }
        return {self.tag: wanted}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedText:
    """A line of text in a picture; ``confidence`` is 0 to 100, or None if the response lacks it."""

    text: str
    confidence: int | None = None

    @classmethod
    def from_node(cls, node: nodes.Tree) -> DetectedText:
        """Read a ``TextDetections`` node."""
        return cls(text=nodes.text(node, "DetectedText"), confidence=nodes.integer(node, "Confidence"))


# ImageOCR is the only tag whose result node is not named after the tag.
@result_of("ImageOCR", "Detection")
@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOCRResult(JobResult):
    """The text in a picture. The job's ``raw`` holds the positions of lines and characters."""

    lines: tuple[DetectedText, ...]
    language: str = ""

    @property
    def text(self) -> str:
        """The text of all lines, joined with line ends."""
        return "\n".join([line.text for line in self.lines])

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> ImageOCRResult:
        """Read a ``Detection`` node."""
        found = nodes.children(node, "TextDetections")
        return cls(
            lines=tuple([DetectedText.from_node(each) for each in found]),
            language=nodes.text(node, "Language"),
        )
