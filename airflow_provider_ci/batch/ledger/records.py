"""Objects of the bucket in which a batch keeps its records.

Each object holds JSON lines: a header with the version and the kind of the object, then one line per record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.client import CIClient, CIError, ObjectInfo, RequestExpiredError

VERSION = 2
"""Version of the format. An object of another version is refused."""

JSON = "application/json"
JSON_LINES = "application/x-ndjson"


class RecordError(ValueError):
    """An object in the folder of a batch is not in the format of this package."""


class MissingRecordError(CIError):
    """An object of the ledger was deleted."""


class LeaseExpiredError(CIError):
    """The lease ended before it was renewed. The run waits until it has the lease again."""

    is_retryable = True


def encode(kind: str, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]] = ()) -> bytes:
    """The bytes of a record object."""
    rows = [{"version": VERSION, "kind": kind, **header}, *lines]
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    return text.encode("utf-8", "surrogatepass")  # a key that a user named may hold a lone surrogate


def decode(key: str, body: bytes, kind: str) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and lines of a record object.

    :raises RecordError: the object is damaged, or of another kind or version.
    """
    try:
        # Not splitlines(): object keys may hold other line ends.
        lines = body.decode("utf-8", "surrogatepass").rstrip("\n").split("\n")
        header = json.loads(lines[0])
        found = (header.get("version"), header.get("kind"))
    except (ValueError, AttributeError):
        raise RecordError(f"{key!r} is damaged: its first line is not a JSON object") from None
    if found != (VERSION, kind):
        raise RecordError(
            f"{key!r} is a record {found[1]!r} of version {found[0]}; this package reads {kind!r} of version "
            f"{VERSION}. Upgrade the package, or delete the folder of the batch to start it again"
        )
    return header, _records(key, lines[1:])


def _records(key: str, lines: list[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 2):
        try:
            record = json.loads(line)
        except ValueError:
            raise RecordError(f"{key!r} is damaged: line {number} is not JSON") from None
        yield record


def read(client: CIClient, key: str, kind: str) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and lines of a record object in the bucket.

    :raises NotFoundError: the object does not exist.
    :raises RecordError: the object is damaged, or of another kind or version.
    """
    return decode(key, client.read_object(key), kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordWriter:
    """Writes the objects of a batch while its lease lasts; the service refuses writes that arrive later."""

    client: CIClient
    expires_at: Callable[[], float] | None = None
    """Returns the end of the lease, in Unix seconds by the service's clock."""

    def write(self, key: str, body: bytes, *, content_type: str = JSON_LINES) -> ObjectInfo:
        """Write or replace an object.

        :raises LeaseExpiredError: the lease has ended.
        """
        expires_at = self.expires_at() if self.expires_at else None
        try:
            return self.client.put_object(key, body, content_type=content_type, expires_at=expires_at)
        except RequestExpiredError as error:
            raise LeaseExpiredError(str(error)) from error
