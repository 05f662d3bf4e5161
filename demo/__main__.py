"""Runs the example DAGs in Airflow on a bucket of sample files, against the local CI, and prints a table.

Run it with ``make demo``. The demo writes only to this folder; the results are plain files in it.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from airflow_provider_ci.batch import ObjectResult, ObjectState, read_report
from airflow_provider_ci.client import CIClient
from demo.environment import BUCKET, DEMO, Airflow, LocalServer, StartError
from demo.table import render_table

DAGS = ("convert_documents", "process_pictures")
EXPECTED_FAILURES = {"inbox/broken-contract.docx"}
"""Keys of truncated files. Their jobs must fail with a reason, and no other job may fail."""


def main() -> int:
    """Run the demo; return 0 if every object ended as expected."""
    started = time.monotonic()
    try:
        verdicts = run_dags()
    except StartError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    verdicts.sort(key=lambda pair: (pair[1].key, pair[0]))
    print(render_table(verdicts))
    for task, verdict in verdicts:
        if verdict.state is ObjectState.FAILED:
            note = " (as expected: the file is damaged)" if verdict.key in EXPECTED_FAILURES else ""
            print(f"failed: {verdict.key} in {task}: {verdict.reason}{note}")
    objects, processed = count_processed(verdicts)
    print(f"results: demo/buckets/{BUCKET}/, logs: demo/logs/")
    print(f"took {time.monotonic() - started:.0f} s")
    print(f"demo: {processed} of {objects} objects processed")
    return 0 if processed == objects else 1


def run_dags() -> list[tuple[str, ObjectResult]]:
    """Fill the bucket, run the DAGs in Airflow against the local CI, and read their results."""
    bucket = DEMO / "buckets" / BUCKET
    shutil.rmtree(DEMO / "buckets", ignore_errors=True)
    for folder in ("inbox", "photos"):
        shutil.copytree(DEMO / "samples" / folder, bucket / folder)
    with LocalServer(DEMO / "buckets") as server:
        print(
            f"demo: local CI on {server.endpoint}, {count_files(bucket)} sample files in {BUCKET}", flush=True
        )
        airflow = Airflow(server.endpoint)
        airflow.migrate()
        for dag_id in DAGS:
            print(f"demo: running DAG {dag_id} in Airflow {airflow.version()} ...", flush=True)
            airflow.test_dag(dag_id)
        with server.client() as client:
            return [pair for dag_id in DAGS for pair in read_verdicts(client, dag_id)]


def read_verdicts(client: CIClient, dag_id: str) -> Iterable[tuple[str, ObjectResult]]:
    """The results of all batches of a DAG, each with the name of its task."""
    for report in client.list_objects(f"_ci_batches/{dag_id}/"):
        if report.key.endswith("/report.jsonl"):
            task = report.key.split("/")[2]  # a batch is named DAG/task/run
            for verdict in read_report(client, report.key):
                yield task, verdict


def count_processed(verdicts: Iterable[tuple[str, ObjectResult]]) -> tuple[int, int]:
    """The number of objects, and the number of objects that ended as expected in all their tasks."""
    good: dict[str, bool] = {}
    for _, verdict in verdicts:
        wanted = ObjectState.FAILED if verdict.key in EXPECTED_FAILURES else ObjectState.SUCCEEDED
        good[verdict.key] = good.get(verdict.key, True) and verdict.state is wanted
    sample_files = count_files(DEMO / "samples" / "inbox") + count_files(DEMO / "samples" / "photos")
    return sample_files, sum(good.values())


def count_files(folder: Path) -> int:
    """The files below a folder."""
    return sum(path.is_file() for path in folder.rglob("*"))


if __name__ == "__main__":
    sys.exit(main())
