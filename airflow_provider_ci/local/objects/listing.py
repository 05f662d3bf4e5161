"""Walks a bucket's folder in the order of the keys, page by page; memory does not grow with the bucket."""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

from airflow_provider_ci.local.objects import keys
from airflow_provider_ci.local.objects.folders import Folders, names_from
from airflow_provider_ci.local.objects.synthetic import SyntheticObjects, SyntheticWalk

# Errors of a file or folder that was deleted since it was seen, or of a prefix without a folder.
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class _Kind(IntEnum):
    OBJECT = 0
    FOLDER = 1
    REST = 2


class _Entry(NamedTuple):
    """A step of the walk: an object, a folder not yet opened, or the rest of a partly read folder.

    ``key`` is the least key that the entry can hold. So a heap of entries yields objects in order, even
    where the keys of two folders interleave (chains of folders for over-long names).
    """

    key: bytes
    kind: _Kind
    path: str
    prefix: bytes
    seen: tuple[bytes, int] = (b"", -1)


# Least key, kind and path of a file or folder.
_Place: TypeAlias = tuple[bytes, _Kind, str]


class Found(NamedTuple):
    """An object found by the walk; ``path`` is empty for a synthetic object."""

    key: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """One page of a listing, and the marker of the next page (``""`` on the last page)."""

    objects: list[Found]
    common_prefixes: list[str]
    next_marker: str


class Walk:
    """The objects of a bucket whose keys start with ``prefix`` and come after ``after``, in UTF-8 byte order.

    At most ``batch`` names of each folder are held at a time, besides the names that ``folders`` remembers.
    Symbolic links are neither followed nor listed.
    """

    def __init__(
        self, folder: Path, prefix: str, after: str, batch: int, folders: Folders | None = None
    ) -> None:
        self._prefix = prefix.encode()
        self._after = after.encode()
        self._batch = batch
        self._folders = folders
        self._skipped: bytes | None = None
        self._folder = str(folder)
        self._heap = self._start(prefix[: prefix.rfind("/") + 1])

    def __iter__(self) -> Iterator[Found]:
        while self._heap:
            entry = heapq.heappop(self._heap)
            if entry.kind is _Kind.OBJECT:
                if not self._is_skipped(entry.key) and self._is_reachable(entry):
                    yield Found(entry.key.decode(), entry.path)
            elif not self._is_skipped(entry.prefix):
                self._open(entry)

    def skip(self, prefix: str) -> None:
        """Leave out all further keys that start with ``prefix``."""
        self._skipped = prefix.encode()

    def _start(self, base: str) -> list[_Entry]:
        path = keys.folder_path(base)
        if path and keys.has_link(self._folder, path):
            return []
        return [_Entry(base.encode(), _Kind.FOLDER, f"{self._folder}/{path}".rstrip("/"), base.encode())]

    def _open(self, folder: _Entry) -> None:
        least = self._least(folder)
        for entry in least:
            heapq.heappush(self._heap, entry)
        if len(least) == self._batch:
            last = least[-1]
            seen = (last.key, int(last.kind))
            heapq.heappush(self._heap, _Entry(last.key, _Kind.REST, folder.path, folder.prefix, seen))

    def _least(self, folder: _Entry) -> list[_Entry]:
        """Return the first matching entries of a folder, up to a batch."""
        try:
            names = self._folders.names(folder.path) if self._folders else None
            if names is None:
                return heapq.nsmallest(self._batch, self._wanted(folder, _entries(folder)))
            return list(islice(self._wanted(folder, self._known(folder, names)), self._batch))
        except OSError as error:
            if error.errno not in _NOTHING_THERE:
                raise
            return []

    def _known(self, folder: _Entry, names: list[bytes]) -> Iterator[_Place]:
        """Return the entries of these sorted names that can match prefix and marker."""
        start = max(self._prefix, self._after, folder.seen[0])
        inside = start[len(folder.prefix) :] if start.startswith(folder.prefix) else b""
        for name in names_from(names, inside):
            key = folder.prefix + name
            if key > self._prefix and not key.startswith(self._prefix):
                return
            kind = _Kind.FOLDER if name.endswith(b"/") else _Kind.OBJECT
            yield key, kind, f"{folder.path}/{name.decode().rstrip('/')}"

    def _wanted(self, folder: _Entry, places: Iterator[_Place]) -> Iterator[_Entry]:
        for key, kind, path in places:
            if (key, kind) > folder.seen and self._may_hold(key, kind) and not self._is_skipped(key):
                yield _Entry(key, kind, path, folder.prefix if kind is _Kind.OBJECT else key)

    def _is_reachable(self, entry: _Entry) -> bool:
        if not keys.is_escaped(entry.path):
            return True
        return entry.path == f"{self._folder}/{keys.to_path(entry.key.decode())}"

    def _may_hold(self, key: bytes, kind: _Kind) -> bool:
        if kind is _Kind.OBJECT:
            return key > self._after and key.startswith(self._prefix)
        return (key > self._after or self._after.startswith(key)) and (
            key.startswith(self._prefix) or self._prefix.startswith(key)
        )

    def _is_skipped(self, key: bytes) -> bool:
        return self._skipped is not None and key.startswith(self._skipped)


class _Merged:
    """Merges the walks over files and over synthetic objects; of equal keys, only the file is listed."""

    def __init__(self, files: Walk, synthetic: SyntheticWalk) -> None:
        self._files = files
        self._synthetic = synthetic
        self._skipped: str | None = None

    def __iter__(self) -> Iterator[Found]:
        made_up = (Found(key, "") for key in self._synthetic)
        last = ""
        for item in heapq.merge(self._files, made_up, key=lambda found: found.key):
            if item.key != last and not (self._skipped and item.key.startswith(self._skipped)):
                last = item.key
                yield item

    def skip(self, prefix: str) -> None:
        """Leave out all further keys that start with ``prefix``, even if a walk is one item ahead."""
        self._files.skip(prefix)
        self._synthetic.skip(prefix)
        self._skipped = prefix


@dataclass(slots=True)
class _Page:
    objects: list[Found] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str = ""

    def __len__(self) -> int:
        return len(self.objects) + len(self.prefixes)


def page(
    folder: Path,
    *,
    prefix: str,
    delimiter: str,
    marker: str,
    max_keys: int,
    folders: Folders | None = None,
    synthetic: SyntheticObjects | None = None,
    written_before_ns: int | None = None,
) -> Names:
    """One page of List Objects (436/7734): at most ``max_keys`` objects and common prefixes together.

    Files written at ``written_before_ns`` (Unix time in nanoseconds) or later are left out.

    A marker that is itself a common prefix leaves out all keys below it; any other marker is compared with
    the keys, so a common prefix is listed again if keys below it follow the marker.
    """
    files = Walk(folder, prefix, marker, max_keys + 1, folders)
    walk = _Merged(files, synthetic.walk(prefix, marker)) if synthetic else files
    if delimiter and _is_common_prefix(marker, prefix, delimiter):
        walk.skip(marker)
    found = _Page()
    for item in walk if written_before_ns is None else _settled(walk, written_before_ns):
        if len(found) == max_keys:
            return Names(objects=found.objects, common_prefixes=found.prefixes, next_marker=found.last)
        _take(found, item, walk, prefix, delimiter)
    return Names(objects=found.objects, common_prefixes=found.prefixes, next_marker="")


def _settled(walk: Walk | _Merged, written_before_ns: int) -> Iterator[Found]:
    return (item for item in walk if not item.path or _written_ns(item.path) < written_before_ns)


def _written_ns(path: str) -> int:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0  # deleted meanwhile; the next access reports that


def _is_common_prefix(text: str, prefix: str, delimiter: str) -> bool:
    rest = text[len(prefix) :]
    return text.startswith(prefix) and rest.partition(delimiter)[1:] == (delimiter, "")


def _take(found: _Page, item: Found, walk: Walk | _Merged, prefix: str, delimiter: str) -> None:
    head, cut, _ = item.key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
    if cut:
        found.last = prefix + head + cut
        found.prefixes.append(found.last)
        walk.skip(found.last)
    else:
        found.last = item.key
        found.objects.append(item)


def _entries(folder: _Entry) -> Iterator[_Place]:
    """The entries of the folder that are part of a key, in no particular order."""
    with os.scandir(folder.path) as found:
        for item in found:
            place = _place(folder.prefix, item)
            if place:
                yield place


def _place(prefix: bytes, item: os.DirEntry[str]) -> _Place | None:
    part = keys.entry_key(item.name)
    if part is None:
        return None
    key = prefix + part[0].encode(errors="replace")
    if item.is_file(follow_symlinks=False):
        return (key, _Kind.OBJECT, item.path) if key and part[1] else None
    if item.is_dir(follow_symlinks=False):
        return key + b"/" if part[1] else key, _Kind.FOLDER, item.path
    return None
