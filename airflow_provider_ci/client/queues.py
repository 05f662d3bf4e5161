"""Queues: where jobs wait.

Source: tencentcloud.com document/product/1045/47935, 72918, 72919, 72964 and 50311.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_provider_ci.client import checks, nodes, xml
from airflow_provider_ci.client.callbacks import NotifyConfig
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.request import Request
from airflow_provider_ci.client.responses import RESPONSE, Response

DOCUMENT_QUEUES = "/docqueue"
PICTURE_QUEUES = "/picqueue"
MEDIA_QUEUES = "/queue"
FILE_QUEUES = "/file_queue"
AI_QUEUES = "/ai_queue"


class QueueState(str, Enum):
    """The states of a queue, spelt as the API spells them."""

    ACTIVE = "Active"
    PAUSED = "Paused"

    def __str__(self) -> str:
        return self.value


_STATES = {state.value: state for state in QueueState}


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue: at most ``max_size`` jobs wait in it and ``max_concurrent`` run at once.

    ``notify`` is None if the queue has no callback, or a callback that this client cannot express. Other
    fields are None if they cannot be read. ``raw`` holds the complete response.
    """

    queue_id: str
    name: str
    state: QueueState | None = None
    max_size: int | None = None
    max_concurrent: int | None = None
    category: str = ""
    notify: NotifyConfig | None = None
    bucket: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> Queue:
        """Read a ``QueueList`` or ``Queue`` node."""
        return cls(
            queue_id=nodes.text(node, "QueueID") or nodes.required(node, "QueueId", request_id),
            name=nodes.text(node, "Name"),
            state=_STATES.get(nodes.text(node, "State")),
            max_size=nodes.integer(node, "MaxSize"),
            max_concurrent=nodes.integer(node, "MaxConcurrent"),
            category=nodes.text(node, "Category"),
            notify=_notify(nodes.child(node, "NotifyConfig")),
            bucket=nodes.text(node, "BucketId"),
            created_at=nodes.moment(node, "CreateTime"),
            updated_at=nodes.moment(node, "UpdateTime"),
            raw=node,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChange:
    """A change of a queue. Fields that are None stay as they are."""

    name: str | None = None
    state: QueueState | None = None
    notify: NotifyConfig | None = None

    def __post_init__(self) -> None:
        if self.name is None and self.state is None and self.notify is None:
            raise ValueError("nothing to change: give a name, a state or a NotifyConfig")
        if self.name == "":
            raise ValueError("name must be a queue's name, not empty")
        if self.state is not None:
            object.__setattr__(self, "state", QueueState(self.state))

    @property
    def is_complete(self) -> bool:
        """Whether it has all three fields that the service requires in a change."""
        return None not in (self.name, self.state, self.notify)

    def to_request(self, path: str, queue_id: str, known: Queue | None) -> Request:
        """Return the request that makes the change; ``known`` supplies the fields that stay."""
        content = {
            "Name": self.name or (known.name if known else None),
            "QueueID": queue_id,
            "State": str(self.state) if self.state else nodes.text(dict(known.raw) if known else {}, "State"),
            "NotifyConfig": self.notify.to_node() if self.notify else _as_it_was(known),
        }
        return Request(
            method="PUT",
            service="ci",
            path=f"{path}/{queue_id}",
            headers={"Content-Type": "application/xml"},
            body=xml.build("Request", content),
            success=RESPONSE,
        )


def changed(response: Response) -> Queue:
    """Read the ``Response`` to a queue that was changed."""
    request_id = response.request_id
    node = response.tree
    found = nodes.child(node, "Queue")
    if not found:
        raise CIResponseError("the response lacks <Queue>", request_id=request_id)
    return Queue.from_node(found, request_id)


def filters(
    state: QueueState | None, queue_ids: Sequence[str], category: str | None = None
) -> dict[str, str]:
    """Return the parameters that select the queues to list."""
    for queue_id in queue_ids:
        checks.identifier("queue_id", queue_id)
    wanted = {"queueIds": ",".join(queue_ids), "state": str(QueueState(state)) if state else ""}
    return {**wanted, "category": category or ""}


def _notify(node: nodes.Tree) -> NotifyConfig | None:
    try:
        return NotifyConfig.from_node(node) if node else None
    except ValueError:
        return None  # an unknown callback must not hide the queue; raw still has it


def _as_it_was(known: Queue | None) -> dict[str, object]:
    """The callback of a queue as the service reported it, without empty fields."""
    node = nodes.child(dict(known.raw), "NotifyConfig") if known else {}
    return {name: value for name, value in node.items() if value}
