"""Reads the names at the root of a compound file, which is the container of old Office documents."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

# Numbers and offsets as in Microsoft's [MS-CFB], the format of compound files.
_LAST_SECTOR: Final = 0xFFFFFFFA
_ENTRY_BYTES: Final = 128
# Limited, because a damaged chain may be a loop.
_MOST_ENTRIES: Final = 100_000
_IDS_IN_HEADER: Final = 109


def root_names(source: Path) -> set[str]:
    """Return the names of the streams and storages at the root; an empty set if they cannot be read."""
    with source.open("rb") as stream:
        try:
            entries = list(_entries(stream))
            return set(_children(entries))
        except (struct.error, IndexError, ValueError, OSError):
            return set()


def _entries(stream: BinaryIO) -> Iterator[bytes]:
    header = stream.read(512)
    # Limited, because a damaged header may name any size.
    sector_bytes = 1 << min(struct.unpack_from("<H", header, 30)[0], 16)
    table = _sector_table(stream, header, sector_bytes)
    sector, seen = struct.unpack_from("<I", header, 48)[0], 0
    while sector < _LAST_SECTOR and seen < _MOST_ENTRIES:
        content = _sector(stream, sector, sector_bytes)
        for start in range(0, len(content) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
            yield content[start : start + _ENTRY_BYTES]
            seen += 1
        sector = _next_of(stream, table, sector, sector_bytes)


def _sector_table(stream: BinaryIO, header: bytes, sector_bytes: int) -> list[int]:
    """Return the sectors that hold the chains: the header lists the first 109, other sectors the rest."""
    table = list(struct.unpack_from(f"<{_IDS_IN_HEADER}I", header, 76))
    more = struct.unpack_from("<I", header, 68)[0]
    while more < _LAST_SECTOR and len(table) < _MOST_ENTRIES:
        ids = struct.unpack(f"<{sector_bytes // 4}I", _sector(stream, more, sector_bytes))
        table += ids[:-1]
        more = ids[-1]
    return table


def _sector(stream: BinaryIO, number: int, sector_bytes: int) -> bytes:
    stream.seek((number + 1) * sector_bytes)
    return stream.read(sector_bytes)


def _next_of(stream: BinaryIO, table: list[int], sector: int, sector_bytes: int) -> int:
    per_sector = sector_bytes // 4
    chain = _sector(stream, table[sector // per_sector], sector_bytes)
    found: int = struct.unpack_from("<I", chain, sector % per_sector * 4)[0]
    return found


def _children(entries: list[bytes]) -> Iterator[str]:
    """Yield the names in the tree of the root's children."""
    waiting, seen = [_id(entries[0], 76)], set[int]()
    while waiting:
        number = waiting.pop()
        # A damaged tree may hold a loop, too.
        if number >= len(entries) or number in seen:
            continue
        seen.add(number)
        entry = entries[number]
        length = struct.unpack_from("<H", entry, 64)[0]
        # The length includes the terminating zero.
        yield entry[: max(min(length, 64) - 2, 0)].decode("utf-16-le", "replace")
        waiting += [_id(entry, 68), _id(entry, 72)]


def _id(entry: bytes, place: int) -> int:
    found: int = struct.unpack_from("<I", entry, place)[0]
    return found
