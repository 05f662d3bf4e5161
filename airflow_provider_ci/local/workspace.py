"""Folders for conversions: makes one for each, brings objects into it, and stores its outputs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from urllib.parse import unquote, urlsplit

from airflow_provider_ci.local.convert import ConversionError
from airflow_provider_ci.local.convert.errors import INVALID_RULE
from airflow_provider_ci.local.errors import Service, ServiceError
from airflow_provider_ci.local.http.request import parse_host
from airflow_provider_ci.local.objects.store import STATE_FOLDER, Store, StoredObject

CONTENT_TYPES = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "txt": "text/plain; charset=utf-8",
    "html": "text/html; charset=utf-8",
}
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


class Workspace:
    """The folder for all conversions of a server; files that an earlier server left there are removed."""

    def __init__(self, store: Store, root: Path) -> None:
        self._store = store
        self._path = root / STATE_FOLDER / "work"
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir(parents=True)

    @contextmanager
    def folder(self, name: str = "") -> Iterator[Path]:
        """A folder for one conversion, which is removed afterwards."""
        path = self._path / (name or f"sync-{token_hex(8)}")
        try:
            path.mkdir()
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def source(self, folder: Path, bucket: str, key: str, name: str = "source") -> Path | None:
        """A copy of the object in ``folder``, as ``name`` with the key's suffix; None if there is no object.

        Later writes to the object do not change the copy.
        """
        found = self._store.find(bucket, key)
        if found is None:
            return None
        if self._store.is_archived(found):
            raise ServiceError("InvalidObjectState", f"{key!r} is archived; restore it first", status=403)
        suffix = Path(key).suffix
        copy = folder / (name + (suffix if _SUFFIX.fullmatch(suffix) else ""))
        return copy if self._store.copy(found, copy) else None

    def stored(self, bucket: str, key: str) -> StoredObject | None:
        """The object with its ETag and headers; None if it does not exist."""
        found = self._store.find(bucket, key)
        return self._store.describe([found])[0] if found else None

    def add_header(self, stored: StoredObject, name: str, value: str) -> None:
        """Add a header to an object."""
        self._store.add_header(stored, name, value)

    def publish(self, bucket: str, key: str, path: Path, file_type: str) -> StoredObject:
        """Move a finished file into a bucket."""
        content_type = CONTENT_TYPES.get(file_type.lower(), "application/octet-stream")
        return self._store.adopt(bucket, key, path, {"Content-Type": content_type})

    def fetch(self, folder: Path, bucket: str, url: str) -> Path:
        """A copy in ``folder`` of the watermark image at ``url``, which must be an object of ``bucket``.

        :raises ConversionError: ``url`` names something else, or the object does not exist.
        """
        found = self.source(folder, bucket, key_of(url, bucket), f"watermark-{token_hex(8)}")
        if found is None:
            raise ConversionError(
                INVALID_RULE, f"the watermark image {url!r} does not exist in bucket {bucket}"
            )
        return found


def key_of(url: str, bucket: str) -> str:
    """The key in the URL of an object of ``bucket``, ``http://<bucket>.cos.<region>.…/<key>``.

    :raises ConversionError: the URL names anything else (1045/33725).
    """
    parts = urlsplit(url)
    try:
        address = parse_host(parts.netloc)
    except ServiceError as error:
        raise ConversionError(INVALID_RULE, f"the watermark image {url!r}: {error.message}") from None
    if (address.service, address.bucket) != (Service.COS, bucket):
        raise ConversionError(
            INVALID_RULE, f"the watermark image {url!r} is not an object of bucket {bucket}"
        )
    return unquote(parts.path[1:])
