"""Attempt from inside a sandbox what a document must not do; print what succeeded, as JSON.

Usage: ``python3 -I -S probe.py SECRET_FILE OWN_FILE PORT``. The probe imports nothing from this package.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path


def succeeds(attempt: Callable[[], object]) -> bool:
    """Return whether an attempt ends without an OSError."""
    try:
        attempt()
    except OSError:
        return False
    return True


def connect(port: int) -> None:
    """Connect to a server on this machine."""
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def main() -> None:
    """Make all attempts and print which succeeded."""
    secret, own, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    tried = {
        "reads its own file": succeeds(own.read_bytes),
        "writes in its own folder": succeeds(lambda: own.with_name("written").write_bytes(b"1")),
        "reads a file outside": succeeds(secret.read_bytes),
        "writes outside": succeeds(lambda: secret.with_name("written").write_bytes(b"1")),
        "lists a folder outside": succeeds(lambda: list(secret.parent.iterdir())),
        "reads of other processes": succeeds(Path("/proc/1/cmdline").read_bytes),
        "reaches the network": succeeds(lambda: connect(port)),
    }
    sys.stdout.write(json.dumps(tried))


if __name__ == "__main__":
    main()
