"""What an assumption consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_ci.check.finding import Finding, Matters, Part
from airflow_provider_ci.check.trial import Trial


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
