"""Peak memory of the processes that run a batch and that wait for it, at growing numbers of objects.

The local CI generates the objects, and lets every job succeed without a conversion. One process runs the
whole batch: listing, planning, submitting, waiting, reporting. Another process waits for the first window of
such a batch, as the trigger does. Airflow's own memory is not included.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from airflow_provider_ci.batch import Batch, ObjectSelection, Pace
from airflow_provider_ci.batch.run.parked import BatchWatch
from airflow_provider_ci.client import CIClient, DocProcess
from benchmarks.service import BUCKET, our_client, pause, serving

SIZES = (10_000, 100_000)
FULL_SIZE = 1_000_000
"""Number of objects with BENCH_FULL=1 in the environment; this takes most of an hour."""


def main(sizes: Sequence[int] | None = None) -> None:
    """Print the peaks for each number of objects."""
    full = (FULL_SIZE,) if os.environ.get("BENCH_FULL") else ()
    for size in sizes or (*SIZES, *full):
        started = time.monotonic()
        whole, waiting, empty = peaks(size)
        print(
            f"bench memory {size}: {max(whole, waiting):.0f} MiB "
            f"({whole:.0f} MiB in the process that runs the batch, {waiting:.0f} MiB in the one that waits "
            f"for a window; {empty:.0f} MiB of each are Python and the package; "
            f"measured in {time.monotonic() - started:.0f} seconds)",
            flush=True,
        )
    if not full and not sizes:
        print(f"bench: with BENCH_FULL=1 memory measures {FULL_SIZE} objects, too", file=sys.stderr)


def peaks(objects: int) -> tuple[float, float, float]:
    """MiB of three processes: running a batch, waiting for it, and idle."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-memory-") as root,
        serving(Path(root), "--convert", "none", "--synthetic", f"{BUCKET}={objects}") as endpoint,
    ):
        with our_client(endpoint) as client:
            queue_id = pause(client)
            peak_of("submit_window", endpoint, objects)
            client.resume_doc_queue(queue_id)
        whole, waiting, empty = (peak_of(name, endpoint, objects) for name in ("run", "wait", "nothing"))
    return whole, waiting, empty


def peak_of(name: str, endpoint: str, objects: int) -> float:
    """MiB at the peak of a fresh process that does one of the steps."""
    command = [sys.executable, "-m", "benchmarks.memory", name, endpoint, str(objects)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def run(client: CIClient, objects: int) -> None:
    """Run a whole batch."""
    assert a_batch(client, "whole").run().succeeded == objects


def submit_window(client: CIClient, objects: int) -> None:
    """Run a batch until its first window is submitted."""
    assert a_batch(client, "window").advance(patience=0, deadline=time.time() + 3600) is None


def wait(client: CIClient, objects: int) -> None:
    """Wait for that window."""
    watch = BatchWatch(client, a_batch(client, "window").folder, pace=Pace(), pause_seconds=60)
    while not watch.is_due:
        watch.look()
        time.sleep(watch.wait_seconds())


def nothing(client: CIClient, objects: int) -> None:
    """Do nothing, to measure the baseline."""


STEPS: dict[str, Callable[[CIClient, int], None]] = {
    step.__name__: step for step in (run, submit_window, wait, nothing)
}


def a_batch(client: CIClient, batch_id: str) -> Batch:
    """A batch that converts all objects of the server to PDF."""
    source, operation = ObjectSelection(prefix="synthetic/"), DocProcess(target="pdf")
    return Batch(client, source, operation, f"{batch_id}/{{dir}}{{stem}}.pdf", batch_id=batch_id)


def peak_mib() -> float:
    """Peak memory of this process in MiB; getrusage would also count its parent's memory before exec."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found, "Linux tells the peak of a process in /proc"
    return int(found[1]) / 1024


def step(name: str, endpoint: str, objects: str) -> None:
    """Do one step in this process and print its peak."""
    with our_client(endpoint) as client:
        STEPS[name](client, int(objects))
    print(peak_mib())


if __name__ == "__main__":
    step(*sys.argv[1:])
