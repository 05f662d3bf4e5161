"""Receivers of callbacks: the settings of jobs and queues, and which addresses may be called.

The local CI calls only this machine and its private network, because a submitted job must not make it send
requests to foreign hosts. The real service does the opposite: it calls public addresses only.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Thread

from lxml import etree
from yarl import URL

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire

SUPPRESS = "no"
"""As the ``CallBack`` of a job, this means: send no callback, whatever the queue's settings."""

NODES = frozenset({"CallBack", "CallBackFormat", "CallBackType", "CallBackMqConfig", "CallBackKafkaConfig"})
"""Nodes about the receiver in a request for a job (1045/73035; the last one is from the Go SDK)."""

RESOLVE_SECONDS = 5.0

_FORMATS = ("XML", "JSON")
_MESSAGE_QUEUES = ("TDMQ", "Kafka")
_JOB_EVENTS = frozenset({"TaskFinish", "TransCodingFinish"})  # the latter is in samples of 2020
_EVENTS = _JOB_EVENTS | {"WorkflowFinish"}
_URL = re.compile("https?://[!-~]+", re.IGNORECASE)
_ALLOWED = tuple(
    map(
        ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)


class ReceiverError(Exception):
    """A receiver cannot or must not be called, or did not accept the callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """An address, and the format of its callbacks (``XML`` or ``JSON``)."""

    url: str
    format: str


def read(request: etree._Element) -> dict[str, str]:
    """Read the receiver from a request for a job: ``Url`` and ``ResultFormat``, as queues call them.

    :raises ServiceError: ``InvalidArgument``; ``NotImplemented`` for message queues.
    """
    for name in ("CallBackMqConfig", "CallBackKafkaConfig"):
        if request.find(name) is not None:
            raise _no_message_queue(f"Request.{name}")
    _check_type("Request.CallBackType", wire.text(request, "CallBackType"))
    said = {"Url": wire.text(request, "CallBack"), "ResultFormat": wire.text(request, "CallBackFormat")}
    _check_format("Request.CallBackFormat", said["ResultFormat"])
    if said["Url"] != SUPPRESS:
        _check_url("Request.CallBack", said["Url"])
    return {name: value for name, value in said.items() if value}


async def check_job(said: Mapping[str, str]) -> None:
    """Check that the receiver that a job names (see :func:`read`) may be called.

    :raises ServiceError: ``InvalidArgument`` if its host is unknown or outside the private network.
    """
    url = said.get("Url", SUPPRESS)
    if url != SUPPRESS:
        await _check_reach("Request.CallBack", url)


async def check_queue(notify: Mapping[str, str]) -> None:
    """Check that a queue's ``NotifyConfig`` is valid and, if it is on, that its receiver may be called.

    :raises ServiceError: ``InvalidArgument``; ``NotImplemented`` for message queues.
    """
    place = "Request.NotifyConfig"
    _check_type(f"{place}.Type", notify["Type"])
    _check_format(f"{place}.ResultFormat", notify["ResultFormat"])
    _check_url(f"{place}.Url", notify["Url"])
    if notify["State"] not in ("On", "Off", ""):
        raise _bad(f"{place}.State is {notify['State']!r}, neither On nor Off")
    unknown = _events(notify) - _EVENTS
    if unknown:
        raise _bad(f"{place}.Event has {min(unknown)!r}; known are {', '.join(sorted(_EVENTS))}")
    if notify["State"] == "On":
        if not notify["Url"]:
            raise _bad(f"{place}.Url is missing or empty while State is On")
        await _check_reach(f"{place}.Url", notify["Url"])


def chosen(said: Mapping[str, str], notify: Mapping[str, str]) -> Receiver | None:
    """Return the receiver of a job, from its own settings or its queue's; None for no callback."""
    if said.get("Url") == SUPPRESS:
        return None
    if said.get("Url"):
        return Receiver(url=said["Url"], format=said.get("ResultFormat", "XML"))
    if notify["State"] != "On" or not _JOB_EVENTS & _events(notify):
        return None
    return Receiver(url=notify["Url"], format=said.get("ResultFormat") or notify["ResultFormat"] or "XML")


async def addresses(url: str) -> list[str]:
    """Resolve a URL's host to its current addresses, which must be loopback or private.

    :raises ReceiverError: the host has no address, or has a public address.
    """
    host = URL(url, encoded=True).raw_host or ""
    try:
        found = await asyncio.wait_for(_resolve(host), RESOLVE_SECONDS)
    except (OSError, UnicodeError, asyncio.TimeoutError) as error:
        raise ReceiverError(f"the host {host!r} has no address") from error
    for address in found:
        if not is_private(address):
            raise ReceiverError(f"{host!r} is at {address}, which is neither loopback nor private")
    return found


def is_private(address: str) -> bool:
    """Whether an address is loopback or private. Link-local is neither: metadata services use it."""
    found = ip_address(address.partition("%")[0])
    # ::ffff:8.8.8.8 is a public address in another spelling.
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return any((mapped or found) in network for network in _ALLOWED)


async def _resolve(host: str) -> list[str]:
    """Resolve in a daemon thread, because the loop waits for its own threads when it ends."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def look_up() -> None:
        found = _looked_up(host)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, found)

    Thread(target=look_up, name="ci-local-resolver", daemon=True).start()
    return await answer


def _looked_up(host: str) -> list[str] | Exception:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return error
    return list(dict.fromkeys(str(item[4][0]) for item in found))


async def _check_reach(place: str, url: str) -> None:
    try:
        await addresses(url)
    except ReceiverError as error:
        raise _bad(f"{place} {url!r} is not called by the local CI: {error}") from error


def _check_url(place: str, url: str) -> None:
    if url and not _is_url(url):
        raise _bad(f"{place} {url!r} is not an HTTP address")


def _is_url(url: str) -> bool:
    try:
        parts = URL(url, encoded=True)
        return bool(_URL.fullmatch(url) and parts.raw_host and parts.port)
    except ValueError:
        return False


def _check_format(place: str, value: str) -> None:
    if value not in (*_FORMATS, ""):
        raise _bad(f"{place} is {value!r}, neither XML nor JSON")


def _check_type(place: str, value: str) -> None:
    if value in _MESSAGE_QUEUES:
        raise _no_message_queue(f"{place} {value}")
    if value not in ("Url", ""):
        raise _bad(f"{place} is {value!r}, neither Url nor TDMQ")


def _events(notify: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in notify["Event"].split(",") if name.strip()}


def _no_message_queue(what: str) -> ServiceError:
    return ServiceError("NotImplemented", f"{what}: the local CI calls HTTP addresses, no message queues")


def _bad(message: str) -> ServiceError:
    return ServiceError("InvalidArgument", message)
