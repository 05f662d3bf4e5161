"""Csv sources: makes a UTF-8 copy, and finds the delimiter and the number of columns."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.text.source import copy_as_utf8

_CHUNK: Final = 1 << 20
_SAMPLE_LINES: Final = 50
_DELIMITERS: Final = ",\t;|"
_MOST_COLUMNS: Final = 16_384
# A quoted field with any content, between delimiters or ends of lines.
_QUOTED: Final = re.compile(r'(?:(?<=[,\t;|\n])|\A)"(?:[^"]|"")*"(?=[,\t;|\n]|\Z)')
# Excel reads the delimiter from a first line such as ``sep=;`` and does not show the line.
_NAMED: Final = re.compile(r'\ufeff?"?sep=([^"\n])"?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """The delimiter of a csv, and an upper bound for the number of its columns."""

    delimiter: str
    columns: int


def copy_table(source: Path, target: Path) -> Table:
    """Write a csv to ``target`` as UTF-8 and describe it; refuse more columns than a sheet can have."""
    copy_as_utf8(source, target)
    delimiter = _take_named(target) or delimiter_of(target)
    columns = _columns_of(target, delimiter)
    if columns > _MOST_COLUMNS:
        raise ConversionError(
            errors.FILE_TOO_LARGE, f"the csv has {columns} columns; the limit is {_MOST_COLUMNS}"
        )
    return Table(delimiter, columns)


def _take_named(table: Path) -> str | None:
    """Remove a first line that names the delimiter, and return the delimiter; None without such a line."""
    with table.open(encoding="utf-8") as stream:
        named = _NAMED.match(stream.readline(len('\ufeff"sep=;"\n')))
    if named is None:
        return None
    content = table.read_bytes()
    table.write_bytes(content[content.index(b"\n") + 1 :])
    return named[1]


def delimiter_of(table: Path) -> str:
    """Guess the delimiter of a UTF-8 csv: the character that splits its first lines most, and most evenly."""
    with table.open(encoding="utf-8") as stream:
        sample = _QUOTED.sub("", stream.read(_CHUNK))
    # Lines are cut, because a line may have any length.
    lines = [line[:10_000] for line in sample.splitlines()[:_SAMPLE_LINES] if line.strip()]
    return max(_DELIMITERS, key=lambda sign: _evenness(sign, lines))


def _evenness(sign: str, lines: list[str]) -> tuple[int, int]:
    counts = Counter(count for line in lines if (count := line.count(sign)))
    if not counts:
        return 0, 0
    count, agreeing = counts.most_common(1)[0]
    return agreeing, count


def _columns_of(table: Path, delimiter: str) -> int:
    """Return an upper bound for the number of columns, or the exact number if the bound is over the limit."""
    with table.open(encoding="utf-8") as stream:
        most = 1 + max((line.count(delimiter) for line in stream), default=0)
    if most <= _MOST_COLUMNS:
        return most
    with table.open(encoding="utf-8") as stream:
        text = _QUOTED.sub("", stream.read())
    return 1 + max((line.count(delimiter) for line in text.splitlines()), default=0)
