"""A large batch, ten tasks of one job each, batches for a user to end, and a source in eight shards."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import (
    CIBatchOperator,
    CIBatchReportOperator,
    CIDocProcessOperator,
    CIShardsOperator,
)

TASKS = 10
OBJECTS = int(os.environ.get("E2E_OBJECTS", "2000"))
SHARDS = 8
retried: dict[str, Any] = {"retries": 9, "retry_delay": timedelta(seconds=1)}
pdf = DocProcess(target="pdf")


def batch(dag_id: str, **options: Any) -> DAG:
    """A DAG whose task converts the folder with the DAG's name."""
    with DAG(dag_id, schedule=None) as dag:
        CIBatchOperator(
            task_id="task",
            source=ObjectSelection(prefix=f"{dag_id}/"),
            operation=pdf,
            output="out/{key}.pdf",
            poll_interval=2,
            **options,
        )
    return dag


large = batch("large", deferrable=True, max_in_flight=500, **retried)
ended_deferred = batch("ended_deferred", deferrable=True)
ended_in_place = batch("ended_in_place", deferrable=False)

with DAG("single", schedule=None, default_args=retried) as single:
    for number in range(TASKS):
        CIDocProcessOperator(
            task_id=f"task_{number}",
            input_key=f"single/{number:04}.docx",
            output_key=f"out/single/{number:04}.pdf",
            operation=pdf,
            deferrable=number % 2 == 0,
            poll_interval=2,
        )

with DAG("shards", schedule=None, default_args=retried) as shards:
    made = CIShardsOperator(
        task_id="shards",
        source=ObjectSelection(prefix="synthetic/"),
        max_objects=-(-OBJECTS // SHARDS),
        requests_per_second=4000,
    )
    batches = CIBatchOperator.partial(
        task_id="task",
        operation=pdf,
        output="out/{key}.pdf",
        poll_interval=2,
        deferrable=True,
        max_failures="100%",
    ).expand_kwargs(made.output)
    batches >> CIBatchReportOperator(task_id="report")
