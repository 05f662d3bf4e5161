"""When a task defers, and how its trigger ends."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from airflow_provider_ci.local import LocalCI
from tests.cluster.cluster import Airflow, Task, wait_until
from tests.cluster.conftest import BUCKET
from tests.cluster.gate import Gate

States = Callable[[str], Counter[str]]
Put = Callable[..., list[str]]

LATE = ("job_too_slow", "times_out")


def test_a_batch_that_ends_soon_never_defers_and_a_clear_does_only_what_has_changed(
    airflow: Airflow, put: Put, server: LocalCI, states_of: States
) -> None:
    """Airflow 3.3 keeps the stored state of a cleared task, but only the objects' content counts here."""
    first, *_ = put("ends_soon", 3)
    task = airflow.run("ends_soon")
    assert task.end() == "success"
    assert task.result["succeeded"] == 3
    (server.bucket_path(BUCKET) / first).write_text("another text")
    task.clear()
    task.wait_for_try(2)
    assert task.end() == "success"
    assert (task.result["succeeded"], task.result["skipped"]) == (1, 2)
    assert states_of("ends_soon") == {"Success": 4}
    assert task.trigger_logs() == []


def test_the_xcom_of_a_batch_is_small_whatever_its_keys_and_failures(airflow: Airflow, put: Put) -> None:
    folder = "/".join(["is_large", *["很长的文件夹名" * 11] * 3])
    put(folder, 1000, content="")
    task = airflow.run("is_large")
    assert task.end() == "success"
    assert (task.result["total"], task.result["failed"]) == (1000, 1000)
    assert task.result["first_failures"]
    assert len(json.dumps(task.result)) < 2048


@pytest.fixture(scope="module")
def late(airflow: Airflow, put: Put, gate: Gate) -> Iterator[dict[str, Task]]:
    """Tasks that timed out while their jobs had not ended."""
    with gate.closed():
        for dag_id in LATE:
            put(dag_id, 1)
        tasks = {dag_id: airflow.run(dag_id) for dag_id in LATE}
        assert {task.end() for task in tasks.values()} == {"failed"}
        yield tasks


@pytest.mark.parametrize("dag_id", LATE)
def test_a_trigger_returns_right_after_its_event(
    late: dict[str, Task], states_of: States, dag_id: str
) -> None:
    """Airflow would cancel a trigger that keeps running after its event, although no user ended its task."""
    wait_until(lambda: late[dag_id].trigger_says("trigger completed"), "the trigger has ended")
    assert not late[dag_id].trigger_says("on_kill")
    assert "Cancel" not in states_of(dag_id)
