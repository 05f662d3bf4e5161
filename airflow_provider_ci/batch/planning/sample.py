"""Puts a sample of the objects, the canary, at the beginning of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject, by_object

_HOPELESS = (Decision.FAILED_BEFORE, Decision.UNUSABLE)
_WAITING = (Decision.SUBMIT, Decision.SHARED)
Objects = Callable[[], Iterator[PlannedObject]]


def sample_size(wanted: int, to_submit: int) -> int:
    """The size of the sample; 0 if it would hold all objects that need a job."""
    return wanted if 0 < wanted < to_submit else 0


def sample_first(objects: Objects, *, steps: int, size: int, to_submit: int) -> Iterator[PlannedObject]:
    """The lines of a plan, beginning with a sample of the objects that need a job.

    :param objects: returns an iterator over all lines each time it is called.
    :param steps: number of lines per object.
    :param size: size of the sample; 0 leaves the order as it is.
    :param to_submit: number of objects that need a job.
    """
    if not size:
        yield from objects()
        return
    # The plan is read twice, because it may not fit into memory.
    drawn = _split(by_object(objects(), steps), size, to_submit, is_sample=True)
    others = _split(by_object(objects(), steps), size, to_submit, is_sample=False)
    for index, planned in enumerate(chain(drawn, others)):
        yield replace(planned, index=index)


def count_to_submit(lines: Iterable[PlannedObject], steps: int) -> int:
    """Number of objects that need a job."""
    return sum(bool(lines_to_submit(group)) for group in by_object(lines, steps))


def lines_to_submit(lines: Sequence[PlannedObject]) -> list[PlannedObject]:
    """The lines of an object that need a job.

    A line that reads the output of an earlier step needs no job if that output will not exist.
    """
    found: list[PlannedObject] = []
    without_output: set[int | None] = set()
    for planned in lines:
        if planned.decision in _HOPELESS or (
            planned.decision in _WAITING and planned.parent in without_output
        ):
            without_output.add(planned.index)
        elif planned.decision is Decision.SUBMIT:
            found.append(planned)
    return found


def _split(
    objects: Iterable[list[PlannedObject]], size: int, to_submit: int, *, is_sample: bool
) -> Iterator[PlannedObject]:
    """Yield the lines of the sample, or of all other objects; lines of one object stay together."""
    place = 0
    for group in objects:
        is_drawn = False
        if lines_to_submit(group):
            # Spread evenly: the listing is sorted, so its beginning may be all of one kind.
            is_drawn = (place + 1) * size // to_submit > place * size // to_submit
            place += 1
        if is_drawn is is_sample:
            yield from group
