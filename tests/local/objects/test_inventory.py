"""One-time inventories, made on request, and storage classes."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.objects import inventory

BUCKET = "examplebucket-1250000000"
FIELDS = ("Size", "LastModifiedDate", "ETag", "StorageClass")


def configuration(
    *fields: str, name: str = "daily", versions: str = "Current", more: str = "", format_: str = "CSV"
) -> str:
    optional = "".join(f"<Field>{field}</Field>" for field in fields)
    return (
        f"<InventoryConfiguration><Id>{name}</Id><Destination><COSBucketDestination><Format>{format_}</Format>"
        f"<AccountId>100000000001</AccountId><Bucket>qcs::cos:ap-guangzhou::{BUCKET}</Bucket>"
        f"<Prefix>reports/all</Prefix></COSBucketDestination></Destination>{more}"
        f"<IncludedObjectVersions>{versions}</IncludedObjectVersions>"
        f"<OptionalFields>{optional}</OptionalFields></InventoryConfiguration>"
    )


def ask(call: Any, body: str, name: str = "daily") -> Any:
    return call("POST", "cos", "/", [("inventory", ""), ("id", name)], body.encode())


def report(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The manifest and the rows of the only report; their checksums are verified first."""
    (path,) = folder.glob("reports/all/1250000000/examplebucket/daily/*/manifest.json")
    assert path.with_name("manifest.checksum").read_text() == hashlib.md5(path.read_bytes()).hexdigest()
    manifest = json.loads(path.read_text())
    rows = []
    for part in manifest["files"]:
        body = (folder / part["key"]).read_bytes()
        assert (part["size"], part["md5Checksum"]) == (str(len(body)), hashlib.md5(body).hexdigest())
        lines = gzip.decompress(body).decode().splitlines()
        rows += [dict(zip(manifest["fileSchema"].split(", "), row, strict=True)) for row in csv.reader(lines)]
    return manifest, rows


def test_a_report_in_the_documented_form(call: Any, folder: Path) -> None:
    etag = call.put("in/a b,合.txt", b"text").headers["etag"].strip('"')
    call.put("in/b.txt", b"archived", **{"x-cos-storage-class": "ARCHIVE"})
    call.put("other.txt")
    reply = ask(call, configuration(*FIELDS, more="<Filter><Prefix>in/</Prefix></Filter>"))
    assert (reply.status, len(reply.texts("JobId"))) == (200, 1)
    manifest, rows = report(folder)
    day = datetime.now(timezone.utc).strftime("%Y%m%d")
    assert (folder / f"reports/all/1250000000/examplebucket/daily/{day}/manifest.json").exists()
    assert {name: value for name, value in manifest.items() if name != "files"} == {
        "sourceAppid": "1250000000",
        "sourceBucket": "examplebucket",
        "destinationAppid": "1250000000",
        "destinationBucket": "examplebucket",
        "fileFormat": "CSV",
        "listObjectCount": "2",
        "listStorageSize": "12",
        "filterObjectCount": "2",
        "filterStorageSize": "12",
        "fileSchema": "Appid, Bucket, Key, Size, LastModifiedDate, ETag, StorageClass",
    }
    (listed,) = [
        each for each in call("GET", "cos", "/").xml.findall("Contents") if each[0].text == "in/b.txt"
    ]
    assert listed.findtext("StorageClass") == "ARCHIVE"
    assert [(row["Key"], row["Size"], row["StorageClass"]) for row in rows] == [
        ("in/a%20b%2C%E5%90%88.txt", "4", "STANDARD"),
        ("in/b.txt", "8", "ARCHIVE"),
    ]
    assert rows[0]["ETag"] == etag
    assert rows[1]["LastModifiedDate"] == listed.findtext("LastModified")


def test_many_objects_have_several_parts(
    serve: Callable[..., LocalCI], caller: Any, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(inventory, "PART_ROWS", 1000)
    server = serve(synthetic={BUCKET: 2500})
    assert ask(caller(server), configuration("Size")).status == 200
    manifest, rows = report(folder)
    assert [row["Key"] for row in rows] == sorted(row["Key"] for row in rows)
    assert (len(rows), len(manifest["files"]), manifest["listObjectCount"]) == (2500, 3, "2500")


def test_all_versions_have_columns_of_their_own(call: Any, folder: Path) -> None:
    call.put("a.txt")
    ask(call, configuration("Tag", versions="All"))
    _, (row,) = report(folder)
    assert (row["IsLatest"], row["IsDeleteMarker"], row["Tag"]) == ("true", "false", "")


REFUSED = [
    (configuration(name="other"), 400, "InvalidArgument"),
    (configuration(versions="Some"), 400, "MalformedXML"),
    (configuration().replace("qcs::cos:ap-guangzhou::", ""), 400, "MalformedXML"),
    (configuration().replace(f"::{BUCKET}", "::missing-1250000000"), 404, "NoSuchBucket"),
    (configuration(format_="ORC"), 501, "NotImplemented"),
    (configuration("Crc64"), 501, "NotImplemented"),
    (configuration(more="<Filter><And><Tag><Key>a</Key></Tag></And></Filter>"), 501, "NotImplemented"),
    ("<Inventory/>", 400, "MalformedXML"),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(body: str, status: int, code: str, call: Any, folder: Path) -> None:
    reply = ask(call, body)
    assert (reply.status, reply.code) == (status, code)
    assert not list(folder.iterdir())


def test_regular_inventories_are_left_out(call: Any) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert call(method, "cos", "/", [("inventory", ""), ("id", "a")]).status == 501


def test_archived_objects_cannot_be_read(call: Any) -> None:
    call.put("a.txt", **{"x-cos-storage-class": "DEEP_ARCHIVE"})
    assert call("HEAD", "cos", "/a.txt").headers["x-cos-storage-class"] == "DEEP_ARCHIVE"
    reply = call.get("a.txt")
    assert (reply.status, reply.code) == (403, "InvalidObjectState")
    job = call.finished(call.submit(call.doc_job("a.txt", "a.pdf")))
    assert (job.text("JobsDetail/State"), job.text("JobsDetail/Code")) == ("Failed", "InvalidObjectState")


def test_the_official_sdk_asks_for_an_inventory(sdk: Any, folder: Path) -> None:
    sdk.put_object(BUCKET, b"text", "a.txt")
    place = {"Format": "CSV", "AccountId": "1", "Bucket": f"qcs::cos:ap-guangzhou::{BUCKET}"}
    sdk.post_bucket_inventory(
        Bucket=BUCKET,
        Id="daily",
        InventoryConfiguration={
            "Destination": {"COSBucketDestination": {**place, "Prefix": "reports/all"}},
            "IncludedObjectVersions": "Current",
            "OptionalFields": {"Field": ["Size", "ETag"]},
        },
    )
    assert [row["Key"] for row in report(folder)[1]] == ["a.txt"]
