"""Stored runs of the index: sorted entries in numbered objects of up to 20,000 entries each.

``<root>index/<token>/000001.json``, … are the parts of a run. Each part is one JSON array: the version, the
kind, and then three cells per entry (see :func:`.index_state.to_cells`). A run of more than 32 parts has a
``parts.json`` beside them with the first output of each part; for a shorter run the registry's state holds
that list. None of these objects is ever changed. The registry's state names the run only after all of them
are written.

In memory a part is three lists of equal length, because Python handles lists as a whole much faster than
entries.
"""

from __future__ import annotations

import json
import logging
import operator
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from airflow_provider_ci.batch.ledger.records import JSON, RecordError
from airflow_provider_ci.batch.registry.index_state import Entry, Run, entry_of, third_cell
from airflow_provider_ci.batch.registry.service_time import written_at
from airflow_provider_ci.batch.registry.state import VERSION, check_version, damaged, to_bytes
from airflow_provider_ci.client import CIClient, NotFoundError

log = logging.getLogger(__name__)

PART_ENTRIES = 20_000
MAX_FIRSTS = 32
"""For a run of at most this many parts, the registry's state holds the first output of each part."""
KIND = "outputs"
PARTS_KIND = "parts"
_HEADER_CELLS = 2
_MERGED_AT_ONCE = 4_000
"""Number of entries of each run that are merged in one step; more would take more memory and save no time."""


class Part(NamedTuple):
    """Sorted entries as columns."""

    outputs: list[str]
    fingerprints: list[str]
    thirds: list[Any]
    """The third cell of each entry, as :func:`.index_state.third_cell` returns it."""

    def entry(self, place: int) -> Entry:
        """One of the entries."""
        return entry_of(self.outputs[place], self.fingerprints[place], self.thirds[place])

    def cut(self, start: int, end: int | None = None) -> Part:
        """The entries from ``start`` to before ``end``."""
        return Part(self.outputs[start:end], self.fingerprints[start:end], self.thirds[start:end])


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A stored run, and the Unix time, by the service's clock, at which its last object was written."""

    run: Run
    at: float


class Hole(NamedTuple):
    """Outputs whose entries may have been in a missing part: from ``start`` to before ``stop``."""

    start: str
    stop: str


def outside(part: Part, holes: Iterable[Hole]) -> Part:
    """The entries of a part that lie in none of the holes."""
    for hole in holes:
        start, stop = bisect_left(part.outputs, hole.start), bisect_left(part.outputs, hole.stop)
        if start < stop:
            before, after = part.cut(0, start), part.cut(stop)
            part = Part(*(column + more for column, more in zip(before, after, strict=True)))
    return part


def part_of(entries: Iterable[Entry]) -> Part:
    """Entries as columns."""
    part = Part([], [], [])
    for entry in entries:
        part.outputs.append(entry.output)
        part.fingerprints.append(entry.fingerprint)
        part.thirds.append(third_cell(entry))
    return part


def in_parts(entries: Iterable[Entry]) -> Iterator[Part]:
    """Entries as columns, up to 20,000 at a time.

    :raises ValueError: the entries are not sorted, or an output occurs twice.
    """
    iterator, last = iter(entries), ""
    while (part := part_of(islice(iterator, PART_ENTRIES))).outputs:
        check_sorted(part.outputs, last)
        last = part.outputs[-1]
        yield part


def check_sorted(outputs: Sequence[str], last: str = "") -> None:
    """Check that these outputs are sorted, without repetitions, and come after ``last``.

    :raises ValueError: the outputs are not sorted, or one is repeated or does not come after ``last``.
    """
    behind = [last, *outputs]
    if all(map(operator.lt, behind, outputs)):
        return
    place = next(i for i, output in enumerate(outputs) if behind[i] >= output)
    raise ValueError(
        f"entries of the index must be sorted: {outputs[place]!r} comes behind {behind[place]!r}"
    )


def merged(runs: Sequence[Iterator[Part]]) -> Iterator[Part]:
    """Merge sorted runs, given oldest first; of several entries for one output, the newest counts."""
    heads = [_Head(run) for run in runs]
    while alive := [head for head in heads if head.is_alive]:
        bound = min(head.bound for head in alive)  # up to this output, every head has its entries in memory
        rows: dict[str, tuple[str, Any]] = {}
        for head in alive:
            part = head.take(bound)
            # Oldest run first, so a newer entry replaces an older one.
            rows.update(zip(part.outputs, zip(part.fingerprints, part.thirds, strict=True), strict=True))
        outputs = sorted(rows)
        found = [rows[output] for output in outputs]
        yield Part(outputs, [row[0] for row in found], [row[1] for row in found])


class _Head:
    """The entries of a run that a merge takes next."""

    def __init__(self, parts: Iterator[Part]) -> None:
        self._parts = parts
        self._part = Part([], [], [])
        self._start = 0
        self._turn()

    @property
    def is_alive(self) -> bool:
        """Whether there are entries left."""
        return bool(self._part.outputs)

    @property
    def bound(self) -> str:
        """The last output that the next step can take."""
        outputs = self._part.outputs
        return outputs[min(self._start + _MERGED_AT_ONCE, len(outputs)) - 1]

    def take(self, bound: str) -> Part:
        """Take the entries up to this output."""
        end = bisect_right(self._part.outputs, bound, self._start)
        taken = self._part.cut(self._start, end)
        self._start = end
        if end == len(self._part.outputs):
            self._turn()
        return taken

    def _turn(self) -> None:
        self._start, self._part = 0, Part([], [], [])  # free the last part before the next one is read
        self._part = next((part for part in self._parts if part.outputs), Part([], [], []))


@dataclass(slots=True)
class PartStore:
    """The stored parts of one registry.

    :param root: folder of the registry, with a ``/`` at the end.
    """

    client: CIClient
    root: str
    missing: set[str] = field(default_factory=set)
    """Keys of objects that the state names but that do not exist."""

    def key(self, token: str, number: int) -> str:
        """The key of a part; numbers begin with 1."""
        return f"{self.folder(token)}{number:06}.json"

    def folder(self, token: str) -> str:
        """The folder of a run's objects."""
        return f"{self.root}index/{token}/"

    def write(
        self, parts: Iterable[Part], raise_if_stopped: Callable[[], object] = lambda: None
    ) -> Written | None:
        """Store a run; return ``None`` for an empty run.

        :param parts: sorted parts of any length.
        :param raise_if_stopped: called before each request; may raise an exception to end the writing.
        """
        token, firsts, count, last, at = uuid.uuid4().hex, [], 0, "", 0.0
        for part in _of_full_length(parts):
            raise_if_stopped()
            firsts.append(part.outputs[0])
            count, last = count + len(part.outputs), part.outputs[-1]
            # The signature needs no expiry: a late write does no harm until the registry names the run.
            at = self._put(self.key(token, len(firsts)), [VERSION, KIND, *_cells(part)])
        if not firsts:
            return None
        # The state is read and written with each change, so it must not hold a long list.
        if len(firsts) > MAX_FIRSTS:
            at = self._put(f"{self.folder(token)}parts.json", [VERSION, PARTS_KIND, *firsts])
        run = Run(
            token=token,
            count=count,
            first=firsts[0],
            last=last,
            parts=len(firsts),
            firsts=tuple(firsts) if len(firsts) <= MAX_FIRSTS else (),
        )
        return Written(run=run, at=at)

    def read(self, run: Run, number: int) -> Part:
        """A part of a run; an empty part if the stored one is missing.

        :raises RecordError: the part is damaged or of a newer version.
        """
        if run.is_embedded:
            return part_of(run.entries)
        cells = self._get(self.key(run.token, number), KIND)
        part = Part(cells[0::3], cells[1::3], cells[2::3])
        if len(cells) % 3 or not all(type(cell) is str for cell in part.outputs):
            error = ValueError("not three cells for each entry")
            raise damaged(self.key(run.token, number), "a part of the index of outputs", error)
        return part

    def parts(self, run: Run) -> Iterator[Part]:
        """All parts of a run."""
        return (self.read(run, number) for number in range(1, max(1, run.parts) + 1))

    def firsts(self, run: Run) -> Sequence[str]:
        """The first output of each part; empty if ``parts.json`` is missing."""
        if run.firsts or run.is_embedded:
            return run.firsts or (run.first,)
        return self._get(f"{self.folder(run.token)}parts.json", PARTS_KIND)

    def is_missing(self, run: Run, number: int) -> bool:
        """Whether a part was needed and is missing."""
        return self.key(run.token, number) in self.missing

    def holes(self, run: Run) -> list[Hole]:
        """The ranges of outputs that are unknown, because parts of a run were needed and are missing."""
        numbers = [number for number in range(1, run.parts + 1) if self.is_missing(run, number)]
        if not numbers:
            return []
        firsts = self.firsts(run)
        if not firsts:
            # The zero byte makes the smallest text that sorts after the last output.
            return [Hole(run.first, f"{run.last}\0")]
        bounds = [*firsts, f"{run.last}\0"]
        return [Hole(bounds[number - 1], bounds[number]) for number in numbers]

    def delete(self, token: str, parts: int) -> None:
        """Delete the objects of a run."""
        for number in range(1, parts + 1):
            self.client.delete_object(self.key(token, number))
        if parts > MAX_FIRSTS:
            self.client.delete_object(f"{self.folder(token)}parts.json")

    def _put(self, key: str, cells: list[Any]) -> float:
        return written_at(self.client.put_object(key, to_bytes(cells), content_type=JSON))

    def _get(self, key: str, kind: str) -> list[Any]:
        """The cells of an object after its header; empty if the object is missing."""
        try:
            body = self.client.read_object(key)
        except NotFoundError as error:
            # A missing bucket must not be taken for deleted parts, whose outputs would be made again.
            if error.code == "NoSuchBucket":
                raise
            if key not in self.missing:
                log.warning("%s is missing; the outputs in it are unknown", key)
            self.missing.add(key)
            return []
        return _content(key, body, kind)


def _content(key: str, body: bytes, kind: str) -> list[Any]:
    try:
        cells = json.loads(body)
        if not isinstance(cells, list) or len(cells) < _HEADER_CELLS:
            raise ValueError("no list with a header")
        check_version(key, cells[0], cells[1], kind)
    # RecordError is a ValueError, and its message is complete already.
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise damaged(key, "a part of the index of outputs", error) from None
    # Deleted in place, because a copy of 60,000 cells takes time and memory.
    del cells[:_HEADER_CELLS]
    return cells


def _cells(part: Part) -> list[Any]:
    cells: list[Any] = [None] * (3 * len(part.outputs))
    cells[0::3], cells[1::3], cells[2::3] = part
    return cells


def _of_full_length(parts: Iterable[Part]) -> Iterator[Part]:
    # A merge yields pieces of some thousand entries. They are joined to full parts, because each stored part
    # costs a request.
    kept = Part([], [], [])
    for part in parts:
        for column, more in zip(kept, part, strict=True):
            column += more
        while len(kept.outputs) >= PART_ENTRIES:
            yield kept.cut(0, PART_ENTRIES)
            kept = kept.cut(PART_ENTRIES)
    if kept.outputs:
        yield kept
