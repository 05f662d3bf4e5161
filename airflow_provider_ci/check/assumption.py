"""What an assumption consists of, and what a look at a bucket can find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from airflow_provider_ci.client import CIError

if TYPE_CHECKING:
    from airflow_provider_ci.check.trial import Trial


class Verdict(str, Enum):
    """How what was seen compares with what we assume."""

    FITS = "fits"
    DIFFERS = "differs"
    NOT_SEEN = "not seen"
    """It could not be looked at."""

    def __str__(self) -> str:
        return self.value


class Matters(str, Enum):
    """What a difference endangers, in the words of the advice."""

    EXACTLY_ONCE = 'Matters for "exactly once".'
    COMFORT = 'Does not matter for "exactly once".'


class Part(str, Enum):
    """The kind of jobs that an assumption is about."""

    BUCKET = "bucket"
    DOCUMENTS = "documents"
    PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen. ``matters`` and ``advice`` take the place of the assumption's where they are given."""

    seen: str
    fits: bool
    advice: str = ""
    matters: Matters | None = None


class NotSeenError(CIError):
    """Something could not be looked at; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One thing that this package assumes of the service or the bucket.

    ``look`` finds out what is true. ``requests`` is the maximum number of requests that it makes itself; what
    several assumptions share is counted in :mod:`.trial`. ``advice`` says what to do if it differs.
    """

    name: str
    assumed: str
    look: Callable[[Trial], Finding]
    matters: Matters
    advice: str
    part: Part = Part.BUCKET
    requests: int = 0
