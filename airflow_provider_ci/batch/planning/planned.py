"""One line of a plan: an object, its output, and what the plan decided about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from itertools import groupby
from typing import Any


class Decision(str, Enum):
    """What the plan decided about an object."""

    SUBMIT = "submit"
    """A job has to be submitted."""
    UP_TO_DATE = "up to date"
    """The index of outputs knows that the output was made from this content by this operation."""
    UP_TO_DATE_BY_TIME = "up to date by time"
    """The output is not older than the object; the index does not know it."""
    FAILED_BEFORE = "failed before"
    """The same content failed permanently in an earlier batch."""
    UNUSABLE = "unusable"
    """No job can be submitted for this object, for example because it does not exist."""
    SHARED = "shared"
    """Another batch is making this output; this batch waits for its result."""
    ADOPTED = "adopted"
    """A job that the service already has makes this output, or has made it; the batch adopts the job."""

    # Texts and records show the value, not the member's name. StrEnum does the same, but needs Python 3.11.
    __str__ = str.__str__


THERE = (Decision.UP_TO_DATE, Decision.UP_TO_DATE_BY_TIME)
"""Decisions about outputs that exist and will not be written again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedObject:
    """One object of a plan and the output that its job writes."""

    index: int
    """Place of the object in the plan, from 0."""
    key: str
    size: int
    """Size of the object in bytes."""
    etag: str
    output_key: str
    """Output key as it is sent to the service, with ``${Number}``, ``${Page}`` and ``${SheetID}``."""
    first_output: str = ""
    """Key of the first object that the job writes; empty if it equals ``output_key``."""
    fingerprint: str = ""
    """A text that changes with the content of the object, the operation or the output key."""
    modified: float = 0.0
    """Unix time of the last change of the object; 0 if unknown."""
    decision: Decision = Decision.SUBMIT
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Facts behind the decision: an error code and message, a job id, or the other batch."""
    step: str = ""
    """Name of the step that makes this output; empty in a batch with one operation."""
    back: int = 0
    """Distance, in lines, to the earlier line whose output the job reads; 0 if the job reads the object."""
    input_key: str = ""
    """Key that the job reads; empty if it is the object's own key."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields of the operation that the row of the object sets."""
    operation: str = ""
    """Fingerprint of the operation, if the row sets any of its fields."""
    job_level: int | None = None
    """Priority of the job from the row; None for the priority of the batch."""

    @property
    def parent(self) -> int | None:
        """Index of the line whose output the job reads; None if it reads the object."""
        return self.index - self.back if self.back else None

    @property
    def read_key(self) -> str:
        """Key that the job reads."""
        return self.input_key or self.key

    @property
    def output(self) -> str:
        """Key under which the output is searched for and indexed."""
        return self.first_output or self.output_key

    @property
    def is_claimed(self) -> bool:
        """Whether later batches must wait: this plan makes the output, or an earlier batch makes it."""
        return self.decision in (Decision.SUBMIT, Decision.ADOPTED, Decision.SHARED)


def by_object(lines: Iterable[PlannedObject], steps: int) -> Iterator[list[PlannedObject]]:
    """The lines of each object; the lines are in the order of the plan.

    If several rows of a manifest name the same key, each row counts as an object of its own.
    """
    for _, group in groupby(lines, key=lambda planned: planned.index // steps):
        yield list(group)


_NAMES = tuple(item.name for item in fields(PlannedObject))
_ALWAYS = ("index", "key", "size")
_EMPTY: tuple[Any, ...] = ("", {}, 0.0, None)


def planned_line(planned: PlannedObject) -> dict[str, Any]:
    """An object of the plan as JSON, without empty fields."""
    line = {
        name: value
        for name, value in asdict(planned).items()
        # Level 0 equals 0.0, which counts as empty. But it is a priority, and the batch may have another one.
        if value not in _EMPTY or name in _ALWAYS or (name == "job_level" and value is not None)
    }
    # The usual decision is left out, like empty fields: a plan may have millions of lines.
    if planned.decision is Decision.SUBMIT:
        del line["decision"]
    return line


def planned_of_line(line: Mapping[str, Any]) -> PlannedObject:
    """An object of the plan from :func:`planned_line`; unknown names are ignored."""
    values = {name: line[name] for name in _NAMES if name in line}
    values.setdefault("output_key", "")
    values.setdefault("etag", "")
    values["decision"] = Decision(values.get("decision", Decision.SUBMIT))
    return PlannedObject(**values)
