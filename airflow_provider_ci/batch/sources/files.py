"""Files that name objects. Each file is fetched whole, so that it cannot change while its lines are read."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from airflow_provider_ci.batch.sources.source import SourceError
from airflow_provider_ci.client import CIClient, NotFoundError

# A line names one object. A longer line shows that the file is not a list of objects.
MAX_LINE_BYTES = 1024 * 1024
_GZIP = b"\x1f\x8b"
_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A copy of a file on this machine."""

    name: str
    """Key or URL of the file, for messages."""
    path: Path
    etag: str
    """ETag of the object; for a file at a URL, the MD5 of its content."""


@contextmanager
def fetched(client: CIClient, name: str) -> Iterator[LocalFile]:
    """Fetch an object of the client's bucket, or a file at a URL; the copy exists until the block ends.

    One response holds the whole content, so the copy is one version of the file.

    :param name: key of the object, or a URL with ``://``.
    :raises SourceError: the file does not exist, or cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="ci-source-") as folder:
        path = Path(folder) / "file"
        etag = _fetch_url(name, path) if "://" in name else _fetch_object(client, name, path)
        yield LocalFile(name=name, path=path, etag=etag)


def md5_of(path: Path) -> str:
    """The MD5 of a file in hex."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_COPY_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def opened(file: LocalFile) -> Iterator[IO[bytes]]:
    """Open a file; gzip content is decompressed, whatever the name of the file is.

    :raises SourceError: the file is cut off or damaged; raised while the block reads it.
    """
    with file.path.open("rb") as plain:
        is_gzip = plain.read(len(_GZIP)) == _GZIP
        plain.seek(0)
        if not is_gzip and file.name.lower().endswith(".gz"):
            raise SourceError(f"{file.name} is not gzip, as its name says")
        try:
            if is_gzip:
                with gzip.open(plain) as unpacked:
                    yield unpacked  # type: ignore[misc] # GzipFile lacks a few methods of IO
            else:
                yield plain
        except EOFError as error:
            raise SourceError(f"{file.name} is cut off: {error}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{file.name} is damaged: {error}") from error


def text_lines(file: LocalFile) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text with their numbers from 1, without line ends; empty lines are left out.

    :raises SourceError: the file is not UTF-8, or is not a text.
    """
    with opened(file) as content:
        number = 0
        while line := content.readline(MAX_LINE_BYTES):
            number += 1
            if len(line) >= MAX_LINE_BYTES:
                raise SourceError(f"{file.name}, line {number} is longer than {MAX_LINE_BYTES} bytes")
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise SourceError(
                    f"{file.name}, line {number} is not UTF-8 ({error.reason}): save the file as UTF-8"
                ) from None
            # UTF-16 without a byte order mark decodes as UTF-8, with a NUL beside every ASCII character.
            if "\0" in text:
                raise SourceError(f"{file.name}, line {number} holds a NUL character: it is not a text file")
            # Excel writes a byte order mark, which would become a part of the first column's name.
            text = (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")
            if text.strip():
                yield number, text


def _fetch_object(client: CIClient, key: str, path: Path) -> str:
    try:
        return client.get_object(key, path).etag
    except NotFoundError as error:
        # A wrong bucket is an error of the connection, not of this file.
        if error.code == "NoSuchBucket":
            raise
        raise SourceError(f"the bucket {client.bucket} has no object {key!r}") from error


def _fetch_url(url: str, path: Path) -> str:
    try:
        # Imported here and by name, because only this function needs Airflow.
        storage = importlib.import_module("airflow.sdk").ObjectStoragePath
    except ImportError as error:
        raise SourceError(f"{url} is a URL, which needs Airflow: {error}") from error
    try:
        with storage(url).open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
    except FileNotFoundError as error:
        raise SourceError(f"{url} does not exist") from error
    return md5_of(path)
