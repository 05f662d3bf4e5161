"""Inventories: lists of a bucket's objects, in gzipped CSV parts and a manifest (436/30622, 436/46869)."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from urllib.parse import quote

from airflow_provider_ci.local.objects import listing
from airflow_provider_ci.local.objects.store import Store, StoredObject

PART_ROWS = 100_000
_PAGE = 1000

_ALWAYS = ("Appid", "Bucket", "Key")
_OF_VERSIONS = ("VersionId", "IsLatest", "IsDeleteMarker")


def _time(found: StoredObject) -> str:
    return datetime.fromtimestamp(int(found.modified), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


OPTIONAL: Mapping[str, Callable[[StoredObject], object]] = {
    "Size": lambda found: found.file.size,
    "LastModifiedDate": _time,
    "ETag": lambda found: found.etag,
    "StorageClass": lambda found: found.storage_class,
    "IsMultipartUploaded": lambda _: "false",
    "ReplicationStatus": lambda _: "",
    "Tag": lambda _: "",
}
"""The optional fields, and how each is read from an object. Tags and replicas are not kept here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryTask:
    """What an inventory lists, and where its report goes."""

    name: str
    source: str
    """Bucket with its APPID; ``destination`` has the same form."""
    destination: str
    folder: str = ""
    """Prefix of the report, without a ``/`` at its end."""
    key_prefix: str = ""
    fields: tuple[str, ...] = ()
    """Optional fields, in the order of the columns."""
    has_versions: bool = False

    @property
    def schema(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return (*_ALWAYS, *(_OF_VERSIONS if self.has_versions else ()), *self.fields)

    @property
    def root(self) -> str:
        """Folder of the inventory in the destination bucket, with a ``/`` at its end."""
        bucket, _, appid = self.source.rpartition("-")
        parts = [self.folder.strip("/"), appid, bucket, self.name]
        return "/".join(filter(None, parts)) + "/"


def write_inventory(store: Store, task: InventoryTask, now: float) -> str:
    """Write a report, ``manifest.json`` last; return the key of the manifest."""
    files: list[dict[str, str]] = []
    count = size = 0
    found = _objects(store, task)
    while chunk := list(islice(found, PART_ROWS)):
        count, size = count + len(chunk), size + sum(each.file.size for each in chunk)
        files.append(_write_part(store, task, chunk, now, len(files)))
    source, _, appid = task.source.rpartition("-")
    destination, _, destination_appid = task.destination.rpartition("-")
    counts = {"ObjectCount": str(count), "StorageSize": str(size)}
    manifest = {
        "sourceAppid": appid,
        "sourceBucket": source,
        "destinationAppid": destination_appid,
        "destinationBucket": destination,
        "fileFormat": "CSV",
        **{f"list{name}": value for name, value in counts.items()},
        **{f"filter{name}": value for name, value in counts.items()},
        "fileSchema": ", ".join(task.schema),
        "files": files,
    }
    day = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%d")
    body = json.dumps(manifest, indent=1).encode()
    checksum = hashlib.md5(body, usedforsecurity=False).hexdigest()
    _put(store, task, f"{task.root}{day}/manifest.checksum", checksum.encode())
    key = f"{task.root}{day}/manifest.json"
    _put(store, task, key, body)
    return key


def _objects(store: Store, task: InventoryTask) -> Iterator[StoredObject]:
    marker: str | None = ""
    while marker is not None:
        names = listing.page(
            store.bucket_path(task.source),
            prefix=task.key_prefix,
            delimiter="",
            marker=marker,
            max_keys=_PAGE,
            synthetic=store.synthetic.get(task.source),
        )
        files = [store.look(task.source, item.key, item.path) for item in names.objects]
        yield from store.describe([file for file in files if file])
        marker = names.next_marker or None


def _write_part(
    store: Store, task: InventoryTask, chunk: list[StoredObject], now: float, number: int
) -> dict[str, str]:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        csv.writer(text, lineterminator="\n").writerows(_row(task, found) for found in chunk)
        text.flush()
        text.detach()
    name = hashlib.md5(f"{task.name} {now} {number}".encode(), usedforsecurity=False).hexdigest()
    key = f"{task.root}{name}.csv.gz"
    size = len(packed.getvalue())
    return {"key": key, "size": str(size), "md5Checksum": _put(store, task, key, packed.getvalue())}


def _row(task: InventoryTask, found: StoredObject) -> list[object]:
    bucket, _, appid = task.source.rpartition("-")
    versions = ("", "true", "false") if task.has_versions else ()
    key = quote(found.file.key, safe="/-_.~")
    return [appid, bucket, key, *versions, *(OPTIONAL[name](found) for name in task.fields)]


def _put(store: Store, task: InventoryTask, key: str, body: bytes) -> str:
    """Store an object; return its MD5 in hex."""
    upload = store.upload(task.destination, key)
    try:
        upload.write(body)
        return upload.commit({}, replace=True).etag
    finally:
        upload.discard()
