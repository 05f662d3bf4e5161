"""Files that name objects: fetched whole, so that they cannot change while they are read by line."""

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

# A line names one object. A longer one shows that the file is of another kind.
MAX_LINE_BYTES = 1024 * 1024
_GZIP = b"\x1f\x8b"
_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A copy of a file on this machine."""

    name: str
    """Its key or URL, for messages."""
    path: Path
    etag: str
    """ETag of the object; of a file at a URL the MD5 of its content."""


@contextmanager
def fetched(client: CIClient, name: str) -> Iterator[LocalFile]:
    """Fetch an object of the client's bucket, or the file at a URL with ``://``, until the end of the block.

    One response holds the whole content, so it is one version of the file.

    :raises SourceError: it does not exist, or cannot be read.
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
    """Open a file, decompressed if it is gzip, whatever its name says.

    :raises SourceError: it is cut off or damaged; raised by the block that reads it.
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

    :raises SourceError: it is not UTF-8, or no text at all.
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
            # UTF-16 without a byte order mark passes for UTF-8, with a NUL in every ASCII character.
            if "\0" in text:
                raise SourceError(f"{file.name}, line {number} holds a NUL character: it is not a text file")
            # Excel writes a byte order mark; it would become a part of the first column's name.
            text = (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")
            if text.strip():
                yield number, text


def _fetch_object(client: CIClient, key: str, path: Path) -> str:
    try:
        return client.get_object(key, path).etag
    except NotFoundError as error:
        # A wrong bucket is a matter of the connection, not of this file.
        if error.code == "NoSuchBucket":
            raise
        raise SourceError(f"the bucket {client.bucket} has no object {key!r}") from error


def _fetch_url(url: str, path: Path) -> str:
    try:
        # By name, because nothing else below needs Airflow.
        storage = importlib.import_module("airflow.sdk").ObjectStoragePath
    except ImportError as error:
        raise SourceError(f"{url} is a URL, which needs Airflow: {error}") from error
    try:
        with storage(url).open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
    except FileNotFoundError as error:
        raise SourceError(f"{url} does not exist") from error
    return md5_of(path)
