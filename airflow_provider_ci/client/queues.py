"""Queues: where jobs wait. Source: tencentcloud.com document/product/1045/47935 and 72918."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_provider_ci.client import nodes, xml
from airflow_provider_ci.client.answers import Answer
from airflow_provider_ci.client.errors import CIResponseError


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

    ``raw`` holds everything that the service said, its callback settings included.
    """

    queue_id: str
    name: str
    state: QueueState
    max_size: int | None = None
    max_concurrent: int | None = None
    category: str = ""
    bucket: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> Queue:
        """Read a ``QueueList`` or ``Queue`` node."""
        return cls(
            queue_id=nodes.required(node, "QueueId", request_id),
            name=nodes.text(node, "Name"),
            state=_state(nodes.required(node, "State", request_id), request_id),
            max_size=nodes.integer(node, "MaxSize", request_id),
            max_concurrent=nodes.integer(node, "MaxConcurrent", request_id),
            category=nodes.text(node, "Category"),
            bucket=nodes.text(node, "BucketId"),
            created_at=nodes.moment(node, "CreateTime", request_id),
            updated_at=nodes.moment(node, "UpdateTime", request_id),
            raw=node,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """One page of queues, and how many there are in all (None where the service does not say)."""

    queues: tuple[Queue, ...]
    total_count: int | None

    @classmethod
    def from_answer(cls, answer: Answer) -> QueuePage:
        """Read a ``Response`` of queues."""
        request_id = answer.request_id
        node = xml.parse(answer.read(), expected="Response", request_id=request_id)
        return cls(
            queues=tuple([Queue.from_node(queue, request_id) for queue in nodes.children(node, "QueueList")]),
            total_count=nodes.integer(node, "TotalCount", request_id),
        )


def _state(value: str, request_id: str) -> QueueState:
    try:
        return _STATES[value]
    except KeyError:
        raise CIResponseError(
            f"<State> is {value!r}, none of {', '.join(_STATES)}", request_id=request_id
        ) from None
