from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, ObjectResult, ObjectState, Progress
from airflow_provider_ci.client import CIClient, CIConnectionError, Job, JobPage, PicProcess
from airflow_provider_ci.jobs import kinds
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, Power, PowerCut, die, dies

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
End = Callable[[], None]


def objects(fill_bucket: Fill, count: int = 6) -> set[str]:
    keys = {f"in/{number}.docx" for number in range(count)}
    fill_bucket(*keys)
    return keys


@pytest.mark.parametrize("is_heard", [False, True], ids=["unheard", "heard"])
def test_a_run_that_dies_at_any_request_is_continued_by_the_next(
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
    results: Results,
    end_leases: End,
    power: Power,
    is_heard: bool,
) -> None:
    keys = objects(fill_bucket, 3)
    lives = 0
    for requests in itertools.count(1):
        made = batch(client, batch_id=f"at-{requests}", output=f"out/{requests}/{{name}}", max_in_flight=2)
        power.last_for(requests, is_heard=is_heard)
        try:
            made.run()
            break
        except PowerCut:
            power.last_for()
            end_leases()
        before = live_jobs(client)
        summary = made.run()
        lives += 1
        assert summary.total == summary.succeeded + summary.skipped == 3
        assert results(client, summary.report_key).keys() == keys
        assert live_jobs(client).total() == 3 * lives, f"at request {requests}: {before}"
    assert lives > 15


@pytest.mark.parametrize("look", [1, 2, 3])
def test_what_is_continued_is_the_frozen_plan(
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
    results: Results,
    end_leases: End,
    look: int,
) -> None:
    """The objects are not listed again: an object that was added after planning is not converted."""
    keys = objects(fill_bucket)
    die(batch(client, max_in_flight=2, progress=dies(look)))
    end_leases()
    fill_bucket("in/new.docx")
    summary = batch(client).run()
    assert summary.total == summary.succeeded == 6
    assert summary.jobs == 6
    assert results(client).keys() == keys
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def test_a_batch_may_die_again_and_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count, results: Results, end_leases: End
) -> None:
    keys = objects(fill_bucket, 8)
    for _ in range(5):
        die(batch(client, max_in_flight=1, progress=dies(2)))
        end_leases()
    assert batch(client).run().succeeded == 8
    assert live_jobs(client) == dict.fromkeys(keys, 1)
    assert {found.state for found in results(client).values()} == {ObjectState.SUCCEEDED}


@pytest.mark.parametrize("action", ["cut_after", "cut_before", "error_after"])
@pytest.mark.parametrize("echoes", [True, False], ids=["echo", "no echo"])
def test_answers_that_were_lost_before_the_death_are_reconciled(
    client: CIClient,
    local_ci: LocalCI,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
    end_leases: End,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    echoes: bool,
) -> None:
    if not echoes:
        monkeypatch.setattr("airflow_provider_ci.jobs.kinds.DOCUMENTS", other_service(user_data=""))
    keys = objects(fill_bucket)
    local_ci.faults.add(action, method="POST", count=3)
    die(batch(client, threads=3, lease_seconds=4, progress=dies(1)))
    end_leases()
    assert batch(client, lease_seconds=4).run().succeeded == 6
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def other_service(**values: Any) -> kinds.JobType:
    """The document jobs of a service whose responses have ``values`` in place of some fields."""

    def seen(job: Job) -> Job:
        return replace(job, **values)

    def jobs(client: CIClient, **options: Any) -> Iterator[Job]:
        yield from map(seen, client.list_doc_jobs(**options))

    def page(client: CIClient, **options: Any) -> JobPage:
        found = client.list_doc_jobs_page(**options)
        return replace(found, jobs=tuple(map(seen, found.jobs)))

    def submit(client: CIClient, *arguments: Any, **options: Any) -> Job:
        return seen(client.submit_doc_job(*arguments, **options))

    def get(client: CIClient, job_id: str) -> Job:
        return seen(client.get_doc_job(job_id))

    return replace(kinds.DOCUMENTS, list=jobs, list_page=page, submit=submit, get=get)


@pytest.mark.parametrize("is_heard", [False, True], ids=["unheard", "heard"])
@pytest.mark.parametrize("requests", [1, 2, 4, 6])
def test_without_an_echo_keys_and_operation_tell_our_jobs(
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    bucket: Path,
    live_jobs: Count,
    end_leases: End,
    power: Power,
    monkeypatch: pytest.MonkeyPatch,
    requests: int,
    is_heard: bool,
) -> None:
    monkeypatch.setattr("airflow_provider_ci.jobs.kinds.DOCUMENTS", other_service(user_data=""))
    keys = objects(fill_bucket)
    power.last_for(requests, method="POST", is_heard=is_heard)
    die(batch(client, threads=3))
    power.last_for()
    assert live_jobs(client).total() >= requests - (not is_heard), "though no block says so"
    assert not list(bucket.glob("_ci_batches/test-*/*/submitted/*"))
    end_leases()
    assert batch(client).run().succeeded == 6
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def test_without_an_echo_jobs_of_an_earlier_plan_are_not_ours(
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
    end_leases: End,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airflow_provider_ci.jobs.kinds.DOCUMENTS", other_service(user_data=""))
    keys = objects(fill_bucket)
    batch(client).run()
    die(batch(client, skip="never", max_in_flight=2, progress=dies(2)))
    end_leases()
    assert batch(client, skip="never").run().succeeded == 6
    assert live_jobs(client) == dict.fromkeys(keys, 2)


@pytest.mark.parametrize("hours", [-30, -3, 3, 30])
def test_the_services_clock_may_be_hours_off(
    client: CIClient,
    local_ci: LocalCI,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
    end_leases: End,
    hours: float,
) -> None:
    local_ci.traits.set(clock_offset_seconds=hours * 3600)
    keys = objects(fill_bucket)
    local_ci.faults.add("cut_after", method="POST", count=2)
    die(batch(client, threads=2, progress=dies(1)))
    end_leases()
    assert batch(client).run().succeeded == 6
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def test_clearing_a_finished_batch_submits_nothing(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    keys = objects(fill_bucket)
    batch(client).run()
    summary = batch(client).run()
    assert (summary.total, summary.skipped, summary.jobs) == (6, 6, 0)
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def test_only_changed_content_and_missing_outputs_are_done_again(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, live_jobs: Count, results: Results
) -> None:
    objects(fill_bucket)
    batch(client).run()
    fill_bucket("in/1.docx", content=b"Other text.\n")
    (bucket / "out/2.pdf").unlink()
    fill_bucket("in/6.docx")
    summary = batch(client).run()
    assert (summary.succeeded, summary.skipped, summary.jobs) == (3, 4, 3)
    done = {key for key, found in results(client).items() if found.state is ObjectState.SUCCEEDED}
    assert done == {"in/1.docx", "in/2.docx", "in/6.docx"}
    assert live_jobs(client)["in/1.docx"] == live_jobs(client)["in/2.docx"] == 2


def test_an_object_that_was_only_written_again_is_not_done_again(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    objects(fill_bucket)
    batch(client).run()
    objects(fill_bucket)
    assert batch(client).run().skipped == 6


def test_another_operation_does_all_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    fill_bucket("in/a.png", "in/b.png")
    quarter, half = PicProcess("imageMogr2/rotate/90"), PicProcess("imageMogr2/rotate/180")
    assert batch(client, operation=quarter, output="out/{name}").run().succeeded == 2
    assert batch(client, operation=half, output="out/{name}").run().succeeded == 2
    assert batch(client, operation=half, output="out/{name}").run().skipped == 2
    assert live_jobs(client) == {"in/a.png": 2, "in/b.png": 2}


def test_never_skipping_does_all_again_exactly_once(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count, end_leases: End
) -> None:
    keys = objects(fill_bucket)
    batch(client).run()
    die(batch(client, skip="never", max_in_flight=2, progress=dies(2)))
    end_leases()
    assert batch(client, skip="never").run().succeeded == 6
    assert live_jobs(client) == dict.fromkeys(keys, 2)


@pytest.mark.parametrize("local_ci", [0.2], indirect=True)
def test_a_changed_batch_waits_for_the_jobs_of_its_old_plan(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, end_leases: End
) -> None:
    objects(fill_bucket, 4)
    die(batch(client, max_in_flight=3, progress=dies(1)))
    end_leases()
    in_flight: list[tuple[int, int]] = []
    changed = batch(
        client,
        ["in/0.docx", "in/1.docx"],
        output="new/{stem}.pdf",
        progress=lambda now: in_flight.append((now.total, now.in_flight)),
    )
    assert changed.run().succeeded == 2
    assert (4, 0) in in_flight, "the old plan, of which nothing is in flight any more"
    outputs = sorted(job.output_key for job in client.list_doc_jobs())
    assert outputs == ["new/0.pdf", "new/1.pdf", "out/0.pdf", "out/1.pdf", "out/2.pdf"]


@pytest.mark.parametrize("local_ci", [0.2], indirect=True)
@pytest.mark.parametrize("count", [2, 6])
def test_documents_may_become_pictures_while_the_old_jobs_run(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count, end_leases: End, count: int
) -> None:
    keys = objects(fill_bucket, count)
    fill_bucket("in/a.png")
    documents = batch(client, sorted(keys), progress=dies(1))
    die(documents)
    end_leases()
    rotate = PicProcess("imageMogr2/rotate/90")
    pictures = batch(client, ["in/a.png"], rotate, output="out/{name}", timeout_seconds=10)
    assert pictures.run().succeeded == 1
    assert live_jobs(client) == dict.fromkeys([*keys, "in/a.png"], 1)


def test_jobs_that_outlive_their_batch_are_adopted_by_the_next_run(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count, results: Results
) -> None:
    keys = objects(fill_bucket)
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    with pytest.raises(BatchFailedError, match="6 unfinished"):
        batch(client, timeout_seconds=0.5).run()
    submitted = {found.job_id for found in results(client).values()} - {None}
    assert submitted == {job.job_id for job in client.list_doc_jobs()}
    client.resume_doc_queue(queue.queue_id)
    assert batch(client).run().succeeded == 6
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def test_a_long_outage_leaves_the_jobs_to_the_next_run(
    client: CIClient,
    local_ci: LocalCI,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
    client_of: Callable[..., CIClient],
) -> None:
    keys = objects(fill_bucket)

    def leave(_: Progress) -> None:
        if not local_ci.faults.pending():
            local_ci.faults.add("cut_before", count=10_000)

    with client_of(local_ci) as hasty:
        away = batch(hasty, progress=leave, max_in_flight=2, outage_seconds=0.3, lease_seconds=1)
        with pytest.raises(CIConnectionError):
            away.run()
    local_ci.faults.clear()
    assert batch(client, lease_seconds=1).run().succeeded == 6
    assert live_jobs(client) == dict.fromkeys(keys, 1)


def test_the_ledger_is_readable(client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make) -> None:
    objects(fill_bucket, 2)
    batch(client).run()
    folder = bucket / FOLDER
    plan = [json.loads(line) for line in (folder / "plan.json").read_text().splitlines()]
    assert (plan[0]["version"], plan[0]["kind"], plan[0]["total"]) == (2, "plan", 2)
    assert [line["key"] for line in plan[1:]] == ["in/0.docx", "in/1.docx"]
    result = (folder / "report.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)["state"] for line in result] == ["succeeded", "succeeded"]
    assert {json.loads(line)["job_id"] for line in result} == {job.job_id for job in client.list_doc_jobs()}
