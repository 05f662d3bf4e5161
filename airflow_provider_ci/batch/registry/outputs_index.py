"""The index of outputs: which output was made from what, for all batches of a bucket.

Protocol
    When a batch ends, it adds its entries. Up to 300 entries go into the registry's state, in the same change
    that removes the batch's claim. If there are more, or the state has no room for them, they are first
    stored as a run of their own (see :mod:`.parts`), which a change of the registry then publishes. So a
    reader sees either a whole run or nothing of it. If several runs have an entry for one output, the newest
    run counts.

Compaction
    The batch then merges the newest stored runs, much like a binary counter: while the last run is at least
    half as large as the run before it, or both fit into one part, the two become one. So each run is less
    than half as large as the run before it, and an entry is rewritten once for each doubling of the index.
    The merged run is published only if its sources are still next to each other in the newest state.
    Otherwise another batch was quicker, and the merged run is deleted.

Deleting
    The merged sources become *garbage* in the same change. Their objects are deleted by a later compaction,
    at the earliest after an hour, so that readers of an older state can finish. Runs that were never
    published (their writer died) are deleted after a day.

Missing objects
    Any of the objects may be deleted at any time. The outputs in a missing part are unknown. An older run may
    still have an entry for such an output, and that entry may be outdated. So between the first and the last
    output that the missing part can have held, older runs are ignored: an entry that is found is always the
    newest one. A compaction that meets a missing part merges all runs, which removes the outdated entries.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice

from airflow_provider_ci.batch.registry import index_state, parts
from airflow_provider_ci.batch.registry.index_state import (
    Entry,
    Garbage,
    IndexState,
    InlineFullError,
    Run,
)
from airflow_provider_ci.batch.registry.parts import Hole, Part, PartStore, Written, outside
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.registry.service_time import service_now
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.client import CIClient, CIError

log = logging.getLogger(__name__)

GARBAGE_SECONDS = 3600.0
"""How long the objects of a merged run are kept, in seconds, for readers of an older state."""
ABANDONED_SECONDS = 24 * 3600.0
"""Age, in seconds, from which a stored run that was never published counts as abandoned."""
_COMPACTIONS = 3
"""Maximum number of merges by one batch; the next batch continues."""

Change = Callable[[State], State]


def add_entries(
    registry: Registry,
    entries: Iterable[Entry],
    *,
    also: Change = lambda state: state,
    timeout_seconds: float = 60.0,
) -> State:
    """Add entries to the index, in one change of the registry, and return the new state.

    :param entries: sorted by output, each output once; they are read once and need not fit into memory.
    :param also: a further change of the same state, such as removing the batch's claim. It should raise if
        that claim is gone: then another run has taken over, and its entries must not be replaced by older
        ones.
    :param timeout_seconds: time limit of the change (see :meth:`.Registry.change`).
    :raises ValueError: the entries are not sorted.
    """
    iterator = iter(entries)
    # One entry more than fits is read: if it exists, the entries need a stored run.
    few = list(islice(iterator, index_state.EMBEDDED_ENTRIES + 1))
    if len(few) <= index_state.EMBEDDED_ENTRIES:
        parts.check_sorted([entry.output for entry in few])
        try:
            return registry.change(
                lambda state: also(state.with_index(state.index.with_entries(few))),
                timeout_seconds=timeout_seconds,
            )
        except InlineFullError:
            log.debug("the registry's state is full; %s entries become a stored run", len(few))
    written = _store(registry).write(parts.in_parts(chain(few, iterator)), registry.raise_if_stopped)
    assert written  # there is at least one entry
    return registry.change(
        lambda state: also(state.with_index(state.index.with_run(written.run))),
        timeout_seconds=timeout_seconds,
    )


def compact(registry: Registry, state: State | None = None, *, timeout_seconds: float = 60.0) -> State:
    """Merge the newest runs if a merge is due, and return the newest state known.

    :param state: the newest state, as :func:`add_entries` returns it; without it the registry is read.
    :raises CIError: a request failed. Nothing is lost: the next batch merges.
    """
    state = state or registry.read()
    for _ in range(_COMPACTIONS):
        runs = mergeable(state.index.runs)
        if not runs:
            break
        state = _Compaction(registry, state, runs).run(timeout_seconds)
    return state


def mergeable(runs: Sequence[Run]) -> Sequence[Run]:
    """The newest runs that should be merged into one; empty if no merge is due."""
    end = len(runs)
    if end and runs[-1].is_embedded:
        end -= 1  # an embedded run has room for more entries
    start, count = end - 1, runs[end - 1].count if end else 0
    while start > 0 and _absorbs(runs[start - 1], count):
        start -= 1
        count += runs[start].count
    return runs[start:end] if end - start > 1 else ()


def _absorbs(before: Run, count: int) -> bool:
    """Whether a run is merged with the ``count`` entries of the runs after it."""
    return before.is_embedded or 2 * count >= before.count or before.count + count <= parts.PART_ENTRIES


class _Compaction:
    """One merge and its publication."""

    def __init__(self, registry: Registry, state: State, runs: Sequence[Run]) -> None:
        self._registry = registry
        self._store = _store(registry)
        self._state = state
        self._runs = runs

    def run(self, timeout_seconds: float) -> State:
        """Merge the runs, publish the result, and return the newest state known."""
        written = self._merge()
        # The response to the last write has the service's time, so no request is needed for it.
        now = written.at if written else service_now(self._registry.client)
        deleted = self._delete_garbage(now)
        fresh = (written.run,) if written else ()

        def publish(state: State) -> State:
            return state.with_index(self._published(state.index, fresh, now, deleted))

        state = self._registry.change(publish, timeout_seconds=timeout_seconds)
        if written and all(run.token != written.run.token for run in state.index.runs):
            self._store.delete(written.run.token, written.run.parts)  # another batch was quicker
            return state
        self._sweep(state, now)
        return state

    def _merge(self) -> Written | None:
        """Store the merged run; ``None`` if no entry is left."""
        holes: list[list[Hole]] = [[] for _ in self._runs]
        # A missing part is noticed only while it is read. The merge then starts again with every older run,
        # because the entries of older runs in the gap are outdated.
        while True:
            written = self._store.write(parts.merged(self._sources(holes)), self._registry.raise_if_stopped)
            found = [self._store.holes(run) for run in self._runs]
            if found == holes:
                return written
            if written:
                self._store.delete(written.run.token, written.run.parts)
            last = self._runs[-1]
            runs = self._state.index.runs
            self._runs = runs[: runs.index(last) + 1]
            holes = [self._store.holes(run) for run in self._runs]

    def _sources(self, holes: Sequence[Sequence[Hole]]) -> list[Iterator[Part]]:
        """The parts of each run, without the entries in a hole of a newer run."""
        return [
            self._without(run, list(chain.from_iterable(holes[place + 1 :])))
            for place, run in enumerate(self._runs)
        ]

    def _without(self, run: Run, holes: Sequence[Hole]) -> Iterator[Part]:
        return (outside(part, holes) for part in self._store.parts(run))

    def _published(
        self, index: IndexState, fresh: tuple[Run, ...], now: float, deleted: frozenset[str]
    ) -> IndexState:
        """The index with the merged run in the place of its sources, if the sources are still there."""
        index = replace(index, garbage=tuple(each for each in index.garbage if each.token not in deleted))
        place = index.place_of(self._runs)
        # Another batch has merged the sources meanwhile. The caller then deletes our run.
        if place is None:
            return index
        garbage = tuple(
            Garbage(token=run.token, parts=run.parts, since=now) for run in self._runs if not run.is_embedded
        )
        before, after = index.runs[:place], index.runs[place + len(self._runs) :]
        return replace(index, runs=(*before, *fresh, *after), garbage=(*index.garbage, *garbage))

    def _delete_garbage(self, now: float) -> frozenset[str]:
        """Delete old garbage and return its tokens. Only after that may the state drop the tokens."""
        old = [each for each in self._state.index.garbage if now - each.since >= GARBAGE_SECONDS]
        for each in old:
            self._store.delete(each.token, each.parts)
        return frozenset(each.token for each in old)

    def _sweep(self, state: State, now: float) -> None:
        """Delete runs whose writer died before it could publish them."""
        known = state.index.tokens()
        client = self._registry.client
        try:
            # The folder of an empty token ends with two slashes.
            page = client.list_objects_page(self._store.folder("")[:-1], delimiter="/")
            for folder in page.common_prefixes:
                if folder.split("/")[-2] in known:
                    continue
                objects = list(client.list_objects(folder))
                # A run that is being written at this moment has young objects.
                if all(now - each.last_modified.timestamp() >= ABANDONED_SECONDS for each in objects):
                    for each in objects:
                        client.delete_object(each.key)
        except CIError as error:
            log.info("abandoned runs of the index stay for now: %s", error)


class IndexReader:
    """Looks up outputs in the index, as one state of the registry describes it.

    The reader keeps one part of each run in memory, so it is fast for outputs in ascending order.

    :param place: see :func:`.output_place`.
    """

    def __init__(self, client: CIClient, state: State, root: str, place: str = "") -> None:
        self._place = place
        self._store = PartStore(client, root)
        # Newest first, because the newest entry of an output counts.
        self._runs = [_RunReader(self._store, run) for run in reversed(state.index.runs)]

    @property
    def missing_parts(self) -> int:
        """How many objects of the index were needed and are missing."""
        return len(self._store.missing)

    def find(self, outputs: Sequence[str]) -> dict[str, Entry]:
        """The entries of these outputs. An output without an entry is unknown.

        :param outputs: sorted, without repetitions.
        :raises RecordError: an object of the index is damaged or of a newer version.
        """
        found: dict[str, Entry] = {}
        left = [f"{self._place}{output}" for output in outputs] if self._place else outputs
        for run in self._runs:
            known, unknown = len(found), run.find(left, found)
            if unknown or len(found) > known:
                # An output in a missing part stays unknown: older runs may have an outdated entry.
                left = [output for output in left if output not in found and output not in unknown]
            if not left:
                break
        return (
            {output[len(self._place) :]: entry for output, entry in found.items()} if self._place else found
        )


class _RunReader:
    """Looks up outputs in one run."""

    def __init__(self, store: PartStore, run: Run) -> None:
        self._store = store
        self._run = run
        self._firsts: Sequence[str] | None = None
        self._number = 0
        self._part = Part([], [], [])
        self._places: dict[str, int] = {}

    def find(self, outputs: Sequence[str], found: dict[str, Entry]) -> set[str]:
        """Add the entries of these sorted outputs to ``found``; return the outputs in missing parts."""
        start, end = bisect_left(outputs, self._run.first), bisect_right(outputs, self._run.last)
        unknown: set[str] = set()
        while start < end:
            number, stop = self._part_of(outputs, start, end)
            # Number 0 means that ``parts.json`` is missing. Then no output of the run is known.
            if number and self._turn_to(number):
                self._look_up(outputs[start:stop], found)
            else:
                unknown.update(outputs[start:stop])
            start = stop
        return unknown

    def _part_of(self, outputs: Sequence[str], start: int, end: int) -> tuple[int, int]:
        """Number of the part for ``outputs[start]``, and the index at which the outputs of that part end."""
        if self._firsts is None:
            self._firsts = self._store.firsts(self._run)
        number = bisect_right(self._firsts, outputs[start])
        if number == len(self._firsts):
            return number, end
        return number, bisect_left(outputs, self._firsts[number], start, end)

    def _look_up(self, outputs: Sequence[str], found: dict[str, Entry]) -> None:
        places, part = self._places, self._part
        for output in outputs:
            if (place := places.get(output)) is not None:
                found[output] = part.entry(place)

    def _turn_to(self, number: int) -> bool:
        """Read this part into memory; return whether it exists."""
        if number != self._number:
            self._part, self._places = Part([], [], []), {}  # free the previous part first
            self._part = self._store.read(self._run, number)
            self._places = dict(zip(self._part.outputs, range(len(self._part.outputs)), strict=True))
            self._number = number
        return not self._store.is_missing(self._run, number)


def _store(registry: Registry) -> PartStore:
    return PartStore(registry.client, registry.root)
