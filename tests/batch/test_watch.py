from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.jobs.kinds import DOCUMENTS, kind_of_job
from airflow_provider_ci.jobs.watch import JobsInFlight, JobWatch, Pace, cancel_waiting, finished_jobs
from airflow_provider_ci.client import (
    CIClient,
    Credentials,
    DocProcess,
    Job,
    JobState,
    NotFoundError,
    PicProcess,
    RetryPolicy,
)
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def waits(pace: Pace, *looks: tuple[int, int, float]) -> list[float]:
    return [
        pace.wait_seconds(pending=pending, finished=finished, elapsed_seconds=elapsed)
        for pending, finished, elapsed in looks
    ]


def test_while_nothing_ends_the_waits_grow_to_the_longest() -> None:
    seconds = waits(Pace(shortest=1, longest=10), *[(5, 0, 0.0)] * 9)
    assert seconds[0] == pytest.approx(1, rel=0.11)
    assert seconds[2] == pytest.approx(2.25, rel=0.11)
    assert seconds[-1] == pytest.approx(10, rel=0.11)


def test_the_wait_is_for_a_quarter_of_what_is_left() -> None:
    (seconds,) = waits(Pace(shortest=1, longest=60), (100, 50, 20.0))
    assert seconds == pytest.approx(10, rel=0.11)


def test_a_last_slow_job_is_looked_at_less_and_less_often() -> None:
    """However fast the others were, their rate says nothing of a job that does not end."""
    looks = [(1, 1000, 10.0 + number) for number in range(12)]
    assert waits(Pace(shortest=0.5, longest=30), *looks)[-1] == pytest.approx(30, rel=0.11)


def job(number: int, *, at: datetime = NOON, state: JobState = JobState.SUCCESS) -> Job:
    return Job(job_id=f"d{number:032}", tag="DocProcess", state=state, created_at=at)


def test_many_ended_jobs_of_others_are_not_read_through_to_find_a_few() -> None:
    ours = {found.job_id: found for found in map(job, range(4))}
    taken = 0

    def endless(*_: Any, **__: Any) -> Iterator[Job]:
        nonlocal taken
        for number in itertools.count(100):
            taken += 1
            assert taken <= 400, "four jobs are asked for with four requests; the listing has cost as many"
            yield job(number)

    kind = replace(DOCUMENTS, list=endless, get=lambda _, job_id: ours[job_id])
    found = finished_jobs(None, kind, dict.fromkeys(ours, NOON))  # type: ignore[arg-type] # not asked
    assert found == ours


def test_the_oldest_job_is_found_by_a_filter_that_leaves_out_its_own_second() -> None:
    jobs = [job(number, at=NOON + timedelta(seconds=number)) for number in range(5)]

    def later_than(*_: Any, created_after: datetime, **__: Any) -> Iterator[Job]:
        return (found for found in jobs if found.created_at > created_after)

    kind = replace(DOCUMENTS, list=later_than)
    pending = {found.job_id: found.created_at for found in jobs}
    assert finished_jobs(None, kind, pending).keys() == pending.keys()  # type: ignore[arg-type] # not asked


def test_an_old_job_that_does_not_end_is_asked_for_and_no_longer_listed_from() -> None:
    """Else every look would list again all that has ended since it was submitted."""
    stuck = job(0, state=JobState.RUNNING)
    early = [job(number, at=NOON + timedelta(seconds=1)) for number in range(1, 300)]
    late = [job(number, at=NOON + timedelta(hours=1)) for number in range(300, 310)]
    listed_from: list[datetime] = []
    asked: list[str] = []

    def ended(*_: Any, created_after: datetime, **__: Any) -> Iterator[Job]:
        listed_from.append(created_after)
        return (found for found in (*early, *late) if found.created_at >= created_after)

    def get(_: CIClient, job_id: str) -> Job:
        asked.append(job_id)
        return stuck

    in_flight = JobsInFlight(None, replace(DOCUMENTS, list=ended, get=get))  # type: ignore[arg-type]
    created = {found.job_id: found.created_at for found in (stuck, *early)}
    assert {found.job_id for found in in_flight.ended(created)} == {found.job_id for found in early}
    created = {found.job_id: found.created_at for found in (stuck, *late)}
    assert {found.job_id for found in in_flight.ended(created)} == {found.job_id for found in late}
    assert listed_from == [NOON - timedelta(seconds=1), late[0].created_at - timedelta(seconds=1)]
    assert asked == [stuck.job_id]


def test_jobs_of_others_in_the_same_queue_are_none_of_ours(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    jobs = [
        client.submit_doc_job("a.docx", f"out/{number}.pdf", DocProcess(target="pdf")) for number in range(12)
    ]
    pending = {found.job_id: found.created_at for found in jobs[::2]}
    found: dict[str, Job] = {}
    while len(found) < len(pending):
        found = finished_jobs(client, DOCUMENTS, pending)
        assert found.keys() <= pending.keys()
    assert all(ended.state is JobState.SUCCESS for ended in found.values())


def test_documents_and_pictures_are_watched_together(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx", "b.png")
    job_ids = []
    for number in range(5):
        job_ids.append(client.submit_doc_job("a.docx", f"out/{number}.pdf", DocProcess()).job_id)
        rule = PicProcess("imageMogr2/rotate/90")
        job_ids.append(client.submit_pic_job("b.png", f"out/{number}.png", rule).job_id)
    watch = JobWatch(client, job_ids)
    while watch.pending:
        watch.look()
    assert watch.finished.keys() == set(job_ids)


def test_a_job_that_is_known_to_have_ended_is_asked_for_once(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    """With the second question refused, one look still tells."""
    fill_bucket("a.docx")
    submitted = client.submit_doc_job("a.docx", "out/a.pdf", DocProcess())
    while not client.get_doc_job(submitted.job_id).state.is_final:
        pass
    local_ci.faults.add("slow", seconds=0, method="GET", count=1)
    local_ci.faults.add("error", code="AccessDenied", method="GET", count=1)
    watch = JobWatch(client, [submitted.job_id])
    watch.look()
    assert not watch.pending
    assert len(local_ci.faults.pending()) == 1


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
def test_a_look_at_one_running_job_is_one_request(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx")
    submitted = client.submit_doc_job("a.docx", "out/a.pdf", DocProcess())
    local_ci.faults.add("slow", seconds=0, method="GET", count=1)
    local_ci.faults.add("error", code="AccessDenied", method="GET", count=1)
    JobWatch(client, [submitted.job_id]).look()
    assert [fault["action"] for fault in local_ci.faults.pending()] == ["error"]


def test_an_unknown_job_is_an_error(client: CIClient) -> None:
    with pytest.raises(NotFoundError, match="d" + "0" * 32):
        JobWatch(client, ["d" + "0" * 32]).look()


def test_impatience_is_for_what_waiting_does_not_heal(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx")
    watch = JobWatch(client, [client.submit_doc_job("a.docx", "out/a.pdf", DocProcess()).job_id])
    local_ci.faults.add("error", code="AccessDenied", method="GET", count=1)
    with pytest.raises(Exception, match="AccessDenied"):
        watch.look_patiently()


@pytest.mark.parametrize("job_id", ["", "d", "no-job-id!", "d123/456"])
def test_what_is_no_job_id_is_refused(job_id: str) -> None:
    with pytest.raises(ValueError, match="is not a job id"):
        kind_of_job(job_id)


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
def test_cancelling_ends_what_has_not_begun_and_bears_refusals(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("a.docx")
    submitted = [client.submit_doc_job("a.docx", f"out/{number}.pdf", DocProcess()) for number in range(8)]
    job_ids = [found.job_id for found in submitted]
    cancel_waiting(client, ["d" + "0" * 32, *job_ids])
    states = [client.get_doc_job(job_id).state for job_id in job_ids]
    assert states[-1] is JobState.CANCEL
    assert JobState.CANCEL not in states[:2], "two workers run the first two"


def test_cancelling_is_no_error_when_the_service_is_away(tmp_path: Path) -> None:
    """Who is being killed has something else to say than that."""
    with LocalCI(tmp_path / "elsewhere", convert="instant") as server:
        credentials = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
    once = RetryPolicy(max_attempts=1)
    with CIClient(credentials, "ap-guangzhou", "b-1", endpoint=server.endpoint, retry=once) as client:
        cancel_waiting(client, ["d" + "0" * 32, "d" + "1" * 32])
