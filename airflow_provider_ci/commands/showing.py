"""Shows the progress of a batch: as a bar in a terminal, as plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from airflow_provider_ci.batch import Progress

_LINE_SECONDS = 10.0


class Shown:
    """Shows the progress of a batch; a context manager.

    :param stream: where to write; usually the standard error, because results go to the standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told = float("-inf")
        self._bar: Bar | None = None
        if stream.isatty():
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(file=stream),
            )
            self._task = self._bar.add_task("planning", total=None)

    def __enter__(self) -> Shown:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show the progress; outside a terminal, at most one line in ten seconds."""
        if self._bar is not None:
            words = f"{progress.failed:,} failed, {progress.in_flight:,} in flight"
            self._bar.update(self._task, description=words, total=progress.total, completed=progress.finished)
        elif time.monotonic() - self._told >= _LINE_SECONDS:
            self._told = time.monotonic()
            print(line_of(progress), file=self._stream, flush=True)


def line_of(progress: Progress) -> str:
    """Return the progress as one line."""
    return (
        f"{progress.finished:,} of {progress.total:,} finished, {progress.failed:,} failed, "
        f"{progress.in_flight:,} in flight"
    )
