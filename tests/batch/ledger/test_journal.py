"""The journal of a plan: written entries are read back, and deleted records are noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectState
from airflow_provider_ci.batch.ledger import journal, plan_store
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import PlanHeader, StoredPlan, freeze_plan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError, RecordError, RecordWriter
from airflow_provider_ci.batch.ledger.state import (
    Attempt,
    RunningJob,
    running_line,
    unconfirmed_line,
    waiting_line,
)
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.results import result_without_job
from airflow_provider_ci.client import CIClient, CIConnectionError, CIError, RetryPolicy
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, pause

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
HEADER = PlanHeader(
    batch_id="test",
    token="t",
    claim="c",
    definition="d",
    operation={"type": "DocProcess"},
    operation_fingerprint="o",
    tag="DocProcess",
    total=6,
    started_at=0.0,
)


def opened(client: CIClient, folder: str = FOLDER) -> Journal:
    return Journal(client=client, plan=StoredPlan(client=client, folder=folder, header=HEADER))


def planned(index: int) -> PlannedObject:
    return PlannedObject(
        index=index, key=f"in/{index}", size=1, etag="e", output_key=f"out/{index:02}", fingerprint="f"
    )


def running(index: int, number: int = 1) -> dict[str, Any]:
    created_at = NOON + timedelta(seconds=index)
    attempt = Attempt(planned=planned(index), number=number)
    return running_line(RunningJob(attempt, f"d{index}of{number}", created_at))


def unconfirmed(index: int) -> dict[str, Any]:
    return unconfirmed_line(Attempt(planned=planned(index), look_back_to=NOON, expires_at=7.0))


def waiting(index: int, number: int = 1) -> dict[str, Any]:
    return waiting_line(Attempt(planned=planned(index), number=number))


def write_block(made: Journal, next_index: int, lines: list[dict[str, Any]]) -> None:
    made.add_block(next_index, lines, is_deferrable=False)


def freeze(client: CIClient, objects: list[PlannedObject], **options: Any) -> StoredPlan:
    return freeze_plan(
        RecordWriter(client=client),
        FOLDER,
        "t",
        iter(objects),
        lambda total, parts: replace(HEADER, total=total, parts=parts),
        **{"check": lambda: None, **options},
    )


# The plan


@pytest.mark.parametrize("count", [0, 1, 3, 4, 10, 25])
def test_a_plan_is_read_from_any_object_on(
    count: int, client: CIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_store, "PART_LINES", 10)
    monkeypatch.setattr(plan_store, "INLINE_LINES", 3)
    decisions = (Decision.SUBMIT, Decision.UP_TO_DATE)
    objects = [replace(planned(index), decision=decisions[index % 2]) for index in range(count)]
    made = freeze(client, objects)
    assert read_plan(client, FOLDER) == made
    assert made.header.total == count
    assert len(made.header.parts) == (0 if count <= 3 else -(-count // 10))
    for start in {0, 1, count // 2, max(count - 1, 0), count}:
        assert list(made.objects(start)) == objects[start:]


def test_claimed_outputs_are_read_from_their_parts_only(
    client: CIClient, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_store, "PART_LINES", 10)
    monkeypatch.setattr(plan_store, "INLINE_LINES", 3)
    made = freeze(client, [planned(index) for index in range(30)])
    for number in (1, 3):
        (bucket / FOLDER / f"t/plan/00000{number}.jsonl").unlink()
    assert [each.index for each in made.claimed("out/12", "out/14")] == [12, 13, 14]
    with pytest.raises(MissingRecordError, match=r"plan/000003\.jsonl"):
        list(made.claimed("out/12", "out/21"))


def test_planning_ends_when_it_is_told_to(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_store, "PART_LINES", 10)
    monkeypatch.setattr(plan_store, "INLINE_LINES", 3)
    checks = iter([None, None])
    with pytest.raises(StopIteration):
        freeze(client, [planned(index) for index in range(100)], check=lambda: next(checks))
    assert len(list(client.list_objects(FOLDER))) == 2
    assert read_plan(client, FOLDER) is None, "a plan counts once its header is written"


# The journal

Step = Callable[[Journal], None]

STEPS: list[Step] = [
    lambda made: write_block(made, 3, [running(0), unconfirmed(1), waiting(2)]),
    lambda made: write_block(made, 4, [running(2), running(3), waiting(1)]),
    lambda made: conclude(made, 0, ObjectState.SUCCEEDED),
    lambda made: write_block(made, 4, [running(1), waiting(3, 2)]),
    lambda made: conclude(made, 2, ObjectState.FAILED),
    lambda made: write_block(made, 6, [running(3, 2), running(4)]),
    lambda made: conclude(made, 4, ObjectState.SUCCEEDED),
]


def conclude(made: Journal, index: int, state: ObjectState) -> None:
    """Add a result, and write a block so that the result is stored."""
    made.add_result(result_without_job(planned(index), state), is_pressing=True)
    write_block(made, 0, [])


def test_the_state_is_the_same_wherever_a_checkpoint_was_written(client: CIClient) -> None:
    for end in range(len(STEPS) + 1):
        expected = told(client, f"{end}/none/", end, ())
        for checkpoint in range(end):
            assert told(client, f"{end}/{checkpoint}/", end, (checkpoint,)) == expected
        assert told(client, f"{end}/all/", end, range(end)) == expected


def told(client: CIClient, folder: str, end: int, checkpoints: Any) -> Any:
    """Write ``end`` steps, and a checkpoint after each step in ``checkpoints``; return the state as read."""
    made = opened(client, folder)
    for number, step in enumerate(STEPS[:end]):
        step(made)
        if number in checkpoints:
            made.write_checkpoint(opened(client, folder).read_state())
    state = opened(client, folder).read_state()
    return state.as_header(), sorted(state.as_lines(), key=lambda line: line["index"])


def test_the_state_says_where_each_object_is(client: CIClient) -> None:
    made = opened(client)
    for step in STEPS:
        step(made)
    state = opened(client).read_state()
    assert state.running.keys() == {"d1of1", "d3of2"}
    assert not state.waiting
    assert not state.unconfirmed
    assert state.counts == {ObjectState.SUCCEEDED: 2, ObjectState.FAILED: 1}
    assert (state.next_index, state.jobs) == (6, 6)
    assert state.newest_job == NOON + timedelta(seconds=4)


def test_a_next_run_goes_on_with_the_numbers_of_the_last(client: CIClient, bucket: Path) -> None:
    write_block(opened(client), 1, [running(0)])
    after = opened(client)
    after.read_state()
    write_block(after, 2, [running(1)])
    after.add_result(result_without_job(planned(0), ObjectState.SUCCEEDED))
    after.write_checkpoint(opened(client).read_state())
    root = bucket / FOLDER / "t"
    assert sorted(path.name for path in (root / "submitted").iterdir()) == ["000001.jsonl", "000002.jsonl"]
    reread = opened(client)
    reread.read_state()
    assert [found.index for found in reread.results()] == [0]


def test_deferrable_records_are_written_at_the_next_occasion(client: CIClient, bucket: Path) -> None:
    made, folder = opened(client), bucket / FOLDER / "t"
    made.add_block(2, [running(0), running(1)], is_deferrable=True)
    made.add_result(result_without_job(planned(0), ObjectState.SUCCEEDED))
    assert not folder.exists()
    assert [found.index for found in made.results()] == [0], "the run itself knows them"
    made.write_pending()
    state = opened(client).read_state()
    assert (state.finished, list(state.running)) == (1, ["d1of1"])


def test_a_checkpoint_takes_the_place_of_a_deferred_block(client: CIClient, bucket: Path) -> None:
    made, state = opened(client), opened(client).read_state()
    state.apply([running(0)])
    state.next_index = 1
    made.add_block(1, [running(0)], is_deferrable=True)
    made.write_checkpoint(state)
    assert not (bucket / FOLDER / "t/submitted").exists()
    assert opened(client).read_state().running.keys() == {"d0of1"}


def test_after_many_blocks_a_checkpoint_is_due(client: CIClient) -> None:
    made = opened(client)
    for number in range(journal.CHECKPOINT_OBJECTS):
        assert not made.is_checkpoint_due
        write_block(made, number, [])
    assert made.is_checkpoint_due
    made.write_checkpoint(opened(client).read_state())
    assert not made.is_checkpoint_due
    reopened = opened(client)
    reopened.read_state()
    assert not reopened.is_checkpoint_due


@pytest.mark.parametrize("action", ["cut_before", "cut_after", "error_after"])
def test_a_block_whose_answer_was_lost_is_sent_again_byte_for_byte(
    local_ci: LocalCI, client_of: Connect, action: str, bucket: Path
) -> None:
    with client_of(local_ci, retry=RetryPolicy(max_attempts=1)) as client:
        made = opened(client)
        local_ci.faults.add(action, method="PUT", path=f"/{FOLDER}t/submitted/")
        with pytest.raises(CIError):
            write_block(made, 1, [running(0)])
        path = bucket / FOLDER / "t/submitted/000001.jsonl"
        before = path.read_bytes() if path.exists() else None
        made.flush()
        assert before in (None, path.read_bytes())
        write_block(made, 2, [running(1)])
        assert opened(client).read_state().running.keys() == {"d0of1", "d1of1"}


def test_what_could_not_be_sent_is_sent_before_what_is_newer(local_ci: LocalCI, client_of: Connect) -> None:
    with client_of(local_ci, retry=RetryPolicy(max_attempts=1)) as client:
        made = opened(client)
        local_ci.faults.add("cut_before", method="PUT", count=2)
        for index in range(2):
            with pytest.raises(CIConnectionError):
                write_block(made, index + 1, [running(index)])
        assert not list(client.list_objects(FOLDER))
        write_block(made, 3, [running(2)])
        assert [found.key[-12:] for found in client.list_objects(FOLDER)] == [
            f"00000{number}.jsonl" for number in (1, 2, 3)
        ]


def test_cancelling_is_noted_until_it_is_forgotten(client: CIClient) -> None:
    made = opened(client)
    assert not opened(client).read_state().asked_to_cancel
    made.note_cancelling()
    assert opened(client).read_state().asked_to_cancel
    made.forget_cancelling()
    assert not opened(client).read_state().asked_to_cancel


# Deleted records


def test_each_deleted_record_is_noticed_or_harmless(client: CIClient, bucket: Path) -> None:
    """A journal that lost an object's job is damaged, unless the object has a result."""
    made = opened(client)
    for step in STEPS:
        step(made)
    paths = sorted((bucket / FOLDER / "t").rglob("*.jsonl"))
    assert len(paths) == 10
    for path in paths:
        body = path.read_bytes()
        path.unlink()
        reread = opened(client)
        state = reread.read_state()
        known = {found.attempt.planned.index for found in state.running.values()} | {
            result.index for result in reread.results()
        }
        is_whole = (state.next_index, known) == (6, {0, 1, 2, 3, 4})
        assert reread.is_damaged or is_whole or state.next_index < 6 or path.parent.name == "submitted", path
        path.write_bytes(body)


def test_a_deleted_part_before_the_checkpoint_is_noticed(client: CIClient, bucket: Path) -> None:
    made = opened(client)
    for index in range(3):
        conclude(made, index, ObjectState.SUCCEEDED)
    made.write_checkpoint(opened(client).read_state())
    (bucket / FOLDER / "t/results/000002.jsonl").unlink()
    reread = opened(client)
    reread.read_state()
    assert reread.is_damaged


def test_a_record_that_a_late_listing_does_not_show_is_read(tmp_path: Path, client_of: Connect) -> None:
    (tmp_path / "examplebucket-1250000000").mkdir()
    with (
        LocalCI(tmp_path, convert="instant", listing_delay_seconds=30) as server,
        client_of(server) as client,
    ):
        write_block(opened(client), 1, [running(0)])
        after = opened(client)
        after.read_state()
        write_block(after, 2, [running(1)])
        reread = opened(client)
        assert reread.read_state().running.keys() == {"d0of1", "d1of1"}
        assert not reread.is_damaged


@pytest.mark.parametrize("name", ["plan.json", "{token}/checkpoint.jsonl"])
@pytest.mark.parametrize("damage", ["version", "cut"])
def test_an_unreadable_ledger_ends_the_run_and_nothing_is_submitted(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, name: str, damage: str
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    pause(client)
    made = batch(client, max_in_flight=2)
    assert made.advance(patience=0, deadline=NOON.timestamp() * 2) is None
    path = bucket / FOLDER / name.format(token=made.parked["plan"])
    text = path.read_text()
    path.write_text(text.replace('"version": 2', '"version": 3') if damage == "version" else text[:-30])
    with pytest.raises(RecordError, match=path.name.replace(".", r"\.")):
        batch(client, max_in_flight=4).run()
    assert len(list(client.list_doc_jobs())) == 2
