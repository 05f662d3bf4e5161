"""Which sheets are printed, with which headers; values of a csv file stay as they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.local.convert import DocumentResult
from airflow_provider_ci.local.convert.text.table import delimiter_of

Convert = Callable[..., DocumentResult]
_SHEETS = {
    "One": [["first"], ["outside"]],
    "Two": [["second"], ["outside"]],
    "Three": [["third"], ["outside"]],
}


def _book(make: Any, areas: list[str], hidden: dict[str, str] | None = None, name: str = "a.xlsx") -> Any:
    names = "".join(
        f'<definedName name="_xlnm.Print_Area" localSheetId="{number}">{sheet}!$A$1:$A$1</definedName>'
        for number, sheet in enumerate(_SHEETS)
        if sheet in areas
    )
    return make.xlsx(name, _SHEETS, hidden=hidden or {}, names=names)


def _printed(result: DocumentResult, page_texts: Any) -> list[str]:
    return [text.split()[0] for text in page_texts(result.pages[0].path)]


@pytest.mark.parametrize("areas", [[], ["One"], ["One", "Two"], ["One", "Two", "Three"]])
@pytest.mark.parametrize(
    ("sheet_id", "texts"),
    [(0, ["first", "second", "third"]), (1, ["first"]), (2, ["second"]), (3, ["third"])],
)
def test_the_sheets_that_are_asked_for_are_printed_whatever_their_print_areas(
    areas: list[str], sheet_id: int, texts: list[str], make: Any, convert: Convert, page_texts: Any
) -> None:
    result = convert(_book(make, areas), sheet_id=sheet_id)
    assert _printed(result, page_texts) == texts
    sheets = [list(_SHEETS)[sheet_id - 1]] if sheet_id else list(_SHEETS)
    for text, sheet in zip(page_texts(result.pages[0].path), sheets, strict=True):
        assert ("outside" in text) == (sheet not in areas)


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
@pytest.mark.parametrize("areas", [[], ["Two"], ["One", "Two", "Three"]])
def test_hidden_sheets_are_not_printed(
    areas: list[str], state: str, make: Any, convert: Convert, page_texts: Any
) -> None:
    book = _book(make, areas, {"Two": state})
    assert _printed(convert(book), page_texts) == ["first", "third"]
    assert _printed(convert(book, sheet_id=3), page_texts) == ["third"]
    assert _printed(convert(book, sheet_id=2), page_texts) == ["second"]


def test_pictures_of_sheets_with_print_areas_are_numbered_by_sheet(make: Any, convert: Convert) -> None:
    result = convert(_book(make, ["One", "Two", "Three"], {"Two": "hidden"}), target="png")
    assert [(page.sheet, page.page) for page in result.pages] == [(1, 1), (3, 1)]


@pytest.mark.parametrize("code", ["&amp;F", "&amp;Z&amp;F"])
@pytest.mark.parametrize("edge", ["Header", "Footer"])
@pytest.mark.parametrize("page", ["odd", "even", "first"])
def test_headers_show_the_name_of_the_object(
    page: str, edge: str, code: str, make: Any, convert: Convert, page_texts: Any
) -> None:
    name = f"{page}{edge}"
    end = (
        '<rowBreaks count="2" manualBreakCount="2"><brk id="1" max="9" man="1"/><brk id="2" max="9" man="1"/>'
        f'</rowBreaks><headerFooter differentOddEven="1" differentFirst="1"><{name}>&amp;C{code}</{name}>'
        "</headerFooter>"
    )
    source = make.xlsx("a.xlsx", {"One": [["cell"], ["cell"], ["cell"]]}, end=end)
    texts = page_texts(convert(source, name="in/my sheet.xlsx").pages[0].path)
    shown = ["my sheet.xlsx" in text for text in texts]
    assert shown == [number == ["first", "even", "odd"].index(page) for number in range(3)]
    assert not any("/" in text for text in texts)


_VALUES = [
    "1/2", "08:15", "March 5", "(12)", "+49301234567", "10%", "00123", "1E5", "0.10", "1234567890123456789",
    "=1+2", "'x", "TRUE", "2020-01-02", "$5", "-0", "#N/A", "1e400", "12:60", "3rd",
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_values_of_a_csv_stay_as_they_are_written(
    delimiter: str, encoding: str, make: Any, convert: Convert, page_texts: Any
) -> None:
    mark = {"gb18030": "数据", "cp1252": "François"}.get(encoding, "é数")
    rows = [_VALUES[start : start + 4] for start in range(0, len(_VALUES), 4)]
    lines = [delimiter.join(row) for row in rows]
    content = "\r\n".join(
        [delimiter.join(["a", "b", "c", "d"]), *lines, delimiter.join([mark, "1", "2", "3"])]
    )
    text = page_texts(convert(make.file("a.csv", content.encode(encoding))).pages[0].path)[0]
    shown = " ".join(text.split())
    assert [value for value in (*_VALUES, mark) if value not in shown] == []


def test_a_quoted_field_keeps_its_delimiters_quotes_and_line_ends(
    make: Any, convert: Convert, page_texts: Any
) -> None:
    content = 'a,b\n"1,234.5","say ""yes"""\n"two\nlines",00\n'
    text = page_texts(convert(make.file("a.csv", content)).pages[0].path)[0].split()
    assert text == ["a", "b", "1,234.5", "say", '"yes"', "two", "lines", "00"] or sorted(text) == sorted(
        ["a", "b", "1,234.5", "say", '"yes"', "00", "two", "lines"]
    )


@pytest.mark.parametrize("count", [60, 1100])
def test_the_last_of_many_columns_is_text_too(
    count: int, make: Any, convert: Convert, page_texts: Any
) -> None:
    row = ",".join(f"0{number}" for number in range(1000, 1000 + count))
    texts = " ".join(page_texts(convert(make.file("a.csv", f"{row}\n{row}\n")).pages[0].path)).split()
    assert {"01000", f"0{1000 + count - 1}"} <= set(texts)


def test_more_columns_than_a_sheet_has_are_refused(make: Any, refusal: Any) -> None:
    error = refusal(make.file("a.csv", "x," * 16_384 + "x\n"))
    assert error.message == "the csv has 16385 columns; the limit is 16384"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    ("first", "delimiter"),
    [("sep=;", ";"), ('"sep=|"', "|"), ("SEP=\t", "\t"), ("sep=^", "^"), ("sep=,", ",")],
)
def test_a_first_line_that_names_the_delimiter_is_followed(
    first: str, delimiter: str, mark: str, make: Any, convert: Convert, page_texts: Any
) -> None:
    """As in Excel, the first line decides even if the other lines suggest otherwise, and is not shown."""
    other = ";" if delimiter == "," else ","
    content = f"{mark}{first}\r\na{delimiter}b{other}c\r\n1{delimiter}2{other}3\r\n"
    text = page_texts(convert(make.file("a.csv", content)).pages[0].path)[0]
    assert sorted(text.split()) == sorted(["a", f"b{other}c", "1", f"2{other}3"])


_LONG_NOTE = '"first, line\nsecond, line, and, more\nthird, line, of, commas"'


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        (f"id;note\n1;{_LONG_NOTE}\n2;{_LONG_NOTE}\n", ";"),
        ("name;price\na;1,50\nb;2,75\n", ";"),
        ('size,name\n5" pipe,a;b;c\n6" pipe,d;e;f\n', ","),
        ('a\tb\n"1\t1","2;2"\t3\n', "\t"),
        ("alone\nalone\n", ","),
    ],
)
def test_the_delimiter_is_the_one_outside_of_quotes(content: str, delimiter: str, make: Any) -> None:
    assert delimiter_of(make.file("a.csv", content)) == delimiter
