"""Errors of conversions: a failed job shows their code and message."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Our own codes: no page of the documentation lists the codes of failed document jobs.
EMPTY_FILE: Final = "EmptyFile"
FILE_TOO_LARGE: Final = "FileTooLarge"
FILE_UNREADABLE: Final = "FileUnreadable"
UNSUPPORTED_TYPE: Final = "UnsupportedType"
DAMAGED_FILE: Final = "DamagedFile"
PASSWORD_REQUIRED: Final = "PasswordRequired"  # noqa: S105 - the name of an error, not a password
WRONG_PASSWORD: Final = "WrongPassword"  # noqa: S105 - the name of an error, not a password
UNSUPPORTED_ENCRYPTION: Final = "UnsupportedEncryption"
PAGE_OUT_OF_RANGE: Final = "PageOutOfRange"
INVALID_PARAMETER: Final = "InvalidParameter"
INVALID_RULE: Final = "InvalidRule"
UNSUPPORTED_RULE: Final = "UnsupportedRule"
IMAGE_TOO_LARGE: Final = "ImageTooLarge"
TIMEOUT: Final = "Timeout"
CONVERTER_CRASHED: Final = "ConverterCrashed"
OFFICE_MISSING: Final = "OfficeMissing"
SANDBOX_MISSING: Final = "SandboxMissing"
DISK_FULL: Final = "DiskFull"
OUTPUT_TOO_LARGE: Final = "OutputTooLarge"
UNSAFE_ARCHIVE: Final = "UnsafeArchive"

_OUT_OF_ROOM = {
    errno.ENOSPC: (DISK_FULL, "the disk is full"),
    errno.EDQUOT: (DISK_FULL, "the disk quota is used up"),
    errno.EFBIG: (OUTPUT_TOO_LARGE, "a file grew past the limit of the local CI"),
}


class ConversionError(Exception):
    """A file that could not be converted; the failed job shows ``code`` and ``message``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ConvertersClosedError(RuntimeError):
    """The converters were closed before or during the call; this says nothing about the file."""


def from_os_error(error: OSError) -> ConversionError:
    """Turn an error of the file system into a ConversionError, whose message holds no paths."""
    # ``strerror`` holds no path; str() would add it.
    code, reason = _OUT_OF_ROOM.get(error.errno or 0, (FILE_UNREADABLE, error.strerror or str(error)))
    return ConversionError(code, f"reading or writing failed: {reason}")


@contextmanager
def file_errors() -> Iterator[None]:
    """Turn every OSError of the block into a ConversionError."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error) from error
