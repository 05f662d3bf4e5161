"""Lines in every script keep all their characters, in PDFs and in pictures of pages."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as raw
import pytest

from airflow_provider_ci.local.convert import DocumentResult

_LINES = {
    "latin": "Zażółć gęślą jaźń, Großvater, façade, İstanbul, Þórður, Tiếng Việt",
    "greek": "Καλημέρα κόσμε Ωμέγα",
    "cyrillic": "Съешь ещё этих мягких булок, їжак, ђак",
    "chinese": "数据万象把文档转换成图片 臺灣繁體",
    "japanese": "日本語の文書とカタカナ",
    "korean": "안녕하세요 문서 변환",
    "arabic": "مرحبا بالعالم",
    "hebrew": "שלום עולם",
    "thai": "สวัสดีชาวโลก",
    "devanagari": "नमस्ते दुनिया",
    "bengali": "ওহে বিশ্ব",
    "tamil": "வணக்கம்",
    "armenian": "Բարեւ աշխարհ",
    "georgian": "გამარჯობა",
    "symbols": "☎ ✓ ✗ ★ → ⇒ ∑ √ ∞ ≤ ▲ ■ ☐ ☑ © ™ € ₹ ₽ ₩",
    "emoji": "😀 🚀 🎉 👍",
}


def _characters_by_font(pdf: Path) -> dict[str, set[str]]:
    """The characters of a PDF, grouped by the PostScript name of the font that draws them."""
    units: dict[str, list[int]] = {}
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            text = page.get_textpage()
            for index in range(text.count_chars()):
                name = ctypes.create_string_buffer(200)
                raw.FPDFText_GetFontInfo(text.raw, index, name, 200, None)
                font = name.value.decode().rpartition("+")[2]
                units.setdefault(font, []).append(raw.FPDFText_GetUnicode(text.raw, index))
    units.pop("", None)  # line ends
    return {font: set(_decoded(codes)) for font, codes in units.items()}


def _decoded(codes: list[int]) -> list[str]:
    """The characters of these UTF-16 code units, without spaces."""
    text = b"".join(code.to_bytes(2, "little") for code in codes).decode("utf-16-le")
    return [sign for sign in text if sign.isprintable() and not sign.isspace()]


def _has_all(font: str, signs: set[str]) -> bool:
    """Whether fontconfig says that an installed font has all these characters; if not, boxes were drawn."""
    charset = " ".join(f"{ord(sign):x}" for sign in signs)
    command = ["fc-list", f":postscriptname={font}:charset={charset}", "file"]
    return bool(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("suffix", ["txt", "docx", "xlsx"])
def test_a_line_of_every_script_has_all_its_glyphs(
    suffix: str, make: Any, convert: Callable[..., DocumentResult]
) -> None:
    lines = list(_LINES.values())
    paragraphs = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in lines)
    source = {
        "txt": lambda: make.file("a.txt", "\n".join(lines)),
        "docx": lambda: make.docx("a.docx", paragraphs),
        "xlsx": lambda: make.xlsx("a.xlsx", {"A": [[line] for line in lines]}),
    }[suffix]()
    fonts = _characters_by_font(convert(source).pages[0].path)
    shown = set().union(*fonts.values())
    assert {script for script, line in _LINES.items() if set("".join(line.split())) - shown} == set()
    assert {font: signs for font, signs in fonts.items() if not _has_all(font, signs)} == {}
