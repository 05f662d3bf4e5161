"""Calls for objects."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from airflow_provider_ci.client import checks, objects
from airflow_provider_ci.client.api.connected import Connected
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.objects import ObjectInfo, ObjectPage, Upload
from airflow_provider_ci.client.request import Request
from airflow_provider_ci.client.responses import NOTHING, OBJECT, OBJECT_PART, Success, nothing


class ObjectCalls(Connected):
    """List, read, write and delete the objects of the bucket."""

    def head_bucket(self) -> None:
        """Check that the bucket exists and this key may read it (HEAD Bucket)."""
        self._transport.send(Request(method="HEAD", service="cos", path="/"), nothing)

    def server_time(self) -> datetime:
        """The service's clock, in whole seconds (the ``Date`` of HEAD Bucket; aware)."""
        return self._transport.send(Request(method="HEAD", service="cos", path="/"), objects.answered_at)

    def list_objects(
        self, prefix: str = "", *, start_after: str = "", page_size: int = 1000
    ) -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix, in the byte order of their keys (GET Bucket).

        One page is in memory at a time.

        :param start_after: only keys after this one.
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
        params = (*((name, value) for name, value in wanted.items() if value), ("encoding-type", "url"))
        request = Request(method="GET", service="cos", path="/", params=params, success=objects.LISTING)
        page = self._transport.send(request, ObjectPage.from_response)
        if page.next_marker is not None and page.next_marker.encode() <= start_after.encode():
            raise CIResponseError(
                f"the listing does not advance: after {start_after!r} it goes on at {page.next_marker!r}",
                request_id=page.request_id,
            )
        return page

    def head_object(self, key: str) -> ObjectInfo:
        """Read an object's record (HEAD Object). Raises NotFoundError if it does not exist."""
        return self._transport.send(
            self._object("HEAD", key, success=OBJECT), lambda response: objects.described(key, response)
        )

    def get_object(self, key: str, path: str | os.PathLike[str]) -> ObjectInfo:
        """Write an object's bytes to a file (GET Object).

        ``path`` is either complete or not touched: the bytes go to a temporary file beside it, which is
        renamed at the end. A response that ends early is fetched again.

        :raises OSError: if the file cannot be written.
        """
        target = Path(path)
        return self._transport.send(
            self._object("GET", key, success=OBJECT), lambda response: objects.save(key, target, response)
        )

    def read_object(self, key: str) -> bytes:
        """Return an object's bytes (GET Object). The object has to fit into memory."""
        return self._transport.send(
            self._object("GET", key, success=OBJECT), lambda response: b"".join(response.chunks())
        )

    def read_object_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        """Return an object's bytes and its record, from one response."""
        return self._transport.send(
            self._object("GET", key, success=OBJECT), lambda response: objects.read(key, response)
        )

    def read_object_part(self, key: str, offset: int, length: int) -> tuple[bytes, ObjectInfo]:
        """Return some of an object's bytes and the object's record (GET Object with ``Range``).

        There are fewer bytes if the object ends before. The record's ``size`` is the whole object's.

        :param offset: the first byte, from 0.
        :param length: number of bytes, 1 or more.
        :raises InvalidRequestError: code ``InvalidRange``: the object ends at or before ``offset``.
        """
        checks.number("offset", offset, 0)
        checks.number("length", length, 1)
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        return self._transport.send(
            self._object("GET", key, headers=headers, success=OBJECT_PART),
            lambda response: objects.read_part(key, offset, length, response),
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
        """Store bytes, or a file's bytes, under a key (PUT Object); an existing object is replaced.

        The stored object's ETag is compared with the MD5 of the sent bytes.

        :param source: bytes, or the path of a file, which is read again if the request is repeated.
        :param overwrite: ``False`` leaves an existing object unchanged (without effect in a bucket that ever
            had versioning).
        :param expires_at: Unix time by the service's clock (:attr:`CIClient.clock`). The signature expires in
            that second, so the service rejects a request that arrives later.
        :raises ObjectExistsError: the object exists, and ``overwrite`` is False. A request that is repeated
            after a lost response may find its own object.
        :raises RequestExpiredError: ``expires_at`` has passed; an earlier attempt whose response was lost may
            have succeeded.
        """
        headers = {"Content-Type": checks.header("content_type", content_type or "application/octet-stream")}
        if not overwrite:
            headers["x-cos-forbid-overwrite"] = "true"
        if isinstance(source, bytes):
            md5 = hashlib.md5(source, usedforsecurity=False)
            headers["Content-MD5"] = base64.b64encode(md5.digest()).decode()
            request = self._object(
                "PUT", key, success=objects.STORED, headers=headers, body=source, expires_at=expires_at
            )
            return self._transport.send(
                request, lambda response: objects.stored(key, response, len(source), md5.hexdigest())
            )
        upload = Upload(Path(source))
        request = self._object(
            "PUT", key, success=objects.STORED, headers=headers, body=upload, expires_at=expires_at
        )
        return self._transport.send(
            request, lambda response: objects.stored(key, response, upload.size, upload.md5)
        )

    def delete_object(self, key: str, *, expires_at: float | None = None) -> None:
        """Delete an object (DELETE Object). A missing object counts as deleted.

        :param expires_at: as for :meth:`put_object`.
        """
        self._transport.send(self._object("DELETE", key, expires_at=expires_at), nothing)

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
