"""What became of each object, kept as readable objects in the bucket."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.client import CIClient, CIError, DocProcessResult, Job, JobState, PicProcessResult

log = logging.getLogger(__name__)

REPORT_VERSION = 1
_FIRST_FAILURES = 3
_MAX_FOLDER_BYTES = 830
"""An object key has at most 850 bytes; said before the work is done, not after it."""


class ObjectState(str, Enum):
    """What became of an object."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Its output was there already and newer."""
    CANCELLED = "cancelled"
    UNFINISHED = "unfinished"
    """The batch ran out of time before its job ended, or before it was submitted (then it has no job id)."""

    __str__ = str.__str__


_GOOD = (ObjectState.SUCCEEDED, ObjectState.SKIPPED)
_VERDICTS = {
    JobState.SUCCESS: ObjectState.SUCCEEDED,
    JobState.FAILED: ObjectState.FAILED,
    JobState.CANCEL: ObjectState.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVerdict:
    """One line of the report."""

    key: str
    state: ObjectState
    output_key: str
    """Key of the output; of jobs with several outputs, the name with its placeholders."""
    job_id: str | None = None
    code: str = ""
    """The service's error code, for an object that failed."""
    message: str = ""
    request_id: str = ""
    """Of the answer that said that the object failed."""
    first_output: str = ""
    """Key of the first object that the job wrote."""
    outputs: int | None = None
    """Objects that a document's job wrote: one PDF, or a picture for each page that was wanted."""
    pages: int | None = None
    """Pages of the document."""
    failed_pages: int | None = None
    """Pages that could not be converted, of a job that succeeded all the same."""
    output_size: int | None = None
    """Bytes of a picture."""
    attempts: int = 0
    """Jobs that were submitted for the object."""

    @property
    def reason(self) -> str:
        """Why the object failed, in one line."""
        return ": ".join(part for part in (self.code, self.message) if part)


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
    """Key of the report: JSON lines, one per object, after a header line."""
    first_failures: tuple[str, ...] = ()
    """The first few objects that came to no good end, each with its reason."""

    def to_json(self) -> dict[str, Any]:
        """The summary as JSON types."""
        return {**asdict(self), "first_failures": list(self.first_failures)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BatchSummary:
        """The summary from :meth:`to_json`; unknown names are ignored."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**{**known, "first_failures": tuple(known.get("first_failures", ()))})


class Report:
    """Collects the verdicts of a batch in a temporary file and puts them into the bucket at its end.

    A context manager: the temporary file is gone at its end, whether the report was finished or not.

    ``<prefix><batch_id>/report.jsonl`` has a header line and then a line per object; ``summary.json`` beside
    it has the numbers.
    """

    def __init__(
        self, client: CIClient, batch_id: str, *, prefix: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._batch_id = batch_id
        self._folder = f"{prefix}{path_safe(batch_id)}/"
        if len(self._folder.encode()) > _MAX_FOLDER_BYTES:
            raise ValueError(f"batch_id is too long for the key of its report: {batch_id!r}")
        self._clock = clock
        self._started = clock()
        self._counts: Counter[ObjectState] = Counter()
        self._failures: list[str] = []
        self._file = tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl")  # noqa: SIM115 closed by __exit__
        self._write({"version": REPORT_VERSION, "batch_id": batch_id})

    def add(self, verdict: ObjectVerdict) -> None:
        """Note the verdict of one object."""
        self._counts[verdict.state] += 1
        if verdict.state not in _GOOD and len(self._failures) < _FIRST_FAILURES:
            self._failures.append(
                f"{verdict.key}: {verdict.reason or verdict.state}"[: len(verdict.key) + 200]
            )
        self._write({name: value for name, value in asdict(verdict).items() if value not in (None, "")})

    def count(self, state: ObjectState) -> int:
        """How many objects have this verdict so far."""
        return self._counts[state]

    def finish(self) -> BatchSummary:
        """Put the report and the summary into the bucket."""
        self._file.flush()
        report_key = f"{self._folder}report.jsonl"
        self._client.put_object(report_key, Path(self._file.name), content_type="application/x-ndjson")
        summary = BatchSummary(
            batch_id=self._batch_id,
            total=sum(self._counts.values()),
            **{state.value: self._counts[state] for state in ObjectState},
            seconds=round(self._clock() - self._started, 3),
            report_key=report_key,
            first_failures=tuple(self._failures),
        )
        body = json.dumps({"version": REPORT_VERSION, **summary.to_json()}, ensure_ascii=False, indent=1)
        self._client.put_object(f"{self._folder}summary.json", body.encode(), content_type="application/json")
        return summary

    def finish_early(self) -> None:
        """Put what is known so far into the bucket, if that is possible: the batch ends with an error."""
        try:
            log.error("batch %s ended early; its report is %s", self._batch_id, self.finish().report_key)
        except CIError as error:
            log.error("batch %s ended early, and its report is lost: %s", self._batch_id, error)

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def verdict_of_job(planned: PlannedJob, job: Job, *, attempts: int) -> ObjectVerdict:
    """The verdict that a job that has ended gives its object."""
    # The code of a job that did not fail is "Success", whatever else became of it.
    is_failed = job.state is JobState.FAILED
    return ObjectVerdict(
        key=planned.key,
        state=_VERDICTS[job.state],
        output_key=planned.output_key,
        job_id=job.job_id,
        code=job.code if is_failed else "",
        message=job.message if is_failed else "",
        request_id=job.request_id if is_failed else "",
        attempts=attempts,
        **_amounts(job.result),
    )


def _amounts(result: DocProcessResult | PicProcessResult | None) -> dict[str, Any]:
    if isinstance(result, DocProcessResult):
        return {
            "first_output": result.pages[0].key if result.pages else "",
            "outputs": len(result.pages),
            "pages": result.total_page_count,
            "failed_pages": result.fail_page_count or None,
        }
    if isinstance(result, PicProcessResult):
        return {"first_output": result.key, "output_size": result.size}
    return {}


def read_report(client: CIClient, report_key: str) -> list[ObjectVerdict]:
    """The verdicts of a report, in the order in which they were reached.

    :raises ValueError: the report has a version that this package does not read.
    """
    header, *lines = (
        client.read_object(report_key).decode().rstrip("\n").split("\n")
    )  # keys hold other line ends
    version = json.loads(header).get("version")
    if version != REPORT_VERSION:
        raise ValueError(
            f"report {report_key!r} has version {version}; this package reads version {REPORT_VERSION}"
        )
    known = {field.name for field in fields(ObjectVerdict)}
    verdicts = []
    for line in lines:
        values = {name: value for name, value in json.loads(line).items() if name in known}
        verdicts.append(ObjectVerdict(**{**values, "state": ObjectState(values["state"])}))
    return verdicts


def path_safe(batch_id: str) -> str:
    """A batch id with only letters, digits and what every tool accepts in an object key.

    :raises ValueError: nothing is left of it.
    """
    safe = re.sub(r"[^\w./-]+", "-", batch_id).strip("/")
    if not safe:
        raise ValueError(f"batch_id names the report, so it cannot be {batch_id!r}")
    return safe
