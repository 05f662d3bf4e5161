"""The exit codes of the commands, and their messages to people."""

from __future__ import annotations

import sys

DONE, FAILED, WRONG, UNAVAILABLE, RUNNING, STOPPED = 0, 1, 2, 3, 4, 130
"""Exit codes: done; too many objects failed or some did not finish; wrong usage; the service refused or was
unavailable; another run is active; stopped by a signal (the shell's own code for Ctrl-C)."""


def tell(command: str, text: object) -> None:
    """Print a message to the standard error; only results go to the standard output."""
    print(f"{command}: {text}", file=sys.stderr, flush=True)  # noqa: T201 - this is the command line
