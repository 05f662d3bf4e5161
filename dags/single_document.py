"""One document becomes a PDF, its first page a picture, and that picture a thumbnail.

The three jobs show three ways to wait: with a sensor, in place, and in the triggerer.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_ci.client import DocProcess, PicProcess
from airflow_provider_ci.operators import CIDocProcessOperator, CIPicProcessOperator
from airflow_provider_ci.sensors import CIJobSensor

with DAG(
    "single_document",
    description="One document, its first page and a thumbnail, in three ways to wait",
    schedule=None,
    tags=["cloud infinite"],
    params={
        "document": Param(
            "inbox/reports/annual-review-2025.docx",
            type="string",
            minLength=1,
            title="Document",
            description="Key of a document in the bucket",
        ),
        "folder": Param(
            "single",
            type="string",
            minLength=1,
            maxLength=200,
            title="Output folder",
            description="Folder of the three results, without a / at its end",
        ),
    },
    doc_md=__doc__,
):
    submit = CIDocProcessOperator(
        task_id="submit",
        input_key="{{ params.document }}",
        output_key="{{ params.folder }}/document.pdf",
        operation=DocProcess(target="pdf"),
        wait_for_completion=False,
    )
    wait = CIJobSensor(task_id="wait", job_ids=submit.output, mode="reschedule", poke_interval=5, timeout=600)
    first_page = CIDocProcessOperator(
        task_id="first_page",
        input_key="{{ params.folder }}/document.pdf",
        output_key="{{ params.folder }}/page-${Number}.png",
        operation=DocProcess(target="png", start_page=1, end_page=1),
        poll_interval=5,
    )
    thumbnail = CIPicProcessOperator(
        task_id="thumbnail",
        input_key="{{ params.folder }}/page-1.png",
        output_key="{{ params.folder }}/thumbnail.jpg",
        operation=PicProcess("imageMogr2/thumbnail/240x/format/jpg"),
        deferrable=True,
        poll_interval=5,
    )
    submit >> wait >> first_page >> thumbnail
