"""Converts one document: checks the source file, makes a PDF with LibreOffice, makes files of the pages."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.office.libreoffice import OfficeWorker
from airflow_provider_ci.local.convert.options import MAX_PAGES, DocumentOptions, DocumentResult, PageFile
from airflow_provider_ci.local.convert.pdf.pages import Page, Sheet, select_pages, sheets_of
from airflow_provider_ci.local.convert.pictures.rules.parsing import parse_rule
from airflow_provider_ci.local.convert.sandbox.place import JobFolder
from airflow_provider_ci.local.convert.source import intake
from airflow_provider_ci.local.convert.source.formats import (
    SourceFormat,
    file_name,
    source_format,
    source_suffix,
)
from airflow_provider_ci.local.convert.source.protection import check_unread
from airflow_provider_ci.local.convert.text import source as text
from airflow_provider_ci.local.convert.text.table import copy_table
from airflow_provider_ci.local.convert.workers.page_process import PageWorker
from airflow_provider_ci.local.convert.workers.process import Deadline

# Options of LibreOffice's text and csv filters: 76 means UTF-8, and 1 is the first line to read.
_TEXT_OPTIONS: Final = "UTF8,LF,,,"
# Every column is read as text (2): LibreOffice would reformat what looks like a date, a time or a number.
_CSV_OPTIONS: Final = "{delimiter},34,76,1,{columns},0,false,false,false,false,false,-1"
_TEXT_COLUMN: Final = "{number}/2"
_PDF: Final = "document.pdf"
_SPREADSHEETS: Final = ("sheet", "csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentJob:
    """A document, the requested conversion, its deadline, and the workers that do it.

    ``images`` are the files of watermark images by address. The workers can see only ``folder``.
    """

    source: Path
    name: str
    options: DocumentOptions
    images: Mapping[str, Path]
    out_dir: Path
    folder: JobFolder
    office: OfficeWorker
    pages: PageWorker
    deadline: Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pdf:
    """The PDF of a document, in the job's outputs: its pages, its sheets (0 if none), and runs of pages."""

    total_pages: int
    total_sheets: int
    runs: Sequence[Sheet]
    sheet_names: tuple[str, ...] = ()


def check_request(source: Path, name: str, options: DocumentOptions) -> SourceFormat:
    """Refuse an unsupported type, a wrong size or an invalid picture rule, without reading the file."""
    kind = source_format(name, options.source_type)
    intake.check_document_size(source)
    if options.image_params and options.target != "pdf":
        parse_rule(options.image_params)
    return kind


def convert_document(job: DocumentJob) -> DocumentResult:
    """Convert a document; files appear in ``out_dir`` only when all of them are made."""
    kind = check_request(job.source, job.name, job.options)
    # This folder is in ``out_dir``, so that a rename puts each complete file in place.
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=job.out_dir) as scratch:
        pdf = _pdf_of(job, kind, Path(scratch))
        if job.options.target == "pdf":
            return _result(job, pdf, [Page(index=0, number=1, sheet=0, pic_num=1)], [_PDF], Path(scratch))
        pages = select_pages(job.options, pdf.runs)
        make = _texts if job.options.target == "txt" else _pictures
        return _result(job, pdf, pages, make(job, pages), Path(scratch))


def shared_images(folder: JobFolder, images: Mapping[str, Path]) -> dict[str, str]:
    """Copy watermark images into the folder of a job; return their new paths by address."""
    return {
        url: str(folder.put(path, f"watermark-{number}")) for number, (url, path) in enumerate(images.items())
    }


def _result(
    job: DocumentJob, pdf: _Pdf, pages: Sequence[Page], names: Sequence[str], scratch: Path
) -> DocumentResult:
    made = []
    # All files are taken out of the sandbox and checked before the first one appears in ``out_dir``.
    for name in names:
        job.folder.take(name, scratch / name)
    # One long picture shows several pages, so there may be fewer names than pages.
    for number, (page, name) in enumerate(zip(pages, names, strict=False), start=1):
        target = (scratch / name).replace(job.out_dir / name)
        made.append(
            PageFile(number=number, page=page.number, sheet=page.sheet, pic_num=page.pic_num, path=target)
        )
    return DocumentResult(
        total_pages=pdf.total_pages,
        total_sheets=pdf.total_sheets,
        pages=tuple(made),
        sheet_names=pdf.sheet_names,
    )


def _pdf_of(job: DocumentJob, kind: SourceFormat, scratch: Path) -> _Pdf:
    if kind.kind == "pdf":
        return _unlocked_pdf(job)
    target = job.folder.outputs / _PDF
    answer = _run_office(job, kind, scratch, target)
    # LibreOffice can report success although it wrote no file.
    if not target.is_file() or target.stat().st_size == 0:
        raise ConversionError(errors.DAMAGED_FILE, "LibreOffice made no PDF of the document")
    found = job.pages.call("inspect", job.deadline, source=str(target), password="")
    names = answer["sheets"]
    total = found["pages"]
    if kind.kind in _SPREADSHEETS:
        runs = _sheet_runs(job.options.sheet_id, found["bookmarks"], names, total)
    else:
        runs = [Sheet(number=0, first=0, count=total)]
    return _Pdf(
        total_pages=total,
        total_sheets=len(names),
        runs=runs,
        sheet_names=() if kind.kind == "csv" else tuple(names),  # a csv's sheet is named after a scratch file
    )


def _sheet_runs(
    sheet_id: int, bookmarks: Sequence[tuple[str, int]], names: Sequence[str], total: int
) -> list[Sheet]:
    if sheet_id:
        # The other sheets are hidden, so all pages belong to this one.
        return [Sheet(number=sheet_id, first=0, count=total)]
    # If there are no bookmarks, LibreOffice found nothing to print and made one blank page.
    return sheets_of(bookmarks, names, total) or [Sheet(number=1, first=0, count=total)]


def _unlocked_pdf(job: DocumentJob) -> _Pdf:
    intake.check_pdf(job.source)
    found = job.pages.call(
        "unlock",
        job.deadline,
        source=str(job.folder.put(job.source, "source.pdf")),
        target=str(job.folder.outputs / _PDF),
        password=job.options.password,
    )
    whole = Sheet(number=0, first=0, count=found["pages"])
    return _Pdf(total_pages=whole.count, total_sheets=0, runs=[whole])


def _run_office(job: DocumentJob, kind: SourceFormat, scratch: Path, target: Path) -> dict[str, list[str]]:
    options = job.options
    import_filter = intake.import_filter(job.source, kind)
    suffix = source_suffix(job.name, options.source_type)
    plain, filter_options = _prepared(job.source, kind.kind, scratch / f"source.{suffix}")
    source = job.folder.put(plain, file_name(job.name, suffix))
    request = {
        "source": str(source),
        "output": str(target),
        "filter": import_filter,
        "kind": kind.kind,
        "filter_options": filter_options,
        "password": options.password,
        "sheet_id": options.sheet_id,
        "paper_size": options.paper_size,
        "paper_direction": options.paper_direction,
        "comments": options.comments,
        "fit_columns": options.fit_columns,
        "fit_rows": options.fit_rows,
        "max_pages": MAX_PAGES,
        "has_header": kind.kind != "csv",  # the sheet of a csv is named after a scratch file
    }
    try:
        return job.office.convert(request, job.deadline)
    except ConversionError as error:
        if error.code == errors.DAMAGED_FILE:
            check_unread(job.source)
        raise


def _prepared(source: Path, kind: str, target: Path) -> tuple[Path, str]:
    """Return the file for LibreOffice (text is copied to ``target`` as UTF-8), and its filter options."""
    if kind == "csv":
        table = copy_table(source, target)
        columns = "/".join(_TEXT_COLUMN.format(number=number) for number in range(1, table.columns + 1))
        return target, _CSV_OPTIONS.format(delimiter=ord(table.delimiter), columns=columns)
    if kind == "text":
        text.copy_as_utf8(source, target)
        return target, _TEXT_OPTIONS
    if kind == "html":
        text.copy_html_as_utf8(source, target)
        return target, ""
    return source, ""


def _pictures(job: DocumentJob, pages: Sequence[Page]) -> list[str]:
    options = job.options
    answer = job.pages.call(
        "render",
        job.deadline,
        source=str(job.folder.outputs / _PDF),
        password="",
        folder=str(job.folder.outputs),
        indexes=[page.index for page in pages],
        target=options.target,
        image_params=options.image_params,
        images=shared_images(job.folder, job.images),
        image_dpi=options.image_dpi,
        zoom=options.zoom,
        # The service accepts 109 and echoes it, as a real response shows.
        quality=min(max(options.quality, 1), 100),
        is_long=options.pic_pagination == 1,
    )
    return list(answer["files"])


def _texts(job: DocumentJob, pages: Sequence[Page]) -> list[str]:
    answer = job.pages.call(
        "texts",
        job.deadline,
        source=str(job.folder.outputs / _PDF),
        folder=str(job.folder.outputs),
        indexes=[page.index for page in pages],
    )
    return list(answer["files"])
