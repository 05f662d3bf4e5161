from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from airflow_provider_ci.batch.lease import Lease

from airflow_provider_ci.batch import Batch, BatchRunningError, Progress
from airflow_provider_ci.batch.ledger.records import RecordError
from airflow_provider_ci.client import CIClient, CIConnectionError, CIError, RetryPolicy
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]

FOLDER = "_ci_batches/test/"
LEASES = f"/{FOLDER}lease/"
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def take(client: CIClient) -> Iterator[Callable[..., Lease]]:
    """Takes leases that last until the end of the test."""
    with ExitStack() as stack:

        def take(seconds: float = 1.0, *, client: CIClient = client) -> Lease:
            lease = stack.enter_context(Lease(client, FOLDER, seconds=seconds))
            lease.take(bool)
            return lease

        yield take


def die(client: CIClient, seconds: float = 0.4) -> None:
    """Take the lease and be gone."""
    with Lease(client, FOLDER, seconds=seconds) as lease:
        lease.take(bool)


def wait_until(what: Callable[[], Any]) -> None:
    until = time.monotonic() + 30
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def content(client: CIClient, number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.read_object(f"{FOLDER}lease/{number:08}.json"))
    return found


def test_a_free_lease_is_taken_and_says_who_has_it(client: CIClient, take: Callable[..., Lease]) -> None:
    lease = take()
    lease.check()
    assert lease.is_held
    assert not lease.follows_a_crash
    assert f"process {os.getpid()}" in content(client)["holder"]


def test_a_living_holder_keeps_others_out(client: CIClient, take: Callable[..., Lease]) -> None:
    lease = take()
    with pytest.raises(BatchRunningError, match=f"is being run by process {os.getpid()}"):
        take()
    lease.check()
    assert [found.key for found in client.list_objects(f"{FOLDER}lease/")] == [f"{FOLDER}lease/00000001.json"]


def test_a_shorter_lease_does_not_outlive_a_longer_one(take: Callable[..., Lease]) -> None:
    take(2.0)
    with pytest.raises(BatchRunningError):
        take(0.1)


def test_a_dead_holder_is_followed_after_the_time_of_its_lease(
    client: CIClient, take: Callable[..., Lease]
) -> None:
    die(client, 0.4)
    began = time.monotonic()
    assert take(0.4).follows_a_crash
    assert time.monotonic() - began >= 0.4


def test_a_holder_that_died_long_ago_is_followed_at_once(client: CIClient, bucket: Path) -> None:
    die(client, 600)
    os.utime(bucket / FOLDER / "lease/00000001.json", (0, 0))
    with Lease(client, FOLDER, seconds=600) as lease:
        lease.take(lambda: pytest.fail("it waits"))
        assert lease.follows_a_crash


def test_a_released_lease_is_taken_at_once(client: CIClient, take: Callable[..., Lease]) -> None:
    take(600).release()
    with Lease(client, FOLDER, seconds=600) as lease:
        lease.take(lambda: pytest.fail("it waits"))
        assert not lease.follows_a_crash


def test_of_the_leases_of_many_runs_few_are_kept(client: CIClient) -> None:
    for _ in range(25):
        with Lease(client, FOLDER, seconds=600) as lease:
            lease.take(bool)
            lease.release()
    kept = [found.key.rpartition("/")[2] for found in client.list_objects(f"{FOLDER}lease/")]
    assert kept[-1] == "00000025.json"
    assert 20 <= len(kept) <= 21


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[]", b"null", b"\xff", b'{"id": "a", "seconds": "long"}'])
def test_a_damaged_lease_is_refused_by_name(client: CIClient, damaged: bytes) -> None:
    client.put_object(f"{FOLDER}lease/00000007.json", damaged)
    with (
        Lease(client, FOLDER, seconds=1) as lease,
        pytest.raises(RecordError, match=r"00000007\.json.*damaged"),
    ):
        lease.take(bool)


def test_whose_lease_is_damaged_holds_none(client: CIClient, take: Callable[..., Lease]) -> None:
    lease = take(0.4)
    client.put_object(f"{FOLDER}lease/00000001.json", b"{}")
    wait_until(lambda: isinstance(problem_of(lease), BatchRunningError))


def test_a_lease_that_is_released_while_it_is_watched_is_taken_at_once(
    take: Callable[..., Lease], client: CIClient
) -> None:
    lease = take(600)
    with Lease(client, FOLDER, seconds=600) as next_one:
        next_one.take(lease.release)
        assert next_one.is_held


def test_who_waits_for_a_dead_run_can_give_up(client: CIClient) -> None:
    die(client, 600)
    with Lease(client, FOLDER, seconds=600) as lease, pytest.raises(KeyboardInterrupt):
        lease.take(give_up)


def give_up() -> None:
    raise KeyboardInterrupt


def test_of_two_that_come_at_once_one_gets_it(client: CIClient) -> None:
    with Lease(client, FOLDER, seconds=5) as first:
        first.take(bool)
        first.release()
    both = Barrier(2)
    leases = [Lease(client, FOLDER, seconds=1) for _ in range(2)]

    def take(lease: Lease) -> bool:
        both.wait()
        try:
            lease.take(bool)
        except BatchRunningError:
            return False
        return True

    with leases[0], leases[1], ThreadPoolExecutor(2) as executor:
        assert sorted(executor.map(take, leases)) == [False, True]
        assert sorted(lease.is_held for lease in leases) == [False, True]


def test_a_lease_that_is_not_renewed_is_not_held_until_it_is_renewed_again(
    local_ci: LocalCI, take: Callable[..., Lease], client_of: Connect
) -> None:
    with client_of(local_ci, retry=ONCE) as client:
        lease = take(0.4, client=client)
        local_ci.faults.add("error", status=503, method="PUT", path=LEASES, count=10_000)
        wait_until(lambda: not lease.is_held)
        with pytest.raises(CIError, match="ServiceUnavailable") as problem:
            lease.check()
        assert problem.value.is_retryable
        local_ci.faults.clear()
        wait_until(lambda: lease.is_held)
        lease.check()
        lease.release()


def test_who_was_overtaken_is_told(
    local_ci: LocalCI, take: Callable[..., Lease], client_of: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(local_ci, retry=ONCE) as client:
        lease = take(0.4, client=client)
        with monkeypatch.context() as network:
            network.setattr(client._transport, "_attempt", unplugged)
            take(0.4)
            assert not lease.is_held
        wait_until(lambda: isinstance(problem_of(lease), BatchRunningError))
        assert not lease.is_held
        with pytest.raises(BatchRunningError):
            lease.writes_until()
        lease.release()
    assert content(client, 2)["released"] is False


def unplugged(*_: object) -> None:
    raise CIConnectionError("the network is unreachable", was_sent=False)


def problem_of(lease: Lease) -> CIError | None:
    try:
        lease.check()
    except CIError as error:
        return error
    return None


@pytest.mark.parametrize("action", ["cut_before", "cut_after", "error_after"])
@pytest.mark.parametrize("retry", [ONCE, RetryPolicy(first_wait_seconds=0.01)], ids=["once", "retry"])
def test_a_lost_answer_to_taking_it_locks_nobody_out(
    local_ci: LocalCI, client_of: Connect, action: str, retry: RetryPolicy
) -> None:
    local_ci.faults.add(action, method="PUT", path=LEASES)
    with client_of(local_ci, retry=retry) as client, Lease(client, FOLDER, seconds=600) as lease:
        if retry is ONCE:
            with pytest.raises(CIError):
                lease.take(bool)
        lease.take(lambda: pytest.fail("it waits for itself"))
        lease.check()
        assert not lease.follows_a_crash


def test_lost_answers_to_renewals_are_borne(
    local_ci: LocalCI, take: Callable[..., Lease], client_of: Connect
) -> None:
    with client_of(local_ci, retry=ONCE) as client:
        lease = take(1.0, client=client)
        local_ci.faults.add("cut_after", method="PUT", path=LEASES, count=2)
        wait_until(lambda: content(client)["renewals"] >= 4)
        wait_until(lambda: lease.is_held)
        lease.check()


def test_a_lost_answer_to_the_release_is_no_error(
    local_ci: LocalCI, take: Callable[..., Lease], client_of: Connect
) -> None:
    with client_of(local_ci, retry=ONCE) as client:
        lease = take(600, client=client)
        local_ci.faults.add("cut_after", method="PUT", path=LEASES)
        lease.release()
    assert not take(600).follows_a_crash


def test_a_second_run_of_a_batch_stops_and_changes_nothing(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(6)))
    looks = []

    def run_again(_: Progress) -> None:
        looks.append(1)
        if len(looks) == 2:
            before = state_of(bucket)
            with pytest.raises(BatchRunningError):
                batch(client, lease_seconds=2).run()
            assert state_of(bucket) == before

    summary = batch(client, lease_seconds=2, max_in_flight=2, progress=run_again).run()
    assert len(looks) > 2
    assert (summary.succeeded, summary.jobs) == (6, 6)
    assert len(list(client.list_doc_jobs())) == 6


def state_of(bucket: Path) -> dict[str, bytes]:
    """The batch's objects, without the lease that is renewed."""
    folder = bucket / FOLDER
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "lease"]
    assert paths
    return {str(path): path.read_bytes() for path in paths}


def test_a_batch_whose_lease_is_not_renewed_submits_nothing_and_then_goes_on(
    local_ci: LocalCI, fill_bucket: Fill, batch: Make, client_of: Connect
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    jobs: list[int] = []

    def look(now: Progress) -> None:
        if not jobs and not now.in_flight:
            return
        if not jobs:
            local_ci.faults.add("error", status=503, method="PUT", path=LEASES, count=10_000)
            time.sleep(1.5)  # longer than the lease is good for
        jobs.append(len(list(client.list_doc_jobs())))
        if len(jobs) == 5:
            local_ci.faults.clear()

    with client_of(local_ci) as client:
        summary = batch(client, lease_seconds=2, max_in_flight=1, progress=look).run()
    assert jobs[:5] == [1] * 5
    assert (summary.succeeded, summary.jobs) == (4, 4)


def test_what_a_batch_writes_is_refused_when_it_comes_after_its_lease(
    local_ci: LocalCI,
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    local_ci.faults.add("slow", seconds=4, method="PUT", path=f"/{FOLDER}0001/submitted/")
    summary = batch(client, lease_seconds=2).run()
    assert (summary.succeeded, summary.jobs) == (4, 4)
    assert "Request has expired" in caplog.text


def test_a_batch_that_was_overtaken_ends_and_submits_nothing_more(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(5)))
    jobs: list[int] = []

    def overtake(now: Progress) -> None:
        if now.in_flight and not jobs:
            client.delete_object(f"{FOLDER}lease/00000001.json")
            client.put_object(f"{FOLDER}lease/00000002.json", b'{"id": "another", "holder": "another"}')
            time.sleep(1.0)  # until it should have been renewed
        jobs.append(len(list(client.list_doc_jobs())))

    with pytest.raises(BatchRunningError, match="took over"):
        batch(client, lease_seconds=2, max_in_flight=1, progress=overtake).run()
    assert jobs[-1] == len(list(client.list_doc_jobs())) == 1
    assert not list(client.list_objects(f"{FOLDER}report")), "the report is the other run's"


def test_a_batch_that_is_overtaken_at_its_end_does_not_wait_for_its_lease(
    local_ci: LocalCI, client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    local_ci.faults.add("slow", seconds=2, method="PUT", path=f"/{FOLDER}summary.json")

    def overtake() -> None:
        wait_until(lambda: not local_ci.faults.pending())
        client.put_object(f"{FOLDER}lease/00000002.json", b'{"id": "another", "holder": "another"}')

    with ThreadPoolExecutor(1) as executor:
        overtaking = executor.submit(overtake)
        with pytest.raises(BatchRunningError, match="took over"):
            batch(client, lease_seconds=2).run()
        overtaking.result()


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(BatchRunningError(FOLDER, "process 7 on worker")))
    assert (error.folder, error.holder) == (FOLDER, "process 7 on worker")
