"""The checks that a source file passes before any converter sees it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.source.content import Content, identify
from airflow_provider_ci.local.convert.source.formats import (
    BINARY_WORKBOOK_FILTER,
    FORMATS,
    KIND_WORDS,
    OPEN_DOCUMENT_FILTERS,
    OTHER_CONTAINERS,
    SourceFormat,
)

# The service's limit (1045/47932).
MAX_DOCUMENT_BYTES: Final = 200 * 1024**2
# Text takes several times its size in memory; pictures in a document stay packed until they are drawn.
MAX_UNPACKED_TEXT: Final = 192 * 1024**2
MAX_UNPACKED: Final = 1024**3
MAX_ENTRIES: Final = 20_000
_MOST_BEFORE_PDF: Final = 1024 + len(b"%PDF-")
_MAX_DIRECTORY_BYTES: Final = 8 * 1024**2

_FOUND_BY_LIBREOFFICE: Final = ("biff", "winword")
"""Old binary formats whose import filter only LibreOffice's own detection knows."""
_NO_TEXT: Final = ("zip", "ole", "pdf", "binary", *_FOUND_BY_LIBREOFFICE)
_TEXT_ENTRIES: Final = (".xml", ".rels", ".vml", ".rdf", ".bin")


def check_document_size(source: Path) -> None:
    """Refuse an empty file, which LibreOffice would turn into a blank page, and a file over 200 MB."""
    _check_size(source, MAX_DOCUMENT_BYTES)


def check_picture_size(source: Path, most: int) -> None:
    """Refuse an empty file, and a file of more than ``most`` bytes."""
    _check_size(source, most)


def _check_size(source: Path, most: int) -> None:
    size = source.stat().st_size
    if size == 0:
        raise ConversionError(errors.EMPTY_FILE, "the file is empty (0 bytes)")
    if size > most:
        raise ConversionError(errors.FILE_TOO_LARGE, f"the file has {size} bytes; the limit is {most}")


def import_filter(source: Path, source_format: SourceFormat) -> str:
    """Return the import filter for what the file really holds, or refuse the file.

    Raises ConversionError for content of another kind than the name says, and for archives that unpack to
    too many bytes.
    """
    with source.open("rb") as stream:
        is_archive = stream.read(4) == b"PK\x03\x04"
    if is_archive:
        _check_archive(source)
    content = identify(source)
    if source_format.container == "text":
        # LibreOffice would print binary bytes as characters, and another kind of text as source code.
        if content.container in _NO_TEXT or _is_other_text(source_format, content):
            raise _mismatch(source_format, content)
        return source_format.filter
    # The parts of an encrypted package cannot be seen, so the name decides.
    if content.kind == "encrypted":
        return _packaged_filter(source_format)
    if content.kind and content.kind != source_format.kind:
        raise _mismatch(source_format, content)
    if content.container == "zip":
        return _filter_in_archive(source_format, content)
    if content.container in (source_format.container, *_FOUND_BY_LIBREOFFICE):
        return source_format.filter
    if (source_format.kind, content.container) in OTHER_CONTAINERS:
        return OTHER_CONTAINERS[source_format.kind, content.container]
    raise _mismatch(source_format, content)


def _is_other_text(source_format: SourceFormat, content: Content) -> bool:
    """Return whether a csv or html file holds another markup language; a plain text may hold any."""
    if source_format.kind == "text":
        return False
    is_page = source_format.kind == "html" and content.words == "HTML"
    return content.container in ("rtf", "markup") and not is_page


def _filter_in_archive(source_format: SourceFormat, content: Content) -> str:
    is_open = source_format.filter in OPEN_DOCUMENT_FILTERS
    if content.family == "odf" or is_open:
        if not is_open or content.family not in ("odf", ""):
            raise _mismatch(source_format, content)
        return source_format.filter
    is_binary = source_format.filter == BINARY_WORKBOOK_FILTER
    if content.family == "xlsb":
        return BINARY_WORKBOOK_FILTER
    return _packaged_filter(source_format) if is_binary and content.kind else _own_or_packaged(source_format)


def _own_or_packaged(source_format: SourceFormat) -> str:
    return source_format.filter if source_format.container == "zip" else _packaged_filter(source_format)


def _packaged_filter(source_format: SourceFormat) -> str:
    """Return the filter for a package of this kind; encrypted documents of any suffix are packages."""
    if source_format.container == "zip" and source_format.filter != BINARY_WORKBOOK_FILTER:
        return source_format.filter
    return OTHER_CONTAINERS[source_format.kind, "zip"]


def check_pdf(source: Path) -> None:
    """Refuse a file that is named as a PDF and holds something else."""
    content = identify(source)
    if content.container == "pdf":
        return
    # Other bytes may come before the header of a PDF; PDFium searches this many bytes for the header.
    with source.open("rb") as stream:
        has_header = b"%PDF-" in stream.read(_MOST_BEFORE_PDF)
    if not has_header or content.words not in ("", "plain text"):
        raise _mismatch(FORMATS["pdf"], content)


def _mismatch(source_format: SourceFormat, content: Content) -> ConversionError:
    wanted = KIND_WORDS[source_format.kind]
    found = f"the content is {content.words}" if content.words else "nothing of the kind is in it"
    return ConversionError(errors.DAMAGED_FILE, f"the name says {_with_article(wanted)}, but {found}")


def _with_article(words: str) -> str:
    return f"an {words}" if words[0] in "AEIOUaeiou" or words.startswith("HTML") else f"a {words}"


def _check_archive(source: Path) -> None:
    try:
        with BoundedFile(source) as stream, zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        message = "the document is cut off or damaged: the archive that it is made of cannot be opened"
        raise ConversionError(errors.DAMAGED_FILE, message) from error
    if len(entries) > MAX_ENTRIES:
        raise ConversionError(errors.FILE_TOO_LARGE, f"{len(entries)} parts; the limit is {MAX_ENTRIES}")
    _check_unpacked(sum(entry.file_size for entry in entries), MAX_UNPACKED)
    text = sum(entry.file_size for entry in entries if entry.filename.lower().endswith(_TEXT_ENTRIES))
    _check_unpacked(text, MAX_UNPACKED_TEXT)


class BoundedFile(io.FileIO):
    """A file that refuses very large reads: zipfile reads the list of all entries of an archive at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes; a size over the limit is a ConversionError."""
        if size is not None and size > _MAX_DIRECTORY_BYTES:
            raise ConversionError(
                errors.FILE_TOO_LARGE, f"the list of the document's parts has {size} bytes; "
                f"the limit is {_MAX_DIRECTORY_BYTES}"
            )  # fmt: skip
        return super().read(size) or b""


def _check_unpacked(size: int, most: int) -> None:
    if size > most:
        raise ConversionError(
            errors.FILE_TOO_LARGE, f"the document unpacks to {size} bytes; the limit is {most}"
        )
