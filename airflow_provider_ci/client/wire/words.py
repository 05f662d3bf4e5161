"""Reads code, message, resource and request id from the body of an error, even if it is malformed.

An error is first parsed as the XML or JSON that the documentation shows. If that fails, a lenient search
finds the same fields in the text, because gateways on the way truncate bodies, wrap them, and do not escape
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.wire import xml

MAX_SEARCHED_BYTES = 64 * 1024
MAX_PLAIN_BYTES = 4096
MAX_MESSAGE = 200
"""Limit, in characters, for a text that is in no documented format."""
MAX_JSON_DEPTH = 4

_BOM = b"\xef\xbb\xbf"
# The repetitions are bounded, so that a crafted page cannot make the search slow.
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html)\b", re.I | re.S
)
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_TAGS = re.compile(rb"<(script|style)\b[^<>]*>.*?</\1>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_NAMES = {
    "code": "code",
    "message": "message",
    "resource": "resource",
    "requestid": "request_id",
    "request_id": "request_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The fields of an error, empty if missing. ``is_xml`` is True for an XML body, the service's format."""

    code: str = ""
    message: str = ""
    resource: str = ""
    request_id: str = ""
    is_xml: bool = False


def words_of(body: bytes) -> Words:
    """Read the body of an error; for any other body, ``code`` is empty."""
    text = body[:MAX_SEARCHED_BYTES].removeprefix(_BOM).strip()
    if text[:1] == b"{":
        return _words(_from_json(text), is_xml=False)
    if looks_like_html(text) or b"<Error" not in text:
        return Words(message=_plain(text))
    found = _from_xml(text)
    if found is None:
        # The entities of a document type can hide anything. The parser refuses it, so this search must too.
        found = {} if b"<!DOCTYPE" in text else _from_text(_decoded(text))
    return _words(found, is_xml="code" in found)


def _words(found: dict[str, str], *, is_xml: bool) -> Words:
    return Words(
        code=found.get("code", ""),
        message=found.get("message", ""),
        resource=found.get("resource", ""),
        request_id=found.get("request_id", ""),
        is_xml=is_xml,
    )


def looks_like_html(body: bytes) -> bool:
    """Whether the body is an HTML page."""
    return _HTML.match(body.removeprefix(_BOM)[:1000]) is not None


def _from_json(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(_decoded(body))
    # Deeply nested JSON exceeds Python's recursion limit.
    except (ValueError, RecursionError):
        return {}
    words: dict[str, str] = {}
    for name, value in _members(found, MAX_JSON_DEPTH):
        words.setdefault(name, value)
    return _usable(words)


def _members(node: object, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the known fields of a JSON object and of the objects within it, outermost first."""
    if not isinstance(node, dict) or depth == 0:
        return
    for name, value in node.items():
        known = _NAMES.get(str(name).lower())
        if known and isinstance(value, (str, int)) and not isinstance(value, bool):
            yield known, str(value)
    for value in node.values():
        yield from _members(value, depth - 1)


def _from_xml(body: bytes) -> dict[str, str] | None:
    """Read a well-formed ``<Error>`` element at any depth; None if the body has no such element."""
    try:
        root = xml.document(body)
    except CIResponseError:
        return None
    error = root if root.tag == "Error" else next(root.iter("Error"), None)
    if error is None:
        return None
    # The request id may be beside <Error>. Fields within <Error> are read later and take precedence.
    words = {
        _NAMES[cell.tag.lower()]: cell.text or ""
        for each in (root, error)
        for cell in each.iterchildren()
        if isinstance(cell.tag, str) and cell.tag.lower() in _NAMES
    }
    return _usable(words)


def _from_text(text: str) -> dict[str, str]:
    """Read the text between the tags of an error whose XML is not well-formed."""
    start = text.index("<Error") if "<Error" in text else 0
    words = {
        word: _between(text, f"<{name}>", f"</{name}>", start)
        for name, word in (("Code", "code"), ("Message", "message"), ("Resource", "resource"))
    }
    words["request_id"] = _between(text, "<RequestId>", "</RequestId>", 0)
    return _usable({name: unescape(value) for name, value in words.items()})


def _between(text: str, opening: str, closing: str, start: int) -> str:
    begin = text.find(opening, start)
    end = text.find(closing, begin) if begin >= 0 else -1
    return text[begin + len(opening) : end] if end >= 0 else ""


def _usable(words: dict[str, str]) -> dict[str, str]:
    """Strip blanks; drop empty fields, and a code that is no error or has impossible characters."""
    found = {name: value.strip() for name, value in words.items() if value.strip()}
    code = found.get("code", "")
    # CI uses the code Success for jobs that did not fail, so it is not an error.
    if code in ("0", "Success") or not _CODE.fullmatch(code):
        found.pop("code", None)
    return found


def _plain(body: bytes) -> str:
    """Return the text of a page without tags. The page is cut first: it may be crafted to slow the search."""
    return " ".join(_decoded(_TAGS.sub(b" ", body[:MAX_PLAIN_BYTES])).split())[:MAX_MESSAGE]


def _decoded(body: bytes) -> str:
    """Decode UTF-8, or GB 18030, which Chinese proxies use, if the bytes are not UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        is_cut = error.reason == "unexpected end of data"
        return body.decode("utf-8", "replace") if is_cut else body.decode("gb18030", "replace")
