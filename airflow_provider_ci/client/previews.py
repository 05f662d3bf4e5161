"""Previews: URLs that show a document, page by page or as HTML, or a processed picture.

Source: Document preview, tencentcloud.com document/product/1045/47929; for HTML, the requests of the official
SDKs.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import OBJECT, Response
from airflow_provider_ci.client.objects import ObjectCalls
from airflow_provider_ci.client.pictures import check_rule
from airflow_provider_ci.client.records import checks

TARGETS = ("png", "jpg", "pdf", "html", "txt", "watermark")


def _base64(text: object) -> str:
    return urlsafe_b64encode(str(text).encode()).decode()


def _json(tree: object) -> str:
    return _base64(json.dumps(tree, ensure_ascii=False, separators=(",", ":")))


# Each parameter has its own format for a boolean.
def _flag(value: object) -> str:
    return "1" if value else "0"


def _word(value: object) -> str:
    return "true" if value else "false"


_PARAMS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "source_type": ("srcType", str),
    "page": ("page", str),
    "target": ("dstType", str),
    "password": ("password", str),
    "comment": ("comment", str),
    "sheet": ("sheet", str),
    "excel_paper_direction": ("excelPaperDirection", str),
    "excel_row": ("excelRow", str),
    "excel_col": ("excelCol", str),
    "excel_paper_size": ("excelPaperSize", str),
    "txt_pagination": ("txtPagination", _word),
    "image_params": ("ImageParams", str),
    "quality": ("quality", str),
    "scale": ("scale", str),
    "image_dpi": ("imageDpi", str),
    "is_copyable": ("copyable", _flag),
    "html_params": ("htmlParams", _json),
    "html_waterword": ("htmlwaterword", _base64),
    "html_fill_style": ("htmlfillstyle", _base64),
    "html_front": ("htmlfront", _base64),
    "html_rotate": ("htmlrotate", str),
    "html_horizontal": ("htmlhorizontal", str),
    "html_vertical": ("htmlvertical", str),
    "html_title": ("htmltitle", _base64),
    "weboffice_url": ("weboffice_url", str),
    "token_uid": ("tokenuid", str),
}

_HTML_ONLY = [name for name in _PARAMS if name.startswith("html_") or name == "is_copyable"]

_RANGES: dict[str, tuple[int, int | None]] = {
    "page": (1, None),
    "comment": (0, 1),
    "sheet": (1, None),
    "excel_paper_direction": (0, None),
    "excel_row": (0, 1),
    "excel_col": (0, 1),
    "excel_paper_size": (0, 2),
    "quality": (1, 100),
    "scale": (10, 200),
    "image_dpi": (96, 600),
    "html_rotate": (0, 360),
    "html_horizontal": (0, None),
    "html_vertical": (0, None),
    "weboffice_url": (1, 2),
}


@dataclass(frozen=True, slots=True)
class DocPreview:
    """How a document is previewed. Fields that are None are not sent, and the service uses its default.

    :param target: ``jpg`` (the default), ``png``, ``pdf``, ``txt``, ``html``, or ``watermark``.
    :param source_type: the type of the document, if the extension of its key does not show it.
    :param page: number of the page, from 1; in a spreadsheet, counted within the sheet.
    :param password: opens the document; the repr hides it, but the URL contains it.
    :param comment: 0 hides comments and accepts revisions, 1 shows comments and revisions.
    :param sheet: number of the sheet, from 1.
    :param excel_paper_direction: for spreadsheets: 0 is portrait, any other number landscape.
    :param excel_row: 1 puts all columns on one page.
    :param excel_col: 1 puts all rows on one page.
    :param excel_paper_size: 0 is A4, 1 is A2, 2 is A0; only with ``excel_row`` or ``excel_col``.
    :param txt_pagination: for ``txt``: whether the pages are joined to one text.
    :param image_params: picture rules to apply to the picture of the page, joined by ``|``.
    :param quality: quality of the picture, from 1 to 100.
    :param scale: zoom of the page, from 10 to 200 percent.
    :param image_dpi: resolution of the picture in dpi, from 96 to 600.
    :param is_copyable: for ``html``: whether text can be copied.
    :param html_params: settings of the ``html`` page, such as
        ``{"commonOptions": {"isShowTopArea": True, "isShowHeader": True}}``.
    :param html_waterword: text of a watermark on the ``html`` page.
    :param html_fill_style: colour of the watermark, such as ``rgba(192,192,192,0.6)``.
    :param html_front: font of the watermark, such as ``bold 20px Serif``.
    :param html_rotate: angle of the watermark, 0 to 360 degrees.
    :param html_horizontal: horizontal distance between watermarks, in pixels.
    :param html_vertical: vertical distance between watermarks, in pixels.
    :param html_title: title of the ``html`` page.
    :param weboffice_url: 1 returns the URL of a preview and its token as JSON, 2 returns only the token.
    :param token_uid: the user that the token is for.
    :param extra: further parameters, by the names of the API page.
    """

    target: str | None = None
    _: KW_ONLY
    source_type: str | None = None
    page: int | None = None
    password: str | None = field(default=None, repr=False)
    comment: int | None = None
    sheet: int | None = None
    excel_paper_direction: int | None = None
    excel_row: int | None = None
    excel_col: int | None = None
    excel_paper_size: int | None = None
    txt_pagination: bool | None = None
    image_params: str | None = None
    quality: int | None = None
    scale: int | None = None
    image_dpi: int | None = None
    is_copyable: bool | None = None
    html_params: Mapping[str, Any] | None = field(default=None, hash=False)
    html_waterword: str | None = None
    html_fill_style: str | None = None
    html_front: str | None = None
    html_rotate: int | None = None
    html_horizontal: int | None = None
    html_vertical: int | None = None
    html_title: str | None = None
    weboffice_url: int | None = None
    token_uid: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        checks.one_of("DocPreview.target", self.target, TARGETS)
        for name, (lowest, highest) in _RANGES.items():
            number = checks.number(f"DocPreview.{name}", getattr(self, name), lowest, highest)
            object.__setattr__(self, name, number)
        only_html = [name for name in _HTML_ONLY if getattr(self, name) is not None]
        if only_html and self.target != "html" and not checks.is_template(self.target):
            raise ValueError(f"DocPreview.{only_html[0]} needs target 'html', not {self.target!r}")

    def to_params(self) -> dict[str, str]:
        """The parameters of the URL."""
        given = {name: getattr(self, name) for name in _PARAMS}
        params = {
            wire: write(given[name]) for name, (wire, write) in _PARAMS.items() if given[name] is not None
        }
        return {"ci-process": "doc-preview", **params, **self.extra}


class PreviewCalls(ObjectCalls):
    """Calls that return a page of a document or a processed picture, as bytes or as a URL.

    Nothing is stored. The service charges for each view. Treat the URLs as secrets, like every URL that
    :meth:`.ObjectCalls.object_url` returns. A URL also contains the password of a protected document.
    """

    def read_doc_preview(
        self, key: str, preview: DocPreview | None = None, *, max_bytes: int | None = None
    ) -> bytes:
        """Return a preview of a document (Document preview).

        :param max_bytes: maximum size of the response.
        :raises CIResponseError: the response is longer than ``max_bytes``.
        """
        return self._read_view(key, (preview or DocPreview()).to_params(), max_bytes)

    def read_picture(self, key: str, rule: str, *, max_bytes: int | None = None) -> bytes:
        """Return a picture processed by a rule, such as ``imageMogr2/thumbnail/!50p``.

        :param max_bytes: maximum size of the response.
        :raises CIResponseError: the response is longer than ``max_bytes``.
        """
        check_rule("rule", rule)
        return self._read_view(key, {rule: ""}, max_bytes)

    def doc_preview_url(
        self, key: str, preview: DocPreview | None = None, *, valid_seconds: int = 3600
    ) -> str:
        """Return a URL that shows a document: one page as a picture, or with ``html`` the whole document."""
        params = (preview or DocPreview()).to_params()
        return self.object_url(key, params=params, valid_seconds=valid_seconds)

    def picture_url(self, key: str, rule: str, *, valid_seconds: int = 3600) -> str:
        """Return a URL that shows a picture processed by a rule, such as ``imageMogr2/thumbnail/!50p``.

        Nothing is stored. The rules ``imageInfo``, ``exif`` and ``imageAve`` return JSON.
        """
        check_rule("rule", rule)
        return self.object_url(key, params={rule: ""}, valid_seconds=valid_seconds)

    def _read_view(self, key: str, params: Mapping[str, str], max_bytes: int | None) -> bytes:
        checks.object_key("key", key)
        request = Request(
            method="GET", service="cos", path=f"/{key}", params=tuple(params.items()), success=OBJECT
        )
        return self._transport.send(request, lambda response: _limited(key, response, max_bytes))


def _limited(key: str, response: Response, max_bytes: int | None) -> bytes:
    # The response is read in pieces, so that a response above the limit is never in memory as a whole.
    body = bytearray()
    for chunk in response.chunks():
        body += chunk
        if max_bytes is not None and len(body) > max_bytes:
            raise CIResponseError(
                f"the view of {key!r} has more than {max_bytes} bytes", request_id=response.request_id
            )
    return bytes(body)
