"""Each day's new documents become PDFs; a backfill does the same for earlier years.

Each run takes the objects that were written in its data interval. A run that is triggered by hand without a
logical date has no interval, and takes the whole folder. Runs may overlap: if one run converts a document,
another run skips it or waits for it. A plain ``@daily`` has no data interval in Airflow 3, so the DAG uses a
timetable::

    airflow backfill create --dag-id backfill_archive --from-date 2020-01-01 --to-date 2026-01-01 \
        --max-active-runs 4

A run that is repeated (``--reprocess-behavior completed``) submits only missing and changed documents.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator

with DAG(
    "backfill_archive",
    description="Each day's new documents become PDFs, also for the years before",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["cloud infinite"],
    doc_md=__doc__,
    params={
        "prefix": Param(
            "archive/",
            type="string",
            minLength=1,
            title="Folder",
            description="What the keys of the documents begin with",
        ),
        "max_failures": Param(
            "5%",
            type="string",
            pattern=r"^\d+%?$",
            title="Failures allowed",
            description="A number of documents, or a percentage",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Convert all again",
            description="Also documents whose output is up to date",
        ),
    },
):
    CIBatchOperator(
        task_id="to_pdf",
        source=ObjectSelection(
            prefix="{{ params.prefix }}",
            suffixes=DOCUMENT_SUFFIXES,
            # Unlike `data_interval_start`, these names exist in every run; None means no bound.
            modified_after="{{ dag_run.data_interval_start }}",
            modified_before="{{ dag_run.data_interval_end }}",
        ),
        operation=DocProcess(target="pdf"),
        output="archive-pdf/{dir}{stem}.pdf",
        skip="{{ 'never' if params.force else 'fresh' }}",
        max_failures="{{ params.max_failures }}",
        deferrable=True,
    )
