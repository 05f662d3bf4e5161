"""PostgreSQL and Redis from the system's packages, each in a temporary folder on a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PACKAGES = {"initdb": "postgresql", "postgres": "postgresql", "redis-server": "redis-server"}
"""The Debian package of each program."""
START_SECONDS = 60
_NOT_ROOT = "postgres"
"""User that runs PostgreSQL, which refuses to run as root; the package creates this user."""


def install() -> None:
    """Install missing packages as root or with sudo; if that is not possible, explain how to."""
    missing = sorted({PACKAGES[program] for program in PACKAGES if not _find(program)})
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    print(f"e2e-celery: installing {' and '.join(missing)}", flush=True)
    if not shutil.which("apt-get") or not (_is_root() or _may_sudo()):
        sys.exit(f"e2e-celery: install {' and '.join(missing)} and try again: sudo {' '.join(command)}")
    prefix = [] if _is_root() else ["sudo", "-n"]
    # RUNLEVEL=1 keeps the packages from starting their services.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for step in (["apt-get", "update"], command):
        done = subprocess.run([*prefix, *step], env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"e2e-celery: {' '.join(step)} failed:\n{done.stderr}")


@contextmanager
def postgresql(folder: Path, port: int) -> Iterator[str]:
    """A server with one database; yields its address without ``postgresql://``."""
    folder.mkdir()
    if _is_root():
        shutil.chown(folder, _NOT_ROOT, _NOT_ROOT)
    user = _NOT_ROOT if _is_root() else pwd.getpwuid(os.getuid()).pw_name
    with _log(folder.with_suffix(".log")) as log:
        subprocess.run(
            [_find("initdb"), "-D", str(folder), "-U", "airflow", "-A", "trust", "-E", "UTF8"],
            user=user, cwd="/", stdout=log, stderr=log, check=True,
        )  # fmt: skip
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F", "-N", "300"]
    with _running([_find("postgres"), "-D", str(folder), *options], folder.with_suffix(".log"), port, user):
        yield f"airflow@127.0.0.1:{port}/postgres"


@contextmanager
def redis(folder: Path, port: int) -> Iterator[str]:
    """A server that writes nothing to disk; yields its URL."""
    folder.mkdir()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _running([_find("redis-server"), *options], folder.with_suffix(".log"), port):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _running(command: Sequence[str], log_path: Path, port: int, user: str | None = None) -> Iterator[None]:
    with ExitStack() as stack:
        log = stack.enter_context(_log(log_path))
        process = subprocess.Popen(command, user=user, cwd="/", stdout=log, stderr=log)
        stack.callback(_end, process)
        end = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"e2e-celery: {command[0]} does not answer:\n{log_path.read_text()}")
            time.sleep(0.1)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()


@contextmanager
def _log(path: Path) -> Iterator[int]:
    with path.open("ab") as file:
        yield file.fileno()


def _answers(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _find(program: str) -> str:
    """The path of a program, empty if it is missing. Debian does not put PostgreSQL's programs on PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *map(str, places)])) or ""


def _is_root() -> bool:
    return os.getuid() == 0


def _may_sudo() -> bool:
    return (
        bool(shutil.which("sudo"))
        and not subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode
    )
