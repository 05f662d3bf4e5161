"""Conversion that a test can hold up, so that jobs wait as long as the test needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_ci.local.convert import DocumentResult, InstantConverters


class Gate(InstantConverters):
    """Converts instantly while open; while closed, one job keeps running and the others wait."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._left: int | None = None
        self._opened = 0

    @contextmanager
    def closed(self, *, after: int = 0) -> Iterator[None]:
        """Close the gate after ``after`` more conversions; open it at the end of the block."""
        self._let_through(after)
        try:
            yield
        finally:
            self.open()

    def open(self) -> None:
        self._let_through(None)

    def document(self, *arguments: Any) -> DocumentResult:
        with self._changed:
            came_at = self._opened
            self._changed.wait_for(lambda: self._left is None or self._left > 0 or self._opened > came_at)
            if self._left is not None and self._opened == came_at:
                self._left -= 1
        return super().document(*arguments)

    def _let_through(self, number: int | None) -> None:
        with self._changed:
            self._left = number
            self._opened += number is None
            self._changed.notify_all()
