from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Context

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import AccessDeniedError
from airflow_provider_ci.compat import AirflowException, AirflowSensorTimeout
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.sensors import CIObjectsSensor

RunDag = Callable[..., Any]
Fill = Callable[..., None]

DAG_TEXT = """
from airflow.sdk import DAG
from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.sensors import CIObjectsSensor

with DAG(DAG_ID, schedule=None, params={"folder": "in", "since": "2020-01-01"}) as dag:
    CIObjectsSensor(
        task_id="wait", poke_interval=0.2,
        source=ObjectSelection(prefix="{{ params.folder }}/", modified_after="{{ params.since }}"), %s)
"""
WAYS = pytest.mark.parametrize("how", ["mode='poke'", "mode='reschedule'", "deferrable=True"])


def sensor(**options: Any) -> CIObjectsSensor:
    arguments = {"source": ObjectSelection(prefix="in/"), "poke_interval": 0.1, "timeout": 9, **options}
    return CIObjectsSensor(task_id="wait", **arguments)


@pytest.fixture(autouse=True)
def _no_long_deferral(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ci.sensors.objects.FIRST_LOOK_SECONDS", 0.0)


@WAYS
def test_objects_that_are_there_are_found(run_dag: RunDag, fill_bucket: Fill, bucket: Path, how: str) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/old.docx", "other/c.docx", content=b"four")
    os.utime(bucket / "in/old.docx", (0, 0))
    result = run_dag(DAG_TEXT % f"min_objects=2, timeout=30, {how}")
    assert result.state == "success"
    found = result.results["wait"]
    assert (found["objects"], found["bytes"]) == (2, 8)


@WAYS
def test_objects_that_have_just_come_settle_first(run_dag: RunDag, fill_bucket: Fill, how: str) -> None:
    fill_bucket("in/a.docx")
    written = time.time()
    result = run_dag(DAG_TEXT % f"settled_seconds=2, timeout=60, {how}")
    assert result.state == "success"
    assert time.time() - written >= 2
    assert result.results["wait"]["objects"] == 1


@WAYS
def test_what_does_not_come_fails_the_task(run_dag: RunDag, fill_bucket: Fill, how: str) -> None:
    fill_bucket("in/a.docx")
    result = run_dag(DAG_TEXT % f"min_objects=2, timeout=0.5, {how}")
    assert result.tasks == {"wait": "failed"}


def test_a_prefix_of_another_task_comes_first(run_dag: RunDag, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "other/b.docx")
    result = run_dag("""
from airflow.sdk import DAG, task
from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.sensors import CIObjectsSensor

with DAG(DAG_ID, schedule=None) as dag:
    @task
    def where():
        return "in/"

    CIObjectsSensor(task_id="a_wait", source=ObjectSelection(prefix=where()), timeout=9, poke_interval=0.2)
""")
    assert result.results["a_wait"]["objects"] == 1


def test_constructors_only_store() -> None:
    sensor(
        source=ObjectSelection(prefix="{{ x }}", modified_after="{{ data_interval_start }}"), min_objects=0
    )


def test_what_makes_no_sense_is_refused_when_it_runs(connection: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="min_objects must be 1"):
        sensor(min_objects=0).poke(Context())
    with pytest.raises(ValueError, match="modified_after is ''"):
        sensor(source=ObjectSelection(modified_after="")).poke(Context())


def test_an_outage_is_waited_out(connection: dict[str, Any], fill_bucket: Fill, local_ci: LocalCI) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("error", status=503, code="ServiceUnavailable", count=2, retry_after=10_000)
    assert sensor().execute(Context())["objects"] == 1


def test_a_refusal_is_told_at_once(connection: dict[str, Any], local_ci: LocalCI) -> None:
    local_ci.faults.add("error", status=403, code="AccessDenied", count=9)
    with pytest.raises(AccessDeniedError, match="AccessDenied"):
        sensor().execute(Context())


def test_a_timeout_is_the_error_that_airflow_knows_in_every_way_of_waiting(
    connection: dict[str, Any],
) -> None:
    with pytest.raises(AirflowSensorTimeout):
        sensor(timeout=0).execute(Context())
    with pytest.raises(AirflowSensorTimeout, match="under 'in/' have not arrived in 9 s"):
        sensor().execute_complete(Context(), {"status": "timeout", "message": "", "found": {}})


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"status": "error", "message": "no such bucket"}, "no such bucket"),
        ({}, "no event"),
        (None, "no event"),
    ],
)
def test_events_that_are_no_success(event: dict[str, Any] | None, words: str) -> None:
    with pytest.raises(AirflowException, match=words):
        sensor().execute_complete(Context(), event)
