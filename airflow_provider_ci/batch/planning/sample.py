"""Puts a sample of a plan first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject

Objects = Callable[[], Iterator[PlannedObject]]


def sample_size(wanted: int, to_submit: int) -> int:
    """Size of a sample; 0 if it would be the whole."""
    return wanted if 0 < wanted < to_submit else 0


def sample_first(objects: Objects, *, size: int, to_submit: int) -> Iterator[PlannedObject]:
    """The objects of a plan, beginning with a sample of the ones that need a job.

    :param objects: yields the objects from the beginning, each time it is called.
    :param size: size of the sample; 0 leaves the order as it is.
    :param to_submit: number of objects that need a job.
    """
    if not size:
        yield from objects()
        return
    drawn = _split(objects(), size, to_submit, is_sample=True)
    others = _split(objects(), size, to_submit, is_sample=False)
    for index, planned in enumerate(chain(drawn, others)):
        yield replace(planned, index=index)


def _split(
    objects: Iterator[PlannedObject], size: int, to_submit: int, *, is_sample: bool
) -> Iterator[PlannedObject]:
    """The sample, or the others; lines of one object stay together."""
    place = 0
    for group in _by_object(objects):
        is_drawn = False
        if any(planned.decision is Decision.SUBMIT for planned in group):
            is_drawn = (place + 1) * size // to_submit > place * size // to_submit
            place += 1
        if is_drawn is is_sample:
            yield from group


def _by_object(objects: Iterator[PlannedObject]) -> Iterator[list[PlannedObject]]:
    """The lines of each object; several rows of a manifest can name one key, and are objects of their own."""
    group: list[PlannedObject] = []
    for planned in objects:
        if group and planned.step == group[0].step:
            yield group
            group = []
        group.append(planned)
    if group:
        yield group
