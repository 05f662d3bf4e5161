"""The objects of a batch in pages of a hundred, filtered by outcome and text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from airflow_provider_ci.batch import FailureGroup, ObjectResult, ObjectState, read_report
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.plugin.ledger import Ledger

PAGE_ROWS = 100
BAD = "bad"
"""The filter for all objects without an output."""
NEWEST_PARTS = 10
"""Parts of a running batch's journal that are read for its results: 100,000 results at most."""
MAX_GROUPS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """An object as the table shows it."""

    index: int
    key: str
    output_key: str
    state: str
    reason: str = ""
    job_id: str = ""
    attempts: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects are shown."""

    state: str = ""
    """A state, ``bad``, or ``""`` for all."""
    code: str = ""
    text: str = ""
    """A part of the key or of the reason, in any case."""

    def matches(self, result: ObjectResult) -> bool:
        """Whether an object is shown."""
        return (
            self._has_state(result)
            and (not self.code or result.code == self.code)
            and (not self.text or self.text.casefold() in f"{result.key} {result.reason}".casefold())
        )

    def _has_state(self, result: ObjectResult) -> bool:
        return not result.is_good if self.state == BAD else self.state in ("", result.state.value)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of objects."""

    rows: list[Row]
    has_more: bool
    note: str = ""
    """What the user has to know about its limits."""


def page_of(ledger: Ledger, wanted: Filter, number: int) -> Page:
    """A page of results, counted from 1; before the report is there, of those in the journal."""
    found = filter(wanted.matches, _results(ledger))
    start = (number - 1) * PAGE_ROWS
    rows = [row_of(result) for result in islice(found, start, start + PAGE_ROWS + 1)]
    note = "" if ledger.report else _limit(ledger)
    return Page(rows[:PAGE_ROWS], len(rows) > PAGE_ROWS, note)


def find(ledger: Ledger, planned: PlannedObject) -> ObjectResult | None:
    """The result of an object; None while there is none."""
    return next((each for each in _results(ledger) if each.index == planned.index), None)


def groups_of(results: Iterable[ObjectResult]) -> list[FailureGroup]:
    """Failed objects grouped by code, the largest group first."""
    groups: dict[str, FailureGroup] = {}
    for result in results:
        if result.state in (ObjectState.FAILED, ObjectState.CANCELLED):
            code = result.code or result.state.value
            known = groups.get(code)
            example = known.example if known else result.failure_line
            groups[code] = FailureGroup(code=code, count=(known.count if known else 0) + 1, example=example)
    return sorted(groups.values(), key=lambda group: -group.count)[:MAX_GROUPS]


def groups_so_far(ledger: Ledger) -> list[FailureGroup]:
    """Failures of a batch whose report is not written, grouped by code."""
    return groups_of(_results(ledger))


def row_of(result: ObjectResult) -> Row:
    """An object as the table shows it."""
    return Row(
        index=result.index,
        key=result.key,
        output_key=result.first_output or result.output_key,
        state=result.state.value,
        reason=result.reason,
        job_id=result.job_id or "",
        attempts=result.attempts,
        size=result.size,
    )


def _results(ledger: Ledger) -> Iterator[ObjectResult]:
    report = ledger.report
    if report is not None:
        yield from read_report(ledger.client, report.summary.report_key)
    elif ledger.journal is not None and ledger.state is not None:
        yield from ledger.journal.results_after(max(0, ledger.journal.parts - NEWEST_PARTS))


def _limit(ledger: Ledger) -> str:
    if ledger.journal is None or ledger.state is None or ledger.journal.parts <= NEWEST_PARTS:
        return ""
    return "Until the report is written, this shows the newest results only."
