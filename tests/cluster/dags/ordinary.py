"""Ordinary uses in which state passes from one process to another."""

from __future__ import annotations

import time
from datetime import timedelta

from airflow.sdk import DAG, task

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator

with DAG("mapped_after_upstream", schedule=None):

    @task
    def watermark() -> str:
        time.sleep(8)
        return "2020-01-01T00:00:00+00:00"

    CIBatchOperator.partial(
        task_id="task",
        source=ObjectSelection(prefix="mapped_after_upstream/", modified_after=watermark()),  # type: ignore[arg-type]
        operation=DocProcess(target="pdf"),
        poll_interval=1,
    ).expand(output=["out/x/{key}.pdf", "out/y/{key}.pdf"])

with DAG("out_of_time", schedule=None):
    CIBatchOperator(
        task_id="task",
        source=ObjectSelection(prefix="out_of_time/"),
        operation=DocProcess(target="pdf"),
        output="out/{key}.pdf",
        poll_interval=1,
        deferrable=True,
        execution_timeout=timedelta(seconds=25),
    )

with DAG("overlapping", schedule=None):
    CIBatchOperator(
        task_id="task",
        source=ObjectSelection(prefix="overlapping/"),
        operation=DocProcess(target="pdf"),
        output="out/{key}.pdf",
        batch_id="overlapping",
        poll_interval=1,
        deferrable=True,
    )
