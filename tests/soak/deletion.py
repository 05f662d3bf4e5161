"""Deletes records of batches from a bucket, as users and lifecycle rules do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

_IS_MEANT: Mapping[str, Callable[[str, Random], bool]] = {
    "all": lambda key, dice: True,
    "some": lambda key, dice: dice.random() < 0.5,
    "registry": lambda key, dice: key.startswith("_ci_batches.registry/") and "/index/" not in key,
    "index": lambda key, dice: "/index/" in key,
    "plan": lambda key, dice: key.endswith("/plan.json") or "/plan/" in key,
    "results": lambda key, dice: "/results/" in key or key.endswith("/checkpoint.jsonl"),
    "runs": lambda key, dice: "/runs/" in key,
}


def delete_records(bucket: Path, what: str, dice: Random) -> list[str]:
    """Delete the records that ``what`` names; return their keys."""
    deleted = [key for key in sorted(_records(bucket)) if _IS_MEANT[what](key, dice)]
    for key in deleted:
        (bucket / key).unlink(missing_ok=True)
    return deleted


def _records(bucket: Path) -> Iterator[str]:
    for folder in ("_ci_batches", "_ci_batches.registry"):
        for path in (bucket / folder).rglob("*"):
            if path.is_file():
                yield path.relative_to(bucket).as_posix()
