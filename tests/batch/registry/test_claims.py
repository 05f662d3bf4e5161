from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from airflow_provider_ci.batch.registry.claims import Claim, intersecting
from airflow_provider_ci.batch.registry.state import State

ClaimOf = Callable[..., Claim]


def tokens(claims: tuple[Claim, ...]) -> list[str]:
    return [claim.token for claim in claims]


def test_a_claim_survives_json(claim_of: ClaimOf) -> None:
    claim = claim_of(definition="hash", plan="p", prefix="二/\udc80")
    assert Claim.from_json(json.loads(json.dumps(claim.to_json()))) == claim


def test_fields_of_a_later_version_are_kept(claim_of: ClaimOf) -> None:
    content = {**claim_of().to_json(), "region": "ap-guangzhou"}
    assert Claim.from_json(content).to_json() == content


@pytest.mark.parametrize("missing", ["token", "folder", "claimed_at", "seconds"])
def test_a_claim_without_a_field_is_refused(claim_of: ClaimOf, missing: str) -> None:
    content = claim_of().to_json()
    del content[missing]
    with pytest.raises(KeyError):
        Claim.from_json(content)


def test_claims_stand_in_the_order_in_which_they_came(claim_of: ClaimOf) -> None:
    state = State()
    for token in "bca":
        state = state.with_claim(claim_of(token))
    assert tokens(state.claims) == ["b", "c", "a"]
    assert tokens(state.earlier_than("a")) == ["b", "c"]
    assert tokens(state.earlier_than("b")) == []
    assert tokens(state.earlier_than("x")) == ["b", "c", "a"]
    assert tokens(state.without("c").claims) == ["b", "a"]
    assert state.without("x") == state


def test_a_claim_that_is_added_twice_stands_once(claim_of: ClaimOf) -> None:
    state = State().with_claim(claim_of("a")).with_claim(claim_of("b"))
    assert state.with_claim(claim_of("a")) == state
    planned = state.with_claim(claim_of("a", plan="p"))
    assert tokens(planned.claims) == ["a", "b"]
    assert planned.claims[0].plan == "p"


def test_a_claim_takes_the_place_of_another(claim_of: ClaimOf) -> None:
    state = State().with_claim(claim_of("a")).with_claim(claim_of("b"))
    taken = state.replaced("a", claim_of("c"))
    assert tokens(taken.claims) == ["c", "b"]
    assert taken.replaced("a", claim_of("c")) == taken
    assert tokens(state.replaced("gone", claim_of("c")).claims) == ["a", "b", "c"]


def test_the_claims_of_a_folder_and_old_ones(claim_of: ClaimOf) -> None:
    state = State().with_claim(claim_of("a", claimed_at=10)).with_claim(claim_of("b", folder="f/"))
    assert tokens(state.of_folder("f/")) == ["b"]
    assert tokens(state.forgetting(11).claims) == ["b"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("out/", ["a", "b", "d"]),
        ("out/x/y", ["a", "b", "d"]),
        ("other/", ["c", "d"]),
        ("", ["a", "b", "c", "d"]),
    ],
)
def test_prefixes_intersect_where_one_begins_with_the_other(
    claim_of: ClaimOf, prefix: str, expected: list[str]
) -> None:
    prefixes = {"a": "out/", "b": "out/x", "c": "other/", "d": ""}
    claims = [claim_of(token, prefix=each) for token, each in prefixes.items()]
    assert tokens(intersecting(claims, prefix)) == expected
