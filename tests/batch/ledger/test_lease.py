"""A lease lasts while it is renewed, ends when another run takes over, and allows nothing after its end."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchRunningError, Progress
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.records import LeaseExpiredError
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.heartbeat import LivenessWatch, key_of, last_beat
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.client import CIClient, CIConnectionError, CIError, RetryPolicy
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, REPORT, die, dies, wait_until

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Take = Callable[..., Lease]

RUNS = f"/{FOLDER}runs/"
ONCE = RetryPolicy(max_attempts=1)


def claim_of(client: CIClient, token: str = "ours", seconds: float = 3.0) -> Claim:
    client.server_time()
    return Claim(
        token=token,
        folder=FOLDER,
        batch_id="test",
        prefix="out/",
        operation="o",
        claimed_at=client.clock.now(),
        seconds=seconds,
        holder=f"process of {token}",
    )


@pytest.fixture
def take(client: CIClient) -> Iterator[Take]:
    """Takes leases, which are renewed until the end of the test."""
    with ExitStack() as stack:

        def take(token: str = "ours", *, seconds: float = 3.0, client: CIClient = client) -> Lease:
            claim, registry = claim_of(client, token, seconds), Registry(client)
            registry.change(lambda state: state.with_claim(claim))
            lease = stack.enter_context(Lease(client, registry, claim))
            lease.start()
            lease.confirm(claim)
            return lease

        yield take


def take_over(client: CIClient, token: str = "theirs") -> None:
    """Replace the claims of the batch, as a run that takes over does."""
    claim = claim_of(client, token)

    def taken(state: State) -> State:
        for other in state.of_folder(FOLDER):
            state = state.replaced(other.token, claim)
        return state

    Registry(client).change(taken)


def problem_of(lease: Lease) -> CIError | None:
    try:
        lease.check()
    except CIError as error:
        return error
    return None


def unplugged(*_: object, **__: object) -> None:
    raise CIConnectionError("the network is unreachable", was_sent=False)


def test_a_lease_is_renewed_by_heartbeats(client: CIClient, take: Take) -> None:
    lease = take()
    first = lease.expires_at()
    assert lease.is_held
    wait_until(lambda: lease.expires_at() > first and last_beat(client, lease.claim))
    beat = last_beat(client, lease.claim)
    assert beat is not None
    assert not beat.is_parked
    lease.check()


def test_the_fence_is_two_thirds_of_the_lease_after_the_heartbeat(client: CIClient, take: Take) -> None:
    lease = take(seconds=6.0)
    wait_until(lambda: last_beat(client, lease.claim))
    wait_until(lambda: lease.expires_at() != lease.claim.claimed_at + 4)
    beat = last_beat(client, lease.claim)
    assert beat is not None
    assert beat.at + 4 - 2 <= lease.expires_at() <= beat.at + 4 + 2
    assert lease.expires_at() <= client.clock.now() + 4


def test_a_released_lease_leaves_no_claim_and_no_heartbeat(client: CIClient, take: Take) -> None:
    lease = take()
    wait_until(lambda: last_beat(client, lease.claim))
    lease.release()
    assert not Registry(client).read().claims
    assert not list(client.list_objects(f"{FOLDER}runs/"))


def test_a_parked_lease_says_what_the_ledger_holds(client: CIClient, take: Take) -> None:
    lease = take()
    lease.park({"plan": "t", "blocks": 3})
    beat = last_beat(client, lease.claim)
    assert beat is not None
    assert (beat.is_parked, beat.details) == (True, {"plan": "t", "blocks": 3})
    assert LivenessWatch(client, lease.claim).look() == "parked"
    assert Registry(client).read().claim("ours") is not None


def test_a_lease_that_is_not_renewed_is_not_held_until_it_is_regained(
    local_ci: LocalCI, take: Take, client_of: Connect
) -> None:
    with client_of(local_ci, retry=ONCE) as client:
        lease = take(client=client)
        local_ci.faults.add("error", status=503, method="PUT", count=10_000)
        wait_until(lambda: not lease.is_held)
        problem = problem_of(lease)
        assert problem is not None
        assert problem.is_retryable
        local_ci.faults.clear()
        wait_until(lambda: lease.is_held)
        lease.check()
        lease.release()


def test_a_run_that_was_taken_over_may_not_act(
    local_ci: LocalCI, client: CIClient, take: Take, client_of: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(local_ci, retry=ONCE) as away:
        lease = take(client=away)
        with monkeypatch.context() as network:
            network.setattr(away._transport, "_attempt", unplugged)
            wait_until(lambda: not lease.is_held)
            take_over(client)
        wait_until(lambda: isinstance(problem_of(lease), BatchRunningError))
        assert not lease.is_held
        assert lease.expires_at() == 0
        with pytest.raises(BatchRunningError, match="took over"):
            lease.writes_until()
    assert Registry(client).read().claim("theirs") is not None


def test_a_living_run_notices_that_it_was_taken_over(client: CIClient, take: Take) -> None:
    """The registry is read now and then, even while the heartbeats succeed."""
    lease = take()
    take_over(client)
    wait_until(lambda: isinstance(problem_of(lease), BatchRunningError))


def test_a_claim_that_was_deleted_is_added_again(client: CIClient, bucket: Path, take: Take) -> None:
    lease = take()
    for path in (bucket / "_ci_batches.registry").glob("0*"):
        path.unlink()
    wait_until(lambda: Registry(client).read().claim("ours"))
    lease.check()


def test_lost_responses_to_heartbeats_are_borne(local_ci: LocalCI, take: Take, client_of: Connect) -> None:
    with client_of(local_ci, retry=ONCE) as client:
        lease = take(client=client)
        local_ci.faults.add("cut_after", method="PUT", path=RUNS, count=2)
        wait_until(lambda: not local_ci.faults.pending())
        begin = lease.expires_at()
        wait_until(lambda: lease.expires_at() > begin)
        lease.check()


def test_a_late_heartbeat_is_refused(local_ci: LocalCI, client: CIClient, take: Take) -> None:
    lease = take()
    local_ci.faults.add("slow", seconds=4, method="PUT", path=RUNS)
    wait_until(lambda: not lease.is_held)
    wait_until(lambda: lease.is_held)
    assert lease.claim.claimed_at <= client.clock.now()
    lease.check()


@pytest.mark.parametrize("end", ["park", "release"])
def test_an_end_that_fails_is_no_end_of_the_renewals(
    client_of: Callable[..., CIClient], local_ci: LocalCI, take: Take, end: str
) -> None:
    """An outage can be longer than the lease, and the run tries to park or release again after the outage."""
    lease = take(client=client_of(local_ci, retry=RetryPolicy(max_attempts=1)))
    first = lease.expires_at()
    local_ci.faults.add("error", method="PUT", status=503, count=1000)
    steps: dict[str, Callable[[], object]] = {"park": lambda: lease.park({}), "release": lease.release}
    with pytest.raises(CIError):
        steps[end]()
    local_ci.faults.clear()
    wait_until(lambda: lease.is_held and lease.expires_at() > first)

    def ends() -> bool:
        try:
            steps[end]()
        except CIError:  # this machine was busy for longer than the lease
            return False
        return True

    wait_until(ends)
    ended = lease.expires_at()
    time.sleep(1.5)  # two renewals
    assert lease.expires_at() == ended


def test_without_a_lease_in_time_the_error_is_worth_a_retry(client: CIClient) -> None:
    lease = Lease(client, Registry(client), claim_of(client, seconds=0.1))
    time.sleep(0.2)
    with pytest.raises(LeaseExpiredError, match="was not renewed in time") as problem:
        lease.check()
    assert problem.value.is_retryable


# Batches and their leases


def test_a_dead_run_is_taken_over_after_its_lease(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    die(batch(client, lease_seconds=3, max_in_flight=1, progress=dies(1)))
    began = time.monotonic()
    assert batch(client, lease_seconds=3).run().succeeded == 2
    assert time.monotonic() - began >= 3
    assert len(list(client.list_doc_jobs())) == 2


def test_a_second_run_of_a_batch_changes_nothing(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(6)))
    looks = []

    def run_again(_: Progress) -> None:
        looks.append(1)
        if len(looks) == 2:
            before = state_of(bucket)
            with pytest.raises(BatchRunningError):
                batch(client, on_running="fail").run()
            assert state_of(bucket) == before

    summary = batch(client, max_in_flight=2, progress=run_again).run()
    assert len(looks) > 2
    assert (summary.succeeded, summary.jobs) == (6, 6)


def state_of(bucket: Path) -> dict[str, bytes]:
    """The content of the batch's ledger by path, without the heartbeat."""
    paths = [path for path in (bucket / FOLDER).rglob("*") if path.is_file() and path.parent.name != "runs"]
    assert paths
    return {str(path): path.read_bytes() for path in paths}


def test_a_batch_that_cannot_renew_its_lease_pauses_and_goes_on(
    local_ci: LocalCI, fill_bucket: Fill, batch: Make, client_of: Connect
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    jobs: list[int] = []

    def look(now: Progress) -> None:
        if not jobs and not now.in_flight:
            return
        if not jobs:
            local_ci.faults.add("error", status=503, method="PUT", count=10_000)
            time.sleep(3.1)  # longer than the fence
        jobs.append(len(list(client.list_doc_jobs())))
        if len(jobs) == 5:
            local_ci.faults.clear()

    with client_of(local_ci) as client:
        summary = batch(client, lease_seconds=4, max_in_flight=1, progress=look).run()
    assert jobs[:5] == [1] * 5
    assert (summary.succeeded, summary.jobs) == (4, 4)


def test_a_batch_that_was_taken_over_submits_nothing_more(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(5)))
    jobs: list[int] = []

    def overtake(now: Progress) -> None:
        if now.in_flight and not jobs:
            take_over(client)
            time.sleep(4)  # long enough for the run to read the registry
        jobs.append(len(list(client.list_doc_jobs())))

    with pytest.raises(BatchRunningError, match="took over"):
        batch(client, lease_seconds=3, max_in_flight=1, progress=overtake).run()
    assert jobs[-1] == len(list(client.list_doc_jobs())) == 1
    assert not list(client.list_objects(REPORT)), "the report is the other run's"


def test_the_claim_names_the_process_that_holds_it(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/a.docx")
    holders: list[str] = []

    def look(_: Progress) -> None:
        holders.extend(claim.holder for claim in Registry(client).read().claims)

    batch(client, progress=look).run()
    assert f"process {os.getpid()} on " in holders[0]


@pytest.mark.parametrize("hours", [-5, 5])
def test_the_first_fence_follows_the_services_clock(
    hours: int, client: CIClient, local_ci: LocalCI, fill_bucket: Fill, batch: Make
) -> None:
    """Before its first request, a client knows only the clock of its machine."""
    local_ci.traits.set(clock_offset_seconds=hours * 3600)
    fill_bucket("in/a.docx")
    claimed: list[float] = []

    def look(_: Progress) -> None:
        claimed.extend(claim.claimed_at for claim in Registry(client).read().claims)

    batch(client, progress=look).run()
    assert abs(claimed[0] - client.server_time().timestamp()) < 60


def test_a_damaged_heartbeat_is_named(client: CIClient, take: Take) -> None:
    lease = take(seconds=600)
    client.put_object(key_of(FOLDER, "ours"), b"[]")
    with pytest.raises(ValueError, match=r"ours\.json"):
        LivenessWatch(client, lease.claim).look()


def test_the_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(BatchRunningError(FOLDER, "process 7 on worker")))
    assert (error.folder, error.holder) == (FOLDER, "process 7 on worker")


def test_a_heartbeat_is_plain_json(client: CIClient, bucket: Path, take: Take) -> None:
    lease = take()
    lease.park({"total": 7})
    stored: dict[str, Any] = json.loads((bucket / key_of(FOLDER, "ours")).read_text())
    assert stored == {"version": 2, "kind": "heartbeat", "seconds": 900.0, "is_parked": True, "total": 7}
