"""One document from its source file to the files asked for: checks, LibreOffice, pages."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors, intake, text
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.formats import SourceFormat, source_format, source_suffix
from airflow_provider_ci.local.convert.office import OfficeWorker
from airflow_provider_ci.local.convert.options import MAX_PAGES, DocumentOptions, DocumentResult, PageFile
from airflow_provider_ci.local.convert.page_process import PageWorker
from airflow_provider_ci.local.convert.pages import Page, Sheet, select_pages, sheets_of
from airflow_provider_ci.local.convert.process import Deadline
from airflow_provider_ci.local.convert.rules import parse_rule

# LibreOffice's options of its text and csv filters; 76 is its number for UTF-8, 1 the first line.
_TEXT_OPTIONS: Final = "UTF8,LF,,,"
_CSV_OPTIONS: Final = "{delimiter},34,76,1,,0,false,true,false,false,false,-1"
_SPREADSHEETS: Final = ("sheet", "csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentJob:
    """A document, what is wanted of it, and the workers to do it with by a deadline.

    ``images`` are the files of watermark images by their addresses.
    """

    source: Path
    name: str
    options: DocumentOptions
    images: Mapping[str, str]
    out_dir: Path
    office: OfficeWorker
    pages: PageWorker
    deadline: Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pdf:
    """The document as PDF: its path, sheets in all (0: it has none), and its runs of pages."""

    path: Path
    total_pages: int
    total_sheets: int
    runs: Sequence[Sheet]
    sheet_names: tuple[str, ...] = ()


def check_request(source: Path, name: str, options: DocumentOptions) -> SourceFormat:
    """Refuse what can be refused without looking into the file: type, size, picture rule."""
    kind = source_format(name, options.source_type)
    intake.check_document_size(source)
    if options.image_params and options.target != "pdf":
        parse_rule(options.image_params)
    return kind


def convert_document(job: DocumentJob) -> DocumentResult:
    """Convert a document; files appear in ``out_dir`` only when all of them are made."""
    kind = check_request(job.source, job.name, job.options)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=job.out_dir) as scratch:
        pdf = _pdf_of(job, kind, Path(scratch))
        if job.options.target == "pdf":
            return _result(job, pdf, [Page(index=0, number=1, sheet=0, pic_num=1)], [pdf.path])
        pages = select_pages(job.options, pdf.runs)
        make = _texts if job.options.target == "txt" else _pictures
        return _result(job, pdf, pages, make(job, pdf, pages, Path(scratch)))


def _result(job: DocumentJob, pdf: _Pdf, pages: Sequence[Page], files: Sequence[Path]) -> DocumentResult:
    made = []
    for number, (page, file) in enumerate(zip(pages, files, strict=False), start=1):
        target = job.out_dir / file.name
        file.replace(target)
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
        return _unlocked_pdf(job, scratch)
    target = scratch / "document.pdf"
    answer = _run_office(job, kind, scratch, target)
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
        path=target,
        total_pages=total,
        total_sheets=len(names),
        runs=runs,
        sheet_names=() if kind.kind == "csv" else tuple(names),  # that of a csv is a scratch file's
    )


def _sheet_runs(
    sheet_id: int, bookmarks: Sequence[tuple[str, int]], names: Sequence[str], total: int
) -> list[Sheet]:
    if sheet_id:
        return [Sheet(number=sheet_id, first=0, count=total)]
    # Without bookmarks LibreOffice found nothing to print and made one blank page.
    return sheets_of(bookmarks, names, total) or [Sheet(number=1, first=0, count=total)]


def _unlocked_pdf(job: DocumentJob, scratch: Path) -> _Pdf:
    target = scratch / "document.pdf"
    found = job.pages.call(
        "unlock", job.deadline, source=str(job.source), target=str(target), password=job.options.password
    )
    whole = Sheet(number=0, first=0, count=found["pages"])
    return _Pdf(path=target, total_pages=whole.count, total_sheets=0, runs=[whole])


def _run_office(job: DocumentJob, kind: SourceFormat, scratch: Path, target: Path) -> dict[str, list[str]]:
    options = job.options
    import_filter = intake.import_filter(job.source, kind, options.password)
    suffix = source_suffix(job.name, options.source_type)
    source, filter_options = _prepared(job.source, kind.kind, scratch / f"source.{suffix}")
    request = {
        "source": str(source),
        "output": str(target),
        "filter": import_filter,
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
    return job.office.convert(request, job.deadline)


def _prepared(source: Path, kind: str, target: Path) -> tuple[Path, str]:
    """Put the source where LibreOffice may lock it, text as UTF-8; gives it with its filter options."""
    if kind == "csv":
        text.copy_as_utf8(source, target)
        return target, _CSV_OPTIONS.format(delimiter=ord(text.delimiter_of(target)))
    if kind == "text":
        text.copy_as_utf8(source, target)
        return target, _TEXT_OPTIONS
    if kind == "html":
        text.copy_html_as_utf8(source, target)
        return target, ""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
    return target, ""


def _pictures(job: DocumentJob, pdf: _Pdf, pages: Sequence[Page], scratch: Path) -> list[Path]:
    options = job.options
    answer = job.pages.call(
        "render",
        job.deadline,
        source=str(pdf.path),
        password="",
        folder=str(scratch),
        indexes=[page.index for page in pages],
        target=options.target,
        image_params=options.image_params,
        images=dict(job.images),
        image_dpi=options.image_dpi,
        zoom=options.zoom,
        quality=min(max(options.quality, 1), 100),
        is_long=options.pic_pagination == 1,
    )
    return [scratch / name for name in answer["files"]]


def _texts(job: DocumentJob, pdf: _Pdf, pages: Sequence[Page], scratch: Path) -> list[Path]:
    answer = job.pages.call(
        "texts",
        job.deadline,
        source=str(pdf.path),
        folder=str(scratch),
        indexes=[page.index for page in pages],
    )
    return [scratch / name for name in answer["files"]]
