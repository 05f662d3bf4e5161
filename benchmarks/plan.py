"""Planning many objects in a bucket without known outputs, and in a bucket where all outputs are known.

The local CI makes the objects up. The queue is paused, so a run ends when its first window is submitted; the
time of the window is part of both figures. The known outputs are in the index, as if an earlier batch had
made them by another operation; so all of them have to be made again.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_ci.batch import Batch, ObjectSelection
from airflow_provider_ci.batch.registry.index_state import Entry
from airflow_provider_ci.batch.registry.outputs_index import add_entries
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.client import DocProcess
from benchmarks.service import BUCKET, our_client, pause, serving

OBJECTS = 100_000
FULL = 1_000_000
"""With BENCH_FULL=1 in the environment."""


def main(objects: int = 0) -> None:
    """Print the seconds of both, their ratio, and the memory of the planning process."""
    objects = objects or (FULL if os.environ.get("BENCH_FULL") else OBJECTS)
    none, mib = planned(objects, known=False)
    known, known_mib = planned(objects, known=True)
    print(
        f"bench plan {objects} objects: {none:.1f} s against no known outputs, {known:.1f} s against "
        f"{objects} known ones, ratio {known / none:.2f}; {objects / none:.0f} objects per second; "
        f"{max(mib, known_mib):.0f} MiB at the peak",
        flush=True,
    )


def planned(objects: int, *, known: bool) -> tuple[float, float]:
    """Seconds and MiB of a process that plans this many objects."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-plan-") as root,
        serving(Path(root), "--convert", "none", "--synthetic", f"{BUCKET}={objects}") as endpoint,
    ):
        with our_client(endpoint) as client:
            pause(client)
            if known:
                add_entries(Registry(client), entries(objects), timeout_seconds=600)
        command = [sys.executable, "-m", "benchmarks.plan", endpoint]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, mib = output.split()
    return float(seconds), float(mib)


def entries(objects: int) -> Iterator[Entry]:
    """Entries of the index for outputs that another operation made."""
    with_names = (f"plan/{number:09}.pdf" for number in range(objects))
    return (Entry(output, "0" * 16) for output in with_names)


def plan(endpoint: str) -> None:
    """Plan in this process, and print seconds and MiB."""
    source, operation = ObjectSelection(prefix="synthetic/"), DocProcess(target="pdf")
    with our_client(endpoint) as client:
        batch = Batch(client, source, operation, "plan/{stem}.pdf", batch_id="plan", max_in_flight=10)
        began = time.perf_counter()
        assert batch.advance(patience=0, deadline=time.time() + 3600) is None
        print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    plan(*sys.argv[1:])
