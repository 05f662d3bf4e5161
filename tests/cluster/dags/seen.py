"""DAGs that tests look at in Airflow's UI while they run: two batches and a job."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator, CIDocProcessOperator

for place, is_deferrable in {"in_place": False, "deferred": True}.items():
    with DAG(f"seen_batch_{place}", schedule=None) as dag:
        CIBatchOperator(
            task_id="task",
            source=ObjectSelection(prefix=f"{dag.dag_id}/"),
            operation=DocProcess(target="pdf"),
            output="out/{key}.pdf",
            poll_interval=1,
            deferrable=is_deferrable,
        )

with DAG("seen_job", schedule=None):
    CIDocProcessOperator(
        task_id="task",
        input_key="seen_job/0000.docx",
        output_key="out/seen_job.pdf",
        operation=DocProcess(target="pdf"),
        poll_interval=1,
    )
