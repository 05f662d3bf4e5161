"""The source types, and LibreOffice's import filter for each type.

Without an explicit filter, LibreOffice would "convert" random bytes named .docx as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """How to read a source type: document ``kind``, ``container`` of its bytes, LibreOffice's ``filter``."""

    kind: str
    container: str
    filter: str


# A file may have the kind that its name says, but another container: a .doc that is really RTF.
OTHER_CONTAINERS: Final = {
    ("word", "ole"): "MS Word 97",
    ("word", "zip"): "MS Word 2007 XML",
    ("word", "rtf"): "Rich Text Format",
    ("sheet", "ole"): "MS Excel 97",
    ("sheet", "zip"): "Calc MS Excel 2007 XML",
    ("slides", "ole"): "MS PowerPoint 97",
    ("slides", "zip"): "Impress MS PowerPoint 2007 XML",
}

OPEN_DOCUMENT_FILTERS: Final = ("writer8", "calc8", "impress8")
BINARY_WORKBOOK_FILTER: Final = "Calc MS Excel 2007 Binary"
KIND_WORDS: Final = {
    "word": "text document",
    "sheet": "workbook",
    "slides": "presentation",
    "csv": "csv table",
    "html": "HTML page",
    "text": "plain text file",
    "pdf": "PDF",
}

# File systems allow 255 bytes; the name of LibreOffice's lock file is longer than the document's.
_LONGEST_NAME: Final = 230

# The filters have LibreOffice's own names, some of which are German.
_OFFICE: Final = {
    ("word", "ole", "MS Word 97"): "doc wps",
    ("word", "ole", "MS Word 97 Vorlage"): "dot wpt",
    ("word", "zip", "MS Word 2007 XML"): "docx",
    ("word", "zip", "MS Word 2007 XML VBA"): "docm",
    ("word", "zip", "MS Word 2007 XML Template"): "dotx dotm",
    ("word", "zip", "writer8"): "odt",
    ("word", "rtf", "Rich Text Format"): "rtf",
    ("sheet", "ole", "MS Excel 97"): "xls et",
    ("sheet", "ole", "MS Excel 97 Vorlage/Template"): "xlt ett ets",
    ("sheet", "zip", "Calc MS Excel 2007 XML"): "xlsx",
    ("sheet", "zip", "Calc MS Excel 2007 VBA XML"): "xlsm",
    ("sheet", "zip", "Calc MS Excel 2007 Binary"): "xlsb",
    ("sheet", "zip", "Calc MS Excel 2007 XML Template"): "xltx xltm",
    ("sheet", "zip", "calc8"): "ods",
    ("slides", "ole", "MS PowerPoint 97"): "ppt dps",
    ("slides", "ole", "MS PowerPoint 97 AutoPlay"): "pps",
    ("slides", "ole", "MS PowerPoint 97 Vorlage"): "pot dpt",
    ("slides", "zip", "Impress MS PowerPoint 2007 XML"): "pptx",
    ("slides", "zip", "Impress MS PowerPoint 2007 XML VBA"): "pptm",
    ("slides", "zip", "Impress MS PowerPoint 2007 XML AutoPlay"): "ppsx ppsm",
    ("slides", "zip", "Impress MS PowerPoint 2007 XML Template"): "potx potm",
    ("slides", "zip", "impress8"): "odp",
    ("csv", "text", "Text - txt - csv (StarCalc)"): "csv",
    ("html", "text", "HTML (StarWriter)"): "html htm",
    ("text", "text", "Text (encoded)"): "txt lrc c cpp h asm s java asp bat bas prg cmd log xml",
    ("pdf", "pdf", ""): "pdf",
}

FORMATS: Final = {
    suffix: SourceFormat(*key) for key, suffixes in _OFFICE.items() for suffix in suffixes.split()
}


def source_suffix(name: str, source_type: str) -> str:
    """Return the source type of ``name``; ``source_type`` counts only if the name has no extension."""
    base = name.rsplit("/", 1)[-1]
    suffix = base.rpartition(".")[2] if "." in base.lstrip(".") else source_type.lstrip(".")
    return suffix.lower()


def file_name(name: str, suffix: str) -> str:
    """Return the file name that LibreOffice gets; fields in the document may print it."""
    base = name.rsplit("/", 1)[-1]
    is_usable = base.isprintable() and not base.startswith(".") and len(base.encode()) <= _LONGEST_NAME
    return base if base and is_usable else f"document.{suffix}"


def source_format(name: str, source_type: str) -> SourceFormat:
    """Return the format of a source by its name, or raise ConversionError with code UnsupportedType."""
    suffix = source_suffix(name, source_type)
    if suffix in FORMATS:
        return FORMATS[suffix]
    if not suffix:
        raise ConversionError(
            errors.UNSUPPORTED_TYPE,
            f"the type of {name} is not known: the name has no extension; give its type as SrcType",
        )
    raise ConversionError(
        errors.UNSUPPORTED_TYPE, f"{name} cannot be converted: {suffix!r} is not a document type"
    )
