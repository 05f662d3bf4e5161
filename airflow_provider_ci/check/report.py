"""The result of a check, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_ci.check.finding import Verdict

FITS, DIFFERS, INCOMPLETE = 0, 1, 2
"""Exit codes of ``ci-check``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One assumption, the observation, the verdict, and advice.

    ``advice`` is empty if the bucket fits.
    """

    name: str
    assumed: str
    seen: str
    verdict: Verdict
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rows of a check, and how many jobs, requests and seconds the check took.

    ``problem`` says why the check ended early; it is empty otherwise. ``left_behind`` holds the keys of
    objects that could not be removed from the bucket.
    """

    bucket: str
    region: str
    folder: str
    rows: tuple[Row, ...] = ()
    problem: str = ""
    jobs: int = 0
    requests: int = 0
    seconds: float = 0.0
    left_behind: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[Row, ...]:
        """The rows in which the bucket differs from what we assume."""
        return self.with_verdict(Verdict.DIFFERS)

    def with_verdict(self, verdict: Verdict) -> tuple[Row, ...]:
        """The rows with this verdict."""
        return tuple(row for row in self.rows if row.verdict is verdict)

    @property
    def exit_code(self) -> int:
        """0 if everything fits, 1 for differences, 2 if not everything could be checked."""
        if self.problem or self.with_verdict(Verdict.NOT_SEEN):
            return INCOMPLETE
        return DIFFERS if self.differences else FITS

    def to_dict(self) -> Mapping[str, Any]:
        """Return the report as it is written in JSON."""
        rows = [{**asdict(row), "verdict": str(row.verdict)} for row in self.rows]
        return {**asdict(self), "rows": rows, "exit_code": self.exit_code}
