"""What survives a crash: plan, submissions and results of a batch, as objects in the bucket.

::

    <folder>/batch.json                      which generation counts, and whether it has ended
    <folder>/lease/00000001.json             who runs the batch
    <folder>/0001/plan/000001.jsonl          the frozen list of objects, 10,000 a part
    <folder>/0001/submitted/000001.jsonl     a block for each round of submissions: job ids and what is unsure
    <folder>/0001/results/000001.jsonl       verdicts as they come
    <folder>/0001/checkpoint.jsonl           all that is unfinished, up to a block and a part of the results
    <folder>/0001/cancelled.json             there when a run cancelled its jobs on its way out
    <folder>/report.jsonl, summary.json      the last report

A generation is one planning of the batch. Blocks and parts are written once and never changed, so the state
after a crash is the checkpoint plus what is newer than it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from itertools import count, islice
from typing import Any

from airflow_provider_ci.batch import records
from airflow_provider_ci.batch.lease import BatchRunningError
from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.records import RecordWriter
from airflow_provider_ci.batch.state import BatchState, planned_line, planned_of_line
from airflow_provider_ci.batch.verdict import ObjectVerdict, verdict_line, verdict_of_line
from airflow_provider_ci.client import CIClient, NotFoundError

log = logging.getLogger(__name__)

PART_LINES = 10_000
"""Lines of a part of the plan, and of the results at most."""
CHECKPOINT_OBJECTS = 16
"""After so many blocks and parts a checkpoint is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One planning of a batch, as ``batch.json`` has it."""

    batch_id: str
    number: int
    tag: str
    """The service's tag of its jobs."""
    token: str
    """Marks the jobs of this generation in their UserData."""
    work: str
    """Fingerprint of source, operation and output; another one needs another plan."""
    total: int
    """Objects of the plan."""
    parts: int
    """Parts of the plan."""
    started_at: float
    """Unix time of the beginning."""
    is_finished: bool = False
    fence_time: str = ""
    """When the newest job was created that the service had before this generation; empty if it had none."""
    fence_jobs: tuple[str, ...] = ()
    """The newest of those jobs."""

    @property
    def newest_job_before(self) -> datetime | None:
        """``fence_time`` as a moment."""
        return datetime.fromisoformat(self.fence_time) if self.fence_time else None


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The objects of one generation of a batch."""

    client: CIClient
    folder: str
    generation: Generation
    expires_at: Callable[[], float] | None = None
    """Unix time of the lease's end; what is on its way then is refused."""
    blocks: int = 0
    parts: int = 0
    _checkpointed: int = 0
    _unwritten: list[ObjectVerdict] = field(default_factory=list)
    _is_pressing: bool = False
    _outbox: deque[tuple[str, bytes]] = field(default_factory=deque)

    # The plan

    def planned(self, start: int = 0) -> Iterator[PlannedJob]:
        """The plan from an index on, one part in memory."""
        for part in range(start // PART_LINES, self.generation.parts):
            _, lines = records.read(self.client, _part_key(self._root, "plan", part + 1), "plan")
            known = max(0, start - part * PART_LINES)
            yield from (planned_of_line(line) for line in islice(lines, known, None))

    # What has been done

    def add_result(self, verdict: ObjectVerdict, *, is_pressing: bool = False) -> None:
        """Keep a verdict, to be written with others.

        :param is_pressing: nothing else says what became of the object: it has no job.
        """
        self._unwritten.append(verdict)
        self._is_pressing |= is_pressing
        if len(self._unwritten) >= PART_LINES:
            self._write_results()

    def write_block(self, next_index: int, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write what came of a round of submissions.

        :param lines: one for each object that was taken up and has no verdict.
        """
        if self._is_pressing:  # the block says that these objects were taken up
            self._write_results()
        self.blocks += 1
        self._send("submitted", self.blocks, lines, next_index=next_index)

    def write_checkpoint(self, state: BatchState) -> None:
        """Write all that is unfinished, so that a next run need not read what is older."""
        self._write_results()
        self.flush()
        header = {**state.as_header(), "blocks": self.blocks, "parts": self.parts}
        body = self._encode("checkpoint", state.as_lines(), **header)
        self._writer.write(self._checkpoint_key, body)
        self._checkpointed = self.blocks + self.parts

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether a next run would have to read much."""
        return self.blocks + self.parts - self._checkpointed >= CHECKPOINT_OBJECTS

    def flush(self) -> None:
        """Send what could not be sent before, byte for byte: it may have arrived all the same.

        :raises BatchRunningError: another run of the batch has written in our place.
        """
        while self._outbox:
            key, body = self._outbox[0]
            try:
                self._writer.write_new(key, body)
            except records.OtherWriterError as error:
                raise BatchRunningError(self.folder, f"another run ({error})") from None
            self._outbox.popleft()

    def read_state(self) -> BatchState:
        """How far the batch is, as far as it was written down."""
        state = self._read_checkpoint()
        for header, lines in self._newer("submitted", self.blocks):
            state.next_index = max(state.next_index, header["next_index"])
            state.apply(lines)
            self.blocks += 1
        for _, lines in self._newer("results", self.parts):
            indexes = []
            for line in lines:
                indexes.append(line["index"])
                state.note_verdict(verdict_of_line(line))
            state.settle(indexes)
            self.parts += 1
        state.done_ahead = {index for index in state.done_ahead if index >= state.next_index}
        return state

    def results(self) -> Iterator[ObjectVerdict]:
        """All verdicts that were written."""
        for _, lines in self._newer("results", 0):
            yield from (verdict_of_line(line) for line in lines)

    def finish(self) -> None:
        """Note that the generation has ended: the next run of the batch plans anew."""
        self.generation = replace(self.generation, is_finished=True)
        write_generation(self._writer, self.folder, self.generation)

    # A run that cancelled its jobs

    def note_cancelling(self) -> None:
        """Note that jobs are cancelled because the run ends: the next run submits their objects again."""
        self._writer.write(self._cancelled_key, b"{}", content_type=records.JSON)

    def has_cancelled(self) -> bool:
        """Whether an earlier run cancelled its jobs on its way out."""
        try:
            self.client.head_object(self._cancelled_key)
        except NotFoundError:
            return False
        return True

    def forget_cancelling(self) -> None:
        """Note that those objects are waiting again."""
        self.client.delete_object(self._cancelled_key)

    def _write_results(self) -> None:
        if self._unwritten:
            self.parts += 1
            lines = [verdict_line(verdict) for verdict in self._unwritten]
            self._unwritten, self._is_pressing = [], False
            self._send("results", self.parts, lines)

    def _send(self, name: str, number: int, lines: Iterable[Mapping[str, Any]], **header: Any) -> None:
        self._outbox.append((_part_key(self._root, name, number), self._encode(name, lines, **header)))
        self.flush()

    def _read_checkpoint(self) -> BatchState:
        try:
            header, lines = records.read(self.client, self._checkpoint_key, "checkpoint")
        except NotFoundError:
            return BatchState()
        self.blocks, self.parts = header["blocks"], header["parts"]
        self._checkpointed = self.blocks + self.parts
        return BatchState.from_json(header, lines)

    def _newer(self, name: str, known: int) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, Any]]]]:
        for number in count(known + 1):
            try:
                yield records.read(self.client, _part_key(self._root, name, number), name)
            except NotFoundError:
                return

    def _encode(self, kind: str, lines: Iterable[Mapping[str, Any]], **header: Any) -> bytes:
        return records.encode(kind, {"generation": self.generation.number, **header}, lines)

    @property
    def _writer(self) -> RecordWriter:
        return RecordWriter(client=self.client, expires_at=self.expires_at)

    @property
    def _root(self) -> str:
        return generation_folder(self.folder, self.generation.number)

    @property
    def _checkpoint_key(self) -> str:
        return f"{self._root}checkpoint.jsonl"

    @property
    def _cancelled_key(self) -> str:
        return f"{self._root}cancelled.json"


def find_generation(client: CIClient, folder: str) -> Generation | None:
    """The generation that counts, if the batch was ever planned.

    :raises RecordError: ``batch.json`` is damaged, or of another version.
    """
    try:
        header, _ = records.read(client, f"{folder}batch.json", "batch")
    except NotFoundError:
        return None
    known = {item.name: header[item.name] for item in fields(Generation) if item.name in header}
    return Generation(**{**known, "fence_jobs": tuple(known["fence_jobs"])})


def write_generation(writer: RecordWriter, folder: str, generation: Generation) -> None:
    """Make this the generation that counts."""
    body = records.encode("batch", asdict(generation))
    writer.write(f"{folder}batch.json", body, content_type=records.JSON)


def write_plan(
    writer: RecordWriter,
    folder: str,
    number: int,
    jobs: Iterable[PlannedJob],
    *,
    check: Callable[[], None],
) -> tuple[int, int]:
    """Write a plan part by part; returns the numbers of objects and of parts.

    :param check: called before each part; what it raises ends the planning.
    """
    remaining, total, part = iter(jobs), 0, 0
    while lines := [planned_line(job) for job in islice(remaining, PART_LINES)]:
        check()
        total, part = total + len(lines), part + 1
        body = records.encode("plan", {"generation": number}, lines)
        writer.write(_part_key(generation_folder(folder, number), "plan", part), body)
    return total, part


def generation_folder(folder: str, number: int) -> str:
    """Where the objects of a generation are."""
    return f"{folder}{number:04}/"


def _part_key(root: str, name: str, number: int) -> str:
    return f"{root}{name}/{number:06}.jsonl"
