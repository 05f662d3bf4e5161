from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch.ledger.records import RecordError
from airflow_provider_ci.batch.registry import registry as registry_module
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.registry import Change, Registry, RegistryBusyError, Timing
from airflow_provider_ci.batch.registry.service_time import expiry_now
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    CIError,
    Credentials,
    NotFoundError,
    RetryPolicy,
)
from airflow_provider_ci.local import LocalCI

ROOT = "_ci_batches.registry/"
Adding = Callable[[str], Change]
Sent = Callable[[CIClient], list[tuple[str, str]]]


def tokens(state: State) -> list[str]:
    return [claim.token for claim in state.claims]


@pytest.fixture
def registry(client: CIClient) -> Registry:
    return Registry(client)


@pytest.fixture
def hasty(local_ci: LocalCI) -> Iterator[CIClient]:
    """A client that never repeats a request."""
    credentials = Credentials(secret_id=local_ci.secret_id, secret_key=local_ci.secret_key)
    with CIClient(
        credentials,
        "ap-guangzhou",
        "examplebucket-1250000000",
        endpoint=local_ci.endpoint,
        retry=RetryPolicy(max_attempts=1),
    ) as client:
        yield client


def numbers(bucket: Path) -> list[int]:
    return sorted(int(path.stem) for path in (bucket / ROOT).glob("0*.json"))


def test_an_empty_bucket_has_an_empty_registry(registry: Registry) -> None:
    assert registry.read() == State()


def test_a_change_is_there_for_all(client: CIClient, registry: Registry, adding: Adding) -> None:
    first = registry.change(adding("a"))
    second = Registry(client).change(adding("b"))
    assert (first.number, second.number, second.base) == (1, 2, first.token)
    assert registry.read() == second == Registry(client).read()
    assert tokens(second) == ["a", "b"]
    assert tokens(registry.change(lambda state: state.without("a"))) == ["b"]


def test_a_calm_change_costs_three_requests_and_the_next_one_costs_one(
    client: CIClient, adding: Adding, sent: Sent
) -> None:
    Registry(client).change(adding("a"))
    requests, registry = sent(client), Registry(client)
    registry.change(adding("b"))
    assert [method for method, _ in requests] == ["GET", "GET", "PUT"]
    del requests[:]
    registry.change(adding("c"))
    assert requests == [("PUT", f"/{ROOT}00000003.json")]


def test_a_change_of_nothing_writes_nothing(client: CIClient, adding: Adding, sent: Sent) -> None:
    before = Registry(client).change(adding("a"))
    requests = sent(client)
    assert Registry(client).change(lambda state: state.without("x")) == before
    assert "PUT" not in [method for method, _ in requests]


def test_a_change_of_nothing_looks_at_the_newest_state(
    client: CIClient, registry: Registry, adding: Adding
) -> None:
    registry.change(adding("a"))
    Registry(client).change(adding("b"))
    assert tokens(registry.change(lambda state: state.without("b"))) == ["a"]


def test_who_was_overtaken_builds_on_the_newest_state(
    client: CIClient, registry: Registry, adding: Adding
) -> None:
    registry.change(adding("a"))
    other = Registry(client)
    for number in range(5):
        other.change(adding(str(number)))
    assert tokens(registry.change(adding("b"))) == ["a", *"01234", "b"]


def test_of_many_writers_none_loses_its_change(client: CIClient, adding: Adding, bucket: Path) -> None:
    def write(writer: int) -> None:
        registry = Registry(client)
        for number in range(4):
            registry.change(adding(f"{writer}-{number}"), timeout_seconds=120)

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(write, range(8)))
    found = tokens(Registry(client).read())
    assert sorted(found) == sorted(f"{writer}-{number}" for writer in range(8) for number in range(4))
    for writer in range(8):
        assert [token for token in found if token.startswith(f"{writer}-")] == [
            f"{writer}-{number}" for number in range(4)
        ]
    states = [json.loads((bucket / ROOT / f"{number:08}.json").read_text()) for number in numbers(bucket)]
    assert [state["base"] for state in states[1:]] == [state["token"] for state in states[:-1]]


@pytest.mark.parametrize("action", ["cut_after", "error_after", "cut_before", "truncate"])
def test_a_lost_response_makes_no_second_change(
    local_ci: LocalCI, registry: Registry, adding: Adding, action: str
) -> None:
    registry.change(adding("a"))
    local_ci.faults.add(action, method="PUT", path=f"/{ROOT}0", count=1)
    changed = registry.change(adding("b"))
    assert (changed.number, tokens(changed)) == (2, ["a", "b"])
    assert not local_ci.faults.pending()
    assert registry.read() == changed


def test_a_change_whose_writer_gave_up_is_made_once(
    local_ci: LocalCI, hasty: CIClient, adding: Adding
) -> None:
    registry = Registry(hasty)
    registry.change(adding("a"))
    local_ci.faults.add("cut_after", method="PUT", path=f"/{ROOT}0", count=1)
    with pytest.raises(CIConnectionError):
        registry.change(adding("b"))
    changed = registry.change(adding("b"))
    assert (changed.number, tokens(changed)) == (2, ["a", "b"])


def test_who_is_overtaken_all_the_time_says_so(client: CIClient, registry: Registry, adding: Adding) -> None:
    other = Registry(client)

    def overtaken(state: State) -> State:
        other.change(adding(f"other {state.number}"))
        return adding("mine")(state)

    with pytest.raises(RegistryBusyError, match=r"other batches were quicker \d+ times") as caught:
        registry.change(overtaken, timeout_seconds=0.5)
    assert caught.value.is_retryable


def test_an_error_of_the_service_is_told(
    client: CIClient, registry: Registry, local_ci: LocalCI, adding: Adding
) -> None:
    local_ci.faults.add("error", code="AccessDenied", method="PUT", count=1)
    with pytest.raises(CIError, match="AccessDenied"):
        registry.change(adding("a"))


def test_a_bucket_that_does_not_exist_is_no_empty_registry(client: CIClient, bucket: Path) -> None:
    bucket.rmdir()
    with pytest.raises(NotFoundError, match="NoSuchBucket"):
        Registry(client).read()


def test_an_error_in_a_change_writes_nothing(registry: Registry, adding: Adding) -> None:
    before = registry.change(adding("a"))

    def fail(state: State) -> State:
        raise ZeroDivisionError(tokens(state))

    with pytest.raises(ZeroDivisionError, match="a"):
        registry.change(fail)
    assert registry.read() == before


# Cleaning up


def fill(registry: Registry, adding: Adding, count: int) -> None:
    for number in range(count):
        registry.change(adding(str(number % 3)))
        registry.change(lambda state: state.without("2"))


def test_old_states_are_deleted_at_every_tenth_change(
    client: CIClient, registry: Registry, adding: Adding, bucket: Path, sent: Sent
) -> None:
    for number in range(39):
        registry.change(adding(str(number)))
    for path in (bucket / ROOT).glob("0*.json"):
        os.utime(path, (1, 1))
    requests = sent(client)
    registry.change(adding("39"))
    assert numbers(bucket) == list(range(21, 41))
    assert [method for method, _ in requests].count("DELETE") == 20
    assert tokens(Registry(client).read()) == [str(number) for number in range(40)]


def test_states_that_were_written_lately_stay(registry: Registry, adding: Adding, bucket: Path) -> None:
    for number in range(40):
        registry.change(adding(str(number)))
    assert numbers(bucket) == list(range(1, 41))


def test_a_failure_to_clean_up_fails_no_change(
    local_ci: LocalCI, registry: Registry, adding: Adding, bucket: Path
) -> None:
    for number in range(29):
        registry.change(adding(str(number)))
    for path in (bucket / ROOT).glob("0*.json"):
        os.utime(path, (1, 1))
    local_ci.faults.add("error", code="AccessDenied", method="DELETE", count=100)
    assert registry.change(adding("29")).number == 30
    assert len(numbers(bucket)) == 30


def test_a_writer_that_slept_cannot_create_a_number_that_was_cleaned_up(
    client: CIClient, adding: Adding, bucket: Path
) -> None:
    slow = Registry(client, timing=Timing(known=3600, writing=1))
    slow.change(adding("a"))
    other = Registry(client)
    other.change(adding("b"))
    (bucket / ROOT / "00000002.json").rename(bucket / ROOT / "00000003.json")
    time.sleep(2)
    changed = slow.change(adding("c"))
    assert (changed.number, tokens(changed)) == (4, ["a", "b", "c"])


# Foreign and damaged objects


def test_foreign_names_are_passed_over(client: CIClient, registry: Registry, adding: Adding) -> None:
    registry.change(adding("a"))
    for name in ("zzz", "00000009.json.bak", "9.json", "000000100.json", "README.md", "index/x/000001.json"):
        client.put_object(f"{ROOT}{name}", b"not ours")
    assert tokens(Registry(client).change(adding("b"))) == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"version": 2, "kind": "registry"}', b"[" * 100_000],
    ids=lambda body: repr(body[:12]),
)
def test_a_damaged_state_is_refused_by_name(
    client: CIClient, registry: Registry, adding: Adding, body: bytes
) -> None:
    client.put_object(f"{ROOT}00000007.json", body)
    with pytest.raises(RecordError, match=r"^'_ci_batches\.registry/00000007\.json'.*damaged"):
        registry.read()
    with pytest.raises(RecordError, match=r"00000007\.json"):
        registry.change(adding("a"))


@pytest.mark.parametrize("change", [{"version": 3}, {"kind": "other"}])
def test_a_state_of_a_newer_version_or_another_kind_is_refused(
    client: CIClient, registry: Registry, adding: Adding, change: dict[str, Any]
) -> None:
    registry.change(adding("a"))
    content = json.loads(client.read_object(f"{ROOT}00000001.json"))
    client.put_object(f"{ROOT}00000002.json", json.dumps({**content, **change}).encode())
    with pytest.raises(RecordError, match=r"00000002\.json.*(upgrade airflow-provider-ci|kind 'other')"):
        registry.change(adding("b"))


def test_fields_of_a_later_version_are_kept(client: CIClient, registry: Registry, adding: Adding) -> None:
    registry.change(adding("a"))
    content = json.loads(client.read_object(f"{ROOT}00000001.json"))
    client.put_object(f"{ROOT}00000001.json", json.dumps({**content, "more": [1]}).encode())
    Registry(client).change(adding("b"))
    assert json.loads(client.read_object(f"{ROOT}00000002.json"))["more"] == [1]


# Deletion


@pytest.mark.parametrize("deleted", [(1, 2, 3), (3,), (2, 3), (1,), (2,), (1, 3)])
def test_states_may_be_deleted(
    client: CIClient, adding: Adding, bucket: Path, deleted: tuple[int, ...]
) -> None:
    registry = Registry(client)
    for token in "abc":
        registry.change(adding(token))
    for number in deleted:
        (bucket / ROOT / f"{number:08}.json").unlink()
    left = [number for number in (1, 2, 3) if number not in deleted]
    expected = list("abc"[: max(left, default=0)])
    assert tokens(Registry(client).read()) == expected
    assert tokens(Registry(client).change(adding("d"))) == [*expected, "d"]
    assert "d" in tokens(registry.change(adding("e"))) or left != [1, 2, 3]


def test_a_state_that_vanishes_after_the_listing_is_passed_over(
    client: CIClient, adding: Adding, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(client)
    for token in "ab":
        registry.change(adding(token))
    list_page = client.list_objects_page

    def vanish(*arguments: Any, **options: Any) -> Any:
        page = list_page(*arguments, **options)
        (bucket / ROOT / "00000002.json").unlink()
        return page

    monkeypatch.setattr(client, "list_objects_page", vanish)
    assert tokens(Registry(client).read()) == ["a"]


def test_writers_that_part_after_a_deletion_meet_again(
    client: CIClient, adding: Adding, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Registry(client, timing=Timing(known=3600))
    for token in "abc":
        old.change(adding(token))
    for path in (bucket / ROOT).iterdir():
        path.unlink()
    new = Registry(client, timing=Timing(known=3600))
    new.change(adding("x"))
    old.change(adding("d"))
    monkeypatch.setattr(registry_module, "expiry_now", lambda client: expiry_now(client) + 3601)
    assert tokens(new.change(adding("x"))) == ["a", "b", "c", "d", "x"]
    assert tokens(old.change(adding("e"))) == ["a", "b", "c", "d", "x", "e"]


def test_the_bucket_is_found_out_about_once_an_hour(client: CIClient, adding: Adding, sent: Sent) -> None:
    requests = sent(client)
    first = Registry(client).change(adding("a"))
    assert sum(path.endswith("protected.txt") for _, path in requests) == 2
    assert first.protected_at is not None
    assert abs(first.protected_at - time.time()) < 60
    del requests[:]
    second = Registry(client).change(adding("b"))
    assert second.protected_at == first.protected_at
    old = Registry(client, timing=Timing(protected=0.0)).change(adding("c"))
    assert old.protected_at is not None
    assert [path for _, path in requests if path.endswith("protected.txt")] == [f"/{ROOT}protected.txt"]


def test_two_registries_of_a_bucket_do_not_meet(
    client: CIClient, adding: Adding, claim_of: Callable[..., Claim]
) -> None:
    Registry(client, "a/").change(adding("a"))
    assert tokens(Registry(client, "b/").change(adding("b"))) == ["b"]
