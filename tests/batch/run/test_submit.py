from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch.dispatch.operations import Operations
from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.batch.dispatch.submit import Submitter, Unconfirmed
from airflow_provider_ci.batch.ledger.state import Attempt
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    Credentials,
    DocProcess,
    Job,
    JobState,
    RetryPolicy,
    SubmissionUnknownError,
)
from airflow_provider_ci.jobs.kinds import DOCUMENTS
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
PDF = DocProcess(target="pdf")
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def planned(key: str = "in/a.docx", output_key: str = "out/a.pdf") -> PlannedObject:
    return PlannedObject(index=0, key=key, size=1, etag="e", output_key=output_key, fingerprint="f")


def submitter(client: CIClient, **options: Any) -> Submitter:
    operations = Operations.of_one(PDF, options.pop("job_type", None))
    queue_ids = () if client else ("queue",)  # without a client, no queue can be looked up
    return Submitter(
        client=client,
        operations=operations,
        queues=Queues(client, operations.types, queue_ids),
        token="ours",
        expires_at=lambda: client.clock.now() + 60,
        not_before=options.pop("not_before", 0.0),
        options={},
    )


def lose_answer(client: CIClient, local_ci: LocalCI) -> Attempt:
    """Submit a job and lose the response; return the unconfirmed attempt."""
    local_ci.faults.add("cut_after", method="POST", count=1)
    attempt = Attempt(planned=planned())
    with pytest.raises(SubmissionUnknownError):
        submitter(client).submit(attempt, client.clock.now() + 60)
    return attempt.unconfirmed(None, 0.0)


def test_a_job_whose_answer_was_lost_is_found(client: CIClient, local_ci: LocalCI, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    attempt = lose_answer(client, local_ci)
    (job,) = client.list_doc_jobs()
    assert submitter(client).find([attempt])[attempt].job_id == job.job_id


def test_nothing_is_found_of_what_the_service_never_took(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    client.submit_doc_job("in/a.docx", "out/a.pdf", PDF, user_data="of-another-submission")
    client.submit_doc_job("in/a.docx", "out/other.pdf", PDF)
    assert submitter(client).find([Attempt(planned=planned())]) == {}


def test_without_an_echo_of_user_data_input_and_output_tell_the_job(
    client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx")
    job = client.submit_doc_job("in/a.docx", "out/a.pdf", PDF)
    attempt = Attempt(planned=planned())
    assert submitter(client).find([attempt])[attempt].job_id == job.job_id


def test_without_an_echo_a_failed_job_is_taken_for_an_earlier_one() -> None:
    attempt = Attempt(planned=planned())
    jobs = [job(1, state=JobState.FAILED), job(2, state=JobState.CANCEL)]
    assert find_among(jobs, [attempt]) == {}


def test_without_an_echo_older_and_other_jobs_are_not_ours() -> None:
    attempt = Attempt(planned=planned())
    other = {"Operation": {"DocProcess": {"TgtType": "jpg"}}}
    assert find_among([job(1), job(2, raw=other)], [attempt], not_before=NOON.timestamp()) == {}
    same = {"Operation": {"DocProcess": {"TgtType": "pdf"}}}
    assert find_among([job(3, raw=same)], [attempt])[attempt].job_id == "d3"


def test_a_slash_before_the_services_keys_is_no_difference() -> None:
    attempt = Attempt(planned=planned())
    assert find_among([job(1, input_key="/in/a.docx")], [attempt]).keys() == {attempt}


def test_the_listing_goes_back_to_the_job_before_the_submission() -> None:
    """Jobs may be listed up to a minute out of order; a hundred older jobs in a row end the search."""
    attempt = Attempt(planned=planned(), look_back_to=NOON - timedelta(seconds=300))

    def newest_first() -> Iterator[Job]:
        yield job(0, input_key="x")
        yield job(359, input_key="y")
        yield from (job(361 + older) for older in range(100))
        pytest.fail("it read on")

    assert find_among(newest_first(), [attempt]) == {}


def test_without_an_earlier_job_all_jobs_are_searched() -> None:
    lost = [Attempt(planned=planned(), look_back_to=moment) for moment in (NOON, None)]
    jobs = [job(1, input_key="x"), job(9_000_000, user_data="ours-0-1")]
    assert [each.job_id for each in find_among(jobs, lost).values()] == ["d9000000"]


def test_the_listing_ends_when_all_are_found() -> None:
    attempt = Attempt(planned=planned())

    def newest_first() -> Iterator[Job]:
        yield job(0, user_data="ours-0-1")
        pytest.fail("it read on")

    assert find_among(newest_first(), [attempt]).keys() == {attempt}


def test_without_a_lost_submission_nothing_is_asked() -> None:
    def newest_first() -> Iterator[Job]:
        pytest.fail("it asked")
        yield

    assert find_among(newest_first(), []) == {}


def test_user_data_tells_object_and_submission(client: CIClient) -> None:
    ours = submitter(client)
    second = Attempt(planned=replace(planned(), index=41)).next()
    assert ours.mark(second) == "ours-41-2"
    assert ours.read_mark("ours-41-2") == (41, 2)
    for foreign in ("theirs-41-2", "", "something else"):
        assert ours.read_mark(foreign) is None


def job(age_seconds: int, **values: Any) -> Job:
    created_at = NOON - timedelta(seconds=age_seconds)
    defaults = {"tag": "DocProcess", "state": JobState.RUNNING, "input_key": "in/a.docx"}
    return Job(
        job_id=f"d{age_seconds}",
        created_at=created_at,
        output_key="out/a.pdf",
        **{**defaults, **values},
    )


def find_among(jobs: Any, attempts: list[Attempt], **options: Any) -> dict[Attempt, Job]:
    job_type = replace(DOCUMENTS, list=lambda *_, **__: iter(jobs))
    return submitter(None, job_type=job_type, **options).find(attempts)  # type: ignore[arg-type] # no request is sent


def test_a_refused_key_does_not_keep_the_others_from_being_sent(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    keys = ["out/1.pdf", f"out/{'x' * 900}.pdf", "out/2.pdf"]
    attempts = [Attempt(planned=planned(output_key=key)) for key in keys]
    outcomes = submit_all(client, attempts)
    assert isinstance(outcomes[0], Job)
    assert isinstance(outcomes[1], ValueError)
    assert isinstance(outcomes[2], Job)


def test_once_the_service_is_away_nothing_more_is_sent(tmp_path: Path) -> None:
    (tmp_path / "examplebucket-1250000000").mkdir()
    with LocalCI(tmp_path, convert="instant") as server:
        credentials = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    once = RetryPolicy(max_attempts=1)
    with CIClient(
        credentials, "ap-guangzhou", "examplebucket-1250000000", endpoint=server.endpoint, retry=once
    ) as client:
        outcomes = submit_all(client, [Attempt(planned=planned()) for _ in range(50)])
    assert isinstance(outcomes[0], CIConnectionError)
    assert outcomes[1:] == [None] * 49


def submit_all(client: CIClient, attempts: list[Attempt]) -> list[Any]:
    with ThreadPoolExecutor(1) as executor:
        came_of = list(submitter(client).submit_all(attempts, executor, may_continue=lambda: True))
    assert [attempt for attempt, _ in came_of] == attempts
    return [outcome for _, outcome in came_of]


def test_who_may_not_go_on_sends_nothing(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    answers = iter([True, True, False, True])
    attempts = [Attempt(planned=planned(output_key=f"out/{number}.pdf")) for number in range(4)]
    with ThreadPoolExecutor(1) as executor:
        came_of = list(
            submitter(client).submit_all(attempts, executor, may_continue=lambda: next(answers, True))
        )
    assert [type(outcome) for _, outcome in came_of] == [Job, Job, type(None), Job]


def test_a_lost_response_is_kept_with_the_end_of_its_signature(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill
) -> None:
    """After a lost response, nothing more is sent, because the service may be unavailable."""
    fill_bucket("in/a.docx")
    local_ci.faults.add("cut_after", method="POST", count=1)
    attempts = [Attempt(planned=planned(output_key=f"out/{number}.pdf")) for number in range(3)]
    before = client.clock.now()
    lost, *rest = submit_all(client, attempts)
    assert isinstance(lost, Unconfirmed)
    assert before < lost.expires_at <= client.clock.now() + 60
    assert rest == [None, None]


def test_a_submission_whose_time_is_up_is_not_sent(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx")
    client.server_time()
    late = submitter(client)
    with ThreadPoolExecutor(1) as executor:
        outcomes = list(
            replace(late, expires_at=lambda: client.clock.now() - 1).submit_all(
                [Attempt(planned=planned())], executor, may_continue=lambda: True
            )
        )
    assert [outcome for _, outcome in outcomes] == [None]
    assert not list(client.list_doc_jobs())
