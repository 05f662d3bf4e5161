"""What happens to a batch when its worker dies or is evicted."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from airflow_provider_ci.client import Job
from airflow_provider_ci.local import LocalCI
from tests.cluster.cluster import Airflow, Task, heartbeats, parent, wait_until
from tests.cluster.conftest import BUCKET
from tests.cluster.gate import Gate

States = Callable[[str], Counter[str]]
Jobs = Callable[[str], list[Job]]
Tasks = dict[str, Task]

OBJECTS = {"worker_dies_waiting": 6, "worker_evicted": 6, "worker_evicted_for_good": 6, "job_evicted": 1}
MANY = 300


@pytest.fixture(scope="module")
def tasks(
    airflow: Airflow, gate: Gate, put: Callable[..., list[str]], server: LocalCI, jobs_of: Jobs
) -> Iterator[Tasks]:
    """Tasks whose workers were killed or evicted while their jobs waited; after that, the jobs went on.

    The workers are killed after the first heartbeat of their run. Without a heartbeat, the retry would have
    to watch the claim for another minute.
    """
    bucket = server.bucket_path(BUCKET)
    with gate.closed():
        tasks = {}
        for dag_id, number in OBJECTS.items():
            put(dag_id, number)
            tasks[dag_id] = airflow.run(dag_id)
        for dag_id, number in OBJECTS.items():
            wait_until(partial(has_jobs, jobs_of, dag_id, number), f"the jobs of {dag_id} are submitted")
        wait_until(partial(heartbeats, bucket, "worker_dies_waiting"), "it gives a sign of life")
        end_workers(tasks)
        put("worker_dies_submitting", MANY)
        server.faults.add("slow", seconds=12.0, method="POST", path="/doc_jobs", count=MANY)
        tasks["worker_dies_submitting"] = airflow.run("worker_dies_submitting")
        wait_until(lambda: jobs_of("worker_dies_submitting"), "the first jobs are submitted")
        wait_until(partial(heartbeats, bucket, "worker_dies_submitting"), "it gives a sign of life")
        die(tasks["worker_dies_submitting"])
        assert len(jobs_of("worker_dies_submitting")) < MANY
        server.faults.clear()
        for dag_id in ("worker_dies_waiting", "worker_evicted", "job_evicted"):
            tasks[dag_id].wait_for_try(2)
        wait_until(lambda: tasks["worker_evicted_for_good"].state == "failed", "there is no second try")
    yield tasks


def has_jobs(jobs_of: Jobs, folder: str, number: int) -> bool:
    return len(jobs_of(folder)) == number


def end_workers(tasks: Tasks) -> None:
    for dag_id, task in tasks.items():
        if "dies" in dag_id:
            die(task)
        else:
            os.kill(parent(task.pid), signal.SIGTERM)


def die(task: Task) -> None:
    """Kill the task and the worker that supervises it, as if their machine had died."""
    pid = task.pid
    for process in (parent(pid), pid):
        os.kill(process, signal.SIGKILL)


def log_of(task: Task, attempt: int) -> str:
    run = f"logs/dag_id={task.dag_id}/run_id={task.run_id}/task_id=task/attempt={attempt}.log"
    return (task.airflow.home / run).read_text()


@pytest.mark.parametrize("dag_id", ["worker_dies_waiting", "worker_evicted", "job_evicted"])
def test_the_retry_goes_on_with_the_jobs_that_are_there(tasks: Tasks, states_of: States, dag_id: str) -> None:
    assert tasks[dag_id].end() == "success"
    assert states_of(dag_id) == {"Success": OBJECTS[dag_id]}
    assert tasks[dag_id].result, "a resumed task returns its result"


def test_a_worker_that_dies_while_it_submits_leaves_one_good_job_per_object(
    tasks: Tasks, jobs_of: Jobs
) -> None:
    task = tasks["worker_dies_submitting"]
    assert task.end() == "success"
    jobs = Counter(job.input_key for job in jobs_of(task.dag_id))
    assert (len(jobs), set(jobs.values())) == (MANY, {1})
    assert task.result["succeeded"] == MANY


def test_after_an_eviction_the_retry_need_not_wait(tasks: Tasks) -> None:
    assert "waiting for another run of this batch" not in log_of(tasks["worker_evicted"], 2)
    assert "waiting for another run of this batch" in log_of(tasks["worker_dies_waiting"], 2)


def test_a_task_that_was_told_to_stop_does_not_end_well(tasks: Tasks, states_of: States) -> None:
    """Airflow lets a task go on after ``on_kill`` and would accept its result."""
    assert tasks["worker_evicted_for_good"].end() == "failed"
    wait_until(lambda: states_of("worker_evicted_for_good") == {"Success": 6}, "its jobs have gone on")
