"""Every day's new documents become PDFs; a backfill does the same for the years before.

Each run takes the objects that were written in its data interval, so runs never meet. A plain ``@daily`` has
no data interval in Airflow 3, hence the timetable::

    airflow backfill create --dag-id backfill_archive --from-date 2020-01-01 --to-date 2026-01-01 \
        --max-active-runs 4

A run that is repeated (``--reprocess-behavior completed``) submits only what is missing or has changed.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator

with DAG(
    "backfill_archive",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["cloud infinite"],
    doc_md=__doc__,
):
    CIBatchOperator(
        task_id="to_pdf",
        source=ObjectSelection(
            prefix="archive/",
            suffixes=DOCUMENT_SUFFIXES,
            modified_after="{{ data_interval_start }}",
            modified_before="{{ data_interval_end }}",
        ),
        operation=DocProcess(target="pdf"),
        output="archive-pdf/{dir}{stem}.pdf",
        max_failures="5%",
        deferrable=True,
    )
