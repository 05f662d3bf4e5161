"""How many requests a small batch needs, from its claim to its report.

Each batch runs with a fresh client against a fresh local CI, so no state is left from earlier batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_ci.batch import Batch, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.local import LocalCI
from benchmarks.service import BUCKET, our_client

SIZES = (1, 10, 100)


def main(sizes: Sequence[int] = SIZES) -> None:
    """Print a line for each number of objects."""
    for objects in sizes:
        first, again = requests_of(objects)
        print(
            f"bench small {objects} objects: {first} requests in a bucket without other batches, "
            f"{again} for a later batch with nothing to do",
            flush=True,
        )


def requests_of(objects: int) -> tuple[int, int]:
    """Requests of a first batch, and of a second batch where everything is up to date."""
    with tempfile.TemporaryDirectory(prefix="bench-small-") as folder:
        inbox = Path(folder) / BUCKET / "in"
        inbox.mkdir(parents=True)
        for number in range(objects):
            (inbox / f"{number:04}.txt").write_text(f"text {number}")
        with LocalCI(folder, convert="instant") as server:
            return counted(server, "first", jobs=objects), counted(server, "again", jobs=0)


def counted(server: LocalCI, batch_id: str, *, jobs: int) -> int:
    """Number of requests of one batch, without the submissions after the first one."""
    before = sum(server.request_counts().values())
    with our_client(server.endpoint) as client:
        source, operation = ObjectSelection(prefix="in/"), DocProcess(target="pdf")
        summary = Batch(client, source, operation, "out/{stem}.pdf", batch_id=batch_id).run()
    assert summary.jobs == jobs, summary
    return sum(server.request_counts().values()) - before - max(0, jobs - 1)


if __name__ == "__main__":
    main()
