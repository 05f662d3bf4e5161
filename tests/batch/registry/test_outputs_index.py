from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from airflow_provider_ci.batch.ledger.records import RecordError
from airflow_provider_ci.batch.registry import index_state, outputs_index, parts
from airflow_provider_ci.batch.registry.index_state import EMBEDDED_ENTRIES, Entry, Run
from airflow_provider_ci.batch.registry.outputs_index import IndexReader, add_entries, compact, mergeable
from airflow_provider_ci.batch.registry.registry import Change, Registry
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.client import CIClient, CIConnectionError

ROOT = "_ci_batches.registry/"
Sent = Callable[[CIClient], list[tuple[str, str]]]
FAILURE = {"code": "Failed", "message": "the file is damaged", "job_id": "d1", "report": "r"}


@pytest.fixture
def registry(client: CIClient) -> Registry:
    return Registry(client)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits: 20 entries and four parts' first outputs in the state, ten entries in a part."""
    monkeypatch.setattr(index_state, "EMBEDDED_ENTRIES", 20)
    monkeypatch.setattr(parts, "PART_ENTRIES", 10)
    monkeypatch.setattr(parts, "MAX_FIRSTS", 4)


def entries(numbers: Iterable[int], fingerprint: str = "f") -> list[Entry]:
    return [Entry(f"out/{number:06}.pdf", f"{fingerprint}{number}") for number in numbers]


def find(client: CIClient, state: State, outputs: Iterable[str]) -> dict[str, Entry]:
    return IndexReader(client, state, ROOT).find(sorted(outputs))


def all_of(client: CIClient, state: State, count: int = 3000) -> dict[str, Entry]:
    return find(client, state, [f"out/{number:06}.pdf" for number in range(count)])


def as_dict(*lists: list[Entry]) -> dict[str, Entry]:
    return {entry.output: entry for each in lists for entry in each}


def stored(bucket: Path) -> set[str]:
    """The tokens of the runs whose objects are in the bucket."""
    return {path.name for path in (bucket / ROOT / "index").glob("*") if any(path.iterdir())}


def test_few_entries_stand_in_the_state(client: CIClient, registry: Registry, sent: Sent) -> None:
    registry.read()
    requests = sent(client)
    failed = Entry("out/b", "f2", made=False, details=FAILURE)
    state = add_entries(registry, [Entry("out/a", "f1"), failed, Entry("二\udc80", "f3", details={"x": 1})])
    assert [method for method, path in requests if "protected" not in path] == ["PUT"]
    reader = IndexReader(client, Registry(client).read(), ROOT)
    del requests[:]
    assert reader.find(["out/a", "out/aa", "out/b", "二\udc80"]) == {
        "out/a": Entry("out/a", "f1"),
        "out/b": failed,
        "二\udc80": Entry("二\udc80", "f3", details={"x": 1}),
    }
    assert not requests
    assert compact(registry, state) == state


def test_adding_and_what_else_changes_are_one_change(
    client: CIClient, registry: Registry, adding: Callable[[str], Change]
) -> None:
    registry.change(adding("a"))
    for number, count in ((2, 3), (3, 1000)):
        state = add_entries(registry, entries(range(count)), also=lambda state: state.without("a"))
        assert (state.number, state.claims) == (number, ())


def test_adding_nothing_changes_nothing(registry: Registry) -> None:
    assert add_entries(registry, []).number == 0


def test_the_newest_entry_counts(client: CIClient, registry: Registry) -> None:
    add_entries(registry, entries([1, 2]))
    add_entries(registry, entries(range(1000), "g"))
    state = add_entries(registry, entries([2], "h"))
    assert all_of(client, state) == as_dict(entries(range(1000), "g"), entries([2], "h"))
    assert [run.is_embedded for run in state.index.runs] == [True, False, True]
    state = compact(registry, state)
    assert [run.count for run in state.index.runs] == [1000, 1]
    assert all_of(client, state) == as_dict(entries(range(1000), "g"), entries([2], "h"))


def test_what_the_state_has_no_room_for_is_stored(client: CIClient, registry: Registry) -> None:
    added: list[Entry] = []
    for number in range(0, 1000, 90):
        added += entries(range(number, number + 90))
        state = compact(registry, add_entries(registry, added[-90:]))
        assert sum(run.count for run in state.index.runs if run.is_embedded) <= EMBEDDED_ENTRIES
        assert all_of(client, state) == as_dict(added)
    assert len([run for run in state.index.runs if not run.is_embedded]) == 1


@pytest.mark.parametrize("outputs", [["b", "a"], ["a", "a"], ["a", "c", "b"]])
@pytest.mark.parametrize("more", [0, 1000])
def test_entries_that_are_not_sorted_are_refused(registry: Registry, outputs: list[str], more: int) -> None:
    unsorted = [*(Entry(output, "f") for output in outputs), *entries(range(more))]
    with pytest.raises(ValueError, match=r"must be sorted: '[ab]' comes behind"):
        add_entries(registry, unsorted)


@pytest.mark.parametrize("count", [301, 1000, 1001, 1010])
def test_many_entries_are_stored_in_parts(
    client: CIClient, registry: Registry, small_parts: None, count: int, bucket: Path
) -> None:
    state = add_entries(registry, iter(entries(range(count))))
    (run,) = state.index.runs
    assert (run.count, run.parts, run.firsts) == (count, -(-count // 10), ())
    assert all_of(client, state) == as_dict(entries(range(count)))
    (token,) = stored(bucket)
    assert len(list((bucket / ROOT / "index" / token).iterdir())) == run.parts + 1


def test_a_reader_reads_each_part_once_and_no_needless_one(
    client: CIClient, registry: Registry, small_parts: None, sent: Sent
) -> None:
    state = add_entries(registry, entries(range(0, 2000, 2)))
    requests, reader = sent(client), IndexReader(client, state, ROOT)
    found: dict[str, Entry] = {}
    for start in range(0, 2000, 7):
        found.update(reader.find([entry.output for entry in entries(range(start, min(start + 7, 2000)))]))
    assert found == as_dict(entries(range(0, 2000, 2)))
    assert len(requests) == len(set(requests)) == 101
    del requests[:]
    reader = IndexReader(client, state, ROOT)
    assert not reader.find(["a", "out/", "zzz"])
    assert not requests
    assert list(reader.find(["out/000010.pdf", "out/000011.pdf", "out/000012.pdf", "z"])) == [
        "out/000010.pdf",
        "out/000012.pdf",
    ]
    assert len(requests) == 2


def test_few_outputs_cost_one_part_for_each_run(client: CIClient, registry: Registry, sent: Sent) -> None:
    for start, count in ((0, 50_000), (1, 1_000)):
        state = add_entries(registry, entries(range(start, start + count)))
    requests = sent(client)
    assert len(find(client, state, ["out/000005.pdf", "out/000100.pdf"])) == 2
    assert len(requests) == 1  # both outputs are in the newest run
    del requests[:]
    assert len(find(client, state, ["out/000005.pdf", "out/000000.pdf"])) == 2
    assert len(requests) == 2


@pytest.mark.parametrize("seed", range(3))
def test_compaction_loses_nothing_and_keeps_few_runs(
    client: CIClient, registry: Registry, small_parts: None, seed: int
) -> None:
    chance, model = random.Random(seed), dict[str, Entry]()
    for turn in range(25):
        count = chance.choice([1, 5, 12, 21, 60])
        new = entries(sorted(chance.sample(range(400), count)), f"{turn}-")
        state = compact(registry, add_entries(registry, new))
        model.update(as_dict(new))
        assert all_of(client, state, 400) == model
    sizes = [run.count for run in state.index.runs if not run.is_embedded]
    assert not mergeable(state.index.runs)
    assert all(2 * after < before for before, after in pairwise(sizes))


def run_of(count: int, *, is_embedded: bool = False) -> Run:
    return Run(token=str(count), count=count, first="a", last="b", parts=0 if is_embedded else 1)


@pytest.mark.parametrize(
    ("stored_runs", "merged"),
    [
        ([], 0),
        ([100_000], 0),
        ([100_000, 49_000], 0),
        ([100_000, 50_000], 2),
        ([200_000, 70_000, 40_000], 3),
        ([400_000, 70_000, 40_000], 2),
        ([1_000_000, 19_000, 500], 2),
        ([1_000_000, 19_000, 1_500], 0),
    ],
)
def test_runs_are_merged_as_a_binary_counter_does(stored_runs: list[int], merged: int) -> None:
    runs = [run_of(count) for count in stored_runs]
    assert len(mergeable(runs)) == merged
    assert list(mergeable([*runs, run_of(3, is_embedded=True)])) == list(mergeable(runs))


def test_merged_runs_are_deleted_one_hour_and_one_compaction_later(
    client: CIClient, registry: Registry, small_parts: None, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_entries(registry, entries(range(400)))
    before = add_entries(registry, entries(range(400, 800)))
    state = compact(registry, before)
    assert {each.token for each in state.index.garbage} == {run.token for run in before.index.runs}
    assert all_of(client, before) == all_of(client, state) == as_dict(entries(range(800)))
    state = compact(registry, add_entries(registry, entries(range(800, 1200))))
    assert len(state.index.garbage) == 4
    monkeypatch.setattr(outputs_index, "GARBAGE_SECONDS", 0.0)
    state = compact(registry, add_entries(registry, entries(range(1200, 2000))))
    assert len(state.index.garbage) == 2
    assert stored(bucket) == state.index.tokens()
    reader = IndexReader(client, before, ROOT)
    assert not reader.find([f"out/{number:06}.pdf" for number in range(800)])
    assert reader.missing_parts == 2  # parts.json of each of the two runs


def test_a_missing_part_is_unknown(
    client: CIClient, registry: Registry, small_parts: None, bucket: Path
) -> None:
    state = add_entries(registry, entries(range(400)))
    (bucket / ROOT / "index" / state.index.runs[0].token / "000003.json").unlink()
    reader = IndexReader(client, state, ROOT)
    outputs = [entry.output for entry in entries(range(400))]
    assert reader.find(outputs) == as_dict(entries(range(20)), entries(range(30, 400)))
    assert reader.missing_parts == 1
    state = compact(registry, add_entries(registry, entries(range(400, 800))))
    assert all_of(client, state) == as_dict(entries(range(20)), entries(range(30, 800)))


@pytest.mark.parametrize("deleted", ["000003.json", "parts.json"])
def test_what_a_missing_part_knew_is_not_taken_from_an_older_run(
    client: CIClient, registry: Registry, small_parts: None, bucket: Path, deleted: str
) -> None:
    """An output was A, then B. If B's entry is lost, A's must not be found: the output is unknown."""
    for fingerprint, count in (("a", 200), ("b", 90), ("c", 1)):
        state = add_entries(registry, entries(range(count), fingerprint))
    (bucket / ROOT / "index" / state.index.runs[1].token / deleted).unlink()
    lost = range(20, 30) if deleted == "000003.json" else range(1, 90)
    kept = [*entries([0], "c"), *entries(range(1, 90), "b"), *entries(range(90, 200), "a")]
    expected = {key: each for key, each in as_dict(kept).items() if int(key[4:10]) not in lost}
    assert all_of(client, state) == expected
    state = compact(registry, add_entries(registry, entries(range(200, 280))))
    assert len(state.index.runs) == 1
    # Compaction finds the parts even without the object that holds their first outputs.
    lost = range(20, 30) if deleted == "000003.json" else range(0)
    expected = {key: each for key, each in as_dict(kept).items() if int(key[4:10]) not in lost}
    assert all_of(client, state) == {**expected, **as_dict(entries(range(200, 280)))}


def test_a_whole_index_may_be_missing(
    client: CIClient, registry: Registry, small_parts: None, bucket: Path
) -> None:
    state = add_entries(registry, entries(range(400)))
    for path in (bucket / ROOT / "index").rglob("*.json"):
        path.unlink()
    reader = IndexReader(client, state, ROOT)
    assert (reader.find(["out/000001.pdf"]), reader.missing_parts) == ({}, 1)
    state = compact(registry, add_entries(registry, entries(range(400, 701))))
    assert all_of(client, state) == as_dict(entries(range(400, 701)))
    for path in (bucket / ROOT / "index").rglob("*.json"):
        path.unlink()
    add_entries(registry, entries(range(301)))
    for path in (bucket / ROOT / "index").rglob("*.json"):
        path.unlink()
    assert not compact(registry).index.runs


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'[2,"outputs",1,2,3]', b'[2,"outputs","a"]', b"[2]"])
def test_a_damaged_part_is_refused_by_name(client: CIClient, registry: Registry, body: bytes) -> None:
    state = add_entries(registry, entries(range(400)))
    client.put_object(f"{ROOT}index/{state.index.runs[0].token}/000001.json", body)
    with pytest.raises(RecordError, match=r"/000001\.json' is damaged"):
        all_of(client, state)


def test_a_part_of_a_newer_version_is_refused(client: CIClient, registry: Registry) -> None:
    state = add_entries(registry, entries(range(400)))
    client.put_object(f"{ROOT}index/{state.index.runs[0].token}/000001.json", b'[3,"outputs"]')
    with pytest.raises(RecordError, match="upgrade airflow-provider-ci"):
        all_of(client, state)


def test_batches_that_end_at_the_same_time_lose_nothing(
    client: CIClient, small_parts: None, bucket: Path
) -> None:
    def end(writer: int) -> None:
        registry = Registry(client)
        for turn in range(4):
            start = 1000 * writer + 200 * turn
            state = add_entries(registry, entries(range(start, start + 60 + 70 * turn)), timeout_seconds=120)
            compact(registry, state, timeout_seconds=120)

    with ThreadPoolExecutor(3) as executor:
        list(executor.map(end, range(3)))
    expected = [
        range(1000 * w + 200 * t, 1000 * w + 200 * t + 60 + 70 * t) for w in range(3) for t in range(4)
    ]
    state = compact(Registry(client))
    assert all_of(client, state) == as_dict(*map(entries, expected))
    known = state.index.tokens()
    assert stored(bucket) <= known


def test_who_merges_what_another_has_merged_deletes_its_own(
    client: CIClient, registry: Registry, small_parts: None, bucket: Path
) -> None:
    add_entries(registry, entries(range(400)))
    state = add_entries(registry, entries(range(400, 800)))
    first = compact(Registry(client), state)
    second = compact(registry, state)
    assert second == first
    assert stored(bucket) == first.index.tokens()


def test_a_run_that_nobody_published_is_deleted_after_a_day(
    client: CIClient, registry: Registry, small_parts: None, bucket: Path
) -> None:
    for token in ("lost", "young"):
        client.put_object(f"{ROOT}index/{token}/000001.json", b"[]")
    os.utime(bucket / ROOT / "index/lost/000001.json", (1, 1))
    add_entries(registry, entries(range(400)))
    compact(registry, add_entries(registry, entries(range(400, 800))))
    assert "young" in stored(bucket)
    assert "lost" not in stored(bucket)


def test_who_dies_between_storing_and_publishing_leaves_the_index_as_it_was(
    client: CIClient, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = add_entries(registry, entries(range(10)))

    def die(*_: object, **__: object) -> State:
        raise CIConnectionError("gone", was_sent=True)

    with monkeypatch.context() as patched:
        patched.setattr(registry, "change", die)
        with pytest.raises(CIConnectionError):
            add_entries(registry, entries(range(400)))
    assert Registry(client).read() == before


def test_a_state_stays_small(client: CIClient, registry: Registry, small_parts: None) -> None:
    for start in range(0, 3000, 310):
        state = compact(registry, add_entries(registry, entries(range(start, start + 310))))
    assert len(state.encode()) < 5_000
    assert json.loads(state.encode())["index"]["runs"]
