"""PDF pages: counts, draws and reads them. Runs in a worker process, because PDFium is not thread-safe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pypdfium2
import pypdfium2.raw
from PIL import Image

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.options import MAX_PAGES_OF_LONG_PICTURE
from airflow_provider_ci.local.convert.pictures.canvas import Canvas, apply_steps, fetch_from
from airflow_provider_ci.local.convert.pictures.picture import write
from airflow_provider_ci.local.convert.pictures.rules.parsing import parse_rule

# The service's limit for the width (1045/47932); the limit for all pixels is our own.
MAX_SIDE: Final = 65_500
MAX_PIXELS: Final = 200_000_000
_POINTS_PER_INCH: Final = 72
_FORMATS: Final = {"png": "PNG", "jpg": "JPEG"}
_UNKNOWN_ENCRYPTION: Final = (
    "the PDF is encrypted in a way that cannot be opened here with any DocPassword: remove the encryption in "
    "the program that set it, and upload the file again"
)
# Zlib's lowest level: pictures of pages are a tenth larger, and are written twice as fast.
_PNG_LEVEL: Final = 1


@contextmanager
def open_pdf(source: Path, password: str) -> Iterator[pypdfium2.PdfDocument]:
    """Open a PDF, with the password if it needs one; any failure is a ConversionError."""
    document = _open(source, password)
    try:
        yield document
    finally:
        document.close()


def _open(source: Path, password: str) -> pypdfium2.PdfDocument:
    for attempt in (None, password or None):  # a needless password is not an error
        try:
            return pypdfium2.PdfDocument(source, password=attempt)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_SECURITY:
                raise ConversionError(errors.UNSUPPORTED_ENCRYPTION, _UNKNOWN_ENCRYPTION) from error
            if error.err_code != pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise ConversionError(errors.DAMAGED_FILE, "the PDF cannot be read: it is damaged") from error
    if password:
        raise ConversionError(errors.WRONG_PASSWORD, "the PDF is encrypted and DocPassword does not open it")
    raise ConversionError(errors.PASSWORD_REQUIRED, "the PDF is encrypted; give DocPassword")


def inspect(source: Path, password: str) -> dict[str, Any]:
    """Return the page count and the top bookmarks (title, page index); a PDF without pages is an error."""
    with open_pdf(source, password) as document:
        if len(document) == 0:
            raise ConversionError(errors.DAMAGED_FILE, "the PDF has no pages")
        return {"pages": len(document), "bookmarks": list(_bookmarks(document))}


def _bookmarks(document: pypdfium2.PdfDocument) -> Iterator[tuple[str, int]]:
    for bookmark in document.get_toc(max_depth=1):
        destination = bookmark.get_dest()
        index = destination.get_index() if destination else None
        if index is not None:
            yield bookmark.get_title(), index


def unlock(source: Path, target: Path, password: str) -> dict[str, Any]:
    """Copy a PDF, without its encryption if a password is given; return the result of ``inspect``."""
    if not password:
        shutil.copyfile(source, target)
    else:
        with open_pdf(source, password) as document:
            document.save(target, flags=pypdfium2.raw.FPDF_REMOVE_SECURITY)
    return inspect(target, "")


def render(request: dict[str, Any]) -> dict[str, Any]:
    """Draw pages (``indexes`` from 0) into files of ``folder``; with ``is_long`` all go into one file."""
    steps = parse_rule(request["image_params"]) if request["image_params"] else ()
    scale = request["image_dpi"] / _POINTS_PER_INCH * request["zoom"] / 100
    indexes, folder, target = request["indexes"], Path(request["folder"]), request["target"]
    with open_pdf(Path(request["source"]), request["password"]) as document:
        # Without this the values of form fields are not drawn.
        document.init_forms()
        # Single pages are drawn one at a time, so that only one is in memory.
        pictures = (
            [_long_picture(document, indexes, scale)]
            if request["is_long"]
            else (_draw(document, index, scale) for index in indexes)
        )
        names = []
        for number, picture in enumerate(pictures, start=1):
            names.append(f"page-{number}.{target}")
            canvas = Canvas(
                frames=[picture],
                format=_FORMATS[target],
                quality=request["quality"],
                fetch=fetch_from(request["images"]),
            )
            apply_steps(canvas, steps)
            write(canvas, folder / names[-1], png_level=_PNG_LEVEL)
    return {"files": names}


def texts(request: dict[str, Any]) -> dict[str, Any]:
    """Write the text of pages (``indexes`` from 0) into files of ``folder``, as UTF-8 with plain newlines."""
    names = []
    with open_pdf(Path(request["source"]), "") as document:
        for number, index in enumerate(request["indexes"], start=1):
            names.append(f"page-{number}.txt")
            # PDFium ends lines with CR LF.
            text = _text_of(document, index).replace("\r\n", "\n")
            (Path(request["folder"]) / names[-1]).write_text(text, encoding="utf-8", newline="\n")
    return {"files": names}


def _text_of(document: pypdfium2.PdfDocument, index: int) -> str:
    try:
        page = document[index]
        text: str = page.get_textpage().get_text_bounded(errors="replace")
    except pypdfium2.PdfiumError as error:
        raise ConversionError(errors.DAMAGED_FILE, f"page {index + 1} of the PDF cannot be read") from error
    page.close()
    return text


def _size(document: pypdfium2.PdfDocument, index: int, scale: float) -> tuple[int, int]:
    width, height = document.get_page_size(index)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _check_size(width: int, height: int, what: str) -> None:
    if max(width, height) >= MAX_SIDE or width * height > MAX_PIXELS:
        raise ConversionError(
            errors.IMAGE_TOO_LARGE,
            f"{what} would be {width} x {height} px; the limits are {MAX_SIDE} a side and {MAX_PIXELS} "
            "in all: lower ImageDpi or Zoom",
        )


def _draw(document: pypdfium2.PdfDocument, index: int, scale: float) -> Image.Image:
    _check_size(*_size(document, index, scale), f"page {index + 1}")
    try:
        page = document[index]
        # PDFium draws BGR by default, and Pillow reads RGB.
        bitmap = page.render(scale=scale, rev_byteorder=True)
    except pypdfium2.PdfiumError as error:
        raise ConversionError(errors.DAMAGED_FILE, f"page {index + 1} of the PDF cannot be drawn") from error
    picture: Image.Image = bitmap.to_pil().convert("RGB")
    page.close()
    return picture


def _long_picture(document: pypdfium2.PdfDocument, indexes: Sequence[int], scale: float) -> Image.Image:
    if len(indexes) > MAX_PAGES_OF_LONG_PICTURE:
        raise ConversionError(
            errors.PAGE_OUT_OF_RANGE,
            f"one long picture of {len(indexes)} pages; the limit is {MAX_PAGES_OF_LONG_PICTURE}",
        )
    sizes = [_size(document, index, scale) for index in indexes]
    _check_size(max(width for width, _ in sizes), sum(height for _, height in sizes), "the long picture")
    pictures = [_draw(document, index, scale) for index in indexes]
    width, height = max(page.width for page in pictures), sum(page.height for page in pictures)
    ground, top = Image.new("RGB", (width, height), (255, 255, 255)), 0
    for page in pictures:
        ground.paste(page, (0, top))
        top += page.height
    return ground
