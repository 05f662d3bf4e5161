"""A person sees what a batch would do and cost, and approves it before anything is submitted.

``plan`` lists the objects and submits nothing. ``approve`` waits for an answer in Airflow's UI, with the
numbers of the plan in its text. ``to_pdf`` processes a sample first, and submits no more jobs than the plan
says.

Airflow 3.0 cannot wait for an answer: there the DAG ends after its plan. To continue, trigger it again with
"Approved".
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, ObjectSelection, PriceTable
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.compat import AirflowException
from airflow_provider_ci.operators import CIBatchOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
except (ImportError, AirflowException):  # Airflow 3.0
    ApprovalOperator = None  # type: ignore[assignment, misc]

BATCH: dict[str, Any] = {
    "source": ObjectSelection(prefix="{{ params.prefix }}", suffixes=DOCUMENT_SUFFIXES),
    "operation": DocProcess(target="pdf"),
    "output": "approved-pdf/{dir}{stem}.pdf",
    "batch_id": "{{ dag.dag_id }}/{{ run_id }}",
}

with DAG(
    "plan_before_run",
    description="A person approves the plan and its cost before a batch runs",
    schedule=None,
    tags=["cloud infinite"],
    doc_md=__doc__,
    params={
        "prefix": Param(
            "inbox/",
            type="string",
            minLength=1,
            title="Folder",
            description="What the keys of the documents begin with",
        ),
        "price": Param(
            50.0,
            type="number",
            minimum=0,
            title="Price of 1,000 pages",
            description="From your contract; only the estimate uses it",
        ),
        "approved": Param(
            False,
            type="boolean",
            title="Approved",
            description="Only for Airflow 3.0, which cannot ask",
        ),
    },
):
    plan = CIBatchOperator(
        task_id="plan",
        **BATCH,
        plan_only=True,
        prices=PriceTable(per_1000_pages="{{ params.price }}"),  # type: ignore[arg-type] # a template
    )
    if ApprovalOperator is not None:
        approve: Any = ApprovalOperator(
            task_id="approve",
            subject="Convert {{ ti.xcom_pull('plan')['jobs'] }} documents?",
            body="About {{ ti.xcom_pull('plan')['cost'] }} {{ ti.xcom_pull('plan')['currency'] }} and "
            "{{ ti.xcom_pull('plan')['hours'] }} hours. "
            "Up to date: {{ ti.xcom_pull('plan')['up_to_date'] }}.",
        )
    else:

        @task.short_circuit(task_id="approve")
        def _is_approved(params: dict[str, Any]) -> bool:
            return bool(params["approved"])

        approve = _is_approved()  # type: ignore[call-arg, misc] # Airflow fills in the arguments
    convert = CIBatchOperator(
        task_id="to_pdf",
        **BATCH,
        max_jobs="{{ [ti.xcom_pull('plan')['jobs'], 1] | max }}",
        canary=20,
        canary_failures="20%",
        max_failures="5%",
        deferrable=True,
    )
    plan >> approve >> convert
