"""The result of each object, as a table for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from airflow_provider_ci.batch import ObjectResult

_HEADER = ("object", "operation", "state", "pages or size", "output")


def render_table(verdicts: Iterable[tuple[str, ObjectResult]]) -> str:
    """The table; each column is as wide as its widest cell."""
    rows = [_HEADER, *(_row(task, verdict) for task, verdict in verdicts)]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_pad, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _row(task: str, verdict: ObjectResult) -> tuple[str, ...]:
    return (verdict.key, task, str(verdict.state), _amount(verdict), _outputs(verdict))


def _outputs(verdict: ObjectResult) -> str:
    more = (verdict.outputs or 1) - 1
    return f"{verdict.first_output or '-'}{f' and {more} more' if more else ''}"


def _amount(verdict: ObjectResult) -> str:
    if verdict.pages is not None:
        is_pdf = verdict.output_key.endswith(".pdf")
        converted = "" if is_pdf or verdict.outputs == verdict.pages else f"{verdict.outputs} of "
        return f"{converted}{verdict.pages} page{'s' if verdict.pages != 1 else ''}"
    if verdict.output_size is not None:
        return f"{verdict.output_size / 1024:.1f} KiB"
    return "-"


def _width(text: str) -> int:
    """Number of terminal columns that a text needs: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
