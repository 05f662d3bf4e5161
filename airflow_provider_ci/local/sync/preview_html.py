"""A document as one self-contained HTML page: a picture of each page, followed by its text for copying.

The service returns its own viewer, which consists of scripts. Here nothing in the document can run: its
pages are pictures, its text is escaped, and the HTML page allows no scripts and loads nothing.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from airflow_provider_ci.local.convert import DocumentOptions
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.sync.sync import Bench, picture_type
from airflow_provider_ci.local.workspace import CONTENT_TYPES

MAX_PAGES = 100
"""Maximum number of pages shown; at its end, the HTML page says how many more the document has."""

HEADERS: Mapping[str, str] = {
    "Content-Type": CONTENT_TYPES["html"],
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
NAMES = frozenset(
    [
        "copyable",
        "htmlParams",
        "htmlwaterword",
        "htmlfillstyle",
        "htmlfront",
        "htmlrotate",
        "htmlhorizontal",
        "htmlvertical",
        "htmltitle",
    ]
)
_STYLE = (
    "body{margin:0;background:#eee;font-family:sans-serif;text-align:center}"
    "figure{margin:1em auto;width:fit-content;background:#fff;box-shadow:0 0 4px #999}"
    "img{display:block;max-width:100%}pre{margin:0;padding:1em;text-align:left;white-space:pre-wrap}"
)
_NOT_COPYABLE = "body{user-select:none}"
_RGBA = re.compile(
    r"rgba?\( *([0-9]{1,3}) *, *([0-9]{1,3}) *, *([0-9]{1,3}) *(?:, *([01]|[01]?\.[0-9]{1,4}) *)?\)"
)
_FONT = re.compile(r"(?:[a-z0-9]+ +)*([0-9]{1,3})px +[^/|]+")
_SWITCHES = ("isShowTopArea", "isShowHeader")


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlOptions:
    """How the HTML page looks. An empty title means the object's name; ``watermark`` is a rule or empty."""

    title: str
    is_copyable: bool
    has_header: bool
    watermark: str


def read(request: Request) -> HtmlOptions:
    """Read the parameters of an HTML preview.

    :raises ServiceError: ``InvalidArgument`` for an invalid parameter, ``NotImplemented`` for settings of
        the service's own viewer.
    """
    return HtmlOptions(
        title=_decoded(request, "htmltitle"),
        is_copyable=bool(wire.number("copyable", request.parameter("copyable"), 1, low=0, high=1)),
        has_header=_has_header(request),
        watermark=_watermark(request),
    )


def page(bench: Bench, pdf: Path, options: HtmlOptions, image_params: str) -> bytes:
    """Return the HTML page of a PDF; ``image_params`` is applied to the pages before the watermark."""
    rule = "|".join(filter(None, [image_params, options.watermark]))
    wish = DocumentOptions(target="jpg", end_page=MAX_PAGES, quality=85, image_params=rule)
    pictures = bench.converters.document(pdf, pdf.name, wish, bench.folder, bench.fetch)
    texts: list[str] = []
    if options.is_copyable:
        wish = DocumentOptions(target="txt", end_page=MAX_PAGES)
        found = bench.converters.document(pdf, pdf.name, wish, bench.folder)
        texts = [each.path.read_text(encoding="utf-8").strip() for each in found.pages]
    content_type = CONTENT_TYPES[picture_type(rule, "jpg")]
    figures = [
        _figure(
            number, content_type, each.path.read_bytes(), texts[number - 1] if options.is_copyable else ""
        )
        for number, each in enumerate(pictures.pages, start=1)
    ]
    left_out = pictures.total_pages - len(figures)
    title = escape(options.title or bench.key.rpartition("/")[2])
    return "".join(
        [
            f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>{title}</title>',
            f"<style>{_STYLE}{'' if options.is_copyable else _NOT_COPYABLE}</style></head><body>",
            f"<h1>{title}</h1>" if options.has_header else "",
            *figures,
            f"<p>{left_out} more pages are not shown.</p>" if left_out > 0 else "",
            "</body></html>",
        ]
    ).encode()


def _figure(number: int, content_type: str, picture: bytes, text: str) -> str:
    address = f"data:{content_type};base64,{b64encode(picture).decode()}"
    words = f"<pre>{escape(text)}</pre>" if text else ""
    return f'<figure><img alt="page {number}" src="{address}">{words}</figure>'


def _decoded(request: Request, name: str, default: str = "") -> str:
    """Decode a parameter in URL-safe Base64, with or without padding; return ``default`` if it is empty."""
    value = request.parameter(name).rstrip("=")
    try:
        return urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode() or default
    except (Base64Error, ValueError) as error:
        raise ServiceError("InvalidArgument", f"{name} {value!r} is not URL-safe Base64 of UTF-8") from error


def _has_header(request: Request) -> bool:
    """Return whether ``htmlParams`` shows the header; its other settings are for the service's viewer."""
    text = _decoded(request, "htmlParams", "{}")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServiceError("InvalidArgument", f"htmlParams {text!r} is not JSON") from error
    switches = given.get("commonOptions", {}) if isinstance(given, dict) else None
    if not isinstance(switches, dict) or {*given} - {"commonOptions"} or {*switches} - {*_SWITCHES}:
        raise ServiceError(
            "NotImplemented",
            f"htmlParams {text!r}: of commonOptions the local CI knows {' and '.join(_SWITCHES)} only",
        )
    return all(switches.get(name, True) is True for name in _SWITCHES)


def _watermark(request: Request) -> str:
    """Return the picture rule that tiles the watermark's rotated text; empty if there is no text."""
    words = _decoded(request, "htmlwaterword")
    style = _decoded(request, "htmlfillstyle", "rgba(192,192,192,0.6)")
    front = _decoded(request, "htmlfront", "bold 20px Serif")
    rgba, font = _RGBA.fullmatch(style.strip()), _FONT.fullmatch(front.strip())
    if not rgba or any(int(part) > 255 for part in rgba.groups()[:3]):
        raise ServiceError("InvalidArgument", f"htmlfillstyle {style!r} is not like rgba(192,192,192,0.6)")
    if not font or not int(font[1]):
        raise ServiceError("InvalidArgument", f"htmlfront {front!r} is not like bold 20px Serif")
    distances = {
        name: wire.number(name, request.parameter(name), default, low=0, high=high)
        for name, default, high in _DISTANCES
    }
    if not words:
        return ""
    fill = "#" + "".join(f"{int(part):02X}" for part in rgba.groups()[:3])
    dissolve = min(max(round(float(rgba[4] or 1) * 100), 1), 100)
    return (
        f"watermark/2/text/{_encoded(words)}/fill/{_encoded(fill)}/dissolve/{dissolve}/fontsize/{int(font[1])}"
        f"/batch/1/degree/{distances['htmlrotate']}/dx/{distances['htmlhorizontal']}"
        f"/dy/{distances['htmlvertical']}"
    )


_DISTANCES = (("htmlrotate", 315, 360), ("htmlhorizontal", 50, 10_000), ("htmlvertical", 100, 10_000))


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()
