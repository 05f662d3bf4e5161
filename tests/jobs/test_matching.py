from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import DocProcess, Job, JobState, PicProcess, PicTemplate
from airflow_provider_ci.jobs import matches_keys, matches_operation, user_data_matches


def job(operation: dict[str, Any] | None = None, tag: str = "DocProcess", **values: Any) -> Job:
    return Job(
        job_id="d1",
        tag=tag,
        state=JobState.RUNNING,
        created_at=datetime(2026, 5, 1, tzinfo=timezone.utc),
        raw={} if operation is None else {"Operation": operation},
        **values,
    )


def document(**echo: str) -> Job:
    return job({"DocProcess": echo})


RECORDED = {
    **{"Comments": "1", "DocPassword": "", "EndPage": "-1", "ImageDpi": "96", "ImageParams": ""},
    **{"PageRanges": "", "PaperDirection": "0", "PaperSize": "0", "PicPagination": "0", "Quality": "100"},
    **{"SheetId": "0", "SrcType": "", "StartPage": "0", "TgtType": "", "Zoom": "100"},
}
"""The echoed parameters of an operation that set none (1045/51266)."""


@pytest.mark.parametrize(
    "operation",
    [
        DocProcess(),
        DocProcess(target=None),
        DocProcess(target="png", end_page=-1, start_page=1),
        DocProcess(password="secret"),
        DocProcess(quality=100, zoom=100, image_dpi=96, comments=1),
    ],
)
def test_defaults_that_the_service_fills_in_are_no_difference(operation: DocProcess) -> None:
    assert matches_operation(document(**RECORDED), operation)


@pytest.mark.parametrize("echo", ["-1", "0", "5000", "5001"])
def test_all_pages_are_echoed_in_many_ways(echo: str) -> None:
    assert matches_operation(document(EndPage=echo), DocProcess(end_page=-1))
    assert not matches_operation(document(EndPage=echo), DocProcess(end_page=7))


@pytest.mark.parametrize(
    ("operation", "echo"),
    [
        (DocProcess(target="pdf"), {"TgtType": "jpg"}),
        (DocProcess(start_page=2), {"StartPage": "1"}),
        (DocProcess(image_dpi=300), {"ImageDpi": "100"}),
        (DocProcess(comments=0), {"Comments": "1"}),
        (DocProcess(page_ranges="1,3"), {"PageRanges": "1-3"}),
        (DocProcess(image_params="imageMogr2/format/PNG"), {"ImageParams": "imageMogr2/format/png"}),
        (DocProcess(extra={"New": "a"}), {"New": "b"}),
    ],
)
def test_what_was_set_and_is_echoed_otherwise_is_another_operation(
    operation: DocProcess, echo: dict[str, str]
) -> None:
    assert not matches_operation(document(**echo), operation)


@pytest.mark.parametrize(
    "echo",
    [
        {"EndPage": "3"},
        {"StartPage": "2"},
        {"PageRanges": "1,3"},
        {"SheetId": "2"},
        {"PaperDirection": "1"},
        {"PaperSize": "2"},
        {"ImageParams": "imageMogr2/strip"},
        {"Quality": "50"},
        {"Zoom": "150"},
        {"ImageDpi": "300"},
        {"PicPagination": "1"},
    ],
)
def test_a_job_that_sets_more_is_another_one(echo: dict[str, str]) -> None:
    """For example, a job that converts three pages is not a conversion of the whole document."""
    assert not matches_operation(document(**RECORDED | echo), DocProcess(target="pdf"))
    assert not matches_operation(document(**echo), DocProcess(target="pdf"))


def test_a_parameter_that_we_do_not_know_is_no_difference() -> None:
    assert matches_operation(document(**RECORDED, Watermark="0"), DocProcess())


def test_an_empty_or_missing_echo_says_nothing() -> None:
    for found in (job(), job({}), job({"DocProcess": ""}), document(TgtType=""), document()):
        assert matches_operation(found, DocProcess(target="png", image_dpi=300))


def test_the_case_of_types_and_booleans_is_no_difference() -> None:
    assert matches_operation(document(TgtType="PDF"), DocProcess(target="pdf"))
    picture = job({"PicProcess": {"IsPicInfo": "True", "ProcessRule": "imageMogr2/strip"}}, "PicProcess")
    assert matches_operation(picture, PicProcess("imageMogr2/strip", is_pic_info=True))
    assert not matches_operation(picture, PicProcess("imageMogr2/strip", is_pic_info=False))
    assert not matches_operation(picture, PicProcess("imageMogr2/Strip"))


def test_a_template_is_told_from_a_rule() -> None:
    template_id = "t" + "1" * 32
    by_template = job({"TemplateId": template_id}, "PicProcess")
    assert matches_operation(by_template, PicTemplate(template_id))
    assert not matches_operation(by_template, PicTemplate("t" + "2" * 32))
    assert not matches_operation(by_template, PicProcess("imageMogr2/strip"))


@pytest.mark.parametrize(
    ("echo", "says"),
    [
        ("token-4-1", True),
        ("token-4", None),
        ("t", None),
        ("", None),
        ("token-4-12", False),
        ("other", False),
    ],
)
def test_user_data_may_be_cut_or_missing(echo: str, says: bool | None) -> None:
    assert user_data_matches(job(user_data=echo), "token-4-1") is says


def test_a_slash_before_keys_is_no_difference() -> None:
    found = job(input_key="/in/a.docx", output_key="/out/a.pdf")
    assert matches_keys(found, "in/a.docx", "out/a.pdf")
    assert not matches_keys(found, "in/a.docx", "out/b.pdf")
