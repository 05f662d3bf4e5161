"""Cost of waiting for 10,000 jobs that end one after the other: requests, and CPU time of the process.

This package polls all jobs with one listing, as the batch engine and its trigger do. The peer reads each job
that has not ended, at the same times. The peer's requests are counted, and their cost is extrapolated from a
sample of real calls of the official SDK.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_ci.batch import Batch, ObjectSelection
from airflow_provider_ci.batch.run.parked import BatchWatch
from airflow_provider_ci.client import CIClient, DocProcess
from benchmarks.counting import Requests
from benchmarks.service import BUCKET, our_client, pause, sdk_client, serving

JOBS = 10_000
JOB_SECONDS = 0.06
"""Seconds that a job takes. The server runs ten jobs at once, so all jobs together take a minute or more."""
SAMPLE = 500
PDF = DocProcess(target="pdf")


@dataclass(slots=True, kw_only=True)
class Wait:
    """The counts of a wait."""

    looks: int = 0
    requests: int = 0
    pending: int = 0
    """Sum over all polls of the jobs that had not ended."""
    cpu: float = 0.0
    """CPU time in seconds."""


def main(jobs: int = JOBS, job_seconds: float = JOB_SECONDS, sample: int = SAMPLE) -> None:
    """Print the ratio of requests, then the requests of a whole batch with the default window."""
    waiting, peer_cpu = one_wait(jobs, job_seconds, sample)
    print(
        f"bench wait {jobs} jobs: ours {waiting.requests} requests, {waiting.requests / jobs:.4f} per job, "
        f"{waiting.cpu:.1f} s CPU, peer {waiting.pending} requests, {peer_cpu:.0f} s CPU, "
        f"ratio {waiting.pending / waiting.requests:.0f} of requests, {peer_cpu / waiting.cpu:.0f} of CPU "
        f"({waiting.looks} looks; peer: one get per unfinished job and look, counted, not sent; its CPU "
        f"reckoned from {sample} calls of the SDK)",
        flush=True,
    )
    requests = whole_batch(jobs, job_seconds)
    print(
        f"bench wait in a window of {Batch.max_in_flight}: ours {requests} requests, {requests / jobs:.4f} "
        "per job (a whole batch with its defaults; submissions and ledger not counted)",
        flush=True,
    )


def one_wait(jobs: int, job_seconds: float, sample: int) -> tuple[Wait, float]:
    """Wait for jobs that were all submitted before; also return the CPU seconds that the peer would take."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-wait-") as root,
        serving(Path(root), *options(jobs, job_seconds), slowly=True) as endpoint,
        our_client(endpoint) as client,
    ):
        queue_id = pause(client)
        batch = a_batch(client, max_in_flight=jobs)
        batch.advance(patience=0, deadline=time.time() + 3600)
        peer = cpu_per_get(sdk_client(endpoint), client, sample)
        watch = BatchWatch(client, batch.folder, pace=batch.pace, pause_seconds=batch.outage_seconds)
        client.resume_doc_queue(queue_id)
        waiting = wait_for(watch)
    return waiting, peer * waiting.pending


def wait_for(watch: BatchWatch) -> Wait:
    """Poll until all jobs have ended."""
    waiting = Wait()
    with Requests("/doc_jobs") as requests:
        cpu = time.process_time()
        while watch.pending:
            waiting.looks += 1
            waiting.pending += watch.pending
            watch.look()
            time.sleep(watch.wait_seconds() if watch.pending else 0)
        waiting.cpu = time.process_time() - cpu
        waiting.requests = requests.count
    return waiting


def cpu_per_get(sdk: Any, client: CIClient, sample: int) -> float:
    """CPU seconds of this process for one read of a job through the SDK."""
    (job, *_) = client.list_doc_jobs_page(page_size=1).jobs
    sdk.ci_get_doc_job(Bucket=BUCKET, JobID=job.job_id)  # opens the connection
    cpu = time.process_time()
    for _ in range(sample):
        sdk.ci_get_doc_job(Bucket=BUCKET, JobID=job.job_id)
    return (time.process_time() - cpu) / sample


def whole_batch(jobs: int, job_seconds: float) -> int:
    """The requests about jobs that a batch sends in addition to its submissions."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-wait-") as root,
        serving(Path(root), *options(jobs, job_seconds), slowly=True) as endpoint,
        our_client(endpoint) as client,
        Requests("/doc_jobs") as requests,
    ):
        assert a_batch(client).run().succeeded == jobs
        return requests.count


def a_batch(client: CIClient, **more: Any) -> Batch:
    """A batch that converts all objects of the server to PDF."""
    return Batch(
        client, ObjectSelection(prefix="synthetic/"), PDF, "pdf/{stem}.pdf", batch_id="bench", **more
    )


def options(jobs: int, job_seconds: float) -> tuple[str, ...]:
    """Options of the server: the number of objects, and the time that each job takes."""
    return "--objects", str(jobs), "--seconds", str(job_seconds)


if __name__ == "__main__":
    main()
