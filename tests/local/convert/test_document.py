"""Documents of every kind become PDFs and page pictures with the content of the source."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as raw
import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError, DocumentOptions, DocumentResult

Convert = Callable[..., DocumentResult]
Texts = Callable[[Path], list[str]]


def _pdf(result: DocumentResult) -> Path:
    assert len(result.pages) == 1
    return result.pages[0].path


@pytest.mark.parametrize("suffix", ["docx", "docm", "dotx"])
def test_a_word_document_becomes_a_pdf_with_its_text(
    suffix: str, make: Any, convert: Convert, page_texts: Texts
) -> None:
    result = convert(make.docx(f"a.{suffix}", "Quarterly report\fSecond page"))
    assert (result.total_pages, result.total_sheets) == (2, 0)
    assert page_texts(_pdf(result)) == ["Quarterly report", "Second page"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("old.doc", "Words of a document"),
        ("old.xls", "cell of one"),
        ("old.ppt", "first slide"),
        ("new.ods", "cell of one"),
        ("new.odp", "first slide"),
        *[(name, "Words of a document") for name in ("old.dot", "new.docm", "new.dotx")],
        *[(name, "cell of one") for name in ("old.xlt", "new.xlsm", "new.xltx")],
        *[(name, "first slide") for name in ("old.pps", "old.pot", "new.pptm", "new.ppsx", "new.potx")],
    ],
)
def test_what_libreoffice_saved_in_other_formats_converts_too(
    name: str, text: str, saved: Path, convert: Convert, page_texts: Texts
) -> None:
    assert text in page_texts(_pdf(convert(saved / name)))[0]


def test_slides_become_one_page_each(make: Any, convert: Convert, page_texts: Texts) -> None:
    result = convert(make.pptx("a.pptx", ["first slide", "second slide"]))
    assert page_texts(_pdf(result)) == ["first slide", "second slide"]


def test_opendocument_rtf_and_html_convert(make: Any, convert: Convert, page_texts: Texts) -> None:
    assert page_texts(_pdf(convert(make.odt("a.odt", "Open text")))) == ["Open text"]
    assert page_texts(_pdf(convert(make.file("a.rtf", r"{\rtf1\ansi Rich \b text\b0}")))) == ["Rich text"]
    html = "<html><body><h1>Title</h1><p>Body</p></body></html>"
    assert page_texts(_pdf(convert(make.file("a.htm", html))))[0].split() == ["Title", "Body"]


@pytest.mark.parametrize("suffix", ["txt", "log", "c", "java", "xml", "lrc"])
def test_plain_text_types_are_set_as_they_are(
    suffix: str, make: Any, convert: Convert, page_texts: Texts
) -> None:
    result = convert(make.file(f"a.{suffix}", "<one>\n  two &amp; three\n"))
    assert [line.strip() for line in page_texts(_pdf(result))[0].splitlines()] == ["<one>", "two &amp; three"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_text_is_read_in_its_encoding(
    encoding: str, make: Any, convert: Convert, page_texts: Texts
) -> None:
    text = "数据万象把文档转换成图片，表格也可以。"
    assert page_texts(_pdf(convert(make.file("a.txt", text.encode(encoding))))) == [text]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [('<meta charset="gb2312">', "gb18030"), ("", "utf-8"), ('<meta charset="x-no">', "utf-8")],
)
def test_html_is_read_in_the_encoding_that_it_declares(
    head: str, encoding: str, make: Any, convert: Convert, page_texts: Texts
) -> None:
    html = f"<html><head>{head}</head><body>文档转换</body></html>"
    assert page_texts(_pdf(convert(make.file("a.html", html.encode(encoding))))) == ["文档转换"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("name,count\nBolt,12\nNut,7\n", "utf-8"),
        ("name;count\r\nBolt;12\r\nNut;7\r\n", "latin-1"),
        ("name\tcount\nBolt\t12\nNut\t7\n", "utf-16"),
        ('name|count\n"Bolt"|12\nNut|7\n', "utf-8-sig"),
    ],
)
def test_a_csv_becomes_a_table_whatever_its_delimiter(
    content: str, encoding: str, make: Any, convert: Convert, page_texts: Texts
) -> None:
    result = convert(make.file("a.csv", content.encode(encoding)))
    assert page_texts(_pdf(result))[0].split() == ["name", "count", "Bolt", "12", "Nut", "7"]
    assert result.total_sheets == 1


def test_a_csv_in_gb18030_keeps_its_signs(make: Any, convert: Convert, page_texts: Texts) -> None:
    source = make.file("a.csv", "姓名,城市\n张三,深圳\n".encode("gb18030"))
    assert page_texts(_pdf(convert(source)))[0].split() == ["姓名", "城市", "张三", "深圳"]


def test_the_source_type_counts_only_without_an_extension(
    make: Any, convert: Convert, page_texts: Texts
) -> None:
    source = make.docx("a.docx", "Typed")
    assert page_texts(_pdf(convert(source, name="in/plain", source_type="docx"))) == ["Typed"]
    assert page_texts(_pdf(convert(source, name="in.d/a.docx", source_type="txt"))) == ["Typed"]


def test_a_word_file_that_is_really_rtf_is_read_as_rtf(
    make: Any, convert: Convert, page_texts: Texts
) -> None:
    assert page_texts(_pdf(convert(make.file("a.doc", r"{\rtf1\ansi Not OLE}")))) == ["Not OLE"]


def test_pages_become_pictures_of_the_asked_type_and_size(make: Any, convert: Convert) -> None:
    source = make.docx("a.docx", "One\fTwo\fThree")
    result = convert(source, target="png", start_page=2, end_page=3)
    assert [(page.number, page.page, page.sheet) for page in result.pages] == [(1, 2, 0), (2, 3, 0)]
    assert result.total_pages == 3
    with Image.open(result.pages[0].path) as picture:
        assert picture.format == "PNG"
        assert picture.size == pytest.approx((816, 1056), abs=320)
        darkest, lightest = picture.convert("L").getextrema()
        assert isinstance(darkest, int)
        assert darkest < 40
        assert lightest == 255


def test_sheets_are_told_apart_and_numbered(make: Any, convert: Convert) -> None:
    rows = [[f"row {number}"] for number in range(120)]
    source = make.xlsx("a.xlsx", {"Long": rows, "Hidden": [["no"]], "Last": [["end"]]}, hidden=["Hidden"])
    result = convert(source, target="jpg")
    assert result.total_sheets == 3
    numbers = [(page.number, page.sheet, page.page, page.pic_num) for page in result.pages]
    assert numbers == [(1, 1, 1, 1), (2, 1, 2, 2), (3, 1, 3, 3), (4, 3, 1, 1)]


def test_pages_are_counted_within_each_sheet(make: Any, convert: Convert) -> None:
    rows = [[f"row {number}"] for number in range(120)]
    source = make.xlsx("a.xlsx", {"Long": rows, "Other": rows})
    result = convert(source, target="jpg", start_page=2, end_page=2)
    assert [(page.number, page.sheet, page.page) for page in result.pages] == [(1, 1, 2), (2, 2, 2)]


def test_one_sheet_keeps_what_its_formulas_take_from_others(
    make: Any, convert: Convert, page_texts: Texts
) -> None:
    sheets = {"Prices": [["forty-two"]], "Sum": [["=Prices!A1"]]}
    source = make.xlsx("a.xlsx", sheets, hidden=["Sum"])
    result = convert(source, sheet_id=2)
    assert "forty-two" in page_texts(_pdf(result))[0].splitlines()
    assert (result.total_pages, result.total_sheets) == (1, 2)


def test_a_sheet_that_is_not_there_is_refused(make: Any, refusal: Callable[..., ConversionError]) -> None:
    error = refusal(make.xlsx("a.xlsx", {"One": [["1"]]}), sheet_id=2)
    assert error.code == "PageOutOfRange"
    assert "no sheet 2" in error.message


@pytest.mark.parametrize(
    ("options", "points"),
    [
        ({}, (595, 842)),
        ({"paper_size": 1, "paper_direction": 1}, (1684, 1191)),
        ({"paper_size": 2}, (2384, 3370)),
    ],
)
def test_sheets_get_the_paper_that_is_asked_for(
    options: dict[str, int], points: tuple[int, int], make: Any, convert: Convert, real: Any
) -> None:
    result = convert(make.xlsx("a.xlsx", {"One": [["1"]]}), target="png", **options)
    with Image.open(result.pages[0].path) as picture:
        assert picture.size == pytest.approx([side * 96 / 72 for side in points], abs=3)


_REVISED = (
    '<w:p><w:r><w:t xml:space="preserve">kept </w:t></w:r>'
    '<w:del w:id="1" w:author="a"><w:r><w:delText>dropped</w:delText></w:r></w:del>'
    '<w:ins w:id="2" w:author="a"><w:r><w:t>added</w:t></w:r></w:ins>'
    '<w:commentRangeStart w:id="0"/><w:r><w:t xml:space="preserve"> end</w:t></w:r>'
    '<w:commentRangeEnd w:id="0"/>'
    '<w:r><w:commentReference w:id="0"/></w:r></w:p>'
)
_COMMENT = '<w:comment w:id="0" w:author="a"><w:p><w:r><w:t>remarkable</w:t></w:r></w:p></w:comment>'


def _notes(pdf: Path) -> list[str]:
    with pypdfium2.PdfDocument(pdf) as document:
        page = document[0]
        texts = []
        for index in range(raw.FPDFPage_GetAnnotCount(page)):
            buffer = ctypes.create_string_buffer(400)
            size = raw.FPDFAnnot_GetStringValue(
                raw.FPDFPage_GetAnnot(page, index),
                b"Contents",
                ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)),
                400,
            )
            texts.append(buffer.raw[: size - 2].decode("utf-16-le"))
        return [text for text in texts if text]


def test_comments_are_hidden_and_revisions_accepted_by_default(
    make: Any, convert: Convert, page_texts: Texts
) -> None:
    pdf = _pdf(convert(make.docx("a.docx", _REVISED, _COMMENT)))
    assert page_texts(pdf) == ["kept added end"]
    assert _notes(pdf) == []


def test_comments_and_revisions_are_shown_when_asked_for(
    make: Any, convert: Convert, page_texts: Texts
) -> None:
    pdf = _pdf(convert(make.docx("a.docx", _REVISED, _COMMENT), comments=1))
    assert "dropped" in page_texts(pdf)[0]
    assert "remarkable" in _notes(pdf)


def test_picture_rules_are_applied_to_each_page(make: Any, convert: Convert) -> None:
    source = make.docx("a.docx", "One\fTwo")
    result = convert(source, target="jpg", image_params="imageMogr2/thumbnail/200x/|imageMogr2/grayscale/1")
    for page in result.pages:
        with Image.open(page.path) as picture:
            assert (picture.format, picture.mode, picture.size[0]) == ("JPEG", "L", 200)


@pytest.mark.parametrize(
    "name", ["locked.docx", "locked.xlsx", "locked.pptx", "locked.odt", "locked.doc", "locked.xls"]
)
def test_a_locked_document_opens_only_with_its_password(
    name: str, saved: Path, convert: Convert, refusal: Callable[..., ConversionError], page_texts: Texts
) -> None:
    assert refusal(saved / name).code == "PasswordRequired"
    assert refusal(saved / name, password="wrong").code == "WrongPassword"
    text = page_texts(_pdf(convert(saved / name, password="geheim")))[0]
    assert any(words in text for words in ("Words of a document", "cell of one", "first slide"))


def test_a_password_that_is_not_needed_does_no_harm(make: Any, convert: Convert, page_texts: Texts) -> None:
    assert page_texts(_pdf(convert(make.docx("a.docx", "Open"), password="x"))) == ["Open"]


def test_linked_content_is_not_fetched(make: Any, convert: Convert, page_texts: Texts) -> None:
    """Nothing is read from the disk or the network; a document could otherwise show this machine's files."""
    secret = make.file("secret.txt", "the-secret")
    section = (
        '<text:section text:name="s"><text:section-source xlink:href="'
        f'{secret.as_uri()}" xlink:show="embed" text:filter-name="Text"/><text:p>old</text:p></text:section>'
    )
    assert page_texts(_pdf(convert(make.odt("a.odt", section)))) == ["old"]


@pytest.mark.parametrize(
    "options",
    [
        {"target": "gif"},
        {"zoom": 5},
        {"image_dpi": 700},
        {"paper_size": 3},
        {"comments": 2},
        {"pic_pagination": 9},
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match=next(iter(options))) as caught:
        DocumentOptions(**{"target": "png", **options})
    assert caught.value.code == "InvalidParameter"


def test_the_password_does_not_show() -> None:
    assert "geheim" not in repr(DocumentOptions(target="pdf", password="geheim"))
