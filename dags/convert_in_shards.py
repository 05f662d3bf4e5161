"""A bucket that is too large for one batch is converted to PDF in parallel shards, with one report.

The first task splits the objects into disjoint shards and stores the list of shards. Each shard is a batch of
its own, which any worker can run and which a retry continues. The last task judges all shards together; it
also runs if shards failed. For many millions of objects, use an inventory of the bucket in place of the
listing::

    source=Inventory("reports/1250000000/examplebucket/daily/", suffixes=DOCUMENT_SUFFIXES)

*docs/scale.md* has the figures from a million to a billion objects.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator, CIBatchReportOperator, CIShardsOperator

ACTIVE_SHARDS = 4
OUTPUT = "shards-pdf/{dir}{stem}.pdf"

with DAG(
    "convert_in_shards",
    description="Documents become PDFs in shards that run side by side, with one report",
    schedule=None,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
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
        "max_objects": Param(
            1_000_000,
            type="integer",
            minimum=1,
            title="Objects in a shard",
            description="A shard is planned, retried and reported as a whole",
        ),
        "max_failures": Param(
            "5%",
            type="string",
            pattern=r"^\d+%?$",
            title="Failures allowed",
            description="A number of documents, or a percentage, of all shards together",
        ),
    },
):
    shards = CIShardsOperator(
        task_id="shards",
        source=ObjectSelection(prefix="{{ params.prefix }}", suffixes=DOCUMENT_SUFFIXES),
        max_objects="{{ params.max_objects }}",
        requests_per_second=2000,
        max_active=ACTIVE_SHARDS,
    )
    batches = CIBatchOperator.partial(
        task_id="to_pdf",
        operation=DocProcess(target="pdf"),
        output=OUTPUT,
        max_failures="100%",  # only the report's limit counts
        deferrable=True,
        max_active_tis_per_dagrun=ACTIVE_SHARDS,
    ).expand_kwargs(shards.output)
    batches >> CIBatchReportOperator(
        task_id="report", max_failures="{{ params.max_failures }}", output=OUTPUT
    )
