"""The report of a batch: the result of every object, and the summary in numbers.

``report.jsonl`` begins with a header that holds the summary, followed by one line per object. A long report
goes on in parts below ``report/``, which the header names. ``failures.jsonl`` beside it holds only the
objects without an output; it exists if there are any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from airflow_provider_ci.batch.ledger.records import JSON_LINES, RecordWriter
from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.batch.reports.reading import REPORT_VERSION
from airflow_provider_ci.batch.reports.summary import BatchSummary, Counts
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, result_line

PART_BYTES = 8 * 1024 * 1024
"""Size at which a report goes on in its next part; one part is in memory at a time."""


def write_report(
    writer: RecordWriter,
    folder: str,
    *,
    plan: str,
    is_complete: Callable[[], bool],
    results: Iterable[ObjectResult],
    summary: BatchSummary,
) -> BatchSummary:
    """Write the report and return its summary; nothing is written to the local disk.

    ``report.jsonl`` comes last: it says whether the plan has ended.

    :param is_complete: called after the last result; whether the plan has ended, so that the next run makes
        a new plan.
    :param summary: its counts are replaced by the counts of the results.
    :raises LeaseExpiredError: another run may have taken over.
    """
    counts = Counts()
    report = _Parts(writer, f"{folder}report/{plan}-", keeps_first=True)
    failures = _Parts(writer, f"{folder}failures", keeps_first=False)
    for result in results:
        counts.add(result)
        report.add(result_line(result))
        if not result.is_good:
            failures.add(result_line(result))
    failed = sorted(counts.groups.values(), key=lambda group: -group.count)
    states = counts.states
    summary = replace(
        summary,
        total=sum(states.values()),
        succeeded=states[ObjectState.SUCCEEDED],
        failed=states[ObjectState.FAILED],
        skipped=states[ObjectState.SKIPPED],
        cancelled=states[ObjectState.CANCELLED],
        unfinished=states[ObjectState.UNFINISHED],
        failures=tuple(failed),
        retryable=counts.retryable,
        failed_before=counts.failed_before,
        input_bytes=counts.input_bytes,
        outputs=counts.outputs,
        output_bytes=counts.output_bytes,
        report_key=report_key(folder),
    )
    failures.finish()
    report.finish()
    header = {
        "version": REPORT_VERSION,
        "kind": "report",
        "batch_id": summary.batch_id,
        "plan": plan,
        "is_complete": is_complete(),
        "parts": report.keys,
        "summary": summary.to_json(),
    }
    body = f"{json.dumps(header, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass") + report.first
    writer.write(report_key(folder), body, content_type=JSON_LINES)
    return summary


class _Parts:
    """Lines on their way to numbered objects.

    :param keeps_first: whether the first part is kept in memory for the caller.
    """

    def __init__(self, writer: RecordWriter, prefix: str, *, keeps_first: bool) -> None:
        self._writer = writer
        self._prefix = prefix
        self._keeps_first = keeps_first
        self._lines: list[bytes] = []
        self._size = 0
        self.first = b""
        self.keys: list[str] = []
        self._parts = 0

    def add(self, line: dict[str, Any]) -> None:
        row = f"{json.dumps(line, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")
        self._lines.append(row)
        self._size += len(row)
        if self._size >= PART_BYTES:
            self.finish()

    def finish(self) -> None:
        if not self._lines:
            return
        body = b"".join(self._lines)
        self._lines, self._size = [], 0
        self._parts += 1
        if self._keeps_first and self._parts == 1:
            self.first = body
            return
        key = self._key()
        self._writer.write(key, body, content_type=JSON_LINES)
        self.keys.append(key)

    def _key(self) -> str:
        if self._keeps_first:
            return f"{self._prefix}{self._parts:06}.jsonl"
        return f"{self._prefix}.jsonl" if self._parts == 1 else f"{self._prefix}-{self._parts:06}.jsonl"
