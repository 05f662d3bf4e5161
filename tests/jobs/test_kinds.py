from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_ci.client import (
    CIClient,
    CIError,
    CIJob,
    DocAIGCMetadata,
    DocProcess,
    DocWatermark,
    FileHashCode,
    FileUncompress,
    ImageOCR,
    PicProcess,
    PicTemplate,
)
from airflow_provider_ci.jobs import (
    BY_ID,
    DOCUMENTS,
    PICTURES,
    default_queue_id,
    type_of_job_id,
    type_of_operation,
    type_of_tag,
)
from airflow_provider_ci.local import LocalCI
from benchmarks.counting import Requests

Connect = Callable[..., CIClient]


def test_an_operation_has_a_type() -> None:
    assert type_of_operation(DocProcess()) is DOCUMENTS
    assert type_of_operation(PicProcess("imageMogr2/strip")) is PICTURES
    assert type_of_operation(PicTemplate("t" + "1" * 32)) is PICTURES
    with pytest.raises(TypeError, match="not str"):
        type_of_operation("imageMogr2/strip")  # type: ignore[arg-type] # as a user may


def test_a_tag_has_a_type() -> None:
    assert type_of_tag("DocProcess") is DOCUMENTS
    assert type_of_tag("PicProcess") is PICTURES
    assert (type_of_tag("Transcode").tag, type_of_tag("Transcode").output) == ("Transcode", "object")
    with pytest.raises(ValueError, match="'no tag' is not a tag of the service"):
        type_of_tag("no tag")


def test_the_first_letter_of_an_id_tells_the_type() -> None:
    assert type_of_job_id("d" + "1" * 32) is DOCUMENTS
    assert type_of_job_id("c" + "1" * 32) is PICTURES


@pytest.mark.parametrize("letter", ["a", "f", "j"])
def test_jobs_of_other_tags_are_known_by_their_ids(letter: str) -> None:
    job_type = type_of_job_id(letter + "1" * 32)
    assert (job_type, job_type.is_listed) == (BY_ID, False)
    with pytest.raises(TypeError, match="known by their ids only"):
        job_type.list(None)


@pytest.mark.parametrize(("letter", "what"), [("b", "a job over an inventory"), ("p", "a queue")])
def test_an_id_of_something_else_is_named(letter: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"is {what}, not a job"):
        type_of_job_id(letter + "1" * 32)


TRAITS: list[tuple[Any, str, bool, str]] = [
    (DocWatermark(1), "DocWatermark", True, "object"),
    (DocAIGCMetadata("1"), "DocAIGCMetadata", True, "object"),
    (ImageOCR(), "ImageOCR", True, "none"),
    (FileHashCode(), "FileHashCode", False, "none"),
    (FileHashCode(path="/jobs"), "FileHashCode", True, "none"),
    (FileUncompress("a/"), "FileUncompress", False, "prefix"),
    (CIJob("Snapshot"), "Snapshot", True, "object"),
    (CIJob("FileCompress"), "FileCompress", False, "object"),
    (CIJob("PicProcess", path="/jobs"), "PicProcess", True, "object"),
    (CIJob("Anything", path="/file_jobs", output="prefix"), "Anything", False, "prefix"),
]


@pytest.mark.parametrize(
    ("operation", "tag", "is_listed", "output"), TRAITS, ids=[str(each[0]) for each in TRAITS]
)
def test_an_operation_has_traits(operation: Any, tag: str, is_listed: bool, output: str) -> None:
    found = type_of_operation(operation)
    assert (found.tag, found.is_listed, found.output) == (tag, is_listed, output)
    assert type_of_operation(operation) is found


@pytest.mark.parametrize("job_id", ["", "d", "no-job-id!", "d123/456"])
def test_what_is_no_job_id_is_refused(job_id: str) -> None:
    with pytest.raises(ValueError, match="is not a job id"):
        type_of_job_id(job_id)


@pytest.mark.parametrize("job_type", [DOCUMENTS, PICTURES], ids=["documents", "pictures"])
def test_the_default_queue_is_looked_up_once(client: CIClient, job_type: object) -> None:
    assert job_type in (DOCUMENTS, PICTURES)
    found = DOCUMENTS if job_type is DOCUMENTS else PICTURES
    (queue,) = found.queues(client)
    with Requests() as requests, ThreadPoolExecutor(8) as executor:
        barrier = threading.Barrier(8)

        def ask() -> str | None:
            barrier.wait()
            return default_queue_id(client, found)

        results = [executor.submit(ask) for _ in range(8)]
    assert {result.result() for result in results} == {queue.queue_id}
    assert requests.count == 1


def test_documents_and_pictures_have_queues_of_their_own(client: CIClient) -> None:
    assert default_queue_id(client, DOCUMENTS) != default_queue_id(client, PICTURES)


def test_without_the_permission_to_list_queues_the_default_is_not_known(
    client: CIClient, local_ci: LocalCI
) -> None:
    local_ci.faults.add("error", code="AccessDenied", method="GET", path="/docqueue", count=10)
    assert default_queue_id(client, DOCUMENTS) is None


def test_an_outage_is_not_remembered(client: CIClient, local_ci: LocalCI) -> None:
    local_ci.faults.add("error", status=503, method="GET", path="/docqueue", retry_after=10_000)
    with pytest.raises(CIError, match="503"):
        default_queue_id(client, DOCUMENTS)
    assert default_queue_id(client, DOCUMENTS)
