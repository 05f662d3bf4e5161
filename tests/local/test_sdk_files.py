"""File jobs submitted by the official Python SDK."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.local.conftest import BUCKET, REGION


def finished(sdk: Any, job_id: str, until: Callable[..., None]) -> dict[str, Any]:
    """Wait until the job has ended; return it."""

    def jobs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = sdk.ci_get_file_process_jobs(Bucket=BUCKET, JobIDs=job_id)["JobsDetail"]
        return found

    until(lambda: jobs()[0]["State"] in ("Success", "Failed"))
    return jobs()[0]


def test_a_hash(sdk: Any, until: Callable[..., None]) -> None:
    sdk.put_object(Bucket=BUCKET, Key="in/a", Body=b"content")
    config = {"Type": "MD5", "AddToHeader": "true"}
    made = sdk.ci_create_file_hash_job(
        Bucket=BUCKET, InputObject="in/a", FileHashCodeConfig=config, UserData="mine"
    )
    job = finished(sdk, made["JobsDetail"]["JobId"], until)
    wanted = hashlib.md5(b"content").hexdigest()
    assert job["Operation"]["FileHashCodeResult"]["MD5"] == wanted
    assert job["Operation"]["UserData"] == "mine"
    assert sdk.head_object(Bucket=BUCKET, Key="in/a")["x-cos-meta-md5"] == wanted


def test_an_archive(sdk: Any, until: Callable[..., None], folder: Path) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("deep/a.txt", "alpha")
    sdk.put_object(Bucket=BUCKET, Key="in/a.zip", Body=body.getvalue())
    key = base64.b64encode(b"123456").decode()
    made = sdk.ci_create_file_uncompress_job(
        Bucket=BUCKET,
        InputObject="in/a.zip",
        OutputBucket=BUCKET,
        OutputRegion=REGION,
        FileUncompressConfig={"Prefix": "out/", "PrefixReplaced": "0", "UnCompressKey": key},
    )
    job = finished(sdk, made["JobsDetail"]["JobId"], until)
    assert job["Operation"]["FileUncompressResult"]["FileCount"] == "1"
    assert (folder / "out/deep/a.txt").read_text() == "alpha"
