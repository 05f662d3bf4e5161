from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_ci.client import CIClient, CIError, DocProcess, PicProcess, PicTemplate
from airflow_provider_ci.jobs import (
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
    with pytest.raises(ValueError, match="unknown tag 'Transcode'"):
        type_of_tag("Transcode")


def test_the_first_letter_of_an_id_tells_the_type() -> None:
    assert type_of_job_id("d" + "1" * 32) is DOCUMENTS
    assert type_of_job_id("c" + "1" * 32) is PICTURES


@pytest.mark.parametrize(("letter", "what"), [("j", "a media job"), ("f", "a file job"), ("p", "a queue")])
def test_an_id_of_something_else_is_named(letter: str, what: str) -> None:
    with pytest.raises(ValueError, match=f"is {what}: only document jobs"):
        type_of_job_id(letter + "1" * 32)


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
