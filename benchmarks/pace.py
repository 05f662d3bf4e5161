"""How soon a batch notices the end of a job, and how many requests it needs.

The jobs are in the table of a real local CI and are read over HTTP; only the time is simulated.
``BENCH_FULL=1`` adds 10,000 jobs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_ci.local import LocalCI
from benchmarks.fifo import Watched, fifo, watch
from benchmarks.service import BUCKET, our_client

SIZES = (161, 1000)
FULL = 10_000
JOB_SECONDS = 1.43
"""Seconds that a job takes: with ten jobs at once, 161 jobs end within 23 s."""


def main(sizes: Sequence[int] = (), job_seconds: float = JOB_SECONDS) -> None:
    """Print a line for each number of jobs."""
    for jobs in sizes or (*SIZES, *([FULL] if os.environ.get("BENCH_FULL") else [])):
        found = noticed(jobs, job_seconds)
        print(
            f"bench pace {jobs} jobs: {found.requests_per_job:.4f} requests per job, an end is noticed after "
            f"{found.median_delay:.1f} s (median; {found.longest_delay:.1f} s at most; {found.looks} looks, "
            f"{jobs * job_seconds / 10:.0f} s in all)",
            flush=True,
        )


def noticed(jobs: int, job_seconds: float) -> Watched:
    """Watch this many jobs until all have ended."""
    with tempfile.TemporaryDirectory(prefix="bench-pace-") as folder:
        root = Path(folder)
        (root / BUCKET / "in").mkdir(parents=True)
        with (
            LocalCI(root, convert="instant") as server,
            our_client(server.endpoint) as client,
            fifo(client, root) as queue,
        ):
            queue.add(jobs, seconds=job_seconds)
            return watch(queue)


if __name__ == "__main__":
    main()
