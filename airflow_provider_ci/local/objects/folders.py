"""The names in a big folder, sorted once for all pages of its listing."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock

MAX_NAMES = 1_000_000
"""Maximum number of names remembered in all folders; a name takes about 60 bytes plus its length."""

_WORTH_REMEMBERING = 1_000

# A folder changed this recently may change again within the same tick of the file system's clock.
_SETTLED_NANOSECONDS = 50_000_000


@dataclass(frozen=True, slots=True)
class _Known:
    identity: tuple[int, int, int]
    names: list[bytes] | None


class Folders:
    """Remembers the names of big folders until their change times differ. Thread-safe.

    The change time (ctime) changes with every file that is added or removed, and no program can set it back.
    """

    def __init__(self, most: int = MAX_NAMES) -> None:
        self._most = most
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._total = 0
        self._lock = Lock()

    def names(self, path: str) -> list[bytes] | None:
        """The names in a folder, in byte order; the name of a subfolder ends in a slash.

        Returns None for a folder with too many names, or with a name that differs from its key.

        :raises OSError: the folder is gone or cannot be read.
        """
        before, now = _identity(path), time.time_ns()
        with self._lock:
            known = self._known.get(path)
            if known and known.identity == before:
                self._known.move_to_end(path)
                return known.names
        names = _sorted_names(path, self._most)
        is_big = names is None or len(names) >= _WORTH_REMEMBERING
        if is_big and now - before[0] > _SETTLED_NANOSECONDS and _identity(path) == before:
            self._remember(path, _Known(before, names))
        return names

    def _remember(self, path: str, known: _Known) -> None:
        with self._lock:
            self._total -= _count(self._known.pop(path, None))
            self._known[path] = known
            self._total += _count(known)
            while self._total > self._most and len(self._known) > 1:
                self._total -= _count(self._known.popitem(last=False)[1])


def names_from(names: list[bytes], least: bytes) -> Iterator[bytes]:
    """The names from ``least`` on, including the folder that contains ``least``."""
    first, slash, _ = least.partition(b"/")
    return islice(names, bisect_left(names, first + slash), None)


def _identity(path: str) -> tuple[int, int, int]:
    found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - paths are strings here, a page has many
    return found.st_ctime_ns, found.st_ino, found.st_dev


def _count(known: _Known | None) -> int:
    return _WORTH_REMEMBERING + len(known.names or ()) if known else 0


def _sorted_names(path: str, most: int) -> list[bytes] | None:
    names: list[bytes] = []
    with os.scandir(path) as found:
        for item in found:
            if len(names) == most or not _is_spelt_as_key(item.name):
                return None
            if item.is_file(follow_symlinks=False):
                names.append(item.name.encode())
            elif item.is_dir(follow_symlinks=False):
                names.append(item.name.encode() + b"/")
    names.sort()
    return names


def _is_spelt_as_key(name: str) -> bool:
    return name.isprintable() and name[0] != "%"
