"""Judges by the server's own table whether every object has exactly the jobs that it should have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_ci.batch import ObjectResult, ObjectState
from airflow_provider_ci.batch.planning.outputs.template import first_output_of
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.results import lines_of
from airflow_provider_ci.client import CIClient, Credentials, Job, JobState
from airflow_provider_ci.local import DEFAULT_SECRET_ID, DEFAULT_SECRET_KEY
from tests.soak.server import BUCKET

_DEAD = (JobState.CANCEL, JobState.FAILED)


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The errors that the judge found; if it found nothing, every field is zero or empty."""

    lost: int = 0
    """Number of missing jobs."""
    doubled: int = 0
    """Number of unnecessary jobs."""
    problems: list[str] = field(default_factory=list)
    """Everything that is wrong, in words."""


def connect(endpoint: str) -> CIClient:
    """A client that connects to the server without the relay."""
    credentials = Credentials(secret_id=DEFAULT_SECRET_ID, secret_key=DEFAULT_SECRET_KEY)
    return CIClient(credentials, "ap-guangzhou", BUCKET, endpoint=endpoint)


def jobs_by_output(client: CIClient) -> dict[str, list[Job]]:
    """All jobs of the server, by the first output of each job."""
    found: dict[str, list[Job]] = {}
    for job in (*client.list_doc_jobs(), *client.list_pic_jobs()):
        found.setdefault(first_output_of(job.output_key), []).append(job)
    return found


def judge_jobs(
    jobs: Mapping[str, Iterable[Job]], expected: Mapping[str, int], may_fail: Mapping[str, int]
) -> Verdict:
    """Compare each output's jobs with the expected number of jobs and the allowed number of failed jobs."""
    verdict = Verdict()
    for key in sorted({*jobs, *expected}):
        states = Counter(job.state for job in jobs.get(key, ()))
        live = sum(count for state, count in states.items() if state not in _DEAD)
        wanted = expected.get(key, 0)
        verdict.lost += max(0, wanted - live)
        verdict.doubled += max(0, live - wanted)
        if (
            live != wanted
            or states[JobState.FAILED] > may_fail.get(key, 0)
            or live != states[JobState.SUCCESS]
        ):
            seen = ", ".join(f"{count} {state}" for state, count in states.items()) or "no job"
            verdict.problems.append(f"{key}: {seen}, where {wanted} should have succeeded")
    return verdict


def judge_report(
    verdicts: Iterable[ObjectResult],
    jobs: Mapping[str, Iterable[Job]],
    expected: Mapping[str, frozenset[ObjectState]],
) -> list[str]:
    """The problems of a report; ``expected`` holds the states that each object may have."""
    problems, seen = [], Counter[str]()
    for verdict in verdicts:
        seen[verdict.key] += 1
        if verdict.state not in expected.get(verdict.key, ()):
            problems.append(f"{verdict.key} is reported as {verdict.state}: {verdict.reason}")
        for line in lines_of([verdict]):
            made = jobs.get(first_output_of(line.output_key), ())
            succeeded = [job.job_id for job in made if job.state is JobState.SUCCESS]
            if line.state is ObjectState.SUCCEEDED and line.job_id not in succeeded[:1] + succeeded[-1:]:
                problems.append(f"{line.output_key} is reported with job {line.job_id}, not {succeeded}")
    wrong = {key for key in {*seen, *expected} if seen[key] != 1}
    return problems + [f"{key} is {seen[key]} times in the report" for key in sorted(wrong)]


def judge_outputs(results: Iterable[ObjectResult], bucket: Path) -> list[str]:
    """A problem for each reported output that is not in the bucket."""
    named = (first_output_of(result.output_key) for result in lines_of(results) if result.is_good)
    return [f"the report names {key}, which is missing" for key in named if not (bucket / key).exists()]


def judge_summary(client: CIClient, batch_id: str, results: Iterable[ObjectResult]) -> list[str]:
    """The problems of a report's header, compared with the results in the report."""
    header = read_report_header(client, batch_folder("_ci_batches/", batch_id))
    if header is None:
        return [f"batch {batch_id} has no report"]
    counts = Counter(str(result.state) for result in results)
    names = ("succeeded", "failed", "skipped", "cancelled", "unfinished")
    said = {name: getattr(header.summary, name) for name in names}
    problems = [] if header.is_complete else [f"the report of {batch_id} is not complete"]
    if said != {name: counts[name] for name in names} or header.summary.total != counts.total():
        problems.append(f"the summary says {header.summary}, and the report has {counts}")
    return problems


def is_finished(bucket: Path, batch_id: str) -> bool:
    """Whether the last plan of the batch has ended, or no plan exists."""
    folder = bucket / batch_folder("_ci_batches/", batch_id)
    plan, report = _header(folder / "plan.json"), _header(folder / "report.jsonl")
    return not plan or (report.get("plan") == plan["token"] and bool(report["is_complete"]))


def _header(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    header: dict[str, Any] = json.loads(path.read_text().split("\n")[0])
    return header
