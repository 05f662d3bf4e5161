"""Writes the report of a batch.

``report.jsonl`` begins with a header that holds the summary. In a short report the results follow, one line
per object. A long report continues in parts under ``report/``, sorted by key, with an index beside them; the
header names the parts and the index. ``failures.jsonl`` holds only the objects without an output.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from airflow_provider_ci.batch.ledger.records import JSON, JSON_LINES, RecordWriter
from airflow_provider_ci.batch.reports.folder import failures_key, report_key
from airflow_provider_ci.batch.reports.index import Block, Kind, Part, ReportIndex, Section
from airflow_provider_ci.batch.reports.reading import REPORT_VERSION
from airflow_provider_ci.batch.reports.sorting import Gathered, Line, encoded, gathered
from airflow_provider_ci.batch.reports.summary import BatchSummary, Counts
from airflow_provider_ci.batch.results import ObjectResult

log = logging.getLogger(__name__)

PART_BYTES = 8 * 1024 * 1024
"""Maximum size of a part, in bytes. A smaller report is one object. A part of this size fits into memory, and
can be uploaded in the time that is left of a lease."""
BLOCK_BYTES = 256 * 1024
"""Size of a block, in bytes. A page of results takes one or two blocks."""


@dataclass(slots=True)
class _Written:
    """What was written of a report besides ``report.jsonl``."""

    counts: Counts
    short: bytes = b""
    parts: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    index: str = ""


def write_report(
    writer: RecordWriter,
    folder: str,
    *,
    plan: str,
    is_complete: Callable[[], bool],
    results: Iterable[ObjectResult],
    summary: BatchSummary,
) -> BatchSummary:
    """Write the report and return its summary.

    ``report.jsonl`` is written last, because it says whether the plan has ended.

    :param is_complete: called after the last result; returns whether the plan has ended, so that the next run
        makes a new plan.
    :param results: read a second time if the temporary space to sort them is missing.
    :param summary: its counts are replaced by the counts of the results.
    :raises LeaseExpiredError: another run may have taken over.
    """
    try:
        with gathered(results, limit=PART_BYTES) as found:
            written = (_write_long if found.is_long else _write_short)(writer, folder, plan, found)
    except OSError as error:
        log.warning("the report is not sorted, because temporary space is missing: %s", error)
        written = _write_unsorted(writer, folder, plan, results)
    summary = written.counts.applied_to(replace(summary, report_key=report_key(folder)))
    header = {
        "version": REPORT_VERSION,
        "kind": "report",
        "batch_id": summary.batch_id,
        "plan": plan,
        "is_complete": is_complete(),
        "parts": written.parts,
        "failures": written.failures,
        "index": written.index,
        "summary": summary.to_json(),
    }
    # Keep json's default separators: read_report() recognizes the header by a part of this text.
    first = f"{json.dumps(header, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")
    # Header and results are one object, so that nobody reads the header of one run with results of another.
    writer.write(report_key(folder), first + written.short, content_type=JSON_LINES)
    return summary


def _write_short(writer: RecordWriter, folder: str, plan: str, found: Gathered) -> _Written:
    # Without failures, the failures.jsonl of an earlier report may stay. The header does not name it.
    written = _Written(found.counts, short=found.short(is_failed=False))
    if failed := found.short(is_failed=True):
        written.failures = [failures_key(folder)]
        writer.write(failures_key(folder), failed, content_type=JSON_LINES)
    return written


def _write_long(writer: RecordWriter, folder: str, plan: str, found: Gathered) -> _Written:
    # Failures have fixed names, for people who open the bucket. All other keys contain the token of the plan,
    # so that the parts of an earlier report stay readable.
    failures = _Parts(writer, lambda number: failures_key(folder, number))
    failures.add_all(found.failures())
    objects = _Parts(writer, _part_keys(folder, plan))
    objects.add_all(found.by_key())
    key = f"{folder}report/{plan}-index.json"
    index = ReportIndex(objects.section, failures.section)
    writer.write(key, index.encode(plan), content_type=JSON)
    return _Written(found.counts, parts=objects.keys, failures=failures.keys, index=key)


def _write_unsorted(
    writer: RecordWriter, folder: str, plan: str, results: Iterable[ObjectResult]
) -> _Written:
    """Write parts in the order in which the results come, without an index."""
    counts = Counts()
    objects = _Parts(writer, _part_keys(folder, plan))
    failures = _Parts(writer, lambda number: failures_key(folder, number))
    # Read the results from the ledger a second time: the temporary database may have failed half-way.
    for result in results:
        counts.add(result)
        line = Line(b"", str(result.state), "", encoded(result))
        objects.add(line)
        if not result.is_good:
            failures.add(line)
    failures.finish()
    objects.finish()
    return _Written(counts, parts=objects.keys, failures=failures.keys)


def _part_keys(folder: str, plan: str) -> Callable[[int], str]:
    return lambda number: f"{folder}report/{plan}-{number:06}.jsonl"


class _Parts:
    """Collects lines and writes them as numbered objects.

    :param key_of: returns the key of a part by its number, from 1.
    """

    def __init__(self, writer: RecordWriter, key_of: Callable[[int], str]) -> None:
        self._writer = writer
        self._key_of = key_of
        self._parts: list[Part] = []
        self._lines: list[bytes] = []
        self._size = 0
        self._blocks: list[Block] = []
        self._begin_block(0)

    @property
    def keys(self) -> list[str]:
        """Keys of the parts."""
        return [part.key for part in self._parts]

    @property
    def section(self) -> Section:
        """The parts, for the index."""
        return Section(tuple(self._parts))

    def add_all(self, lines: Iterable[Line]) -> None:
        """Add all lines, and write the last part."""
        for line in lines:
            self.add(line)
        self.finish()

    def add(self, line: Line) -> None:
        """Add one line; write a part when the part is full."""
        if self._lines and self._size + len(line.line) > PART_BYTES:
            self.finish()
        if not self._kinds:
            self._first = line.key
        self._last = line.key
        self._kinds[line.state, line.code] += 1
        self._lines.append(line.line)
        self._size += len(line.line)
        if self._size - self._offset >= BLOCK_BYTES:
            self._end_block()

    def finish(self) -> None:
        """Write the collected lines as a part."""
        if not self._lines:
            return
        self._end_block()
        key, size = self._key_of(len(self._parts) + 1), self._size
        written = self._writer.write(key, b"".join(self._lines), content_type=JSON_LINES)
        blocks = tuple(self._blocks)
        # Another run of this plan writes parts with the same keys; a reader notices that by the ETag.
        self._parts.append(Part(key=key, etag=written.etag, size=size, last=_text(self._last), blocks=blocks))
        self._lines, self._size, self._blocks = [], 0, []
        self._begin_block(0)

    def _begin_block(self, offset: int) -> None:
        self._offset = offset
        self._kinds: Counter[Kind] = Counter()
        self._first = self._last = b""

    def _end_block(self) -> None:
        if self._kinds:
            size, last = self._size - self._offset, self._last
            block = Block(len(self._parts), self._offset, size, _text(self._first), dict(self._kinds))
            self._blocks.append(block)
            self._begin_block(self._size)
            # finish() still needs the last key of the part.
            self._last = last


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
