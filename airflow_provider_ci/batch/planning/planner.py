"""Decides for each object and step whether its output is up to date, shared, adopted, or has to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal, TypeVar

from airflow_provider_ci.batch.planning.draft import (
    Draft,
    DraftLine,
    DraftObject,
    DraftOutput,
    OtherOperationError,
    SameOutputError,
)
from airflow_provider_ci.batch.planning.outputs.existing import ExistingOutputs
from airflow_provider_ci.batch.planning.outputs.lines import Lines
from airflow_provider_ci.batch.planning.outputs.naming import Namer, UnusableError, info_of, key_of, no_object
from airflow_provider_ci.batch.planning.outputs.template import OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.planning.planned import THERE, Decision, PlannedObject
from airflow_provider_ci.batch.planning.rows import NO_ROW, RowPart
from airflow_provider_ci.batch.planning.steps import PlanStep, Step, plan_steps
from airflow_provider_ci.batch.registry.index_state import Entry
from airflow_provider_ci.batch.registry.outputs_index import IndexReader
from airflow_provider_ci.batch.sources.source import Found
from airflow_provider_ci.client import ObjectInfo
from airflow_provider_ci.jobs.service_time import CLOCK_ERROR_SECONDS

Skip = Literal["fresh", "exists", "never"]
"""Which objects are skipped.

``fresh``: objects whose output was made from the same content by the same operation; if there is no record
of that, objects whose output is not older than the object. ``exists``: objects whose output is not older than
the object, whatever made the output. ``never``: none, so that every output is made again.
"""

T = TypeVar("T")

_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedOutput:
    """An output that another batch makes, as the plan of that batch describes it."""

    output: str
    fingerprint: str
    index: int
    """Place in the plan of the other batch."""
    operation: str
    """Fingerprint of the operation that makes it."""


def _no() -> bool:
    return False


class Planner:
    """Fills a draft with decisions; :meth:`objects` returns the plan.

    :param steps: the outputs of each object; the draft has the same number of steps.
    :param check: called once per thousand objects in each pass over them; an exception from it ends the
        planning.
    :param doubts_since: Unix time since which this batch may have written outputs by another operation
        without a record of them.
    """

    def __init__(
        self,
        draft: Draft,
        steps: Sequence[PlanStep],
        *,
        skip: Skip = "fresh",
        retry_failed: bool = False,
        doubts_since: float = float("inf"),
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._draft = draft
        self._steps = steps
        self.lines = Lines(steps)
        """Names and fingerprints of the lines."""
        self._namer = Namer(steps, self.lines)
        self._skip = skip
        self._retry_failed = retry_failed
        self._doubts_since = doubts_since
        self._check = check
        self.newest_replaced = 0.0
        """Latest write time, in Unix seconds, of the existing outputs that this plan makes again."""

    @classmethod
    def of_one_operation(
        cls, draft: Draft, template: OutputTemplate, operation: Any, **options: Any
    ) -> Planner:
        """A planner of a batch with one operation."""
        steps = plan_steps({"": Step(operation, template.text)}, template.prefix)
        return cls(draft, steps, **options)

    def take(self, found: Iterable[Found]) -> None:
        """Put the objects into the draft.

        :raises OutputTemplateError: two objects would write one output, or an object would be overwritten.
        """
        begins = tuple(step.template.literal_prefix for step in self._steps)
        may_overwrite = False
        for chunk in self._chunks(found):
            self._add(chunk)
            may_overwrite |= any(key_of(each).startswith(begins) for each in chunk)
        # This check compares all objects with all outputs, so it is skipped if no output can be an object.
        if may_overwrite and (pair := self._draft.overwritten()):
            raise OutputTemplateError(
                f"{self._templates}: {pair[0]!r} would overwrite {pair[1]!r}, "
                "which is one of the objects; name a folder outside the selection, "
                "or narrow the selection by suffixes"
            )

    def look_up(self, index: IndexReader, *existing: ExistingOutputs) -> None:
        """Decide which outputs are up to date, and which failed before.

        :param existing: looks up the existing outputs; one for each step.
        :raises CIError: a request failed.
        """
        if self._skip == "never":
            self.newest_replaced = float("inf")  # the times are not read: assume the newest
            return
        for place, written in enumerate(existing):
            for chunk in self._draft.outputs(place, _CHUNK):
                self._check()
                self._decide(chunk, index, written)

    def share(
        self,
        claimed: Iterable[ClaimedOutput],
        batch: Mapping[str, Any],
        *,
        is_dead: Callable[[], bool] = _no,
    ) -> int:
        """Mark the lines whose output another batch is making; returns their number.

        Call it for one batch after the other, in the order of their claims. If several batches share an
        output, the last batch counts, since it waits for the earlier ones. If an object has changed since the
        other batch was planned, the fingerprints differ although the operation is the same.

        :param batch: identifies the other batch in the details of the plan.
        :param is_dead: called if the other batch does another operation; returns whether that batch is dead.
            The output of a dead batch is made again, even if its time says that it is up to date.
        :raises OtherOperationError: the other batch makes one of the outputs by another operation.
        """
        shared = 0
        for theirs, ours in self._contested(claimed):
            if not self._is_same_operation(theirs, ours):
                if not is_dead():
                    raise OtherOperationError(theirs.output)
                self._distrust(ours)
                continue
            # Checked after the operation: a batch with another operation would replace even an up-to-date
            # output.
            if self._draft.decision(ours.line) is Decision.UP_TO_DATE:
                continue
            is_same = theirs.fingerprint == self._fingerprint(ours)
            details = {**batch, "their_index": theirs.index, "is_same_content": is_same}
            self._draft.decide(ours.line, Decision.SHARED, details)
            shared += 1
        return shared

    def distrust(self, claimed: Iterable[ClaimedOutput]) -> None:
        """Plan to make outputs again that are up to date only by their time, if the operations differ.

        :param claimed: the outputs of a dead batch, which may have made them by another operation.
        """
        for theirs, ours in self._contested(claimed):
            if not self._is_same_operation(theirs, ours):
                self._distrust(ours)

    def _contested(self, claimed: Iterable[ClaimedOutput]) -> Iterator[tuple[ClaimedOutput, DraftOutput]]:
        for chunk in self._chunks(claimed):
            for theirs in chunk:
                ours = self._draft.of_output(theirs.output)
                if ours is not None and self._draft.decision(ours.line) in _CONTESTED:
                    yield theirs, ours

    def _is_same_operation(self, theirs: ClaimedOutput, ours: DraftOutput) -> bool:
        own = self.lines.operation_fingerprint(ours.parts, ours.line % self._draft.steps)
        return theirs.operation == own

    def _distrust(self, ours: DraftOutput) -> None:
        is_by_time = self._draft.decision(ours.line) is Decision.UP_TO_DATE_BY_TIME
        if self._skip == "fresh" and is_by_time:
            self._draft.decide(ours.line, Decision.SUBMIT)

    def finish_chains(self) -> None:
        """Plan to make outputs again that are up to date only by their time and whose input is made again."""
        # For "exists", only the time of an output counts, whatever operation and input made it.
        if self._skip == "exists":
            return
        # A step comes after the step whose output it reads, so one pass reaches the end of every chain.
        for place, step in enumerate(self._steps):
            if not step.back:
                continue
            for line in range(place, self._draft.total * self._draft.steps, self._draft.steps):
                is_by_time = self._draft.decision(line) is Decision.UP_TO_DATE_BY_TIME
                if is_by_time and self._draft.decision(line - step.back) not in THERE:
                    self._draft.decide(line, Decision.SUBMIT)

    def objects(self) -> Iterator[PlannedObject]:
        """The plan: the objects in the order of the source, each with a line per step; shared objects last.

        In this order, a run submits all of its own jobs before it waits for jobs of other batches.
        """
        index = 0
        has_shared = bool(self._draft.counts()[Decision.SHARED])
        for wants_shared in (False, True) if has_shared else (False,):
            for found, lines, parts in self._draft.objects():
                if found.number % _CHUNK == 0:
                    self._check()
                if any(line.decision is Decision.SHARED for line in lines) is wants_shared:
                    for place, line in enumerate(lines):
                        yield self._planned(index + place, found, line, parts, place)
                    index += len(lines)

    def _planned(
        self, index: int, found: DraftObject, line: DraftLine, parts: Sequence[RowPart], place: int
    ) -> PlannedObject:
        step = self._steps[place]
        details = dict(line.details)
        if line.decision is Decision.UNUSABLE:
            return PlannedObject(
                index=index,
                # The draft has no object for this key, so the details hold the key.
                key=details.pop("key"),
                size=0,
                etag="",
                output_key="",
                decision=line.decision,
                details=details,
                step=step.name,
            )
        lines, key, part = self.lines, found.key, parts[place] if parts else NO_ROW
        output_key = lines.output_key(key, parts, place)
        has_pages = step.template.has_pages or part.output_key
        first = lines.first_output(key, parts, place) if has_pages else output_key
        return PlannedObject(
            index=index,
            key=key,
            size=found.size,
            etag=found.etag,
            output_key=output_key,
            first_output=first if first != output_key else "",
            fingerprint=lines.fingerprint(key, found.etag, parts, place, output_key),
            modified=found.modified,
            decision=line.decision,
            details=details,
            step=step.name,
            back=step.back,
            input_key=lines.input_key(key, parts, place) if step.back else "",
            parameters=part.parameters,
            operation=lines.operation_fingerprint(parts, place) if part.parameters else "",
            job_level=part.job_level,
        )

    def _chunks(self, items: Iterable[T]) -> Iterator[list[T]]:
        remaining = iter(items)
        while chunk := list(islice(remaining, _CHUNK)):
            self._check()
            yield chunk

    def _add(self, chunk: Sequence[Found]) -> None:
        infos: list[ObjectInfo] = []
        outputs: list[str | None] = []
        parts: dict[int, Sequence[RowPart]] = {}
        problems: dict[int, dict[str, Any]] = {}
        for place, found in enumerate(chunk):
            try:
                row, own = self._namer.named(found)
            except UnusableError as error:
                problems[place] = error.details
                # An unusable object keeps its lines: line numbers are computed from the places of objects.
                row, own = (), [None] * len(self._steps)
            if row:
                parts[place] = row
            infos.append(no_object() if place in problems else info_of(found))
            outputs += own
        first = self._draft.total * self._draft.steps
        try:
            self._draft.add(infos, outputs, parts)
        except SameOutputError as error:
            raise self._same_output(error) from None
        for place, problem in problems.items():
            for line in range(self._draft.steps):
                self._draft.decide(first + place * self._draft.steps + line, Decision.UNUSABLE, problem)

    def _decide(self, chunk: list[DraftOutput], index: IndexReader, existing: ExistingOutputs) -> None:
        keys = [each.output for each in chunk]
        entries = index.find(keys)
        written = existing.last_modified(keys)
        unseen = [key for key in keys if key in entries and entries[key].made and key not in written]
        # A listing can be behind. These keys are checked again, so that no job is paid for twice.
        written.update(existing.head(unseen))
        for each in chunk:
            decided = self._decision(each, entries.get(each.output), written.get(each.output))
            if decided:
                self._draft.decide(each.line, *decided)
            if each.output in written:
                self._note_written(each, entries.get(each.output), written[each.output].timestamp())

    def _decision(
        self, each: DraftOutput, entry: Entry | None, written: datetime | None
    ) -> tuple[Decision, dict[str, Any] | None] | None:
        is_known = entry is not None and entry.fingerprint == self._fingerprint(each)
        # Checked before the output: a job that failed may have written its first pages.
        if is_known and entry is not None and not entry.made:
            return None if self._retry_failed else (Decision.FAILED_BEFORE, dict(entry.details or {}))
        if written is None:
            return None
        # The entry takes precedence over the time: outputs of another operation are newer, too.
        if self._skip == "fresh" and entry is not None and entry.made:
            return (Decision.UP_TO_DATE, None) if is_known else None
        is_newer = written.timestamp() >= each.modified
        return (Decision.UP_TO_DATE_BY_TIME, None) if is_newer else None

    def _note_written(self, each: DraftOutput, entry: Entry | None, written: float) -> None:
        """Note an output that may be newer than its records, and update :attr:`newest_replaced`."""
        decision = self._draft.decision(each.line)
        recorded_at = entry.recorded_at if entry is not None and self._skip == "fresh" else 0
        is_unrecorded = bool(recorded_at) and written > recorded_at + CLOCK_ERROR_SECONDS
        # A run may have written the output after this record and died; its own records may be deleted.
        if is_unrecorded and (decision is Decision.UP_TO_DATE or written >= each.modified):
            is_to_make = decision is Decision.SUBMIT
            # The time of the entry is rounded down to a second; the recorded job may be from that second.
            self._draft.unrecorded.note(each.line, recorded_at + 1, is_to_make=is_to_make)
        elif decision is Decision.UP_TO_DATE_BY_TIME and written >= self._doubts_since:
            self._draft.unrecorded.note(each.line, self._doubts_since, is_to_make=False)
        elif decision is not Decision.SUBMIT:
            return
        self.newest_replaced = max(self.newest_replaced, written)

    def _fingerprint(self, each: DraftOutput) -> str:
        return self.lines.fingerprint(each.key, each.etag, each.parts, each.line % self._draft.steps)

    @property
    def _templates(self) -> str:
        texts = [repr(step.template.text) for step in self._steps]
        return f"output template{'s' if len(texts) > 1 else ''} {', '.join(texts)}"

    def _same_output(self, error: SameOutputError) -> OutputTemplateError:
        first, second = error.keys
        return OutputTemplateError(
            f"{self._templates}: {first!r} and {second!r} would both write {error.output!r}; "
            "use {dir}, {name} or {suffix} to tell them apart, or another output_key in their rows"
        )


_CONTESTED = (Decision.SUBMIT, Decision.SHARED, Decision.UP_TO_DATE, Decision.UP_TO_DATE_BY_TIME)
"""Decisions about outputs that no other batch may make by another operation. If an output is up to date only
by its time, that other batch may have made it, and the index may not know it yet."""
