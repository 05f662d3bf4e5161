"""Detects encrypted documents: LibreOffice itself reports only the kinds of encryption that it knows."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.source.compound import root_names

# Streams that show a password or rights management in a package, a password in a presentation, and rights
# management in the old binary formats.
_STREAMS: Final = ("EncryptedPackage", "EncryptedSummary", "\tDRMContent")
# The current-user record of an old presentation, with the token of an encrypted presentation.
_ENCRYPTED_SLIDES: Final = re.compile(rb"\xf6\x0f.{4}\x14\0\0\0\xdf\xc4\xd1\xf3", re.DOTALL)
_MANIFEST: Final = "META-INF/manifest.xml"
_LONGEST_MANIFEST: Final = 8 * 1024**2


def check_unread(source: Path) -> None:
    """Raise UnsupportedEncryption if a document that LibreOffice could not read is encrypted."""
    if is_encrypted(source):
        raise ConversionError(
            errors.UNSUPPORTED_ENCRYPTION,
            "the document is protected by a password or by rights, in a way that cannot be opened here with "
            "any DocPassword: remove the protection in the program that set it, and upload the file again",
        )


def is_encrypted(source: Path) -> bool:
    """Return whether a file has any encryption of Office or OpenDocument, known to LibreOffice or not."""
    if zipfile.is_zipfile(source):
        return b"encryption-data" in _manifest(source)
    names = root_names(source)
    if not names:
        return False
    if not names.isdisjoint(_STREAMS):
        return True
    return "PowerPoint Document" in names and bool(_ENCRYPTED_SLIDES.search(source.read_bytes()))


def _manifest(source: Path) -> bytes:
    try:
        with zipfile.ZipFile(source) as archive, archive.open(_MANIFEST) as part:
            return part.read(_LONGEST_MANIFEST)
    except (KeyError, zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError):
        return b""
