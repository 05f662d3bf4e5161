"""Objects of a bucket: their records, pages of a listing, and moving their bytes from and to files.

Source: GET Bucket and GET, HEAD, PUT Object, tencentcloud.com document/product/436/7734 and following.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from binascii import a2b_qp
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from airflow_provider_ci.client import nodes, xml
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.refusals import date_of
from airflow_provider_ci.client.responses import Response, Success

LISTING = Success(root="ListBucketResult")
STORED = Success(headers=("ETag",))

_MD5 = re.compile(r"[0-9a-f]{32}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object: its key, size in bytes, ETag without quotes, and when it was written (aware).

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
    """One page of a listing; ``next_marker`` is None on the last page."""

    objects: tuple[ObjectInfo, ...]
    common_prefixes: tuple[str, ...]
    next_marker: str | None
    request_id: str

    @classmethod
    def from_response(cls, response: Response) -> ObjectPage:
        """Read a ``ListBucketResult``.

        :raises CIResponseError: it is damaged or incomplete, or is truncated and lacks the next marker.
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


class Upload:
    """A file to upload: read from its start whenever it is opened, and hashed as it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self.failure: OSError | None = None
        self.open()
        self.close()

    def open(self) -> None:
        """Open the file at its start.

        :raises OSError: if the file cannot be read.
        """
        self._file = self._path.open("rb")
        self.size = self._left = os.fstat(self._file.fileno()).st_size
        self._md5 = hashlib.md5(usedforsecurity=False)

    def read(self, amount: int = -1) -> bytes:
        """Return the next bytes, never more than the announced size in total."""
        assert self._file is not None
        try:
            data = self._file.read(self._left if amount < 0 else min(amount, self._left))
            if not data and self._left:
                raise OSError(f"{self._path} became shorter while it was uploaded")
        except OSError as error:
            self.failure = error  # kept, because the HTTP library only reports a broken connection
            raise
        self._left -= len(data)
        self._md5.update(data)
        return data

    @property
    def md5(self) -> str:
        """The digest of the bytes read since the start."""
        return self._md5.hexdigest()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def described(key: str, response: Response) -> ObjectInfo:
    """Read the record of an object from the headers of a response to HEAD or GET."""
    length = response.headers.get("Content-Length", "")
    if not _LENGTH.fullmatch(length):
        raise CIResponseError(
            f"the response about {key!r} lacks Content-Length", request_id=response.request_id
        )
    return _info(key, int(length), response)


def read(key: str, response: Response) -> tuple[bytes, ObjectInfo]:
    """Read a response's body, and the record of the object."""
    body = b"".join(response.chunks())
    return body, _info(key, len(body), response)


def read_part(key: str, offset: int, length: int, response: Response) -> tuple[bytes, ObjectInfo]:
    """Read the requested bytes of an object, and its record, whose size is the size of the whole object.

    :raises CIResponseError: the response holds other bytes than the requested ones.
    """
    body = b"".join(response.chunks())
    text = response.headers.get("Content-Range", "")
    if not text:  # a server may ignore a range and send everything
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


def save(key: str, path: Path, response: Response) -> ObjectInfo:
    """Write a response's body to a file. ``path`` is either complete afterwards, or unchanged.

    The bytes go to a temporary file beside it, which is renamed at the end and removed on any failure.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            for chunk in response.chunks():
                file.write(chunk)
            size = file.tell()
        info = _info(key, size, response)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return info


def stored(key: str, response: Response, size: int, md5: str) -> ObjectInfo:
    """Return the record of an object that was just sent, after checking that it arrived undamaged.

    An ETag is the content's MD5, unless the bucket encrypts or the ETag has another form. Such an ETag is not
    compared.
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


def answered_at(response: Response) -> datetime:
    """The time of this response, by the service's clock."""
    moment = nodes.header_time(response.headers.get("Date"))
    if moment is None:
        raise CIResponseError("the response lacks its Date", request_id=response.request_id)
    return moment


def _info(key: str, size: int, response: Response) -> ObjectInfo:
    headers = response.headers
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


def unquoted(text: str) -> str:
    """Decode a percent-encoded key, as ``urllib.parse.unquote`` does, at a fifteenth of its cost.

    Decoding is most of the work of reading a page. Quoted-printable differs from percent-encoding only in the
    sign before the two digits, and its decoder is written in C. The decoder skips malformed escapes, which
    the length check then detects.

    :raises ValueError: for bytes that are not UTF-8.
    """
    if "%" not in text:
        return text
    if "=" not in text and text.isascii() and text.isprintable():  # no line ends, which "=" would swallow
        data = a2b_qp(text.replace("%", "="))
        if len(data) == len(text) - 2 * text.count("%"):
            return data.decode()
    return unquote(text, errors="strict")


def _next_marker(truncated: str | None, marker: str, request_id: str) -> str | None:
    if truncated not in ("true", "false"):
        raise CIResponseError(f"<IsTruncated> is {truncated!r}, must be true or false", request_id=request_id)
    if truncated == "false":
        return None
    if not marker:
        raise CIResponseError("the listing is truncated and has no <NextMarker>", request_id=request_id)
    return marker
