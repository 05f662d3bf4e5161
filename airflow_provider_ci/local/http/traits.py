"""Traits of real buckets that a program should meet in its tests: lasting, combinable, off by default.

A fault (:mod:`~airflow_provider_ci.local.http.faults`) changes the next responses; a trait lasts until it is
switched off. Traits are set at the start, over HTTP at ``/_local/traits``, or through ``LocalCI.traits``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple, TypedDict

if TYPE_CHECKING:
    from typing_extensions import Unpack

ENDLESS_TOKENS = ("", "same", "new")
_LIMIT = 1_000_000_000


class TraitValues(TypedDict, total=False):
    """The fields of :class:`Traits` as keyword arguments."""

    clock_offset_seconds: float
    strict_signature: bool
    require_queue_id: bool
    hide_jobs_seconds: float
    forget_jobs_seconds: float | None
    echoes: Mapping[str, str]
    user_data_limit: int | None
    empty_pages: int
    endless_tokens: str
    foreign_jobs: bool
    refuse_submissions: str
    fail_jobs: Mapping[str, str]


class JobFailure(NamedTuple):
    """The code and message with which a job is to fail."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How the service behaves from now on."""

    clock_offset_seconds: float = 0
    """Seconds that the service's clock is ahead, in ``Date``, ``Last-Modified``, signatures and job times."""
    strict_signature: bool = False
    """PUT and POST are refused unless every header that can be signed is signed."""
    require_queue_id: bool = False
    """Listing jobs without ``queueId`` is refused."""
    hide_jobs_seconds: float = 0
    """Seconds after a job's submission during which GET, listings and cancel do not find it."""
    forget_jobs_seconds: float | None = None
    """A job is forgotten this many seconds after its end; None keeps all jobs."""
    echoes: Mapping[str, str] = field(default_factory=dict)
    """``NAME:SENT`` -> the value that a job shows in place of the sent one: ``EndPage:-1`` -> ``5001``."""
    user_data_limit: int | None = None
    """Number of characters of ``UserData`` that a job shows; 0 leaves the node out, None shows all."""
    empty_pages: int = 0
    """Number of pages without jobs, but with a new token, before each page of a job listing."""
    endless_tokens: str = ""
    """Give the last page of a job listing a token, too: the ``same`` one again, or always a ``new`` one."""
    foreign_jobs: bool = False
    """Job listings hold three more jobs that a strict reader cannot read."""
    refuse_submissions: str = ""
    """Every submission is refused with this code."""
    fail_jobs: Mapping[str, str] = field(default_factory=dict)
    """Pattern of input keys -> ``CODE`` or ``CODE:MESSAGE`` with which jobs for such keys fail."""

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(item.name, getattr(self, item.name))

    def failure_of(self, key: str) -> JobFailure | None:
        """The failure that the traits demand for a job with this input object; None for no failure."""
        for pattern, text in self.fail_jobs.items():
            if fnmatchcase(key, pattern):
                code, _, message = text.partition(":")
                return JobFailure(code, message or f"jobs of {pattern} fail, as --fail-jobs says")
        return None


class TraitSwitch:
    """The traits of a running server, and its clock. Thread-safe: a change replaces the whole record."""

    def __init__(self, **values: Unpack[TraitValues]) -> None:
        self._initial = Traits(**values)
        self.now_on = self._initial

    def set(self, **values: Unpack[TraitValues]) -> None:
        """Change these traits; the others stay as they are.

        :raises ValueError: a trait is unknown or its value makes no sense.
        """
        self.set_mapping(values)

    def set_mapping(self, values: Mapping[str, object]) -> None:
        """Change traits from a JSON object, as the HTTP control receives it."""
        known = [item.name for item in fields(Traits)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown traits {', '.join(unknown)}; known are {', '.join(known)}")
        self.now_on = replace(self.now_on, **values)  # type: ignore[arg-type]  # each value is checked

    def reset(self) -> None:
        """Go back to the traits that the server was started with."""
        self.now_on = self._initial

    def as_mapping(self) -> dict[str, object]:
        """All traits with their values."""
        return asdict(self.now_on)

    def now(self) -> float:
        """The time by the service's clock, Unix seconds."""
        return time.time() + self.now_on.clock_offset_seconds


def _is_seconds(value: object, lowest: float = -_LIMIT) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and lowest <= value <= _LIMIT


def _is_duration(value: object) -> bool:
    return _is_seconds(value, 0)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LIMIT


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(item, str) for pair in value.items() for item in pair
    )


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_echoes(value: object) -> bool:
    return _is_mapping(value) and all(":" in name for name in value)  # type: ignore[attr-defined]


# Name -> check of a value, and a description of the valid values.
_CHECKS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "clock_offset_seconds": (_is_seconds, f"a number of seconds up to {_LIMIT:,}"),
    "strict_signature": (_is_bool, "true or false"),
    "require_queue_id": (_is_bool, "true or false"),
    "hide_jobs_seconds": (_is_duration, "a number of seconds from 0"),
    "forget_jobs_seconds": (
        lambda value: value is None or _is_duration(value),
        "a number of seconds or null",
    ),
    "echoes": (_is_echoes, "a mapping of NAME:SENT to the text shown"),
    "user_data_limit": (lambda value: value is None or _is_count(value), "a number of characters or null"),
    "empty_pages": (_is_count, "a number of pages"),
    "endless_tokens": (lambda value: value in ENDLESS_TOKENS, '"", "same" or "new"'),
    "foreign_jobs": (_is_bool, "true or false"),
    "refuse_submissions": (lambda value: isinstance(value, str), "an error code"),
    "fail_jobs": (_is_mapping, "a mapping of key patterns to CODE or CODE:MESSAGE"),
}


def _check(name: str, value: object) -> None:
    is_right, expected = _CHECKS[name]
    if not is_right(value):
        raise ValueError(f"trait {name}: {value!r} is not {expected}")
