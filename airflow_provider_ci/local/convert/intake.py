"""The checks that a source file passes before any converter sees it."""

from __future__ import annotations

import io
import mmap
import zipfile
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.formats import OTHER_CONTAINERS, SourceFormat

MAX_DOCUMENT_BYTES: Final = 200 * 1024**2
# Text inflates in memory to several times its size; pictures in a document stay packed until they are drawn.
MAX_UNPACKED_TEXT: Final = 192 * 1024**2
MAX_UNPACKED: Final = 1024**3
MAX_ENTRIES: Final = 20_000
_MAX_DIRECTORY_BYTES: Final = 8 * 1024**2

_SIGNATURES: Final = {
    b"PK\x03\x04": "zip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"{\\rt": "rtf",
}
_TEXT_ENTRIES: Final = (".xml", ".rels", ".vml", ".rdf", ".bin")
_ENCRYPTED_STREAM: Final = "EncryptedPackage".encode("utf-16-le")


def check_document_size(source: Path) -> None:
    """Refuse an empty file, which LibreOffice would turn into a blank page, and one over 200 MB."""
    _check_size(source, MAX_DOCUMENT_BYTES)


def check_picture_size(source: Path, most: int) -> None:
    """Refuse an empty file and one of more than ``most`` bytes."""
    _check_size(source, most)


def _check_size(source: Path, most: int) -> None:
    size = source.stat().st_size
    if size == 0:
        raise ConversionError(errors.EMPTY_FILE, "the file is empty (0 bytes)")
    if size > most:
        raise ConversionError(errors.FILE_TOO_LARGE, f"the file has {size} bytes; the limit is {most}")


def import_filter(source: Path, source_format: SourceFormat, password: str) -> str:
    """Give the import filter for what the file really holds, or refuse it.

    Raises ConversionError for bytes that are not of the kind, for archives that unpack to too much, and for
    an encrypted package without password.
    """
    if source_format.container == "text":
        return source_format.filter
    container = _container(source)
    if container == "zip":
        _check_archive(source)
    if container == source_format.container:
        return source_format.filter
    if container == "ole" and _is_encrypted_package(source):
        if not password:
            raise ConversionError(errors.PASSWORD_REQUIRED, "the document is encrypted; give DocPassword")
        return source_format.filter
    if (source_format.kind, container) in OTHER_CONTAINERS:
        return OTHER_CONTAINERS[source_format.kind, container]
    raise ConversionError(
        errors.DAMAGED_FILE, f"the content is not what the name says: no {source_format.kind} document in it"
    )


def _container(source: Path) -> str:
    with source.open("rb") as stream:
        head = stream.read(8)
    return next((name for magic, name in _SIGNATURES.items() if head.startswith(magic)), "")


def _is_encrypted_package(source: Path) -> bool:
    with source.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view.find(_ENCRYPTED_STREAM) >= 0


def _check_archive(source: Path) -> None:
    try:
        with _BoundedFile(source) as stream, zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        message = "the document is cut off or damaged: the archive that it is made of cannot be opened"
        raise ConversionError(errors.DAMAGED_FILE, message) from error
    if len(entries) > MAX_ENTRIES:
        raise ConversionError(errors.FILE_TOO_LARGE, f"{len(entries)} parts; the limit is {MAX_ENTRIES}")
    _check_unpacked(sum(entry.file_size for entry in entries), MAX_UNPACKED)
    text = sum(entry.file_size for entry in entries if entry.filename.lower().endswith(_TEXT_ENTRIES))
    _check_unpacked(text, MAX_UNPACKED_TEXT)


class _BoundedFile(io.FileIO):
    """A file that refuses to give much at once, as a zip archive is asked for all its entries in one go."""

    def read(self, size: int | None = -1, /) -> bytes:
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
