"""Cost of submitting 2,000 document jobs to a service that responds after 50 ms.

This package submits as the batch engine does: threads on pooled connections. The peers are the official SDK
in a loop, and the SDK in a pool of 32 threads. The queue is paused, so that the server only accepts the jobs.
At the end, some connections are cut after the service has accepted the job: the SDK repeats such a request,
and the engine looks for the job.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import requests

from airflow_provider_ci.batch import Batch, ObjectSelection
from airflow_provider_ci.batch.dispatch.operations import Operations
from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.ledger.state import Attempt
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.client import CIClient, DocProcess, Job
from airflow_provider_ci.jobs.kinds import DOCUMENTS
from benchmarks.service import BUCKET, REGION, our_client, pause, sdk_client, serving

JOBS = 2000
LOOP_CALLS = 200
"""Number of calls that are measured in the loop and extrapolated; all calls would take almost two minutes."""
POOL_THREADS = 32
LATENCY_MS = 50
ROUNDS = 3
ONE_IN = 100
"""One in this many submissions loses its response."""
PDF = DocProcess(target="pdf")


class Cost(NamedTuple):
    """Wall time, and CPU time of the submitting process, in seconds."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s wall, {self.cpu:.2f} s CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A fresh server and both clients."""

    endpoint: str
    ours: CIClient
    sdk: Any

    def lose_answers(self, jobs: int) -> None:
        """Let one in ``ONE_IN`` of the next submissions lose its response; the server accepts all of them."""
        taken = {"method": "POST", "path": "/doc_jobs", "host": "ci"}
        one_lost = [
            {"action": "slow", "seconds": 0, "count": ONE_IN - 1, **taken},
            {"action": "cut_after", **taken},
        ]
        answer = requests.post(f"{self.endpoint}/_local/faults", json=one_lost * (jobs // ONE_IN), timeout=10)
        answer.raise_for_status()

    def doubled(self, jobs: int) -> int:
        """Number of objects with more than one job, by the server's own listing."""
        found = Counter(job.input_key for job in self.ours.list_doc_jobs())
        assert len(found) == jobs, f"{len(found)} of {jobs} objects have a job"
        return sum(count > 1 for count in found.values())


Way = Callable[[Service, int], None]
"""A way to submit the given number of jobs."""


def main(jobs: int = JOBS, loop_calls: int = LOOP_CALLS, rounds: int = ROUNDS) -> None:
    """Print the ratios to the loop and the pool, and the number of doubled jobs."""
    loop = loop_cost(jobs, loop_calls)
    ours, whole, pool = best((submitter, engine, sdk_pool), jobs, rounds)
    say(
        f"{jobs} jobs: ours {ours}, peer {loop}, ratio {loop.wall / ours.wall:.1f} of wall time",
        f"peer: the SDK in a loop, reckoned from {loop_calls} calls",
    )
    say(
        f"with plan and ledger: ours {whole}, peer {loop}, ratio {loop.wall / whole.wall:.1f} of wall time",
        "ours: lease, listing, plan, submissions and ledger; the same peer",
    )
    say(
        f"against threads: ours {ours}, peer {pool}, ratio {pool.wall / ours.wall:.2f} of wall time, "
        f"{pool.cpu / ours.cpu:.2f} of CPU",
        f"peer: the SDK in {POOL_THREADS} threads",
    )
    ours_doubled, peer_doubled = doubled(batch_to_its_end, jobs), doubled(sdk_pool, jobs)
    say(
        f"with lost answers: ours {ours_doubled} doubled jobs, peer {peer_doubled}, "
        f"ratio {ours_doubled / max(peer_doubled, 1):.2f}",
        f"{jobs // ONE_IN} connections cut after the service took the job; peer: the SDK in {POOL_THREADS} "
        "threads with its own retries",
    )


def say(result: str, how: str) -> None:
    """Print one line at once."""
    print(f"bench submit {result} ({how})", flush=True)


def submitter(service: Service, jobs: int) -> None:
    """Only the engine's submissions, in the default number of threads."""
    expires_at = service.ours.clock.now() + 600
    submit = Submitter(
        client=service.ours,
        operations=Operations.of_one(PDF),
        queues=Queues(service.ours, [DOCUMENTS]),
        token="bench",
        expires_at=lambda: expires_at,
        not_before=0.0,
        options={},
    )
    attempts = [
        Attempt(planned=PlannedObject(index=n, key=key, size=1, etag="", output_key=output))
        for n, (key, output) in enumerate(names(jobs))
    ]
    with ThreadPoolExecutor(Batch.threads) as executor:
        for _, job in submit.submit_all(attempts, executor, may_continue=lambda: True):
            assert isinstance(job, Job), job


def engine(service: Service, jobs: int) -> None:
    """A whole batch until all jobs are submitted and only waiting is left."""
    assert a_batch(service, jobs).advance(patience=0, deadline=time.time() + 600) is None


def batch_to_its_end(service: Service, jobs: int) -> None:
    """A whole batch, which ends when every object has a job."""
    a_batch(service, jobs).run()


def a_batch(service: Service, jobs: int) -> Batch:
    """A batch of all objects of the server, in one window."""
    source, output = ObjectSelection(prefix="synthetic/"), "pdf/{stem}.pdf"
    return Batch(service.ours, source, PDF, output, batch_id="bench", max_in_flight=jobs)


def sdk_pool(service: Service, jobs: int) -> None:
    """Submissions through the SDK in parallel threads."""
    with ThreadPoolExecutor(POOL_THREADS) as executor:
        list(executor.map(lambda name: sdk_submit(service.sdk, *name), names(jobs)))


def loop_cost(jobs: int, calls: int) -> Cost:
    """Extrapolated cost of submitting all jobs in a loop."""

    def loop(service: Service, jobs: int) -> None:
        for name in names(jobs):
            sdk_submit(service.sdk, *name)

    wall, cpu = cost(loop, calls)
    return Cost(wall * jobs / calls, cpu * jobs / calls)


def sdk_submit(sdk: Any, key: str, output_key: str) -> None:
    """One submission through the SDK."""
    sdk.ci_create_doc_job(
        Bucket=BUCKET,
        InputObject=key,
        OutputBucket=BUCKET,
        OutputRegion=REGION,
        OutputObject=output_key,
        TgtType="pdf",
    )


def names(jobs: int) -> Sequence[tuple[str, str]]:
    """Input key and output key of each job."""
    return [(f"in/{number:06}.txt", f"pdf/{number:06}.pdf") for number in range(jobs)]


def best(ways: Sequence[Way], jobs: int, rounds: int) -> list[Cost]:
    """The lowest cost of each way. The ways take turns, so that other load affects all of them."""
    costs = [[cost(way, jobs) for way in ways] for _ in range(rounds)]
    return [Cost(*map(min, zip(*of_way, strict=True))) for of_way in zip(*costs, strict=True)]


def cost(way: Way, jobs: int) -> Cost:
    """Cost of submitting this many jobs that way."""
    with a_service(jobs) as fresh:
        pause(fresh.ours)  # the server only accepts jobs
        wall, cpu = time.perf_counter(), time.process_time()
        way(fresh, jobs)
        return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def doubled(way: Way, jobs: int) -> int:
    """Number of objects with more than one job, after this many submissions with some lost responses."""
    with a_service(jobs) as fresh:
        fresh.lose_answers(jobs)
        way(fresh, jobs)
        return fresh.doubled(jobs)


@contextmanager
def a_service(jobs: int) -> Iterator[Service]:
    """A server that lists this many objects."""
    options = ("--convert", "none", "--latency", str(LATENCY_MS), "--synthetic", f"{BUCKET}={jobs}")
    with (
        tempfile.TemporaryDirectory(prefix="bench-submit-") as root,
        serving(Path(root), *options) as endpoint,
        our_client(endpoint) as ours,
    ):
        yield Service(endpoint=endpoint, ours=ours, sdk=sdk_client(endpoint))


if __name__ == "__main__":
    main()
