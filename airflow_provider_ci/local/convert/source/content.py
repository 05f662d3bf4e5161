"""Identify the real content of a file, independent of its name."""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from lxml import etree

from airflow_provider_ci.local.convert.source.compound import root_names

_HEAD: Final = 4096
# The start of a part is enough, and a hostile part may unpack to gigabytes.
_LONGEST_PART: Final = 1024**2

_PROGRAM: Final = "a Windows program"
_MAGIC: Final = {
    b"%PDF-": "pdf",
    b"{\\rt": "rtf",
    b"PK\x03\x04": "zip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x89PNG\r\n": "a png picture",
    b"\xff\xd8\xff": "a jpg picture",
    b"GIF8": "a gif picture",
    b"\x1f\x8b": "a gzip archive",
    b"Rar!": "a rar archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"MZ": _PROGRAM,
    b"\x7fELF": "a program",
    # The first records of Excel 2, 3, 4 and 5, outside of a compound file.
    b"\x09\x00\x04\x00": "biff",
    b"\x09\x02\x06\x00": "biff",
    b"\x09\x04\x06\x00": "biff",
    b"\x09\x08": "biff",
    # Word 1 and 2 for Windows, and Write: older than compound files, so LibreOffice detects the filter.
    b"\x9b\xa5": "winword",
    b"\xdb\xa5": "winword",
    b"\x31\xbe\x00\x00": "winword",
    b"\x32\xbe\x00\x00": "winword",
}
# A sign in the text, and the type that it shows. The first match counts, so general signs come last.
_MARKUP: Final = (
    ("urn:schemas-microsoft-com:office:spreadsheet", "SpreadsheetML, the XML of Excel 2003"),
    ("schemas.microsoft.com/office/word/2003/wordml", "WordprocessingML, the XML of Word 2003"),
    ("schemas.microsoft.com/office/2006/xmlpackage", "an Office package written as one XML file"),
    ("urn:oasis:names:tc:opendocument", "an OpenDocument written as one XML file"),
    ("<html", "HTML"),
    ("<!doctype html", "HTML"),
    ("<table", "HTML"),
    ("<body", "HTML"),
    ("mime-version:", "a web archive (MHTML)"),
    ("<?xml", "XML"),
)
_MAIL: Final = "mime-version:"
_MAIL_HEADERS: Final = re.compile(r"(?:[a-z-]+: [^\n]*\n|[ \t][^\n]*\n)*mime-version:")
_STREAMS: Final = {
    "EncryptedPackage": ("encrypted", "an encrypted Office document"),
    "WordDocument": ("word", "a Word document"),
    "Workbook": ("sheet", "an Excel workbook"),
    "Book": ("sheet", "an Excel workbook"),
    "PowerPoint Document": ("slides", "a PowerPoint presentation"),
    "PP40": ("slides", "a PowerPoint presentation"),
    "VisioDocument": ("", "a Visio drawing"),
    "__properties_version1.0": ("", "an Outlook message"),
}
# Substrings of the media types of an OpenDocument file and of a package's main part.
_OPEN_DOCUMENT: Final = {
    "text": ("word", "an OpenDocument text"),
    "spreadsheet": ("sheet", "an OpenDocument spreadsheet"),
    "presentation": ("slides", "an OpenDocument presentation"),
    "graphics": ("", "an OpenDocument drawing"),
    "formula": ("", "an OpenDocument formula"),
    "chart": ("", "an OpenDocument chart"),
}
_PACKAGES: Final = (
    ("wordprocessingml", "word", "a Word document"),
    ("ms-word", "word", "a Word document"),
    ("spreadsheetml", "sheet", "an Excel workbook"),
    ("ms-excel", "sheet", "an Excel workbook"),
    ("presentationml", "slides", "a PowerPoint presentation"),
    ("ms-powerpoint", "slides", "a PowerPoint presentation"),
    ("fixedrepresentation", "", "an XPS document"),
    ("visio", "", "a Visio drawing"),
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds: its ``container``, the ``kind`` of document (empty: unknown), words for messages.

    ``kind`` is ``none`` if the container is known to hold no document that can be converted. ``family`` is
    ``ooxml`` for Office packages, ``xlsb`` for binary workbooks, ``odf`` for OpenDocument.
    """

    container: str
    kind: str
    words: str
    family: str = ""


def identify(source: Path) -> Content:
    """Return what a file holds, by reading its content."""
    with source.open("rb") as stream:
        head = stream.read(_HEAD)
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    if found == "zip":
        return _in_archive(source)
    if found == "ole":
        return _in_compound(source)
    if found in ("pdf", "rtf", "biff", "winword"):
        return {
            "pdf": Content("pdf", "pdf", "a PDF"),
            "rtf": Content("rtf", "word", "RTF"),
            "biff": Content("biff", "sheet", "an Excel workbook"),
            "winword": Content("winword", "word", "an old Word document"),
        }[found]
    # A text may start with MZ, the first two letters of a Windows program.
    if found and (found != _PROGRAM or b"\0" in head):
        return Content("binary", "", found)
    return _in_text(head)


def _in_text(head: bytes) -> Content:
    is_wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = head.decode("utf-16" if is_wide else "latin-1", "replace").lower()
    start = text.lstrip("\ufeffï»¿ \r\n\t")
    is_markup = start.startswith(("<", _MAIL)) or bool(_MAIL_HEADERS.match(start))
    for sign, words in _MARKUP:
        # Beyond 200 characters a sign counts only in markup, because a plain text may mention HTML.
        if sign in text[:200] or (is_markup and sign in text):
            return Content("markup" if is_markup else "", "", words)
    is_text = "\0" not in text and _is_printable(head)
    return Content("", "", "plain text" if is_text else "")


def _is_printable(head: bytes) -> bool:
    return not any(byte < 32 and byte not in b"\t\n\r\f\v\x1b" for byte in head)


def _in_compound(source: Path) -> Content:
    names = root_names(source)
    kind, words = next((found for name, found in _STREAMS.items() if name in names), ("", ""))
    return Content("ole", kind or ("none" if words else ""), words)


def _in_archive(source: Path) -> Content:
    try:
        with zipfile.ZipFile(source) as archive:
            # The case of part names in a package has no meaning.
            names = {entry.filename.casefold(): entry for entry in archive.infolist()}
            if "mimetype" in names:
                found = _open_document(_part(archive, names["mimetype"]).decode("ascii", "replace"))
                if found:
                    return found
            if "[content_types].xml" in names:
                return _package(archive, names)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, RuntimeError, zlib.error):
        return Content("zip", "", "")
    return Content("zip", "none", "a zip archive without a document")


def _open_document(media_type: str) -> Content | None:
    name = media_type.strip().removeprefix("application/vnd.oasis.opendocument.")
    kind, words = _OPEN_DOCUMENT.get(name.partition("-")[0], ("", ""))
    return Content("zip", kind or "none", words, "odf") if words else None


def _part(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as part:
        return part.read(_LONGEST_PART)


def _package(archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo]) -> Content:
    relations = names.get("_rels/.rels")
    if relations is None:
        return Content("zip", "", "", "ooxml")
    targets = [
        _normal(node.get("Target", ""))
        for node in _xml(_part(archive, relations)).iter("{*}Relationship")
        if node.get("Type", "").rpartition("/")[2].lower()
        in ("officedocument", "fixedrepresentation", "document")
    ]
    main = next((target for target in targets if target in names), None)
    if main is None:
        return Content("zip", "none", "an Office package without a document", "ooxml")
    media_type = _media_type(_xml(_part(archive, names["[content_types].xml"])), main)
    for sign, kind, words in _PACKAGES:
        if sign in media_type:
            return Content("zip", kind or "none", words, "xlsb" if "binary" in media_type else "ooxml")
    return Content("zip", "", "", "ooxml")


def _normal(target: str) -> str:
    return posixpath.normpath("/" + unquote(target).replace("\\", "/")).lstrip("/").casefold()


def _media_type(types: etree._Element, part: str) -> str:
    for node in types.iter("{*}Override"):
        if _normal(node.get("PartName", "")) == part:
            return str(node.get("ContentType", "")).lower()
    for node in types.iter("{*}Default"):
        if str(node.get("Extension", "")).casefold() == part.rpartition(".")[2]:
            return str(node.get("ContentType", "")).lower()
    return ""


def _xml(content: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    root = etree.fromstring(content, parser)
    if root is None:
        raise ValueError("no XML")
    return root
