"""Options and results of a conversion."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError

TARGETS: Final = ("pdf", "png", "jpg", "txt")
# Both limits are the service's (1045/47932).
MAX_PAGES: Final = 5000
MAX_PAGES_OF_LONG_PICTURE: Final = 20

# Name: lowest and highest allowed value. Quality is clamped instead, because the service accepts 109.
_RANGES: Final = {
    "zoom": (10, 200),
    "image_dpi": (96, 600),
    "paper_size": (0, 2),
    "comments": (0, 1),
    "pic_pagination": (0, 1),
    "sheet_id": (0, 10_000),
    "fit_columns": (0, 1),
    "fit_rows": (0, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentOptions:
    """The parameters of a DocProcess operation, named as in the API and checked on creation.

    ``page_ranges`` (such as "1,3-5") overrides ``start_page`` and ``end_page`` (-1: to the last page). In a
    workbook, pages are counted within each sheet. With target ``pdf`` the page selection has no effect.

    Four options apply only to sheets: ``paper_size`` (0: A4, 1: A2, 2: A0), ``paper_direction`` (0: portrait,
    else landscape), ``fit_columns`` and ``fit_rows`` (1: all columns or all rows fit on one page).
    ``quality`` (1 to 100; higher values count as 100) applies only to jpg. ``zoom`` is in percent,
    ``image_dpi`` in dots per inch. Raises ConversionError.
    """

    target: str = "jpg"
    source_type: str = ""
    start_page: int = 1
    end_page: int = -1
    page_ranges: str = ""
    sheet_id: int = 0
    paper_direction: int = 0
    paper_size: int = 0
    image_params: str = ""
    password: str = field(default="", repr=False)
    comments: int = 0
    quality: int = 100
    zoom: int = 100
    image_dpi: int = 96
    pic_pagination: int = 0
    fit_columns: int = 0
    fit_rows: int = 0

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise _out_of_range("target", self.target, " or ".join(TARGETS))
        for name, (lowest, highest) in _RANGES.items():
            if not lowest <= getattr(self, name) <= highest:
                raise _out_of_range(name, getattr(self, name), f"{lowest} to {highest}")


def _out_of_range(name: str, value: object, allowed: str) -> ConversionError:
    return ConversionError(errors.INVALID_PARAMETER, f"{name} is {value!r}; allowed: {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file that a conversion made.

    ``number`` counts the files of the document from 1, ``pic_num`` the files of the sheet from 1. ``page`` is
    the number of the page in the document, or for a workbook in its sheet. ``sheet`` counts from 1, and is 0
    for documents without sheets.
    """

    number: int
    page: int
    sheet: int
    pic_num: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentResult:
    """The files made from a document, its number of pages, and its number of sheets (0 if it has none).

    ``sheet_names`` are the names of a workbook's sheets in order; a csv has none.
    """

    total_pages: int
    total_sheets: int
    pages: tuple[PageFile, ...]
    sheet_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInfo:
    """A description of a picture file.

    ``width`` and ``height`` are in pixels, ``size`` in bytes. ``quality`` is estimated for jpeg and 100 for
    other formats, ``orientation`` is the EXIF value (0: none), ``ave`` the average colour as 0xRRGGBB.
    """

    format: str
    width: int
    height: int
    size: int
    quality: int
    orientation: int
    ave: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureResult:
    """The descriptions of a processed picture and of its original."""

    output: PictureInfo
    original: PictureInfo
