"""Manifests: rows with settings, bad rows that fail without stopping others, and files that are refused."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, Manifest, SourceError
from airflow_provider_ci.batch.sources.source import Row, UnusableKey
from airflow_provider_ci.client import CIClient, ObjectInfo
from airflow_provider_ci.client.records.values import rendered

JSON = '{"key": "a", "quality": 7}\n{"key": "b"}\n'


def found(client: CIClient, name: str, content: str | bytes, **fields: Any) -> list[Any]:
    body = content.encode() if isinstance(content, str) else content
    client.put_object(name, body)
    return list(Manifest(name, **fields).objects(client))


def test_a_row_has_settings_of_its_own(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a.docx", "b.xlsx", "c, d.docx")
    lines = [
        "key,Target,start_page,end_page,quality,sheet,output,priority,doc_password,department",
        "a.docx,jpg,2,-1,80,,out/a/${Number}.jpg,2,conn:documents,sales",
        "b.xlsx,,,,,3,,,,",
        '"c, d.docx",,,,,,,,,',
    ]
    rows = found(client, "m.csv", "\r\n".join(lines))
    assert [type(each) for each in rows] == [Row, Row, ObjectInfo]
    first, second, third = rows
    assert first.info == client.head_object("a.docx")
    assert (first.output_key, first.job_level) == ("out/a/${Number}.jpg", 2)
    assert first.parameters == {
        "target": "jpg", "start_page": 2, "end_page": -1, "quality": 80, "doc_password": "conn:documents",
    }  # fmt: skip
    assert (second.info.key, second.parameters) == ("b.xlsx", {"sheet_id": 3})
    assert third.key == "c, d.docx"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".CSV", ".jsonl", ".jsonl.gz", ".ndjson"])
def test_formats(suffix: str, client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a", "b")
    text = "\ufeffkey,quality\na,7\n\n\nb," if "csv" in suffix.lower() else JSON
    body = gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode()
    rows = found(client, f"m{suffix}", body)
    assert (rows[0].info.key, rows[0].parameters, rows[1].key) == ("a", {"quality": 7}, "b")


def test_a_manifest_at_a_url(client: CIClient, fill_bucket: Callable[..., None], tmp_path: Path) -> None:
    fill_bucket("a", "b")
    path = tmp_path / "list.jsonl"
    path.write_text(JSON)
    rows = list(Manifest(f"file://{path}").objects(client))
    assert [type(each) for each in rows] == [Row, ObjectInfo]
    with pytest.raises(SourceError, match="does not exist"):
        list(Manifest(f"file://{path}.jsonl").objects(client))


BAD_ROWS = [
    # CSV row with the columns key,start_page,doc_password,size,output, and a part of its failure's message
    (",1,,,", "key must be a non-empty object key"),
    (f"{'k' * 851},,,,", "an object key has at most 850"),
    ("a\x1b,,,,", "control character"),
    ("a,one,,,", "start_page must be a whole number, not 'one'"),
    ("a,0,,,", "start_page must be at least 1"),
    ("a,,hunter2,,", "doc_password names a secret"),
    ("a,,conn:,,", "doc_password names a secret"),
    ("a,,,-5,", "size must be at least 0"),
    ("a,,,99,", "the manifest says size 99, the object has 11"),
    (f"a,,,,{'o' * 851}", "output has 851 bytes"),
    ("a,,", "the row has 3 columns, the first line 5"),
    ("a,,,,,", "the row has 6 columns, the first line 5"),
    ('"a,,,,', "not a row of comma-separated values"),
    ('"a"b,,,,', "not a row of comma-separated values"),
    ("missing,,,,", "the bucket has no object 'missing'"),
]


def test_a_bad_row_fails_alone(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a", "good1", "good2")
    lines = [
        "key,start_page,doc_password,size,output",
        "good1,,,,",
        *[row for row, _ in BAD_ROWS],
        "good2,,,,",
    ]
    rows = found(client, "lists/m.csv", "\n".join(lines))
    assert [rows[0].key, rows[-1].key] == ["good1", "good2"]
    bad = rows[1:-1]
    for line, (each, (_, reason)) in enumerate(zip(bad, BAD_ROWS, strict=True), start=3):
        assert isinstance(each, UnusableKey), each
        assert each.message.startswith(f"lists/m.csv, line {line}: ")
        assert reason in each.message
    assert "hunter2" not in repr(bad)
    assert bad[0].key == "lists/m.csv, line 3"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('["a"]', "not a JSON object"),
        ('{"name": "a"}', "key must be a non-empty object key, not None"),
        ('{"key": 5}', "key must be a non-empty object key, not 5"),
        ('{"key": "\\ud800"}', "surrogates not allowed"),
        ('{"key": "a", "quality": true}', "quality must be a whole number"),
        ('{"key": "a", "target": ["pdf"]}', "target must be a text"),
        ('{"key": "a", "job_level": 3}', "job_level must be from 0 to 2"),
        ('{"key": "a", "last_modified": "yesterday"}', "last_modified must be a time"),
    ],
    ids=range(10),
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_bad_line_of_json_fails_alone(
    line: str, reason: str, place: str, client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("a", "b")
    text = f"{line}\n{JSON}" if place == "first" else f"{JSON}{line}\n"
    rows = found(client, "m.jsonl", text)
    bad = rows.pop(0 if place == "first" else -1)
    assert [type(each) for each in rows] == [Row, ObjectInfo]
    assert bad.message.startswith(f"m.jsonl, line {1 if place == 'first' else 3}: ")
    assert reason in bad.message


NO_MANIFESTS: list[tuple[str, bytes, str]] = [
    ("m.csv", b"", "m.csv is empty"),
    ("m.csv", b"name,size\na,1", "no column key; its first line names 'name', 'size'"),
    ("m.csv", b"key;size\na;1", "no column key; its first line names 'key;size'"),
    ("m.csv", b"key,etag,ETag\n", "two columns etag"),
    ("m.csv", b"key,sheet,sheet_id\n", "two columns sheet_id"),
    ("m.csv", b"key,password\na,secret", "has a column password; name a secret"),
    ("m.csv", "key\nä".encode("latin-1"), "line 2 is not UTF-8"),
    ("m.csv", "key\na".encode("utf-16"), "line 1 is not UTF-8"),
    ("m.csv", b"PK\x03\x04\0\0\0", "line 1 holds a NUL character"),
    ("m.csv", b"key\n" + b"a" * 1_048_576, "line 2 is longer than 1048576 bytes"),
    ("m.csv.gz", b"key\na", "m.csv.gz is not gzip"),
    ("m.csv.gz", gzip.compress(b"key\na\n" * 9)[:-9], "m.csv.gz is cut off"),
    ("m.csv.gz", gzip.compress(b"key\na\n" * 9)[:-8] + b"\0" * 8, "m.csv.gz is damaged"),
    ("m.csv.gz", gzip.compress(b"key\n" + bytes(range(65, 91)) * 9)[:20] + b"x" * 30, "m.csv.gz is "),
    ("m.jsonl", b'{"name": "a"}\n', "no manifest: no key in line 1"),
    ("m.jsonl", b"key\na\n", "no manifest: not JSON"),
    ("m.jsonl", b"x\n" * 2000, "no manifest: not JSON"),
    ("m.jsonl", b'{"key": "a", "password": "x"}\n', "has a column password"),
    ("m.txt", b"key\na", "the name of a manifest ends with .csv"),
]


@pytest.mark.parametrize(("name", "content", "message"), NO_MANIFESTS, ids=range(len(NO_MANIFESTS)))
def test_a_file_that_is_no_manifest(
    name: str, content: bytes, message: str, client: CIClient, batch: Callable[..., Batch]
) -> None:
    """Nothing is submitted, even if the file begins with good rows."""
    client.put_object(name, content)
    with pytest.raises(SourceError) as caught:
        batch(client, Manifest(name)).run()
    assert message in str(caught.value)
    assert not list(client.list_doc_jobs())


def test_a_missing_manifest(client: CIClient) -> None:
    with pytest.raises(SourceError, match=r"has no object 'm\.csv'"):
        list(Manifest("m.csv").objects(client))


def test_an_empty_list_of_rows_is_a_manifest(client: CIClient) -> None:
    assert found(client, "m.csv", "key\n") == found(client, "m.jsonl", "\n") == []


def test_rows_that_repeat(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    """A repeated row counts once, an output with two settings fails, and one object may have two outputs."""
    fill_bucket("a", "b")
    lines = ["key,target,output", "a,pdf,1", "b,pdf,2", "a,pdf,1", "a,jpg,1", "a,jpg,3", "b,pdf,2"]
    rows = found(client, "m.csv", "\n".join(lines))
    assert [getattr(each, "output_key", "-") for each in rows] == ["1", "2", "-", "3"]
    assert rows[2] == UnusableKey(
        key="a",
        code="RepeatedRow",
        message="m.csv, line 5: line 2 names the same object and output with other settings",
    )


def test_rows_that_tell_all_need_no_request(client: CIClient) -> None:
    """Size and ETag are not enough: the last-modified time decides whether an output is up to date."""
    rows = found(client, "m.csv", 'key,size,etag,last_modified\na,5,"""e""",2026-01-02T03:04:05Z\n')
    assert rows == [ObjectInfo("a", 5, "e", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))]


def test_an_object_that_differs_from_its_row(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a", "b")
    etag = client.head_object("a").etag
    rows = found(client, "m.csv", f"key,etag\na,{etag}\nb,other\n")
    assert rows[0] == client.head_object("a")
    assert (rows[1].code, rows[1].key) == ("ObjectChanged", "b")
    assert "the manifest says etag other" in rows[1].message


def test_a_manifest_that_changes_while_it_is_read(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    """All rows come from one version, even if the manifest is replaced meanwhile; another ETag is refused."""
    keys = [f"in/{number:04}" for number in range(2500)]
    fill_bucket(*keys, "other")
    first = client.put_object("m.csv", "\n".join(["key", *keys]).encode())
    rows = Manifest("m.csv", etag=first.etag).objects(client)
    taken = list(itertools.islice(rows, 10))
    client.put_object("m.csv", b"key\nother\n")
    assert [each.key for each in (*taken, *rows) if isinstance(each, ObjectInfo)] == keys
    with pytest.raises(SourceError, match=r"m\.csv has changed: its ETag is"):
        list(Manifest("m.csv", etag=first.etag).objects(client))


def test_a_batch_of_a_manifest_has_a_report_line_for_each_row(
    client: CIClient,
    fill_bucket: Callable[..., None],
    batch: Callable[..., Batch],
    results: Callable[..., Any],
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    client.put_object("m.csv", b"key\nin/a.docx\nin/missing.docx\nin/b.docx\n")
    summary = batch(client, Manifest("m.csv"), max_failures=1).run()
    assert (summary.total, summary.succeeded, summary.failed) == (3, 2, 1)
    assert "m.csv, line 3" in results(client)["in/missing.docx"].message


def test_a_manifest_crosses_xcom_and_templates() -> None:
    manifest = Manifest("lists/{{ ds }}.csv", etag="{{ params.etag }}")
    stored = json.loads(json.dumps(manifest.serialize()))
    assert Manifest.deserialize(stored) == manifest
    assert rendered(manifest, {"key": "lists/1.csv", "etag": ""}) == Manifest("lists/1.csv")
    for wrong in (None, "", ["a"]):
        with pytest.raises(ValueError, match=r"Manifest\.key"):
            rendered(manifest, {"key": wrong})
