"""Decides whether a response is a success, for every operation.

A status below 300 is not enough. The service, or a proxy on the way to it, sometimes sends 200 with an error
or an HTML page in the body. So each request names the contents of its successful response: a root element,
headers, or an object's bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from urllib3 import BaseHTTPResponse

from airflow_provider_ci.client.errors import CIConnectionError, CIError, CIResponseError
from airflow_provider_ci.client.http.adapter import Asked, translated
from airflow_provider_ci.client.http.deadline import Deadline
from airflow_provider_ci.client.wire import xml
from airflow_provider_ci.client.wire.refusals import refusal, request_id_of
from airflow_provider_ci.client.wire.words import looks_like_html, words_of

CHUNK_BYTES = 256 * 1024
MAX_XML_BYTES = 32 * 1024 * 1024
"""Limit in bytes for a response in XML. A page of 1,000 keys of maximum length has about 3 MB."""
MAX_UNANNOUNCED_BYTES = 256 * 1024 * 1024
"""Limit in bytes for an object without Content-Length, which COS always sends; other bodies may never end."""
MAX_OTHER_BYTES = 64 * 1024
"""Limit in bytes for the body of an error, and for a body that is not used."""

_GZIP = b"\x1f\x8b"
# Content types of the errors and login pages that gateways send. An object can have such a type, too.
_PAGES = ("text/html", "text/xml", "application/xml", "application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """What a successful response of an operation must contain, besides a status below 300.

    :param root: the name of the root element of the body; None if the body is not used.
    :param headers: names of required headers.
    :param is_object: the body is an object of any type.
    :param is_part: the request has a ``Range``, so that the body may be a part of the object.
    """

    root: str | None = None
    headers: tuple[str, ...] = ()
    is_object: bool = False
    is_part: bool = False


NOTHING = Success()
"""For operations whose response body is not used."""
RESPONSE = Success(root="Response")
"""For nearly all operations of CI: their responses have the root element ``Response``."""
OBJECT = Success(is_object=True)
OBJECT_PART = Success(is_object=True, is_part=True)


@dataclass(slots=True)
class Response:
    """A successful response: headers, request id, and a root element or the unread bytes of an object."""

    headers: Mapping[str, str]
    request_id: str
    _raw: BaseHTTPResponse
    _asked: Asked
    _deadline: Deadline
    _root: xml.Element | None = None
    _body: bytes | None = field(default=None, repr=False)

    @property
    def root(self) -> xml.Element:
        """The root element; only for operations whose responses have a root element."""
        assert self._root is not None
        return self._root

    @property
    def tree(self) -> dict[str, xml.Node]:
        """The children of the root element."""
        node = xml.to_node(self.root)
        return node if isinstance(node, dict) else {}

    def chunks(self) -> Iterator[bytes]:
        """Yield the object's bytes, piece by piece.

        :raises CIConnectionError: the bytes end early.
        """
        if self._body is not None:
            yield self._body
            return
        announced = self._raw.length_remaining
        left = MAX_UNANNOUNCED_BYTES if announced is None else announced
        while True:
            # Only the read is translated: an exception of the caller between two pieces keeps its type.
            with translated(self._asked):
                chunk = self._raw.read(CHUNK_BYTES)
            if not chunk:
                return
            left -= len(chunk)
            if left < 0:
                raise CIResponseError(
                    f"the object has no Content-Length and more than {MAX_UNANNOUNCED_BYTES} bytes",
                    request_id=self.request_id,
                )
            self._deadline.extend(len(chunk))
            yield chunk


def nothing(response: Response) -> None:
    """Read nothing: the response only says that the request succeeded."""


def accepted(
    raw: BaseHTTPResponse, success: Success, asked: Asked, deadline: Deadline, signed_for: float
) -> Response:
    """Return the response if it is a success.

    :param signed_for: the service's Unix time that the signature assumed.
    :raises CIServiceError: the response is a service error, whatever its status.
    :raises CIResponseError: the response lacks the contents that the operation requires.
    :raises CIConnectionError: the response ends early.
    """
    if not 200 <= raw.status < 300:
        raise _error_of(raw, asked, signed_for)
    response = Response(raw.headers, request_id_of(raw.headers), raw, asked, deadline)
    if success.is_object:
        _accept_object(response, raw, asked, signed_for, is_part=success.is_part)
    elif success.root is not None:
        response._root = _accepted_root(raw, success.root, response.request_id, asked, signed_for)
    else:
        _accept_nothing(raw, response.request_id, asked, signed_for)
    # An ETag that consists of two quotes is as useless as a missing one.
    missing = [name for name in success.headers if not raw.headers.get(name, "").strip('" ')]
    if missing:
        raise CIResponseError(
            f"the response lacks its {missing[0]}", request_id=response.request_id, is_damaged=True
        )
    return response


def _error_of(raw: BaseHTTPResponse, asked: Asked, signed_for: float) -> CIError:
    body, is_cut = b"", True
    with suppress(CIConnectionError), translated(asked):  # if the body is lost, the status decides the error
        body, is_cut = raw.read(MAX_OTHER_BYTES) if asked.method != "HEAD" else b"", False
    return refusal(
        raw.status,
        raw.headers,
        unpacked(body, MAX_OTHER_BYTES),
        asked=str(asked),
        path=asked.path,
        now=signed_for,
        is_cut=is_cut,
    )


def _accepted_root(
    raw: BaseHTTPResponse, expected: str, request_id: str, asked: Asked, signed_for: float
) -> xml.Element:
    body = _whole(raw, request_id, asked)
    try:
        root = xml.document(body, request_id=request_id)
    except CIResponseError:
        # Malformed XML may still be a service error that a gateway on the way cut off or escaped wrongly.
        _raise_if_error(raw, body, request_id, asked, signed_for)
        raise
    is_right = root.tag == expected
    # CI may report an error with status 200: as the root element, or below <Response> (1045/33700).
    if not is_right or (expected == "Response" and root.find("Error") is not None):
        _raise_if_error(raw, body, request_id, asked, signed_for)
    if not is_right:
        raise CIResponseError(f"expected <{expected}>, got <{root.tag!s}>", request_id=request_id)
    return root


def _accept_nothing(raw: BaseHTTPResponse, request_id: str, asked: Asked, signed_for: float) -> None:
    with translated(asked):
        body = unpacked(raw.read(MAX_OTHER_BYTES), MAX_OTHER_BYTES).strip()
    if not body:
        return
    _raise_if_error(raw, body, request_id, asked, signed_for)
    # A body that begins like XML and cannot be parsed was damaged on the way, so the success is in doubt.
    if body[:1] == b"<":
        xml.document(body, request_id=request_id)


def _accept_object(
    response: Response, raw: BaseHTTPResponse, asked: Asked, signed_for: float, *, is_part: bool
) -> None:
    """Accept an object, which may itself be HTML or contain ``<Error>``; only objects have an ETag."""
    request_id = response.request_id
    if raw.status == 206 and not is_part:
        raise CIResponseError(
            "got 206 with a part of the object, without a Range in the request",
            request_id=request_id,
            is_damaged=True,
        )
    kind = raw.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _PAGES and not raw.headers.get("ETag"):
        response._body = b"" if asked.method == "HEAD" else _whole(raw, request_id, asked)
        _raise_if_error(raw, response._body, request_id, asked, signed_for)
        # The HTML page of a portal, such as a login page, lacks the service's request id.
        if not request_id and kind == "text/html":
            raise _page_of_html(request_id)
    # In HTTP/1.0, a body ends when the connection closes, so a truncated body would look complete.
    elif asked.method != "HEAD" and raw.length_remaining is None and not getattr(raw, "chunked", False):
        raise CIResponseError(
            "the body has neither a Content-Length nor chunks, so its end is unknown",
            request_id=request_id,
            is_damaged=True,
        )


def _whole(raw: BaseHTTPResponse, request_id: str, asked: Asked) -> bytes:
    with translated(asked):
        announced = raw.length_remaining
        # ``read(amount)`` goes through urllib3's buffer, which is slow. A short body needs no limit.
        is_short = announced is not None and announced <= MAX_XML_BYTES
        body = raw.read() if is_short else raw.read(MAX_XML_BYTES + 1)
    body = unpacked(body, MAX_XML_BYTES + 1)
    if len(body) > MAX_XML_BYTES:
        raise CIResponseError(f"the response has more than {MAX_XML_BYTES} bytes", request_id=request_id)
    return body


def _raise_if_error(
    raw: BaseHTTPResponse, body: bytes, request_id: str, asked: Asked, signed_for: float
) -> None:
    """Raise if the body is a service error or an HTML page, whatever the status.

    :raises CIServiceError: the body is a service error.
    :raises CIResponseError: the body is an HTML page.
    """
    start = body[:MAX_OTHER_BYTES]
    if words_of(start).code:
        raise refusal(
            raw.status, raw.headers, start, asked=str(asked), path=asked.path, now=signed_for, is_cut=False
        )
    if looks_like_html(start):
        raise _page_of_html(request_id)


def _page_of_html(request_id: str) -> CIResponseError:
    return CIResponseError(
        "the response is a page of HTML, sent by a proxy or a portal on the way, not by the service",
        request_id=request_id,
        is_damaged=True,
    )


def unpacked(body: bytes, most: int) -> bytes:
    """Decompress a body if it is gzip, although we never request gzip; ``most`` limits its size in bytes."""
    if not body.startswith(_GZIP):
        return body
    try:
        # ``decompressobj`` stops at the limit, so a small body cannot expand to fill the memory.
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, most)
    except zlib.error:
        return body
