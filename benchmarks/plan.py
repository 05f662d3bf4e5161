"""Cost of planning many objects from a listing, and the same objects from an inventory.

The local CI generates the objects. The queue is paused, so a run ends when its first window is submitted; all
figures include the time for this window. A listing is planned in a bucket without known outputs, and in a
bucket where all outputs are in the index, as if an earlier batch had made them by another operation. In both
cases all outputs have to be made.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from airflow_provider_ci.batch import Batch, Inventory, ObjectSelection, Source
from airflow_provider_ci.batch.registry.index_state import Entry
from airflow_provider_ci.batch.registry.outputs_index import add_entries
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.local.database import Database
from airflow_provider_ci.local.objects.inventory import InventoryTask, write_inventory
from airflow_provider_ci.local.objects.store import Store
from airflow_provider_ci.local.objects.synthetic import SyntheticObjects
from benchmarks.service import BUCKET, our_client, pause, serving

OBJECTS = 100_000
FULL = 1_000_000
"""Number of objects with BENCH_FULL=1 in the environment; BENCH_OBJECTS sets any other number."""

COMMAND = (sys.executable, "-m", "benchmarks.plan")

SOURCES: Mapping[str, Source] = {
    "listing": ObjectSelection(prefix="synthetic/"),
    "inventory": Inventory("reports/", key_prefix="synthetic/"),
}


def main(objects: int = 0) -> None:
    """Print the seconds of each way, the ratios, and the memory of the planning processes."""
    given = int(os.environ.get("BENCH_OBJECTS", "0"))
    objects = objects or given or (FULL if os.environ.get("BENCH_FULL") else OBJECTS)
    none, mib = planned(objects, "listing")
    known, known_mib = planned(objects, "listing", known_outputs)
    print(
        f"bench plan {objects} objects: {none:.1f} s against no known outputs, {known:.1f} s against "
        f"{objects} known ones, ratio {known / none:.2f}; {objects / none:.0f} objects per second; "
        f"{max(mib, known_mib):.0f} MiB at the peak",
        flush=True,
    )
    inventory, inventory_mib = planned(objects, "inventory")
    print(
        f"bench plan {objects} objects of an inventory: {inventory:.1f} s, of a listing {none:.1f} s, "
        f"ratio {inventory / none:.2f}; {objects / inventory:.0f} objects per second; "
        f"{inventory_mib:.0f} MiB at the peak",
        flush=True,
    )


def planned(
    objects: int, source: str, prepare: Callable[[CIClient, int], None] = lambda client, objects: None
) -> tuple[float, float]:
    """Seconds and MiB of a process that plans this many objects."""
    with tempfile.TemporaryDirectory(prefix="bench-plan-") as root:
        if source == "inventory":
            # This runs in a process of its own, because its memory would count as memory of the planning
            # process.
            subprocess.run([*COMMAND, "--write", root, str(objects)], check=True)
        with serving(Path(root), "--convert", "none", "--synthetic", f"{BUCKET}={objects}") as endpoint:
            with our_client(endpoint) as client:
                pause(client)
                prepare(client, objects)
            command = [*COMMAND, endpoint, source]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, mib = output.split()
    return float(seconds), float(mib)


def known_outputs(client: CIClient, objects: int) -> None:
    """Put the outputs into the index, as made by another operation."""
    add_entries(Registry(client), entries(objects), timeout_seconds=600)


def entries(objects: int) -> Iterator[Entry]:
    """Entries of the index for outputs that another operation made."""
    with_names = (f"plan/{number:09}.pdf" for number in range(objects))
    return (Entry(output, "0" * 16, recorded_at=1) for output in with_names)


def inventory_of(root: Path, objects: int) -> None:
    """Write the inventory that the local CI makes on request, before it starts."""
    (root / BUCKET).mkdir()
    fields = ("Size", "LastModifiedDate", "ETag", "StorageClass")
    task = InventoryTask(name="daily", source=BUCKET, destination=BUCKET, folder="reports", fields=fields)
    store = Store(root, Database(root / "inventory.db"), {BUCKET: SyntheticObjects(count=objects)})
    write_inventory(store, task, time.time())


def plan(endpoint: str, source: str = "listing") -> None:
    """Plan in this process, and print seconds and MiB."""
    operation = DocProcess(target="pdf")
    with our_client(endpoint) as client:
        batch = Batch(
            client, SOURCES[source], operation, "plan/{stem}.pdf", batch_id="plan", max_in_flight=10
        )
        began = time.perf_counter()
        assert batch.advance(patience=0, deadline=time.time() + 24 * 3600) is None
        print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    if sys.argv[1] == "--write":
        inventory_of(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        plan(*sys.argv[1:])
