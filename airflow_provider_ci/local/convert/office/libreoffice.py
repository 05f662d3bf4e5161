"""LibreOffice: finds it, prepares its profile, and keeps a worker with it running for many documents."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError
from airflow_provider_ci.local.convert.sandbox import Sandbox
from airflow_provider_ci.local.convert.sandbox.place import cleaned_up, worker_environment, worker_folder
from airflow_provider_ci.local.convert.sandbox.view import view_of
from airflow_provider_ci.local.convert.workers.process import (
    Deadline,
    LineProcess,
    ProcessEndedError,
    Worker,
    checked,
)

_SOCKET_FOLDERS: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - LibreOffice's choice
_WORKER: Final = Path(__file__).with_name("uno_worker.py")
_PROGRAM_DIRS: Final = ("/usr/lib/libreoffice/program", "/usr/lib64/libreoffice/program")
# ``uno`` belongs to the system's Python, not to the Python of a virtual environment.
_PYTHONS: Final = ("/usr/bin/python3", "/usr/local/bin/python3")
_PARTS: Final = ("swriter", "scalc", "simpress")
_START_SECONDS: Final = 60

_log = logging.getLogger(__name__)

# The settings of the profile: no macros, no linked content, a proxy that does not exist.
_SETTINGS: Final = (
    ("org.openoffice.Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("org.openoffice.Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("org.openoffice.Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("org.openoffice.Office.Calc/Content/Update", "Link", "2"),
    ("org.openoffice.Office.Writer/Content/Update", "Link", "2"),
    ("org.openoffice.Inet/Settings", "ooInetProxyType", "2"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPProxyName", "127.0.0.1"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPProxyPort", "9"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPSProxyName", "127.0.0.1"),
    ("org.openoffice.Inet/Settings", "ooInetHTTPSProxyPort", "9"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeInstallation:
    """A LibreOffice program folder and the Python that can import its ``uno``."""

    program: Path
    python: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeLimits:
    """When a worker is replaced, and how much memory and disk its LibreOffice may use."""

    # LibreOffice does not free all memory: measured, 130 MB at its start, up to 2.5 GB after 830 documents.
    # A restart costs less than a second.
    documents: int = 200
    resident_bytes: int = 800 * 1024**2
    memory_bytes: int = 6 * 1024**3
    file_bytes: int = 2 * 1024**3


class OfficeMissingError(ConversionError):
    """LibreOffice, or a required part of it, is not installed on this machine."""

    def __init__(self, message: str) -> None:
        super().__init__(errors.OFFICE_MISSING, message)

    def __reduce__(self) -> tuple[type[OfficeMissingError], tuple[str]]:
        return type(self), (self.message,)


@functools.lru_cache(maxsize=8)
def find_office(program: Path | None = None, python: Path | None = None) -> OfficeInstallation:
    """Find LibreOffice and the Python of its ``uno``, or raise OfficeMissingError naming the missing part.

    If ``program`` (the folder of soffice.bin) or ``python`` is given, it is not searched for.
    """
    folder = program or _find_program()
    if not (folder / "soffice.bin").is_file():
        raise OfficeMissingError(f"LibreOffice is not installed: no soffice.bin in {folder}")
    missing = [part for part in _PARTS if not _has_part(folder, part)]
    if missing:
        raise OfficeMissingError(
            f"LibreOffice in {folder} lacks {', '.join(missing)} (its -nogui packages do not do)"
        )
    return OfficeInstallation(program=folder, python=python or _find_python(folder))


def _find_program() -> Path:
    command = shutil.which("soffice") or shutil.which("libreoffice")
    folders = [Path(command).resolve().parent] if command else []
    folders += [Path(folder) for folder in _PROGRAM_DIRS]
    folders += sorted(Path("/opt").glob("libreoffice*/program"), reverse=True)
    return next((folder for folder in folders if (folder / "soffice.bin").is_file()), folders[0])


def _has_part(program: Path, part: str) -> bool:
    # The -nogui packages lack these files, without which a LibreOffice that keeps running aborts on some
    # documents.
    return any((program.parent / "share/config/soffice.cfg/modules" / part / "ui").glob("*.ui"))


def _find_python(program: Path) -> Path:
    found = [
        shutil.which(name) for name in ("python3", "python3.13", "python3.12", "python3.11", "python3.10")
    ]
    candidates = [str(program / "python"), *_PYTHONS, *(path for path in found if path)]
    for candidate in dict.fromkeys(candidates):
        if Path(candidate).exists() and _imports_uno(candidate):
            return Path(candidate)
    raise OfficeMissingError("no Python here can import uno: python3-uno is not installed")


def _imports_uno(python: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="ci-local-uno-") as home:
        probe = subprocess.run(
            [python, "-c", "import uno"],
            capture_output=True,
            timeout=60,
            check=False,
            env=worker_environment(Path(home)),
        )
    return probe.returncode == 0


def prepare_profile(office: OfficeInstallation, profile: Path) -> None:
    """Make a LibreOffice profile with our settings, which is then copied for each worker.

    The program ``soffice``, a wrapper of soffice.bin, makes the profile: soffice.bin itself exits with 81,
    "start me again", if the folder of the profile is new.
    """
    settings = profile / "user" / "registrymodifications.xcu"
    settings.parent.mkdir(parents=True)
    items = "".join(
        f'<item oor:path="/{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in _SETTINGS
    )
    settings.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<oor:items xmlns:oor="http://openoffice.org/2001/registry">{items}</oor:items>',
        encoding="utf-8",
    )
    command = [
        str(office.program / "soffice"), "--headless", "--norestore", "--terminate_after_init",
        f"-env:UserInstallation={profile.as_uri()}",
    ]  # fmt: skip
    home = profile.with_name("home")
    home.mkdir(exist_ok=True)
    try:
        subprocess.run(
            command, capture_output=True, timeout=_START_SECONDS, check=False, env=worker_environment(home)
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.error("LibreOffice does not start: %s", error)
        raise OfficeMissingError("LibreOffice does not start; the log of the local CI says why") from error


class OfficeWorker(Worker):
    """A worker with one LibreOffice. It is also replaced after many documents, or if it uses too much memory.

    ``find`` returns LibreOffice and the prepared profile. ``folder`` holds the files of all workers, ``jobs``
    the folders that jobs share with this worker. The worker runs in ``sandbox``.
    """

    crash_message = "LibreOffice crashed while it converted the document"

    def __init__(
        self,
        find: Callable[[], tuple[OfficeInstallation, Path]],
        folder: Path,
        jobs: Path,
        sandbox: Sandbox,
        limits: OfficeLimits,
    ) -> None:
        super().__init__()
        self._find = find
        self._folder = folder
        self._jobs = jobs
        self._sandbox = sandbox
        self._limits = limits
        self.office_pid: int | None = None

    def convert(self, request: Mapping[str, object], deadline: Deadline) -> dict[str, Any]:
        """Convert one document and return the worker's response; any failure is a ConversionError."""
        answer = self.ask(request, deadline)
        is_worn = (
            not answer["is_clean"]
            or _resident_bytes(self.office_pid) > self._limits.resident_bytes
            or self.answered >= self._limits.documents
        )
        if is_worn:
            self.stop()
        return checked(answer)

    def start(self) -> None:
        """Start LibreOffice with a profile of its own and wait until it listens."""
        office, profile = self._find()
        folder = worker_folder(self._folder, "office")
        pipe = f"ci_local_{uuid.uuid4().hex}"
        self.leftovers = [folder, *(place / f"OSL_PIPE_*{pipe}" for place in _SOCKET_FOLDERS)]
        # A running LibreOffice locks its profile, so each worker needs its own copy.
        shutil.copytree(profile, folder / "profile")
        command = [
            str(office.python), str(_WORKER), str(office.program / "soffice.bin"), str(folder / "profile"),
            pipe, str(self._limits.memory_bytes), str(self._limits.file_bytes),
        ]  # fmt: skip
        python = office.python.resolve().parents[1]
        programs = [_WORKER, office.program.parent, python / "bin", python / "lib"]
        confined = self._sandbox.command(command, view_of(programs, [folder, self._jobs]))
        self._greet(
            self.launch(
                cleaned_up(confined, self._folder, pipe),
                environment=worker_environment(folder / "home"),
                log=folder / "log",
            )
        )

    def _greet(self, process: LineProcess) -> None:
        try:
            hello = process.receive(Deadline(_START_SECONDS))
        except (ProcessEndedError, ConversionError) as error:
            _log.error("LibreOffice does not start: %s", self.last_words() or error)
            self.stop()
            message = "LibreOffice does not start; the log of the local CI has its last words"
            raise ConversionError(errors.CONVERTER_CRASHED, message) from error
        self.office_pid = hello["office_pid"]

    def stop(self) -> None:
        """Kill the worker with its LibreOffice and remove the files they leave behind."""
        super().stop()
        self.office_pid = None


def _resident_bytes(pid: int | None) -> int:
    """Return the memory that LibreOffice uses, in bytes; 0 if it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
