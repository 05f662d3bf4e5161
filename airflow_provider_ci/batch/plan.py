"""From the selected objects to the jobs that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal, TypeVar

from airflow_provider_ci.batch.draft import Draft, DraftOutput, DraftRow, SameOutputError, new_draft
from airflow_provider_ci.batch.fingerprint import Fingerprints
from airflow_provider_ci.batch.freshness import Outputs
from airflow_provider_ci.batch.template import OutputTemplate, OutputTemplateError, first_output
from airflow_provider_ci.client import CIClient, DocProcess, ObjectInfo, PicProcess, PicTemplate

__all__ = [
    "Operation",
    "OutputTemplate",
    "OutputTemplateError",
    "PlannedJob",
    "Skip",
    "first_output",
    "plan_jobs",
]

Operation = DocProcess | PicProcess | PicTemplate
"""What is done to every object of a batch."""

Skip = Literal["fresh", "exists", "never"]
"""Which objects are left out.

``fresh``: those whose output is there and was made of the same content by the same operation; where no
earlier run of the batch tells, it must not be older than the object. ``exists``: those whose output is there
and not older than they are, however it was made. ``never``: none.
"""

T = TypeVar("T")

_CHUNK = 1000
_ALWAYS = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One object and the output that its job writes."""

    index: int
    """Its place among the objects of the batch, from 0."""
    key: str
    size: int
    etag: str
    output_key: str
    """Key of the output, still with the service's ``${Number}``, ``${Page}`` and ``${SheetID}`` in it."""
    fingerprint: str
    """Changes with the object's content, the operation or the output."""
    is_fresh: bool = False
    """The output is there already, so nothing is submitted."""


def plan_jobs(
    client: CIClient,
    objects: Iterable[ObjectInfo],
    template: OutputTemplate,
    operation: Operation,
    *,
    skip: Skip = "fresh",
    previous: Iterable[tuple[str, str]] = (),
    threads: int = 16,
    check: Callable[[], None] = lambda: None,
) -> Iterator[PlannedJob]:
    """The jobs for these objects, in their order. The first comes when all objects are known and checked.

    :param previous: key and fingerprint of the objects that ended well when this batch ran before.
    :param threads: requests at the same time, at most, to find out which outputs are there.
    :param check: called once per thousand objects in each step of the planning, which may take long before
        the first job comes; what it raises ends the planning.
    :raises OutputTemplateError: two objects would write the same output, or one of them would be overwritten.
    :raises OSError: there is no room on the disk for the temporary file that the plan is made in.
    """
    fingerprints = Fingerprints(operation)
    with new_draft() as draft:
        if skip != "never":
            draft.remember(_checked(previous, check))
        rule = _Rule(skip, draft, fingerprints)
        total = _take(_checked(objects, check), draft, template, rule)
        outputs = Outputs(client, template.literal_prefix, threads=threads)
        fresh = _fresh(_checked(draft.outputs(), check), outputs, total)
        for index, key, size, etag in draft.objects():
            output_key = template.output_key(key)
            yield PlannedJob(
                index=index,
                key=key,
                size=size,
                etag=etag,
                output_key=output_key,
                fingerprint=fingerprints.of(key, etag, output_key),
                is_fresh=bool(fresh[index]),
            )


@dataclass(frozen=True, slots=True)
class _Rule:
    """Says when an output is fresh."""

    skip: Skip
    draft: Draft
    fingerprints: Fingerprints

    def row(self, found: ObjectInfo, output_key: str) -> DraftRow:
        before = None if self.skip == "never" else self.draft.fingerprint(found.key)
        fresh_from = self._fresh_from(found, output_key, before)
        return DraftRow(found, first_output(output_key), fresh_from, was_made=before is not None)

    def _fresh_from(self, found: ObjectInfo, output_key: str, before: str | None) -> float | None:
        if self.skip == "never" or not found.etag:
            return None
        if self.skip == "exists" or before is None:
            return found.last_modified.timestamp()
        return _ALWAYS if before == self.fingerprints.of(found.key, found.etag, output_key) else None


def _checked(items: Iterable[T], check: Callable[[], None]) -> Iterator[list[T]]:
    """The items by the thousand, with a check before each."""
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        check()
        yield chunk


def _take(chunks: Iterable[list[ObjectInfo]], draft: Draft, template: OutputTemplate, rule: _Rule) -> int:
    """Put the objects and their outputs into the draft, and check them; how many they are."""
    total = 0
    may_overwrite = False
    for chunk in chunks:
        rows = [_row(found, template, rule) for found in chunk]
        try:
            draft.add(total, rows)
        except SameOutputError as error:
            raise _same_output(template, *error.keys) from None
        total += len(rows)
        may_overwrite |= any(found.key.startswith(template.literal_prefix) for found in chunk)
    if may_overwrite and (pair := draft.overwritten()):
        raise OutputTemplateError(
            f"output template {template.text!r}: {pair[0]!r} would overwrite {pair[1]!r}, which is one of "
            "the objects; name a folder outside of the selection, or narrow the selection by suffixes"
        )
    return total


def _row(found: ObjectInfo, template: OutputTemplate, rule: _Rule) -> DraftRow:
    row = rule.row(found, template.output_key(found.key))
    if row.output == found.key:
        raise OutputTemplateError(
            f"output template {template.text!r}: {found.key!r} would overwrite itself; "
            "name another folder or suffix in it"
        )
    return row


def _same_output(template: OutputTemplate, first_key: str, second_key: str) -> OutputTemplateError:
    return OutputTemplateError(
        f"output template {template.text!r}: {first_key!r} and {second_key!r} would both write "
        f"{template.output_key(second_key)!r}; use {{dir}}, {{name}} or {{suffix}} in it to tell them apart"
    )


def _fresh(chunks: Iterable[list[DraftOutput]], outputs: Outputs, total: int) -> bytearray:
    """For each object, in their order, whether its output is there and fresh: one byte, 1 or 0."""
    fresh = bytearray(total)
    for chunk in chunks:
        written = outputs.last_modified([each.output for each in chunk])
        doubtful = [each for each in chunk if each.was_made and not _is_fresh(each, written)]
        # A listing may be behind: what was made before is not paid for again without asking.
        written.update(outputs.asked([each.output for each in doubtful]))
        for each in chunk:
            fresh[each.number] = _is_fresh(each, written)
    return fresh


def _is_fresh(each: DraftOutput, written: Mapping[str, datetime]) -> bool:
    return each.output in written and written[each.output].timestamp() >= each.fresh_from
