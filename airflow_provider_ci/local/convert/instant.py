"""Converters that convert nothing: they write a tiny valid file at once, for tests of everything else."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.converters import Converters
from airflow_provider_ci.local.convert.document import check_request
from airflow_provider_ci.local.convert.errors import ConversionError, file_errors
from airflow_provider_ci.local.convert.options import (
    DocumentOptions,
    DocumentResult,
    PageFile,
    PictureInfo,
    PictureResult,
)
from airflow_provider_ci.local.convert.pdf.pages import page_numbers
from airflow_provider_ci.local.convert.pictures.canvas import Fetch, refuse_to_fetch
from airflow_provider_ci.local.convert.pictures.picture import MAX_INPUT_BYTES
from airflow_provider_ci.local.convert.pictures.rules.parsing import FORMATS, output_format, parse_rule
from airflow_provider_ci.local.convert.source.intake import check_picture_size

_SIDE: Final = 8
# The service's limit (1045/47932).
_PAGES_OF_ANY_DOCUMENT: Final = 5000


class InstantConverters(Converters):
    """Writes a blank file of the target type; empty files, unknown types and bad rules are still refused.

    Every document has all the pages that are requested (one page if the end is left open), and one sheet if
    it is a workbook or a csv. Needs no LibreOffice and starts no process.
    """

    def document(
        self,
        source: Path,
        name: str,
        options: DocumentOptions,
        out_dir: Path,
        fetch: Fetch = refuse_to_fetch,
    ) -> DocumentResult:
        """Write a one-page PDF, or a small picture (an empty file for txt) for every requested page."""
        with file_errors():
            kind = check_request(source, name, options)
            sheets = 1 if kind.kind in ("sheet", "csv") else 0
            if options.target == "pdf":
                pages = [_write_page(out_dir / "document.pdf", 1, 1, 0)]
                return DocumentResult(total_pages=1, total_sheets=sheets, pages=tuple(pages))
            numbers = _wanted(options)
            pages = [
                _write_page(out_dir / f"page-{number}.{options.target}", number, page, sheets)
                for number, page in enumerate(numbers, start=1)
            ]
            return DocumentResult(total_pages=max(numbers), total_sheets=sheets, pages=tuple(pages))

    def picture(self, source: Path, rule: str, target: Path, fetch: Fetch = refuse_to_fetch) -> PictureResult:
        """Write a small picture in the format of the rule, the source's name or the target's name, or png."""
        with file_errors():
            steps = parse_rule(rule)
            check_picture_size(source, MAX_INPUT_BYTES)
            named = [FORMATS.get(path.suffix[1:].lower()) for path in (source, target)]
            name = output_format(steps) or next(filter(None, named), "PNG")
            target.write_bytes(_blank(name))
            info = PictureInfo(
                format=name.lower(), width=_SIDE, height=_SIDE, size=target.stat().st_size, quality=100,
                orientation=0, ave="0xFFFFFF",
            )  # fmt: skip
            return PictureResult(output=info, original=info)

    def close(self) -> None:
        """Do nothing: there are no workers to end."""


def _wanted(options: DocumentOptions) -> list[int]:
    if options.end_page <= 0 and not options.page_ranges:
        return [max(options.start_page, 1)]
    numbers = page_numbers(options, _PAGES_OF_ANY_DOCUMENT)
    if not numbers:
        raise ConversionError(
            errors.PAGE_OUT_OF_RANGE, f"no page lies between {options.start_page} and {options.end_page}"
        )
    return numbers[:1] if options.pic_pagination else numbers


def _write_page(path: Path, number: int, page: int, sheet: int) -> PageFile:
    path.write_bytes(b"" if path.suffix == ".txt" else _blank({**FORMATS, "pdf": "PDF"}[path.suffix[1:]]))
    return PageFile(number=number, page=page, sheet=sheet, pic_num=number, path=path)


# Cached, because the file depends only on the format.
@cache
def _blank(name: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (_SIDE, _SIDE), (255, 255, 255)).save(file, name)
    return file.getvalue()
