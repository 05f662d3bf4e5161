"""Keeps lines about single requests and objects from filling the log of a task that has a million of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock

_PACKAGE = __name__.partition(".")[0]
LOGGERS = (
    "client.http.retry",
    "jobs.cancel",
    "jobs.outage",
    "jobs.submit",
    "batch.dispatch.adopt",
    "batch.dispatch.outcomes",
    "batch.run.loop",
)
"""The modules that log lines about one request, one job or one object."""
_AT_FIRST = 3
_SECONDS = 60.0


class FewLines(logging.Filter):
    """Lets the first lines of each kind through, then one a minute, which says how many were left out.

    Lines are of a kind when they differ in their values only. As a context manager it filters the loggers of
    this package, and at its end it logs how many lines were left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = Lock()
        self._kinds: dict[str, _Kind] = {}

    def __enter__(self) -> FewLines:
        for name in LOGGERS:
            logging.getLogger(f"{_PACKAGE}.{name}").addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in LOGGERS:
            logging.getLogger(f"{_PACKAGE}.{name}").removeFilter(self)
        for text, kind in self._kinds.items():
            if kind.left_out:
                logging.getLogger(kind.logger).info(
                    "%d more lines like %r were left out", kind.left_out, text
                )

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the line; the number of those left out is added to it."""
        with self._lock:
            kind = self._kinds.setdefault(str(record.msg), _Kind(record.name))
            now = self._clock()
            if kind.told >= _AT_FIRST and now < kind.next_at:
                kind.left_out += 1
                return False
            kind.told, kind.next_at = kind.told + 1, now + _SECONDS
            left_out, kind.left_out = kind.left_out, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it)", ()
        return True


class _Kind:
    """Lines with the same text."""

    def __init__(self, logger: str) -> None:
        self.logger = logger
        self.told = 0
        self.left_out = 0
        self.next_at = 0.0
