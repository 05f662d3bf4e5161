"""The numbered objects in which a batch keeps its leases.

A listing may be behind by seconds, so it only tells where to look; what is there, each object says itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from airflow_provider_ci.batch.records import JSON, RecordError, write_new
from airflow_provider_ci.client import CIClient, NotFoundError, ObjectExistsError, ObjectInfo

_KEPT = 20
"""Leases that are left, so many that a listing shows one of them however far it is behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """A lease as it stands in the bucket."""

    number: int
    id: str
    """Of the run that holds it."""
    holder: str
    """The same for people."""
    seconds: float
    """How long it lasts without renewal."""
    renewals: int
    is_released: bool

    def encode(self) -> bytes:
        """The bytes of the object."""
        content = {
            "version": 1,
            "holder": self.holder,
            "id": self.id,
            "renewals": self.renewals,
            "seconds": self.seconds,
            "released": self.is_released,
        }
        return json.dumps(content).encode()


class LeaseRecords:
    """The leases of one batch.

    :param folder: of the batch, with its ``/`` at the end.
    """

    def __init__(self, client: CIClient, folder: str) -> None:
        self._client = client
        self._folder = f"{folder}lease/"

    def key(self, number: int) -> str:
        """The key of a lease."""
        return f"{self._folder}{number:08}.json"

    def newest(self) -> LeaseRecord | None:
        """The lease that counts; None if there never was one."""
        listed = [info.key for info in self._client.list_objects(self._folder)]
        for key in listed[:-_KEPT]:
            self._client.delete_object(key)
        number = int(listed[-1].rpartition("/")[2].partition(".")[0]) if listed else 0
        while self.look(number + 1) is not None:
            number += 1
        return self.read(number) if number else None

    def look(self, number: int) -> ObjectInfo | None:
        """What is known of the object of a lease; None if there is none."""
        try:
            return self._client.head_object(self.key(number))
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return None

    def read(self, number: int) -> LeaseRecord:
        """A lease.

        :raises NotFoundError: there is none of this number, or none any more.
        :raises RecordError: it is not what this package writes.
        """
        key = self.key(number)
        body = self._client.read_object(key)
        try:
            content = json.loads(body)
            return LeaseRecord(
                number=number,
                id=content["id"],
                holder=content["holder"],
                seconds=float(content["seconds"]),
                renewals=content["renewals"],
                is_released=content["released"],
            )
        except (ValueError, TypeError, KeyError):
            raise RecordError(f"{key!r} is damaged: it is no lease") from None

    def create(self, record: LeaseRecord, *, expires_at: float) -> str:
        """Write a lease that nobody has; its ETag.

        :param expires_at: Unix time; the service takes it until then or never.
        :raises OtherWriterError: somebody has it.
        :raises RequestExpiredError: it was too late.
        """
        return write_new(self._client, self.key(record.number), record.encode(), expires_at=expires_at)

    def replace(self, record: LeaseRecord) -> str:
        """Write a lease anew; its ETag."""
        return self._client.put_object(self.key(record.number), record.encode(), content_type=JSON).etag

    def replace_if_unprotected(self, record: LeaseRecord, *, expires_at: float) -> str | None:
        """Write a lease anew where the bucket replaces objects although it is told not to; then its ETag.

        :raises RequestExpiredError: it was too late, and nothing is known.
        """
        key, body = self.key(record.number), record.encode()
        try:
            return self._client.put_object(
                key, body, content_type=JSON, overwrite=False, expires_at=expires_at
            ).etag
        except ObjectExistsError:
            return None
