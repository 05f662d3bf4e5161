"""The asking side of the page worker: started on first use, replaced after a crash or enough work."""

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
    """When a worker is replaced, and how much of the machine it may use."""

    requests: int = 500
    peak_bytes: int = 800 * 1024**2
    memory_bytes: int = 4 * 1024**3
    file_bytes: int = 2 * 1024**3


class PageWorker(Worker):
    """One worker process for PDF pages and pictures, replaced also after enough requests or a large one.

    ``folder`` holds the files of all workers, ``jobs`` the folders of single jobs, which the worker shares.
    It runs in ``sandbox``.
    """

    crash_message = "the page and picture worker crashed on the content"

    def __init__(self, folder: Path, jobs: Path, sandbox: Sandbox, limits: PageLimits) -> None:
        super().__init__()
        self._folder = folder
        self._jobs = jobs
        self._sandbox = sandbox
        self._limits = limits

    def call(self, operation: str, deadline: Deadline, **request: object) -> dict[str, Any]:
        """Have an operation done and give its answer; every failure is a ConversionError."""
        answer = self.ask({"operation": operation, **request}, deadline)
        peak_bytes = answer.pop("peak_bytes")
        # The peak of a process never falls, so one large picture is enough to replace it.
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
    """Let the worker import this package without access to the files beside it."""
    modules = folder / "modules"
    modules.mkdir()
    (modules / package_folder().name).symlink_to(package_folder())
    return os.pathsep.join([str(modules), *map(str, folders_of_modules())])
