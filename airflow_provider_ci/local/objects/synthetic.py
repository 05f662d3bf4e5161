"""Synthetic objects: made up on request, as many as a measurement needs, without any files.

Object number ``n`` of a bucket, counted from 0, is ``synthetic/<year>/<month>/<day>/doc-<n + 1>.txt``. There
are 1,000 objects per day from 1 January 2020 on, so that numbers and keys have the same order. Nothing is
stored: a page of a listing is found by bisection, and an ETag is the MD5 of a text derived from the number.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

MAX_OBJECTS = 9_999_999
"""The largest number with seven digits."""

MODIFIED = 1_577_836_800
"""When all of the objects were written, in Unix seconds: 2020-01-01T00:00:00Z."""

_PER_DAY = 1000
_FIRST_DAY = date(2020, 1, 1).toordinal()
_MOST_LINES = 20
_KEY = re.compile(r"synthetic/[0-9]{4}/[0-9]{2}/[0-9]{2}/doc-([0-9]{7})\.txt")
_AFTER_ALL = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticObjects:
    """The first ``count`` synthetic objects, for one bucket."""

    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= MAX_OBJECTS:
            raise ValueError(f"synthetic objects: {self.count} is not from 0 to {MAX_OBJECTS}")

    def content(self, key: str) -> bytes | None:
        """The text of an object, up to a kilobyte; None if the object does not exist."""
        found = _KEY.fullmatch(key)
        number = int(found.group(1)) - 1 if found else -1
        return _text(number) if 0 <= number < self.count and _key(number) == key else None

    def walk(self, prefix: str, after: str) -> SyntheticWalk:
        """The keys that start with ``prefix`` and come after ``after``, in order."""
        numbers = range(self.count)
        first = max(bisect_left(numbers, prefix, key=_key), bisect_right(numbers, after, key=_key))
        return SyntheticWalk(first, bisect_left(numbers, prefix + _AFTER_ALL, key=_key))


class SyntheticWalk:
    """The keys of the objects from number ``first`` to number ``end`` (exclusive)."""

    def __init__(self, first: int, end: int) -> None:
        self._next = first
        self._end = end

    def __iter__(self) -> Iterator[str]:
        while self._next < self._end:
            key = _key(self._next)
            self._next += 1
            yield key

    def skip(self, prefix: str) -> None:
        """Continue after all keys that start with ``prefix``."""
        self._next = max(self._next, bisect_left(range(self._end), prefix + _AFTER_ALL, key=_key))


def etag(content: bytes) -> str:
    """The ETag of an object with this content."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _key(number: int) -> str:
    return f"{_folder(number // _PER_DAY)}/doc-{number + 1:07}.txt"


@lru_cache(maxsize=1024)
def _folder(day: int) -> str:
    return date.fromordinal(_FIRST_DAY + day).strftime("synthetic/%Y/%m/%d")


def _text(number: int) -> bytes:
    return f"This is synthetic document {number + 1}.\n".encode() * (1 + number % _MOST_LINES)
