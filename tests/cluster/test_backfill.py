"""The example DAG ``backfill_archive``, run by Airflow's own backfill."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Any

import requests

from airflow_provider_ci.batch import read_report
from airflow_provider_ci.client import CIClient, Job
from airflow_provider_ci.local import LocalCI
from tests.cluster.cluster import Airflow, Task, wait_until
from tests.cluster.conftest import BUCKET

DAG_ID = "backfill_archive"
FIRST = datetime(2026, 3, 1, tzinfo=timezone.utc)
DAYS = 5
"""Number of days: one more than the runs that are active at the same time."""
ENDED = {"success", "failed"}
HOURS = (0, 9, 23.99)
"""Hours of each day at which its objects were written; the first one is exactly the start of the day."""


def fill_archive(server: LocalCI) -> list[str]:
    folder = server.bucket_path(BUCKET) / "archive"
    folder.mkdir()
    for day in range(DAYS):
        for hours in HOURS:
            path = folder / f"{day}-{hours}.docx"
            path.write_text("text")
            written = FIRST + timedelta(days=day, hours=hours)
            os.utime(path, (written.timestamp(), written.timestamp()))
    return [f"archive/{path.name}" for path in folder.iterdir()]


def backfill(airflow: Airflow, reprocess: str = "failed") -> list[Task]:
    """Run a backfill to its end; return the task of each day."""
    airflow.wait_for_dag(DAG_ID)
    # While the scheduler writes, SQLite often refuses the request that creates the backfill.
    airflow.send("scheduler", signal.SIGKILL)
    while not is_created(airflow, reprocess):
        close_backfills(airflow)
    airflow.start("scheduler")
    wait_until(lambda: have_ended(runs(airflow)), "the runs have ended")
    close_backfills(airflow)
    return [Task(airflow, DAG_ID, run["dag_run_id"], "to_pdf") for run in runs(airflow)]


def is_created(airflow: Airflow, reprocess: str) -> bool:
    """Create a backfill for all days; return False if Airflow refused, as it may while the triggerer writes.

    After a refusal, Airflow deletes the runs that the backfill had already taken. The next request creates
    these runs again, and their tasks begin with try 1.
    """
    last = FIRST + timedelta(days=DAYS - 1)
    try:
        airflow.call_once(
            *("POST", "backfills"),
            dag_id=DAG_ID, from_date=FIRST.isoformat(), to_date=last.isoformat(), max_active_runs=4,
            reprocess_behavior=reprocess,
        )  # fmt: skip
    except requests.HTTPError as refused:
        if refused.response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return False
    return True


def close_backfills(airflow: Airflow) -> None:
    """Cancel open backfills, which the scheduler closes only 30 s after the last run; queued runs fail."""
    for one in airflow.call("GET", f"backfills?dag_id={DAG_ID}")["backfills"]:
        if not one["completed_at"]:
            airflow.call("PUT", f"backfills/{one['id']}/cancel")


def have_ended(found: list[dict[str, Any]]) -> bool:
    """Whether all runs have ended; on SQLite, the list of runs is sometimes empty by mistake."""
    return len(found) == DAYS and {run["state"] for run in found} <= ENDED


def runs(airflow: Airflow) -> list[dict[str, Any]]:
    path = f"dags/{DAG_ID}/dagRuns?order_by=logical_date&run_type=backfill"
    found: list[dict[str, Any]] = airflow.call("GET", path)["dag_runs"]
    return found


def test_every_object_gets_one_job_and_a_second_backfill_submits_nothing(
    airflow: Airflow, server: LocalCI, ci: CIClient, jobs_of: Callable[[str], list[Job]]
) -> None:
    keys = fill_archive(server)
    first = backfill(airflow)
    assert [task.end() for task in first] == ["success"] * DAYS
    assert Counter(job.input_key for job in jobs_of("archive")) == dict.fromkeys(keys, 1)
    assert [task.result["succeeded"] for task in first] == [len(HOURS)] * DAYS

    second = backfill(airflow, "completed")
    assert Counter(job.input_key for job in jobs_of("archive")) == dict.fromkeys(keys, 1)
    for task in second:
        assert (task.result["succeeded"], task.result["skipped"], task.result["jobs"]) == (0, len(HOURS), 0)
        assert {found.state for found in read_report(ci, task.result["report_key"])} == {"skipped"}
