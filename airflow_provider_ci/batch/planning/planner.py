"""Decides for each object whether its output is up to date, shared, adopted, or has to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal, TypeVar

from airflow_provider_ci.batch.planning.draft import Draft, DraftObject, DraftOutput, SameOutputError
from airflow_provider_ci.batch.planning.existing import ExistingOutputs
from airflow_provider_ci.batch.planning.fingerprint import Fingerprints
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.planning.template import OutputNameError, OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.registry.index_state import Entry
from airflow_provider_ci.batch.registry.outputs_index import IndexReader
from airflow_provider_ci.batch.sources.unusable import UnusableKey
from airflow_provider_ci.client import Job, ObjectInfo

Skip = Literal["fresh", "exists", "never"]
"""Which objects are left out.

``fresh``: objects whose output was made from the same content by the same operation; where no record of that
exists, the output must not be older than the object. ``exists``: objects whose output is not older than they
are, whatever made it. ``never``: none, so that every output is made again.
"""

T = TypeVar("T")

_CHUNK = 1000
_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedOutput:
    """An output that another batch makes, as its plan has it."""

    output: str
    fingerprint: str
    index: int
    """Place in the plan of the other batch."""


class OtherOperationError(Exception):
    """Another batch makes one of the outputs by another operation."""

    def __init__(self, output: str) -> None:
        self.output = output
        super().__init__(output)


class Planner:
    """Fills a draft step by step; :meth:`objects` is the plan.

    :param check: called once per thousand objects in each step; an exception from it ends the planning.
    """

    def __init__(
        self,
        draft: Draft,
        template: OutputTemplate,
        operation: Any,
        *,
        skip: Skip = "fresh",
        retry_failed: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._draft = draft
        self._template = template
        self._fingerprints = Fingerprints(operation)
        self._skip = skip
        self._retry_failed = retry_failed
        self._check = check
        self.newest_replaced = 0.0
        """Unix time at which the newest output was written that this plan makes again."""

    def take(self, found: Iterable[ObjectInfo | UnusableKey]) -> None:
        """Put the objects into the draft.

        :raises OutputTemplateError: two objects would write one output, or an object would be overwritten.
        """
        may_overwrite = False
        for chunk in self._chunks(found):
            self._add(chunk)
            may_overwrite |= any(each.key.startswith(self._template.literal_prefix) for each in chunk)
        if may_overwrite and (pair := self._draft.overwritten()):
            raise OutputTemplateError(
                f"output template {self._template.text!r}: {pair[0]!r} would overwrite {pair[1]!r}, "
                "which is one of the objects; name a folder outside the selection, "
                "or narrow the selection by suffixes"
            )

    def look_up(self, index: IndexReader, existing: ExistingOutputs) -> None:
        """Decide which outputs are up to date, and which failed before.

        :raises CIError: a request failed.
        """
        if self._skip == "never":
            self.newest_replaced = float("inf")  # the times are not read: assume the newest
            return
        for chunk in self._draft.outputs(_CHUNK):
            self._check()
            self._decide(chunk, index, existing)

    def share(
        self, claimed: Iterable[ClaimedOutput], batch: Mapping[str, Any], *, is_same_operation: bool
    ) -> int:
        """Mark the objects whose output another batch is making; returns their number.

        Called for several batches, in the order of their claims. If several of them share an output, the
        last batch counts, since it waits for the earlier ones.

        :param batch: identifies the other batch in the details of the plan.
        :param is_same_operation: whether the other batch does the operation of this one. Its fingerprint of
            an output can differ all the same, if the object has changed since.
        :raises OtherOperationError: the other batch makes one of the outputs by another operation.
        """
        shared = 0
        for chunk in self._chunks(claimed):
            for theirs in chunk:
                ours = self._draft.of_output(theirs.output)
                if ours is None or self._draft.decision(ours.number) not in _CONTESTED:
                    continue
                if not is_same_operation:
                    raise OtherOperationError(theirs.output)
                if self._draft.decision(ours.number) is Decision.UP_TO_DATE:
                    continue
                is_same = theirs.fingerprint == self._fingerprint(ours)
                details = {**batch, "their_index": theirs.index, "is_same_content": is_same}
                self._draft.decide(ours.number, Decision.SHARED, details)
                shared += 1
        return shared

    def distrust(self, claimed: Iterable[ClaimedOutput]) -> None:
        """Make outputs again that count as up to date only by their time.

        :param claimed: the outputs of a batch that died, and that may have made them by another operation.
        """
        if self._skip != "fresh":
            return
        for chunk in self._chunks(claimed):
            for theirs in chunk:
                ours = self._draft.of_output(theirs.output)
                if ours and self._draft.decision(ours.number) is Decision.UP_TO_DATE_BY_TIME:
                    self._draft.decide(ours.number, Decision.SUBMIT)

    def adopt(
        self,
        jobs: Iterable[Job],
        *,
        output_of: Callable[[Job], str],
        matches: Callable[[Job], bool],
        is_here: Callable[[Job], bool],
    ) -> int:
        """Adopt the jobs that the service is running for outputs of this plan; returns their number.

        :param output_of: the first output of a job.
        :param matches: whether a job does the operation of this batch.
        :param is_here: whether a job writes into the bucket of this batch's outputs.
        :raises OtherOperationError: a job in flight makes one of the outputs by another operation.
        """
        adopted = 0
        for job in jobs:
            ours = self._draft.of_output(output_of(job))
            if ours is None or self._draft.decision(ours.number) is not Decision.SUBMIT or not is_here(job):
                continue
            if not matches(job):
                raise OtherOperationError(ours.output)
            if job.input_key.removeprefix("/") != ours.key:
                continue
            if job.created_at is None or job.created_at.timestamp() < ours.modified:
                continue  # it reads the content that the object had before
            details = {"job_id": job.job_id, "created_at": job.created_at.isoformat()}
            self._draft.decide(ours.number, Decision.ADOPTED, details)
            adopted += 1
        return adopted

    def objects(self) -> Iterator[PlannedObject]:
        """The plan: the objects in the order of the source, but shared ones last.

        So a run submits all of its own jobs before it begins to wait for jobs of other batches.
        """
        index = 0
        for shared in (False, True):
            for found, decision, details in self._draft.objects():
                if found.number % _CHUNK == 0:
                    self._check()
                if (decision is Decision.SHARED) is shared:
                    yield self._planned(index, found, decision, details)
                    index += 1
            if not self._draft.counts()[Decision.SHARED]:
                return

    def _planned(
        self, index: int, found: DraftObject, decision: Decision, details: dict[str, Any]
    ) -> PlannedObject:
        if decision is Decision.UNUSABLE:
            key = details.pop("key")
            return PlannedObject(
                index=index, key=key, size=0, etag="", output_key="", decision=decision, details=details
            )
        output_key = self._template.output_key(found.key)
        first = self._template.first_output(found.key) if self._template.has_pages else ""
        return PlannedObject(
            index=index,
            key=found.key,
            size=found.size,
            etag=found.etag,
            output_key=output_key,
            first_output=first,
            fingerprint=self._fingerprints.of(found.key, found.etag, output_key),
            modified=found.modified,
            decision=decision,
            details=details,
        )

    def _chunks(self, items: Iterable[T]) -> Iterator[list[T]]:
        remaining = iter(items)
        while chunk := list(islice(remaining, _CHUNK)):
            self._check()
            yield chunk

    def _add(self, chunk: Sequence[ObjectInfo | UnusableKey]) -> None:
        infos: list[ObjectInfo] = []
        outputs: list[str | None] = []
        problems: dict[int, dict[str, Any]] = {}
        for place, found in enumerate(chunk):
            output, problem = self._named(found)
            if problem:
                problems[place] = problem
            infos.append(found if isinstance(found, ObjectInfo) else _no_object())
            outputs.append(output)
        first = self._draft.total
        try:
            self._draft.add(infos, outputs)
        except SameOutputError as error:
            raise self._same_output(*error.keys) from None
        for place, problem in problems.items():
            self._draft.decide(first + place, Decision.UNUSABLE, problem)

    def _named(self, found: ObjectInfo | UnusableKey) -> tuple[str | None, dict[str, Any] | None]:
        """The first output of an object, or the reason why it has none."""
        if isinstance(found, UnusableKey):
            return None, {"key": found.key, "code": found.code, "message": found.message}
        try:
            output = self._template.first_output(found.key)
        except OutputNameError as error:
            return None, {"key": found.key, "code": "InvalidObjectName", "message": str(error)}
        if output == found.key:
            raise OutputTemplateError(
                f"output template {self._template.text!r}: {found.key!r} would overwrite itself; "
                "name another folder or suffix in the template"
            )
        return output, None

    def _decide(self, chunk: list[DraftOutput], index: IndexReader, existing: ExistingOutputs) -> None:
        keys = [each.output for each in chunk]
        entries = index.find(keys)
        written = existing.last_modified(keys)
        unseen = [key for key in keys if key in entries and entries[key].made and key not in written]
        written.update(
            existing.head(unseen)
        )  # a listing can be behind; nothing is paid for twice because of it
        for each in chunk:
            decided = self._decision(each, entries.get(each.output), written.get(each.output))
            if decided:
                self._draft.decide(each.number, *decided)
            elif each.output in written:
                self.newest_replaced = max(self.newest_replaced, written[each.output].timestamp())

    def _decision(
        self, each: DraftOutput, entry: Entry | None, written: datetime | None
    ) -> tuple[Decision, dict[str, Any] | None] | None:
        is_known = entry is not None and entry.fingerprint == self._fingerprint(each)
        if is_known and entry is not None and not entry.made:
            return None if self._retry_failed else (Decision.FAILED_BEFORE, dict(entry.details or {}))
        if written is None:
            return None
        if self._skip == "fresh" and entry is not None and entry.made:
            return (Decision.UP_TO_DATE, None) if is_known else None
        is_newer = written.timestamp() >= each.modified
        return (Decision.UP_TO_DATE_BY_TIME, None) if is_newer else None

    def _fingerprint(self, each: DraftOutput) -> str:
        return self._fingerprints.of(each.key, each.etag, self._template.output_key(each.key))

    def _same_output(self, first_key: str, second_key: str) -> OutputTemplateError:
        return OutputTemplateError(
            f"output template {self._template.text!r}: {first_key!r} and {second_key!r} would both write "
            f"{self._template.output_key(second_key)!r}; use {{dir}}, {{name}} or {{suffix}} "
            "to tell them apart"
        )


_CONTESTED = (Decision.SUBMIT, Decision.SHARED, Decision.UP_TO_DATE, Decision.UP_TO_DATE_BY_TIME)
"""Decisions about outputs that another batch must not make differently. An output that is up to date only by
its time may be the work of that batch, which the index does not know yet."""


def _no_object() -> ObjectInfo:
    return ObjectInfo(key="", size=0, etag="", last_modified=_LONG_AGO)
