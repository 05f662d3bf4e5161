"""Keys of a source that cannot become jobs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableKey:
    """A key for which no job can be submitted; the report names it with this reason."""

    key: str
    code: str
    message: str
