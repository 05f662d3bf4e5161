"""A frozen plan is carried out even if templates render differently later; changed code makes a new plan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchSummary, ObjectResult, ObjectSelection
from airflow_provider_ci.batch.planning.operations import operation_record, restored_operation
from airflow_provider_ci.client import CIClient, DocProcess, PicProcess, PicTemplate
from tests.batch.conftest import FOLDER, Kill, die, dies, pause

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
End = Callable[[], None]

KEYS = [f"in/{number}.docx" for number in range(6)]


def advance(batch: Batch, resume: Mapping[str, Any] | None = None) -> BatchSummary | None:
    return batch.advance(patience=0, deadline=time.time() + 60, resume=resume)


def parked(batch: Batch, resume: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Advance the batch until it defers; return the arguments of its trigger."""
    assert advance(batch, resume) is None
    kept: dict[str, Any] = json.loads(json.dumps(batch.parked))
    return kept


def to_end(make: Callable[[], Batch], resume: dict[str, Any]) -> BatchSummary:
    for _ in range(200):
        made = make()
        summary = advance(made, resume)
        if summary is not None:
            return summary
        resume = json.loads(json.dumps(made.parked))
        time.sleep(0.05)
    pytest.fail("the batch does not end")


# Templates that render differently at each resume


def test_an_output_that_renders_differently_continues_the_plan(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, live_outputs: Count
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    kept = parked(batch(client, output="out/0/{stem}.pdf", max_in_flight=2))
    resume()
    renderings = iter(range(1, 1000))
    summary = to_end(
        lambda: batch(client, output=f"out/{next(renderings)}/{{stem}}.pdf", max_in_flight=2), kept
    )
    assert (summary.total, summary.succeeded, summary.jobs) == (6, 6, 6)
    assert live_outputs(client) == {f"out/0/{number}.pdf": 1 for number in range(6)}


@pytest.mark.parametrize(
    "change",
    [
        {"operation": DocProcess(target="pdf", start_page=2)},
        {"operation": PicProcess("imageMogr2/rotate/90")},
        {"source": ObjectSelection(prefix="elsewhere/")},
        {"source": ["in/0.docx"]},
        {"output": "new/{name}"},
        {"skip": "never"},
        {"max_in_flight": 50},
    ],
    ids=["operation", "other type", "selection", "keys", "output", "skip", "window"],
)
def test_a_resume_continues_whatever_the_settings_say(
    change: dict[str, Any], client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    kept = parked(batch(client, max_in_flight=2))
    resume()
    summary = to_end(lambda: batch(client, **{"max_in_flight": 2, **change}), kept)
    assert (summary.total, summary.succeeded, summary.jobs) == (6, 6, 6)
    assert live_outputs(client) == {f"out/{number}.pdf": 1 for number in range(6)}


def test_the_operation_of_the_plan_is_done_on_resume(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    kept = parked(batch(client, operation=DocProcess(target="pdf", start_page=3), max_in_flight=2))
    resume()
    to_end(lambda: batch(client, operation=DocProcess(target="pdf", start_page=4), max_in_flight=2), kept)
    pages = {job.raw["Operation"]["DocProcess"].get("StartPage") for job in client.list_doc_jobs()}
    assert pages == {"3"}


# A rolling time window


def test_a_rolling_window_does_not_shrink_the_plan(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)

    def window(seconds: int) -> ObjectSelection:
        begin = datetime.now(timezone.utc) - timedelta(seconds=seconds)
        return ObjectSelection(prefix="in/", modified_after=begin.isoformat())

    kept = parked(batch(client, window(3600), max_in_flight=2))
    resume()
    summary = to_end(lambda: batch(client, window(-3600), max_in_flight=2), kept)
    assert (summary.total, summary.succeeded) == (6, 6)
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


def test_a_retry_with_a_rolling_window_continues_the_plan(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count, end_leases: End
) -> None:
    """The retry gets no trigger arguments, and the time bounds are not part of the definition."""
    fill_bucket(*KEYS)
    begin = datetime.now(timezone.utc) - timedelta(hours=1)
    source = ObjectSelection(prefix="in/", modified_after=begin)
    die(batch(client, source, max_in_flight=2, progress=dies(1)))
    end_leases()
    later = ObjectSelection(prefix="in/", modified_after=begin + timedelta(hours=3))
    summary = batch(client, later).run()
    assert (summary.total, summary.succeeded) == (6, 6)
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


# Sets whose order changes


@pytest.mark.parametrize("seeds", [("0", "1"), ("7", "42")])
def test_sets_in_another_order_are_the_same_definition(seeds: tuple[str, str]) -> None:
    program = """
from airflow_provider_ci.batch import Batch, ObjectKeys, ObjectSelection
from airflow_provider_ci.client import CIClient, Credentials, DocProcess
client = CIClient(Credentials(secret_id="i", secret_key="k"), "ap-guangzhou", "b-1250000000")
for source in (
    ObjectSelection(prefix="in/", suffixes={".docx", ".pdf", ".txt", ".xlsx", ".pptx"}),
    ObjectKeys(keys={"a", "b", "c", "d", "e"}),
):
    print(Batch(client, source, DocProcess(extra={"b": 1, "a": 2}), "o/{key}", batch_id="b").definition_name)
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in seeds
    }
    assert len(found) == 1


@pytest.mark.parametrize("suffixes", [(".pdf", ".docx"), (".DOCX", ".pdf"), {".pdf", ".docx"}])
def test_suffixes_in_another_order_continue_the_plan(
    suffixes: Any, client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    advance(batch(client, ObjectSelection(prefix="in/", suffixes=(".docx", ".pdf")), max_in_flight=2))
    resume()
    summary = batch(client, ObjectSelection(prefix="in/", suffixes=suffixes)).run()
    assert (summary.total, summary.jobs) == (6, 6)
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


@pytest.mark.parametrize("other", [{}, {"output_bucket": "second-1250000000"}], ids=["own", "second"])
@pytest.mark.parametrize("what", ["resumed", "taken over", "planned again", "changed code"])
def test_a_bucket_that_renders_differently_is_not_written_to(
    client: CIClient,
    fill_bucket: Fill,
    bucket: Path,
    batch: Make,
    live_outputs: Count,
    end_leases: End,
    what: str,
    other: dict[str, str],
) -> None:
    first, second = (bucket.parent / f"{name}-1250000000" for name in ("first", "second"))
    first.mkdir()
    second.mkdir()
    fill_bucket(*KEYS)
    resume = pause(client)
    begun = batch(client, definition="code", output_bucket=first.name, max_in_flight=2)
    kept = parked(begun)
    resume()
    if what == "planned again":
        for record in bucket.glob(f"{FOLDER}*/submitted/*"):
            record.unlink()
    if what != "resumed":
        end_leases()
        kept = {}
    definition = "other code" if what == "changed code" else "code"
    summary = to_end(lambda: batch(client, definition=definition, **other), kept)
    assert (summary.total, summary.failed) == (6, 0)
    assert live_outputs(client) == {f"out/{number}.pdf": 1 for number in range(6)} or what == "changed code"
    wanted = {True: other.get("output_bucket", bucket.name), False: first.name}[what == "changed code"]
    assert len(list((bucket.parent / wanted / "out").iterdir())) == 6


# Changes of the definition


def test_the_same_definition_continues_whatever_is_rendered(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count, end_leases: End
) -> None:
    fill_bucket(*KEYS)
    die(batch(client, definition="code 1", max_in_flight=2, progress=dies(1)))
    end_leases()
    retry = batch(client, ["in/0.docx"], output="new/{stem}.pdf", definition="code 1")
    assert retry.run().total == 6
    assert live_outputs(client) == {f"out/{number}.pdf": 1 for number in range(6)}


@pytest.mark.parametrize("local_ci", [0.2], indirect=True)
def test_another_definition_waits_for_the_old_jobs_and_plans_anew(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count, end_leases: End
) -> None:
    fill_bucket(*KEYS)
    die(batch(client, definition="code 1", max_in_flight=3, progress=dies(1)))
    end_leases()
    totals: list[tuple[int, int]] = []
    changed = batch(
        client,
        ["in/0.docx", "in/1.docx"],
        output="new/{stem}.pdf",
        definition="code 2",
        progress=lambda now: totals.append((now.total, now.in_flight)),
    )
    assert changed.run().total == 2
    assert (6, 0) in totals, "the old plan, with nothing in flight any more"
    assert live_outputs(client) == dict.fromkeys(
        ["new/0.pdf", "new/1.pdf", "out/0.pdf", "out/1.pdf", "out/2.pdf"], 1
    )


@pytest.mark.parametrize("local_ci", [0.1], indirect=True)
def test_another_definition_of_the_same_work_doubles_nothing(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count, end_leases: End
) -> None:
    fill_bucket(*KEYS)
    die(batch(client, definition="code 1", max_in_flight=3, progress=dies(1)))
    end_leases()
    summary = batch(client, definition="code 2").run()
    assert summary.total == summary.succeeded + summary.skipped == 6
    assert live_outputs(client) == {f"out/{number}.pdf": 1 for number in range(6)}


def test_without_a_definition_another_operation_is_other_code(
    client: CIClient, fill_bucket: Fill, batch: Make, end_leases: End
) -> None:
    fill_bucket("in/a.png", "in/b.png", "in/c.png")
    turn, back = (PicProcess(f"imageMogr2/rotate/{degrees}") for degrees in (90, 270))
    die(batch(client, operation=turn, output="out/{name}", max_in_flight=1, progress=dies(1)))
    end_leases()
    assert batch(client, operation=back, output="out/{name}").run().succeeded == 3


def test_a_finished_plan_is_not_continued(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*KEYS)
    batch(client, definition="code 1").run()
    fill_bucket("in/new.docx")
    summary = batch(client, definition="code 1").run()
    assert (summary.total, summary.succeeded, summary.skipped) == (7, 1, 6)


def test_a_resume_after_the_plan_has_ended_returns_its_summary(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    """Another run finished the batch while this one was deferred."""
    fill_bucket(*KEYS)
    resume = pause(client)
    kept = parked(batch(client))
    resume()
    assert batch(client).run().succeeded == 6
    fill_bucket("in/new.docx")
    summary = advance(batch(client), kept)
    assert summary is not None
    assert (summary.total, summary.succeeded) == (6, 6)


def test_a_resume_whose_plan_was_replaced_does_what_is_missing(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    kept = parked(batch(client))
    resume()
    batch(client).run()
    batch(client).run()
    summary = batch(client).advance(patience=None, deadline=time.time() + 60, resume=kept)
    assert summary is not None
    assert (summary.total, summary.skipped) == (6, 6)
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


@pytest.mark.parametrize("posts", [1, 3, 5])
def test_a_plan_made_again_keeps_its_output_names(
    posts: int,
    client: CIClient,
    kill: Kill,
    fill_bucket: Fill,
    bucket: Path,
    batch: Make,
    live_outputs: Count,
    end_leases: End,
) -> None:
    """The registry was deleted, and the template of the output renders differently in the retry."""
    fill_bucket(*KEYS)
    kill(posts, lambda doomed: batch(doomed, definition="code", max_in_flight=2, threads=1))
    end_leases()
    for path in (bucket / "_ci_batches.registry").glob("0*"):
        path.unlink()
    summary = batch(client, output="new/{stem}.pdf", definition="code").run()
    assert summary.total == summary.succeeded + summary.skipped == 6
    assert live_outputs(client) == {f"out/{number}.pdf": 1 for number in range(6)}


# Passwords


def test_a_password_is_in_no_object_of_the_bucket(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    fill_bucket(*KEYS)
    secret = DocProcess(target="pdf", password="correct-horse")
    resume = pause(client)
    advance(batch(client, operation=secret, max_in_flight=2))
    texts = [path.read_bytes() for path in bucket.rglob("*") if path.is_file()]
    resume()
    batch(client, operation=secret).run()
    texts += [path.read_bytes() for path in bucket.rglob("*") if path.is_file()]
    assert not [text for text in texts if b"correct-horse" in text]
    assert (bucket / FOLDER / "plan.json").is_file()


def test_a_resumed_plan_uses_the_password_of_the_running_code() -> None:
    record = operation_record(DocProcess(target="pdf", start_page=2, password="old"))
    assert "old" not in json.dumps(record)
    current = DocProcess(target="png", password="new")
    assert restored_operation(record, current) == DocProcess(target="pdf", start_page=2, password="new")


def test_a_password_among_the_extra_nodes_is_kept_out_as_well() -> None:
    record = operation_record(DocProcess(extra={"DocPassword": "old", "A": "1"}))
    assert "old" not in json.dumps(record)
    found = restored_operation(record, DocProcess(extra={"DocPassword": "new", "B": "2"}))
    assert found == DocProcess(extra={"DocPassword": "new", "A": "1"})


@pytest.mark.parametrize(
    "operation",
    [
        DocProcess(target="png", page_ranges="1,3-5", extra={"A": 1}),
        PicProcess("imageMogr2/rotate/90"),
        PicTemplate(f"t{1:032}"),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_the_operation_of_a_plan_is_restored_whatever_runs_now(operation: Any) -> None:
    record = json.loads(json.dumps(operation_record(operation)))
    for current in (DocProcess(), PicProcess("imageMogr2/rotate/180"), PicTemplate(f"t{2:032}")):
        assert restored_operation(record, current) == operation
