"""Selects the pages of a document to convert, by StartPage, EndPage and PageRanges, sheet by sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.options import MAX_PAGES, DocumentOptions

_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The run of PDF pages of a sheet; ``number`` counts from 1 and is 0 for a document without sheets."""

    number: int
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A selected page: its index in the PDF from 0, its number in the sheet or document from 1.

    ``pic_num`` is the position among the selected pages of the sheet or document, from 1.
    """

    index: int
    number: int
    sheet: int
    pic_num: int


def parse_page_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``"1,2-4,7"`` as inclusive ranges; an invalid part is a ConversionError."""
    return tuple(_parse_range(part.strip(), text) for part in text.split(","))


def _parse_range(part: str, text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(part)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last:
        raise ConversionError(
            errors.INVALID_PARAMETER, f"page_ranges {text!r}: {part!r} is neither a page nor a range like 2-4"
        )
    return first, last


def page_numbers(options: DocumentOptions, count: int) -> list[int]:
    """Return the selected page numbers up to ``count``, ascending; page_ranges overrides start and end."""
    # Assumed: the documentation does not say which of the two counts.
    if options.page_ranges:
        ranges = parse_page_ranges(options.page_ranges)
        # Cut at the last page first, because a range may name a million pages.
        return sorted({n for first, last in ranges for n in range(first, min(last, count) + 1)})
    # -1 is the default. Real responses echo 0 for an omitted EndPage, so 0 means the same.
    last = count if options.end_page <= 0 else min(options.end_page, count)
    return list(range(max(options.start_page, 1), last + 1))


def select_pages(options: DocumentOptions, sheets: Sequence[Sheet]) -> list[Page]:
    """Return the first 5,000 selected pages of all sheets; an empty selection is a ConversionError."""
    wanted = [page for sheet in sheets for page in _pages_of_sheet(options, sheet)][:MAX_PAGES]
    if not wanted:
        total = sum(sheet.count for sheet in sheets)
        asked = options.page_ranges or f"{options.start_page} to {options.end_page}"
        raise ConversionError(errors.PAGE_OUT_OF_RANGE, f"no page {asked}: the document has {total}")
    return wanted


def _pages_of_sheet(options: DocumentOptions, sheet: Sheet) -> list[Page]:
    numbers = page_numbers(options, sheet.count)
    return [
        Page(index=sheet.first + number - 1, number=number, sheet=sheet.number, pic_num=position)
        for position, number in enumerate(numbers, start=1)
    ]


def sheets_of(bookmarks: Sequence[tuple[str, int]], names: Sequence[str], total: int) -> list[Sheet]:
    """Split the PDF of a workbook into sheets by its bookmarks; every sheet that has pages has one bookmark.

    ``names`` are the names of all sheets in order, so that hidden and empty sheets are counted, too.
    """
    numbers = {name: number for number, name in enumerate(names, start=1)}
    starts = [(numbers[title], index) for title, index in bookmarks if title in numbers]
    ends = [index for _, index in starts[1:]] + [total]
    return [
        Sheet(number=number, first=first, count=end - first)
        for (number, first), end in zip(starts, ends, strict=True)
        if end > first
    ]
