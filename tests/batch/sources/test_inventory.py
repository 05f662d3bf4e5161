"""Inventories as the service writes them, with their fields in any order, and damaged inventories."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_ci.batch import Batch, Inventory, ObjectSelection, OutputTemplateError, SourceError
from airflow_provider_ci.batch.sources.source import LeftOut
from airflow_provider_ci.client import CIClient, ObjectInfo
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.records.values import rendered

FOLDER = "reports/1250000000/examplebucket/daily/"
SCHEMA = "Appid, Bucket, Key, Size, LastModifiedDate, ETag, StorageClass"
FIELDS = ("Size", "LastModifiedDate", "ETag", "StorageClass")
ROW = {
    "Appid": "1250000000",
    "Bucket": "examplebucket",
    "Size": "5",
    "LastModifiedDate": "2026-01-02T03:04:05.000Z",
    "ETag": "e",
    "StorageClass": "STANDARD",
}


def write(
    client: CIClient,
    *parts: list[dict[str, str]],
    schema: str = SCHEMA,
    date: str = "20260101",
    folder: str = FOLDER,
    **manifest: Any,
) -> str:
    """Write an inventory report; return the key of its manifest."""
    names = [name.strip() for name in schema.split(",")]
    files = []
    for number, rows in enumerate(parts):
        text = io.StringIO()
        csv.writer(text).writerows([{**ROW, **row}.get(name, "") for name in names] for row in rows)
        key, body = f"{folder}{date}-{number}.csv.gz", gzip.compress(text.getvalue().encode())
        digest = hashlib.md5(body).hexdigest()
        files.append({"key": key, "size": str(len(body)), "md5Checksum": digest})
        client.put_object(key, body)
    content = {
        **{"sourceAppid": "1250000000", "sourceBucket": "examplebucket", "fileFormat": "CSV"},
        **{"fileSchema": schema, "files": files, **manifest},
    }
    body = json.dumps(content).encode()
    client.put_object(f"{folder}{date}/manifest.checksum", hashlib.md5(body).hexdigest().encode())
    client.put_object(f"{folder}{date}/manifest.json", body)
    return f"{folder}{date}/manifest.json"


def rows_of(*keys: str, **more: str) -> list[dict[str, str]]:
    return [{"Key": quote(key), **more} for key in keys]


def found(client: CIClient, prefix: str = FOLDER, **fields: Any) -> list[ObjectInfo]:
    return list(Inventory(prefix, **fields).objects(client))


def request_inventory(client: CIClient, *fields: str, more: str = "") -> None:
    """Create a one-time inventory."""
    body = (
        "<InventoryConfiguration><Id>daily</Id><Destination><COSBucketDestination><Format>CSV</Format>"
        f"<AccountId>1</AccountId><Bucket>qcs::cos:ap-guangzhou::{client.bucket}</Bucket>"
        "<Prefix>reports</Prefix></COSBucketDestination></Destination>"
        f"{more}<IncludedObjectVersions>Current</IncludedObjectVersions><OptionalFields>"
        f"{''.join(f'<Field>{each}</Field>' for each in fields)}</OptionalFields></InventoryConfiguration>"
    )
    params = (("inventory", ""), ("id", "daily"))
    asked = Request(method="POST", service="cos", path="/", params=params, body=body.encode())
    client._transport.send(asked, lambda response: None)


ODD_KEYS = (
    "in/a b.docx",
    "in/a+b.docx",
    "in/合同,草案.docx",
    'in/"q".docx',
    "in/50%.docx",
    "in/line\nbreak.docx",
)


def test_an_inventory_shows_what_a_listing_shows(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("in/folder/c.docx", "other/d.docx")
    for key in (*ODD_KEYS, "in/empty/"):
        client.put_object(key, b"text")
    request_inventory(client, *FIELDS)
    listed = list(ObjectSelection(prefix="in/").objects(client))
    assert found(client, key_prefix="in/") == listed
    assert [each.key for each in listed] == sorted([*ODD_KEYS, "in/folder/c.docx"])


def test_a_batch_of_an_inventory(
    client: CIClient, fill_bucket: Callable[..., None], batch: Callable[..., Batch]
) -> None:
    fill_bucket("in/a.docx", "in/x/b.docx", "other/c.docx", "out/old.pdf")
    request_inventory(client, *FIELDS, more="<Filter><Prefix>in/</Prefix></Filter>")
    summary = batch(client, Inventory("reports/", key_prefix="in/")).run()
    assert (summary.total, summary.succeeded) == (2, 2)
    assert [each.key for each in client.list_objects("out/")] == ["out/a.pdf", "out/old.pdf", "out/x/b.pdf"]


@pytest.mark.parametrize(
    "schema",
    [
        "Key, ETag, Size, StorageClass, LastModifiedDate",
        "etag,LASTMODIFIEDDATE,size,key",
        "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, x-cos-meta-a",
    ],
)
def test_fields_come_in_any_order(schema: str, client: CIClient) -> None:
    row = {"Key": "a%2Fb", "key": "a%2Fb", "IsLatest": "True", "IsDeleteMarker": "False"}
    lower = {name.lower(): value for name, value in ROW.items()} | {
        "LASTMODIFIEDDATE": ROW["LastModifiedDate"]
    }
    write(client, [{**row, **lower}], schema=schema)
    assert found(client) == [ObjectInfo("a/b", 5, "e", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))]


def test_old_versions_and_delete_markers_are_left_out(client: CIClient) -> None:
    rows = [
        {"Key": "a", "IsLatest": "true", "IsDeleteMarker": "false"},
        {"Key": "a", "IsLatest": "false", "IsDeleteMarker": "false"},
        {"Key": "b", "IsLatest": "true", "IsDeleteMarker": "true"},
    ]
    write(client, rows, schema=f"{SCHEMA}, IsLatest, IsDeleteMarker")
    assert [each.key for each in found(client)] == ["a"]


def test_filters_are_those_of_a_selection(client: CIClient) -> None:
    rows = [
        *rows_of("in/a.docx", "in/~$a.docx", "in/b.exe", "in/", "other/a.docx"),
        *rows_of("in/c.docx", StorageClass="ARCHIVE"),
        *rows_of("in/d.docx", Size="0"),
        *rows_of("in/e.docx", LastModifiedDate="2020-01-01T00:00:00Z"),
    ]
    write(client, rows)
    left_out = LeftOut()
    source = Inventory(
        FOLDER,
        key_prefix=["in/", "in/x/"],
        suffixes=[".DOCX"],
        exclude=["~$*"],
        min_size=1,
        modified_after="2021-01-01T00:00:00Z",
    )
    assert [each.key for each in source.objects(client, left_out=left_out)] == ["in/a.docx"]
    assert left_out.archived == 1


def test_tags_and_metadata(client: CIClient) -> None:
    rows = [
        *rows_of("a", Tag="team=sales&year=2026", **{"x-cos-meta-owner": "eve"}),
        *rows_of("b", Tag="team=sales", **{"x-cos-meta-owner": "bob"}),
        *rows_of("c"),
    ]
    write(client, rows, schema=f"{SCHEMA}, Tag, x-cos-meta-owner")
    assert [each.key for each in found(client, tags={"team": "sales"})] == ["a", "b"]
    assert [each.key for each in found(client, tags={"team": "sales", "year": "2026"})] == ["a"]
    assert [each.key for each in found(client, metadata={"x-cos-meta-Owner": "bob"})] == ["b"]
    with pytest.raises(SourceError, match="lacks the field x-cos-meta-size"):
        found(client, metadata={"size": "1"})


def test_the_newest_report_is_read_or_the_named_one(client: CIClient, bucket: Path) -> None:
    for number, date in enumerate(("20260301", "20260201")):
        key = write(client, rows_of(date), date=date)
        os.utime(bucket / key, (number, number))
    assert [each.key for each in found(client)] == ["20260201"], "the one that was written last"
    assert [each.key for each in found(client, f"{FOLDER}20260301/manifest.json")] == ["20260301"]


def test_a_range_of_rows(client: CIClient) -> None:
    keys = [f"{number:02}" for number in range(10)]
    write(client, rows_of(*keys[:4]), rows_of(*keys[4:6]), [], rows_of(*keys[6:]))

    def read(part: int, row: int, rows: int | None) -> list[str]:
        return [each.key for each in found(client, start_part=part, start_row=row, max_rows=rows)]

    assert read(0, 0, None) == keys
    assert read(0, 1, 2) == keys[1:3]
    assert read(0, 3, 4) == keys[3:7]
    assert read(1, 1, None) == keys[5:]
    assert read(3, 0, 99) == keys[6:]
    assert read(4, 0, None) == read(0, 0, 0) == []


def damaged_part(client: CIClient) -> str:
    client.put_object(f"{FOLDER}20260101-1.csv.gz", gzip.compress(b"x"))
    return r"20260101-1\.csv\.gz is damaged: its MD5 is [0-9a-f]+, the inventory says"


def missing_part(client: CIClient) -> str:
    client.delete_object(f"{FOLDER}20260101-1.csv.gz")
    return r"no object '.*20260101-1\.csv\.gz'"


def damaged_manifest(client: CIClient) -> str:
    client.put_object(f"{FOLDER}20260101/manifest.json", b'{"files": []}')
    return r"20260101/manifest\.json is damaged"


def no_manifest(client: CIClient) -> str:
    client.delete_object(f"{FOLDER}20260101/manifest.json")
    return "there is no inventory under"


def two_inventories(client: CIClient) -> str:
    write(client, rows_of("a"), folder="reports/1250000000/examplebucket/weekly/")
    return "several inventories lie under 'reports/': .*daily/, .*weekly/"


def other_bucket(client: CIClient) -> str:
    write(client, rows_of("a"), sourceBucket="other")
    return "inventory of the bucket other-1250000000, the batch works on examplebucket-1250000000"


def other_format(client: CIClient) -> str:
    write(client, rows_of("a"), fileFormat="ORC")
    return "files of format ORC"


def no_etag(client: CIClient) -> str:
    write(client, rows_of("a"), schema="Key, Size, LastModifiedDate")
    return "lacks the field ETag: add it to the optional fields"


def no_files(client: CIClient) -> str:
    write(client, files=None)
    return "is not the manifest of an inventory"


def short_row(client: CIClient) -> str:
    write(client, rows_of("a", "b"), fileSchema=f"{SCHEMA}, Tag")
    return r"20260101-0\.csv\.gz, line 1: has 7 fields, the manifest names 8"


def bad_size(client: CIClient) -> str:
    write(client, rows_of("a"), rows_of("b", Size="much"))
    return r"20260101/manifest\.json: cannot read the row .*'much'.*: invalid literal"


def bad_key(client: CIClient) -> str:
    write(client, rows_of("a"), [{"Key": "%ff"}])
    return r"20260101/manifest\.json: cannot read the row .*'%ff'.*: 'utf-8' codec"


DAMAGES = [
    *(damaged_part, missing_part, damaged_manifest, no_manifest, two_inventories, other_bucket, other_format),
    *(no_etag, no_files, short_row, bad_size, bad_key),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=[each.__name__ for each in DAMAGES])
def test_a_damaged_inventory_submits_nothing(
    damage: Callable[[CIClient], str], client: CIClient, batch: Callable[..., Batch]
) -> None:
    write(client, rows_of("in/a.docx"), rows_of("in/b.docx"))
    message = damage(client)
    with pytest.raises(SourceError, match=message):
        batch(client, Inventory("reports/")).run()
    assert not list(client.list_doc_jobs())


def test_a_manifest_without_a_checksum_beside_it(client: CIClient) -> None:
    """The report was copied without its checksum."""
    write(client, rows_of("a"))
    client.delete_object(f"{FOLDER}20260101/manifest.checksum")
    assert [each.key for each in found(client)] == ["a"]


def test_a_pinned_report(client: CIClient) -> None:
    key = write(client, rows_of("a"))
    etag = client.head_object(key).etag
    assert [each.key for each in found(client, key, etag=etag)] == ["a"]
    write(client, rows_of("b"))
    with pytest.raises(SourceError, match="has changed: its ETag is"):
        found(client, key, etag=etag)


def test_an_inventory_in_another_bucket(client: CIClient, bucket: Path) -> None:
    reports = bucket.parent / "reports-1250000000"
    reports.mkdir()
    with client.for_bucket(reports.name, client.region) as writer:
        write(writer, rows_of("a"))
    assert [each.key for each in found(client, inventory_bucket=reports.name)] == ["a"]


def test_outputs_in_the_folder_of_the_inputs(client: CIClient, batch: Callable[..., Batch]) -> None:
    write(client, rows_of("in/a.pdf"))
    with pytest.raises(OutputTemplateError, match="the outputs lie in 'in/'"):
        batch(client, Inventory(FOLDER, key_prefix="in/"), output="in/{stem}.pdf").run()


def test_an_inventory_crosses_xcom_and_templates() -> None:
    inventory = Inventory(
        "{{ params.folder }}",
        key_prefix="{{ params.prefix }}",
        tags={"team": "{{ params.team }}"},
        max_rows=5,
    )
    assert Inventory.deserialize(json.loads(json.dumps(inventory.serialize()))) == inventory
    made = rendered(inventory, {"prefix": "x/", "key_prefix": ["a/"], "tags": {"team": "a"}, "max_rows": "5"})
    assert made == Inventory("x/", key_prefix=["a/"], tags={"team": "a"}, max_rows=5)
    assert hash(made)
    for wrong in (None, ""):
        with pytest.raises(ValueError, match=r"Inventory\.prefix"):
            rendered(inventory, {"prefix": wrong})
