"""Shards are disjoint, complete, not larger than requested, and the same in every attempt."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.batch import Inventory, Manifest, ObjectKeys, ObjectSelection, Source, SourceError
from airflow_provider_ci.batch.report import batch_folder
from airflow_provider_ci.batch.sharding import record
from airflow_provider_ci.batch.sharding.record import Shard, make_shards, read_shards
from airflow_provider_ci.batch.sharding.split import split
from airflow_provider_ci.batch.sources.source import Row, UnusableKey
from airflow_provider_ci.client import CIClient, Credentials
from airflow_provider_ci.local import LocalCI
from tests.batch.sources.test_inventory import FOLDER, rows_of, write

KEYS = [
    *("a.txt", "b/1.txt", "b/2.txt", "b/c/3.txt", "b/c/4.txt", "b/c/d/5.txt", "b.txt", "c/6.txt"),
    *("c/x/7.txt", "d-e/8.txt", "d/9.txt", "e", "合同/草案.txt", "f/~skipped.txt"),
]
SELECTIONS: dict[str, dict[str, Any]] = {
    "whole bucket": {},
    "several prefixes": {"prefix": ["b/c/", "c/", "e", "nothing/"]},
    "filters": {"suffixes": [".txt"], "exclude": ["~*"]},
    "range": {"start_after": "b/2.txt", "end_at": "d/9.txt"},
    "bounds inside folders": {"prefix": ["b/", "c/"], "start_after": "b/c/3.txt", "end_at": "c/6.txt"},
    "nothing": {"prefix": "none/"},
}


def keys(source: Source, client: CIClient) -> list[str]:
    return [each.info.key if isinstance(each, Row) else each.key for each in source.objects(client)]


@pytest.mark.parametrize("max_objects", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("name", SELECTIONS)
def test_a_listing(name: str, max_objects: int, client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket(*KEYS)
    source = ObjectSelection(**SELECTIONS[name])
    pieces = list(split(client, source, max_objects, "copies/"))
    found = [keys(piece.source, client) for piece in pieces]
    assert list(chain(*found)) == keys(source, client), "each object once, in the order of the keys"
    assert [piece.objects for piece in pieces] == [len(each) for each in found]
    assert all(1 <= len(each) <= max_objects for each in found)
    assert len(found) <= 2 * -(-len(keys(source, client)) // max_objects)


def test_objects_that_come_later_are_in_exactly_one_range(
    client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket(*KEYS)
    pieces = list(split(client, ObjectSelection(), 4, "copies/"))
    fill_bucket("A", "a.txu", "b/c/d/e", "zzz")
    found = [keys(piece.source, client) for piece in pieces]
    assert list(chain(*found)) == keys(ObjectSelection(), client)


def test_a_large_listing_of_one_folder(serve_synthetic: Callable[[int], CIClient]) -> None:
    client = serve_synthetic(12_500)
    pieces = list(split(client, ObjectSelection(prefix="synthetic/"), 3000, "copies/"))
    assert [piece.objects for piece in pieces] == [3000, 3000, 3000, 3000, 500]
    assert keys(pieces[-1].source, client)[-1].endswith("doc-0012500.txt")


@pytest.fixture
def serve_synthetic(tmp_path: Path, client_of: Callable[..., CIClient]) -> Any:
    """Starts a local CI with a bucket of synthetic objects; returns a client for the bucket."""
    servers = []

    def start(number: int) -> CIClient:
        (tmp_path / "synthetic" / "examplebucket-1250000000").mkdir(parents=True)
        server = LocalCI(
            tmp_path / "synthetic", convert="instant", synthetic={"examplebucket-1250000000": number}
        )
        servers.append(server)
        return client_of(server.__enter__())

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@settings(max_examples=15)
@given(
    parts=st.lists(st.lists(st.sampled_from(["in/", "out/"]), max_size=5), max_size=4),
    max_objects=st.integers(1, 6),
    start=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    max_rows=st.none() | st.integers(0, 9),
)
def test_an_inventory(
    parts: list[list[str]], max_objects: int, start: tuple[int, int], max_rows: int | None, shared: CIClient
) -> None:
    numbers = iter(range(1000))
    named = [[f"{folder}{next(numbers)}" for folder in part] for part in parts]
    key = write(shared, *(rows_of(*part) for part in named))
    source = Inventory(FOLDER, key_prefix="in/", start_part=start[0], start_row=start[1], max_rows=max_rows)
    pieces = list(split(shared, source, max_objects, "copies/"))
    expected = keys(source, shared)
    write(shared, rows_of("in/newer"), date="20270101")  # a newer report, which the shards must not read
    found = [keys(piece.source, shared) for piece in pieces]
    shared.delete_object(f"{FOLDER}20270101/manifest.json")
    assert list(chain(*found)) == expected
    assert all(1 <= len(each) <= max_objects for each in found)
    assert all(piece.source.prefix == key for piece in pieces if isinstance(piece.source, Inventory))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client for a bucket that all examples share."""
    root = tmp_path_factory.mktemp("shared")
    (root / "examplebucket-1250000000").mkdir()
    with LocalCI(root, convert="instant") as server:
        held = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
        with CIClient(held, "ap-guangzhou", "examplebucket-1250000000", endpoint=server.endpoint) as client:
            yield client


def test_a_manifest_is_copied_with_its_lines(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a", "b", "c")
    lines = ["key,quality", "a,80", ",", "b,", "a,80", "b,x", "c,,", "missing,", "c,7"]
    client.put_object("m.csv", "\n".join(lines).encode())
    whole = list(Manifest("m.csv").objects(client))
    pieces = list(split(client, Manifest("m.csv"), 3, "copies/"))
    client.put_object("m.csv", b"key\n")
    found = [list(piece.source.objects(client)) for piece in pieces]
    assert list(chain(*found)) == whole
    assert [piece.objects for piece in pieces] == [len(each) for each in found] == [3, 3, 1]
    bad = [each.message for each in whole if isinstance(each, UnusableKey)]
    assert [message[:14] for message in bad] == [f"m.csv, line {number}:" for number in (3, 6, 7, 8)]


def test_a_broken_line_of_json_is_copied(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a")
    client.put_object("m.jsonl", b'{\n{"key": "a"}\n')
    (first, second) = split(client, Manifest("m.jsonl"), 1, "copies/")
    (bad,) = first.source.objects(client)
    assert isinstance(bad, UnusableKey) and bad.message.startswith("m.jsonl, line 1: not JSON")
    assert keys(second.source, client) == ["a"]


def test_a_list_of_keys(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a", "b", "c")
    pieces = list(split(client, ObjectKeys(keys=["c", "a", "c", "b"]), 2, "copies/"))
    assert [keys(piece.source, client) for piece in pieces] == [["c", "a"], ["b"]]
    second = gzip.decompress(client.read_object("copies/000002.jsonl.gz"))
    assert json.loads(second) == {"_line": 3, "key": "b"}


SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)
SOURCES = [
    ObjectSelection(prefix=["a/", "b/"], modified_after=SINCE, start_after="a/1"),
    Inventory("x/manifest.json", etag="e", tags={"a": "b"}, start_part=2, max_rows=5),
    Manifest("copies/000001.jsonl.gz", etag="e", original="m.csv"),
]


@pytest.mark.parametrize("source", SOURCES, ids=[type(each).__name__ for each in SOURCES])
def test_a_shard_is_written_down(source: Source) -> None:
    shard = Shard(batch_id="a/0001", objects=3, source=source)
    assert Shard.from_json(json.loads(json.dumps(shard.to_json()))) == shard


def test_every_attempt_gives_the_same_shards_until_the_report_is_complete(
    client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("in/a", "in/b", "in/c")
    source = ObjectSelection(prefix="in/")
    first = make_shards(client, source, shards_id="all", max_objects=2)
    assert [shard.batch_id for shard in first.shards] == ["all/0001", "all/0002"]
    fill_bucket("in/aa", "in/d", "in/e")
    assert make_shards(client, source, shards_id="all", max_objects=2) == first
    assert read_shards(client, "all") == first
    other = make_shards(client, source, shards_id="all", max_objects=2, definition="changed")
    assert [shard.objects for shard in other.shards] == [2, 2, 2]
    record.put_json(client, record.report_index_key(other.folder), {"is_complete": False})
    fill_bucket("in/f")
    assert make_shards(client, source, shards_id="all", max_objects=2, definition="changed") == other
    record.put_json(client, record.report_index_key(other.folder), {"is_complete": True})
    newer = make_shards(client, source, shards_id="all", max_objects=2, definition="changed")
    assert [shard.objects for shard in newer.shards] == [2, 2, 2, 1]
    assert not record.has_report(client, other.folder)


def test_two_attempts_at_once_agree(
    client: CIClient, fill_bucket: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both attempts use the list of shards that was written first."""
    fill_bucket("in/a", "in/b")
    source = ObjectSelection(prefix="in/")
    others: list[Any] = []

    def split_late(*arguments: Any) -> Any:
        monkeypatch.setattr(record, "split", split)
        others.append(make_shards(client, source, shards_id="all", max_objects=1))
        fill_bucket("in/c")
        return split(*arguments)

    monkeypatch.setattr(record, "split", split_late)
    assert make_shards(client, source, shards_id="all", max_objects=1) == others[0]


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_a_damaged_list_of_shards(content: bytes, client: CIClient) -> None:
    client.put_object(record.list_key(batch_folder("_ci_batches/", "all")), content)
    with pytest.raises(SourceError, match=r"shards\.json is damaged"):
        read_shards(client, "all")
