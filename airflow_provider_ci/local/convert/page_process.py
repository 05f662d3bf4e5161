"""The asking side of the page worker: started on first use, replaced after a crash or enough work."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airflow_provider_ci.local.convert.process import Deadline, Worker, checked

_MODULE: Final = "airflow_provider_ci.local.convert.page_worker"
_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """When a worker is replaced, and what it may take of the machine."""

    requests: int = 500
    memory_bytes: int = 4 * 1024**3
    file_bytes: int = 2 * 1024**3


class PageWorker(Worker):
    """One worker process for PDF pages and pictures, replaced also after enough requests."""

    crash_message = "the page and picture worker crashed on the content"

    def __init__(self, folder: Path, limits: PageLimits) -> None:
        super().__init__()
        self._folder = folder
        self._limits = limits

    def call(self, operation: str, deadline: Deadline, **request: object) -> dict[str, Any]:
        """Have an operation done and give its answer; every failure is a ConversionError."""
        answer = self.ask({"operation": operation, **request}, deadline)
        if self.answered >= self._limits.requests:
            self.stop()
        return checked(answer)

    def start(self) -> None:
        """Start the process; its first request waits until it is up."""
        folder = Path(tempfile.mkdtemp(prefix="pages-", dir=self._folder))
        self.leftovers = [folder]
        limits = (str(self._limits.memory_bytes), str(self._limits.file_bytes))
        command = [sys.executable, "-m", _MODULE, str(self._folder), *limits]
        self.launch(command, environment=_environment(), log=folder / "log")


def _environment() -> dict[str, str]:
    paths = [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
