from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ci.batch.ledger.records import RecordError
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.heartbeat import Heartbeat, LivenessWatch, is_alive, last_beat
from airflow_provider_ci.client import CIClient, RequestExpiredError
from airflow_provider_ci.local import LocalCI

ClaimOf = Callable[..., Claim]
PATH = "_ci_batches/a/runs/t.json"
OLD = 1_700_000_000.0


def beat(client: CIClient, *, seconds: float = 60, is_parked: bool = False) -> float:
    return Heartbeat(client, "_ci_batches/a/", "t").beat(
        seconds=seconds, expires_at=time.time() + 60, is_parked=is_parked, details={"jobs": 3}
    )


def test_a_heartbeat_is_read_back(client: CIClient, claim_of: ClaimOf) -> None:
    at = beat(client, is_parked=True)
    found = last_beat(client, claim_of())
    assert found
    assert abs(found.at - at) <= 2
    assert abs(at - time.time()) < 60
    assert (found.seconds, found.is_parked, found.details) == (60, True, {"jobs": 3})


def test_a_late_heartbeat_is_refused(client: CIClient, local_ci: LocalCI, claim_of: ClaimOf) -> None:
    local_ci.faults.add("slow", seconds=3, method="PUT")
    with pytest.raises(RequestExpiredError):
        Heartbeat(client, "_ci_batches/a/", "t").beat(seconds=60, expires_at=time.time() + 1)
    assert last_beat(client, claim_of()) is None


def test_a_claim_counts_from_its_own_time_until_its_first_heartbeat(
    client: CIClient, claim_of: ClaimOf
) -> None:
    claim = claim_of(claimed_at=OLD, seconds=60)
    assert is_alive(client, claim, OLD + 61)
    assert not is_alive(client, claim, OLD + 64)
    now = beat(client, seconds=100)
    assert is_alive(client, claim, now + 100)
    assert not is_alive(client, claim, now + 104)


def test_a_watch_tells_alive_parked_and_dead(client: CIClient, claim_of: ClaimOf, bucket: Path) -> None:
    watch = LivenessWatch(client, claim_of(claimed_at=OLD))
    beat(client)
    assert watch.look() == "alive"
    beat(client, is_parked=True)
    assert watch.look() == "parked"
    os.utime(bucket / PATH, (OLD, OLD))
    assert watch.look() == "dead"
    renewed = claim_of(claimed_at=time.time())  # renewed by a run whose lease had expired
    assert LivenessWatch(client, renewed).look() == "alive"
    beat(client)
    assert watch.look() == "alive"


def test_a_young_claim_is_alive(client: CIClient, claim_of: ClaimOf) -> None:
    assert LivenessWatch(client, claim_of(claimed_at=time.time())).look() == "alive"


def test_a_deleted_heartbeat_is_no_proof_of_death(client: CIClient, claim_of: ClaimOf) -> None:
    claim = claim_of(claimed_at=OLD, seconds=60)
    watch, heartbeat = LivenessWatch(client, claim), Heartbeat(client, "_ci_batches/a/", "t")
    beat(client)
    assert watch.look() == "alive"
    heartbeat.end()
    assert watch.look() == "alive"
    assert LivenessWatch(client, claim).look() == "alive"


def test_who_gives_no_sign_for_as_long_as_its_claim_lasts_is_dead(
    client: CIClient, claim_of: ClaimOf
) -> None:
    watch = LivenessWatch(client, claim_of(claimed_at=OLD, seconds=0.5))
    assert watch.look() == "alive"
    until = time.monotonic() + 30
    while watch.look() == "alive":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert watch.look() == "dead"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"version": 3, "kind": "heartbeat", "seconds": 1}'])
def test_a_heartbeat_that_cannot_be_read_is_named(client: CIClient, claim_of: ClaimOf, body: bytes) -> None:
    client.put_object(PATH, body)
    with pytest.raises(RecordError, match=r"runs/t\.json"):
        LivenessWatch(client, claim_of()).look()
