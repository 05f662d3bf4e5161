"""What the columns of a manifest mean, and how its rows are read."""

from __future__ import annotations

import csv
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from itertools import islice
from typing import Any

from airflow_provider_ci.batch.sources.files import LocalFile, text_lines
from airflow_provider_ci.batch.sources.source import Row, SourceError, UnusableKey
from airflow_provider_ci.client import ObjectInfo, Secret
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.wire import nodes

LINE, PROBLEM = "_line", "_problem"
"""Columns in a copied part of a manifest: the row's line in the whole manifest, and why it is unusable."""
_FORMAT = re.compile(r"\.(csv|jsonl|ndjson)(\.gz)?$", re.IGNORECASE)
_MAX_BAD_AT_START = 1000
_MAX_LINES = 20
"""Maximum number of further lines of a row whose cells contain line breaks."""
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
# An inventory calls this column "lastmodifieddate".
_ALIASES = {"sheet": "sheet_id", "priority": "job_level", "lastmodifieddate": "last_modified"}


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in the file: its cells, or the problem of the line."""

    line: int
    cells: Mapping[str, Any]
    problem: str = ""


@dataclass(slots=True)
class WantedRow:
    """A row that was understood: an object, its expected state, and its own settings."""

    key: str
    line: int
    values: dict[str, Any] = field(default_factory=dict)
    """Size, ETag, last change, output and priority, each only if the row gives it."""
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        """The row without its key and line, as a text to compare with another row of the same key."""
        return json.dumps([self.values, self.parameters], sort_keys=True, default=str)

    @property
    def info(self) -> ObjectInfo | None:
        """The object, if the row describes it completely."""
        size, etag, modified = (self.values.get(name) for name in ("size", "etag", "last_modified"))
        if size is None or not etag or modified is None:
            return None
        return ObjectInfo(self.key, size, etag, modified)

    def mismatch(self, found: ObjectInfo) -> str:
        """How the object differs from what the row says; empty if there is no difference."""
        for name in ("etag", "size", "last_modified"):
            said, has = self.values.get(name), getattr(found, name)
            if said is not None and said != has:
                return f"the manifest says {name} {said!s}, the object has {has!s}"
        return ""

    def found(self, info: ObjectInfo) -> ObjectInfo | Row:
        """The object with its settings."""
        output, level = self.values.get("output", ""), self.values.get("job_level")
        if not output and level is None and not self.parameters:
            return info
        return Row(info=info, output_key=output, job_level=level, parameters=self.parameters)


def raw_rows(file: LocalFile) -> Iterator[RawRow]:
    """The rows of a CSV or JSON Lines file, which may be compressed.

    :raises SourceError: the file has no key column, has another format or encoding, or is cut off.
    """
    match = _FORMAT.search(file.name)
    if not match:
        raise SourceError(
            f"{file.name!r}: the name of a manifest ends with .csv, .jsonl, .csv.gz or .jsonl.gz"
        )
    read = _csv_rows if match[1].lower() == "csv" else _json_rows
    return read(file.name, text_lines(file))


def wanted_row(raw: RawRow, name: str) -> WantedRow | UnusableKey:
    """Read a row.

    :param name: name of the manifest, for messages.
    """
    line = raw.cells.get(LINE) or raw.line
    try:
        if problem := raw.problem or raw.cells.get(PROBLEM):
            raise ValueError(str(problem))
        return _understood(raw.cells, int(line))
    except ValueError as error:
        return unusable(name, line, raw.cells.get("key"), "InvalidRow", str(error))


def unusable(name: str, line: int | str, key: object, code: str, reason: str) -> UnusableKey:
    """The entry for a row that cannot be used; only this row fails."""
    place = f"{name}, line {line}"
    is_key = isinstance(key, str) and key
    return UnusableKey(key=str(key) if is_key else place, code=code, message=f"{place}: {reason}")


def _understood(cells: Mapping[str, Any], line: int) -> WantedRow:
    key = cells.get("key")
    checks.object_key("key", key)
    row = WantedRow(key=str(key), line=line)
    for column, cell in cells.items():
        if cell is None or cell == "":
            continue
        parameter = column.rpartition(".")[2]  # "pdf.start_page" is for the step "pdf" only
        if parameter in _PARAMETERS:
            row.parameters[column] = _PARAMETERS[parameter](column, cell)
        elif column in _VALUES:
            row.values[column] = _VALUES[column](column, cell)
    return row


# Columns


def _number(name: str, cell: Any, lowest: int = 0, highest: int | None = None) -> int:
    found: int = checks.number(name, cell.strip() if isinstance(cell, str) else cell, lowest, highest)
    return found


def _text(name: str, cell: Any) -> str:
    found: str = checks.text(name, cell)
    return found.strip()


def _etag(name: str, cell: Any) -> str:
    return _text(name, cell).strip('"')


def _time(name: str, cell: Any) -> datetime:
    text = _text(name, cell)
    try:
        if not text.endswith("Z"):
            with suppress(ValueError):
                moment = datetime.fromisoformat(text)
                # A time without a zone is UTC, as in the filters of a selection.
                return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return nodes.parse_time(text)
    except ValueError:
        raise ValueError(f"{name} must be a time such as 2026-11-21T00:00:00Z, not {cell!r}") from None


def _key(name: str, cell: Any) -> str:
    checks.object_key(name, cell)
    return str(cell)


def _secret(name: str, cell: Any) -> str:
    try:
        Secret(cell.strip() if isinstance(cell, str) else cell)
    except ValueError:
        # The cell is not shown: it may be a password.
        raise ValueError(
            f"{name} names a secret, such as conn:ID, var:NAME or env:NAME, and holds no password"
        ) from None
    return str(cell).strip()


_VALUES: Mapping[str, Callable[[str, Any], Any]] = {
    "size": _number,
    "etag": _etag,
    "last_modified": _time,
    "output": _key,
    "job_level": partial(_number, highest=2),
}
_PARAMETERS: Mapping[str, Callable[[str, Any], Any]] = {
    "target": _text,
    "source_type": _text,
    "page_ranges": _text,
    "image_params": _text,
    "start_page": partial(_number, lowest=1),
    # -1 means the last page (1045/47932).
    "end_page": partial(_number, lowest=-1),
    "sheet_id": _number,
    "paper_direction": _number,
    "paper_size": _number,
    "comments": _number,
    "quality": partial(_number, lowest=1),
    "zoom": _number,
    "image_dpi": _number,
    "pic_pagination": _number,
    "rule": _text,
    "doc_password": _secret,
}
"""Columns that are fields of an operation; the operation checks their ranges."""
KNOWN = frozenset({"key", LINE, PROBLEM, *_VALUES, *_PARAMETERS})
"""All columns with a meaning."""


def is_known(column: str) -> bool:
    """Whether a column has a meaning; a parameter may be for one step, as in ``pdf.start_page``."""
    return not column or column in KNOWN or column.rpartition(".")[2] in _PARAMETERS


def _column(name: str) -> str:
    lower = name.strip().lower()
    return _ALIASES.get(lower, lower)


# Formats


def _csv_rows(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[RawRow]:
    first = next(lines, None)
    if first is None:
        raise SourceError(f"{name} is empty; its first line names the columns, of which one is key")
    try:
        columns = [_column(cell) for cell in _cells(first[1])]
    except ValueError as error:
        raise SourceError(f"{name}, line {first[0]}: {error}") from None
    _check_columns(name, first[1], columns)
    rest = _Lines(lines)
    for number, text in rest:
        try:
            cells = _cells(text)
        except ValueError as error:
            more = _continued(text, len(columns), rest)
            if more is None:
                yield RawRow(number, {}, str(error))
                continue
            cells = more
        # A row of the wrong length is read as far as it goes, so that its failure can name the key.
        row = dict(zip(columns, cells, strict=False))
        if len(cells) != len(columns):
            yield RawRow(number, row, f"the row has {len(cells)} columns, the first line {len(columns)}")
        else:
            yield RawRow(number, row)


class _Lines:
    """An iterator of numbered lines; lines can be put back."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._put_back: deque[tuple[int, str]] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> tuple[int, str]:
        return self._put_back.popleft() if self._put_back else next(self._lines)

    def put_back(self, lines: list[tuple[int, str]]) -> None:
        """Put lines back, so that they are the next ones again."""
        self._put_back.extendleft(reversed(lines))


def _continued(text: str, columns: int, lines: _Lines) -> list[str] | None:
    """The cells of a row whose quoted cell contains line breaks; None if the lines are not such a row.

    In that case, all lines are put back. An open quote cannot swallow the rows after it, because the row must
    have all of its columns within a few lines.
    """
    taken: list[tuple[int, str]] = []
    for line in islice(lines, _MAX_LINES):
        taken.append(line)
        text = f"{text}\n{line[1]}"
        if '"' in line[1]:
            with suppress(ValueError):
                if len(cells := _cells(text)) == columns:
                    return cells
    lines.put_back(taken)
    return None


def _cells(text: str) -> list[str]:
    """The cells of a row.

    :raises ValueError: the text is not a row.
    """
    # Most rows have no quotes, and splitting them at commas is much cheaper than a CSV reader.
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(f"not a row of comma-separated values: {error}") from None


def _check_columns(name: str, line: str, columns: list[str]) -> None:
    if "\r" in line:
        raise SourceError(f"{name}: the lines end with CR alone; save the file with LF or CRLF")
    if "key" not in columns:
        other = next((each for each in _OTHER_SEPARATORS if each in line), None)
        found = (
            f"It seems to have {_OTHER_SEPARATORS[other]}; save the file with commas"
            if other
            else ("The first line of a CSV manifest names the columns, separated by commas")
        )
        raise SourceError(
            f"{name} has no column key; its first line names {', '.join(map(repr, columns[:10]))}. {found}"
        )
    twice = sorted({each for each in columns if columns.count(each) > 1 and each in KNOWN})
    if twice:
        raise SourceError(f"{name} has two columns {', '.join(twice)}")
    check_passwords(name, columns)


def check_passwords(name: str, columns: object) -> None:
    """Refuse a column of passwords, which would be stored in the plan and the report.

    :raises SourceError: there is such a column.
    """
    if isinstance(columns, (list, dict)) and "password" in columns:
        raise SourceError(
            f"{name} has a column password; name a secret in a column doc_password instead, such as conn:ID"
        )


def _json_rows(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[RawRow]:
    """The rows of JSON Lines. A file whose first thousand lines hold no row is refused."""
    bad: list[RawRow] = []
    has_rows = False
    for number, text in lines:
        row = _json_row(number, text)
        check_passwords(name, row.cells)
        has_rows = has_rows or (not row.problem and bool({"key", PROBLEM} & row.cells.keys()))
        if has_rows:
            yield from bad
            bad.clear()
            yield row
        else:
            bad.append(row)
        # A few bad lines fail alone. A file of another kind must not become a million failures.
        if len(bad) > _MAX_BAD_AT_START:
            break
    if bad:
        reason = bad[0].problem or f"no key in line {bad[0].line}"
        raise SourceError(
            f'{name} is no manifest: {reason}; each line is an object such as {{"key": "a.docx"}}'
        )


def _json_row(number: int, text: str) -> RawRow:
    try:
        cells = json.loads(text)
    except (ValueError, RecursionError) as error:  # deeply nested JSON exhausts the parser's stack
        return RawRow(number, {}, f"not JSON: {error}")
    if not isinstance(cells, dict):
        return RawRow(number, {}, "not a JSON object")
    row = {_column(name): cell for name, cell in cells.items()}
    is_twice = len(row) < len(cells)
    return RawRow(number, row, "two of its names mean the same column" if is_twice else "")
