from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    ObjectResult,
    ObjectState,
    Progress,
    read_report,
)
from airflow_provider_ci.client import (
    AccessDeniedError,
    AuthenticationError,
    CIClient,
    CIError,
    NotFoundError,
)
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import REPORT

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Results = Callable[..., dict[str, ObjectResult]]


def test_a_wrong_key_ends_the_batch_at_once(
    local_ci: LocalCI, fill_bucket: Fill, batch: Make, client_of: Connect
) -> None:
    fill_bucket("in/a.docx")
    with client_of(local_ci, secret_key="wrong") as client, pytest.raises(AuthenticationError):
        batch(client).run()


def test_an_unknown_bucket_ends_the_batch_at_once(local_ci: LocalCI, batch: Make, client_of: Connect) -> None:
    with (
        client_of(local_ci, bucket="nosuch-1250000000") as client,
        pytest.raises(NotFoundError, match="NoSuchBucket"),
    ):
        batch(client).run()


def test_a_refusal_of_one_object_names_its_request(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, batch: Make, results: Results
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    local_ci.faults.add("error", status=400, code="ResourceAccessDenied", method="POST", count=1)
    summary = batch(client, max_failures=1).run()
    assert (summary.succeeded, summary.failed) == (3, 1)
    (refused,) = [found for found in results(client, summary.report_key).values() if found.reason]
    assert refused.code == "ResourceAccessDenied"
    assert refused.request_id


@pytest.mark.parametrize("code", ["QueueNotFound", "PermanentRedirect", "NoSuchBucket"])
def test_what_the_next_object_would_meet_too_ends_the_batch(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, code: str, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(40)))
    status = {"PermanentRedirect": 301}.get(code, 404)
    local_ci.faults.add("error", status=status, code=code, method="POST", count=10_000)
    with pytest.raises(CIError, match=code):
        batch(client).run()
    states = {found.state for found in read_report(client, REPORT)}
    assert states == {ObjectState.UNFINISHED}


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(403, "SignatureDoesNotMatch", AuthenticationError), (403, "AccessDenied", AccessDeniedError)],
)
def test_a_key_that_becomes_wrong_on_the_way_loses_no_verdict(
    client: CIClient,
    fill_bucket: Fill,
    local_ci: LocalCI,
    status: int,
    code: str,
    error: type[CIError],
    batch: Make,
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")

    def turn(progress: Progress) -> None:
        if progress.finished and not local_ci.faults.pending():
            local_ci.faults.add("error", status=status, code=code, host="ci", count=10_000)

    with pytest.raises(error, match=code):
        batch(client, max_in_flight=1, progress=turn).run()
    states = [found.state for found in read_report(client, REPORT)]
    assert sorted(states) == [ObjectState.SUCCEEDED, ObjectState.UNFINISHED, ObjectState.UNFINISHED]


def test_an_output_key_that_is_too_long_fails_its_object_alone(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", f"in/{'x' * 240}.docx", "in/z.docx")
    deep = batch(client, output="{stem}/" * 3 + f"{'y' * 200}.pdf")
    with pytest.raises(BatchFailedError, match="an object key has at most 850") as failed:
        deep.run()
    assert (failed.value.summary.succeeded, failed.value.summary.failed) == (2, 1)
