"""Finds out which kind of isolation works on this machine, by trying each."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airflow_provider_ci.local.convert.sandbox.kinds import Bubblewrap, Landlock, NoSandbox, Sandbox
from airflow_provider_ci.local.convert.sandbox.view import python_files, view_of

_PROBE: Final = Path(__file__).with_name("probe.py")
_SECONDS: Final = 30
_OWN: Final = ("reads its own file", "writes in its own folder")

_log = logging.getLogger(__name__)


@functools.lru_cache(maxsize=1)
def find_sandbox() -> Sandbox:
    """Return the first kind of isolation that works on this machine, or NoSandbox if none does."""
    for sandbox in _candidates():
        fault = fault_of(sandbox)
        if not fault:
            return sandbox
        _log.info("no sandbox by %s: %s", sandbox, fault)
    return NoSandbox()


def _candidates() -> Iterator[Sandbox]:
    program = shutil.which("bwrap")
    if program:
        # Root on the machine itself needs no user namespace; root in a container often does.
        for has_user_namespace in (False, True) if os.geteuid() == 0 else (True,):
            yield Bubblewrap(program, has_user_namespace)
    yield Landlock()


def fault_of(sandbox: Sandbox) -> str:
    """Test a sandbox with a child process that attempts forbidden actions; return the fault, or ``""``."""
    with (
        tempfile.TemporaryDirectory(prefix="ci-local-probe-") as folder,
        # The child connects to this local server, because the machine itself may have no network.
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        own, outside = Path(folder, "own"), Path(folder, "outside")
        for path in (own, outside):
            path.mkdir()
            (path / "file").write_bytes(b"content")
        arguments = [str(outside / "file"), str(own / "file"), str(server.getsockname()[1])]
        command = [sys.executable, "-I", "-S", str(_PROBE), *arguments]
        return _fault_of(sandbox.command(command, view_of(python_files(), [own])))


def _fault_of(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, encoding="utf-8")
        tried: dict[str, bool] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    except ValueError:
        return done.stderr.strip()[-300:] or f"the probe ended with {done.returncode}"
    wrong = [what for what, succeeded in tried.items() if succeeded != (what in _OWN)]
    return ", ".join(f"{what}: {tried[what]}" for what in wrong)
