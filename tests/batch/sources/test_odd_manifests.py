"""Manifests as people and spreadsheets write them: they are read as intended, or refused with advice."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, Manifest, OutputTemplateError, SourceError
from airflow_provider_ci.batch.sources.source import Row, UnusableKey
from airflow_provider_ci.client import CIClient

Fill = Callable[..., None]
KEYS = ("a.docx", "in/b c.docx", "in/ü.docx", "in/a+b.docx", "in/c,d.docx")


@pytest.fixture(autouse=True)
def objects(fill_bucket: Fill) -> None:
    fill_bucket(*KEYS)


def read(client: CIClient, name: str, content: str | bytes) -> list[Any]:
    client.put_object(name, content.encode() if isinstance(content, str) else content)
    return list(Manifest(name).objects(client))


def keys(found: list[Any]) -> list[str]:
    return [each.info.key if isinstance(each, Row) else each.key for each in found]


UNDERSTOOD: dict[str, tuple[str, str | bytes, list[str]]] = {
    "with a BOM and CRLF": ("m.csv", "\ufeffkey,quality\r\na.docx,7\r\n", ["a.docx"]),
    "with a BOM before quotes": ("m.csv", '\ufeff"key","quality"\n"a.docx","7"\n', ["a.docx"]),
    "line breaks in a cell": (
        "m.csv",
        'key,note\na.docx,"first\n\nsecond ""third""\n"\nin/b c.docx,x\n',
        ["a.docx", "in/b c.docx"],
    ),
    "empty lines": ("m.csv", "\n \nkey,quality\n\n\na.docx,7\n  \n", ["a.docx"]),
    "commas in keys": ("m.csv", 'key\n"in/c,d.docx"\nin/b c.docx\n', ["in/c,d.docx", "in/b c.docx"]),
    "a comma at the end": ("m.csv", "key,quality,\na.docx,7,\n", ["a.docx"]),
    "names in other cases": ("m.csv", " KEY , Priority \na.docx,2\n", ["a.docx"]),
    "no line end": ("m.csv", "key\na.docx", ["a.docx"]),
    "repeated rows": ("m.csv", "key\na.docx\nin/ü.docx\na.docx\n", ["a.docx", "in/ü.docx"]),
    "a header only": ("m.csv", "key,quality\n", []),
    "several gzip members": ("m.csv.gz", gzip.compress(b"key\n") + gzip.compress(b"a.docx\n"), ["a.docx"]),
    "gzip under another name": ("m.csv", gzip.compress(b"key\na.docx\n"), ["a.docx"]),
    "nested values": ("m.jsonl", '{"key": "a.docx", "tags": {"a": [1, {"b": null}]}}\n', ["a.docx"]),
    "escapes": ("m.jsonl", '{"key": "in/\\u00fc.docx"}\r\n', ["in/ü.docx"]),
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_is_understood(name: str, client: CIClient) -> None:
    file, content, expected = UNDERSTOOD[name]
    assert keys(read(client, file, content)) == expected


REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "semicolons": ("m.csv", "key;quality\na.docx;7\n", "seems to have semicolons; save the file with commas"),
    "tabs": ("m.csv", "key\tquality\na.docx\t7\n", "seems to have tabs; save the file with commas"),
    "CR alone": ("m.csv", "key,quality\ra.docx,7\r", "lines end with CR alone; save the file with LF"),
    "UTF-16": ("m.csv", "key\na.docx\n".encode("utf-16"), "line 1 is not UTF-8 .* save the file as UTF-8"),
    "UTF-16 without a BOM": ("m.csv", "key\na".encode("utf-16-le"), "NUL character: it is not a text file"),
    "Latin-1": ("m.csv", "key\nin/ü.docx\n".encode("latin-1"), "line 2 is not UTF-8"),
    "no header": ("m.csv", "a.docx\n", "has no column key; its first line names 'a.docx'"),
    "a comment first": ("m.csv", "# exported\nkey\na.docx\n", "its first line names '# exported'"),
    "another name": ("m.csv", "object,size\na.docx,11\n", "its first line names 'object', 'size'"),
    "an open quote in the header": ("m.csv", '"key\na.docx\n', "m.csv, line 1: not a row of comma-sep"),
    "nothing": ("m.csv", "", "m.csv is empty; its first line names the columns"),
    "blank lines": ("m.csv", "\n \n", "m.csv is empty"),
    "two columns of one meaning": ("m.csv", "key,sheet,sheet_id\na.docx,1,2\n", "two columns sheet_id"),
    "a password": ("m.csv", "key,password\na.docx,hunter2\n", "name a secret in a column doc_password"),
    "a workbook": ("m.csv", b"PK\x03\x04\x00\x00", "NUL character: it is not a text file"),
    "a file type": ("m.xlsx", b"PK", "the name of a manifest ends with .csv, .jsonl"),
    "no gzip": ("m.csv.gz", b"key\na.docx\n", "is not gzip, as its name says"),
    "cut off": ("m.csv.gz", gzip.compress(b"key\n" + b"a.docx\n" * 999)[:-20], "m.csv.gz is cut off"),
    "damaged": ("m.csv.gz", gzip.compress(b"key\na.docx\n")[:-8] + b"\0" * 8, "m.csv.gz is damaged"),
    "a JSON list": ("m.jsonl", '[{"key": "a.docx"}]', "each line is an object such as"),
    "JSON over many lines": ("m.jsonl", '{\n "key": "a.docx"\n}\n', "is no manifest: not JSON"),
    "CSV called JSON": ("m.jsonl", "key,quality\na.docx,7\n", "is no manifest: not JSON"),
    "JSON called CSV": ("m.csv", '{"key": "a.docx"}\n', "has no column key"),
    "JSON without keys": ("m.jsonl", '{"name": "a.docx"}\n', "no key in line 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_before_anything_is_submitted(
    name: str, client: CIClient, batch: Callable[..., Batch]
) -> None:
    file, content, words = REFUSED[name]
    client.put_object(f"lists/{file}", content.encode() if isinstance(content, str) else content)
    with pytest.raises(SourceError, match=words) as refused:
        batch(client, Manifest(f"lists/{file}")).run()
    assert f"lists/{file}" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert not list(client.list_doc_jobs())
    assert not [each.key for each in client.list_objects("_ci_batches/") if "plan" in each.key]


HINTS = {
    " a.docx": "the key begins or ends with a space",
    "a.docx ": "the key begins or ends with a space",
    "/a.docx": "keys seldom begin with a slash",
    "in/b%20c.docx": "keys are written as they are, without percent-encoding",
    "cos://examplebucket-1250000000/a.docx": "name the key alone",
    "https://x.example.com/a.docx": "name the key alone",
    "in\\b c.docx": "folders are separated by /",
}


@pytest.mark.parametrize("key", HINTS)
def test_a_key_that_is_written_oddly_fails_alone_with_a_hint(key: str, client: CIClient) -> None:
    found = read(client, "m.csv", f"key\n{key}\na.docx\n")
    assert (type(found[0]), keys(found)[1]) == (UnusableKey, "a.docx")
    assert found[0].message.startswith(f"m.csv, line 2: the bucket has no object {key!r}; ")
    assert HINTS[key] in found[0].message


BAD_JSON = [
    ('{"key": "a.docx", "quality": {"a": 1}}', "quality must be a whole number, not {'a': 1}"),
    ('{"key": "a.docx", "quality": 7.5}', "quality must be a whole number, not 7.5"),
    ('{"key": "a.docx", "target": ["pdf"]}', "target must be a text, not ['pdf']"),
    ('{"key": "a.docx", "output": 5}', "output must be a non-empty object key, not 5"),
    ('{"key": "a.docx", "priority": true}', "job_level must be a whole number, not True"),
    ('{"key": "a.docx", "sheet": 1, "sheet_id": 2}', "two of its names mean the same column"),
    ('{"key": ["a.docx"]}', "key must be a non-empty object key"),
    ('{"key": "a.docx", "last_modified": "01.02.2026"}', "last_modified must be a time such as"),
]


def test_a_value_of_the_wrong_type_fails_alone(client: CIClient) -> None:
    lines = ['{"key": "in/ü.docx"}', *(line for line, _ in BAD_JSON)]
    found = read(client, "m.jsonl", "\n".join(lines))
    assert keys(found)[0] == "in/ü.docx"
    for number, (each, (_, words)) in enumerate(zip(found[1:], BAD_JSON, strict=True), start=2):
        assert isinstance(each, UnusableKey)
        assert each.message == f"m.jsonl, line {number}: {each.message.partition(': ')[2]}"
        assert words in each.message


@pytest.mark.parametrize("end", ["", "in/b c.docx,x\n", '"in/b c.docx","x"\n' * 30])
def test_an_open_quote_swallows_no_row(end: str, client: CIClient) -> None:
    found = read(client, "m.csv", f'key,note\na.docx,"open\nin/ü.docx,x\n{end}')
    assert isinstance(found[0], UnusableKey)
    assert found[0].message.startswith("m.csv, line 2: not a row of comma-separated values")
    assert keys(found)[1:] == ["in/ü.docx", *(["in/b c.docx"] if end else [])]


def test_columns_of_a_step_are_not_called_ignored(client: CIClient, caplog: pytest.LogCaptureFixture) -> None:
    read(client, "m.csv", "key,thumb.quality,pdf.colour,department,\na.docx,7,x,y,\n")
    assert "ignored the columns department, pdf.colour" in caplog.text


def test_times_without_a_zone_are_utc(client: CIClient) -> None:
    rows = read(client, "m.csv", "key,size,etag,last_modified\na,1,e,2026-01-02T03:04:05\nb,1,e,2026-01-02\n")
    assert [each.last_modified.isoformat() for each in rows] == [
        "2026-01-02T03:04:05+00:00",
        "2026-01-02T00:00:00+00:00",
    ]


def test_two_objects_with_one_output_are_refused_before_anything(
    client: CIClient, batch: Callable[..., Batch]
) -> None:
    client.put_object("m.csv", b"key,output\na.docx,out/x.pdf\nin/b c.docx,out/x.pdf\n")
    with pytest.raises(OutputTemplateError, match=r"'in/b c\.docx' would both write 'out/x\.pdf'"):
        batch(client, Manifest("m.csv")).run()
    assert not list(client.list_doc_jobs())
