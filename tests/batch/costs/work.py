"""The operations of these tests; child processes import this module without pytest and Airflow."""

from __future__ import annotations

from airflow_provider_ci.batch import Step
from airflow_provider_ci.client import DocProcess, PicProcess

PDF = DocProcess(target="pdf")
THUMB = DocProcess(target="jpg", start_page=1, end_page=1)
SMALL = PicProcess("imageMogr2/thumbnail/!50p")
SIDE_BY_SIDE = {"pdf": (PDF, "pdf/{stem}.pdf"), "thumb": (THUMB, "thumbs/{stem}.jpg")}
CHAIN = {
    "pdf": (PDF, "pdf/{stem}.pdf"),
    "thumb": Step(THUMB, "thumbs/{stem}.jpg", after="pdf"),
    "small": Step(SMALL, "small/{stem}.jpg", after="thumb"),
}
