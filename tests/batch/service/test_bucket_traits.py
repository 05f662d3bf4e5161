"""Batches in buckets with late listings, with versioning, and with strict signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_ci.batch import Batch, BatchRunningError
from airflow_provider_ci.batch.registry import registry
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
KEYS = [f"in/{number}.docx" for number in range(4)]
LATE_LISTINGS = {"listing_delay_seconds": 3600}
VERSIONING = {"versioned": [BUCKET]}

late_listings = pytest.mark.parametrize("local_ci", [LATE_LISTINGS], indirect=True, ids=["late listings"])
every_bucket = pytest.mark.parametrize(
    "local_ci",
    [LATE_LISTINGS, VERSIONING, {"strict_signature": True}, {"require_queue_id": True}],
    indirect=True,
    ids=["late listings", "versioning", "strict signatures", "required queue ids"],
)

Fill = Callable[..., None]
Make = Callable[..., Batch]


@pytest.fixture
def local_ci(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalCI]:
    """A local CI with the bucket traits that the test names."""
    (tmp_path / "buckets" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "buckets", convert="instant", **request.param) as server:
        yield server


@pytest.fixture(autouse=True)
def quick_registry(monkeypatch: pytest.MonkeyPatch, fill_bucket: Fill) -> None:
    """Limit a change of the registry in a bucket with versioning to two seconds."""
    quick = registry.Timing(creating=1.0, skew=1.0)
    monkeypatch.setattr(registry, "Timing", lambda: quick)
    fill_bucket(*KEYS)


def jobs(local_ci: LocalCI, client: CIClient) -> Counter[str]:
    local_ci.traits.set(require_queue_id=False)
    return Counter(job.input_key for job in client.list_doc_jobs())


@every_bucket
def test_every_object_has_one_job_after_two_runs(local_ci: LocalCI, client: CIClient, batch: Make) -> None:
    assert batch(client, KEYS).run().succeeded == 4
    again = batch(client, KEYS).run()
    assert (again.skipped, again.jobs) == (4, 0)
    assert jobs(local_ci, client) == Counter(KEYS)


@every_bucket
def test_batches_at_the_same_time_share_their_jobs(local_ci: LocalCI, client: CIClient, batch: Make) -> None:
    with ThreadPoolExecutor(2) as executor:
        runs = [executor.submit(batch(client, KEYS, batch_id=name).run) for name in ("one", "two")]
        assert all(run.result().total == 4 for run in runs)
    assert jobs(local_ci, client) == Counter(KEYS)


@every_bucket
def test_the_same_batch_does_not_run_twice_at_a_time(
    local_ci: LocalCI, client: CIClient, batch: Make
) -> None:
    def run(_: int) -> int:
        try:
            return batch(client, KEYS, on_running="fail").run().jobs
        except BatchRunningError:
            return 0

    with ThreadPoolExecutor(2) as executor:
        assert sum(executor.map(run, range(2))) == 4
    assert jobs(local_ci, client) == Counter(KEYS)


@late_listings
@pytest.mark.parametrize("skip", ["fresh", "exists"])
def test_outputs_are_known_before_a_listing_shows_them(client: CIClient, batch: Make, skip: str) -> None:
    assert batch(client, KEYS, skip=skip).run().succeeded == 4
    assert not list(client.list_objects("out/"))
    client.delete_object("out/in/2.pdf")
    again = batch(client, KEYS, skip=skip).run()
    assert (again.skipped, again.succeeded) == (3, 1)
    assert Counter(job.input_key for job in client.list_doc_jobs()) == Counter([*KEYS, KEYS[2]])
