"""Writes results as a table, CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from airflow_provider_ci.batch import ObjectResult

_COLUMNS = tuple(field.name for field in fields(ObjectResult))
_TABLE = ("state", "code", "key", "message")
_ROWS = 10_000
_WHOLE_NUMBERS = ("outputs", "pages", "failed_pages", "output_size", "attempts", "index", "size")


def write_table(results: Iterable[ObjectResult], stream: TextIO) -> None:
    """Write the most important fields in aligned columns, for people."""
    stream.write(f"{'state':<11}{'code':<22}{'key'}\n")
    for result in results:
        row = {name: _one_line(getattr(result, name)) for name in _TABLE}
        reason = f"  ({row['message']})" if row["message"] else ""
        stream.write(f"{row['state']:<11}{row['code'] or '-':<22}{row['key']}{reason}\n")


def write_csv(results: Iterable[ObjectResult], stream: TextIO) -> None:
    """Write all fields as CSV with a header."""
    writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_flat_row, results))


def write_jsonl(results: Iterable[ObjectResult], stream: TextIO) -> None:
    """Write one JSON object per line."""
    for result in results:
        stream.write(f"{json.dumps(_row(result))}\n")


TEXT_FORMATS: dict[str, Callable[[Iterable[ObjectResult], TextIO], None]] = {
    "table": write_table,
    "csv": write_csv,
    "jsonl": write_jsonl,
}


def write_parquet(results: Iterable[ObjectResult], path: Path) -> None:
    """Write all fields to a Parquet file; at most 10,000 rows are in memory at a time.

    :raises ValueError: pyarrow is not installed.
    """
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise ValueError(
            "--format parquet needs pyarrow: pip install 'airflow-provider-ci[parquet]'"
        ) from None
    schema = pyarrow.schema([(name, _type(pyarrow, name)) for name in _COLUMNS])
    rows = map(_flat_row, results)
    with parquet.ParquetWriter(path, schema) as writer:
        for chunk in _chunks(rows):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema=schema))


def _type(pyarrow: Any, name: str) -> Any:
    if name == "failed_before":
        return pyarrow.bool_()
    return pyarrow.int64() if name in _WHOLE_NUMBERS else pyarrow.string()


def _row(result: ObjectResult) -> dict[str, Any]:
    """Return the fields of a result as a row; ``steps`` is a list of such rows, one for each step."""
    values = {name: getattr(result, name) for name in _COLUMNS}
    values |= {"state": str(result.state), "steps": [_row(step) for step in result.steps]}
    return {name: _text(value) if isinstance(value, str) else value for name, value in values.items()}


def _flat_row(result: ObjectResult) -> dict[str, Any]:
    """Return the row of a result for a table; its steps are JSON in one cell, which may be empty."""
    row = _row(result)
    return {**row, "steps": json.dumps(row["steps"]) if row["steps"] else ""}


def _text(value: str) -> str:
    """Escape lone surrogates, which a text file cannot contain."""
    return value.encode("utf-8", "backslashreplace").decode()


def _one_line(value: Any) -> str:
    return _text(str(value)).replace("\n", "\\n").replace("\r", "\\r")


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while chunk := list(islice(rows, _ROWS)):
        yield chunk
