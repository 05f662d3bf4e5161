"""Lists the objects of a batch in pages of 100, filtered by outcome, code and text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from airflow_provider_ci.batch import FailureGroup, ObjectResult, ObjectState
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.batch.reports.pages import BatchReport
from airflow_provider_ci.plugin.ledger import Ledger

PAGE_ROWS = 100
BAD = "bad"
"""The filter for all objects without an output."""
NEWEST_PARTS = 10
"""Number of parts of a running batch's journal that are read: at most 100,000 results."""
SEARCH_ROWS = 1000
SEARCHED = 20_000
"""Maximum number of failures in one search; the next page continues it."""
MAX_GROUPS = 10
_STATES_OF_FAILURES = ("failed", "cancelled", "unfinished")


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
    """A state, ``bad`` for all without an output, or ``""`` for all."""
    code: str = ""
    text: str = ""
    """A part of the key or of the reason of a failure; case is ignored."""

    @property
    def is_of_failures(self) -> bool:
        """Whether only objects without an output are shown."""
        return bool(self.code) or self.state in (BAD, *_STATES_OF_FAILURES)

    @property
    def state_of_failures(self) -> str | None:
        """The only state of failures that is shown; None for all states."""
        return self.state if self.state in _STATES_OF_FAILURES else None

    def matches(self, result: ObjectResult) -> bool:
        """Whether the filter shows this object."""
        has_code = not self.code or result.code == self.code
        return has_code and self._has_state(result) and self.has_text(result)

    def has_text(self, result: ObjectResult) -> bool:
        """Whether the key or the reason contains the text."""
        return self.text.casefold() in f"{result.key} {result.reason}".casefold()

    def _has_state(self, result: ObjectResult) -> bool:
        return not result.is_good if self.state == BAD else self.state in ("", result.state.value)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of objects."""

    rows: Sequence[Row] = ()
    next_offset: int | None = None
    """Where the next page begins; None on the last page."""
    total: int | None = None
    """How many objects match; None if that is not known."""
    note: str = ""
    """What the user has to know about the limits of this page."""


def page_of(ledger: Ledger, wanted: Filter, offset: int) -> Page:
    """A page of results: from the report, or from the journal if the report is not written yet."""
    if ledger.report is None:
        return _of_journal(ledger, wanted, offset)
    if not wanted.is_of_failures:
        state = wanted.state or None
        found = ledger.report.objects(state=state, text=wanted.text, offset=offset, limit=PAGE_ROWS)
        return Page([row_of(each) for each in found.results], found.next_offset, found.total)
    if wanted.text:
        return _search_failures(ledger.report, wanted, offset)
    found = ledger.report.failures(
        offset, PAGE_ROWS, state=wanted.state_of_failures, code=wanted.code or None
    )
    return Page([row_of(each) for each in found.results], found.next_offset, found.total)


def find(ledger: Ledger, planned: PlannedObject) -> ObjectResult | None:
    """The result of an object; None if it has none yet."""
    if ledger.report is not None:
        return ledger.report.object(planned.key)
    return next((each for each in _newest(ledger) if each.index == planned.index), None)


def _search_failures(report: BatchReport, wanted: Filter, offset: int) -> Page:
    """A page of failures that contain a text; at most about 20,000 failures are searched at a time."""
    rows: list[Row] = []
    at: int | None = offset
    while at is not None and at < offset + SEARCHED and len(rows) < PAGE_ROWS:
        found = report.failures(at, SEARCH_ROWS, state=wanted.state_of_failures, code=wanted.code or None)
        for place, each in enumerate(found.results, at):
            if wanted.has_text(each):
                rows.append(row_of(each))
            if len(rows) == PAGE_ROWS:
                return Page(rows, place + 1)
        at = found.next_offset
    return Page(rows, at)


def _of_journal(ledger: Ledger, wanted: Filter, offset: int) -> Page:
    found = filter(wanted.matches, _newest(ledger))
    rows = [row_of(result) for result in islice(found, offset, offset + PAGE_ROWS + 1)]
    next_offset = offset + PAGE_ROWS if len(rows) > PAGE_ROWS else None
    return Page(rows[:PAGE_ROWS], next_offset, note=_limit(ledger))


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
    """Failures of a batch whose report is not written yet, grouped by code."""
    return groups_of(_newest(ledger))


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


def _newest(ledger: Ledger) -> Iterator[ObjectResult]:
    """The newest results of a batch whose report is not written yet."""
    if ledger.journal is not None and ledger.state is not None:
        yield from ledger.journal.results_after(max(0, ledger.journal.parts - NEWEST_PARTS))


def _limit(ledger: Ledger) -> str:
    if ledger.journal is None or ledger.state is None or ledger.journal.parts <= NEWEST_PARTS:
        return ""
    return "Until the report is written, this shows the newest results only."
