"""Every document under ``inbox/`` becomes a PDF, and its first pages become pictures for a preview.

One damaged document does not stop the others: the report in the bucket names it, and a task fails only when
more than a tenth of its documents do.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, PAGE_SUFFIXES, SHEET_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator

with DAG("convert_documents", schedule=None, tags=["cloud infinite"], doc_md=__doc__):
    CIBatchOperator(
        task_id="to_pdf",
        source=ObjectSelection(prefix="inbox/", suffixes=DOCUMENT_SUFFIXES),
        operation=DocProcess(target="pdf"),
        output="pdf/{dir}{stem}.pdf",
        max_failures="10%",
    )
    CIBatchOperator(
        task_id="to_pages",
        source=ObjectSelection(prefix="inbox/", suffixes=PAGE_SUFFIXES),
        operation=DocProcess(target="png", end_page=2),
        output="pages/{dir}{stem}/${Number}.png",
        max_failures="10%",
    )
    CIBatchOperator(
        task_id="sheets_to_pages",
        source=ObjectSelection(prefix="inbox/", suffixes=SHEET_SUFFIXES),
        operation=DocProcess(target="jpg", end_page=1, quality=85),
        output="pages/{dir}{stem}/sheet-${SheetID}-${Number}.jpg",
        max_failures="10%",
    )
