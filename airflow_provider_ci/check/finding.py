"""The records that describe what a check observed about one assumption."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airflow_provider_ci.client import CIError


class Verdict(str, Enum):
    """Whether the bucket fits an assumption."""

    FITS = "fits"
    DIFFERS = "differs"
    NOT_SEEN = "not seen"
    """The check could not observe whether the bucket fits."""

    def __str__(self) -> str:
        return self.value


class Matters(str, Enum):
    """How important a difference is, as the sentence that begins the advice."""

    EXACTLY_ONCE = 'Matters for "exactly once".'
    COMFORT = 'Does not matter for "exactly once".'


class Part(str, Enum):
    """What an assumption is about: the bucket itself, or one kind of job."""

    BUCKET = "bucket"
    DOCUMENTS = "documents"
    PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was observed. ``matters`` and ``advice``, if given, override those of the assumption."""

    seen: str
    fits: bool
    advice: str = ""
    matters: Matters | None = None


class NotSeenError(CIError):
    """The check could not observe something; the message says why."""
