"""Batches for the pages to show; each DAG processes the folder that has the DAG's name."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess, PicProcess
from airflow_provider_ci.operators import CIBatchOperator


def batch(dag_id: str, operation: Any, output: str, **options: Any) -> DAG:
    """A DAG whose task processes the folder named like the DAG."""
    with DAG(dag_id, schedule=None) as dag:
        CIBatchOperator(
            task_id="convert",
            source=ObjectSelection(prefix=f"{dag_id}/"),
            operation=operation,
            output=output,
            poll_interval=0.2,
            **options,
        )
    return dag


pages_failed = batch("pages_failed", DocProcess(target="pdf"), "out/{key}.pdf")
pages_good = batch("pages_good", PicProcess("imageMogr2/rotate/90"), "out/{key}.png")
pages_tolerant = batch("pages_tolerant", DocProcess(target="pdf"), "out/{key}.pdf", max_failures="50%")
pages_running = batch("pages_running", DocProcess(target="pdf"), "out/{key}.pdf", deferrable=True)
pages_planned = batch("pages_planned", DocProcess(target="pdf"), "out/{key}.pdf", plan_only=True)
pages_empty = batch("pages_empty", DocProcess(target="pdf"), "out/{key}.pdf")
