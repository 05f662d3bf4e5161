"""``python -m benchmarks [NAME]``: run all benchmarks, or one."""

from __future__ import annotations

import importlib
import sys

MINUTES = {
    "call": 1,
    "convert": 3,
    "submit": 1,
    "small": 1,
    "plan": 3,
    "wait": 4,
    "pace": 1,
    "airflow": 5,
    "memory": 6,
    "import": 1,
}
"""Approximate duration of each benchmark in minutes."""
_MODULES = {"import": "imports"}
"""Modules whose benchmark has another name, because a module cannot be named after a keyword."""


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all."""
    unknown = [name for name in arguments if name not in MINUTES]
    if unknown:
        print(
            f"bench: no benchmark named {', '.join(unknown)}; there are: {', '.join(MINUTES)}",
            file=sys.stderr,
        )
        return 2
    for name in arguments or MINUTES:
        print(f"bench: {name} takes about {MINUTES[name]} min", file=sys.stderr)
        importlib.import_module(f"benchmarks.{_MODULES.get(name, name)}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
