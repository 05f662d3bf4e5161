"""Limits log lines about single requests and objects, so that they do not fill the log of a large batch."""

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
"""The modules whose log lines are about one request, one job or one object."""
_AT_FIRST = 3
_SECONDS = 60.0


class FewLines(logging.Filter):
    """Passes the first lines of each kind, then one line per minute, which says how many were left out.

    Lines that differ only in their values are of one kind. As a context manager, the filter applies to the
    loggers of this package, and at the end it logs how many lines were left out.
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
        """Whether to log the line; if so, the number of lines left out before is added to it."""
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
    """The state of one kind of line: lines with the same text before their values are filled in."""

    def __init__(self, logger: str) -> None:
        self.logger = logger
        self.told = 0
        self.left_out = 0
        self.next_at = 0.0
