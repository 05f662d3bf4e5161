"""Every document of a folder becomes a PDF, and its first pages become pictures for a preview.

Trigger it with the defaults, or with a folder of your own: *Trigger* shows a form. One damaged document does
not stop the others. The report in the bucket names it, and a task fails only when more documents failed than
*Failures allowed* says. Run it again: documents that are up to date are skipped.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES, PAGE_SUFFIXES, SHEET_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import DocProcess
from airflow_provider_ci.operators import CIBatchOperator

with DAG(
    "convert_documents",
    description="Documents of a folder become PDFs and page pictures",
    schedule=None,
    tags=["cloud infinite"],
    doc_md=__doc__,
    params={
        "prefix": Param(
            "inbox/",
            type="string",
            minLength=1,
            title="Folder",
            description="What the keys of the documents begin with, such as uploads/",
        ),
        "target": Param(
            "png",
            type="string",
            enum=["png", "jpg"],
            title="Format of page pictures",
            description="Pictures of the first two pages of each text and each presentation",
        ),
        "skip": Param(
            "fresh",
            type="string",
            enum=["fresh", "exists", "never"],
            title="Skip",
            description="fresh: outputs that are up to date; exists: outputs that are newer; never: nothing",
        ),
        "max_failures": Param(
            "10%",
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
        "retry_failed": Param(
            False,
            type="boolean",
            title="Retry failed documents",
            description="Also those whose unchanged content failed for good before",
        ),
    },
    default_args={
        "skip": "{{ 'never' if params.force else params.skip }}",
        "max_failures": "{{ params.max_failures }}",
        "retry_failed": "{{ params.retry_failed }}",
    },
):
    CIBatchOperator(
        task_id="to_pdf",
        source=ObjectSelection(prefix="{{ params.prefix }}", suffixes=DOCUMENT_SUFFIXES),
        operation=DocProcess(target="pdf"),
        output="pdf/{dir}{stem}.pdf",
    )
    CIBatchOperator(
        task_id="to_pages",
        source=ObjectSelection(prefix="{{ params.prefix }}", suffixes=PAGE_SUFFIXES),
        operation=DocProcess(target="{{ params.target }}", end_page=2),
        output="pages/{dir}{stem}/${Number}.{{ params.target }}",
    )
    CIBatchOperator(
        task_id="sheets_to_pages",
        source=ObjectSelection(prefix="{{ params.prefix }}", suffixes=SHEET_SUFFIXES),
        operation=DocProcess(target="jpg", end_page=1, quality=85),
        output="pages/{dir}{stem}/sheet-${SheetID}-${Number}.jpg",
    )
