"""The server's side of the page worker: starts it on first use, replaces it after a crash or much work."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airflow_provider_ci.local.convert.sandbox import Sandbox
from airflow_provider_ci.local.convert.sandbox.place import cleaned_up, worker_environment, worker_folder
from airflow_provider_ci.local.convert.sandbox.view import (
    folders_of_modules,
    package_folder,
    python_files,
    view_of,
)
from airflow_provider_ci.local.convert.workers.process import Deadline, Worker, checked

_MODULE: Final = "airflow_provider_ci.local.convert.workers.page_worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """When a worker is replaced, and how much memory and disk it may use."""

    requests: int = 500
    peak_bytes: int = 800 * 1024**2
    memory_bytes: int = 4 * 1024**3
    file_bytes: int = 2 * 1024**3


class PageWorker(Worker):
    """A worker process for PDF pages and pictures. It is also replaced after many requests or a large one.

    ``folder`` holds the files of all workers, ``jobs`` the folders that jobs share with this worker. The
    worker runs in ``sandbox``.
    """

    crash_message = "the page and picture worker crashed on the content"

    def __init__(self, folder: Path, jobs: Path, sandbox: Sandbox, limits: PageLimits) -> None:
        super().__init__()
        self._folder = folder
        self._jobs = jobs
        self._sandbox = sandbox
        self._limits = limits

    def call(self, operation: str, deadline: Deadline, **request: object) -> dict[str, Any]:
        """Run an operation in the worker and return the response; every failure is a ConversionError."""
        answer = self.ask({"operation": operation, **request}, deadline)
        peak_bytes = answer.pop("peak_bytes")
        # The peak memory of a process never falls, so one large picture is enough to replace the process.
        if self.answered >= self._limits.requests or peak_bytes > self._limits.peak_bytes:
            self.stop()
        return checked(answer)

    def start(self) -> None:
        """Start the process; its first request waits until it is up."""
        folder = worker_folder(self._folder, "pages")
        self.leftovers = [folder]
        limits = (str(self._limits.memory_bytes), str(self._limits.file_bytes))
        command = [sys.executable, "-m", _MODULE, *limits]
        confined = self._sandbox.command(command, view_of(python_files(), [folder, self._jobs]))
        self.launch(
            cleaned_up(confined, self._folder),
            environment={**worker_environment(folder / "home"), "PYTHONPATH": _module_path(folder)},
            log=folder / "log",
        )


def _module_path(folder: Path) -> str:
    """Return a path from which the worker can import this package, but not read the files beside it."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / package_folder().name).symlink_to(package_folder())
    return os.pathsep.join([str(modules), *map(str, folders_of_modules())])
