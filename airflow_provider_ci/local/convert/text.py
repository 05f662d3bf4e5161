"""Text sources: their encoding, a UTF-8 copy of them, and the delimiter of a csv."""

from __future__ import annotations

import codecs
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError

_MARKS: Final = {  # longest first: the mark of UTF-32 starts with the one of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CHUNK: Final = 1 << 20
_SAMPLE_LINES: Final = 50
_DELIMITERS: Final = ",\t;|"
_HEAD: Final = 4096
_DECLARED: Final = re.compile(r"<meta[^>]{0,200}?charset=[\"' ]*([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_QUOTED: Final = re.compile(r'"[^"]*"')


def encoding_of(source: Path) -> str:
    """Name the encoding of a text: by its byte order mark, else the first fit of UTF-8, GB18030, Latin-1.

    Bytes that are no text in any of them (they hold NUL) are a ConversionError.
    """
    with source.open("rb") as stream:
        head = stream.read(_CHUNK)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        raise ConversionError(errors.DAMAGED_FILE, "the content is not text: it holds NUL bytes")
    return next((name for name in ("utf-8", "gb18030") if _decodes(source, name)), "latin-1")


def _decodes(source: Path, encoding: str) -> bool:
    try:
        with source.open(encoding=encoding) as stream:
            while stream.read(_CHUNK):
                pass
    except (UnicodeError, LookupError):  # a page may declare what is no text encoding, like hex
        return False
    return True


def copy_as_utf8(source: Path, target: Path) -> None:
    """Write ``source`` to ``target`` as UTF-8 with plain newlines."""
    with (
        source.open(encoding=encoding_of(source), errors="replace") as reader,
        target.open("w", encoding="utf-8", newline="\n") as writer,
    ):
        shutil.copyfileobj(reader, writer, _CHUNK)


def copy_html_as_utf8(source: Path, target: Path) -> None:
    """Write an html file as UTF-8 and declare it so: LibreOffice believes the declaration above all else."""
    with (
        source.open(encoding=_html_encoding(source), errors="replace") as reader,
        target.open("w", encoding="utf-8", newline="\n") as writer,
    ):
        head = reader.read(_HEAD)
        declared = _DECLARED.search(head)
        if declared:
            writer.write(f"{head[: declared.start(1)]}utf-8{head[declared.end(1) :]}")
        else:
            writer.write(f'<meta charset="utf-8">{head}')
        shutil.copyfileobj(reader, writer, _CHUNK)


def _html_encoding(source: Path) -> str:
    encoding = encoding_of(source)
    if encoding in _MARKS.values():
        return encoding
    with source.open("rb") as stream:
        declared = _DECLARED.search(stream.read(_HEAD).decode("latin-1"))
    try:
        # gb2312 and gbk pages often hold signs of their superset
        name = codecs.lookup(declared[1]).name if declared else encoding
    except LookupError:
        return encoding
    name = {"gb2312": "gb18030", "gbk": "gb18030"}.get(name, name)
    return name if _decodes(source, name) else encoding


def delimiter_of(source: Path) -> str:
    """Guess the delimiter of a UTF-8 csv: the one that splits its first lines most, and most evenly."""
    with source.open(encoding="utf-8") as stream:
        lines = stream.read(_CHUNK).splitlines()[:_SAMPLE_LINES]
    bare = [_QUOTED.sub("", line[:10_000]) for line in lines if line.strip()]
    return max(_DELIMITERS, key=lambda sign: _evenness(sign, bare))


def _evenness(sign: str, lines: list[str]) -> tuple[int, int]:
    counts = Counter(count for line in lines if (count := line.count(sign)))
    if not counts:
        return 0, 0
    count, agreeing = counts.most_common(1)[0]
    return agreeing, count
