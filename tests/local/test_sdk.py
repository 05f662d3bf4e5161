"""The official Python SDK works with the local CI as it does with the service."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from qcloud_cos import CosConfig, CosS3Client
from qcloud_cos.cos_exception import CosServiceError

from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
KEYS = [
    "in/a b+c~d 表.txt",
    "100% %41.txt",
    "a&b<c>.docx",
    "q?x=1#f;@,.txt",
    "dir/",
    "a/./b/../c",
    "emoji 😀",
]


def connect(server: LocalCI, **config: Any) -> Any:
    """An SDK client that uses the local CI as its HTTP proxy, so that all host names stay unchanged."""
    values = {
        "Region": REGION,
        "SecretId": server.secret_id,
        "SecretKey": server.secret_key,
        "Scheme": "http",
        "Proxies": {"http": server.endpoint},
    }
    return CosS3Client(CosConfig(**{**values, **config}), retry=0)


def finished(get: Callable[[], dict[str, Any]], until: Callable[..., None]) -> dict[str, Any]:
    until(lambda: get()["JobsDetail"][0]["State"] in ("Success", "Failed"))
    job: dict[str, Any] = get()["JobsDetail"][0]
    return job


@pytest.mark.parametrize("key", KEYS)
def test_objects_with_odd_keys_go_there_and_back(sdk: Any, key: str) -> None:
    put = sdk.put_object(
        Bucket=BUCKET,
        Key=key,
        Body=b"abc",
        EnableMD5=True,
        Metadata={"x-cos-meta-owner": "me"},
        ContentType="x/y",
    )
    head = sdk.head_object(Bucket=BUCKET, Key=key)
    assert (head["ETag"], head["Content-Length"], head["Content-Type"]) == (put["ETag"], "3", "x/y")
    assert head["x-cos-meta-owner"] == "me"
    got = sdk.get_object(Bucket=BUCKET, Key=key, Range="bytes=1-")
    assert got["Body"].get_raw_stream().read() == b"bc"
    assert [item["Key"] for item in sdk.list_objects(Bucket=BUCKET)["Contents"]] == [key]
    sdk.delete_object(Bucket=BUCKET, Key=key)
    assert "Contents" not in sdk.list_objects(Bucket=BUCKET)


def test_a_listing_is_paged_and_grouped(sdk: Any) -> None:
    for number in range(5):
        sdk.put_object(Bucket=BUCKET, Key=f"in/{number}/a b.txt", Body=b"")
    first = sdk.list_objects(Bucket=BUCKET, Prefix="in/", Delimiter="/", MaxKeys=3)
    assert [item["Prefix"] for item in first["CommonPrefixes"]] == ["in/0/", "in/1/", "in/2/"]
    assert first["IsTruncated"] == "true"
    rest = sdk.list_objects(Bucket=BUCKET, Prefix="in/", Delimiter="/", Marker=first["NextMarker"])
    assert [item["Prefix"] for item in rest["CommonPrefixes"]] == ["in/3/", "in/4/"]


def test_a_body_without_a_length_and_many_deletions_are_understood(sdk: Any) -> None:
    sdk.put_object(Bucket=BUCKET, Key="a&b", Body=(part for part in [b"ab", b"c"]))
    assert sdk.get_object(Bucket=BUCKET, Key="a&b")["Body"].get_raw_stream().read() == b"abc"
    deleted = sdk.delete_objects(
        Bucket=BUCKET, Delete={"Object": [{"Key": "a&b"}, {"Key": "none"}], "Quiet": "false"}
    )
    assert [item["Key"] for item in deleted["Deleted"]] == ["a&b", "none"]
    assert sdk.head_bucket(Bucket=BUCKET)["x-cos-bucket-region"] == REGION


def test_metadata_outside_ascii_is_verified_as_the_sdk_signs_it(sdk: Any) -> None:
    """The SDK signs the value as UTF-8 but sends it as Latin-1."""
    sdk.put_object(Bucket=BUCKET, Key="a", Body=b"", Metadata={"x-cos-meta-owner": "é"})
    assert sdk.head_object(Bucket=BUCKET, Key="a")["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("key", "code", "status"), [("none", "NoSuchKey", 404), ("x" * 900, "KeyTooLong", 400)]
)
def test_errors_of_objects_are_understood(sdk: Any, key: str, code: str, status: int) -> None:
    with pytest.raises(CosServiceError) as caught:
        sdk.get_object(Bucket=BUCKET, Key=key)
    assert (caught.value.get_error_code(), caught.value.get_status_code()) == (code, status)
    assert caught.value.get_request_id()


def test_a_missing_object_has_no_body_for_head(sdk: Any) -> None:
    with pytest.raises(CosServiceError) as caught:
        sdk.head_object(Bucket=BUCKET, Key="none")
    assert caught.value.get_error_code() == "NoSuchResource"


def test_a_document_job_is_made_and_found(sdk: Any, until: Callable[..., None]) -> None:
    sdk.put_object(Bucket=BUCKET, Key="in/表 1&2.docx", Body=b"text")
    made = sdk.ci_create_doc_job(
        Bucket=BUCKET,
        InputObject="in/表 1&2.docx",
        OutputBucket=BUCKET,
        OutputRegion=REGION,
        OutputObject="out/p-${Number}.png",
        TgtType="png",
        StartPage=2,
        EndPage=3,
        DocPassword='p<w>&"d',
    )["JobsDetail"]
    assert (made["State"], made["Input"]["Object"]) == ("Submitted", "in/表 1&2.docx")
    job = finished(lambda: sdk.ci_get_doc_job(Bucket=BUCKET, JobID=made["JobId"]), until)
    assert job["State"] == "Success", job
    assert [page["TgtUri"] for page in job["Operation"]["DocProcessResult"]["PageInfo"]] == [
        "out/p-1.png",
        "out/p-2.png",
    ]
    both = sdk.ci_get_doc_job(Bucket=BUCKET, JobID=f"{made['JobId']},dx")
    assert (len(both["JobsDetail"]), both["NonExistJobIds"]) == (1, "dx")


def test_document_jobs_are_listed_with_every_filter(sdk: Any) -> None:
    sdk.put_object(Bucket=BUCKET, Key="a.docx", Body=b"text")
    output = {"OutputBucket": BUCKET, "OutputRegion": REGION, "OutputObject": "p${Number}"}
    ids = [
        sdk.ci_create_doc_job(Bucket=BUCKET, InputObject="a.docx", **output)["JobsDetail"]["JobId"]
        for _ in range(3)
    ]
    page = sdk.ci_list_doc_jobs(
        Bucket=BUCKET,
        QueueId=sdk.ci_get_doc_queue(Bucket=BUCKET)["QueueList"][0]["QueueId"],
        StartCreationTime="2023-11-14T00:00:00+0800",
        EndCreationTime="2123-11-16T00:00:00+0800",
        OrderByTime="Asc",
        States="Success,Failed,Submitted,Running",
        Size=2,
    )
    assert [job["JobId"] for job in page["JobsDetail"]] == ids[:2]
    rest = sdk.ci_list_doc_jobs(Bucket=BUCKET, OrderByTime="Asc", NextToken=page["NextToken"])
    assert [job["JobId"] for job in rest["JobsDetail"]] == ids[2:]
    assert rest["NextToken"] is None
    assert sdk.ci_list_doc_jobs(Bucket=BUCKET, States="Cancel") == {"NextToken": None}


def test_picture_jobs_are_made_found_listed_and_cancelled(sdk: Any, until: Callable[..., None]) -> None:
    sdk.put_object(Bucket=BUCKET, Key="in/a.jpg", Body=b"picture")
    body = {
        "Tag": "PicProcess",
        "Input": {"Object": "in/a.jpg"},
        "Operation": {
            "PicProcess": {
                "IsPicInfo": "true",
                "ProcessRule": "imageMogr2/thumbnail/10x10>|imageMogr2/format/png",
            },
            "Output": {"Region": REGION, "Bucket": BUCKET, "Object": "out/a.png"},
            "UserData": "u1",
            "JobLevel": "1",
        },
    }
    queue = {"QueueId": sdk.ci_get_media_pic_queue(Bucket=BUCKET)["QueueList"][0]["QueueId"]}
    old = sdk.ci_create_media_pic_jobs(Bucket=BUCKET, Jobs={**body, **queue}, Lst={})["JobsDetail"][0]
    new = sdk.ci_create_media_jobs(Bucket=BUCKET, Jobs=body, Lst={}, ContentType="application/xml")[
        "JobsDetail"
    ][0]
    ids = [made["JobId"] for made in (old, new)]
    jobs = [finished(partial(sdk.ci_get_media_jobs, Bucket=BUCKET, JobIDs=job_id), until) for job_id in ids]
    assert [job["State"] for job in jobs] == ["Success", "Success"]
    assert (jobs[0]["Operation"]["UserData"], jobs[0]["Operation"]["JobLevel"]) == ("u1", "1")
    assert jobs[0]["Operation"]["PicProcess"]["ProcessRule"] == body["Operation"]["PicProcess"]["ProcessRule"]  # type: ignore[index]
    found = sdk.ci_get_media_pic_jobs(Bucket=BUCKET, JobIDs=f"{old['JobId']},c1,c2")
    assert found["NonExistJobIds"] == ["c1", "c2"]
    assert len(sdk.ci_list_media_pic_jobs(Bucket=BUCKET, Tag="PicProcess")["JobsDetail"]) == 2
    assert len(sdk.ci_list_media_jobs(Bucket=BUCKET, Tag="PicProcess", Size=100)["JobsDetail"]) == 2
    with pytest.raises(CosServiceError) as caught:
        sdk.ci_cancel_jobs(Bucket=BUCKET, JobID=old["JobId"])
    assert caught.value.get_status_code() == 400


def test_queues_and_buckets_are_understood(sdk: Any) -> None:
    queue = sdk.ci_get_doc_queue(Bucket=BUCKET)["QueueList"][0]
    assert sdk.ci_get_media_queue(Bucket=BUCKET)["QueueList"][0]["Category"] == "Transcoding"
    request = {
        "Name": "paused",
        "QueueID": queue["QueueId"],
        "State": "Paused",
        "NotifyConfig": {
            "Type": "Url",
            "Url": "http://cb.example.com/x",
            "Event": "TaskFinish",
            "State": "Off",
        },
    }
    updated = sdk.ci_update_doc_queue(
        Bucket=BUCKET, QueueId=queue["QueueId"], Request=request, ContentType="application/xml"
    )
    assert (updated["Queue"][0]["State"], updated["Queue"][0]["Name"]) == ("Paused", "paused")
    assert sdk.ci_get_doc_bucket()["DocBucketList"][0]["Name"] == BUCKET
    assert sdk.ci_get_pic_bucket(BucketNames="nobody")["TotalCount"] == "0"
    assert sdk.ci_open_pic_bucket(Bucket=BUCKET)[1]["PicBucket"]["Name"] == BUCKET
    assert sdk.ci_close_pic_bucket(Bucket=BUCKET)[1]["BucketName"] == BUCKET


def test_a_signed_address_gives_the_object(sdk: Any, call: Any) -> None:
    sdk.put_object(Bucket=BUCKET, Key="dir/a b+c.docx", Body=b"abc")
    address = sdk.get_presigned_url(
        Bucket=BUCKET, Key="dir/a b+c.docx", Method="GET", Params={"response-content-type": "x y"}
    )
    host, _, target = address.partition("//")[2].partition("/")
    assert call.raw("GET", f"/{target}", {"Host": host}).body == b"abc"


@pytest.mark.parametrize(
    "config", [{"SignHost": False}, {"SignParams": False}, {"Token": "any"}, {"EnableOldDomain": False}]
)
def test_other_ways_to_sign_and_to_address_are_understood(server: LocalCI, config: dict[str, Any]) -> None:
    client = connect(server, **config)
    client.put_object(Bucket=BUCKET, Key="a", Body=b"")
    assert client.list_objects(Bucket=BUCKET)["Name"] == BUCKET
    assert client.ci_list_doc_jobs(Bucket=BUCKET) == {"NextToken": None}


def test_an_address_and_a_port_lead_to_objects_and_to_the_list_of_buckets(server: LocalCI) -> None:
    port = int(server.endpoint.rpartition(":")[2])
    client = connect(server, Proxies=None, IP="127.0.0.1", Port=port)
    client.put_object(Bucket=BUCKET, Key="a", Body=b"abc")
    assert client.head_object(Bucket=BUCKET, Key="a")["Content-Length"] == "3"
    assert client.ci_get_doc_bucket()["DocBucketList"][0]["Name"] == BUCKET


@pytest.mark.parametrize("config", [{"SecretKey": "wrong"}, {"SecretId": "wrong"}, {"Anonymous": True}])
def test_wrong_keys_are_refused(server: LocalCI, config: dict[str, Any]) -> None:
    client = connect(server, **config)
    with pytest.raises(CosServiceError) as caught:
        client.list_objects(Bucket=BUCKET)
    assert caught.value.get_status_code() == 403
    with pytest.raises(CosServiceError) as caught:
        client.ci_list_doc_jobs(Bucket=BUCKET)
    assert caught.value.get_status_code() == 401
