"""The observation that belongs to one assumption."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airflow_provider_ci.client import CIError


class Verdict(str, Enum):
    """Whether the bucket fits an assumption."""

    FITS = "fits"
    DIFFERS = "differs"
    NOT_SEEN = "not seen"
    """It could not be looked at."""

    def __str__(self) -> str:
        return self.value


class Matters(str, Enum):
    """The importance of a difference, in the words of the advice."""

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
