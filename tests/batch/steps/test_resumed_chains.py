"""A chain that was killed, deferred or cancelled, or lost its records, continues where it stopped."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, ObjectResult, ObjectState
from airflow_provider_ci.client import CIClient, JobState
from tests.batch.conftest import FOLDER, Power, die, dies, pause
from tests.batch.steps.conftest import ALL_OF_CHAIN, CHAIN, KEYS, outputs

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
End = Callable[[], None]


@pytest.mark.parametrize("looks", [(1,), (1, 2), (1, 2, 3)])
def test_a_chain_goes_on_after_a_crash(
    looks: tuple[int, ...],
    client: CIClient,
    fill_bucket: Fill,
    steps: Make,
    live_outputs: Count,
    end_leases: End,
) -> None:
    fill_bucket(*KEYS)
    for look in looks:
        die(steps(client, CHAIN, max_in_flight=2, progress=dies(look)))
        end_leases()
    assert steps(client, CHAIN, max_in_flight=2).run().total == 4
    assert live_outputs(client) == ALL_OF_CHAIN


@pytest.mark.parametrize("requests", range(1, 40, 3))
def test_a_chain_goes_on_after_a_crash_at_any_request(
    requests: int,
    client: CIClient,
    fill_bucket: Fill,
    steps: Make,
    live_outputs: Count,
    end_leases: End,
    power: Power,
) -> None:
    fill_bucket(*KEYS[:2])
    power.last_for(requests, is_heard=bool(requests % 2))
    with suppress(BaseException):  # the process dies
        steps(client, CHAIN, threads=1).run()
    power.last_for()
    end_leases()
    summary = steps(client, CHAIN, threads=1).run()
    assert (summary.total, summary.succeeded + summary.skipped) == (2, 2)
    assert live_outputs(client) == outputs(*KEYS[:2])


def test_a_chain_is_deferred_and_resumed(
    client: CIClient, fill_bucket: Fill, steps: Make, live_outputs: Count
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    made = steps(client, CHAIN)
    assert made.advance(patience=0, deadline=time.time() + 60) is None
    resume()
    kept = json.loads(json.dumps(made.parked))
    for _ in range(300):
        made = steps(client, CHAIN)
        summary = made.advance(patience=0, deadline=time.time() + 60, resume=kept)
        if summary is not None:
            break
        kept = json.loads(json.dumps(made.parked))
        time.sleep(0.05)
    assert summary is not None
    assert (summary.total, summary.succeeded, summary.jobs) == (4, 4, 12)
    assert live_outputs(client) == ALL_OF_CHAIN


@pytest.mark.parametrize(
    "lost", ["_ci_batches*/**/*", f"{FOLDER}plan.json", f"{FOLDER}*/*/*", f"{FOLDER}*/*.jsonl"]
)
def test_a_chain_goes_on_after_records_were_deleted(
    lost: str,
    client: CIClient,
    fill_bucket: Fill,
    bucket: Path,
    steps: Make,
    live_outputs: Count,
    end_leases: End,
) -> None:
    fill_bucket(*KEYS)
    die(steps(client, CHAIN, max_in_flight=2, progress=dies(4)))
    for path in bucket.glob(lost):
        if path.is_file():
            path.unlink()
    end_leases()
    time.sleep(1.1)  # without records, modification times decide; they are whole seconds
    summary = steps(client, CHAIN).run()
    assert (summary.total, summary.succeeded + summary.skipped) == (4, 4)
    assert live_outputs(client) == ALL_OF_CHAIN


def test_a_failure_of_the_first_step_is_passed_on_after_a_crash(
    client: CIClient, fill_bucket: Fill, steps: Make, end_leases: End, results: Results
) -> None:
    fill_bucket(*KEYS)
    fill_bucket("in/0.docx", content=b"")
    die(steps(client, CHAIN, max_in_flight=3, progress=dies(3)))
    end_leases()
    with pytest.raises(BatchFailedError) as failed:
        steps(client, CHAIN, max_in_flight=3).run()
    assert (failed.value.summary.total, failed.value.summary.failed) == (4, 1)
    assert "step 'thumb' failed" in results(client)[KEYS[0]].steps[2].message


def test_cancelled_first_steps_cancel_what_follows(
    client: CIClient, fill_bucket: Fill, steps: Make, results: Results
) -> None:
    fill_bucket(*KEYS[:2])
    resume = pause(client)
    made = steps(client, CHAIN)
    assert made.advance(patience=0, deadline=time.time() + 60) is None
    (first,) = [job for job in client.list_doc_jobs() if job.input_key == KEYS[0]]
    client.cancel_doc_job(first.job_id)
    resume()
    with pytest.raises(BatchFailedError) as failed:
        steps(client, CHAIN).run()
    assert (failed.value.summary.cancelled, failed.value.summary.succeeded) == (1, 1)
    report = results(client)
    assert report[KEYS[0]].state is ObjectState.CANCELLED
    assert {step.state for step in report[KEYS[0]].steps} == {ObjectState.CANCELLED}
    assert [job.state for job in client.list_doc_jobs()].count(JobState.CANCEL) == 1
