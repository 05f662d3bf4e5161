"""Reads a report from its beginning to its end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.results import ObjectResult, result_of_line
from airflow_provider_ci.client import CIClient, InvalidRequestError, NotFoundError

REPORT_VERSION = 2
_HEAD_BYTES = 256 * 1024
"""Bytes that are read for the header. Only a header with thousands of parts is longer."""
_FAILURES = "failures.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHeader:
    """The first line of ``report.jsonl``."""

    batch_id: str
    plan: str
    """Token of the plan to which the results belong."""
    is_complete: bool
    """Whether the plan has ended, so that the next run makes a new plan."""
    summary: BatchSummary
    parts: tuple[str, ...] = ()
    """Keys of the parts of a long report."""
    failures: tuple[str, ...] | None = None
    """Keys of the parts with the failures; None if the report was written before version 0.4."""
    index: str = ""
    """Key of the index; empty for a report that has none."""


def read_report_header(client: CIClient, folder: str) -> ReportHeader | None:
    """The header of a batch's report, if there is a report; results are not read.

    :raises ValueError: the report has a version that this package does not read.
    """
    key = report_key(folder)
    try:
        return header_of_line(key, _first_line(client, key))
    except NotFoundError as error:
        # A missing bucket must not be taken for a batch without a report.
        if error.code == "NoSuchBucket":
            raise
        return None


def read_report(client: CIClient, report_key: str) -> Iterator[ObjectResult]:
    """The results of a report; one part is in memory at a time.

    The results of a short report come in the order in which they were reached, those of a long report in the
    order of their keys.

    :param report_key: key of ``report.jsonl``, or of ``failures.jsonl`` beside it.
    :raises ValueError: the report has a version that this package does not read.
    """
    if report_key.endswith(_FAILURES):
        yield from read_parts(client, _failure_parts(client, report_key))
        return
    lines = lines_of(client.read_object(report_key))
    first = next(lines, None)
    if first is None:
        return
    # Reports of version 1 began with a result.
    if b'"kind": "report"' not in first:
        raise ValueError(
            f"report {report_key!r} is not of version {REPORT_VERSION}; "
            "read it with the package that wrote it"
        )
    header = header_of_line(report_key, first)
    yield from _results(report_key, lines, first_line=2)
    yield from read_parts(client, header.parts)


def read_parts(client: CIClient, keys: Sequence[str]) -> Iterator[ObjectResult]:
    """The results in some parts; one part is in memory at a time."""
    for key in keys:
        yield from _results(key, lines_of(client.read_object(key)))


def _results(key: str, lines: Iterable[bytes], first_line: int = 1) -> Iterator[ObjectResult]:
    """The results in the lines of an object.

    :raises ValueError: a line is damaged.
    """
    for number, line in enumerate(lines, first_line):
        try:
            yield result_of_bytes(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"report {key!r} is damaged in line {number}: {error!r}") from error


def failure_parts(client: CIClient, folder: str, header: ReportHeader) -> Sequence[str]:
    """Keys of the parts with the failures of a report."""
    if header.failures is not None:
        return header.failures
    stem = f"{folder}{_FAILURES.removesuffix('.jsonl')}"
    return [info.key for info in client.list_objects(stem)]


def _failure_parts(client: CIClient, key: str) -> Sequence[str]:
    """Keys of the parts of a list of failures, which may be left over from an earlier report."""
    folder = key.removesuffix(_FAILURES)
    header = read_report_header(client, folder)
    return [key] if header is None else failure_parts(client, folder, header)


def result_of_bytes(line: bytes) -> ObjectResult:
    """The result in a line."""
    return result_of_line(json.loads(line.decode("utf-8", "surrogatepass")))


def lines_of(body: bytes) -> Iterator[bytes]:
    """The lines of a part."""
    yield from (line for line in body.split(b"\n") if line)


def header_of_line(key: str, line: bytes) -> ReportHeader:
    """The header in the first line of a report.

    :raises ValueError: the line is damaged, or has a version that this package does not read.
    """
    try:
        header: dict[str, Any] = json.loads(line.decode("utf-8", "surrogatepass"))
        version = header.get("version")
    except (ValueError, AttributeError):
        raise ValueError(f"report {key!r} is damaged: its first line is not a JSON object") from None
    if version != REPORT_VERSION:
        raise ValueError(f"report {key!r} has version {version}; this package reads version {REPORT_VERSION}")
    return ReportHeader(
        batch_id=header["batch_id"],
        plan=header["plan"],
        is_complete=header["is_complete"],
        summary=BatchSummary.from_json(header["summary"]),
        parts=tuple(header["parts"]),
        failures=tuple(header["failures"]) if "failures" in header else None,
        index=header.get("index", ""),
    )


def _first_line(client: CIClient, key: str) -> bytes:
    try:
        body, info = client.read_object_part(key, 0, _HEAD_BYTES)
    except InvalidRequestError as error:
        if error.code != "InvalidRange":
            raise
        return b""  # the object is empty
    line, end, _ = body.partition(b"\n")
    if end or info.size == len(body):
        return line
    # Thousands of parts make a longer header.
    return client.read_object(key).partition(b"\n")[0]
