"""A document encrypted in an unknown way is refused as encrypted, and not as damaged."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local.convert import ConversionError
from tests.local.convert.compounds import compound_file

Refusal = Callable[..., ConversionError]
_USER = struct.pack("<HHI", 0, 0x0FF6, 28) + struct.pack("<II", 20, 0xF3D1C4DF) + bytes(500)


def _open_document(path: Path, kind: str) -> Path:
    """A package whose parts are encrypted by an algorithm that does not exist yet."""
    manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    media = f"application/vnd.oasis.opendocument.{kind}"
    entry = '<manifest:file-entry manifest:full-path="{}" manifest:media-type="{}"{}>{}</manifest:file-entry>'
    method = (
        '<manifest:encryption-data><manifest:algorithm manifest:algorithm-name="urn:x-next"/>'
        '<manifest:key-derivation manifest:key-derivation-name="urn:x-next"/></manifest:encryption-data>'
    )
    entries = entry.format("/", media, "", "")
    entries += entry.format("content.xml", "text/xml", ' manifest:size="9"', method)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", media)
        archive.writestr("content.xml", bytes(range(200)))
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{manifest}">{entries}</manifest:manifest>',
        )
    return path


def _package(suffix: str) -> Callable[[Any], Path]:
    return lambda make: compound_file(make.folder / f"a.{suffix}", "EncryptedPackage")


def _open(suffix: str, kind: str) -> Callable[[Any], Path]:
    return lambda make: _open_document(make.folder / f"a.{suffix}", kind)


_PROTECTED: dict[str, Callable[[Any], Path]] = {
    **{
        f"package.{suffix}": _package(suffix)
        for suffix in ("docx", "xlsx", "pptx", "doc", "xls", "ppt", "docm", "xlsb")
    },
    "summary.ppt": lambda make: compound_file(make.folder / "a.ppt", "EncryptedSummary"),
    "user.ppt": lambda make: compound_file(make.folder / "a.ppt", "PowerPoint Document", _USER),
    "rights.doc": lambda make: compound_file(make.folder / "a.doc", "\tDRMContent"),
    "rights.xls": lambda make: compound_file(make.folder / "a.xls", "\tDRMContent"),
    "open.odt": _open("odt", "text"),
    "open.ods": _open("ods", "spreadsheet"),
    "open.odp": _open("odp", "presentation"),
    "certificate.pdf": lambda make: make.pdf("a.pdf", extra="/Encrypt<</Filter/Adobe.PubSec/V 4>>"),
}


@pytest.mark.parametrize("password", ["", "a password"])
@pytest.mark.parametrize("name", _PROTECTED)
def test_an_unknown_encryption_is_named(name: str, password: str, make: Any, refusal: Refusal) -> None:
    error = refusal(_PROTECTED[name](make), password=password)
    assert error.code == "UnsupportedEncryption"
    assert "cannot be opened here with any DocPassword: remove the" in error.message


@pytest.mark.parametrize("stream", ["WordDocument", "PowerPoint Document", "Workbook"])
def test_what_is_damaged_and_not_encrypted_is_called_damaged(
    stream: str, make: Any, refusal: Refusal
) -> None:
    suffix = {"WordDocument": "doc", "PowerPoint Document": "ppt", "Workbook": "xls"}[stream]
    assert refusal(compound_file(make.folder / f"a.{suffix}", stream)).code == "DamagedFile"
