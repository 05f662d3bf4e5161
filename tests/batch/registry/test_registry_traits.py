"""The registry in buckets with late listings, and in buckets that do not protect objects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_ci.batch.registry.registry import Change, Registry, RegistryBusyError, Timing
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
ROOT = "_ci_batches.registry/"
SHORT = Timing(creating=2.0, skew=1.0)
Adding = Callable[[str], Change]

lists_late = pytest.mark.parametrize(
    "local_ci", [{"listing_delay_seconds": 3600}], indirect=True, ids=["lists late"]
)
keeps_versions = pytest.mark.parametrize(
    "local_ci", [{"versioned": [BUCKET]}], indirect=True, ids=["versions"]
)


@pytest.fixture
def local_ci(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalCI]:
    """A local CI with the bucket traits that the test names."""
    (tmp_path / "buckets" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "buckets", convert="instant", **request.param) as server:
        yield server


def tokens(state: State) -> list[str]:
    return [claim.token for claim in state.claims]


@lists_late
@pytest.mark.parametrize("before", [0, 1, 35])
def test_a_state_is_known_before_a_listing_shows_it(client: CIClient, adding: Adding, before: int) -> None:
    earlier = Registry(client)
    for number in range(before):
        earlier.change(adding(str(number)))
    assert not list(client.list_objects(ROOT))
    assert Registry(client).read().number == before
    assert tokens(Registry(client).change(adding("x"))) == [*map(str, range(before)), "x"]


@keeps_versions
def test_a_change_is_made_and_no_state_says_that_the_bucket_protects_it(
    client: CIClient, adding: Adding
) -> None:
    registry = Registry(client, timing=SHORT)
    registry.change(adding("a"))
    changed = registry.change(adding("b"))
    assert (changed.number, tokens(changed), changed.protected_at) == (2, ["a", "b"], None)


@keeps_versions
def test_of_writers_of_the_same_number_each_makes_its_change(
    local_ci: LocalCI, client: CIClient, adding: Adding
) -> None:
    """The first writer's PUT is slow, so it replaces the object that the other writer has put."""
    local_ci.faults.add("slow", seconds=1.0, method="PUT", path=f"/{ROOT}0")

    def write(token: str) -> State:
        return Registry(client, timing=SHORT).change(adding(token), timeout_seconds=60)

    with ThreadPoolExecutor(2) as executor:
        states = list(executor.map(write, "ab"))
    assert sorted(state.number for state in states) == [1, 2]
    assert sorted(tokens(Registry(client).read())) == ["a", "b"]


@keeps_versions
def test_a_put_that_arrives_late_is_refused(local_ci: LocalCI, client: CIClient, adding: Adding) -> None:
    local_ci.faults.add("slow", seconds=5.0, method="PUT", path=f"/{ROOT}0")
    with ThreadPoolExecutor(1) as executor:
        late = executor.submit(Registry(client, timing=SHORT).change, adding("late"))
        while local_ci.faults.pending():
            time.sleep(0.01)
        quick = Registry(client, timing=SHORT).change(adding("quick"))
        assert (quick.number, tokens(quick)) == (1, ["quick"])
        assert tokens(late.result()) == ["quick", "late"]


@keeps_versions
def test_nobody_builds_on_a_state_that_may_still_be_replaced(client: CIClient, adding: Adding) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(Registry(client, timing=SHORT).change, adding("a"))
        while not Registry(client).read().number:
            time.sleep(0.01)
        second = Registry(client, timing=SHORT).change(adding("b"))
        assert time.monotonic() - began >= 2 * (SHORT.creating + SHORT.skew) - 1
        assert second.base == first.result().token


@keeps_versions
def test_too_little_time_is_told(client: CIClient, adding: Adding) -> None:
    Registry(client, timing=SHORT).change(adding("a"))
    client.put_object(f"{ROOT}00000002.json", Registry(client).read().encode())
    with pytest.raises(RegistryBusyError, match="does not protect objects"):
        Registry(client, timing=SHORT).change(adding("b"), timeout_seconds=0.5)


@keeps_versions
def test_a_stop_ends_the_wait(client: CIClient, adding: Adding) -> None:
    class StoppedError(Exception):
        pass

    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        Registry(client, timing=SHORT, raise_if_stopped=stop).change(adding("a"))
