"""The official Python SDK drives jobs, queues, templates and buckets, through a proxy and through endpoints.

The tests check what the SDK returns for the local CI's responses.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from qcloud_cos.cos_exception import CosServiceError

from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
OUTPUT = {"Region": REGION, "Bucket": BUCKET, "Object": "out/a.png"}
XML = {"ContentType": "application/xml"}
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+0800")


@pytest.fixture
def busy(
    serve: Callable[..., LocalCI], connect: Callable[..., Any], gate: Any, until: Callable[..., None]
) -> Iterator[Any]:
    """A client of a server whose only worker is busy with another job until the gate is opened."""
    client = connect(serve(convert=gate, workers=1))
    client.put_object(Bucket=BUCKET, Key="in/a.jpg", Body=b"picture")
    client.put_object(Bucket=BUCKET, Key="in/a.docx", Body=b"text")
    doc_job(client)
    until(lambda: len(gate.began) == 1)
    yield client
    gate.open.set()


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a receiver of JSON callbacks, and the callbacks that it received."""
    said: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/cb?a=1&b=2", said
        server.shutdown()


def doc_job(client: Any, key: str = "in/a.docx", **parameters: Any) -> dict[str, Any]:
    given = {"OutputObject": "out/${Number}.jpg", **parameters}
    made = client.ci_create_doc_job(
        Bucket=BUCKET, InputObject=key, OutputBucket=BUCKET, OutputRegion=REGION, **given
    )
    job: dict[str, Any] = made["JobsDetail"]
    return job


def pic_job(key: str = "in/a.jpg", *, operation: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    given = operation or {"PicProcess": {"IsPicInfo": "true", "ProcessRule": "imageMogr2/format/png"}}
    return {"Tag": "PicProcess", "Input": {"Object": key}, "Operation": {**given, "Output": OUTPUT}, **more}


def finished(get: Callable[[], Any], until: Callable[..., None]) -> dict[str, Any]:
    until(lambda: get()["JobsDetail"][0]["State"] in ("Success", "Failed"))
    job: dict[str, Any] = get()["JobsDetail"][0]
    return job


def refusal(call: Callable[[], Any]) -> int:
    """The status of a service error; the SDK cannot read its code, because CI errors have no <Resource>."""
    with pytest.raises(CosServiceError) as caught:
        call()
    return int(caught.value.get_status_code())


def test_ci_create_doc_job_with_all_its_parameters(sdk: Any, until: Callable[..., None]) -> None:
    sdk.put_object(Bucket=BUCKET, Key="in/表 & 1", Body=b"text")
    queue_id = sdk.ci_get_doc_queue(Bucket=BUCKET)["QueueList"][0]["QueueId"]
    parameters = {
        "SrcType": "xlsx",
        "TgtType": "png",
        "StartPage": 1,
        "EndPage": 3,
        "SheetId": 1,
        "PaperDirection": 1,
        "PaperSize": 2,
        "DocPassword": "p<w>&",
        "Comments": 1,
        "PageRanges": "1",
        "ImageParams": "imageMogr2/thumbnail/10x10>",
        "Quality": 109,
        "Zoom": 50,
        "ImageDpi": 120,
    }
    made = doc_job(
        sdk, "in/表 & 1", OutputObject="o/${SheetID}/${Number}.png", QueueId=queue_id, **parameters
    )
    assert (made["State"], made["Tag"], made["QueueId"]) == ("Submitted", "DocProcess", queue_id)
    assert made["Input"] == {"BucketId": BUCKET, "Object": "in/表 & 1", "Region": REGION}
    assert (made["StartTime"], made["EndTime"], made["Code"], made["Message"]) == ("-", "-", "Success", None)
    assert TIME.fullmatch(made["CreationTime"])
    echoed = {name: str(value) for name, value in parameters.items()}
    assert made["Operation"]["DocProcess"] == {**echoed, "DocPassword": "******", "PicPagination": "0"}
    job = finished(lambda: sdk.ci_get_doc_job(Bucket=BUCKET, JobID=made["JobId"]), until)
    assert job["State"] == "Success", job
    page = job["Operation"]["DocProcessResult"]["PageInfo"]
    assert (page["TgtUri"], page["X-SheetPics"], page["PicIndex"]) == ("o/1/1.png", "1", "1")
    assert sdk.get_object(Bucket=BUCKET, Key="o/1/1.png")["Body"].get_raw_stream().read(4) == b"\x89PNG"
    one = doc_job(sdk, "in/表 & 1", SrcType="docx", TgtType="jpg", PicPagination=1)
    assert one["Operation"]["DocProcess"]["PicPagination"] == "1"


def test_ci_get_doc_job_and_ci_list_doc_jobs(sdk: Any, until: Callable[..., None]) -> None:
    sdk.put_object(Bucket=BUCKET, Key="in/a.docx", Body=b"text")
    ids = [doc_job(sdk)["JobId"] for _ in range(3)]
    jobs = [finished(partial(sdk.ci_get_doc_job, Bucket=BUCKET, JobID=job_id), until) for job_id in ids]
    assert [job["State"] for job in jobs] == ["Success"] * 3
    assert sdk.ci_get_doc_job(Bucket=BUCKET, JobID="d0") == {"NonExistJobIds": "d0"}
    listed: list[str] = []
    token = ""
    while token is not None:
        page = sdk.ci_list_doc_jobs(
            Bucket=BUCKET,
            QueueId=jobs[0]["QueueId"],
            StartCreationTime=jobs[0]["CreationTime"],
            EndCreationTime=jobs[2]["CreationTime"],
            OrderByTime="Desc",
            States="Success,Failed",
            Size=2,
            NextToken=token,
        )
        listed += [job["JobId"] for job in page["JobsDetail"]]
        token = page["NextToken"]
    assert listed == ids[::-1]
    assert sdk.ci_list_doc_jobs(Bucket=BUCKET, States="Running,Pause") == {"NextToken": None}
    assert refusal(lambda: sdk.ci_list_doc_jobs(Bucket=BUCKET, Size=101)) == 400


def test_picture_jobs_in_both_forms_with_all_their_nodes(
    sdk: Any, told: tuple[str, list[dict[str, Any]]], until: Callable[..., None]
) -> None:
    url, said = told
    sdk.put_object(Bucket=BUCKET, Key="in/表.jpg", Body=b"picture")
    rule = "imageMogr2/thumbnail/100x100>|imageMogr2/format/png"
    operation = {"PicProcess": {"IsPicInfo": "true", "ProcessRule": rule}, "UserData": "u 1", "JobLevel": "2"}
    more = {"CallBack": url, "CallBackFormat": "JSON", "CallBackType": "Url"}
    queue_id = sdk.ci_get_media_pic_queue(Bucket=BUCKET)["QueueList"][0]["QueueId"]
    body = pic_job("in/表.jpg", operation=operation, QueueId=queue_id, **more)
    old = sdk.ci_create_media_pic_jobs(Bucket=BUCKET, Jobs=body, Lst={}, **XML)["JobsDetail"][0]
    new = sdk.ci_create_media_jobs(Bucket=BUCKET, Jobs=body, Lst={})["JobsDetail"][0]
    ids = [old["JobId"], new["JobId"]]
    for get in (sdk.ci_get_media_pic_jobs, sdk.ci_get_media_jobs):
        for job_id in ids:
            job = finished(partial(get, Bucket=BUCKET, JobIDs=job_id), until)
            assert job["State"] == "Success", job
        found = get(Bucket=BUCKET, JobIDs=",".join([*ids, "c1", "c2"]))
        assert [job["JobId"] for job in found["JobsDetail"]] == ids
        assert found["NonExistJobIds"] == ["c1", "c2"]
        done = found["JobsDetail"][0]["Operation"]
        assert (done["UserData"], done["JobLevel"], done["PicProcess"]["ProcessRule"]) == ("u 1", "2", rule)
        assert done["PicProcessResult"]["ObjectName"] == "out/a.png"
        assert done["PicProcessResult"]["OriginalInfo"]["ImageInfo"]["Width"].isdigit()
        assert refusal(partial(get, Bucket=BUCKET, JobIDs=",".join(["c1", *map(str, range(10))]))) == 400
    etag = sdk.head_object(Bucket=BUCKET, Key="out/a.png")["ETag"]
    assert done["PicProcessResult"]["ProcessResult"]["Etag"] == etag
    until(lambda: len(said) == 2)
    assert {callback["JobsDetail"][0]["JobId"] for callback in said} == set(ids)


def test_picture_jobs_are_listed_page_by_page(sdk: Any, until: Callable[..., None]) -> None:
    sdk.put_object(Bucket=BUCKET, Key="in/a.jpg", Body=b"picture")
    made = [sdk.ci_create_media_jobs(Bucket=BUCKET, Jobs=pic_job()) for _ in range(3)]
    ids = [answer["JobsDetail"][0]["JobId"] for answer in made]
    times = [answer["JobsDetail"][0]["CreationTime"] for answer in made]
    until(
        lambda: (
            sdk.ci_list_media_jobs(Bucket=BUCKET, Tag="PicProcess", States="Submitted,Running")
            == {"NextToken": None}
        )
    )
    for listing in (sdk.ci_list_media_jobs, sdk.ci_list_media_pic_jobs):
        wanted = {
            "Tag": "PicProcess",
            "QueueId": made[0]["JobsDetail"][0]["QueueId"],
            "StartCreationTime": times[0],
            "EndCreationTime": times[2],
            "OrderByTime": "Asc",
            "States": "Success",
        }
        first = listing(Bucket=BUCKET, Size=2, **wanted)
        rest = listing(Bucket=BUCKET, NextToken=first["NextToken"], **wanted)
        assert [job["JobId"] for job in first["JobsDetail"]] == ids[:2]
        assert ([job["JobId"] for job in rest["JobsDetail"]], rest["NextToken"]) == (ids[2:], None)
        assert refusal(partial(listing, Bucket=BUCKET, Tag="Transcode")) == 501


def test_ci_cancel_jobs_cancels_what_waits_and_nothing_else(
    busy: Any, gate: Any, until: Callable[..., None]
) -> None:
    waiting, going = [
        busy.ci_create_media_pic_jobs(Bucket=BUCKET, Jobs=pic_job())["JobsDetail"][0]["JobId"]
        for _ in range(2)
    ]
    document = doc_job(busy)["JobId"]
    assert busy.ci_cancel_jobs(Bucket=BUCKET, JobID=waiting) == ""
    assert refusal(lambda: busy.ci_cancel_jobs(Bucket=BUCKET, JobID=document)) == 400
    gate.open.set()
    assert finished(lambda: busy.ci_get_media_jobs(Bucket=BUCKET, JobIDs=going), until)["State"] == "Success"
    for job_id in (waiting, going):
        assert refusal(partial(busy.ci_cancel_jobs, Bucket=BUCKET, JobID=job_id)) == 400
    assert busy.ci_get_media_jobs(Bucket=BUCKET, JobIDs=waiting)["JobsDetail"][0]["State"] == "Cancel"
    done = finished(lambda: busy.ci_get_doc_job(Bucket=BUCKET, JobID=document), until)
    assert done["State"] == "Success"


QUEUES = {
    "doc": ("ci_get_doc_queue", "ci_update_doc_queue", "DocProcessing"),
    "pic": ("ci_get_media_pic_queue", "ci_update_media_pic_queue", "PicProcessing"),
    "media": ("ci_get_media_queue", "ci_update_media_queue", "Transcoding"),
}


@pytest.mark.parametrize("kind", QUEUES)
def test_queues_are_queried_and_updated(sdk: Any, kind: str) -> None:
    get, update = getattr(sdk, QUEUES[kind][0]), getattr(sdk, QUEUES[kind][1])
    answer = get(Bucket=BUCKET, State="Active", PageNumber=1, PageSize=1)
    assert (answer["TotalCount"], answer["PageNumber"], answer["PageSize"]) == ("1", "1", "1")
    queue = answer["QueueList"][0]
    assert (queue["Category"], queue["State"], queue["BucketId"]) == (QUEUES[kind][2], "Active", BUCKET)
    assert (queue["MaxSize"], queue["MaxConcurrent"]) == ("10000", "10")
    notify = {
        "Type": "Url",
        "Url": "http://127.0.0.1:9/cb",
        "Event": "TaskFinish",
        "State": "On",
        "ResultFormat": "JSON",
    }
    wanted = {"Name": "q 1", "QueueID": queue["QueueId"], "State": "Paused", "NotifyConfig": notify}
    for headers in (XML, {}):
        updated = update(Bucket=BUCKET, QueueId=queue["QueueId"], Request=wanted, **headers)["Queue"][0]
        assert (updated["Name"], updated["State"]) == ("q 1", "Paused")
        assert updated["NotifyConfig"] == {**notify, "MqMode": None, "MqName": None, "MqRegion": None}
    found = get(Bucket=BUCKET, State="Paused", QueueIds=f"{queue['QueueId']},p2")
    assert [item["QueueId"] for item in found["QueueList"]] == [queue["QueueId"]]
    assert found["NonExistPIDs"] == "p2"
    wanted["NotifyConfig"] = {**notify, "Url": "http://8.8.8.8/cb"}
    assert refusal(lambda: update(Bucket=BUCKET, QueueId=queue["QueueId"], Request=wanted)) == 400
    wanted["NotifyConfig"] = {**notify, "Type": "TDMQ", "MqMode": "Queue", "MqRegion": "gz", "MqName": "m"}
    assert refusal(lambda: update(Bucket=BUCKET, QueueId=queue["QueueId"], Request=wanted)) == 501


def test_a_paused_queue_holds_its_jobs_and_tells_of_them_when_it_goes_on(
    sdk: Any, told: tuple[str, list[dict[str, Any]]], until: Callable[..., None]
) -> None:
    url, said = told
    sdk.put_object(Bucket=BUCKET, Key="in/a.docx", Body=b"text")
    queue_id = sdk.ci_get_doc_queue(Bucket=BUCKET)["QueueList"][0]["QueueId"]
    notify = {"Type": "Url", "Url": url, "Event": "TaskFinish", "State": "On", "ResultFormat": "JSON"}
    request = {"Name": "q", "QueueID": queue_id, "State": "Paused", "NotifyConfig": notify}
    sdk.ci_update_doc_queue(Bucket=BUCKET, QueueId=queue_id, Request=request, **XML)
    job_id = doc_job(sdk)["JobId"]
    assert sdk.ci_get_doc_job(Bucket=BUCKET, JobID=job_id)["JobsDetail"][0]["State"] == "Pause"
    sdk.ci_update_doc_queue(Bucket=BUCKET, QueueId=queue_id, Request={**request, "State": "Active"}, **XML)
    done = finished(lambda: sdk.ci_get_doc_job(Bucket=BUCKET, JobID=job_id), until)
    until(lambda: len(said) == 1)
    job = said[0]["JobsDetail"][0]
    assert (said[0]["EventName"], job["JobId"], job["State"]) == ("TaskFinish", job_id, done["State"])
    assert job["Operation"]["DocProcessResult"]["PageInfo"][0]["TgtUri"] == "out/1.jpg"


def test_templates_are_made_changed_used_listed_and_deleted(sdk: Any, until: Callable[..., None]) -> None:
    sdk.put_object(Bucket=BUCKET, Key="in/a.jpg", Body=b"picture")
    picture = {"IsPicInfo": "true", "ProcessRule": "imageMogr2/thumbnail/100x100>|imageMogr2/format/png"}
    wanted = {"Tag": "PicProcess", "Name": "t-1", "PicProcess": picture}
    made = sdk.ci_create_template(Bucket=BUCKET, Template=wanted)["Template"]
    assert {name: made[name] for name in wanted} == wanted
    assert (made["BucketId"], made["Category"]) == (BUCKET, "Custom")
    assert TIME.fullmatch(made["CreateTime"]) and TIME.fullmatch(made["UpdateTime"])
    assert refusal(lambda: sdk.ci_create_template(Bucket=BUCKET, Template=wanted)) == 400
    changed = sdk.ci_update_template(
        Bucket=BUCKET, TemplateId=made["TemplateId"], Template={**wanted, "Name": "t-2"}
    )["Template"]
    assert (changed["TemplateId"], changed["Name"]) == (made["TemplateId"], "t-2")
    listed = sdk.ci_get_template(Bucket=BUCKET, Category="Custom", Ids=made["TemplateId"], Name="t-")
    assert (listed["TotalCount"], listed["TemplateList"]) == ("1", [changed])
    operation = {"TemplateId": made["TemplateId"], "UserData": "This is my data.", "JobLevel": "0"}
    for create in (sdk.ci_create_media_pic_jobs, sdk.ci_create_media_jobs):
        job_id = create(Bucket=BUCKET, Jobs=pic_job(operation=operation))["JobsDetail"][0]["JobId"]
        job = finished(partial(sdk.ci_get_media_jobs, Bucket=BUCKET, JobIDs=job_id), until)
        assert (job["State"], job["Operation"]["TemplateName"]) == ("Success", "t-2")
        assert job["Operation"]["PicProcessResult"]["ProcessResult"]["Format"] == "png"
        assert "PicProcess" not in job["Operation"]
    deleted = sdk.ci_delete_template(Bucket=BUCKET, TemplateId=made["TemplateId"])
    assert deleted["TemplateId"] == made["TemplateId"]
    assert sdk.ci_get_template(Bucket=BUCKET)["TotalCount"] == "0"
    assert refusal(lambda: sdk.ci_create_media_jobs(Bucket=BUCKET, Jobs=pic_job(operation=operation))) == 400


def test_buckets_are_listed_and_pictures_switched_on_and_off(sdk: Any, root: Path) -> None:
    (root / "another-1250000000").mkdir()
    for listing, element in (
        (sdk.ci_get_doc_bucket, "DocBucketList"),
        (sdk.ci_get_pic_bucket, "PicBucketList"),
    ):
        every = listing(Regions=f"ap-beijing,{REGION}", PageNumber=1, PageSize=10)
        assert [item["Name"] for item in every[element]] == ["another-1250000000", BUCKET]
        assert {item["Region"] for item in every[element]} == {REGION}
        assert [item["BucketId"] for item in listing(BucketName="examp")[element]] == [BUCKET]
        assert [item["BucketId"] for item in listing(BucketNames=f"{BUCKET},nobody")[element]] == [BUCKET]
        assert (
            listing(BucketNames="nobody")["TotalCount"],
            listing(PageNumber=2, PageSize=1)[element][0]["Name"],
        ) == (
            "0",
            BUCKET,
        )
    headers, closed = sdk.ci_close_pic_bucket(Bucket=BUCKET)
    assert (closed["BucketName"], headers["x-ci-request-id"]) == (BUCKET, closed["RequestId"])
    assert refusal(lambda: sdk.ci_create_media_jobs(Bucket=BUCKET, Jobs=pic_job())) == 400
    assert [item["Name"] for item in sdk.ci_get_pic_bucket()["PicBucketList"]] == ["another-1250000000"]
    _, opened = sdk.ci_open_pic_bucket(Bucket=BUCKET)
    assert (opened["PicBucket"]["BucketId"], opened["PicBucket"]["Region"]) == (BUCKET, REGION)
    assert sdk.ci_create_media_jobs(Bucket=BUCKET, Jobs=pic_job())["JobsDetail"][0]["State"] == "Submitted"


def test_a_temporary_key_needs_its_token(
    serve: Callable[..., LocalCI], connect: Callable[..., Any], until: Callable[..., None]
) -> None:
    server = serve(token="temporary/+=")
    client = connect(server, Token="temporary/+=")
    client.put_object(Bucket=BUCKET, Key="in/a.docx", Body=b"text")
    job_id = doc_job(client)["JobId"]
    done = finished(lambda: client.ci_get_doc_job(Bucket=BUCKET, JobID=job_id), until)
    assert done["State"] == "Success"
    for other in (connect(server), connect(server, Token="another")):
        assert refusal(partial(other.ci_list_doc_jobs, Bucket=BUCKET)) == 401
        assert refusal(partial(other.list_objects, Bucket=BUCKET)) == 403


def test_what_the_local_ci_does_not_do_is_refused(sdk: Any) -> None:
    several = {"Input": {"Object": "in/a.jpg"}, "Operation": [{"Tag": "PicProcess"}, {"Tag": "PicProcess"}]}
    calls = [
        partial(sdk.ci_create_media_jobs, Bucket=BUCKET, Jobs=several),
        partial(sdk.ci_create_inventory_trigger_jobs, Bucket=BUCKET, JobBody={"Name": "n"}),
        partial(sdk.ci_get_inventory_trigger_jobs, Bucket=BUCKET, JobID="b1"),
        partial(sdk.ci_list_inventory_trigger_jobs, Bucket=BUCKET, Type="Job"),
        partial(sdk.ci_delete_inventory_trigger_jobs, Bucket=BUCKET, JobId="b1"),
        partial(sdk.ci_create_media_jobs, Bucket=BUCKET, Jobs=pic_job(QueueType="AIProcess")),
        partial(sdk.ci_create_template, Bucket=BUCKET, Template={"Tag": "Snapshot", "Name": "s"}),
    ]
    assert [refusal(call) for call in calls] == [501] * len(calls)
