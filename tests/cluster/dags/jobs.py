"""DAGs with one job each; a DAG's document is in the folder with its name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIDocProcessOperator


def job(dag_id: str, **options: Any) -> DAG:
    """A DAG whose only task converts one document."""
    with DAG(dag_id, schedule=None) as dag:
        CIDocProcessOperator(
            task_id="task",
            input_key=f"{dag_id}/0000.docx",
            output_key=f"out/{dag_id}.pdf",
            operation=DocProcess(target="pdf"),
            poll_interval=1,
            **options,
        )
    return dag


once_more: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(seconds=1)}

job_in_place = job("job_in_place", deferrable=False)
job_deferred = job("job_deferred", deferrable=True)
job_evicted = job("job_evicted", deferrable=False, **once_more)
job_too_slow = job("job_too_slow", deferrable=True, timeout_seconds=15)
