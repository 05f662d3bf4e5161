"""Queues and the binding of buckets to features.

Every bucket has one queue per feature, made when it is first used; the service makes exactly one when a
feature is switched on (436, console page on queues). More can be configured: some users of the service have
several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5

from airflow_provider_ci.local.database import Database, Row

DOC, PIC, MEDIA, FILE = "DocProcessing", "PicProcessing", "Transcoding", "FileProcessing"

DEFAULT_NAMES = {
    DOC: "queue-doc-process-1",
    PIC: "queue-pic-process-1",
    MEDIA: "queue-1",
    FILE: "queue-file-process-1",
}
"""Category -> name of the queue of this category that every bucket has."""

ACTIVE, PAUSED = "Active", "Paused"

_DEFAULT_NOTIFY = {
    "Url": "",
    "State": "Off",
    "Type": "Url",
    "Event": "TaskFinish",
    "ResultFormat": "XML",
    "MqMode": "",
    "MqRegion": "",
    "MqName": "",
}
NOTIFY_NODES = tuple(_DEFAULT_NOTIFY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue of a bucket. Times are in Unix seconds."""

    queue_id: str
    bucket: str
    category: str
    name: str
    state: str
    notify: Mapping[str, str]
    created: int
    updated: int


class Queues:
    """The queues of all buckets, and which buckets are not bound to a feature."""

    def __init__(self, database: Database, *, per_feature: int = 1) -> None:
        self._database = database
        self._per_feature = per_feature
        # Each submission needs a queue and its state, so both are kept in memory.
        self._seen: dict[tuple[str, str], str] = {}
        known = [_queue(row) for row in database.rows("SELECT * FROM queues")]
        self._states = {queue.queue_id: queue.state for queue in known}
        self._notify = {queue.queue_id: queue.notify for queue in known}
        self._unbound = {(row["bucket"], row["feature"]) for row in database.rows("SELECT * FROM unbound")}

    def default(self, bucket: str, category: str, now: float) -> str:
        """The id of the bucket's queue of this category; the queue is made if it does not exist."""
        known = self._seen.get((bucket, category))
        if known:
            return known
        for number in range(2, self._per_feature + 1):
            self._make(bucket, category, f"{DEFAULT_NAMES[category][:-1]}{number}", f"/{number}", now)
        queue_id = self._make(bucket, category, DEFAULT_NAMES[category], "", now)
        self._seen[bucket, category] = queue_id
        return queue_id

    def ids(self, bucket: str, category: str, now: float) -> tuple[str, ...]:
        """The ids of the bucket's queues of this category, the default one first."""
        more = (id_of_queue(bucket, category, f"/{n}") for n in range(2, self._per_feature + 1))
        return self.default(bucket, category, now), *more

    def _make(self, bucket: str, category: str, name: str, suffix: str, now: float) -> str:
        queue_id = id_of_queue(bucket, category, suffix)
        self._database.change(
            "INSERT OR IGNORE INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                queue_id,
                bucket,
                category,
                name,
                ACTIVE,
                json.dumps(_DEFAULT_NOTIFY),
                int(now),
                int(now),
            ),
        )
        self._states.setdefault(queue_id, ACTIVE)
        return queue_id

    def of_bucket(self, bucket: str, category: str, now: float) -> list[Queue]:
        """The bucket's queues of this category."""
        self.default(bucket, category, now)
        rows = self._database.rows(
            "SELECT * FROM queues WHERE bucket = ? AND category = ? ORDER BY queue_id", (bucket, category)
        )
        return [_queue(row) for row in rows]

    def find(self, queue_id: str) -> Queue | None:
        """The queue with this id, in any bucket."""
        row = self._database.row("SELECT * FROM queues WHERE queue_id = ?", (queue_id,))
        return _queue(row) if row else None

    def notify(self, queue_id: str) -> Mapping[str, str]:
        """The callback settings of a queue, its ``NotifyConfig``."""
        return self._notify.get(queue_id, _DEFAULT_NOTIFY)

    def is_paused(self, queue_id: str) -> bool:
        """Whether the queue holds its jobs."""
        return self._states.get(queue_id) == PAUSED

    def update(self, queue: Queue, *, name: str, state: str, notify: Mapping[str, str], now: float) -> Queue:
        """Change a queue; settings that ``notify`` does not name stay as they are."""
        merged = {**queue.notify, **notify}
        self._database.change(
            "UPDATE queues SET name = ?, state = ?, notify = ?, updated = ? WHERE queue_id = ?",
            (name, state, json.dumps(merged, ensure_ascii=False), int(now), queue.queue_id),
        )
        self._states[queue.queue_id] = state
        self._notify[queue.queue_id] = merged
        return next(
            item
            for item in self.of_bucket(queue.bucket, queue.category, now)
            if item.queue_id == queue.queue_id
        )

    def is_bound(self, bucket: str, feature: str) -> bool:
        """Whether ``feature`` (a category) is on for the bucket; every feature is on until switched off."""
        return (bucket, feature) not in self._unbound

    def bind(self, bucket: str, feature: str, *, bound: bool) -> None:
        """Switch ``feature`` on or off for the bucket."""
        if bound:
            self._database.change("DELETE FROM unbound WHERE bucket = ? AND feature = ?", (bucket, feature))
            self._unbound.discard((bucket, feature))
        else:
            self._database.change("INSERT OR IGNORE INTO unbound VALUES (?, ?)", (bucket, feature))
            self._unbound.add((bucket, feature))


def id_of_queue(bucket: str, category: str, suffix: str = "") -> str:
    """The id of a queue; the suffix of a bucket's second queue for a feature is ``/2``."""
    # Derived from bucket and feature, so that the id stays the same when the server's state is deleted.
    return "p" + md5(f"{bucket}/{category}{suffix}".encode(), usedforsecurity=False).hexdigest()


def _queue(row: Row) -> Queue:
    return Queue(
        queue_id=row["queue_id"],
        bucket=row["bucket"],
        category=row["category"],
        name=row["name"],
        state=row["state"],
        notify=json.loads(row["notify"]),
        created=row["created"],
        updated=row["updated"],
    )
