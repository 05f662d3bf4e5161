"""Counts the requests that a benchmark sends."""

from __future__ import annotations

import logging


class Requests(logging.Handler):
    """Counts the GET requests of this process, as urllib3 sends them.

    :param path: count only requests whose path begins with this.
    """

    def __init__(self, path: str = "/") -> None:
        super().__init__(logging.DEBUG)
        self._path = path
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count the log record if it is about such a request."""
        line = record.args if isinstance(record.args, tuple) else ()
        self.count += "GET" in line and any(str(word).startswith(self._path) for word in line)

    def __enter__(self) -> Requests:
        logger = logging.getLogger("urllib3.connectionpool")
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("urllib3.connectionpool")
        logger.removeHandler(self)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
