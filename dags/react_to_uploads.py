"""Uploaded documents become PDFs, and a second DAG makes previews of the PDFs at once.

Put documents into the folder ``uploads/`` and trigger the first DAG. It waits until no object has been
uploaded for half a minute. Its batch names the folder of the PDFs as its outlet; the second DAG is scheduled
on that asset. If all PDFs are already up to date, there is no asset event, and the second DAG does not run.
"""

from __future__ import annotations

from airflow.sdk import DAG, Asset, Param

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator
from airflow_provider_ci.sensors import CIObjectsSensor

# Airflow needs the asset before any task runs, so the bucket is named here and not read from the connection.
pdfs = Asset("cos://examplebucket-1250000000/pdf/uploads")
uploads = ObjectSelection(prefix="uploads/", suffixes=DOCUMENT_SUFFIXES)

with DAG(
    "react_to_uploads",
    description="Wait for uploads, convert them, and announce the PDFs",
    schedule=None,
    tags=["cloud infinite"],
    doc_md=__doc__,
    params={
        "settled_seconds": Param(
            30,
            type="integer",
            minimum=0,
            maximum=3600,
            title="Quiet time",
            description="Seconds without a new upload before the conversion begins",
        ),
        "max_failures": Param(
            "10%",
            type="string",
            pattern=r"^\d+%?$",
            title="Failures allowed",
            description="A number of documents, or a percentage",
        ),
    },
):
    wait = CIObjectsSensor(
        task_id="wait",
        source=uploads,
        settled_seconds="{{ params.settled_seconds }}",
        deferrable=True,
        poke_interval=30,
        timeout=3600,
    )
    to_pdf = CIBatchOperator(
        task_id="to_pdf",
        source=uploads,
        operation=DocProcess(target="pdf"),
        output="pdf/uploads/{dir}{stem}.pdf",
        max_failures="{{ params.max_failures }}",
        outlets=[pdfs],
    )
    wait >> to_pdf

with DAG(
    "preview_uploads",
    description="A preview of each PDF that react_to_uploads announces",
    schedule=[pdfs],
    tags=["cloud infinite"],
    doc_md=__doc__,
):
    CIBatchOperator(
        task_id="first_page",
        source=ObjectSelection(prefix="pdf/uploads/", suffixes=[".pdf"]),
        operation=DocProcess(target="jpg", start_page=1, end_page=1),
        output="preview/uploads/{dir}{stem}-${Number}.jpg",
    )
