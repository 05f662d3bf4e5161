"""Ordinary uses in a real scheduler and triggerer: mapped tasks, time limits and overlapping runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from airflow_provider_ci.client import Job
from airflow_provider_ci.local import LocalCI
from tests.cluster.cluster import Airflow, wait_until
from tests.cluster.conftest import BUCKET
from tests.cluster.gate import Gate

Put = Callable[..., list[str]]
Jobs = Callable[[str], list[Job]]
States = Callable[[str], Counter[str]]


def test_mapped_tasks_wait_for_the_upstream_inside_their_selection(
    airflow: Airflow, put: Put, server: LocalCI, jobs_of: Jobs
) -> None:
    """Without this dependency, the mapped tasks would run before their upstream and take old objects too."""
    keys = put("mapped_after_upstream", 5)
    for key in keys[1:]:
        os.utime(server.bucket_path(BUCKET) / key, (0, 0))
    run_id = airflow.run("mapped_after_upstream").run_id
    path = f"dags/mapped_after_upstream/dagRuns/{run_id}"
    wait_until(lambda: airflow.call("GET", path)["state"] in ("success", "failed"), "the run has ended")
    assert airflow.call("GET", path)["state"] == "success"
    jobs = sorted((job.input_key, job.output_key) for job in jobs_of("mapped_after_upstream"))
    assert jobs == [(keys[0], f"out/{letter}/{keys[0]}.pdf") for letter in "xy"]


def test_execution_timeout_ends_a_deferred_task_and_not_its_jobs(
    airflow: Airflow, put: Put, gate: Gate, states_of: States
) -> None:
    put("out_of_time", 2)
    with gate.closed():
        task = airflow.run("out_of_time")
        assert task.end() == "failed"
        log = airflow.home / f"logs/dag_id=out_of_time/run_id={task.run_id}/task_id=task/attempt=1.log"
        assert "execution_timeout of 25 s is over. The jobs keep running" in log.read_text()
        assert "Cancel" not in states_of("out_of_time")


def test_two_runs_of_one_batch_at_a_time_make_each_output_once(
    airflow: Airflow, put: Put, gate: Gate, states_of: States
) -> None:
    put("overlapping", 6)
    with gate.closed(after=1):
        tasks = [airflow.run("overlapping") for _ in range(2)]
        wait_until(lambda: sum(states_of("overlapping").values()) == 6, "the jobs are submitted")
    assert [task.end() for task in tasks] == ["success", "success"]
    assert states_of("overlapping") == {"Success": 6}
