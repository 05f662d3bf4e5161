"""Faults on demand: the next responses fail, arrive late, are cut, or carry a wrong time.

Faults are set over HTTP at ``/_local/faults`` or through :attr:`LocalCI.faults`. A request uses up at most
one fault: the oldest that matches it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from threading import Lock

from airflow_provider_ci.local.errors import Service, ServiceError, status_of
from airflow_provider_ci.local.http.request import Request

ACTIONS = (
    *("error", "error_after", "page", "page_after", "slow", "late", "taken_late", "cut_before", "cut_after"),
    *("truncate", "drip", "endless_continue", "clock"),
)
PARTS = ("status", "headers", "body")
"""Parts of a response, in the order in which they are sent."""

_NEEDS_SECONDS = ("slow", "late", "taken_late", "drip", "clock")
_MOST_SECONDS = 1_000_000_000
_CODE_OF_STATUS = {429: "SlowDown", 500: "InternalError", 503: "ServiceUnavailable"}


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next ``count`` requests that match ``method``, ``path`` and ``host``.

    ``path`` is a prefix, except that ``/`` matches only the bucket itself, as in a listing.

    ``error`` responds with ``code`` and/or ``status``, and ``Retry-After`` if ``retry_after`` (seconds) is
    given; ``error_after`` does the work first, and needs neither ``code`` nor ``status``; ``slow`` waits
    ``seconds`` before the work, ``late`` waits after the work and before the response;
    ``cut_before`` closes the connection and does nothing; ``cut_after`` does the work
    and closes the connection without a response; ``truncate`` sends half of the body and closes; ``clock``
    makes the server's time wrong by ``seconds``.

    ``page`` does nothing and sends an HTML page as a proxy does: without the service's headers, with
    ``status`` (default 200), and with ``body`` as its content if given;
    ``page_after`` does the work first. ``taken_late`` closes
    the connection at once and does the work ``seconds`` later. ``drip`` does the work and sends one byte
    every ``seconds``, from ``part`` on (``status``, ``headers`` or ``body``). ``endless_continue`` sends 100
    Continue without end.
    """

    action: str
    count: int = 1
    method: str = ""
    path: str = ""
    host: str = ""
    code: str = ""
    status: int | None = None
    seconds: float | None = None
    retry_after: int | None = None
    part: str = "status"
    body: str = ""

    def __post_init__(self) -> None:
        _require(self.action in ACTIONS, f"action {self.action!r} must be one of {', '.join(ACTIONS)}")
        _require(
            type(self.count) is int and self.count > 0, f"count {self.count!r} is not a positive integer"
        )
        _require(self.host in ("", "ci", "cos"), f"host {self.host!r} is neither ci nor cos")
        _require(self.part in PARTS, f"part {self.part!r} must be one of {', '.join(PARTS)}")
        for name in ("method", "path", "code", "body"):
            _require(isinstance(getattr(self, name), str), f"{name} is not a string")
        for name in ("status", "retry_after"):
            _require(isinstance(getattr(self, name), int | None), f"{name} is not an integer")
        _require(_is_seconds(self.seconds), f"seconds is not a number of at most {_MOST_SECONDS:,}")
        if self.action in _NEEDS_SECONDS:
            _require(self.seconds is not None, f"action {self.action} needs seconds")
        if self.action == "error":
            _require(bool(self.code or self.status), "action error needs a code or a status")

    def matches(self, method: str, path: str, service: Service) -> bool:
        """Whether this fault applies to a request with this method and path to this service."""
        return (
            self.method.upper() in ("", method)
            and (path == "/" if self.path == "/" else path.startswith(self.path))
            and self.host in ("", service.value)
        )

    def error(self, request: Request) -> ServiceError:
        """Return the requested error. Its status comes from the table unless the fault sets one."""
        code = self.code or _CODE_OF_STATUS.get(self.status or 0, "InternalError")
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        status = self.status or status_of(request.address.service, code) or 500
        return ServiceError(
            code, "this error was asked for at /_local/faults", status=status, headers=headers
        )


class Faults:
    """The pending faults. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: list[Fault] = []

    def add(self, action: str, **details: str | int | float | None) -> None:
        """Add a fault; ``details`` are the other fields of :class:`Fault`.

        :raises ValueError: a field is unknown or its value makes no sense.
        """
        self.add_mapping({"action": action, **details})

    def add_mapping(self, values: Mapping[str, object]) -> None:
        """Add a fault from a JSON object, as the HTTP control receives it."""
        known = {item.name for item in fields(Fault)}
        unknown = sorted(set(values) - known)
        _require(not unknown, f"unknown fields {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        _require("action" in values, f"action is missing; it is one of {', '.join(ACTIONS)}")
        fault = Fault(**values)  # type: ignore[arg-type]  # each field checks its own type
        with self._lock:
            self._waiting.append(fault)

    def pending(self) -> list[dict[str, object]]:
        """The pending faults with their remaining counts."""
        with self._lock:
            return [asdict(fault) for fault in self._waiting]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._waiting.clear()

    def take(self, request: Request) -> Fault | None:
        """Return the fault for this request and lower its count by one; None if no fault matches."""
        if not self._waiting:  # without the lock, since this runs for every request
            return None
        with self._lock:
            for fault in self._waiting:
                if fault.matches(request.method, request.path, request.address.service):
                    fault.count -= 1
                    self._waiting = [item for item in self._waiting if item.count]
                    return fault
        return None


def _is_seconds(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) <= _MOST_SECONDS


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(f"fault: {message}")
