"""The index of outputs as the registry's state holds it: its runs, and the garbage to delete.

The index is a list of sorted runs, oldest first; of several entries for one output, the one in the newest
run counts. A run of few entries is *embedded*: its entries are part of the state itself. All other runs are
*stored*: the state names their parts, which are objects beside it (see :mod:`.parts`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

EMBEDDED_ENTRIES = 300
"""Maximum number of entries in the state itself; it is small because every change reads and writes them."""


class InlineFullError(Exception):
    """The state has no room for these entries; they need a stored run."""


class Entry(NamedTuple):
    """How an output was made."""

    output: str
    """Key of the first object that the job writes."""
    fingerprint: str
    """Fingerprint of the content and the operation."""
    made: bool = True
    """Whether the job succeeded; if not, ``details`` says why it failed permanently."""
    details: Mapping[str, Any] | None = None
    """Facts about a failure: code, short message, job id and report key."""
    recorded_at: int = 0
    """Unix time, by the service's clock, at which the outcome was known; 0 if unknown. An output that was
    written after this time may come from a batch that could not record it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One of the index's sorted lists of entries, with each output once."""

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
    """When the run was merged, in Unix seconds by the service's clock."""

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
        """The index with these entries, as the newest ones, in the state itself.

        :param entries: sorted by output, each output once.
        :raises InlineFullError: the state would hold more than 300 entries.
        """
        if not entries:
            return self
        is_open = bool(self.runs) and self.runs[-1].is_embedded
        before, last = (self.runs[:-1], self.runs[-1].entries) if is_open else (self.runs, ())
        # The new entries come last, so they replace older ones of the same outputs.
        merged = {entry.output: entry for entry in (*last, *entries)}
        # There may be embedded runs before a stored run, too. The limit is for all of them together.
        if sum(run.count for run in before if run.is_embedded) + len(merged) > EMBEDDED_ENTRIES:
            raise InlineFullError(f"{len(merged)} entries")
        run = embedded(tuple(merged[output] for output in sorted(merged)))
        # With the new run and its new token, the state would differ and would be written for nothing.
        if is_open and run.entries == last:
            return self
        return replace(self, runs=(*before, run))

    def with_run(self, run: Run) -> IndexState:
        """The index with a stored run as the newest. Adding the same run again changes nothing."""
        if any(each.token == run.token for each in self.runs):
            return self
        return replace(self, runs=(*self.runs, run))

    def place_of(self, runs: Sequence[Run]) -> int | None:
        """The place of these runs, if they still follow each other in this order; ``None`` if not."""
        # Compared by token, because another batch may have published runs after them since.
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
    """A sorted run whose entries are stored in the state itself; different entries get a different token."""
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
    """The time at which the output was known to be made; ``[0, details, time]`` if it was not made."""
    if entry.made and entry.details is None:
        return entry.recorded_at
    return [int(entry.made), entry.details, entry.recorded_at]


def entry_of(output: str, fingerprint: str, third: Any) -> Entry:
    """The entry that was stored as these three cells."""
    if type(third) is int:
        return Entry(output, fingerprint, recorded_at=third)
    made, details, *recorded_at = third
    return Entry(output, fingerprint, bool(made), details, *recorded_at)


def from_cells(cells: Sequence[Any]) -> Iterator[Entry]:
    """The entries of a flat list.

    :raises TypeError, ValueError: the cells are not entries.
    """
    return map(entry_of, cells[0::3], cells[1::3], cells[2::3])
