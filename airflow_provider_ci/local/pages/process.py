"""Turns the form of a conversion into the request that an API client would send for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_ci.local.convert.source.formats import FORMATS as DOCUMENTS
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.wire import Value
from airflow_provider_ci.local.jobs.requests.submission import FORMS, SHEET_TYPES
from airflow_provider_ci.local.pages.forms import UPLOADS
from airflow_provider_ci.local.pages.guard import RefusedError
from airflow_provider_ci.local.pages.parts import REGION
from airflow_provider_ci.local.pages.previews import PICTURE, kind_of, suffix_of

AUTOMATIC, OF_PICTURES = "auto", "picture"
GOALS: Mapping[str, str] = {
    AUTOMATIC: "Automatic",
    "pdf": "PDF",
    "png": "PNG pages",
    "jpg": "JPG pages",
    OF_PICTURES: "Picture",
}
FORMATS = ("webp", "jpg", "png", "gif", "bmp")
CONVERTED = "converted/"
"""The folder of a bucket for the outputs."""

_NODES = {
    "pages": "PageRanges",
    "dpi": "ImageDpi",
    "quality": "Quality",
    "password": "DocPassword",
    "sheet": "SheetId",
    "comments": "Comments",
}
_ONLY_PICTURES = ("pages", "dpi", "quality")
_DIGITS = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A request for a job: its path and its body."""

    path: str
    body: bytes


def goals_of(key: str) -> dict[str, str]:
    """The goals that make sense for an object."""
    is_picture = kind_of(key) == PICTURE
    return {
        goal: text for goal, text in GOALS.items() if goal == AUTOMATIC or (goal == OF_PICTURES) == is_picture
    }


def read(fields: Mapping[str, str], bucket: str, key: str) -> Order:
    """The request for the job that a form describes.

    :raises RefusedError: the form names an unknown conversion. The API checks everything else.
    """
    goal = fields.get("goal", "") or AUTOMATIC
    if goal not in GOALS:
        raise RefusedError(400, f"The conversion {goal!r} is unknown; known are {', '.join(GOALS)}.")
    if goal == AUTOMATIC:
        goal = OF_PICTURES if kind_of(key) == PICTURE else "pdf"
    if goal == OF_PICTURES:
        return _picture(fields, bucket, key)
    return _document(fields, bucket, key, goal)


def _document(fields: Mapping[str, str], bucket: str, key: str, target: str) -> Order:
    sent = {"TgtType": target, **_parameters(fields, target)}
    name = fields.get("output", "").strip() or _document_name(key, target)
    return Order(path="/doc_jobs", body=body("DocProcess", bucket, key, name, sent))


def _parameters(fields: Mapping[str, str], target: str) -> dict[str, str]:
    """The filled fields by their names in the API; a selection of pages has no effect on a PDF."""
    left_out = _ONLY_PICTURES if target == "pdf" else ()
    return {
        node: fields[name] if name == "password" else fields[name].strip()
        for name, node in _NODES.items()
        if name not in left_out and fields.get(name, "").strip()
    }


def _picture(fields: Mapping[str, str], bucket: str, key: str) -> Order:
    rule = fields.get("rule", "").strip() or _rule(fields)
    name = fields.get("output", "").strip() or f"{_stem(key)}.{_format_of(rule) or suffix_of(key) or 'png'}"
    sent = {"IsPicInfo": "true", "ProcessRule": rule}
    return Order(path="/pic_jobs", body=body("PicProcess", bucket, key, name, sent))


def _rule(fields: Mapping[str, str]) -> str:
    """The rule for a format, a width and a quality."""
    steps = ["imageMogr2", "auto-orient"]
    width, quality = fields.get("width", "").strip(), fields.get("picture_quality", "").strip()
    for name, value in (("width", width), ("quality", quality)):
        if value and not _DIGITS.fullmatch(value):
            raise RefusedError(400, f"The {name} is {value!r}, not a number.")
    if width:
        steps += ["thumbnail", f"{width}x{width}>"]
    steps += ["format", fields.get("format", "") or FORMATS[0]]
    if quality:
        steps += ["quality", quality]
    return "/".join(steps)


def _format_of(rule: str) -> str:
    words = rule.replace("|", "/").split("/")
    return words[words.index("format") + 1] if "format" in words[:-1] else ""


def _document_name(key: str, target: str) -> str:
    if target == "pdf":
        return f"{_stem(key)}.pdf"
    number = "${SheetID}-${Number}" if suffix_of(key) in SHEET_TYPES else "${Number}"
    return f"{_stem(key)}/{number}.{target}"


def _stem(key: str) -> str:
    """The key of an output without its suffix: ``converted/`` and the key of the input."""
    name = key.removeprefix(UPLOADS).removeprefix(CONVERTED)
    suffix = suffix_of(name)
    known = suffix in DOCUMENTS or kind_of(name) == PICTURE
    return CONVERTED + (name[: -len(suffix) - 1] if known else name)


def body(
    tag: str, bucket: str, key: str, output: str, sent: Mapping[str, str], *, pretty: bool = False
) -> bytes:
    """The XML of a request for a job, with those nodes of ``Output`` that the tag has."""
    place = {"Region": REGION, "Bucket": bucket, "Object": output}
    taken = {name: value for name, value in place.items() if name in FORMS[tag].output}
    operation: dict[str, Value] = {FORMS[tag].node: dict(sent), **({"Output": taken} if taken else {})}
    content: Value = {"Tag": tag, "Input": {"Object": key}, "Operation": operation}
    text = wire.element("Request", content)
    return _with_lines(text).encode() if pretty else text.encode()


def _with_lines(text: str) -> str:
    """Put each of the larger elements on its own line, for people who read the XML."""
    nodes = "|".join(form.node for form in FORMS.values())
    return re.sub(rf"(</?(?:Request|Operation)>|</(?:Input|Tag|Output|{nodes})>)", r"\1\n", text)
