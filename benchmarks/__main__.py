"""``python -m benchmarks [NAME]``: run all benchmarks, or one."""

from __future__ import annotations

import importlib
import sys

NAMES = ("call", "convert")


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all."""
    unknown = [name for name in arguments if name not in NAMES]
    if unknown:
        print(
            f"bench: no benchmark named {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr
        )
        return 2
    for name in arguments or NAMES:
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
