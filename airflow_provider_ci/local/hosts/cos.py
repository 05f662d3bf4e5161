"""The operations of a COS host: objects, their listing, and whether the bucket exists."""

from __future__ import annotations

import asyncio
import hmac
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5
from urllib.parse import quote

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.hosts import inventories, spoken
from airflow_provider_ci.local.http import conditions, wire
from airflow_provider_ci.local.http.answer import Answer, FileBody
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.http.traits import TraitSwitch
from airflow_provider_ci.local.http.wire import Value
from airflow_provider_ci.local.objects import listing
from airflow_provider_ci.local.objects.folders import Folders
from airflow_provider_ci.local.objects.inventory import write_inventory
from airflow_provider_ci.local.objects.store import (
    STANDARD,
    STORAGE_CLASS,
    Store,
    StoredFile,
    StoredObject,
    Upload,
)
from airflow_provider_ci.local.sync import pic_operations, preview, sync_pictures
from airflow_provider_ci.local.sync.sync import SyncProcessing

MAX_KEYS = 1000
MAX_PUT_BYTES = 5 * 1024**3
_INLINE_HASH_BYTES = 1024 * 1024
_FLUSH_BYTES = 1024 * 1024

_CHECKSUM = "x-cos-hash-crc64ecma"
_KEPT_HEADERS = ("Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Expires")


@dataclass(frozen=True, slots=True, kw_only=True)
class COSService:
    """Handles the requests to a COS host."""

    store: Store
    sync: SyncProcessing
    traits: TraitSwitch
    listing_delay_seconds: float = 0
    """Seconds after a write during which listings leave the object out."""
    versioned: Collection[str] = ()
    """Buckets with versioning. Only the effect on PUT is simulated."""
    folders: Folders = field(default_factory=Folders)

    async def answer(self, request: Request) -> Answer:
        """Find the operation by method and path, and do it.

        :raises ServiceError: the operation is refused, or left out (``NotImplemented``).
        """
        level = "bucket" if request.path == "/" else "object"
        spoken.check(request, level)
        if not request.address.bucket:
            raise ServiceError("NotImplemented", "the local CI does not list buckets; name one in the host")
        self.store.require_bucket(request.address.bucket)
        handler = _ROUTES.get((level, request.method))
        if handler is None:
            raise ServiceError(
                "NotImplemented", f"the local CI does not know {request.method} on this {level}"
            )
        return await handler(self, request)

    async def head_bucket(self, request: Request) -> Answer:
        """HEAD Bucket."""
        return Answer(headers={"x-cos-bucket-region": request.address.region})

    async def list_objects(self, request: Request) -> Answer:
        """GET Bucket, version 1 (436/7734): at most 1,000 names, in UTF-8 byte order."""
        encoding = request.parameter("encoding-type")
        if encoding not in ("", "url"):
            raise ServiceError("InvalidArgument", f"encoding-type {encoding!r} is not url")
        delimiter = request.parameter("delimiter")
        if len(delimiter) > 1:
            raise ServiceError("InvalidDelimiter", f"delimiter {delimiter!r} has more than one character")
        max_keys = wire.number("max-keys", request.parameter("max-keys"), MAX_KEYS, low=0, high=999_999_999)
        names, objects = await asyncio.to_thread(self._page, request, delimiter, min(max_keys, MAX_KEYS))
        body = _list_body(
            request,
            names,
            objects,
            delimiter,
            min(max_keys, MAX_KEYS),
            is_encoded=bool(encoding),
            offset=self.traits.now_on.clock_offset_seconds,
        )
        return Answer(body=body, headers={"x-cos-bucket-region": request.address.region})

    async def post_bucket(self, request: Request) -> Answer:
        """DELETE Multiple Objects, or POST Bucket inventory."""
        if request.has_parameter("inventory"):
            return await self.make_inventory(request)
        if request.has_parameter("delete"):
            return await self.delete_objects(request)
        raise ServiceError(
            "NotImplemented", "the local CI knows POST on a bucket with ?delete or ?inventory only"
        )

    async def make_inventory(self, request: Request) -> Answer:
        """POST Bucket inventory (436/46869): write a one-time report before the response is sent."""
        body = await request.body()
        _check_md5(request, md5(body, usedforsecurity=False).digest(), required=False)
        task = inventories.read(request, body)
        self.store.require_bucket(task.destination)
        await asyncio.to_thread(write_inventory, self.store, task, request.now)
        job_id = b64encode(request.request_id.encode()).decode()
        return Answer(body=wire.document("PostInventoryResult", {"JobId": job_id}))

    async def delete_objects(self, request: Request) -> Answer:
        """DELETE Multiple Objects: at most 1,000 keys; Content-MD5 is required."""
        body = await request.body()
        _check_md5(request, md5(body, usedforsecurity=False).digest(), required=True)
        node = wire.parse(body, "Delete")
        keys = [wire.exact_text(item, "Key") for item in node.findall("Object")]
        if not 1 <= len(keys) <= MAX_KEYS:
            raise ServiceError("MalformedXML", f"{len(keys)} keys to delete, 1 to {MAX_KEYS} are allowed")
        errors = [error for key in keys if (error := self._delete(request, key))]
        failed = {error["Key"] for error in errors}
        deleted: list[Value] = [{"Key": key} for key in keys if key not in failed]
        quiet = wire.text(node, "Quiet").lower() == "true"
        return Answer(
            body=wire.document("DeleteResult", {"Deleted": [] if quiet else deleted, "Error": list(errors)})
        )

    async def get_object(self, request: Request) -> Answer:
        """GET Object: all or a range, with conditions; or the result of a picture rule or a preview."""
        work = preview.read(request) or sync_pictures.read(request)
        if work:
            answer = await self.sync.run(work, request)
            answer.headers.update(_overrides(request))
            return answer
        found = await self._find(request)
        opened = self.store.open(found.file)
        if opened is None:
            raise _no_such_key(request)
        file, now = opened
        try:
            _check_readable(found)
            if now.identity != found.file.identity:
                found = await self._describe(now)
            headers = await self._headers(request, found)
            conditions.check(request, found, self._modified(found))
            status, offset, length = conditions.requested_range(request, found.file.size)
        except BaseException:
            file.close()
            raise
        if status == 206:
            headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{found.file.size}"
        return Answer(status=status, headers=headers, file=FileBody(file=file, offset=offset, length=length))

    async def head_object(self, request: Request) -> Answer:
        """HEAD Object: the headers of GET Object."""
        found = await self._find(request)
        conditions.check(request, found, self._modified(found))
        headers = await self._headers(request, found)
        headers["Content-Length"] = str(found.file.size)
        return Answer(headers=headers)

    async def put_object(self, request: Request) -> Answer:
        """PUT Object: up to 5 GB; replaces an existing object unless x-cos-forbid-overwrite is true.

        In a bucket with versioning, an existing object is always replaced, and the response names a version.

        With Pic-Operations, pictures are then made from the object; the object stays even if that fails.
        """
        operations = pic_operations.read(request)
        _check_length(request)
        is_versioned = request.address.bucket in self.versioned
        upload = self.store.upload(request.address.bucket, _key(request))
        try:
            await _receive(request, upload)
            _check_md5(request, upload.digest.digest(), required=False)
            stored = upload.commit(
                _kept_headers(request),
                replace=is_versioned or request.header("x-cos-forbid-overwrite").lower() != "true",
            )
        finally:
            upload.discard()
        if operations:
            return await self.sync.run(operations, request)
        version = {"x-cos-version-id": _version_id()} if is_versioned else {}
        return Answer(headers={"ETag": f'"{stored.etag}"', _CHECKSUM: stored.crc64, **version})

    async def process_object(self, request: Request) -> Answer:
        """POST on an object with ?image_process: make pictures from it as Pic-Operations says."""
        if not request.has_parameter("image_process"):
            raise ServiceError(
                "NotImplemented", "the local CI knows POST on an object with ?image_process only"
            )
        operations = pic_operations.read(request)
        if operations is None:
            raise ServiceError("InvalidPicOperations", "the header Pic-Operations is missing")
        return await self.sync.run(operations, request)

    async def delete_object(self, request: Request) -> Answer:
        """DELETE Object: the status is 204 whether or not the object existed."""
        self.store.delete(request.address.bucket, _key(request))
        return Answer(status=204)

    async def _find(self, request: Request) -> StoredObject:
        file = self.store.find(request.address.bucket, _key(request))
        if file is None:
            raise _no_such_key(request)
        return await self._describe(file)

    async def _describe(self, file: StoredFile) -> StoredObject:
        if file.size <= _INLINE_HASH_BYTES or self.store.is_known(file):
            return self.store.describe([file])[0]
        return (await asyncio.to_thread(self.store.describe, [file]))[0]

    async def _headers(self, request: Request, found: StoredObject) -> dict[str, str]:
        headers = _object_headers(request, found, self._modified(found))
        if found.crc64 or found.file.size <= _INLINE_HASH_BYTES:
            headers[_CHECKSUM] = self.store.checksum(found)
        else:
            headers[_CHECKSUM] = await asyncio.to_thread(self.store.checksum, found)
        return headers

    def _modified(self, found: StoredObject) -> float:
        """When the object was written, by the service's clock."""
        return found.modified + self.traits.now_on.clock_offset_seconds

    def _page(
        self, request: Request, delimiter: str, max_keys: int
    ) -> tuple[listing.Names, list[StoredObject]]:
        bucket, delay = request.address.bucket, self.listing_delay_seconds
        names = listing.page(
            self.store.bucket_path(bucket),
            prefix=request.parameter("prefix"),
            delimiter=delimiter,
            marker=request.parameter("marker"),
            max_keys=max_keys,
            folders=self.folders,
            synthetic=self.store.synthetic.get(bucket),
            written_before_ns=time.time_ns() - int(delay * 1e9) if delay else None,
        )
        files = [self.store.look(bucket, item.key, item.path) for item in names.objects]
        return names, self.store.describe([file for file in files if file])

    def _delete(self, request: Request, key: str) -> dict[str, Value] | None:
        try:
            self.store.delete(request.address.bucket, key)
        except ServiceError as error:
            return {"Key": key, "Code": error.code, "Message": error.message}
        return None


_ROUTES: dict[tuple[str, str], Callable[[COSService, Request], Awaitable[Answer]]] = {
    ("bucket", "HEAD"): COSService.head_bucket,
    ("bucket", "GET"): COSService.list_objects,
    ("bucket", "POST"): COSService.post_bucket,
    ("object", "GET"): COSService.get_object,
    ("object", "HEAD"): COSService.head_object,
    ("object", "POST"): COSService.process_object,
    ("object", "PUT"): COSService.put_object,
    ("object", "DELETE"): COSService.delete_object,
}


def _key(request: Request) -> str:
    return request.path[1:]


def _no_such_key(request: Request) -> ServiceError:
    return ServiceError(
        "NoSuchKey", f"object {_key(request)!r} does not exist in bucket {request.address.bucket}"
    )


def _check_readable(found: StoredObject) -> None:
    if found.is_archived:
        raise ServiceError(
            "InvalidObjectState", f"{found.file.key!r} is archived ({found.storage_class}); restore it first"
        )


def _version_id() -> str:
    """A new version id in the documented form: a 20-digit number that decreases with time, in Base64."""
    return b64encode(str(2**64 - time.time_ns() // 1000).encode()).decode().rstrip("=")


def _check_length(request: Request) -> None:
    length = request.http.content_length
    if length is None and "chunked" not in request.header("Transfer-Encoding").lower():
        raise ServiceError(
            "MissingContentLength", "the upload says neither its Content-Length nor that it is chunked"
        )
    if length is not None and length > MAX_PUT_BYTES:
        raise ServiceError(
            "EntityTooLarge", f"{length} bytes in one PUT, more than the {MAX_PUT_BYTES} allowed"
        )


async def _receive(request: Request, upload: Upload) -> None:
    """Stream the body to the upload; large parts are written in a thread."""
    await request.expect_body()
    parts: list[bytes] = []
    size = 0
    async for part in request.chunks():
        parts.append(part)
        size += len(part)
        if upload.size + size > MAX_PUT_BYTES:
            raise ServiceError("EntityTooLarge", f"more than {MAX_PUT_BYTES} bytes in one PUT")
        if size >= _FLUSH_BYTES:
            await asyncio.to_thread(upload.write, b"".join(parts))
            parts, size = [], 0
    upload.write(b"".join(parts))


def _check_md5(request: Request, digest: bytes, *, required: bool) -> None:
    text = request.header("Content-MD5")
    if not text and not required:
        return
    try:
        given = b64decode(text, validate=True)
    except Base64Error:
        given = b""
    if len(given) != len(digest):
        raise ServiceError("InvalidDigest", f"Content-MD5 {text!r} is not the Base64 of an MD5")
    if not hmac.compare_digest(given, digest):
        raise ServiceError("BadDigest", "Content-MD5 differs from the MD5 of the body that arrived")


def _kept_headers(request: Request) -> dict[str, str]:
    kept = {name: request.header(name) for name in _KEPT_HEADERS if request.header(name)}
    for name in request.http.headers:
        if name.lower().startswith("x-cos-meta-"):
            kept[name.lower()] = request.header(name)
    if (storage_class := request.header(STORAGE_CLASS).upper()) not in ("", STANDARD):
        kept[STORAGE_CLASS] = storage_class
    return kept


def _object_headers(request: Request, found: StoredObject, modified: float) -> dict[str, str]:
    headers = {**found.headers, "Content-Type": found.content_type}
    headers.update(_overrides(request))
    headers["ETag"] = f'"{found.etag}"'
    headers["Last-Modified"] = formatdate(int(modified), usegmt=True)
    headers["Accept-Ranges"] = "bytes"
    return headers


def _overrides(request: Request) -> dict[str, str]:
    return {
        name: request.parameter(parameter)
        for parameter, name in spoken.OVERRIDES.items()
        if request.parameter(parameter)
    }


def _list_body(
    request: Request,
    names: listing.Names,
    objects: list[StoredObject],
    delimiter: str,
    max_keys: int,
    *,
    is_encoded: bool,
    offset: float,
) -> bytes:
    def shown(text: str) -> str:
        return quote(text, safe="/-_.~") if is_encoded else text

    encoding = {"EncodingType": "url"} if is_encoded else {}
    grouped = {"Delimiter": shown(delimiter)} if delimiter else {}
    following = {"NextMarker": shown(names.next_marker)} if names.next_marker else {}
    content: Mapping[str, Value] = {
        "Name": request.address.bucket,
        **encoding,
        "Prefix": shown(request.parameter("prefix")),
        "Marker": shown(request.parameter("marker")),
        "MaxKeys": max_keys,
        **grouped,
        "IsTruncated": "true" if names.next_marker else "false",
        **following,
        "CommonPrefixes": [{"Prefix": shown(prefix)} for prefix in names.common_prefixes],
        "Contents": [
            _content(found, shown(found.file.key), request.address.bucket, offset) for found in objects
        ],
    }
    return wire.document("ListBucketResult", content)


def _content(found: StoredObject, key: str, bucket: str, offset: float) -> dict[str, Value]:
    owner = bucket.rpartition("-")[2]
    return {
        "Key": key,
        "LastModified": wire.universal_time(int(found.modified + offset)),
        "ETag": f'"{found.etag}"',
        "Size": found.file.size,
        "Owner": {"ID": owner, "DisplayName": owner},
        "StorageClass": found.storage_class,
    }
