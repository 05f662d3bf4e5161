"""What a bucket may do that others do not: show an object late in its listing, or keep versions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_ci.batch import Batch, BatchRunningError, lease
from airflow_provider_ci.batch.lease import Lease
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
FOLDER = "_ci_batches/test/"
KEYS = [f"in/{number}.docx" for number in range(4)]
LISTS_LATE = {"listing_delay_seconds": 3600}
KEEPS_VERSIONS = {"versioned": [BUCKET]}

lists_late = pytest.mark.parametrize("local_ci", [LISTS_LATE], indirect=True, ids=["lists late"])
keeps_versions = pytest.mark.parametrize("local_ci", [KEEPS_VERSIONS], indirect=True, ids=["versions"])


@pytest.fixture
def local_ci(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalCI]:
    """A local CI with such a bucket."""
    (tmp_path / "buckets" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "buckets", convert="instant", **request.param) as server:
        yield server


@pytest.fixture
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """All clocks are that of this machine."""
    monkeypatch.setattr(lease, "SKEW_SECONDS", 1.0)


@lists_late
@pytest.mark.parametrize("before", [0, 1, 30])
def test_a_lease_is_known_before_a_listing_shows_it(client: CIClient, before: int) -> None:
    for _ in range(before):
        with Lease(client, FOLDER, seconds=600) as earlier:
            earlier.take(bool)
            earlier.release()
    with Lease(client, FOLDER, seconds=2) as holder, Lease(client, FOLDER, seconds=2) as other:
        holder.take(bool)
        with pytest.raises(BatchRunningError):
            other.take(bool)
        holder.check()
    assert not list(client.list_objects(FOLDER))


@lists_late
@pytest.mark.parametrize("skip", ["fresh", "exists"])
def test_what_was_made_is_not_made_again_before_a_listing_shows_it(
    client: CIClient, fill_bucket: Callable[..., None], batch: Callable[..., Batch], skip: str
) -> None:
    fill_bucket(*KEYS)
    assert batch(client, KEYS, skip=skip).run().succeeded == 4
    assert not list(client.list_objects("out/"))
    client.delete_object("out/in/2.pdf")
    again = batch(client, KEYS, skip=skip).run()
    assert (again.skipped, again.succeeded) == (3, 1)
    assert Counter(job.input_key for job in client.list_doc_jobs()) == Counter([*KEYS, KEYS[2]])


@keeps_versions
def test_of_two_that_write_the_same_lease_the_last_has_it(
    local_ci: LocalCI, client: CIClient, one_clock: None
) -> None:
    local_ci.faults.add("slow", seconds=1.5, method="PUT", path=f"/{FOLDER}")

    def take(one: Lease) -> bool:
        try:
            one.take(bool)
        except BatchRunningError:
            return False
        return True

    with (
        Lease(client, FOLDER, seconds=12) as first,
        Lease(client, FOLDER, seconds=12) as second,
        ThreadPoolExecutor(2) as executor,
    ):
        assert sorted(executor.map(take, (first, second))) == [False, True]
        assert sorted(one.is_held for one in (first, second)) == [False, True]


@keeps_versions
def test_who_saw_a_lease_free_long_ago_does_not_get_it(
    local_ci: LocalCI, client: CIClient, one_clock: None
) -> None:
    local_ci.faults.add("slow", seconds=4.5, method="PUT", path=f"/{FOLDER}")
    with Lease(client, FOLDER, seconds=2) as slow, Lease(client, FOLDER, seconds=2) as quick:
        with ThreadPoolExecutor(1) as executor:
            taking = executor.submit(slow.take, bool)
            while local_ci.faults.pending():
                time.sleep(0.01)
            quick.take(bool)
            with pytest.raises(BatchRunningError):
                taking.result()
        quick.check()


@keeps_versions
def test_a_batch_is_done_once(
    client: CIClient, fill_bucket: Callable[..., None], batch: Callable[..., Batch], one_clock: None
) -> None:
    fill_bucket(*KEYS)
    assert batch(client, lease_seconds=2).run().succeeded == 4
    again = batch(client, lease_seconds=2).run()
    assert (again.skipped, again.jobs) == (4, 0)
