from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow_provider_ci.batch.plan import PlannedJob
from airflow_provider_ci.batch.state import RunningJob, running_line, unsure_line, waiting_line
from airflow_provider_ci.batch.submit import Attempt

from airflow_provider_ci.batch import Batch, BatchRunningError, ObjectState, ledger
from airflow_provider_ci.batch.ledger import (
    Generation,
    Ledger,
    find_generation,
    write_generation,
    write_plan,
)
from airflow_provider_ci.batch.ledger.records import RecordError, RecordWriter
from airflow_provider_ci.batch.results import verdict_without_job
from airflow_provider_ci.client import CIClient, CIConnectionError, CIError, RetryPolicy
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]

FOLDER = "_ci_batches/test/"
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
GENERATION = Generation(
    batch_id="test",
    number=1,
    token="t",
    tag="DocProcess",
    work="w",
    total=6,
    parts=1,
    started_at=0.0,
    fence_time=NOON.isoformat(),
    fence_jobs=("d1", "d2"),
)


def opened(client: CIClient, folder: str = FOLDER, **values: Any) -> Ledger:
    return Ledger(client=client, folder=folder, generation=replace(GENERATION, **values))


def planned(index: int) -> PlannedJob:
    return PlannedJob(
        index=index, key=f"in/{index}", size=1, etag="e", output_key=f"out/{index}", fingerprint="f"
    )


def running(index: int, number: int = 1) -> dict[str, Any]:
    created_at = NOON + timedelta(seconds=index)
    attempt = Attempt(planned=planned(index), number=number)
    return running_line(RunningJob(attempt, f"d{index}of{number}", created_at))


def unsure(index: int) -> dict[str, Any]:
    return unsure_line(Attempt(planned=planned(index), look_back_to=NOON))


def waiting(index: int, number: int = 1) -> dict[str, Any]:
    return waiting_line(Attempt(planned=planned(index), number=number))


def test_a_plan_is_read_from_any_object_on(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PART_LINES", 10)
    jobs = [replace(planned(index), is_fresh=index % 2 == 0) for index in range(25)]
    total, parts = write_plan(RecordWriter(client=client), FOLDER, 1, iter(jobs), check=lambda: None)
    assert (total, parts) == (25, 3)
    made = opened(client, total=total, parts=parts)
    for start in (0, 1, 9, 10, 24, 25):
        assert list(made.planned(start)) == jobs[start:]


def test_planning_ends_when_it_is_told_to(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PART_LINES", 10)
    answers = iter([None, None])
    with pytest.raises(StopIteration):
        write_plan(
            RecordWriter(client=client), FOLDER, 1, map(planned, range(100)), check=lambda: next(answers)
        )
    assert len(list(client.list_objects(FOLDER))) == 2


def test_a_generation_counts_once_it_is_written(client: CIClient) -> None:
    assert find_generation(client, FOLDER) is None
    write_generation(RecordWriter(client=client), FOLDER, GENERATION)
    assert find_generation(client, FOLDER) == GENERATION
    assert GENERATION.newest_job_before == NOON
    opened(client).finish()
    assert find_generation(client, FOLDER) == replace(GENERATION, is_finished=True)


Step = Callable[[Ledger], None]

STEPS: list[Step] = [
    lambda made: made.write_block(3, [running(0), unsure(1), waiting(2)]),
    lambda made: made.write_block(4, [running(2), running(3), waiting(1)]),
    lambda made: conclude(made, 0, ObjectState.SUCCEEDED),
    lambda made: made.write_block(4, [running(1), waiting(3, 2)]),
    lambda made: conclude(made, 2, ObjectState.FAILED),
    lambda made: made.write_block(6, [running(3, 2), running(4)]),
    lambda made: conclude(made, 4, ObjectState.SUCCEEDED),
]


def conclude(made: Ledger, index: int, state: ObjectState) -> None:
    """The next block takes it along."""
    made.add_result(verdict_without_job(planned(index), state), is_pressing=True)
    made.write_block(0, [])


def test_the_state_is_the_same_wherever_a_checkpoint_was_written(client: CIClient) -> None:
    for end in range(len(STEPS) + 1):
        expected = told(client, f"{end}/none/", end, ())
        for checkpoint in range(end):
            assert told(client, f"{end}/{checkpoint}/", end, (checkpoint,)) == expected
        assert told(client, f"{end}/all/", end, range(end)) == expected


def told(client: CIClient, folder: str, end: int, checkpoints: Any) -> Any:
    """What is read after so many steps, with checkpoints after some of them."""
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
    assert not state.unsure
    assert state.counts == {ObjectState.SUCCEEDED: 2, ObjectState.FAILED: 1}
    assert (state.next_index, state.jobs) == (6, 6)
    assert state.newest_job == NOON + timedelta(seconds=4)


def test_a_next_run_goes_on_with_the_numbers_of_the_last(client: CIClient, bucket: Path) -> None:
    opened(client).write_block(1, [running(0)])
    after = opened(client)
    after.read_state()
    after.write_block(2, [running(1)])
    after.add_result(verdict_without_job(planned(0), ObjectState.SUCCEEDED))
    after.write_checkpoint(opened(client).read_state())
    root = bucket / FOLDER / "0001"
    assert sorted(path.name for path in (root / "submitted").iterdir()) == ["000001.jsonl", "000002.jsonl"]
    assert [found.index for found in opened(client).results()] == [0]


def test_verdicts_are_written_with_the_next_block_only_if_nothing_else_tells_them(
    client: CIClient, bucket: Path
) -> None:
    made, results = opened(client), bucket / FOLDER / "0001/results"
    made.add_result(verdict_without_job(planned(0), ObjectState.SUCCEEDED))
    made.write_block(2, [])
    assert not results.exists(), "the job of the object tells"
    made.add_result(verdict_without_job(planned(1), ObjectState.SKIPPED), is_pressing=True)
    made.write_block(2, [])
    assert [found.index for found in made.results()] == [0, 1]


def test_after_many_blocks_a_checkpoint_is_due(client: CIClient) -> None:
    made = opened(client)
    for number in range(ledger.CHECKPOINT_OBJECTS):
        assert not made.is_checkpoint_due
        made.write_block(number, [])
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
        local_ci.faults.add(action, method="PUT", path=f"/{FOLDER}0001/submitted/")
        with pytest.raises(CIError):
            made.write_block(1, [running(0)])
        path = bucket / FOLDER / "0001/submitted/000001.jsonl"
        before = path.read_bytes() if path.exists() else None
        made.flush()
        assert before in (None, path.read_bytes())
        made.write_block(2, [running(1)])
        assert opened(client).read_state().running.keys() == {"d0of1", "d1of1"}


def test_what_could_not_be_sent_is_sent_before_what_is_newer(local_ci: LocalCI, client_of: Connect) -> None:
    with client_of(local_ci, retry=RetryPolicy(max_attempts=1)) as client:
        made = opened(client)
        local_ci.faults.add("cut_before", method="PUT", count=2)
        for index in range(2):
            with pytest.raises(CIConnectionError):
                made.write_block(index + 1, [running(index)])
        assert not list(client.list_objects(FOLDER))
        made.write_block(3, [running(2)])
        assert [found.key[-12:] for found in client.list_objects(FOLDER)] == [
            f"00000{number}.jsonl" for number in (1, 2, 3)
        ]


def test_a_block_of_another_run_in_its_place_ends_this_one(client: CIClient) -> None:
    opened(client).write_block(1, [running(1)])
    with pytest.raises(BatchRunningError, match=r"000001\.jsonl"):
        opened(client).write_block(1, [running(0)])


def test_cancelling_is_noted_until_it_is_forgotten(client: CIClient) -> None:
    made = opened(client)
    assert not made.has_cancelled()
    made.note_cancelling()
    assert opened(client).has_cancelled()
    made.forget_cancelling()
    assert not made.has_cancelled()


@pytest.mark.parametrize(
    "name",
    ["batch.json", "0001/plan/000001.jsonl", "0001/submitted/000001.jsonl", "0001/checkpoint.jsonl"],
)
@pytest.mark.parametrize("damage", ["version", "cut"])
def test_a_ledger_that_cannot_be_read_ends_the_run_and_nothing_is_submitted(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, name: str, damage: str
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(4)))
    (queue,) = client.list_doc_queues()
    client.pause_doc_queue(queue.queue_id)
    assert batch(client, max_in_flight=2).advance(patience=0, deadline=NOON.timestamp() * 2) is None
    path = bucket / FOLDER / name
    before = {"0001/submitted/000001.jsonl": "0001/checkpoint.jsonl"}.get(name)
    if before:
        (bucket / FOLDER / before).unlink()
    text = path.read_text()
    path.write_text(text.replace('"version": 1', '"version": 2') if damage == "version" else text[:-30])
    with pytest.raises(RecordError, match=path.name.replace(".", r"\.")):
        batch(client, max_in_flight=4, lease_seconds=1).run()
    assert len(list(client.list_doc_jobs())) == 2


def test_the_report_is_made_of_what_was_written_down(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(3)))
    summary = batch(client).run()
    generation = find_generation(client, FOLDER)
    assert generation is not None
    assert generation.is_finished
    results = list(Ledger(client=client, folder=FOLDER, generation=generation).results())
    lines = client.read_object(summary.report_key).decode().rstrip("\n").split("\n")[1:]
    assert [json.loads(line)["key"] for line in lines] == [found.key for found in results]
