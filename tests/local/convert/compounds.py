"""Compound files: the containers of old Office documents and of encrypted ones."""

from __future__ import annotations

import struct
from pathlib import Path


def compound_file(path: Path, stream: str, behind: bytes = b"") -> Path:
    """Write a compound file whose root names one stream; the bytes ``behind`` follow at the end."""

    def entry(name: str, kind: int, child: int) -> bytes:
        encoded = name.encode("utf-16-le")
        head = encoded.ljust(64, b"\0") + struct.pack("<HBB", len(encoded) + 2, kind, 1)
        return (head + struct.pack("<3i", -1, -1, child)).ljust(128, b"\0")

    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H", 62, 3, 0xFFFE, 9, 6)
    header = header.ljust(44, b"\0") + struct.pack("<IIIIiIiI", 1, 1, 0, 4096, -2, 0, -2, 0)
    header += struct.pack("<I", 0) + b"\xff" * 432
    chain = struct.pack("<2i", -3, -2) + b"\xff" * 504
    directory = entry("Root Entry", 5, 1) + entry(stream, 2, -1) + bytes(256)
    path.write_bytes(header + chain + directory + behind)
    return path
