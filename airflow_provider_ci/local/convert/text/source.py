"""Text sources: finds their encoding, and makes a UTF-8 copy of them."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Final, TextIO

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.text import encodings

_MARKS: Final = {  # longest first: the mark of UTF-32 starts with the mark of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CHUNK: Final = 1 << 20
_HEAD: Final = 4096
_DECLARED: Final = re.compile(r"<meta[^>]{0,200}?charset=[\"' ]*([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_XML_DECLARED: Final = re.compile(r"<\?xml[^>]{0,200}?encoding=[\"']([A-Za-z0-9._-]{1,40})")
_ESCAPES: Final = re.compile(rb"\x1b(\$[@AB]|\$\(|\([BJI])")
_CONTROLS: Final = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SIGNS_PER_CONTROL: Final = 4
# Control characters become U+FFFD; LibreOffice would drop them or show a number sign.
_SHOWN: Final = dict.fromkeys((*range(9), *range(14, 32), 127), "\ufffd")
_END_OF_FILE: Final = "\x1a"
_WHOLE_PER_DAMAGED: Final = 4
# Texts declared in the first encoding often hold characters that only the second has.
_SUPERSETS: Final = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
}


def encoding_of(source: Path) -> str:
    """Return the encoding of a text, by its byte order mark, as UTF-8, by its XML declaration, or guessed.

    UTF-8 with a damaged character still counts as UTF-8. Raises ConversionError for bytes that are not text,
    and for a text whose encoding is not certain: an error is better than a wrong text.
    """
    with source.open("rb") as stream:
        head = stream.read(_CHUNK)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    # In UTF-16 and UTF-32 many bytes are zero or look like control characters.
    wide = encodings.guess_wide(head) if _CONTROLS.search(head) else None
    if wide and _decodes(source, wide):
        return wide
    if b"\0" in head:
        raise ConversionError(errors.DAMAGED_FILE, "the content is not text: it holds NUL bytes")
    if len(_CONTROLS.findall(head)) * _SIGNS_PER_CONTROL > len(head):
        raise ConversionError(errors.DAMAGED_FILE, "the content is not text: it holds control characters")
    # ISO-2022-JP consists of ASCII bytes and escapes, so it would pass for UTF-8.
    if _ESCAPES.search(head) and _decodes(source, "iso2022_jp_2"):
        return "iso2022_jp_2"
    if _is_utf8(source):
        return "utf-8"
    # Latin-1 can decode any bytes, and the declaration itself is ASCII.
    declared = _known_encoding(_XML_DECLARED.match(head.decode("latin-1")))
    if declared and _decodes(source, declared):
        return declared
    return _guessed(source)


def _guessed(source: Path) -> str:
    encoding = encodings.guess(_telling_lines(source))
    if encoding is None or not _decodes(source, encoding):
        raise ConversionError(
            errors.DAMAGED_FILE,
            "the encoding of the text is not certain: it is not UTF-8, and several others fit or none does; "
            "save it as UTF-8",
        )
    return encoding


def _telling_lines(source: Path) -> bytes:
    """Return the first lines with non-ASCII characters, which reveal the encoding."""
    lines, size = [], 0
    with source.open("rb") as stream:
        # Limited, because a line may be as long as the whole file.
        while size < encodings.SAMPLE_BYTES and (line := stream.readline(_CHUNK)):
            if not line.isascii():
                lines.append(line)
                size += len(line)
    return b"".join(lines)


def _is_utf8(source: Path) -> bool:
    """Return whether a text is UTF-8; a few cut or damaged characters are accepted."""
    whole = damaged = 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with source.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            text = decoder.decode(chunk)
            damaged += text.count("\ufffd")
            whole += len(text) - len(text.encode("ascii", "ignore"))
    is_cut = bool(decoder.decode(b"", final=True))  # a cut at the end damages one character at most
    if damaged:
        return whole - damaged >= _WHOLE_PER_DAMAGED * damaged
    return whole > 0 or not is_cut


def _decodes(source: Path, encoding: str) -> bool:
    try:
        with source.open(encoding=encoding) as stream:
            while stream.read(_CHUNK):
                pass
    except (UnicodeError, LookupError):  # a page may declare a codec that does not decode text, like hex
        return False
    return True


def _known_encoding(declared: re.Match[str] | None) -> str | None:
    """Return a declared encoding, or the superset that is usually meant by it; None if it is unknown."""
    try:
        name = codecs.lookup(declared[1]).name if declared else None
    except LookupError:
        return None
    return _SUPERSETS.get(name, name) if name else None


def copy_as_utf8(source: Path, target: Path) -> None:
    """Write ``source`` to ``target`` as UTF-8 with plain newlines; replace control characters."""
    with (
        source.open(encoding=encoding_of(source), errors="replace") as reader,
        target.open("w", encoding="utf-8", newline="\n") as writer,
    ):
        _copy(reader, writer)


def _copy(reader: TextIO, writer: TextIO) -> None:
    while text := reader.read(_CHUNK):
        # DOS programs end a text with Ctrl-Z, which does not belong to the text.
        writer.write(text.removesuffix(_END_OF_FILE).translate(_SHOWN))


def copy_html_as_utf8(source: Path, target: Path) -> None:
    """Write an html file as UTF-8 and declare UTF-8 in it: LibreOffice trusts this declaration most."""
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
        _copy(reader, writer)


def _html_encoding(source: Path) -> str:
    with source.open("rb") as stream:
        head = stream.read(_HEAD)
    is_marked = any(head.startswith(mark) for mark in _MARKS)
    declared = _known_encoding(_DECLARED.search(head.decode("latin-1")))
    # Valid UTF-8 is hardly ever another encoding, even if the page declares one.
    if is_marked or declared is None or _is_utf8(source) or not _decodes(source, declared):
        return encoding_of(source)
    return declared
