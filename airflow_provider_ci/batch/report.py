"""The end of a batch: a readable report of every object, and its summary."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from airflow_provider_ci.batch.records import JSON, JSON_LINES
from airflow_provider_ci.batch.verdict import (
    FIRST_FAILURES,
    ObjectState,
    ObjectVerdict,
    verdict_line,
    verdict_of_line,
)
from airflow_provider_ci.client import CIClient

REPORT_VERSION = 1
_MAX_JSON = 2000
_MAX_FOLDER_BYTES = 600
"""An object key has at most 850 bytes; said before the work is done, not after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed objects that have a code in common."""

    code: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """A batch in numbers. Its size does not depend on the number of objects, so it fits an XCom."""

    batch_id: str
    total: int
    succeeded: int
    failed: int
    skipped: int
    cancelled: int
    unfinished: int
    seconds: float
    """From the start of the listing to the end of the report."""
    report_key: str
    """Key of the report: JSON lines, one per object, after a header line. ``failures.jsonl`` beside it has
    those that came to no good end."""
    first_failures: tuple[str, ...] = ()
    """The first few objects that came to no good end, each with its reason."""
    failures: tuple[FailureGroup, ...] = ()
    failed_before: int = 0
    judged_by_time: int = 0
    jobs: int = 0
    """Jobs that were submitted, which is what the service charges for."""
    may_heal: int = 0
    """Those of the failed objects whose failure may pass, so that a retry is worth it."""
    input_bytes: int = 0
    """Size of the objects, without those that are unfinished."""
    outputs: int = 0
    """Objects that were written: one for each that succeeded, or a picture for each of its pages."""
    output_bytes: int = 0
    """Size of the pictures among them that are no pages; the service does not tell that of documents."""

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON types, less than 2 KiB: failures that do not fit are left to the report."""
        values = {**asdict(self), "first_failures": list(self.first_failures)}
        values["failures"] = list(values["failures"])
        while values["first_failures"] and len(json.dumps(values)) > _MAX_JSON:
            values["first_failures"].pop()
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BatchSummary:
        """The summary from :meth:`to_json`; unknown names are ignored."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known["failures"] = tuple(FailureGroup(**group) for group in known.get("failures", ()))
        return cls(**{**known, "first_failures": tuple(known.get("first_failures", ()))})


def write_report(
    client: CIClient,
    folder: str,
    *,
    batch_id: str,
    verdicts: Iterable[ObjectVerdict],
    jobs: int,
    started_at: float,
) -> BatchSummary:
    """Write ``report.jsonl``, ``failures.jsonl`` and ``summary.json`` into the batch's folder.

    The verdicts pass through temporary files, so memory does not grow with their number.

    :param started_at: Unix time of the batch's beginning.
    :raises OSError: there is no room for the temporary files.
    """
    counts: Counter[ObjectState] = Counter()
    first_failures: list[str] = []
    groups: dict[str, FailureGroup] = {}
    input_bytes = may_heal = outputs = output_bytes = 0
    with _explained(batch_id), _JsonLines(batch_id) as report, _JsonLines(batch_id) as failures:
        for verdict in verdicts:
            counts[verdict.state] += 1
            input_bytes += verdict.size * (verdict.state is not ObjectState.UNFINISHED)
            may_heal += verdict.may_heal
            if verdict.state is ObjectState.SUCCEEDED:
                outputs += verdict.outputs or 1
                output_bytes += verdict.output_size or 0
            report.add(verdict)
            if not verdict.is_good:
                failures.add(verdict)
                known = groups.get(verdict.code)
                example = known.example if known else verdict.complaint
                count = known.count + 1 if known else 1
                groups[verdict.code] = FailureGroup(code=verdict.code, count=count, example=example)
                first_failures += [verdict.complaint] * (len(first_failures) < FIRST_FAILURES)
        report_key = f"{folder}report.jsonl"
        report.put(client, report_key)
        failures.put(client, f"{folder}failures.jsonl")
    summary = BatchSummary(
        batch_id=batch_id,
        total=sum(counts.values()),
        **{state.value: counts[state] for state in ObjectState},
        seconds=round(max(0.0, time.time() - started_at), 3),
        report_key=report_key,
        first_failures=tuple(first_failures),
        failures=tuple(groups.values())[:10],
        jobs=jobs,
        may_heal=may_heal,
        input_bytes=input_bytes,
        outputs=outputs,
        output_bytes=output_bytes,
    )
    body = json.dumps({"version": REPORT_VERSION, **summary.to_json()}, ensure_ascii=False, indent=1)
    client.put_object(f"{folder}summary.json", body.encode(), content_type=JSON)
    return summary


@contextmanager
def _explained(batch_id: str) -> Iterator[None]:
    """What to do about an error of the disk."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"the report of batch {batch_id} is made in temporary files, 300 bytes per object: {error}; "
            "make room in the folder that TMPDIR names (/tmp where it names none), and run the batch again: "
            "its jobs are done, only the report is missing"
        ) from error


class _JsonLines:
    """Lines on their way to an object, in a temporary file that is gone at the end."""

    def __init__(self, batch_id: str) -> None:
        self._file = tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl")  # noqa: SIM115 closed by __exit__
        self._write({"version": REPORT_VERSION, "batch_id": batch_id})

    def add(self, verdict: ObjectVerdict) -> None:
        self._write(verdict_line(verdict))

    def put(self, client: CIClient, key: str) -> None:
        self._file.flush()
        client.put_object(key, Path(self._file.name), content_type=JSON_LINES)

    def __enter__(self) -> _JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read_report(client: CIClient, report_key: str) -> Iterator[ObjectVerdict]:
    """The verdicts of a report, in the order in which they were reached; one is in memory at a time.

    :param report_key: of ``report.jsonl``, or of ``failures.jsonl`` beside it.
    :raises ValueError: the report has a version that this package does not read.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.jsonl"
        client.get_object(report_key, path)
        with path.open(encoding="utf-8", newline="\n") as lines:  # keys hold other line ends
            version = json.loads(next(lines)).get("version")
            if version != REPORT_VERSION:
                raise ValueError(
                    f"report {report_key!r} has version {version}; "
                    f"this package reads version {REPORT_VERSION}"
                )
            for line in lines:
                yield verdict_of_line(json.loads(line))


def batch_folder(prefix: str, batch_id: str) -> str:
    """Where a batch keeps its objects.

    :raises ValueError: nothing is left of the batch id, or it is too long for the keys of its objects.
    """
    folder = f"{prefix}{path_safe(batch_id)}/"
    if len(folder.encode()) > _MAX_FOLDER_BYTES:
        raise ValueError(f"batch_id is too long for the keys of its objects: {batch_id!r}")
    return folder


def path_safe(batch_id: str) -> str:
    """A batch id with only letters, digits and what every tool accepts in an object key.

    :raises ValueError: nothing is left of it.
    """
    safe = re.sub(r"[^\w./-]+", "-", batch_id).strip("/")
    if not safe:
        raise ValueError(f"batch_id names the report, so it cannot be {batch_id!r}")
    return safe
