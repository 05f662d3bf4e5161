"""Objects of a bucket: their records, and the calls that list, read, write and delete them.

Source: GET Bucket and GET, HEAD, PUT Object, tencentcloud.com document/product/436/7734 and following.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.http.address import unquoted
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import NOTHING, OBJECT, OBJECT_PART, Response, Success, nothing
from airflow_provider_ci.client.http.transport import Connected
from airflow_provider_ci.client.http.upload import Upload
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.wire import nodes, xml
from airflow_provider_ci.client.wire.refusals import date_of

LISTING = Success(root="ListBucketResult")
STORED = Success(headers=("ETag",))

URL_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")

_MD5 = re.compile(r"[0-9a-f]{32}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object: its key, size in bytes, ETag without quotes, and the (aware) time of its last change.

    ``date`` is the ``Date`` of the response that described the object, in Unix seconds by the service's
    clock. It is None in a listing.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime
    storage_class: str = "STANDARD"
    date: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPage:
    """One page of a listing of objects; ``next_marker`` is None on the last page."""

    objects: tuple[ObjectInfo, ...]
    common_prefixes: tuple[str, ...]
    next_marker: str | None
    request_id: str

    @classmethod
    def from_response(cls, response: Response) -> ObjectPage:
        """Read a ``ListBucketResult``.

        :raises CIResponseError: the page is damaged or incomplete, or is truncated and lacks the next marker.
        """
        request_id = response.request_id
        root = response.root
        decode = unquoted if root.findtext("EncodingType") == "url" else str
        objects = _objects(root, decode, request_id)
        prefixes = tuple([decode(row.get("Prefix") or "") for row in xml.rows(root, "CommonPrefixes")])
        marker = decode(root.findtext("NextMarker") or "")
        return cls(
            objects=objects,
            common_prefixes=prefixes,
            next_marker=_next_marker(root.findtext("IsTruncated"), marker, request_id),
            request_id=request_id,
        )


class ObjectCalls(Connected):
    """List, read, write and delete the objects of the bucket, or sign a URL for another program."""

    def head_bucket(self) -> None:
        """Check that the bucket exists and that the client's key may read it (HEAD Bucket)."""
        self._transport.send(Request(method="HEAD", service="cos", path="/"), nothing)

    def server_time(self) -> datetime:
        """Return the service's time in whole seconds, as an aware datetime (the ``Date`` of HEAD Bucket)."""
        return self._transport.send(Request(method="HEAD", service="cos", path="/"), _answered_at)

    def list_objects(
        self, prefix: str = "", *, start_after: str = "", page_size: int = 1000
    ) -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix, in the byte order of their keys (GET Bucket).

        Only one page is in memory at a time.

        :param start_after: only keys after this key, in byte order.
        """
        marker: str | None = start_after
        while marker is not None:
            page = self.list_objects_page(prefix, start_after=marker, page_size=page_size)
            yield from page.objects
            marker = page.next_marker

    def list_objects_page(
        self, prefix: str = "", *, start_after: str = "", delimiter: str = "", page_size: int = 1000
    ) -> ObjectPage:
        """Read one page of a listing; ``delimiter`` groups deeper keys into ``common_prefixes``."""
        checks.number("page_size", page_size, 1, 1000)
        wanted = {"prefix": prefix, "marker": start_after, "delimiter": delimiter, "max-keys": str(page_size)}
        # URL encoding is requested, because XML cannot carry the control characters that a key may have.
        params = (*((name, value) for name, value in wanted.items() if value), ("encoding-type", "url"))
        request = Request(method="GET", service="cos", path="/", params=params, success=LISTING)
        page = self._transport.send(request, ObjectPage.from_response)
        # A server that ignores the marker would send the same page for ever.
        if page.next_marker is not None and page.next_marker.encode() <= start_after.encode():
            raise CIResponseError(
                f"the listing does not advance: after {start_after!r} it goes on at {page.next_marker!r}",
                request_id=page.request_id,
            )
        return page

    def head_object(self, key: str) -> ObjectInfo:
        """Read an object's record (HEAD Object). Raises NotFoundError if it does not exist."""
        return self._transport.send(
            self._object("HEAD", key, success=OBJECT), lambda response: _described(key, response)
        )

    def get_object(self, key: str, path: str | os.PathLike[str]) -> ObjectInfo:
        """Write an object's bytes to a file (GET Object).

        Afterwards ``path`` is either complete or unchanged: the bytes go to a temporary file beside it, which
        is renamed at the end. A response that ends early is fetched again.

        :raises OSError: the file cannot be written.
        """
        target = Path(path)
        return self._transport.send(
            self._object("GET", key, success=OBJECT), lambda response: _save(key, target, response)
        )

    def read_object(self, key: str) -> bytes:
        """Return an object's bytes (GET Object). The object has to fit into memory."""
        return self._transport.send(
            self._object("GET", key, success=OBJECT), lambda response: b"".join(response.chunks())
        )

    def read_object_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        """Return an object's bytes and its record, from one response."""
        return self._transport.send(
            self._object("GET", key, success=OBJECT), lambda response: _read(key, response)
        )

    def read_object_part(self, key: str, offset: int, length: int) -> tuple[bytes, ObjectInfo]:
        """Return a range of an object's bytes and the object's record (GET Object with ``Range``).

        Fewer bytes are returned if the object ends within the range. The record's ``size`` is the size of the
        whole object.

        :param offset: position of the first byte, from 0.
        :param length: number of bytes, 1 or more.
        :raises InvalidRequestError: with code ``InvalidRange``: the object ends at or before ``offset``.
        """
        checks.number("offset", offset, 0)
        checks.number("length", length, 1)
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        return self._transport.send(
            self._object("GET", key, headers=headers, success=OBJECT_PART),
            lambda response: _read_part(key, offset, length, response),
        )

    def put_object(
        self,
        key: str,
        source: bytes | str | os.PathLike[str],
        *,
        content_type: str | None = None,
        overwrite: bool = True,
        expires_at: float | None = None,
    ) -> ObjectInfo:
        """Store bytes, or the content of a file, under a key (PUT Object); an existing object is replaced.

        The ETag of the stored object is compared with the MD5 of the bytes that were sent.

        :param source: bytes, or the path of a file, which is read again if the request is repeated.
        :param overwrite: ``False`` leaves an existing object unchanged. It has no effect in a bucket that has
            or ever had versioning.
        :param expires_at: Unix time by the service's clock (:attr:`CIClient.clock`). The signature expires in
            that second, so the service rejects a request that arrives later.
        :raises ObjectExistsError: the object exists, and ``overwrite`` is False. If the request was repeated
            after a lost response, the object may be its own.
        :raises RequestExpiredError: ``expires_at`` has passed; an earlier attempt whose response was lost may
            have succeeded.
        """
        headers = {"Content-Type": checks.header("content_type", content_type or "application/octet-stream")}
        if not overwrite:
            headers["x-cos-forbid-overwrite"] = "true"
        if isinstance(source, bytes):
            md5 = hashlib.md5(source, usedforsecurity=False)
            # The service checks this digest before it stores anything.
            headers["Content-MD5"] = base64.b64encode(md5.digest()).decode()
            request = self._object(
                "PUT", key, success=STORED, headers=headers, body=source, expires_at=expires_at
            )
            return self._transport.send(
                request, lambda response: _stored(key, response, len(source), md5.hexdigest())
            )
        upload = Upload(Path(source))
        request = self._object(
            "PUT", key, success=STORED, headers=headers, body=upload, expires_at=expires_at
        )
        return self._transport.send(request, lambda response: _stored(key, response, upload.size, upload.md5))

    def delete_object(self, key: str, *, expires_at: float | None = None) -> None:
        """Delete an object (DELETE Object). A missing object counts as deleted.

        :param expires_at: as for :meth:`put_object`.
        """
        self._transport.send(self._object("DELETE", key, expires_at=expires_at), nothing)

    def object_url(
        self,
        key: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        valid_seconds: int = 3600,
    ) -> str:
        """Return a signed URL that reads an object; other methods store, describe or delete the object.

        Until the URL expires, it permits that one action without a key, so treat it as a secret. It never
        contains the SecretKey. With a temporary key, it contains the key's token, and expires with the token
        at the latest.

        If the client's ``endpoint`` is on this machine, the URL's host is below ``.localhost`` and names the
        bucket; browsers and curl resolve it to this machine. If the endpoint is elsewhere, the program that
        opens the URL has to send the service's own ``Host``.

        :param params: further parameters, such as ``response-content-disposition``; they are signed.
        :param headers: headers that a request has to send with exactly these values, such as
            ``Content-Type``.
        """
        checks.object_key("key", key)
        checks.one_of("method", method, URL_METHODS)
        checks.number("valid_seconds", valid_seconds, 1)
        for name, value in (headers or {}).items():
            if name.lower() == "host":
                raise ValueError("headers must not hold Host, which is signed anyway")
            checks.header(name, value)
        request = Request(
            method=method,
            service="cos",
            path=f"/{key}",
            params=tuple((params or {}).items()),
            headers=headers or {},
        )
        return self._transport.signed_url(request, valid_seconds)

    def _object(
        self,
        method: str,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Upload | None = None,
        success: Success = NOTHING,
        expires_at: float | None = None,
    ) -> Request:
        checks.object_key("key", key)
        return Request(
            method=method,
            service="cos",
            path=f"/{key}",
            headers=headers or {},
            body=body,
            success=success,
            expires_at=expires_at,
        )


def _described(key: str, response: Response) -> ObjectInfo:
    """Read the record of an object from the headers of a response to HEAD or GET."""
    length = response.headers.get("Content-Length", "")
    if not _LENGTH.fullmatch(length):
        raise CIResponseError(
            f"the response about {key!r} lacks Content-Length", request_id=response.request_id
        )
    return _info(key, int(length), response)


def _read(key: str, response: Response) -> tuple[bytes, ObjectInfo]:
    """Return a response's body and the record of the object."""
    body = b"".join(response.chunks())
    return body, _info(key, len(body), response)


def _read_part(key: str, offset: int, length: int, response: Response) -> tuple[bytes, ObjectInfo]:
    """Return the requested bytes of an object and its record, whose size is that of the whole object.

    :raises CIResponseError: the response contains other bytes than the requested ones.
    """
    body = b"".join(response.chunks())
    text = response.headers.get("Content-Range", "")
    if not text:  # a server may ignore Range and send the whole object
        return body[offset : offset + length], _info(key, len(body), response)
    match = _RANGE.fullmatch(text)
    if not match or int(match[1]) != offset or int(match[2]) - offset + 1 != len(body) or len(body) > length:
        raise CIResponseError(
            f"bytes {offset}-{offset + length - 1} of {key!r} were requested; the response holds {text!r}",
            request_id=response.request_id,
            is_damaged=True,
        )
    size = int(match[3]) if match[3] != "*" else offset + len(body)
    return body, _info(key, size, response)


def _save(key: str, path: Path, response: Response) -> ObjectInfo:
    """Write a response's body to a file. Afterwards ``path`` is either complete or unchanged.

    The bytes go to a temporary file beside ``path``, which is renamed at the end and removed on any failure.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            for chunk in response.chunks():
                file.write(chunk)
            size = file.tell()
        info = _info(key, size, response)
        part.replace(path)
    except BaseException:  # also after KeyboardInterrupt, so that no partial file stays beside the target
        with suppress(OSError):
            part.unlink()
        raise
    return info


def _stored(key: str, response: Response, size: int, md5: str) -> ObjectInfo:
    """Return the record of an object that was just stored, after checking that it arrived undamaged.

    An ETag that looks like an MD5 is the MD5 of the content, unless the bucket encrypts its objects. Other
    ETags are not compared.
    """
    info = _info(key, size, response)
    says_content = _MD5.fullmatch(info.etag) and "x-cos-server-side-encryption" not in response.headers
    if says_content and info.etag != md5:
        raise CIResponseError(
            f"{key!r} arrived damaged: its ETag is {info.etag}, the MD5 of the sent bytes is {md5}",
            request_id=response.request_id,
            is_damaged=True,
        )
    return info


def _answered_at(response: Response) -> datetime:
    """Return the time of a response by the service's clock."""
    moment = nodes.header_time(response.headers.get("Date"))
    if moment is None:
        raise CIResponseError("the response lacks its Date", request_id=response.request_id)
    return moment


def _info(key: str, size: int, response: Response) -> ObjectInfo:
    headers = response.headers
    # The response to a PUT has no Last-Modified; its Date is the time at which the service stored the object.
    modified = nodes.header_time(headers.get("Last-Modified") or headers.get("Date"))
    if modified is None:
        raise CIResponseError(
            f"the response about {key!r} lacks Last-Modified and Date", request_id=response.request_id
        )
    etag = headers.get("ETag", "").strip('"')
    storage_class = headers.get("x-cos-storage-class", "STANDARD")
    return ObjectInfo(key, size, etag, modified, storage_class, date_of(headers))


def _objects(root: xml.Element, decode: Callable[[str], str], request_id: str) -> tuple[ObjectInfo, ...]:
    try:
        return tuple(
            [
                ObjectInfo(
                    decode(row["Key"] or ""),
                    int(row["Size"] or ""),
                    (row["ETag"] or "").strip('"'),
                    nodes.parse_time(row["LastModified"] or ""),
                    row.get("StorageClass") or "STANDARD",
                )
                for row in xml.rows(root, "Contents")
            ]
        )
    except KeyError as error:
        raise CIResponseError(f"a listed object lacks <{error.args[0]}>", request_id=request_id) from error
    except ValueError as error:
        raise CIResponseError(
            f"a listed object is not as documented: {error}", request_id=request_id
        ) from error


def _next_marker(truncated: str | None, marker: str, request_id: str) -> str | None:
    # Without this check, a damaged page would end the listing early, and objects would silently be missing.
    if truncated not in ("true", "false"):
        raise CIResponseError(f"<IsTruncated> is {truncated!r}, must be true or false", request_id=request_id)
    if truncated == "false":
        return None
    if not marker:
        raise CIResponseError("the listing is truncated and has no <NextMarker>", request_id=request_id)
    return marker
