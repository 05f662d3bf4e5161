"""DAGs with a batch each; the objects of a DAG are in the folder with its name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator


def batch(dag_id: str, **options: Any) -> DAG:
    """A DAG whose only task converts the documents in the DAG's folder."""
    with DAG(dag_id, schedule=None) as dag:
        CIBatchOperator(
            task_id="task",
            source=ObjectSelection(prefix=f"{dag_id}/"),
            operation=DocProcess(target="pdf"),
            output="out/{key}.pdf",
            poll_interval=1,
            **options,
        )
    return dag


retried: dict[str, Any] = {"retries": 4, "retry_delay": timedelta(seconds=1)}

killed_in_place = batch("killed_in_place", deferrable=False)
killed_deferred = batch("killed_deferred", deferrable=True)
killed_for_good = batch("killed_for_good", deferrable=True, cancel_on_kill=False)

worker_dies_waiting = batch("worker_dies_waiting", deferrable=False, **retried)
worker_dies_submitting = batch("worker_dies_submitting", deferrable=True, **retried)
worker_evicted = batch("worker_evicted", deferrable=False, **retried)
worker_evicted_for_good = batch("worker_evicted_for_good", deferrable=False)

triggerer_dies = batch("triggerer_dies", deferrable=True)
triggerer_is_away = batch("triggerer_is_away", deferrable=True)
scheduler_dies_deferred = batch("scheduler_dies_deferred", deferrable=True, **retried)
scheduler_dies_in_place = batch("scheduler_dies_in_place", deferrable=False, **retried)

ends_soon = batch("ends_soon", deferrable=True)
times_out = batch("times_out", deferrable=True, timeout_seconds=18)
is_large = batch("is_large", max_failures="100%", stop_early=False)
