"""The index of outputs as the registry's state holds it: its runs, and the garbage to delete.

The index is a list of sorted runs, oldest first; of several entries for one output, the one in the newest
run counts. A run of few entries is *embedded*: its entries stand in the state itself. The others are
*stored*: the state names their parts, which are objects beside it (see :mod:`.parts`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

EMBEDDED_ENTRIES = 300
"""Maximum number of entries in the state itself, because every change reads and writes them."""


class InlineFullError(Exception):
    """The state has no room for these entries; they need a stored run."""


class Entry(NamedTuple):
    """How an output was made."""

    output: str
    """Key of the first object that the job writes."""
    fingerprint: str
    """Of the content and the operation."""
    made: bool = True
    """Whether the job succeeded; else ``details`` says why it failed for good."""
    details: Mapping[str, Any] | None = None
    """Of a failure: code, short message, job id and report key."""
    recorded_at: int = 0
    """Unix seconds of the service at which the outcome was known; 0 if unknown. An output that was
    written later may be the work of a batch that could not record it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Sorted entries, each output once."""

    token: str
    count: int
    first: str
    """First output of the run."""
    last: str
    parts: int = 0
    """Number of stored parts; 0 for an embedded run."""
    firsts: tuple[str, ...] = ()
    """First output of each part; empty if ``parts.json`` holds them."""
    entries: tuple[Entry, ...] = ()
    """All entries of an embedded run."""

    @property
    def is_embedded(self) -> bool:
        """Whether the state itself holds the entries."""
        return not self.parts

    def to_json(self) -> dict[str, Any]:
        """The run as plain JSON."""
        content: dict[str, Any] = {"token": self.token, "count": self.count}
        if self.is_embedded:
            return {**content, "entries": to_cells(self.entries)}
        bounds = {"first": self.first, "last": self.last, "parts": self.parts}
        return {**content, **bounds, **({"firsts": list(self.firsts)} if self.firsts else {})}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Run:
        """Read a run.

        :raises KeyError, TypeError, ValueError: a field is missing or makes no sense.
        """
        if "entries" in content:
            return embedded(tuple(from_cells(content["entries"])), token=str(content["token"]))
        run = cls(
            token=str(content["token"]),
            count=int(content["count"]),
            first=str(content["first"]),
            last=str(content["last"]),
            parts=int(content["parts"]),
            firsts=tuple(map(str, content.get("firsts", ()))),
        )
        if run.parts < 1 or len(run.firsts) not in (0, run.parts):
            raise ValueError(f"run {run.token!r} has {run.parts} parts and {len(run.firsts)} first outputs")
        return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A run that was merged into another. Its objects stay for a while, for readers of an older state."""

    token: str
    parts: int
    since: float
    """Unix seconds by the service's clock."""

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON."""
        return {"token": self.token, "parts": self.parts, "since": self.since}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Garbage:
        """Read a record.

        :raises KeyError, TypeError, ValueError: a field is missing or of the wrong type.
        """
        return cls(token=str(content["token"]), parts=int(content["parts"]), since=float(content["since"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexState:
    """The runs of the index, oldest first, and the garbage to delete."""

    runs: tuple[Run, ...] = ()
    garbage: tuple[Garbage, ...] = ()

    def with_entries(self, entries: Sequence[Entry]) -> IndexState:
        """With these entries as the newest, in the state itself. They are sorted, each output once.

        :raises InlineFullError: the state would hold more than 300 entries.
        """
        if not entries:
            return self
        is_open = bool(self.runs) and self.runs[-1].is_embedded
        before, last = (self.runs[:-1], self.runs[-1].entries) if is_open else (self.runs, ())
        # The new entries come last, so they replace older ones of the same outputs.
        merged = {entry.output: entry for entry in (*last, *entries)}
        # Embedded runs may also lie below a stored one, and they all share the room.
        if sum(run.count for run in before if run.is_embedded) + len(merged) > EMBEDDED_ENTRIES:
            raise InlineFullError(f"{len(merged)} entries")
        run = embedded(tuple(merged[output] for output in sorted(merged)))
        # The new run has a new token. So the state would differ, and would be written for nothing.
        if is_open and run.entries == last:
            return self
        return replace(self, runs=(*before, run))

    def with_run(self, run: Run) -> IndexState:
        """With a stored run as the newest. Doing it a second time changes nothing."""
        if any(each.token == run.token for each in self.runs):
            return self
        return replace(self, runs=(*self.runs, run))

    def place_of(self, runs: Sequence[Run]) -> int | None:
        """Where these runs stand one after the other, ``None`` if they do not any more."""
        # By token, because another batch may have published runs behind them since.
        tokens = [run.token for run in runs]
        for place in range(len(self.runs) - len(runs) + 1):
            if [run.token for run in self.runs[place : place + len(runs)]] == tokens:
                return place
        return None

    def tokens(self) -> set[str]:
        """The tokens of all runs whose objects may be in the bucket."""
        return {run.token for run in self.runs if not run.is_embedded} | {each.token for each in self.garbage}

    def to_json(self) -> dict[str, Any]:
        """The index as plain JSON."""
        return {
            "runs": [run.to_json() for run in self.runs],
            "garbage": [each.to_json() for each in self.garbage],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> IndexState:
        """Read the state of the index.

        :raises KeyError, TypeError, ValueError: a field is missing or makes no sense.
        """
        return cls(
            runs=tuple(map(Run.from_json, content.get("runs", ()))),
            garbage=tuple(map(Garbage.from_json, content.get("garbage", ()))),
        )


def embedded(entries: tuple[Entry, ...], *, token: str = "") -> Run:
    """A run whose entries stand in the state; other entries have another token."""
    return Run(
        token=token or uuid.uuid4().hex,
        count=len(entries),
        first=entries[0].output,
        last=entries[-1].output,
        entries=entries,
    )


def to_cells(entries: Iterable[Entry]) -> list[Any]:
    """Entries as one flat list, three cells each: a list per entry would take twice the time to parse.

    The third cell is what :func:`third_cell` returns.
    """
    cells: list[Any] = []
    for entry in entries:
        cells += (entry.output, entry.fingerprint, third_cell(entry))
    return cells


def third_cell(entry: Entry) -> Any:
    """When the output was known to be made; for an output that was not made, ``[0, details, when]``."""
    if entry.made and entry.details is None:
        return entry.recorded_at
    return [int(entry.made), entry.details, entry.recorded_at]


def entry_of(output: str, fingerprint: str, third: Any) -> Entry:
    """The entry of three cells."""
    if type(third) is int:
        return Entry(output, fingerprint, recorded_at=third)
    made, details, *recorded_at = third
    return Entry(output, fingerprint, bool(made), details, *recorded_at)


def from_cells(cells: Sequence[Any]) -> Iterator[Entry]:
    """The entries of a flat list.

    :raises TypeError, ValueError: the cells are not entries.
    """
    return map(entry_of, cells[0::3], cells[1::3], cells[2::3])
