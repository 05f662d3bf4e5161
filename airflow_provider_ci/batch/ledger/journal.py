"""The journal of a plan: the submitted jobs, and the result of each object.

::

    <token>/submitted/000001.jsonl   one block per round of submissions: job ids, unconfirmed submissions
    <token>/results/000001.jsonl     results, in the order in which they were reached
    <token>/checkpoint.jsonl         all unfinished objects as of a numbered block and results part
    <token>/cancelled.json           present if a run cancelled its waiting jobs before it ended

Blocks and parts are written once and never changed. The state after a crash is the checkpoint and everything
newer than it. Any of these objects may be deleted at any time: a gap is noticed when the journal is read, and
:attr:`Journal.is_damaged` is then true.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from airflow_provider_ci.batch.ledger import records
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, part_key
from airflow_provider_ci.batch.ledger.records import RecordWriter
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.results import ObjectResult, result_line, result_of_line
from airflow_provider_ci.client import CIClient, NotFoundError

log = logging.getLogger(__name__)

PART_LINES = 10_000
"""Maximum number of results in one part."""
CHECKPOINT_OBJECTS = 16
"""Number of blocks and parts after which a checkpoint is due."""
_SHORTEST_PUBLISH_SECONDS = 5.0
_LONGEST_PUBLISH_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class Journal:
    """The records of one plan, apart from the plan itself."""

    client: CIClient
    plan: StoredPlan
    expires_at: Callable[[], float] | None = None
    """Returns the end of the lease in service time; a write that arrives later is refused."""
    blocks: int = 0
    parts: int = 0
    checkpoint_id: str = ""
    """Identifies the last checkpoint; empty before the first checkpoint."""
    is_damaged: bool = False
    """Whether records are missing, so that the state is incomplete."""
    _checkpointed: int = 0
    _unwritten: list[ObjectResult] = field(default_factory=list)
    _unwritten_lines: list[Mapping[str, Any]] = field(default_factory=list)
    _is_pressing: bool = False
    _outbox: deque[tuple[str, bytes]] = field(default_factory=deque)
    _began: float = field(default_factory=time.monotonic)
    _published: float = field(default_factory=time.monotonic)

    # Writing

    def add_result(self, result: ObjectResult, *, is_pressing: bool = False) -> None:
        """Keep a result, to be written together with others.

        :param is_pressing: whether nothing else records the outcome of this object, because it has no job.
        """
        self._unwritten.append(result)
        self._is_pressing |= is_pressing
        if len(self._unwritten) >= PART_LINES:
            self._write_results()

    def publish(self) -> None:
        """Write results that have waited for a long time, so that batches with shared outputs see them.

        The interval grows with the age of the run, from 5 to 60 seconds, which bounds the number of parts.
        """
        now = time.monotonic()
        interval = min(max(_SHORTEST_PUBLISH_SECONDS, (now - self._began) / 20), _LONGEST_PUBLISH_SECONDS)
        if now - self._published >= interval:
            self.write_pending()

    def write_pending(self) -> None:
        """Write everything that was kept for later."""
        self._published = time.monotonic()
        if self._unwritten_lines:
            lines, self._unwritten_lines = self._unwritten_lines, []
            self._write_block(lines)
        self._write_results()

    def add_block(self, next_index: int, lines: Iterable[Mapping[str, Any]], *, is_deferrable: bool) -> None:
        """Record a round of submissions.

        :param lines: one for each object that was touched and has no result.
        :param is_deferrable: whether the block may be written later; if the run dies before, the next run
            finds the jobs in the service's listing.
        """
        # A block is needed even without lines: it records that every object before next_index was touched.
        self._unwritten_lines = [*self._unwritten_lines, {"next_index": next_index}, *lines]
        if not is_deferrable:
            self.write_pending()

    def write_checkpoint(self, state: BatchState) -> None:
        """Write all unfinished objects, so that the next run need not read older records."""
        self._unwritten_lines = []  # the checkpoint holds them
        self._write_results()
        # The checkpoint counts blocks and parts, so they have to be in the bucket before it.
        self.flush()
        self.checkpoint_id = uuid.uuid4().hex[:12]
        numbers = {"id": self.checkpoint_id, "blocks": self.blocks, "parts": self.parts}
        header = {**state.as_header(), **numbers}
        body = self._encode("checkpoint", state.as_lines(), **header)
        self._writer.write(self._checkpoint_key, body)
        self._checkpointed = self.blocks + self.parts

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether the next run would have to read many records."""
        return self.blocks + self.parts - self._checkpointed >= CHECKPOINT_OBJECTS

    def flush(self) -> None:
        """Send the records that could not be sent before."""
        while self._outbox:
            key, body = self._outbox[0]
            self._writer.write(key, body)
            # Only after the write: a record that could not be sent keeps its number and is sent later.
            self._outbox.popleft()

    # Reading

    def read_state(self) -> BatchState:
        """Read the state of the batch from its records."""
        state = self._read_checkpoint()
        listed_blocks, listed_parts = self._listed("submitted"), self._listed("results")
        for number in self._numbers("submitted", listed_blocks, self.blocks):
            if found := self._read("submitted", number):
                self._apply_block(state, found[1])
            self.blocks = number
        for number in range(1, self.parts + 1):  # parts that the checkpoint has counted already
            self.is_damaged |= number not in listed_parts and self._read("results", number) is None
        for number in self._numbers("results", listed_parts, self.parts):
            if found := self._read("results", number):
                state.settle(map(result_of_line, found[1]))
            self.parts = number
        state.pass_index(state.next_index)
        state.asked_to_cancel = self._exists(self._cancelled_key)
        self.is_damaged |= not state.is_consistent
        return state

    def results(self) -> Iterator[ObjectResult]:
        """All results: the written ones, and the ones still to be written."""
        yield from self.results_after(0)
        yield from self._unwritten

    def results_after(self, known: int) -> Iterator[ObjectResult]:
        """The results in the parts after part number ``known``; missing parts are skipped."""
        for number in range(known + 1, self.parts + 1):
            if found := self._read("results", number):
                yield from map(result_of_line, found[1])

    @property
    def proof(self) -> dict[str, Any]:
        """The facts by which the next run sees that this run ended cleanly and that all records are there."""
        return {
            "plan": self.plan.header.token,
            "blocks": self.blocks,
            "parts": self.parts,
            "checkpoint": self.checkpoint_id,
        }

    # A run that cancelled its jobs

    def note_cancelling(self) -> None:
        """Record that jobs are cancelled because the run ends: the next run submits their objects again."""
        self._writer.write(self._cancelled_key, b"{}", content_type=records.JSON)

    def forget_cancelling(self) -> None:
        """Record that the objects of the cancelled jobs are waiting again."""
        self.client.delete_object(self._cancelled_key)

    def _write_results(self) -> None:
        if self._unwritten:
            lines = [result_line(result) for result in self._unwritten]
            self._unwritten, self._is_pressing = [], False
            self.parts += 1
            self._send("results", self.parts, lines)

    def _write_block(self, lines: Iterable[Mapping[str, Any]]) -> None:
        if self._is_pressing:  # the block says that these objects were touched
            self._write_results()
        self.blocks += 1
        self._send("submitted", self.blocks, lines)

    def _send(self, name: str, number: int, lines: Iterable[Mapping[str, Any]]) -> None:
        self._outbox.append((part_key(self.plan.root, name, number), self._encode(name, lines)))
        self.flush()

    def _apply_block(self, state: BatchState, lines: Iterable[Mapping[str, Any]]) -> None:
        news: list[Mapping[str, Any]] = []
        for line in lines:
            if "place" in line:
                news.append(line)
            else:
                state.next_index = max(state.next_index, line["next_index"])
        state.apply(news)

    def _read_checkpoint(self) -> BatchState:
        try:
            header, lines = records.read(self.client, self._checkpoint_key, "checkpoint")
        except NotFoundError:
            return BatchState()
        self.blocks, self.parts = header["blocks"], header["parts"]
        self.checkpoint_id = header.get("id", "")
        self._checkpointed = self.blocks + self.parts
        return BatchState.from_json(header, lines)

    def _listed(self, name: str) -> set[int]:
        """Numbers of the records that a listing shows; it can be behind by seconds."""
        prefix = f"{self.plan.root}{name}/"
        stems = (
            info.key.removeprefix(prefix).removesuffix(".jsonl") for info in self.client.list_objects(prefix)
        )
        return {int(stem) for stem in stems if stem.isdecimal()}

    def _numbers(self, name: str, listed: set[int], known: int) -> Iterator[int]:
        """The numbers after ``known``: first the listed ones, then further ones while they exist."""
        last = max(listed, default=0)
        yield from range(known + 1, last + 1)
        # The listing can be behind by seconds, so the next numbers are looked up one by one.
        for number in count(max(known, last) + 1):
            if not self._exists(part_key(self.plan.root, name, number)):
                return
            yield number

    def _read(self, name: str, number: int) -> tuple[dict[str, Any], Iterator[dict[str, Any]]] | None:
        try:
            return records.read(self.client, part_key(self.plan.root, name, number), name)
        except NotFoundError:
            log.warning("batch %s: %s %d was deleted", self.plan.header.batch_id, name, number)
            return None

    def _exists(self, key: str) -> bool:
        try:
            self.client.head_object(key)
        except NotFoundError:
            return False
        return True

    def _encode(self, kind: str, lines: Iterable[Mapping[str, Any]], **header: Any) -> bytes:
        return records.encode(kind, {"plan": self.plan.header.token, **header}, lines)

    @property
    def _writer(self) -> RecordWriter:
        return RecordWriter(client=self.client, expires_at=self.expires_at)

    @property
    def _checkpoint_key(self) -> str:
        return f"{self.plan.root}checkpoint.jsonl"

    @property
    def _cancelled_key(self) -> str:
        return f"{self.plan.root}cancelled.json"
