"""Unpacks archives within limits. Nothing in an archive decides where a file is written.

Unpacked files are named by numbers; the names in the archive are only reported. Links and devices are
skipped. Bytes are counted while they are unpacked, because the sizes stated in an archive may be false.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Optional, Protocol, cast

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.source.intake import BoundedFile

MAX_ARCHIVE_BYTES: Final = 1024**3
MAX_UNPACKED_BYTES: Final = 1024**3
MAX_FILES: Final = 10_000
"""Maximum number of files, folders and links in an archive."""
_MAX_HEADER_BYTES: Final = 1024**2
"""Maximum size of a name or an extended header of a tar entry."""
_OVERHEAD_BYTES: Final = 64 * 1024**2
"""Bytes allowed for headers and padding of a compressed tar, in addition to its files."""
_CHUNK: Final = 256 * 1024
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_TAR_MAGIC: Final = (257, b"ustar")
_OTHER_FORMATS: Final = {
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackedFile:
    """A file of an archive: its ``name`` in the archive, and the ``path`` that it was unpacked to."""

    name: str
    path: Path


class Readable(Protocol):
    """The content of a file in an archive."""

    def read(self, size: int = ..., /) -> bytes: ...  # noqa: D102

    def seek(self, place: int, /) -> int: ...  # noqa: D102


Entry = tuple[str, Optional[Readable]]  # noqa: UP045  (evaluated at run time)
"""The name of an entry and its content; the content of folders, links and devices is None."""


def unpack(source: Path, name: str, password: str, folder: Path) -> list[UnpackedFile]:
    """Unpack all files of an archive into ``folder``, which is empty; ``name`` is the object key.

    :raises ConversionError: the archive is too large, damaged, encrypted, of another format, or names a file
        outside of its own folder.
    """
    size = source.stat().st_size
    if size > MAX_ARCHIVE_BYTES:
        raise ConversionError(
            errors.FILE_TOO_LARGE, f"the archive has {size} bytes; the limit is {MAX_ARCHIVE_BYTES}"
        )
    made: dict[str, UnpackedFile] = {}
    budget = _Budget()
    with _archive_errors():
        for number, (entry, content) in enumerate(_reader_of(source, name)(source, name, password), 1):
            _check_name(entry)
            if number > MAX_FILES:
                raise ConversionError(errors.FILE_TOO_LARGE, f"more than {MAX_FILES} files in the archive")
            if content is not None:
                path = folder / f"file-{number}"
                budget.copy(content, path)
                # Of several entries with one name the last one counts, as when other programs unpack them.
                made[entry] = UnpackedFile(name=entry, path=path)
    return list(made.values())


class _Budget:
    """Copies files while their total size stays within the limit."""

    def __init__(self) -> None:
        self._left = MAX_UNPACKED_BYTES

    def copy(self, content: Readable, path: Path) -> None:
        with path.open("wb") as target:
            while chunk := content.read(_CHUNK):
                self._left -= len(chunk)
                if self._left < 0:
                    raise ConversionError(
                        errors.FILE_TOO_LARGE,
                        f"the archive unpacks to more than the limit of {MAX_UNPACKED_BYTES} bytes",
                    )
                target.write(chunk)


def _check_name(name: str) -> None:
    # Programs on Windows treat a backslash as a separator.
    parts = name.replace("\\", "/").split("/")
    is_absolute = name[:1] in ("/", "\\") or bool(_DRIVE.match(name))
    try:
        name.encode()
    except UnicodeEncodeError:
        is_text = False
    else:
        is_text = not _CONTROL.search(name)
    if is_absolute or ".." in parts or not is_text or not name:
        raise ConversionError(
            errors.UNSAFE_ARCHIVE,
            f"the archive holds a file with the unsafe name {name!r}: it leads out of its folder, or it "
            "cannot name a file; nothing was unpacked",
        )


def _reader_of(source: Path, name: str) -> Callable[[Path, str, str], Iterator[Entry]]:
    """Choose the reader by the archive's content, not by its name."""
    head = _head(source)
    if head.startswith(b"PK"):
        return _zip_entries
    if head.startswith(b"\x1f\x8b"):
        # Only the unpacked bytes show whether there is a tar inside.
        with gzip.open(source) as stream:
            return _tar_entries if _is_tar(stream.read(512)) else _gzip_entry
    if _is_tar(head):
        return _tar_entries
    kind = next((kind for magic, kind in _OTHER_FORMATS.items() if head.startswith(magic)), "")
    found = f"a {kind} archive" if kind else "none of them"
    raise ConversionError(
        errors.UNSUPPORTED_TYPE, f"the local CI unpacks zip, tar, tar.gz and gz; {name!r} is {found}"
    )


def _head(source: Path) -> bytes:
    with source.open("rb") as stream:
        return stream.read(512)


def _is_tar(head: bytes) -> bool:
    place, magic = _TAR_MAGIC
    return head[place : place + len(magic)] == magic


def _zip_entries(source: Path, name: str, password: str) -> Iterator[Entry]:
    with BoundedFile(source) as stream, zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            # Zip keeps the Unix mode in the upper 16 bits.
            if entry.is_dir() or stat.S_ISLNK(entry.external_attr >> 16):
                yield entry.filename, None
                continue
            if entry.compress_type not in _METHODS:
                raise ConversionError(
                    errors.UNSUPPORTED_TYPE,
                    f"{entry.filename!r} is compressed by method {entry.compress_type}; "
                    "the local CI reads stored and deflated files",
                )
            # The lowest bit marks an encrypted file.
            if entry.flag_bits & 1 and not password:
                raise ConversionError(
                    errors.PASSWORD_REQUIRED, "the archive is encrypted; give UnCompressKey"
                )
            with archive.open(entry, pwd=password.encode() or None) as content:
                yield entry.filename, content


def _tar_entries(source: Path, name: str, password: str) -> Iterator[Entry]:
    is_packed = _head(source).startswith(b"\x1f\x8b")
    with (
        gzip.open(source) if is_packed else source.open("rb") as stream,
        # ``r:`` reads only plain tar. If tarfile decompressed it itself, the bytes would not be counted.
        tarfile.open(fileobj=cast("IO[bytes]", _OneWay(stream)), mode="r:") as archive,
    ):
        while entry := archive.next():
            archive.members = []  # type: ignore[attr-defined] # otherwise it keeps all headers
            yield entry.name, archive.extractfile(entry) if entry.isreg() else None


def _gzip_entry(source: Path, name: str, password: str) -> Iterator[Entry]:
    base = name.rpartition("/")[2]
    with gzip.open(source) as stream:
        yield base.removesuffix(".gz") or base, stream


class _OneWay(io.RawIOBase):
    """A stream for tarfile that counts all bytes and limits the size of headers.

    tarfile reads a whole header at once and seeks over files. A seek reads the skipped bytes, so that they
    are counted, too.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise ConversionError(
                errors.DAMAGED_FILE, f"the archive has a header of {size} bytes, or a file without an end"
            )
        chunk = self._stream.read(size)
        self._place += len(chunk)
        if self._place > MAX_UNPACKED_BYTES + _OVERHEAD_BYTES:
            raise ConversionError(
                errors.FILE_TOO_LARGE,
                f"the archive unpacks to more than the limit of {MAX_UNPACKED_BYTES} bytes",
            )
        return chunk

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or place < 0:
            raise ConversionError(errors.DAMAGED_FILE, "the archive is cut off or damaged")
        if place < self._place:
            self._stream.seek(0)
            self._place = 0
        while self._place < place and self.read(min(_CHUNK, place - self._place)):
            pass
        return self._place


@contextmanager
def _archive_errors() -> Iterator[None]:
    """Turn the errors of readers for damaged or encrypted archives into ConversionErrors."""
    try:
        yield
    # This comes before RuntimeError, because NotImplementedError is a subclass of it.
    except NotImplementedError as error:
        raise ConversionError(
            errors.UNSUPPORTED_TYPE,
            "the archive is encrypted or packed in a way that the local CI cannot read",
        ) from error
    except RuntimeError as error:  # zipfile raises it for a wrong password
        raise ConversionError(errors.WRONG_PASSWORD, "UnCompressKey does not open the archive") from error
    except (
        *(EOFError, gzip.BadGzipFile, lzma.LZMAError, tarfile.TarError, ValueError, zipfile.BadZipFile),
        zlib.error,
    ) as error:
        raise ConversionError(errors.DAMAGED_FILE, "the archive is cut off or damaged") from error
