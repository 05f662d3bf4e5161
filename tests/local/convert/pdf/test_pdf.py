"""PDF sources: pictures of their pages in the right size, passwords, page selection, limits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError, DocumentOptions, DocumentResult
from airflow_provider_ci.local.convert.pdf.pages import Sheet, select_pages

Convert = Callable[..., DocumentResult]
Refusal = Callable[..., ConversionError]

_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def _rc4(key: bytes, content: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in content:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def _encryption(password: str) -> str:
    """Trailer entries for a PDF that needs a password to open (revision 2); its content stays unencrypted."""
    padded = (password.encode() + _PADDING)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    key = hashlib.md5(padded + owner + b"\xfc\xff\xff\xff" + b"0123456789abcdef").digest()[:5]
    user = _rc4(key, _PADDING)
    return (
        f"/Encrypt<</Filter/Standard/V 1/R 2/O<{owner.hex()}>/U<{user.hex()}>/P -4>>"
        f"/ID[<{b'0123456789abcdef'.hex()}><{b'0123456789abcdef'.hex()}>]"
    )


def _sizes(result: DocumentResult) -> list[tuple[int, int]]:
    sizes = []
    for page in result.pages:
        with Image.open(page.path) as picture:
            sizes.append(picture.size)
    return sizes


def test_a_pdf_passes_through_to_pdf(make: Any, convert: Convert, page_texts: Any) -> None:
    result = convert(make.pdf("a.pdf", 5))
    assert result.total_pages == 5
    assert page_texts(result.pages[0].path) == [f"page {number}" for number in range(1, 6)]


def test_pages_are_96_dots_per_inch_unless_asked_otherwise(make: Any, convert: Convert) -> None:
    source = make.pdf("a.pdf", size=(720, 360))
    assert _sizes(convert(source, target="png")) == [(960, 480)]
    assert _sizes(convert(source, target="png", image_dpi=144)) == [(1440, 720)]
    assert _sizes(convert(source, target="jpg", zoom=50)) == [(480, 240)]


def test_a_page_shows_its_own_text(make: Any, convert: Convert) -> None:
    """The pages are distinguished by their amount of ink: "page 11" has more than "page 1"."""
    result = convert(make.pdf("a.pdf", 11), target="png", page_ranges="1,11")
    ink = []
    for page in result.pages:
        with Image.open(page.path) as picture:
            ink.append(picture.convert("L").histogram()[0])
    assert ink[1] > ink[0] > 0


@pytest.mark.parametrize(
    ("options", "pages"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"start_page": 5}, [5, 6]),
        ({"start_page": 0, "end_page": 0}, [1, 2, 3, 4, 5, 6]),
        ({"start_page": 2, "end_page": 3}, [2, 3]),
        ({"end_page": 99}, [1, 2, 3, 4, 5, 6]),
        ({"page_ranges": "6,1-2,2"}, [1, 2, 6]),
        ({"page_ranges": "3", "start_page": 1, "end_page": 1}, [3]),
        ({"page_ranges": "5-5000"}, [5, 6]),
    ],
)
def test_pages_are_selected(options: dict[str, Any], pages: list[int], make: Any, convert: Convert) -> None:
    result = convert(make.pdf("a.pdf", 6, size=(72, 72)), target="png", **options)
    assert [page.page for page in result.pages] == pages
    assert [page.number for page in result.pages] == list(range(1, len(pages) + 1))


def test_jpg_quality_decides_the_size_of_the_file(make: Any, convert: Convert) -> None:
    source = make.pdf("a.pdf")
    sizes = [
        convert(source, target="jpg", quality=quality).pages[0].path.stat().st_size
        for quality in (10, 60, 100, 109)
    ]
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3]


def test_one_long_picture_holds_all_pages(make: Any, convert: Convert) -> None:
    result = convert(make.pdf("a.pdf", 3, size=(72, 144)), target="jpg", pic_pagination=1)
    assert _sizes(result) == [(96, 3 * 192)]
    assert [(page.number, page.page) for page in result.pages] == [(1, 1)]


def test_a_long_picture_of_over_twenty_pages_is_refused(make: Any, refusal: Refusal) -> None:
    error = refusal(make.pdf("a.pdf", 21, size=(72, 72)), target="jpg", pic_pagination=1)
    assert "limit is 20" in error.message


def test_a_locked_pdf_opens_only_with_its_password(make: Any, convert: Convert, refusal: Refusal) -> None:
    source = make.pdf("a.pdf", 2, extra=_encryption("geheim"))
    assert refusal(source, target="png").code == "PasswordRequired"
    assert refusal(source, target="png", password="wrong").code == "WrongPassword"
    assert len(convert(source, target="png", password="geheim").pages) == 2
    opened = convert(source, password="geheim").pages[0].path
    with pypdfium2.PdfDocument(opened) as document:
        assert len(document) == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"start_page": 9}, "PageOutOfRange"),
        ({"page_ranges": "7-9"}, "PageOutOfRange"),
        ({"page_ranges": "3-1"}, "InvalidParameter"),
        ({"page_ranges": "x"}, "InvalidParameter"),
        ({"image_params": "imageMogr2/thumbnail/abc"}, "InvalidRule"),
    ],
)
def test_pages_that_are_not_there_are_refused(
    options: dict[str, Any], code: str, make: Any, refusal: Refusal
) -> None:
    assert refusal(make.pdf("a.pdf", 2), target="png", **options).code == code


def test_a_page_too_large_to_draw_is_refused_with_its_size(make: Any, refusal: Refusal) -> None:
    error = refusal(make.pdf("a.pdf", size=(14_400, 14_400)), target="png", image_dpi=600)
    assert error.code == "ImageTooLarge"
    assert "120000 x 120000" in error.message


@pytest.mark.parametrize("content", [b"%PDF-1.4\nnothing", b"random" * 100])
def test_a_damaged_pdf_is_refused(content: bytes, make: Any, refusal: Refusal) -> None:
    assert refusal(make.file("a.pdf", content)).code == "DamagedFile"


def test_no_more_than_five_thousand_pages_are_drawn() -> None:
    pages = select_pages(DocumentOptions(target="png"), [Sheet(number=0, first=0, count=6000)])
    assert (len(pages), pages[-1].number) == (5000, 5000)


def test_nothing_is_left_beside_the_results(make: Any, convert: Convert) -> None:
    result = convert(make.pdf("a.pdf", 2), target="png")
    folder = Path(result.pages[0].path).parent
    assert sorted(path.name for path in folder.iterdir()) == ["page-1.png", "page-2.png"]
