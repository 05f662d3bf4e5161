"""The values that ``make up`` keeps from one start to the next."""

from __future__ import annotations

import json
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from demo.environment import StartError


class Memory:
    """Values in a small JSON file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str, default: Any = None) -> Any:
        """The value that was stored under this name."""
        return self._values.get(name, default)

    def set(self, name: str, value: Any) -> None:
        """Store a value under this name."""
        self._values[name] = value
        self._path.touch(mode=0o600)
        self._path.write_text(json.dumps(self._values, indent=1))

    def port(self, name: str, wanted: int) -> int:
        """The port of the last start, or else the preferred port; a free port if that one is in use."""
        before = self.get(f"{name}_port")
        port = free_port(before or wanted)
        if before and port != before:
            print(f"up: port {before} is taken; links to it from earlier runs are dead", file=sys.stderr)
        self.set(f"{name}_port", port)
        return port

    def secret(self, name: str) -> str:
        """A secret that is generated at the first start and then kept."""
        if not self.get(name):
            self.set(name, secrets.token_hex(32))
        return str(self.get(name))


def free_port(wanted: int = 0) -> int:
    """This port if it is free, otherwise another free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartError("no port is free on 127.0.0.1")
