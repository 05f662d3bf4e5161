"""The checksum of COS is right for every length and any split into pieces, and is sent with each object."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import crcmod  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.objects.crc64 import Crc64

HEADER = "x-cos-hash-crc64ecma"
witness = crcmod.mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, xorOut=2**64 - 1, rev=True)


def checksum(data: bytes, *cuts: int) -> int:
    digest = Crc64()
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        digest.update(data[start:end])
    return int(digest.text)


def test_the_check_value_of_the_standard() -> None:
    assert checksum(b"123456789") == 0x995DC9BBDF1939FA
    assert checksum(b"") == 0


@pytest.mark.parametrize(
    "size", [*range(0, 70), 127, 128, 129, 1023, 1025, 10_007, 131_072, 131_073, 400_001]
)
def test_every_length_agrees_with_the_library_of_the_sdk(size: int) -> None:
    data = bytes((number * 7 + number // 251) % 256 for number in range(size))
    assert checksum(data) == checksum(data, size // 3, size // 2) == witness(data)
    assert checksum(bytes(size)) == witness(bytes(size))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_any_pieces_agree_with_the_library_of_the_sdk(pieces: list[bytes]) -> None:
    digest = Crc64()
    for piece in pieces:
        digest.update(piece)
    assert int(digest.text) == witness(b"".join(pieces))


@pytest.mark.parametrize("size", [0, 10, 2_000_000])
def test_uploads_downloads_and_heads_say_the_checksum(call: Any, size: int) -> None:
    content = b"x" * size
    expected = str(witness(content))
    assert call.put("a", content).headers[HEADER] == expected
    for reply in (call.get("a"), call("HEAD", "cos", "/a"), call.get("a", Range="bytes=0-0")):
        assert reply.status == 416 or reply.headers[HEADER] == expected


def test_objects_put_by_hand_and_outputs_of_jobs_have_one_too(call: Any, folder: Path) -> None:
    (folder / "hand.txt").write_bytes(b"by hand")
    assert call.get("hand.txt").headers[HEADER] == str(witness(b"by hand"))
    (folder / "hand.txt").write_bytes(b"changed")
    assert call.get("hand.txt").headers[HEADER] == str(witness(b"changed"))
    call.put("a.docx")
    call.finished(call.submit(call.doc_job("a.docx", "out.pdf")))
    reply = call.get("out.pdf")
    assert (
        reply.headers[HEADER] == call("HEAD", "cos", "/out.pdf").headers[HEADER] == str(witness(reply.body))
    )


def test_synthetic_objects_have_one(serve: Any, caller: Any) -> None:
    call = caller(serve(synthetic={"examplebucket-1250000000": 1}))
    reply = call.get("synthetic/2020/01/01/doc-0000001.txt")
    assert reply.headers[HEADER] == str(witness(reply.body))


def test_a_folder_served_by_an_older_version_is_served_on(root: Path, caller: Any) -> None:
    with LocalCI(root, convert="instant") as server:
        caller(server).put("a", b"x", **{"x-cos-meta-a": "b"})
    with sqlite3.connect(root / ".ci-local" / "state.sqlite") as connection:
        connection.execute("ALTER TABLE objects DROP COLUMN crc64")
    with LocalCI(root, convert="instant") as server:
        reply = caller(server).get("a")
        assert (reply.headers[HEADER], reply.headers["x-cos-meta-a"]) == (str(witness(b"x")), "b")
