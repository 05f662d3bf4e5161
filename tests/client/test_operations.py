"""DocProcess and PicProcess: values that the constructor rejects, and values that are checked later."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_provider_ci.client import DocProcess, PicProcess

WRONG = [
    ({"target": "docx"}, "target must be one of pdf, png, jpg, not 'docx'"),
    ({"start_page": 0}, "start_page must be at least 1, not 0"),
    ({"end_page": 0}, "end_page must be at least 1 or -1, not 0"),
    ({"sheet_id": -1}, "sheet_id must be at least 0"),
    ({"paper_size": 3}, "paper_size must be from 0 to 2"),
    ({"comments": 2}, "comments must be from 0 to 1"),
    ({"quality": 101}, "quality must be from 1 to 100, not 101"),
    ({"zoom": 9}, "zoom must be from 10 to 200"),
    ({"image_dpi": 72}, "image_dpi must be from 96 to 600"),
    ({"pic_pagination": 2}, "pic_pagination must be from 0 to 1"),
    ({"quality": "high"}, "quality must be a whole number, not 'high'"),
    ({"quality": 1.5}, "quality must be a whole number"),
    ({"quality": True}, "quality must be a whole number"),
    ({"page_ranges": "1-"}, "page_ranges must look like '1,2-4,7', not '1-'"),
    ({"page_ranges": "1, 2"}, "page_ranges must look like"),
]


@pytest.mark.parametrize(("arguments", "complaint"), WRONG)
def test_a_document_operation_refuses_what_the_page_excludes(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=f"DocProcess.{complaint}"):
        DocProcess(**arguments)


@pytest.mark.parametrize(
    "name", [each.name for each in dataclasses.fields(DocProcess) if each.name != "extra"]
)
def test_templates_pass_until_they_are_rendered(name: str) -> None:
    arguments: dict[str, Any] = {name: "{{ params.value }}"}
    assert getattr(DocProcess(**arguments), name) == "{{ params.value }}"


def test_a_rendered_number_is_a_number() -> None:
    arguments: dict[str, Any] = {"image_dpi": "200", "end_page": "-1"}
    operation = DocProcess("png", **arguments)
    assert (operation.image_dpi, operation.end_page) == (200, -1)
    assert operation == DocProcess("png", image_dpi=200, end_page=-1)


def test_a_rendered_number_is_checked() -> None:
    arguments: dict[str, Any] = {"image_dpi": "20"}
    with pytest.raises(ValueError, match="image_dpi must be from 96 to 600, not '20'"):
        DocProcess("png", **arguments)


def test_operations_can_be_compared_hashed_and_changed() -> None:
    first, second = DocProcess("png", quality=90), DocProcess("png", quality=90, extra={"A": 1})
    assert hash(first) == hash(second)
    assert first != second
    assert dataclasses.replace(first, quality=80).quality == 80
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.quality = 80  # type: ignore[misc]


@pytest.mark.parametrize("rule", ["", "  ", None])
def test_a_picture_operation_needs_a_rule(rule: Any) -> None:
    with pytest.raises(ValueError, match=r"PicProcess\.rule must be a processing rule"):
        PicProcess(rule)


def test_a_rule_has_ten_steps_at_most() -> None:
    PicProcess("|".join(["imageMogr2/rotate/90"] * 10))
    with pytest.raises(ValueError, match="has 11 steps, more than the 10 allowed"):
        PicProcess("|".join(["imageMogr2/rotate/90"] * 11))
    assert PicProcess("{{ 'a|b|c|d|e|f|g|h|i|j|k|l' }}").rule.startswith("{{")
