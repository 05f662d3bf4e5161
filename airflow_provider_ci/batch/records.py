"""Readable objects of the bucket in which a batch keeps what it knows.

Each is JSON lines: a header with the version and the kind of the object, then a line per record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.client import CIClient, CIError, ObjectExistsError, RequestExpiredError

VERSION = 1
"""Of the format. An object of another version is refused, never guessed at."""

JSON = "application/json"
JSON_LINES = "application/x-ndjson"


class RecordError(ValueError):
    """An object of the batch's folder is not what this package writes."""


class OtherWriterError(Exception):
    """Somebody else has written the next numbered object of this batch."""


class LeaseLapsedError(CIError):
    """The lease ended before it could be renewed; the run waits until it is renewed."""

    is_retryable = True


def encode(kind: str, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]] = ()) -> bytes:
    """The bytes of a record object."""
    rows = [{"version": VERSION, "kind": kind, **header}, *lines]
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


def decode(key: str, body: bytes, kind: str) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and lines of a record object.

    :raises RecordError: it is damaged, or of another kind or version.
    """
    try:
        lines = body.decode().rstrip("\n").split("\n")  # not splitlines(): keys hold other line ends
        header = json.loads(lines[0])
        found = (header.get("version"), header.get("kind"))
    except (ValueError, AttributeError):
        raise RecordError(f"{key!r} is damaged: its first line is no JSON object") from None
    if found != (VERSION, kind):
        raise RecordError(
            f"{key!r} is {found[1]!r} of version {found[0]}; this package reads {kind!r} of version {VERSION}"
        )
    return header, _records(key, lines[1:])


def _records(key: str, lines: list[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 2):
        try:
            record = json.loads(line)
        except ValueError:
            raise RecordError(f"{key!r} is damaged: its line {number} is no JSON") from None
        yield record


def read(client: CIClient, key: str, kind: str) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and lines of a record object in the bucket.

    :raises NotFoundError: there is none.
    :raises RecordError: it is damaged, or of another kind or version.
    """
    return decode(key, client.read_object(key), kind)


def write_new(client: CIClient, key: str, body: bytes, *, expires_at: float | None = None) -> str:
    """Write an object that nobody has written before, and return its ETag.

    :raises OtherWriterError: somebody has, with other content.
    :raises RequestExpiredError: ``expires_at`` has passed.
    """
    try:
        return client.put_object(
            key, body, content_type=JSON_LINES, overwrite=False, expires_at=expires_at
        ).etag
    except ObjectExistsError:
        if client.read_object(key) != body:  # else it is our own, and only the answer was lost
            raise OtherWriterError(f"{key!r} has been written by another run of this batch") from None
        return client.head_object(key).etag


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordWriter:
    """Writes the objects of a batch as long as its lease lasts; what arrives later, the service refuses."""

    client: CIClient
    expires_at: Callable[[], float] | None = None
    """Unix time of the lease's end."""

    def write(self, key: str, body: bytes, *, content_type: str = JSON_LINES) -> None:
        """Write an object, or replace it.

        :raises LeaseLapsedError: the lease has ended.
        """
        try:
            self.client.put_object(key, body, content_type=content_type, expires_at=self._until())
        except RequestExpiredError as error:
            raise LeaseLapsedError(str(error)) from error

    def write_new(self, key: str, body: bytes) -> None:
        """Write an object that nobody has written before.

        :raises OtherWriterError: somebody has, with other content.
        :raises LeaseLapsedError: the lease has ended.
        """
        try:
            write_new(self.client, key, body, expires_at=self._until())
        except RequestExpiredError as error:
            raise LeaseLapsedError(str(error)) from error

    def _until(self) -> float | None:
        return self.expires_at() if self.expires_at else None
