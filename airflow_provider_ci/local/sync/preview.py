"""Document previews, converted on request: ``GET /<key>?ci-process=doc-preview`` (1045/47929)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from airflow_provider_ci.local.convert import DocumentOptions, DocumentResult
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.sync import preview_html
from airflow_provider_ci.local.sync.preview_html import HtmlOptions
from airflow_provider_ci.local.sync.sync import DOCUMENT_REFUSALS, Bench, Refusal, file_answer, picture_type
from airflow_provider_ci.local.workspace import CONTENT_TYPES

TARGETS = ("png", "jpg", "pdf", "txt", "html")

# Numeric parameter: option, default, lowest and highest value.
_NUMBERS: Mapping[str, tuple[str, int, int, int]] = {
    "comment": ("comments", 0, 0, 1),
    "sheet": ("sheet_id", 1, 1, 10_000),
    "excelPaperDirection": ("paper_direction", 0, 0, 999_999_999),
    "excelRow": ("fit_columns", 0, 0, 1),
    "excelCol": ("fit_rows", 0, 0, 1),
    "excelPaperSize": ("paper_size", 0, 0, 2),
    "quality": ("quality", 100, 1, 999_999_999),  # values over 100 count as 100, as in jobs
    "scale": ("zoom", 100, 10, 200),
    "imageDpi": ("image_dpi", 96, 96, 600),
}
_TEXTS = {"srcType": "source_type", "password": "password", "ImageParams": "image_params"}
_OTHERS = frozenset(["ci-process", "page", "dstType", "txtPagination"])
# Not supported: the service's online viewer, and watermarks in documents.
_LEFT_OUT = ("weboffice_url", "tokenuid")
_LEFT_OUT_TARGETS = ("watermark",)
_MAX_PAGE = 999_999_999
# Maximum length, in characters, of the header with all sheet names: clients refuse much longer headers.
_MAX_NAMES = 8000
# Prefixes of parameters that any request may have: the signature, and headers to set in the response.
_OF_ANY_REQUEST = ("q-", "sign", "x-cos-", "x-ci-", "response-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The pages to show, and their file type; ``is_one_text`` joins the texts of all pages."""

    target: str
    options: DocumentOptions
    html: HtmlOptions
    is_one_text: bool
    refusals: ClassVar[Mapping[str, Refusal]] = DOCUMENT_REFUSALS

    def make(self, bench: Bench) -> Answer:
        """Convert the document; headers of the response hold the numbers of pages and sheets."""
        source = bench.source()
        if self.target == "html":
            return self._html(bench, source)
        done = bench.converters.document(source, bench.key, self.options, bench.folder, bench.fetch)
        if self.is_one_text:
            text = "\n".join(page.path.read_text(encoding="utf-8") for page in done.pages)
            return Answer(body=text.encode(), headers={"Content-Type": CONTENT_TYPES["txt"], **_counts(done)})
        is_picture = self.target in ("png", "jpg")
        file_type = picture_type(self.options.image_params if is_picture else "", self.target)
        return file_answer(done.pages[0].path, file_type, _counts(done))

    def _html(self, bench: Bench, source: Path) -> Answer:
        """Make a PDF first, because the HTML page needs the document's pages as pictures and as text."""
        done = bench.converters.document(source, bench.key, self.options, bench.folder)
        body = preview_html.page(bench, done.pages[0].path, self.html, self.options.image_params)
        return Answer(body=body, headers={**preview_html.HEADERS, **_counts(done)})


def read(request: Request) -> Preview | None:
    """Read the preview that a GET requests; None if it has no ``ci-process``.

    :raises ServiceError: ``NotImplemented`` for any other ``ci-process``, ``InvalidArgument`` for a
        parameter that is unknown or invalid.
    """
    if not request.has_parameter("ci-process"):
        return None
    if request.parameter("ci-process") != "doc-preview":
        raise ServiceError(
            "NotImplemented", f"the local CI does not know ci-process={request.parameter('ci-process')}"
        )
    target = request.parameter("dstType", "jpg").lower()
    _check_left_out(request, target)
    target = target if target in TARGETS else "jpg"  # the page says that an unknown type means jpg
    _check_names(request, target)
    is_one_text = _is_true(request, "txtPagination") and target == "txt"
    return Preview(
        target=target,
        options=_options(request, target, is_all=is_one_text or target == "html"),
        html=preview_html.read(request),
        is_one_text=is_one_text,
    )


def _check_left_out(request: Request, target: str) -> None:
    if target in _LEFT_OUT_TARGETS:
        raise ServiceError("NotImplemented", f"the local CI does not know doc-preview with dstType={target}")
    for name in _LEFT_OUT:
        if request.has_parameter(name):
            raise ServiceError("NotImplemented", f"the local CI does not know doc-preview with {name}")


def _check_names(request: Request, target: str) -> None:
    known = {*_NUMBERS, *_TEXTS, *_OTHERS, *(preview_html.NAMES if target == "html" else ())}
    for name, _ in request.query:
        if name not in known and not name.startswith(_OF_ANY_REQUEST):
            raise ServiceError(
                "InvalidArgument", f"doc-preview has no parameter {name!r} for dstType {target}"
            )


def _options(request: Request, target: str, *, is_all: bool) -> DocumentOptions:
    values: dict[str, Any] = {
        option: wire.number(name, request.parameter(name), default, low=low, high=high)
        for name, (option, default, low, high) in _NUMBERS.items()
    }
    values.update({option: request.parameter(name) for name, option in _TEXTS.items()})
    page = wire.number("page", request.parameter("page"), 1, low=1, high=_MAX_PAGE)
    if target == "html" and not request.parameter("sheet"):
        values["sheet_id"] = 0  # an HTML page shows the whole workbook
    return DocumentOptions(
        target="pdf" if target == "html" else target,
        start_page=1 if is_all else page,
        end_page=-1 if is_all else page,
        **values,
    )


def _is_true(request: Request, name: str) -> bool:
    value = request.parameter(name, "false").lower()
    if value not in ("true", "false"):
        raise ServiceError("InvalidArgument", f"{name} is {value!r}, not true or false")
    return value == "true"


def _counts(done: DocumentResult) -> dict[str, str]:
    """Return the headers of a preview. Sheet names are percent-encoded, because headers hold only ASCII."""
    names = ",".join(quote(name, safe="") for name in done.sheet_names)
    headers = {
        "X-ErrNo": "0",
        "X-Total-Page": str(done.total_pages),
        "X-Total-Sheet": str(done.total_sheets or ""),
        "X-Sheet-Name": names if len(names) <= _MAX_NAMES else "",
    }
    return {name: value for name, value in headers.items() if value}
