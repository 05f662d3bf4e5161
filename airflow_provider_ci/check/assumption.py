"""One assumption about the service or a bucket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_ci.check.finding import Finding, Matters, Part
from airflow_provider_ci.check.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One thing that this package assumes of the service or the bucket.

    ``look`` finds out whether it holds. ``requests`` is the maximum number of requests that ``look`` makes
    itself; :mod:`.trial` counts the requests of shared parts. ``advice`` is for a bucket that differs.
    """

    name: str
    assumed: str
    look: Callable[[Trial], Finding]
    matters: Matters
    advice: str
    part: Part = Part.BUCKET
    requests: int = 0
