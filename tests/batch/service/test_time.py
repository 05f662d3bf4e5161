"""Wrong clocks, suspended machines, requests that arrive late, and slow responses."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, Progress, Step
from airflow_provider_ci.batch.ledger.plan_store import read_plan
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.client import CIClient, CIError, DocProcess, RetryPolicy
from airflow_provider_ci.client.http.clock import Clock
from airflow_provider_ci.local import LocalCI
from tests.soak.child import Child, Ending, PausedClock, Work, WrongClock

KEYS = tuple(f"in/{number:02}.docx" for number in range(12))
ONE_JOB_EACH = Counter(dict.fromkeys(KEYS, 1))
LEASE = 2.0
FROZEN_SECONDS = 2 * LEASE + 3
FOLDER = batch_folder("_ci_batches/", "test")

Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], Counter[str]]
slow_jobs = pytest.mark.parametrize("local_ci", [0.1], indirect=True, ids=["slow jobs"])


@pytest.fixture(autouse=True)
def objects(fill_bucket: Callable[..., None]) -> None:
    """Put the objects of each test's batch into the bucket."""
    fill_bucket(*KEYS)


def work(clock: Clock | None = None, **options: Any) -> Work:
    return Work(
        batch_id="test",
        operations={"": Step(DocProcess(target="pdf"), "out/{dir}{stem}.pdf")},
        keys=None,
        clock=clock or Clock(),
        options={"lease_seconds": LEASE, "max_in_flight": 3, "threads": 3, **options},
    )


@contextmanager
def process(local_ci: LocalCI, log: Path, task: Work) -> Iterator[Child]:
    """Run the batch in another process; kill that process at the end of the block."""
    child = Child("holder")
    child.start(task, int(local_ci.endpoint.rpartition(":")[2]), log)
    try:
        yield child
    finally:
        child.thaw()
        child.kill()


def until(condition: Callable[[], object]) -> None:
    """Wait up to a minute until ``condition()`` is true."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def take_over(client: CIClient, batch: Make, frozen_since: float) -> None:
    """Let another run do the work, and return once the frozen run has slept for ``FROZEN_SECONDS``."""
    batch(client, lease_seconds=LEASE).run()
    time.sleep(max(0.0, frozen_since + FROZEN_SECONDS - time.monotonic()))


@slow_jobs
@pytest.mark.parametrize("clocks", ["all go on", "only the wall clock goes on", "all stand still"])
def test_a_suspended_run_submits_nothing_afterwards(
    local_ci: LocalCI, client: CIClient, tmp_path: Path, batch: Make, live_jobs: Count, clocks: str
) -> None:
    paused = tmp_path / "paused"
    paused.write_text("0")
    clock = PausedClock(path=paused, wall_goes_on="wall" in clocks)
    with process(local_ci, tmp_path / "log", work(clock if clocks != "all go on" else None)) as holder:
        until(lambda: live_jobs(client))
        holder.freeze()
        began = time.monotonic()
        take_over(client, batch, began)
        paused.write_text(f"{time.monotonic() - began}")
        holder.thaw()
        assert holder.wait(60)[0] in (Ending.RUNNING, Ending.DONE)
    assert live_jobs(client) == ONE_JOB_EACH


@pytest.mark.parametrize("ahead_seconds", [0, 600, 890, -600])
def test_late_submissions_of_a_frozen_run_are_refused(
    local_ci: LocalCI, client: CIClient, tmp_path: Path, batch: Make, live_jobs: Count, ahead_seconds: int
) -> None:
    clock = WrongClock(offset=ahead_seconds)
    local_ci.faults.add("slow", seconds=FROZEN_SECONDS, method="POST", count=3)
    with process(local_ci, tmp_path / "log", work(clock)) as holder:
        until(lambda: not local_ci.faults.pending())
        holder.freeze()
        take_over(client, batch, time.monotonic())
        holder.thaw()
        assert holder.wait(60)[0] in (Ending.RUNNING, Ending.DONE)
    assert live_jobs(client) == ONE_JOB_EACH


@pytest.mark.parametrize("ahead_seconds", [0, 600])
def test_a_late_plan_of_a_frozen_run_is_refused(
    local_ci: LocalCI, client: CIClient, tmp_path: Path, batch: Make, bucket: Path, ahead_seconds: int
) -> None:
    local_ci.faults.add("slow", seconds=FROZEN_SECONDS, method="PUT", path=f"/{FOLDER}plan.json")
    with process(local_ci, tmp_path / "log", work(WrongClock(offset=ahead_seconds))) as holder:
        until(lambda: not local_ci.faults.pending())
        holder.freeze()
        take_over(client, batch, time.monotonic())
        frozen = (bucket / FOLDER / "plan.json").read_bytes()
        time.sleep(1.0)  # the late plan has arrived by now
        assert (bucket / FOLDER / "plan.json").read_bytes() == frozen
        report = json.loads((bucket / FOLDER / "report.jsonl").read_text().splitlines()[0])
        assert report["plan"] == json.loads(frozen.splitlines()[0])["token"]
        holder.kill()


@pytest.mark.parametrize("seconds", [1.0, 4.0, 9.0], ids=["soon", "in its last second", "after its end"])
def test_a_lost_submission_that_is_taken_late_is_found(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, seconds: float
) -> None:
    local_ci.faults.add("taken_late", seconds=seconds, method="POST", count=2)
    summary = batch(client, lease_seconds=9, threads=2).run()
    assert summary.succeeded == len(KEYS)
    assert live_jobs(client) == ONE_JOB_EACH


def test_a_late_job_that_the_listing_hides_is_found(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count
) -> None:
    """The service takes the submission just before its signature expires, and lists the job late."""
    local_ci.traits.set(hide_jobs_seconds=2.5, user_data_limit=0)
    local_ci.faults.add("taken_late", seconds=5.0, method="POST", count=2)
    summary = batch(client, lease_seconds=9, threads=2).run()
    assert summary.succeeded == len(KEYS)
    assert live_jobs(client) == ONE_JOB_EACH


@slow_jobs
@pytest.mark.parametrize("seconds", [-300, -30, 300, 86_400])
def test_a_jump_of_the_services_clock_is_learned(
    local_ci: LocalCI, client: CIClient, batch: Make, live_jobs: Count, seconds: int
) -> None:
    def jump(_: Progress) -> None:
        local_ci.traits.set(clock_offset_seconds=seconds)

    summary = batch(client, threads=8, max_in_flight=8, lease_seconds=4, progress=jump).run()
    assert summary.succeeded == len(KEYS)
    assert live_jobs(client) == ONE_JOB_EACH


class SteppingClock(Clock):
    """A wall clock that a test can set."""

    step = 0.0

    def now(self) -> float:
        return time.time() + self.step


@slow_jobs
@pytest.mark.parametrize("seconds", [86_400, -86_400, -300, 300])
def test_a_step_of_the_wall_clock_changes_nothing(
    local_ci: LocalCI, batch: Make, client_of: Connect, live_jobs: Count, seconds: int
) -> None:
    clock = SteppingClock()

    def step(_: Progress) -> None:
        clock.step = seconds

    began = time.monotonic()
    with client_of(local_ci, _clock=clock) as client:
        summary = batch(client, threads=8, max_in_flight=8, timeout_seconds=100, progress=step).run()
        assert (summary.succeeded, summary.unfinished) == (len(KEYS), 0)
        assert 0 <= summary.seconds <= time.monotonic() - began
        assert live_jobs(client) == ONE_JOB_EACH


@pytest.mark.parametrize("offset", [-86_400, -890, 890, 86_400])
def test_a_wrong_wall_clock_changes_nothing(
    local_ci: LocalCI, batch: Make, client_of: Connect, live_jobs: Count, offset: int
) -> None:
    clock = SteppingClock()
    clock.step = offset
    with client_of(local_ci, _clock=clock) as client:
        assert batch(client, lease_seconds=LEASE).run().succeeded == len(KEYS)
        assert batch(client, lease_seconds=LEASE).run().skipped == len(KEYS)
        assert live_jobs(client) == ONE_JOB_EACH


@pytest.mark.parametrize("seconds", [0.9, 1.5])
def test_slow_responses_end_the_batch_in_bounded_time(
    local_ci: LocalCI,
    batch: Make,
    client_of: Connect,
    live_jobs: Count,
    client: CIClient,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
) -> None:
    """Each response takes longer than a quarter of the lease, whose minimum is three seconds."""
    local_ci.faults.add("late", seconds=seconds, count=100_000)
    with client_of(local_ci, retry=RetryPolicy(max_attempts=1)) as slow:
        try:
            batch(slow, lease_seconds=1, outage_seconds=3).run()
        except CIError as error:
            assert "lease" in str(error)
    assert "lease" in caplog.text
    local_ci.faults.clear()
    assert max(live_jobs(client).values(), default=0) <= 1


def test_a_plan_allows_for_an_estimate_of_the_time_that_is_ahead(client: CIClient, batch: Make) -> None:
    """After a jump of the service's clock, a job can show a creation time one second before the plan."""
    batch(client).run()
    plan = read_plan(client, FOLDER)
    assert plan is not None
    created = min(job.created_at.timestamp() for job in client.list_doc_jobs() if job.created_at)
    assert int(plan.header.jobs_not_before) < created
