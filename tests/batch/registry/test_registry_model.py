"""A model of the registry and its index: writers, lost responses and deletions, in any order."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_ci.batch.registry import index_state, parts
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.index_state import Entry, from_cells
from airflow_provider_ci.batch.registry.outputs_index import IndexReader, add_entries, compact
from airflow_provider_ci.batch.registry.registry import Change, Registry
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.client import CIClient, CIConnectionError, CIServiceError, Credentials, RetryPolicy
from airflow_provider_ci.local import LocalCI

ROOT = "_ci_batches.registry/"
WRITERS = st.integers(0, 2)
UNIVERSE = [f"out/{number:03}" for number in range(80)]
OUTPUTS = st.sets(st.sampled_from(UNIVERSE), max_size=25).map(sorted)
FAULTS = st.sampled_from(["cut_before", "cut_after", "error_after", "truncate"])
NUMBERS = count(1)


class RegistryMachine(RuleBasedStateMachine):
    """Three writers of one bucket; the first repeats a request after a lost response, the others give up."""

    def __init__(self, server: LocalCI) -> None:
        super().__init__()
        name = f"registry{next(NUMBERS)}-1250000000"
        self.server = server
        self.folder = server.bucket_path(name) / ROOT
        self.folder.mkdir(parents=True)
        self.stack = ExitStack()
        self.clients = [self.connect(name, attempts) for attempts in (4, 1, 1)]
        self.reader = self.connect(name, 4)
        self.registries = [Registry(client) for client in self.clients]
        self.claims: list[str] = []
        self.known: dict[str, Entry] = {}
        self.lost: set[str] = set()
        """Outputs that may be unknown because an object of the index was deleted."""
        self.versions = count(1)

    def connect(self, bucket: str, attempts: int) -> CIClient:
        keys = Credentials(secret_id=self.server.secret_id, secret_key=self.server.secret_key)
        retry = RetryPolicy(max_attempts=attempts, first_wait_seconds=0.01, max_wait_seconds=0.01)
        client = CIClient(keys, "ap-guangzhou", bucket, endpoint=self.server.endpoint, retry=retry)
        return self.stack.enter_context(client)

    def teardown(self) -> None:
        self.server.faults.clear()
        self.stack.close()

    tokens = Bundle("tokens")

    # Events

    @rule(writer=WRITERS, target=tokens)
    def claim(self, writer: int) -> str:
        token = f"claim {next(self.versions)}"
        self.change(writer, lambda state: state.with_claim(claim_of(token)))
        if self.is_there(token):
            self.claims.append(token)
        return token

    @rule(writer=WRITERS, token=tokens)
    def release(self, writer: int, token: str) -> None:
        self.change(writer, lambda state: state.without(token))
        if token in self.claims and not self.is_there(token):
            self.claims.remove(token)

    @rule(writer=WRITERS, old=tokens, target=tokens)
    def take_over(self, writer: int, old: str) -> str:
        token = f"claim {next(self.versions)}"
        self.change(writer, lambda state: state.replaced(old, claim_of(token)))
        if self.is_there(token):
            place = self.claims.index(old) if old in self.claims else len(self.claims)
            self.claims[place : place + 1] = [token]
        return token

    @rule(target=tokens, number=st.integers(2, 3))
    def claim_at_the_same_time(self, number: int) -> Any:
        self.server.faults.clear()  # it would be random which writer meets a fault
        new = [f"claim {next(self.versions)}" for _ in range(number)]

        def add(writer: int) -> State:
            return self.registries[writer].change(lambda state: state.with_claim(claim_of(new[writer])))

        with ThreadPoolExecutor(number) as executor:
            states = list(executor.map(add, range(number)))
        self.claims += [new[i] for i in sorted(range(number), key=lambda i: states[i].number)]
        return multiple(*new)

    @rule(writer=WRITERS, outputs=OUTPUTS, made=st.booleans())
    def add(self, writer: int, outputs: list[str], made: bool) -> None:
        version = str(next(self.versions))
        entries = [Entry(output, version, made, None if made else {"code": "x"}) for output in outputs]
        before = self.newest()
        self.attempt(lambda: add_entries(self.registries[writer], entries))
        if entries and self.newest() != before:
            self.known.update({entry.output: entry for entry in entries})
            self.lost.difference_update(outputs)

    @rule(writer=WRITERS)
    def compact(self, writer: int) -> None:
        self.attempt(lambda: compact(self.registries[writer]))

    @rule(writer=WRITERS)
    def restart(self, writer: int) -> None:
        self.registries[writer] = Registry(self.clients[writer])

    @rule(action=FAULTS, number=st.integers(1, 2))
    def lose_responses(self, action: str, number: int) -> None:
        self.server.faults.add(action, method="PUT", path=f"/{ROOT}", count=number)

    @rule(data=st.data())
    def delete_states(self, data: st.DataObject) -> None:
        """Delete some states; new registries act as writers that have noticed the deletion."""
        names = sorted(path.name for path in self.folder.glob("0*.json"))
        for name in data.draw(st.sets(st.sampled_from(names)) if names else st.just(set[str]())):
            (self.folder / name).unlink()
        self.registries = [Registry(client) for client in self.clients]
        state = self.newest()
        self.claims = [claim["token"] for claim in state["claims"]]
        self.known, is_whole = self.read_index(state)
        self.lost = set() if is_whole else set(UNIVERSE)

    @rule(data=st.data())
    def delete_objects_of_the_index(self, data: st.DataObject) -> None:
        names = sorted(str(path) for path in (self.folder / "index").rglob("*.json"))
        for name in data.draw(st.sets(st.sampled_from(names), max_size=2) if names else st.just(set[str]())):
            (self.folder / name).unlink()
            self.lost = set(UNIVERSE)

    # Invariants

    @invariant()
    def claims_vanish_only_when_they_are_released(self) -> None:
        assert [claim["token"] for claim in self.newest()["claims"]] == self.claims

    @invariant()
    def each_state_is_built_on_the_one_before(self) -> None:
        states = {int(path.stem): json.loads(path.read_text()) for path in self.folder.glob("0*.json")}
        assert len({state["token"] for state in states.values()}) == len(states)
        for number, state in states.items():
            if number - 1 in states:
                assert state["base"] == states[number - 1]["token"]

    @invariant()
    def an_output_is_found_as_it_was_added_last_or_not_at_all(self) -> None:
        state = Registry(self.reader).read()
        assert sum(run.count for run in state.index.runs if run.is_embedded) <= index_state.EMBEDDED_ENTRIES
        reader, found = IndexReader(self.reader, state, ROOT), dict[str, Entry]()
        for start in range(0, len(UNIVERSE), 16):
            found.update(reader.find(UNIVERSE[start : start + 16]))
        for output in UNIVERSE:
            if output not in self.lost or output in found:
                assert found.get(output) == self.known.get(output), output

    # Helpers

    def change(self, writer: int, fn: Change) -> None:
        self.attempt(lambda: self.registries[writer].change(fn))

    def attempt(self, what: Callable[[], Any]) -> None:
        """Call ``what``; ignore errors that a fault explains: the bucket shows whether the call worked."""
        faults = self.server.faults.pending()
        try:
            what()
        except (CIConnectionError, CIServiceError):
            assert self.server.faults.pending() != faults, "an error that no fault explains"

    def newest(self) -> Any:
        names = sorted(path.name for path in self.folder.glob("0*.json"))
        if not names:
            return {"number": 0, "claims": [], "index": {"runs": []}}
        return json.loads((self.folder / names[-1]).read_text())

    def is_there(self, token: str) -> bool:
        return any(claim["token"] == token for claim in self.newest()["claims"])

    def read_index(self, state: Any) -> tuple[dict[str, Entry], bool]:
        """All entries, read without the code under test, and whether no object of the index was missing."""
        known: dict[str, Entry] = {}
        is_whole = True
        for run in state["index"]["runs"]:
            cells: list[Any] = run.get("entries", [])
            for number in range(run.get("parts", 0)):
                path = self.folder / "index" / run["token"] / f"{number + 1:06}.json"
                is_whole &= path.exists()
                cells += json.loads(path.read_text())[2:] if path.exists() else []
            is_whole &= bool(cells) and (
                run.get("parts", 0) <= parts.MAX_FIRSTS
                or (self.folder / "index" / run["token"] / "parts.json").exists()
            )
            known.update({entry.output: entry for entry in from_cells(cells)})
        return known, is_whole


def claim_of(token: str) -> Claim:
    return Claim(
        token=token,
        folder="f/",
        batch_id="b",
        prefix="out/",
        operation="pdf",
        claimed_at=0.0,
        seconds=60.0,
        holder="h",
    )


def test_no_order_of_events_loses_a_claim_or_tells_an_older_entry(
    local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_state, "EMBEDDED_ENTRIES", 12)
    monkeypatch.setattr(parts, "PART_ENTRIES", 5)
    monkeypatch.setattr(parts, "MAX_FIRSTS", 2)

    class Machine(RegistryMachine):
        def __init__(self) -> None:
            super().__init__(local_ci)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
