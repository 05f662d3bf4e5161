"""Checks whether the objects of a selection have arrived."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_ci.batch.sources.filters import described_prefixes
from airflow_provider_ci.batch.sources.selection import ObjectSelection
from airflow_provider_ci.client import CIClient, CIError
from airflow_provider_ci.client.records.values import plain, values_in

log = logging.getLogger(__name__)

_CLOCK_STEP = timedelta(seconds=1)
"""Precision of the service's times. The true difference of two times can be up to this much shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one listing showed of a selection: its objects, their size, and when the last one was written."""

    objects: int
    bytes: int
    newest: datetime | None
    """When the newest object was written, by the service's clock; None if there are no objects."""
    seen_at: datetime
    """When the selection was listed, by the service's clock."""

    @property
    def idle(self) -> timedelta:
        """Minimum time since the newest object was written; 0 if there are no objects."""
        newest = self.newest or self.seen_at
        return max(self.seen_at - newest - _CLOCK_STEP, timedelta(0))

    def to_json(self) -> dict[str, Any]:
        """The sighting as JSON, small enough for an XCom."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "newest": self.newest.isoformat() if self.newest else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The conditions under which the objects of a selection count as arrived.

    :param source: the selection; with ``modified_after``, only objects written since then.
    :param min_objects: minimum number of objects.
    :param settled_seconds: seconds, by the service's clock, in which none of the objects may have been
        written. The check keeps no state between calls, so it may be called as often as needed, from
        anywhere.
    """

    source: ObjectSelection
    min_objects: int = 1
    settled_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.min_objects < 1:
            raise ValueError(f"min_objects must be 1 or more, not {self.min_objects!r}")
        if self.settled_seconds < 0:
            raise ValueError(f"settled_seconds must be 0 or more, not {self.settled_seconds!r}")

    def look(self, client: CIClient) -> Sighting:
        """List the selection: one request for every thousand objects of its prefix, and one for the time."""
        # Read the clock before the listing: an object written during the listing then has a negative age.
        seen_at = client.server_time()
        count, size, newest = 0, 0, None
        for found in self.source.objects(client):
            count += 1
            size += found.size
            newest = found.last_modified if newest is None else max(newest, found.last_modified)
        return Sighting(objects=count, bytes=size, newest=newest, seen_at=seen_at)

    def look_patiently(self, client: CIClient) -> Sighting | None:
        """Do the same as :meth:`look`, but return None while the service is unavailable."""
        try:
            return self.look(client)
        except CIError as error:
            # A sensor may wait for days, and an outage in that time says nothing about the objects.
            if not error.is_retryable:
                raise
            log.warning("the service does not answer, still waiting: %s", error)
            return None

    def missing(self, seen: Sighting) -> str:
        """The conditions that do not hold yet, in words; empty when the objects have arrived."""
        where = described_prefixes(self.source.prefix)
        if seen.objects < self.min_objects:
            return f"{seen.objects} of at least {self.min_objects} objects {where}"
        if self.settle_seconds_left(seen) > 0:
            return (
                f"{seen.objects} objects {where}, unchanged for "
                f"{seen.idle.total_seconds():.0f} s, not yet {self.settled_seconds:g} s"
            )
        return ""

    def settle_seconds_left(self, seen: Sighting) -> float:
        """Seconds for which the objects still have to stay unchanged."""
        return max(self.settled_seconds - seen.idle.total_seconds(), 0.0)

    def wait_seconds(self, seen: Sighting | None, poll_interval: float) -> float:
        """Seconds until the next listing: fewer than usual if the objects only have to stay unchanged."""
        if seen is None or seen.objects < self.min_objects:
            return poll_interval
        # Times are whole seconds, so another listing in the same second cannot show a change.
        return min(poll_interval, max(self.settle_seconds_left(seen), _CLOCK_STEP.total_seconds()))

    def to_json(self) -> dict[str, Any]:
        """The conditions as plain JSON, for a trigger's arguments."""
        # asdict() leaves the datetimes of the source as they are; a trigger's arguments are plain JSON.
        return {**asdict(self), "source": {name: plain(value) for name, value in values_in(self.source)}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Arrival:
        """The conditions from :meth:`to_json`."""
        return cls(**{**values, "source": ObjectSelection(**values["source"])})
