"""Documents that somebody uploads become PDFs, and a second DAG reacts to the PDFs as soon as they are there.

The first DAG waits until no upload has come for half a minute. Its batch names the folder of the PDFs as its
outlet; the second DAG is scheduled on that asset and makes a preview of each first page.
"""

from __future__ import annotations

from airflow.sdk import DAG, Asset

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator
from airflow_provider_ci.sensors import CIObjectsSensor

# An asset is known before any task runs, so the bucket is named here and not by the connection.
pdfs = Asset("cos://examplebucket-1250000000/pdf/uploads")
uploads = ObjectSelection(prefix="uploads/", suffixes=DOCUMENT_SUFFIXES)

with DAG("react_to_uploads", schedule=None, tags=["cloud infinite"], doc_md=__doc__):
    wait = CIObjectsSensor(
        task_id="wait", source=uploads, settled_seconds=30, deferrable=True, poke_interval=30, timeout=3600
    )
    to_pdf = CIBatchOperator(
        task_id="to_pdf",
        source=uploads,
        operation=DocProcess(target="pdf"),
        output="pdf/uploads/{dir}{stem}.pdf",
        outlets=[pdfs],
    )
    wait >> to_pdf

with DAG("preview_uploads", schedule=[pdfs], tags=["cloud infinite"], doc_md=__doc__):
    CIBatchOperator(
        task_id="first_page",
        source=ObjectSelection(prefix="pdf/uploads/", suffixes=[".pdf"]),
        operation=DocProcess(target="jpg", start_page=1, end_page=1),
        output="preview/uploads/{dir}{stem}-${Number}.jpg",
    )
