"""The kinds of isolation: each wraps a command so that it runs with a limited view."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from airflow_provider_ci.local.convert.sandbox.view import DEVICES, View

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")


class Sandbox(ABC):
    """A way to run a command that sees only the files of a view and has no network."""

    name: ClassVar[str]
    description: ClassVar[str]
    is_confined: ClassVar[bool] = True

    @abstractmethod
    def command(self, command: Sequence[str], view: View) -> list[str]:
        """Return the command that runs ``command`` inside the sandbox."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Bubblewrap(Sandbox):
    """Mount, network and IPC namespaces, made by ``bwrap``.

    There is no namespace for process ids, because the server controls LibreOffice by its process id. The
    sandbox has no /proc, so the worker sees no other process.
    """

    name: ClassVar[str] = "bubblewrap"
    description: ClassVar[str] = "bubblewrap: a document reads nothing but itself and has no network"
    program: str
    has_user_namespace: bool

    def command(self, command: Sequence[str], view: View) -> list[str]:
        """Return the command line of bwrap."""
        # Without ``--cap-drop``, root would keep its capabilities in the sandbox.
        arguments = [self.program, "--unshare-net", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"]
        arguments += ["--unshare-user"] if self.has_user_namespace else []
        # LibreOffice puts its socket into one of these folders, whatever TMPDIR says.
        arguments += ["--tmpfs", "/tmp", "--dir", "/var/tmp"]  # noqa: S108 - inside the sandbox
        for device in DEVICES:
            arguments += ["--dev-bind", device, device]
        for path in view.readable:
            arguments += ["--ro-bind", str(path), str(path)]
        for path in view.writable:
            arguments += ["--bind", str(path), str(path)]
        return [*arguments, "--chdir", str(view.writable[0]), "--", *command]


@dataclass(frozen=True, slots=True)
class Landlock(Sandbox):
    """Kernel rules that limit the files of a process and its children; setting them needs no privileges."""

    name: ClassVar[str] = "landlock"
    description: ClassVar[str] = "Landlock: a document reads nothing but itself and has no network"

    def command(self, command: Sequence[str], view: View) -> list[str]:
        """Return the command of the launcher, which restricts itself and then becomes ``command``."""
        rules = {
            "readable": [str(path) for path in view.readable],
            "writable": [str(path) for path in view.writable],
            "devices": list(DEVICES),
        }
        return [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(rules), *command]


@dataclass(frozen=True, slots=True)
class NoSandbox(Sandbox):
    """No isolation of files; the network is still blocked if the kernel supports it."""

    name: ClassVar[str] = "none"
    description: ClassVar[str] = (
        "none holds on this machine: office documents are refused; install bubblewrap, "
        "or serve with --no-sandbox"
    )
    is_confined: ClassVar[bool] = False

    def command(self, command: Sequence[str], view: View) -> list[str]:
        """Return the command of the launcher without rules for files."""
        return [sys.executable, "-I", "-S", str(_LAUNCHER), "null", *command]
