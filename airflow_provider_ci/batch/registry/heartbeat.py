"""The heartbeat of a claim: an object that its run keeps rewriting to show that the batch is alive.

``<folder>runs/<token>.json`` says for how many seconds the claim is valid after the write, and whether the
batch is *parked*: no process runs it, its jobs are in flight, and a trigger will resume it in time. The age
of the object is the time from its Last-Modified to the service's current time. Each write is signed to
expire, so that the service refuses a late write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_ci.batch.ledger.records import JSON, RecordError
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.service_time import service_now, written_at
from airflow_provider_ci.batch.registry.state import check_version, damaged, to_bytes
from airflow_provider_ci.client import CIClient, NotFoundError

KIND = "heartbeat"
VERSION = 2
TAKEOVER_SLACK_SECONDS = 3.0
"""Seconds that are added to the time for which a claim is valid. One is for Last-Modified and Date, which are
whole seconds and can differ by one. One is for our estimate of the service's clock, which can be off by one.
The last one is for a listing that is behind."""
_KNOWN = ("version", "kind", "seconds", "is_parked")

Liveness = Literal["alive", "parked", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A heartbeat as it is stored in the bucket."""

    at: float
    """When it was written: Unix seconds by the service's clock."""
    seconds: float
    """How long the claim is valid after the write, in seconds."""
    is_parked: bool = False
    """Whether no process runs the batch, because it waits for a trigger."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Other fields that the run wrote."""


class Heartbeat:
    """The heartbeat of a claim, for the run that holds it."""

    def __init__(self, client: CIClient, folder: str, token: str) -> None:
        self._client = client
        self.key = key_of(folder, token)

    def beat(
        self,
        *,
        seconds: float,
        expires_at: float,
        is_parked: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> float:
        """Write the heartbeat; return the time of the write by the service's clock (Unix seconds).

        :param seconds: how long the claim is valid from now on.
        :param expires_at: the service refuses the write after this time.
        :raises RequestExpiredError: ``expires_at`` has passed.
        """
        content = {"version": VERSION, "kind": KIND, "seconds": seconds, "is_parked": is_parked}
        body = to_bytes({**(details or {}), **content})
        return written_at(self._client.put_object(self.key, body, content_type=JSON, expires_at=expires_at))

    def end(self) -> None:
        """Delete the heartbeat. Its claim must have left the registry before, or it would look dead later."""
        self._client.delete_object(self.key)


class LivenessWatch:
    """Watches whether the batch behind a claim is alive.

    The watch keeps the last heartbeat that it has seen, because a deleted object alone does not prove that
    the batch is dead.
    """

    def __init__(self, client: CIClient, claim: Claim) -> None:
        self._client = client
        self._claim = claim
        self._last: Beat | None = None
        self._missing_since: float | None = None
        self.is_undecided = False
        """The claim is old and has no heartbeat: only a longer watch shows whether its run is dead."""

    def look(self, claim: Claim | None = None) -> Liveness:
        """Look once: one GET, and one HEAD if the client does not know when an object was written.

        The batch is dead if its last heartbeat is older than the time for which it made the claim valid.
        Before the first heartbeat, the claim itself counts. If an old claim has no heartbeat, the object may
        have been deleted; a living batch writes it again within the claim's time. So the batch is dead only
        after the watch has lasted for that time. A run whose lease had expired renews the claim itself: its
        new time counts like a heartbeat.

        :param claim: the claim as the registry has it now, if the caller knows.
        """
        self._claim, self.is_undecided = claim or self._claim, False
        self._last = last_beat(self._client, self._claim) or self._last
        now = service_now(self._client)
        if self._last:
            liveness = _liveness(self._last, now)
            claimed_at = self._claim.claimed_at
            is_renewed = claimed_at > self._last.at + 1.0  # the time of a heartbeat is in whole seconds
            is_valid = now <= claimed_at + self._claim.seconds + TAKEOVER_SLACK_SECONDS
            return "alive" if liveness == "dead" and is_renewed and is_valid else liveness
        if self._missing_since is None:
            self._missing_since = now
        silent_since = max(self._claim.claimed_at, self._missing_since)
        is_dead = now > silent_since + self._claim.seconds + TAKEOVER_SLACK_SECONDS
        is_old = now > self._claim.claimed_at + self._claim.seconds + TAKEOVER_SLACK_SECONDS
        self.is_undecided = is_old and not is_dead
        return "dead" if is_dead else "alive"


def key_of(folder: str, token: str) -> str:
    """The key of a claim's heartbeat."""
    return f"{folder}runs/{token}.json"


def last_beat(client: CIClient, claim: Claim) -> Beat | None:
    """The last heartbeat of a claim, or ``None``.

    :raises RecordError: the object is damaged, foreign or of a newer version.
    """
    key = key_of(claim.folder, claim.token)
    try:
        body, at = _read(client, key)
    except NotFoundError as error:
        # A missing bucket must not be taken for a missing heartbeat, which is a sign that a batch is dead.
        if error.code == "NoSuchBucket":
            raise
        return None
    return _decode(key, body, at)


def is_alive(client: CIClient, claim: Claim, now: float) -> bool:
    """Whether a claim is valid at this time (by the service's clock). Looks once and does not keep watching.

    A claim without a heartbeat is valid from the time at which it was made.
    """
    beat = last_beat(client, claim) or Beat(at=claim.claimed_at, seconds=claim.seconds)
    return _liveness(beat, now) != "dead"


def _liveness(beat: Beat, now: float) -> Liveness:
    if now > beat.at + beat.seconds + TAKEOVER_SLACK_SECONDS:
        return "dead"
    return "parked" if beat.is_parked else "alive"


def _read(client: CIClient, key: str) -> tuple[bytes, float]:
    """The bytes of an object and when these bytes were written."""
    read: Any = getattr(client, "read_object_with_info", None)
    if read:
        body, info = read(key)
        return body, info.last_modified.timestamp()
    # GET and HEAD may see two different heartbeats. The ETag shows whether they belong together.
    while True:
        body, info = client.read_object(key), client.head_object(key)
        is_same = info.etag == hashlib.md5(body, usedforsecurity=False).hexdigest()
        if is_same or len(info.etag) != 32:  # the ETag of an encrypted object says nothing about its bytes
            return body, info.last_modified.timestamp()


def _decode(key: str, body: bytes, at: float) -> Beat:
    try:
        content = json.loads(body)
        check_version(key, content["version"], content["kind"], KIND)
        return Beat(
            at=at,
            seconds=float(content["seconds"]),
            is_parked=bool(content["is_parked"]),
            details={name: value for name, value in content.items() if name not in _KNOWN},
        )
    # RecordError is a ValueError, and its message is complete already.
    except RecordError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged(key, "a heartbeat of a batch", error) from None
