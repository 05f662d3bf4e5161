"""Reads and checks the request that updates a queue (1045/72919)."""

from __future__ import annotations

from typing import NamedTuple

from lxml import etree

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.jobs import queues

MAX_NAME = 128
STATES = (queues.ACTIVE, queues.PAUSED)


class QueueUpdate(NamedTuple):
    """The new values of a queue; ``notify`` has only the settings that were sent."""

    name: str
    state: str
    notify: dict[str, str]


def read(body: bytes, queue_id: str) -> QueueUpdate:
    """Read the body of an update of this queue. ``QueueID`` may be missing, as in the samples of SDKs.

    :raises ServiceError: ``InvalidContent`` for XML that is not well-formed, ``InvalidArgument`` for a
        missing, unknown or invalid node. ``receivers.check_queue`` checks whether the receiver may be called.
    """
    request = wire.parse(body, "Request")
    for node in ("Name", "State", "NotifyConfig"):
        if request.find(node) is None:
            raise _bad(f"Request.{node} is missing")
    said = wire.text(request, "QueueID") or wire.text(request, "QueueId")
    if said not in ("", queue_id):
        raise _bad(f"Request.QueueID is {said!r}, the path says {queue_id!r}")
    name, state = wire.text(request, "Name"), wire.text(request, "State")
    if not 1 <= len(name) <= MAX_NAME:
        raise _bad(f"Request.Name has {len(name)} characters, 1 to {MAX_NAME}")
    if state not in STATES:
        raise _bad(f"Request.State is {state!r}, neither Active nor Paused")
    return QueueUpdate(name=name, state=state, notify=_notify(request))


def _notify(request: etree._Element) -> dict[str, str]:
    nodes = request.find("NotifyConfig")
    assert nodes is not None
    values = {str(node.tag): (node.text or "").strip() for node in nodes}
    for name in values:
        if name not in queues.NOTIFY_NODES:
            raise _bad(f"Request.NotifyConfig.{name} is unknown")
    return values


def _bad(message: str) -> ServiceError:
    return ServiceError("InvalidArgument", message)
