"""The XML that the local CI reads and writes, as the API pages show it.

An element is written from plain values: a dict becomes child elements in its order, a list repeats its
element, None and ``""`` give an empty element. Nothing here comes from ``client``, so that a misspelt
element there cannot be hidden by the same mistake here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TypeAlias

from lxml import etree

from airflow_provider_ci.local.errors import Service, ServiceError

Value: TypeAlias = "str | int | Mapping[str, Value] | list[Value] | None"

CHINA = timezone(timedelta(hours=8))
_DECLARATION = '<?xml version="1.0" encoding="UTF-8" ?>'
_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#13;"))
# Characters that XML 1.0 cannot express; they are legal in object keys.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')


def document(root: str, content: Value) -> bytes:
    """A whole XML document with this root element."""
    return (_DECLARATION + element(root, content)).encode()


def element(name: str, content: Value) -> str:
    """One element, or several for a list, as text."""
    if isinstance(content, str):
        return f"<{name}>{escape(content)}</{name}>"
    if isinstance(content, list):
        return "".join([element(name, item) for item in content])
    if content is None or isinstance(content, int):
        return f"<{name}>{'' if content is None else content}</{name}>"
    inner = "".join([element(name, value) for name, value in content.items()])
    return f"<{name}>{inner}</{name}>"


def escape(text: str) -> str:
    """Escape text for an element; characters that XML cannot express become the replacement character."""
    if not _SPECIAL.search(text):
        return text
    for character, escaped in _ESCAPES:
        text = text.replace(character, escaped)
    return _UNWRITABLE.sub("\ufffd", text)


def error(
    service: Service, code: str, message: str, *, resource: str, request_id: str, trace_id: str
) -> bytes:
    """An error body. COS names the resource (436/7730), CI does not (436, jobs error page)."""
    place = {"Resource": resource} if service is Service.COS else {}
    return document(
        "Error",
        {"Code": code, "Message": message, **place, "RequestId": request_id, "TraceId": trace_id},
    )


def parse(body: bytes, root: str) -> etree._Element:
    """Parse a request body whose root element is ``root``; no entities, no DTD, no network.

    :raises ServiceError: ``MalformedXML`` for COS bodies, ``InvalidContent`` for CI bodies.
    """
    code = "InvalidContent" if root == "Request" else "MalformedXML"
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        found = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ServiceError(code, f"the body is not well-formed XML: {error}", status=400) from error
    if found.getroottree().docinfo.doctype:
        raise ServiceError(code, "the body has a document type declaration, which is refused", status=400)
    if found.tag != root:
        raise ServiceError(code, f"the root element is {found.tag!r}, not {root}", status=400)
    return found


def text(node: etree._Element, path: str) -> str:
    """The text at ``path`` without surrounding blanks; ``""`` when the element is absent or empty."""
    return exact_text(node, path).strip()


def exact_text(node: etree._Element, path: str) -> str:
    """The text at ``path`` as it is, for keys and passwords; ``""`` when the element is absent or empty."""
    found = node.find(path)
    return (found.text or "") if found is not None else ""


@lru_cache(maxsize=4096)
def local_time(seconds: int | None) -> str:
    """A time in the form that jobs use, ``2023-11-15T06:13:20+0800``; ``-`` for None."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, CHINA).strftime("%Y-%m-%dT%H:%M:%S%z")


@lru_cache(maxsize=4096)
def universal_time(seconds: int) -> str:
    """A time in the form that object listings use, ``2020-12-10T03:37:30.000Z``."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def parse_time(name: str, value: str) -> int | None:
    """Unix seconds of a time filter such as ``2023-11-15T06:13:20+0800``; None when empty.

    A blank in place of the plus sign is accepted: it is a plus that was not percent-encoded in the query.
    """
    if not value:
        return None
    try:
        return int(datetime.strptime(value.replace(" ", "+"), "%Y-%m-%dT%H:%M:%S%z").timestamp())
    except ValueError as error:
        raise ServiceError(
            "InvalidArgument", f"{name} {value!r} is not a time such as 2023-11-15T06:13:20+0800"
        ) from error


def number(name: str, value: str, default: int, *, low: int, high: int) -> int:
    """An integer parameter within ``low`` … ``high``; ``default`` when empty."""
    if not value:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", value) or not low <= int(value) <= high:
        raise ServiceError("InvalidArgument", f"{name} {value!r} is not a number from {low} to {high}")
    return int(value)
