"""The client against the local CI: complete use cases, real bytes, and failures on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from airflow_provider_ci.client import (
    AuthenticationError,
    CIClient,
    Credentials,
    DocProcess,
    Job,
    JobState,
    NotFoundError,
    PicProcess,
    RetryPolicy,
    SubmissionUnknownError,
    ThrottledError,
)
from airflow_provider_ci.local import LocalCI

REGION = "ap-guangzhou"
BUCKET = "examplebucket-1250000000"
KEYS = [
    "a b+c~d%41,e=f&g;h@i.txt",
    "归档/报告 (1).docx",
    "dir/sub/x.txt",
    "sharp#question?.txt",
    "'quotes\".txt",
    "ü",
]


def connect(server: LocalCI, **arguments: Any) -> CIClient:
    credentials = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    settings: dict[str, Any] = {"endpoint": server.endpoint, "bucket": BUCKET} | arguments
    return CIClient(settings.pop("credentials", credentials), REGION, settings.pop("bucket"), **settings)


def finished(get: Callable[[str], Job], job_id: str) -> Job:
    """Poll until the job has ended."""
    while not (job := get(job_id)).state.is_final:
        time.sleep(0.01)
    return job


def opened(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Open a URL as a browser does, which takes any name below localhost for this machine."""
    parts = urlsplit(url)
    with urllib3.HTTPConnectionPool("127.0.0.1", parts.port) as pool:
        answer = pool.request(
            method, f"{parts.path}?{parts.query}", body=body, headers={"Host": parts.netloc, **headers}
        )
        return answer.status, answer.data


@pytest.mark.parametrize("key", KEYS)
def test_signed_urls_serve_those_who_have_no_key(key: str, client: CIClient) -> None:
    put = client.object_url(key, method="PUT", headers={"x-cos-meta-a": "b"})
    assert opened(put, "PUT", b"abc", **{"x-cos-meta-a": "c"})[0] == 403
    assert opened(put, "PUT", b"abc", **{"x-cos-meta-a": "b"})[0] == 200
    assert opened(client.object_url(key, params={"response-content-type": "text/x"})) == (200, b"abc")
    assert opened(client.object_url(key, method="HEAD"), "HEAD")[0] == 200
    assert opened(client.object_url(key, method="HEAD"))[0] == 403


@pytest.mark.parametrize("key", KEYS)
def test_an_object_goes_there_and_back_under_any_name(key: str, client: CIClient, tmp_path: Path) -> None:
    data = key.encode() * 10_000
    sent = client.put_object(key, data)
    assert [each.key for each in client.list_objects()] == [key]
    found = client.head_object(key)
    assert (found.size, found.etag) == (len(data), sent.etag)
    client.get_object(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == client.read_object(key) == data
    client.put_object(key, tmp_path / "copy")
    client.delete_object(key)
    with pytest.raises(NotFoundError, match="NoSuchKey"):
        client.head_object(key)


def test_a_listing_over_many_pages_is_complete_and_in_order(
    client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    keys = [f"in/{number:03} 表+%.txt" for number in range(57)]
    fill_bucket(*keys, "other/a.txt")
    assert [each.key for each in client.list_objects("in/", page_size=10)] == keys
    assert [each.key for each in client.list_objects("in/", page_size=10, start_after=keys[30])] == keys[31:]
    page = client.list_objects_page(delimiter="/")
    assert page.common_prefixes == ("in/", "other/")


def test_a_document_job_from_submission_to_result(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("in/表 1+.docx")
    job = client.submit_doc_job("in/表 1+.docx", "out/表 1+.pdf", DocProcess())
    assert job.state in (JobState.SUBMITTED, JobState.RUNNING)
    job = finished(client.get_doc_job, job.job_id)
    job.raise_for_state()
    assert (job.input_key, job.output_key) == ("in/表 1+.docx", "out/表 1+.pdf")
    assert job.created_at is not None
    assert job.started_at is not None
    assert job.ended_at is not None
    assert job.created_at <= job.started_at <= job.ended_at
    pages: Any = job.result
    assert [page.key for page in pages.pages] == ["out/表 1+.pdf"]
    assert client.read_object("out/表 1+.pdf").startswith(b"%PDF-")


def test_a_picture_job_from_submission_to_result(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("in/a.jpg")
    rule = "imageMogr2/thumbnail/300x300>|imageMogr2/format/png"
    job = client.submit_pic_job("in/a.jpg", "out/a.png", PicProcess(rule, is_pic_info=True), user_data="u 1")
    job = finished(client.get_pic_job, job.job_id)
    job.raise_for_state()
    assert (job.tag, job.user_data) == ("PicProcess", "u 1")
    result: Any = job.result
    assert (result.key, result.size) == ("out/a.png", client.head_object("out/a.png").size)


def test_many_jobs_are_read_and_listed(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("a.jpg", "a.txt")
    pictures = [
        client.submit_pic_job("a.jpg", f"o{n}.jpg", PicProcess("imageMogr2/strip")).job_id for n in range(23)
    ]
    document = client.submit_doc_job("a.txt", "o.pdf", DocProcess()).job_id
    assert [job.job_id for job in client.get_pic_jobs([*pictures, "c" + "0" * 32])] == pictures
    assert {job.job_id for job in client.list_pic_jobs(page_size=5)} == set(pictures)
    assert [job.job_id for job in client.list_doc_jobs()] == [document]
    first = client.get_doc_job(document).created_at
    assert [job.job_id for job in client.list_doc_jobs(created_after=first, order="Asc")] == [document]


def test_a_job_that_is_not_there(client: CIClient) -> None:
    with pytest.raises(NotFoundError, match="no job d0"):
        client.get_doc_job("d" + "0" * 32)


def test_queues(client: CIClient) -> None:
    (queue,) = client.list_doc_queues()
    assert queue.category == "DocProcessing"
    assert client.list_doc_queues(queue_ids=[queue.queue_id]) == [queue]
    (queue,) = client.list_pic_queues()
    assert queue.category == "PicProcessing"


def test_a_wrong_key_is_told_from_an_unknown_one(local_ci: LocalCI) -> None:
    wrong = Credentials(secret_id=local_ci.secret_id, secret_key="another")
    unknown = Credentials(secret_id="AKIDother", secret_key=local_ci.secret_key)
    for credentials in (wrong, unknown):
        with connect(local_ci, credentials=credentials) as client:
            for call in (lambda: list(client.list_objects()), lambda: client.get_doc_job("d1")):
                with pytest.raises(AuthenticationError, match="SecretKey"):
                    call()


def test_an_unknown_bucket(local_ci: LocalCI) -> None:
    with connect(local_ci, bucket="nobucket-1250000000") as client:
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            client.head_bucket()
        with pytest.raises(NotFoundError, match="NoSuchBucket"):
            list(client.list_objects())


# Failures


def test_429_and_503_for_a_while_are_waited_out(
    local_ci: LocalCI, connect_fast: Callable[..., CIClient]
) -> None:
    client = connect_fast(local_ci)
    local_ci.faults.add("error", code="SlowDown", status=429, count=2)
    local_ci.faults.add("error", code="ServiceUnavailable", status=503, count=2)
    assert client.list_doc_jobs_page().jobs == ()


def test_a_clock_that_is_off_is_learnt_from_the_server(client: CIClient, local_ci: LocalCI) -> None:
    local_ci.faults.add("clock", seconds=1200, count=1000)
    client.put_object("a", b"abc")
    assert client.read_object("a") == b"abc"


def test_a_page_cut_in_half_is_fetched_again(
    local_ci: LocalCI, connect_fast: Callable[..., CIClient], fill_bucket: Callable[..., None]
) -> None:
    keys = [f"{number:03}" for number in range(30)]
    fill_bucket(*keys)
    client = connect_fast(local_ci)
    local_ci.faults.add("truncate", count=1)
    assert [each.key for each in client.list_objects(page_size=10)] == keys


@pytest.mark.parametrize(("action", "made"), [("cut_before", 0), ("cut_after", 1)])
def test_a_submission_that_is_cut_off_is_unknown_and_made_at_most_once(
    action: str, made: int, client: CIClient, local_ci: LocalCI, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("a.txt")
    local_ci.faults.add(action, count=1, method="POST", path="/doc_jobs")
    with pytest.raises(SubmissionUnknownError):
        client.submit_doc_job("a.txt", "a.pdf", DocProcess())
    assert len(list(client.list_doc_jobs())) == made


def test_a_submission_that_is_refused_for_a_while_is_made_once(
    local_ci: LocalCI, connect_fast: Callable[..., CIClient], fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("a.txt")
    client = connect_fast(local_ci)
    local_ci.faults.add("error", code="SlowDown", status=503, count=3, method="POST")
    client.submit_doc_job("a.txt", "a.pdf", DocProcess())
    assert len(list(client.list_doc_jobs())) == 1


def test_a_refusal_that_lasts_names_itself(local_ci: LocalCI, connect_fast: Callable[..., CIClient]) -> None:
    client = connect_fast(local_ci)
    local_ci.faults.add("error", code="SlowDown", status=429, count=100)
    with pytest.raises(ThrottledError, match="429 SlowDown") as caught:
        client.list_doc_queues()
    assert caught.value.request_id


@pytest.fixture
def connect_fast(clock: Any) -> Callable[..., CIClient]:
    """Makes a client that does not wait between attempts; its clock shows the real time of day."""

    def make(server: LocalCI) -> CIClient:
        clock.now = time.time
        return connect(server, _clock=clock, retry=RetryPolicy(max_attempts=6))

    return make
