"""The document and the picture that a check processes, as small as the service accepts."""

from __future__ import annotations

import struct
import zlib

DOCUMENT = b"airflow-provider-ci checks this bucket. This object may be deleted.\n"

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(width: int = 64, height: int = 48) -> bytes:
    """A PNG in one colour."""
    row = b"\0" + bytes((70, 130, 180)) * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(row * height)), _chunk(b"IEND", b""))
    return _SIGNATURE + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
