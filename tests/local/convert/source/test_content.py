"""A file whose content is not of the kind that its name says is refused; the error names the real kind."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local.convert import ConversionError, DocumentResult
from tests.local.convert.compounds import compound_file

Convert = Callable[..., DocumentResult]
Refusal = Callable[..., ConversionError]
_XML_2003 = '<?xml version="1.0"?><?mso-application progid="{0}"?><root xmlns="{1}"/>'

# For each kind: the function that writes the content, and the words for the kind in messages.
_CONTENTS: dict[str, tuple[Callable[[Any], Path], str]] = {
    "docx": (lambda make: make.docx("x.docx", "text"), "a Word document"),
    "xlsx": (lambda make: make.xlsx("x.xlsx", {"A": [["cell"]]}), "an Excel workbook"),
    "pptx": (lambda make: make.pptx("x.pptx", ["slide"]), "a PowerPoint presentation"),
    "odt": (lambda make: make.odt("x.odt", "text"), "an OpenDocument text"),
    "pdf": (lambda make: make.pdf("x.pdf"), "a PDF"),
    "rtf": (lambda make: make.file("x.rtf", r"{\rtf1 text}"), "RTF"),
    "html": (lambda make: make.file("x.html", "<!DOCTYPE html><html><body>x</body></html>"), "HTML"),
    "html table": (lambda make: make.file("x.htm", "\ufeff\r\n<table><tr><td>1</td></tr></table>"), "HTML"),
    "excel 2003": (
        lambda make: make.file(
            "x.xml", _XML_2003.format("Excel.Sheet", "urn:schemas-microsoft-com:office:spreadsheet")
        ),
        "SpreadsheetML",
    ),
    "word 2003": (
        lambda make: make.file(
            "x.xml",
            _XML_2003.format("Word.Document", "http://schemas.microsoft.com/office/word/2003/wordml"),
        ),
        "WordprocessingML",
    ),
    "web archive": (lambda make: make.file("x.mht", "MIME-Version: 1.0\nContent-Type: multipart"), "MHTML"),
    "mail": (lambda make: make.file("x.eml", "From: a@b.c\nSubject: x\nMIME-Version: 1.0\n\nx"), "MHTML"),
    "text": (lambda make: make.file("x.txt", "only words"), "plain text"),
    "png": (lambda make: make.file("x.png", b"\x89PNG\r\n\x1a\n" + bytes(40)), "a png picture"),
    "zip": (lambda make: _archive(make.folder / "x.zip", {"readme.txt": "x"}), "a zip archive without"),
    "package": (lambda make: _empty_package(make.folder / "x.bin"), "an Office package without a document"),
    "doc": (lambda make: compound_file(make.folder / "x.ole", "WordDocument"), "a Word document"),
    "xls": (lambda make: compound_file(make.folder / "x.ole", "Workbook"), "an Excel workbook"),
    "ppt": (
        lambda make: compound_file(make.folder / "x.ole", "PowerPoint Document"),
        "a PowerPoint presentation",
    ),
    "word 2": (lambda make: make.file("x.doc", b"\xdb\xa5\x2d\x00" + bytes(400)), "an old Word document"),
    "msg": (
        lambda make: compound_file(make.folder / "x.ole", "__properties_version1.0"),
        "an Outlook message",
    ),
}
_KINDS = {
    "word": (["docx", "doc", "docm", "odt"], {"docx", "doc", "odt", "rtf", "word 2"}),
    "sheet": (["xlsx", "xls", "xlsb", "ods"], {"xlsx", "xls"}),
    "slides": (["pptx", "ppt", "odp"], {"pptx", "ppt"}),
    "table": (["csv"], {"text"}),
    "page": (["html"], {"text", "html", "html table"}),
    "text": (
        ["txt"],
        {"rtf", "html", "html table", "excel 2003", "word 2003", "web archive", "mail", "text"},
    ),
    "pdf": (["pdf"], {"pdf"}),
}
_WRONG = [
    (content, suffix)
    for suffixes, fitting in _KINDS.values()
    for suffix in suffixes
    for content in _CONTENTS
    if content not in fitting
]


def _archive(path: Path, parts: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def _empty_package(path: Path) -> Path:
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"/>',
    }
    return _archive(path, parts)


@pytest.mark.parametrize(("content", "suffix"), _WRONG)
def test_another_kind_than_the_name_says_is_refused_by_what_it_is(
    content: str, suffix: str, make: Any, refusal: Refusal
) -> None:
    write, words = _CONTENTS[content]
    error = refusal(make.file(f"a.{suffix}", write(make).read_bytes()))
    assert error.code == "DamagedFile"
    assert words in error.message


@pytest.mark.parametrize(
    ("content", "suffix", "text"),
    [("docx", "doc", "text"), ("xlsx", "xls", "cell"), ("pptx", "ppt", "slide"), ("xlsx", "xlsb", "cell")],
)
def test_the_new_form_under_an_old_name_converts(
    content: str, suffix: str, text: str, make: Any, convert: Convert, page_texts: Any
) -> None:
    source = make.file(f"a.{suffix}", _CONTENTS[content][0](make).read_bytes())
    assert text in page_texts(convert(source).pages[0].path)[0]


def _record(number: int, content: bytes) -> bytes:
    return struct.pack("<HH", number, len(content)) + content


def _old_workbook(version: int) -> bytes:
    """A workbook of Excel 2, 3 or 4: a stream of records with one cell."""
    text = b"old cell"
    if version == 2:
        start, cell = struct.pack("<HH", 2, 16), struct.pack("<HH3xB", 0, 0, len(text))
        return _record(0x0009, start) + _record(0x0004, cell + text) + _record(0x000A, b"")
    start, cell = struct.pack("<HHH", version, 16, 0), struct.pack("<HHHH", 0, 0, 0, len(text))
    first = {3: 0x0209, 4: 0x0409}[version]
    return _record(first, start) + _record(0x0204, cell + text) + _record(0x000A, b"")


@pytest.mark.parametrize("version", [2, 3, 4])
def test_workbooks_of_old_excel_convert(version: int, make: Any, convert: Convert, page_texts: Any) -> None:
    source = make.file("a.xls", _old_workbook(version))
    assert page_texts(convert(source).pages[0].path)[0].splitlines()[0] == "old cell"


@pytest.mark.parametrize("name", ["in/plain", "plain", "in.d/plain"])
def test_a_key_without_a_suffix_is_told_what_to_give(name: str, make: Any, refusal: Refusal) -> None:
    error = refusal(make.file("x", b"x"), name=name)
    assert (
        error.message
        == f"the type of {name} is not known: the name has no extension; give its type as SrcType"
    )


@pytest.mark.parametrize(
    ("name", "seen"),
    [("in/Annual report 2025.docx", "Annual report 2025.docx"), ("合同 草案.docx", "合同 草案.docx"),
     (f"in/{'x' * 250}.docx", "document.docx"), ("in/a\tb.docx", "document.docx")],
)  # fmt: skip
def test_fields_show_the_name_of_the_object(
    name: str, seen: str, make: Any, convert: Convert, page_texts: Any
) -> None:
    field = '<w:p><w:fldSimple w:instr=" FILENAME {} "><w:r><w:t>old</w:t></w:r></w:fldSimple></w:p>'
    source = make.docx("a.docx", field.format("") + field.format("\\p"))
    assert page_texts(convert(source, name=name).pages[0].path)[0].splitlines() == [seen, seen]


_REVISED = (
    '<w:p><w:r><w:t xml:space="preserve">kept </w:t></w:r><w:del w:id="1" w:author="a"><w:r><w:delText>'
    'dropped</w:delText></w:r></w:del><w:ins w:id="2" w:author="a"><w:r><w:t>added</w:t></w:r></w:ins></w:p>'
)
_LOCK = (
    ' w:cryptProviderType="rsaAES" w:cryptAlgorithmSid="14" w:cryptSpinCount="100000" w:hash="ab" w:salt="ab"'
)


@pytest.mark.parametrize(
    "settings",
    [
        *(
            f'<w:documentProtection w:edit="{edit}" w:enforcement="1"{lock}/>'
            for edit in ("readOnly", "trackedChanges", "comments", "forms")
            for lock in ("", _LOCK)
        ),
        '<w:writeProtection w:recommended="1"/>',
    ],
)
def test_changes_are_accepted_in_protected_documents(
    settings: str, make: Any, convert: Convert, page_texts: Any
) -> None:
    source = make.docx("a.docx", _REVISED, settings=settings)
    assert page_texts(convert(source).pages[0].path) == ["kept added"]
