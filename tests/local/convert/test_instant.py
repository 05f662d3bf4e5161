"""Instant converters write valid files at once, and still refuse senseless requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError, DocumentOptions, InstantConverters


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"anything")
    return path


def test_a_pdf_has_one_page(source: Path, tmp_path: Path) -> None:
    result = InstantConverters().document(source, "a.docx", DocumentOptions(target="pdf"), tmp_path)
    assert (result.total_pages, result.total_sheets, len(result.pages)) == (1, 0, 1)
    with pypdfium2.PdfDocument(result.pages[0].path) as document:
        assert len(document) == 1


@pytest.mark.parametrize(
    ("options", "pages"),
    [
        ({}, [1]),
        ({"start_page": 3}, [3]),
        ({"start_page": 3, "end_page": 5}, [3, 4, 5]),
        ({"page_ranges": "1,7"}, [1, 7]),
        ({"end_page": 3, "pic_pagination": 1}, [1]),
    ],
)
@pytest.mark.parametrize(("target", "written"), [("png", "PNG"), ("jpg", "JPEG")])
def test_every_page_that_is_asked_for_is_a_picture(
    target: str, written: str, options: dict[str, Any], pages: list[int], source: Path, tmp_path: Path
) -> None:
    result = InstantConverters().document(
        source, "a.xlsx", DocumentOptions(target=target, **options), tmp_path
    )
    assert [(page.number, page.page, page.sheet) for page in result.pages] == [
        (number, page, 1) for number, page in enumerate(pages, start=1)
    ]
    for page in result.pages:
        with Image.open(page.path) as picture:
            assert picture.format == written


@pytest.mark.parametrize(
    ("rule", "name", "written"),
    [
        ("imageMogr2/format/webp", "a.png", "WEBP"),
        ("imageMogr2/strip", "a.jpg", "JPEG"),
        ("imageMogr2/strip", "a", "PNG"),
    ],
)
def test_a_picture_has_the_format_of_the_rule_or_the_name(
    rule: str, name: str, written: str, source: Path, tmp_path: Path
) -> None:
    result = InstantConverters().picture(source, rule, tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert (picture.format, picture.size) == (written, (result.output.width, result.output.height))


@pytest.mark.parametrize(
    ("name", "content", "options", "code"),
    [
        ("a.docx", b"", {}, "EmptyFile"),
        ("a.exe", b"x", {}, "UnsupportedType"),
        ("a.docx", b"x", {"page_ranges": "b"}, "InvalidParameter"),
        ("a.docx", b"x", {"start_page": 5, "end_page": 2}, "PageOutOfRange"),
        ("a.docx", b"x", {"image_params": "imageMogr2/what/1"}, "InvalidRule"),
    ],
)
def test_what_makes_no_sense_is_refused(
    name: str, content: bytes, options: dict[str, Any], code: str, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(content)
    with pytest.raises(ConversionError) as caught:
        InstantConverters().document(
            tmp_path / "in", name, DocumentOptions(target="png", **options), tmp_path
        )
    assert caught.value.code == code


def test_a_picture_rule_that_makes_no_sense_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError) as caught:
        InstantConverters().picture(source, "imageMogr2/what/1", tmp_path / "out")
    assert caught.value.code == "InvalidRule"
    assert not (tmp_path / "out").exists()
