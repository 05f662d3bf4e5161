"""The report of a batch: the result of every object, and the summary in numbers.

``report.jsonl`` begins with a header that holds the summary, followed by one line per object. A long report
goes on in parts below ``report/``, which the header names. ``failures.jsonl`` beside it holds only the
objects without an output; it exists if there are any.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from airflow_provider_ci.batch.ledger.records import JSON_LINES, RecordWriter
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, result_line, result_of_line
from airflow_provider_ci.client import CIClient, NotFoundError

REPORT_VERSION = 2
PART_BYTES = 8 * 1024 * 1024
"""Size at which a report goes on in its next part; one part is in memory at a time."""
MAX_GROUPS = 10
"""Groups of failures in a summary; the rest is counted together as ``other``."""
_MAX_JSON = 3000
_MAX_FOLDER_BYTES = 618
"""Object keys have at most 850 bytes, and the records of a batch need the rest."""
_OTHER = "other"
_LEDGER_FOLDER = re.compile(r"(?:^|/)[^/]*\.ci-batch/")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """The failed objects with one error code."""

    code: str
    count: int
    example: str
    """One of the objects, with its reason."""

    def __str__(self) -> str:
        return f"{self.count:,} × {self.code or 'no code'}, e.g. {self.example}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """A batch in numbers. Its size does not depend on the number of objects, so it fits into an XCom."""

    batch_id: str
    total: int
    succeeded: int
    failed: int
    skipped: int
    cancelled: int
    unfinished: int
    seconds: float
    """From the start of planning to the end of the batch."""
    report_key: str
    """Key of ``report.jsonl``."""
    failures: tuple[FailureGroup, ...] = ()
    """Objects without an output, grouped by error code, largest group first."""
    jobs: int = 0
    """Jobs that this batch submitted; the service charges for them."""
    retryable: int = 0
    """Failed objects whose failure can pass, so that a retry makes sense."""
    failed_before: int = 0
    """Failed objects that were not submitted again, because the same content failed permanently before."""
    judged_by_time: int = 0
    """Skipped objects that count as up to date only because their output is newer: no record says how the
    output was made."""
    archived: int = 0
    """Objects that were left out of the plan because they are archived."""
    stopped_early: bool = False
    """So many objects failed that the rest was not submitted."""
    input_bytes: int = 0
    """Size of the objects that are finished."""
    outputs: int = 0
    """Objects that were written: one per success, or one per page."""
    output_bytes: int = 0
    """Size of the pictures among them; the service does not report the size of documents."""

    @property
    def may_heal(self) -> int:
        """Deprecated name of :attr:`retryable`."""
        warnings.warn("BatchSummary.may_heal is now retryable", DeprecationWarning, stacklevel=2)
        return self.retryable

    @property
    def first_failures(self) -> tuple[str, ...]:
        """One example per group of failures."""
        return tuple(group.example for group in self.failures[:3])

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON types, up to 3 KB: groups that do not fit are left to the report."""
        values = {**asdict(self), "failures": [asdict(group) for group in self.failures]}
        values["first_failures"] = list(self.first_failures)
        if not self.output_bytes:
            del values["output_bytes"]  # unknown for documents
        while len(json.dumps(values)) > _MAX_JSON:
            longest = max(values["failures"], values["first_failures"], key=len)
            if not longest:
                break
            longest.pop()
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BatchSummary:
        """The summary from :meth:`to_json`; unknown names are ignored."""
        known = {item.name: values[item.name] for item in fields(cls) if item.name in values}
        groups = tuple(FailureGroup(**group) for group in known.get("failures", ()))
        return cls(**{**known, "failures": groups})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHeader:
    """The first line of ``report.jsonl``."""

    batch_id: str
    plan: str
    """Token of the plan whose results these are."""
    is_complete: bool
    """Whether the plan has ended, so that the next run makes a new plan."""
    summary: BatchSummary
    parts: tuple[str, ...] = ()
    """Keys of the further parts."""


@dataclass(slots=True)
class _Counts:
    states: dict[ObjectState, int] = field(default_factory=lambda: dict.fromkeys(ObjectState, 0))
    groups: dict[str, FailureGroup] = field(default_factory=dict)
    retryable: int = 0
    failed_before: int = 0
    input_bytes: int = 0
    outputs: int = 0
    output_bytes: int = 0

    def add(self, result: ObjectResult) -> None:
        self.states[result.state] += 1
        self.retryable += result.is_retryable
        self.failed_before += result.failed_before
        if result.state is not ObjectState.UNFINISHED:
            self.input_bytes += result.size
        if result.state is ObjectState.SUCCEEDED:
            self.outputs += result.outputs or 1
            self.output_bytes += result.output_size or 0
        if result.state in (ObjectState.FAILED, ObjectState.CANCELLED):
            self._group(result)

    def _group(self, result: ObjectResult) -> None:
        code = result.code or str(result.state)
        if code not in self.groups and len(self.groups) >= MAX_GROUPS:
            code = _OTHER
        known = self.groups.get(code)
        if known is None:
            self.groups[code] = FailureGroup(code=code, count=1, example=result.failure_line)
        else:
            self.groups[code] = replace(known, count=known.count + 1)


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
    counts = _Counts()
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


def read_report_header(client: CIClient, folder: str) -> ReportHeader | None:
    """The header of a batch's report, if there is a report.

    :raises ValueError: the report has a version that this package does not read.
    """
    try:
        body = client.read_object(report_key(folder))
    except NotFoundError as error:
        if error.code == "NoSuchBucket":
            raise
        return None
    header = _header(report_key(folder), body.partition(b"\n")[0])
    return ReportHeader(
        batch_id=header["batch_id"],
        plan=header["plan"],
        is_complete=header["is_complete"],
        summary=BatchSummary.from_json(header["summary"]),
        parts=tuple(header["parts"]),
    )


def read_report(client: CIClient, report_key: str) -> Iterator[ObjectResult]:
    """The results of a report, in the order in which they were reached; one part is in memory at a time.

    :param report_key: key of ``report.jsonl``, or of ``failures.jsonl`` beside it.
    :raises ValueError: the report has a version that this package does not read.
    """
    lines = _lines(client.read_object(report_key))
    first = next(lines, None)
    if first is None:
        return
    parts: list[str] = []
    if b'"kind": "report"' in first:
        parts = list(_header(report_key, first)["parts"])
    elif report_key.endswith("failures.jsonl"):
        yield result_of_line(json.loads(first))
        stem = report_key.removesuffix(".jsonl")
        parts = [info.key for info in client.list_objects(f"{stem}-")]
    else:
        raise ValueError(
            f"report {report_key!r} is not of version {REPORT_VERSION}; "
            "read it with the package that wrote it"
        )
    yield from map(_result, lines)
    for part in parts:
        yield from map(_result, _lines(client.read_object(part)))


def _result(line: bytes) -> ObjectResult:
    return result_of_line(json.loads(line.decode("utf-8", "surrogatepass")))


def _lines(body: bytes) -> Iterator[bytes]:
    yield from (line for line in body.split(b"\n") if line)


def _header(key: str, line: bytes) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(line.decode("utf-8", "surrogatepass"))
        version = header.get("version")
    except (ValueError, AttributeError):
        raise ValueError(f"report {key!r} is damaged: its first line is not a JSON object") from None
    if version != REPORT_VERSION:
        raise ValueError(f"report {key!r} has version {version}; this package reads version {REPORT_VERSION}")
    return header


def report_key(folder: str) -> str:
    """Key of the report of a batch."""
    return f"{folder}report.jsonl"


def batch_folder(prefix: str, batch_id: str) -> str:
    """The folder in which a batch keeps its objects.

    It ends with a hash of the id, so that different ids never share a folder, and with ``.ci-batch``, by
    which every batch recognizes the ledgers of others.

    :raises ValueError: the batch id is empty, or too long for object keys.
    """
    readable = re.sub(r"[^\w./-]+|\.{2,}", "-", batch_id)
    readable = re.sub(r"/{2,}", "/", readable).strip("/.")
    if not readable:
        raise ValueError(f"batch_id names the folder of the batch, so it cannot be {batch_id!r}")
    digest = hashlib.sha256(batch_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    folder = f"{prefix}{readable}-{digest}.ci-batch/"
    if len(folder.encode()) > _MAX_FOLDER_BYTES:
        raise ValueError(f"batch_id is too long for object keys: {batch_id!r}")
    return folder


def is_ledger_key(key: str) -> bool:
    """Whether an object belongs to the ledger of some batch."""
    return bool(_LEDGER_FOLDER.search(key))
