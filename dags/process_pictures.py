"""Every picture of a folder becomes an upright web picture, and a square thumbnail.

The second task gets the keys from a listing by name, which is fine for a few hundred objects.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_ci.batch import PICTURE_SUFFIXES, ObjectSelection
from airflow_provider_ci.client import PicProcess
from airflow_provider_ci.operators import CIBatchOperator, CIListObjectsOperator

photos = ObjectSelection(prefix="{{ params.prefix }}", suffixes=PICTURE_SUFFIXES)

with DAG(
    "process_pictures",
    description="Pictures of a folder become web pictures and thumbnails",
    schedule=None,
    tags=["cloud infinite"],
    doc_md=__doc__,
    params={
        "prefix": Param(
            "photos/",
            type="string",
            minLength=1,
            title="Folder",
            description="What the keys of the pictures begin with, such as uploads/",
        ),
        "size": Param(
            800,
            type="integer",
            minimum=16,
            maximum=4096,
            title="Size of web pictures",
            description="Longest side in pixels; smaller pictures stay as they are",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Process all again",
            description="Also pictures whose output is up to date",
        ),
        "max_failures": Param(
            "0",
            type="string",
            pattern=r"^\d+%?$",
            title="Failures allowed",
            description="A number of pictures, or a percentage",
        ),
    },
    default_args={
        "skip": "{{ 'never' if params.force else 'fresh' }}",
        "max_failures": "{{ params.max_failures }}",
    },
):
    CIBatchOperator(
        task_id="for_the_web",
        source=photos,
        operation=PicProcess(
            "imageMogr2/auto-orient/thumbnail/{{ params.size }}x{{ params.size }}>/strip"
            "|imageMogr2/format/webp/quality/80"
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
