"""Reads a report from its begin to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.results import ObjectResult, result_of_line
from airflow_provider_ci.client import CIClient, NotFoundError

REPORT_VERSION = 2


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
