"""What happens to the jobs of a task when a user ends the task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_ci.client import Job
from tests.cluster.cluster import Airflow, Task, wait_until
from tests.cluster.gate import Gate

States = Callable[[str], Counter[str]]
Tasks = dict[str, Task]

OBJECTS = {"job_in_place": 1, "job_deferred": 1, "killed_in_place": 200, "killed_for_good": 5}
"""Number of waiting jobs in the folder of each DAG."""


@pytest.fixture(scope="module")
def tasks(airflow: Airflow, gate: Gate, put: Callable[..., list[str]], states_of: States) -> Iterator[Tasks]:
    """Tasks whose jobs wait; four jobs of ``killed_deferred`` have ended, and one is running."""
    with gate.closed(after=4):
        put("killed_deferred", 12)
        tasks = {"killed_deferred": airflow.run("killed_deferred")}
        wait_until(lambda: states_of("killed_deferred")["Running"], "a job runs")
        wait_until(lambda: states_of("killed_deferred")["Success"] == 4, "four jobs have ended")
        for dag_id, number in OBJECTS.items():
            put(dag_id, number)
            tasks[dag_id] = airflow.run(dag_id)
        yield tasks


@pytest.mark.parametrize("dag_id", ["job_in_place", "killed_in_place"])
def test_jobs_waited_for_in_place_are_cancelled_within_the_five_seconds_that_airflow_grants(
    tasks: Tasks, states_of: States, dag_id: str
) -> None:
    wait_until(lambda: states_of(dag_id)["Submitted"] == OBJECTS[dag_id], "the jobs are submitted")
    tasks[dag_id].mark_failed()
    wait_until(lambda: states_of(dag_id) == {"Cancel": OBJECTS[dag_id]}, "the jobs are cancelled")


def test_a_job_that_the_triggerer_waits_for_is_cancelled(tasks: Tasks, states_of: States) -> None:
    tasks["job_deferred"].wait_for_trigger()
    tasks["job_deferred"].mark_failed()
    wait_until(lambda: states_of("job_deferred") == {"Cancel": 1}, "the job is cancelled")


def test_nothing_is_cancelled_where_the_task_says_so(tasks: Tasks, states_of: States) -> None:
    task = tasks["killed_for_good"]
    task.wait_for_trigger()
    task.mark_failed()
    wait_until(lambda: task.trigger_says("invoking on_kill"), "Airflow tells the trigger")
    wait_until(lambda: task.trigger_says("trigger completed"), "the trigger has ended")
    assert states_of("killed_for_good") == {"Submitted": 5}


def test_a_deferred_batch_is_cancelled_and_a_clear_does_once_more_what_was_cancelled(
    tasks: Tasks, states_of: States, jobs_of: Callable[[str], list[Job]], gate: Gate
) -> None:
    """This test must be the last one in this file, because it opens the gate."""
    task = tasks["killed_deferred"]
    task.wait_for_trigger()
    task.mark_failed()
    wait_until(lambda: states_of("killed_deferred")["Submitted"] == 0, "no job waits any more")
    assert states_of("killed_deferred") == {"Success": 4, "Running": 1, "Cancel": 7}
    gate.open()
    task.clear()
    assert task.end() == "success"
    assert states_of("killed_deferred") == {"Success": 12, "Cancel": 7}
    good = Counter(job.input_key for job in jobs_of("killed_deferred") if job.state == "Success")
    assert set(good.values()) == {1}
    assert (task.result["total"], task.result["succeeded"], task.result["jobs"]) == (12, 12, 19)
