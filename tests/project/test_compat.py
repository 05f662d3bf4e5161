"""``compat`` hides the differences between releases of Airflow from the rest of the package."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import airflow
import pytest
from airflow.triggers.base import BaseTrigger

import airflow_provider_ci
from airflow_provider_ci import compat
from airflow_provider_ci.batch import read_report
from airflow_provider_ci.client import CIClient

REPO = Path(__file__).parents[2]
PROGRAMS = (
    "airflow_provider_ci.commands.__main__",
    "airflow_provider_ci.local.__main__",
    "airflow_provider_ci.local.convert.office.uno_worker",
)
"""Modules that are started as programs, one of them by LibreOffice's own Python; not to be imported."""
RELEASE = tuple(int(part) for part in airflow.__version__.split(".")[:2])


@pytest.mark.parametrize(
    ("since", "is_there"),
    [
        ((3, 1), lambda: hasattr(compat.BaseHook, "aget_connection")),
        ((3, 3), lambda: hasattr(BaseTrigger, "on_kill")),
        ((3, 3), lambda: hasattr(airflow.sdk, "RetryPolicy")),
    ],
    ids=["asynchronous connections", "triggers that are told of a kill", "retry policies"],
)
def test_features_come_with_the_release_that_the_documentation_names(
    since: tuple[int, int], is_there: Callable[[], bool]
) -> None:
    assert is_there() == (since <= RELEASE)


def test_every_module_can_be_imported_and_retry_policies_say_what_they_need() -> None:
    refused = {}
    for module in pkgutil.walk_packages(airflow_provider_ci.__path__, "airflow_provider_ci."):
        if module.name not in PROGRAMS:
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                refused[module.name] = str(error)
    if RELEASE >= (3, 3):
        assert refused == {}
    else:
        assert list(refused) == ["airflow_provider_ci.retry_policy"]
        assert "needs Airflow 3.3 or newer" in refused["airflow_provider_ci.retry_policy"]
        assert airflow.__version__ in refused["airflow_provider_ci.retry_policy"]


def test_errors_and_settings_are_those_that_airflow_itself_uses() -> None:
    """Airflow does not retry a task after its own AirflowSensorTimeout, but after any other class."""
    assert issubclass(compat.AirflowSensorTimeout, compat.AirflowException)
    sensor = importlib.import_module("airflow.sdk.bases.sensor")
    assert sensor.AirflowSensorTimeout is compat.AirflowSensorTimeout
    assert compat.conf.getboolean("core", "load_examples") is False


def test_a_connection_can_be_had_in_a_trigger(connection: dict[str, Any]) -> None:
    found = asyncio.run(compat.connection("tencent_ci_default"))
    assert (found.login, found.extra_dejson["region"]) == (connection["login"], "ap-guangzhou")


STORE_DAG = """
from airflow.sdk import DAG, task
from airflow_provider_ci import compat

with DAG(DAG_ID, schedule=None) as dag:
    @task
    def keep(**context):
        store = compat.state_store(context)
        store.set("word", {"is": "kept"})
        kept = store.get("word")
        store.delete("word")
        return [kept, store.get("word")]

    keep()
"""


def test_the_state_store_keeps_values_where_airflow_has_one(run_dag: Callable[..., Any]) -> None:
    result = run_dag(STORE_DAG)
    assert result.results["keep"] == [{"is": "kept"} if RELEASE >= (3, 3) else None, None]


def test_the_main_example_runs_to_its_end(
    run_dag_file: Callable[..., Any], fill_bucket: Callable[..., None], client: CIClient, bucket: Path
) -> None:
    documents = ("inbox/letter.docx", "inbox/table.xlsx", "inbox/slides.pptx", "inbox/2026/notes.txt")
    fill_bucket(*documents)
    result = run_dag_file(REPO / "dags" / "convert_documents.py")
    assert result.state == "success"
    report = list(read_report(client, result.results["to_pdf"]["report_key"]))
    assert {verdict.key: str(verdict.state) for verdict in report} == dict.fromkeys(documents, "succeeded")
    assert {path.read_bytes()[:4] for path in (bucket / "pdf").rglob("*.pdf")} == {b"%PDF"}
