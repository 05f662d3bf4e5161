"""Reads and writes XML as plain dictionaries; the only module that uses an XML parser.

A node is a text, or a dictionary of its children by name; several children with the same name are a list.
Attributes, comments and processing instructions carry no information in this API and are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Union

from lxml import etree

from airflow_provider_ci.client.errors import CIResponseError

Element = etree._Element
Node = Union[str, dict[str, "Node"], list["Node"]]  # noqa: UP007  (evaluated at run time on Python 3.10)

_PLAIN = re.compile(r"[\t\n\x20-%'-;=?-\ud7ff]*")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A carriage return must be escaped: a key may contain it, and parsers turn it into a line feed.
_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}

# Allow only XML's own five entities, no DTD and no network, and keep libxml2's limits on depth and size.
_PARSER = etree.XMLParser(
    resolve_entities=False,
    load_dtd=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)


def build(name: str, content: object) -> bytes:
    """Build the element ``name`` as UTF-8.

    ``content`` is a text, number, bool, dictionary of children, or a list for a repeated element.
    None leaves the element out; an empty dictionary or text makes an empty element.

    :raises ValueError: the content has a character that XML cannot carry.
    """
    return _element(name, content).encode()


def parse(body: bytes, *, expected: str, request_id: str = "") -> dict[str, Node]:
    """Return the children of the root element, which must be called ``expected``.

    :raises CIResponseError: the body is malformed, declares a document type, or has another root element.
    """
    element = document(body, request_id=request_id)
    if element.tag != expected:
        raise CIResponseError(f"expected <{expected}>, got <{element.tag!s}>", request_id=request_id)
    node = to_node(element)
    return node if isinstance(node, dict) else {}


def document(body: bytes, *, request_id: str = "") -> Element:
    """Return the root element, whatever its name is.

    :raises CIResponseError: the body is malformed, or declares a document type.
    """
    try:
        element = etree.fromstring(body, _PARSER)
    # LookupError: the document declares an encoding that Python does not know.
    except (etree.LxmlError, ValueError, LookupError) as error:
        raise CIResponseError(
            f"the response is not well-formed XML, {len(body)} bytes beginning {body[:60]!r}: {error}",
            request_id=request_id,
            is_damaged=True,
        ) from error
    if element.getroottree().docinfo.doctype:
        raise CIResponseError(
            "the response declares a document type, which is refused", request_id=request_id
        )
    # Namespaces are dropped, because API pages show none. Searching for the word first is cheaper than
    # visiting all elements.
    if b"xmlns" in body:
        _drop_namespaces(element)
    return element


def to_node(element: Element) -> Node:
    """Convert an element and its descendants to a dictionary, or to its text if it has no children."""
    if not len(element):
        return element.text or ""
    node: dict[str, Node] = {}
    for child in element:
        name = str(child.tag)
        value = to_node(child) if len(child) else child.text or ""
        if name not in node:
            node[name] = value
            continue
        known = node[name]
        if isinstance(known, list):
            known.append(value)
        else:
            node[name] = [known, value]
    return node


def rows(element: Element, name: str) -> Iterator[dict[str, str | None]]:
    """Yield each child called ``name`` as a flat dictionary of its children's texts."""
    # Parsing takes over 90 % of the time of a listing. Flat dictionaries were the fastest way measured.
    for row in element.iterchildren(name):
        yield {str(cell.tag): cell.text for cell in row}


def _element(name: str, content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, Mapping):
        inside = "".join([_element(child, value) for child, value in content.items() if value is not None])
        return f"<{name}>{inside}</{name}>"
    if isinstance(content, (list, tuple)):
        return "".join([_element(name, item) for item in content])
    return f"<{name}>{_text(name, content)}</{name}>"


def _text(name: str, content: object) -> str:
    text = ("true" if content else "false") if isinstance(content, bool) else str(content)
    if _PLAIN.fullmatch(text):
        return text
    bad = _NOT_IN_XML.search(text)
    if bad:
        raise ValueError(
            f"{name} holds U+{ord(bad[0]):04X} at position {bad.start()}, which XML cannot carry"
        )
    return text.translate(_ESCAPES)


def _drop_namespaces(element: Element) -> None:
    for each in element.iter(etree.Element):
        each.tag = etree.QName(each).localname
