"""Every picture under ``photos/`` becomes an upright web picture, and a square thumbnail."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_ci.batch import PICTURE_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import PicProcess
from airflow_provider_ci.operators import CIBatchOperator, CIListObjectsOperator

photos = ObjectSelection(prefix="photos/", suffixes=PICTURE_SUFFIXES)

with DAG("process_pictures", schedule=None, tags=["cloud infinite"], doc_md=__doc__):
    CIBatchOperator(
        task_id="for_the_web",
        source=photos,
        operation=PicProcess(
            "imageMogr2/auto-orient/thumbnail/800x800>/strip|imageMogr2/format/webp/quality/80"
        ),
        output="pictures/web/{stem}.webp",
    )
    list_photos = CIListObjectsOperator(task_id="list_photos", source=photos)
    CIBatchOperator(
        task_id="thumbnails",
        source=list_photos.output,
        operation=PicProcess("imageMogr2/auto-orient|imageView2/1/w/160/h/160/format/jpg/q/85"),
        output="pictures/thumbnails/{stem}.jpg",
    )
