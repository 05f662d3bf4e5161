"""Formats a report for people: as a table on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import textwrap

from airflow_provider_ci.check.finding import Verdict
from airflow_provider_ci.check.report import Report, Row

WIDTH = 110
STYLES = {Verdict.FITS: "green", Verdict.DIFFERS: "bold red", Verdict.NOT_SEEN: "yellow"}


def plain(report: Report) -> str:
    """Return the report as text: one line for each assumption that fits, several lines for each other."""
    width = max((len(row.name) for row in report.rows), default=0)
    lines = [line for row in report.rows for line in _lines(row, width)]
    return "\n".join([*lines, *([""] if lines else []), summary(report), ""])


def summary(report: Report) -> str:
    """Return a line with the number of assumptions that fit, and the jobs, requests and time of the check."""
    counts = ", ".join(f"{len(report.with_verdict(verdict))} {words}" for verdict, words in _COUNTED)
    return (
        f"{report.bucket} in {report.region}: {counts}; "
        f"{report.jobs} jobs, {report.requests} requests, {report.seconds:.0f} s"
    )


_COUNTED = ((Verdict.FITS, "fit"), (Verdict.DIFFERS, "differ"), (Verdict.NOT_SEEN, "not seen"))


def _lines(row: Row, width: int) -> list[str]:
    first = f"{row.verdict!s:<8}  {row.name:<{width}}  {row.seen}"
    if row.verdict is Verdict.FITS:
        return [first]
    return [first, _indented(f"assumed: {row.assumed}"), _indented(f"do: {row.advice}")]


def _indented(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 12)


def print_rich(report: Report) -> None:
    """Print the report as a table in colours."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"Bucket {report.bucket} in {report.region}", show_lines=True)
    for title in ("", "Assumption", "Seen", "What to do"):
        table.add_column(title, overflow="fold")
    for row in report.rows:
        name = Text(row.name, style="bold").append(f"\n{row.assumed}", style="not bold dim")
        verdict = Text(str(row.verdict), style=STYLES[row.verdict])
        table.add_row(verdict, name, Text(row.seen), Text(row.advice))
    console = Console()
    if report.rows:
        console.print(table)
    console.print(Text(summary(report)))
