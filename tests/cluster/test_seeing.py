"""The links and the progress that users see in Airflow while a task runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

from tests.cluster.cluster import Airflow, Task, wait_until
from tests.cluster.gate import Gate

Put = Callable[..., list[str]]


def ask(task: Task, what: str) -> dict[str, Any]:
    path = f"dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}"
    return task.airflow.call("GET", f"{path}/{what}")


def link(task: Task, name: str) -> str:
    """Wait for a link of the task; return the address that it leads to."""
    wait_until(lambda: ask(task, "links")["extra_links"].get(name), f"{task.dag_id} has the link {name!r}")
    return str(ask(task, "links")["extra_links"][name])


def page(url: str) -> str:
    with urlopen(url) as answer:
        text: str = answer.read().decode()
    return text


def batch_page(task: Task) -> str:
    """The text of the page that a batch links to, without the frame of Airflow's UI."""
    url = link(task, "CI batch")
    assert link(task, "CI report").startswith(url)
    address = f"{task.airflow.url}/ci-batches/{url.rpartition('/')[2]}&state=all"
    answer = task.airflow.get(address)
    assert answer.status_code == 200
    return answer.text


def test_a_job_leads_to_its_page_while_it_runs(airflow: Airflow, put: Put, gate: Gate) -> None:
    put("seen_job", 1)
    with gate.closed():
        task = airflow.run("seen_job")
        url = link(task, "CI job")
        assert "seen_job/0000.docx" in page(url)
        queue = link(task, "CI queue")
        assert queue.rpartition("/")[2] in page(queue)
        assert task.state == "running"
    assert task.end() == "success"
    assert link(task, "CI job") == url
    assert "Success" in page(url)


def test_a_batch_in_place_shows_its_progress(airflow: Airflow, put: Put, gate: Gate) -> None:
    put("seen_batch_in_place", 3)
    with gate.closed(after=1):
        task = airflow.run("seen_batch_in_place")
        stored = "state-store?limit=10"
        wait_until(lambda: "'finished': 1" in str(ask(task, stored)), "its progress is shown")
        assert task.state == "running"
        assert "1 of 3 objects have a result" in batch_page(task)
    assert task.end() == "success"
    assert "'finished': 3" in str(ask(task, stored))
    assert "seen_batch_in_place/0002.docx" in batch_page(task)


def test_a_deferred_batch_is_told_of_by_its_trigger(airflow: Airflow, put: Put, gate: Gate) -> None:
    put("seen_batch_deferred", 3)
    with gate.closed(after=1):
        task = airflow.run("seen_batch_deferred")
        task.wait_for("deferred")
        assert "seen_batch_deferred" in batch_page(task)
        wait_until(lambda: task.trigger_says("jobs ended, 2 to go"), "the trigger tells how far it is")
    assert task.end() == "success"
    assert "seen_batch_deferred/0002.docx" in batch_page(task)
