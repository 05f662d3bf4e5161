"""Batches go on when a scheduler or a triggerer of Airflow dies."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.cluster import Airflow, Task, wait_until
from tests.cluster.gate import Gate

States = Callable[[str], Counter[str]]
Tasks = dict[str, Task]

DEFERRED = ("triggerer_dies", "triggerer_is_away", "scheduler_dies_deferred")
IN_PLACE = "scheduler_dies_in_place"


@pytest.fixture(scope="module")
def tasks(airflow: Airflow, gate: Gate, put: Callable[..., list[str]], states_of: States) -> Iterator[Tasks]:
    """Batches whose jobs are waiting; all batches but one are deferred."""
    with gate.closed():
        tasks = {}
        for dag_id in (*DEFERRED, IN_PLACE):
            put(dag_id, 5)
            tasks[dag_id] = airflow.run(dag_id)
        for dag_id in DEFERRED:
            tasks[dag_id].wait_for_trigger()
        wait_until(lambda: sum(states_of(IN_PLACE).values()) == 5, "its jobs are submitted")
        yield tasks


def test_a_triggerer_that_comes_back_cancels_nothing_of_what_another_waits_for(
    tasks: Tasks, airflow: Airflow, states_of: States
) -> None:
    """Airflow 3.3 calls ``on_kill`` for triggers that it has moved to another triggerer."""
    task = tasks["triggerer_is_away"]
    airflow.send("triggerer", signal.SIGSTOP)
    airflow.start("triggerer", name="other triggerer")
    task.wait_for_trigger(2)
    airflow.send("triggerer", signal.SIGCONT)
    wait_until(lambda: task.trigger_says("invoking on_kill"), "the first one calls on_kill")
    wait_until(lambda: task.trigger_says("trigger completed"), "its trigger has ended")
    airflow.send("triggerer", signal.SIGKILL)
    assert "Cancel" not in states_of("triggerer_is_away")


def test_when_the_triggerer_dies_its_successor_waits(
    tasks: Tasks, airflow: Airflow, states_of: States
) -> None:
    before = len(tasks["triggerer_dies"].trigger_logs())
    for name in ("triggerer", "other triggerer"):
        airflow.send(name, signal.SIGKILL)
    airflow.start("triggerer", name="next triggerer")
    tasks["triggerer_dies"].wait_for_trigger(before + 1)
    assert "Cancel" not in states_of("triggerer_dies")


def test_when_the_scheduler_dies_its_successor_starts_anew_what_ran_in_place(
    tasks: Tasks, airflow: Airflow, states_of: States
) -> None:
    """The process that the dead scheduler had started is still running and must stop."""
    airflow.kill("scheduler")
    airflow.start("scheduler", name="next scheduler")
    tasks[IN_PLACE].wait_for_try(2)
    assert "Cancel" not in states_of(IN_PLACE)


def test_after_all_that_every_batch_ends_with_one_job_per_object(
    tasks: Tasks, states_of: States, gate: Gate
) -> None:
    gate.open()
    for dag_id, task in tasks.items():
        assert task.end() == "success"
        assert states_of(dag_id) == {"Success": 5}
        assert task.result["succeeded"] == 5, "a resumed task returns its result"
