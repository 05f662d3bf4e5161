"""Batches with the same outputs: each output has one successful job, and every report is true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchRunningError,
    BatchSummary,
    ObjectResult,
    ObjectSelection,
    ObjectState,
    OutputConflictError,
)
from airflow_provider_ci.batch.ledger.plan_store import read_plan
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.reports.folder import batch_folder, report_key
from airflow_provider_ci.batch.run.others.neighbours import Neighbour, batch_details
from airflow_provider_ci.client import CIClient, DocProcess, JobState, PicProcess
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import Power, die, dies, in_threads, pause, wait_until

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
End = Callable[[], None]

PAGES = DocProcess(target="png")
TURN = PicProcess("imageMogr2/rotate/90")
TURN_BACK = PicProcess("imageMogr2/rotate/270")


@pytest.fixture
def batch(batch: Make) -> Make:
    """Makes a batch whose output names do not depend on the kind of source."""
    return lambda *arguments, **options: batch(*arguments, **{"output": "out/{stem}.pdf", **options})


def keys(count: int, begin: int = 0) -> list[str]:
    return [f"in/{number:03}.docx" for number in range(begin, begin + count)]


def outputs(*objects: str) -> dict[str, int]:
    return {f"out/{key[3:-5]}.pdf": 1 for key in objects}


def total_of(summary: BatchSummary) -> tuple[int, int]:
    return summary.total, summary.succeeded + summary.skipped


def all_pdfs(bucket: Path, *objects: str) -> bool:
    return all((bucket / name).is_file() for name in outputs(*objects))


# A1, A2: the same objects at the same time


def test_two_batches_at_once_submit_each_object_once(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    bucket: Path,
    batch: Make,
    live_outputs: Count,
) -> None:
    objects = keys(40)
    fill_bucket(*objects)
    with client_of(local_ci) as other:
        made = in_threads(batch(client, batch_id="one").run, batch(other, batch_id="two").run)
    assert [total_of(summary) for summary in made] == [(40, 40)] * 2
    assert sum(summary.jobs for summary in made) == 40
    assert live_outputs(client) == outputs(*objects)
    assert all_pdfs(bucket, *objects)


@pytest.mark.parametrize("local_ci", [0.05], indirect=True)
def test_four_overlapping_runs_of_a_dag_share_the_jobs(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    objects = keys(8)
    fill_bucket(*objects)
    runs = [batch(client, batch_id=f"dag/scheduled__2026-11-0{day}/task").run for day in range(1, 5)]
    made = in_threads(*runs)
    assert [total_of(summary) for summary in made] == [(8, 8)] * 4
    assert live_outputs(client) == outputs(*objects)


def test_ten_mapped_batches_of_one_object_each_run_side_by_side(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    objects = keys(10)
    fill_bucket(*objects)
    made = in_threads(*(batch(client, [key], batch_id=f"task/{key}").run for key in objects))
    assert [total_of(summary) for summary in made] == [(1, 1)] * 10
    assert live_outputs(client) == outputs(*objects)


def test_mapped_batches_with_the_same_object_submit_it_once(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    objects = keys(5)
    fill_bucket(*objects)
    sources = [[objects[number % 5], objects[(number + 1) % 5]] for number in range(6)]
    made = in_threads(*(batch(client, keys, batch_id=f"{n}").run for n, keys in enumerate(sources)))
    assert [total_of(summary) for summary in made] == [(2, 2)] * 6
    assert live_outputs(client) == outputs(*objects)


def test_the_report_names_the_batch_that_made_an_output(
    client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    fill_bucket(*keys(2))
    resume = pause(client)
    assert batch(client, batch_id="first").advance(patience=0, deadline=time.time() + 60) is None
    second = batch(client, batch_id="second")
    assert second.advance(patience=0, deadline=time.time() + 60) is None
    assert len(list(client.list_doc_jobs())) == 2
    resume()
    summary = in_threads(batch(client, batch_id="first").run, second.run)[1]
    report = results(client, summary.report_key)
    assert summary.jobs == 0
    assert report.keys() == set(keys(2))
    assert all(found.is_good for found in report.values())


# A3: a short batch beside a long one


def test_a_short_batch_beside_a_long_one_does_its_own_at_once(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    """The long batch is kept from submitting the rest of its objects until the short one has ended."""
    fill_bucket(*keys(60))
    may_go_on = threading.Event()

    def hold(_: Any) -> None:
        if not may_go_on.is_set() and len(list(client.list_doc_jobs())) >= 10:
            may_go_on.wait(20)

    with client_of(local_ci) as other:
        long = batch(other, batch_id="long", max_in_flight=10, progress=hold)
        outcome: list[Any] = []
        thread = threading.Thread(target=lambda: outcome.extend(in_threads(long.run)))
        thread.start()
        wait_until(lambda: len(list(client.list_doc_jobs())) >= 10)
        fill_bucket(*keys(5, 100))
        short = batch(client, [*keys(5), *keys(5, 100)], batch_id="short").run()
        assert not outcome, "the long batch is still running"
        assert total_of(short) == (10, 10)
        assert short.jobs == 5
        may_go_on.set()
        thread.join()
    assert total_of(outcome[0]) == (60, 60)
    assert live_outputs(client) == outputs(*keys(60), *keys(5, 100))


def test_own_jobs_are_submitted_before_shared_ones_are_awaited(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket(*keys(10))
    resume = pause(client)
    assert batch(client, keys(6), batch_id="first").advance(patience=0, deadline=time.time() + 60) is None
    second = batch(client, keys(8, 2), batch_id="second")
    assert second.advance(patience=0, deadline=time.time() + 60) is None
    assert live_outputs(client) == outputs(*keys(10)), "four of them are of the second batch"
    resume()
    made = in_threads(batch(client, keys(6), batch_id="first").run, second.run)
    assert [(summary.total, summary.jobs) for summary in made] == [(6, 6), (8, 4)]
    assert live_outputs(client) == outputs(*keys(10))


def test_disjoint_prefixes_do_not_wait_for_each_other(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*keys(4))
    resume = pause(client)
    first = batch(client, batch_id="first", output="one/{stem}.pdf")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    fill_bucket("in/a.png")
    turned = batch(client, ["in/a.png"], TURN, output="two/{name}", batch_id="second").run()
    assert turned.succeeded == 1
    resume()
    assert first.run().succeeded == 4


# Three batches in a chain


def test_a_chain_of_three_batches_makes_each_output_once(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    """X shares with Y, and Y shares with Z."""
    fill_bucket(*keys(9))
    resume = pause(client)
    sources = {"x": keys(5), "y": keys(5, 2), "z": keys(6, 3)}
    for batch_id, source in sources.items():
        made = batch(client, source, batch_id=batch_id)
        assert made.advance(patience=0, deadline=time.time() + 60) is None
    resume()
    found = in_threads(*(batch(client, source, batch_id=name).run for name, source in sources.items()))
    assert [total_of(summary) for summary in found] == [(5, 5), (5, 5), (6, 6)]
    assert live_outputs(client) == outputs(*keys(9))


def test_the_followers_of_a_killed_batch_finish_its_outputs(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """X dies with one job in flight. Y and Z, which share with X and with each other, do what X left."""
    fill_bucket(*keys(8))
    resume = pause(client)
    with client_of(local_ci) as doomed:
        Power(doomed, monkeypatch).last_for(2, method="POST", is_heard=True)
        die(batch(doomed, keys(6), batch_id="x", max_in_flight=2, lease_seconds=3))
        others = {"y": keys(6, 1), "z": keys(6, 2)}
        for batch_id, source in others.items():
            made = batch(client, source, batch_id=batch_id)
            assert made.advance(patience=0, deadline=time.time() + 60) is None
        resume()
        found = in_threads(*(batch(client, source, batch_id=name).run for name, source in others.items()))
    assert [total_of(summary) for summary in found] == [(6, 6), (6, 6)]
    assert set(live_outputs(client).values()) == {1}
    again = batch(client, keys(6), batch_id="x", lease_seconds=3).run()
    assert total_of(again) == (6, 6)
    assert live_outputs(client) == outputs(*keys(8))


def test_a_killed_batch_that_comes_back_shares_with_its_follower(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill_bucket(*keys(6))
    with client_of(local_ci) as doomed:
        Power(doomed, monkeypatch).last_for(3, method="POST", is_heard=True)
        die(batch(doomed, batch_id="x", max_in_flight=3, lease_seconds=3))
    with client_of(local_ci) as other:
        found = in_threads(
            batch(client, batch_id="x", lease_seconds=3).run, batch(other, batch_id="y", lease_seconds=3).run
        )
    assert [total_of(summary) for summary in found] == [(6, 6), (6, 6)]
    assert live_outputs(client) == outputs(*keys(6))


CHILD = """
import sys
from airflow_provider_ci.batch import Batch, ObjectSelection, Pace
from airflow_provider_ci.client import CIClient, Credentials, DocProcess

endpoint, secret_id, secret_key = sys.argv[1:]
client = CIClient(
    Credentials(secret_id=secret_id, secret_key=secret_key), "ap-guangzhou", "examplebucket-1250000000",
    endpoint=endpoint,
)
Batch(
    client, ObjectSelection(prefix="in/"), DocProcess(target="pdf"), "out/{stem}.pdf", batch_id="child",
    lease_seconds=3, max_in_flight=2, threads=2, pace=Pace(shortest=0.02, longest=0.1),
).run()
"""


@pytest.fixture
def child(local_ci: LocalCI, fill_bucket: Fill) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a batch of twenty objects, two at a time."""
    fill_bucket(*keys(20))
    arguments = [local_ci.endpoint, local_ci.secret_id, local_ci.secret_key]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("local_ci", [0.1], indirect=True)
def test_a_batch_beside_a_killed_process_does_its_rest(
    client: CIClient,
    batch: Make,
    live_outputs: Count,
    child: subprocess.Popen[str],
) -> None:
    wait_until(lambda: len(list(client.list_doc_jobs())) >= 4)
    killing = threading.Timer(0.5, child.kill)
    killing.start()
    summary = batch(client, batch_id="other", lease_seconds=3).run()
    killing.join()
    assert total_of(summary) == (20, 20)
    assert live_outputs(client) == outputs(*keys(20))
    again = batch(client, batch_id="child", lease_seconds=3).run()
    assert total_of(again) == (20, 20)
    assert live_outputs(client) == outputs(*keys(20))


@pytest.mark.parametrize("local_ci", [0.1], indirect=True)
def test_a_suspended_batch_stops_if_another_has_done_its_rest(
    client: CIClient,
    batch: Make,
    live_outputs: Count,
    child: subprocess.Popen[str],
) -> None:
    """It wakes up with a plan whose remaining outputs another batch has made."""
    wait_until(lambda: len(list(client.list_doc_jobs())) >= 4)
    child.send_signal(signal.SIGSTOP)
    summary = batch(client, batch_id="other", lease_seconds=3).run()
    assert total_of(summary) == (20, 20)
    child.send_signal(signal.SIGCONT)
    _, said = child.communicate(timeout=30)
    assert "BatchRunningError" in said
    assert live_outputs(client) == outputs(*keys(20))
    again = batch(client, batch_id="child", lease_seconds=3).run()
    assert total_of(again) == (20, 20)
    assert live_outputs(client) == outputs(*keys(20))


# A4, A5: what changed is made again, whatever the batch id


def test_another_operation_makes_the_outputs_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket("in/a.png", "in/b.png")
    assert batch(client, operation=TURN, output="out/{name}", batch_id="monday").run().succeeded == 2
    changed = {"operation": TURN_BACK, "output": "out/{name}"}
    assert batch(client, **changed, batch_id="tuesday").run().succeeded == 2
    assert batch(client, **changed, batch_id="wednesday").run().skipped == 2
    assert live_outputs(client) == {"out/a.png": 2, "out/b.png": 2}


@pytest.mark.parametrize("change", [{"image_dpi": 300}, {"image_dpi": 100}, {"start_page": 1}])
def test_any_changed_parameter_is_another_operation(
    change: dict[str, Any], client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    output = "out/{stem}-${Number}.png"
    batch(client, operation=DocProcess(target="png", image_dpi=150), output=output, batch_id="one").run()
    changed = replace(DocProcess(target="png", image_dpi=150), **change)
    assert batch(client, operation=changed, output=output, batch_id="two").run().succeeded == 1


def test_going_back_to_an_operation_with_its_own_names_skips(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    pages = {"operation": PAGES, "output": "pages/{stem}-${Number}.png"}
    assert batch(client, batch_id="1").run().succeeded == 2
    assert batch(client, **pages, batch_id="2").run().succeeded == 2
    assert batch(client, batch_id="3").run().skipped == 2
    assert batch(client, **pages, batch_id="4").run().skipped == 2
    assert live_outputs(client).total() == 4


def test_going_back_with_the_same_batch_id_skips_as_well(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    pages = {"operation": PAGES, "output": "pages/{stem}-${Number}.png"}
    assert [batch(client, **options).run().jobs for options in ({}, pages, {}, pages)] == [2, 2, 0, 0]
    assert live_outputs(client).total() == 4


def test_changed_content_is_made_again_by_any_later_batch(
    client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    batch(client, batch_id="one").run()
    fill_bucket("in/a.docx", content=b"Other text.\n")
    summary = batch(client, batch_id="two").run()
    made = [key for key, found in results(client, summary.report_key).items() if found.job_id]
    assert made == ["in/a.docx"]


def test_old_content_with_a_new_time_is_skipped(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    batch(client, batch_id="one").run()
    os.utime(bucket / "in/a.docx", (1_900_000_000, 1_900_000_000))
    assert batch(client, batch_id="two").run().skipped == 1


def test_an_older_file_in_place_of_the_object_is_made_again(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    """The times alone would say that the output is up to date."""
    fill_bucket("in/a.docx")
    batch(client, batch_id="one").run()
    fill_bucket("in/a.docx", content=b"restored from a backup")
    os.utime(bucket / "in/a.docx", (1_000_000_000, 1_000_000_000))
    assert batch(client, batch_id="two").run().succeeded == 1


def test_a_missing_output_is_made_again_by_any_batch(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    batch(client, batch_id="one").run()
    (bucket / "out/a.pdf").unlink()
    summary = batch(client, batch_id="two").run()
    assert (summary.succeeded, summary.skipped) == (1, 1)


# A6: two operations for one output


def test_another_operation_on_outputs_in_flight_is_an_error(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    resume = pause(client)
    first = batch(client, ["in/a.docx", "in/b.docx"], batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    with pytest.raises(OutputConflictError, match=r"batch first is making 'out/b\.pdf'.*batch second") as no:
        batch(
            client, ["in/b.docx", "in/c.docx"], DocProcess(target="pdf", start_page=2), batch_id="second"
        ).run()
    assert (no.value.batch_id, no.value.other_batch_id, no.value.output) == ("second", "first", "out/b.pdf")
    assert len(list(client.list_doc_jobs())) == 2
    resume()
    assert first.run().succeeded == 2


def test_after_the_first_batch_the_other_operation_may_run(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    resume = pause(client)
    first = batch(client, batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    other = batch(client, operation=DocProcess(target="pdf", start_page=2), batch_id="second")
    with pytest.raises(OutputConflictError):
        other.run()
    resume()
    assert first.run().succeeded == 1
    assert other.run().succeeded == 1


def test_a_job_of_nobody_known_with_another_operation_is_an_error(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    pause(client)
    client.submit_doc_job("in/a.docx", "out/a-${Number}.png", DocProcess(target="png", image_dpi=96))
    with pytest.raises(OutputConflictError, match=r"out/a-1\.png"):
        batch(
            client, operation=DocProcess(target="png", image_dpi=300), output="out/{stem}-${Number}.png"
        ).run()
    assert len(list(client.list_doc_jobs())) == 1


def test_a_job_of_nobody_known_with_our_operation_is_adopted(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    resume = pause(client)
    client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(target="pdf"))
    threading.Timer(0.5, resume).start()
    summary = batch(client).run()
    assert total_of(summary) == (2, 2)
    assert summary.jobs == 1, "the other job was paid for by somebody else"
    assert live_outputs(client) == {"out/a.pdf": 1, "out/b.pdf": 1}


@pytest.mark.parametrize("local_ci", [0.3], indirect=True)
def test_another_operation_after_a_dead_batch_waits_for_its_jobs(
    client: CIClient, fill_bucket: Fill, batch: Make, end_leases: End
) -> None:
    """The dead batch has left a job in flight: its operation must not win over the new one."""
    fill_bucket("in/a.docx")
    pages = {"output": "out/{stem}-${Number}.png"}
    coarse, fine = (DocProcess(target="png", image_dpi=dpi) for dpi in (96, 300))
    die(batch(client, operation=coarse, **pages, batch_id="dead", progress=dies(1)))
    end_leases()
    other = batch(client, operation=fine, **pages, batch_id="other")
    with pytest.raises(OutputConflictError):
        other.run()
    assert len(list(client.list_doc_jobs())) == 1
    wait_until(lambda: all(job.state.is_final for job in client.list_doc_jobs()))
    assert other.run().succeeded == 1
    newest, _ = client.list_doc_jobs(order="Desc")
    assert newest.state is JobState.SUCCESS


# Content that changes while another batch is at it


def test_content_that_changed_after_the_first_plan_is_made_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    resume = pause(client)
    first = batch(client, batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    time.sleep(1.1)  # the service gives times in whole seconds
    fill_bucket("in/a.docx", content=b"Other text.\n")
    second = batch(client, batch_id="second")
    assert second.advance(patience=0, deadline=time.time() + 60) is None
    resume()
    made = in_threads(first.run, second.run)
    assert [total_of(summary) for summary in made] == [(2, 2)] * 2
    assert live_outputs(client) == {"out/a.pdf": 2, "out/b.pdf": 1}
    assert batch(client, batch_id="third").run().skipped == 2


# The same batch id twice


@pytest.mark.parametrize("local_ci", [0.05], indirect=True)
def test_the_same_batch_id_twice_at_once_waits(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    fill_bucket(*keys(6))
    with client_of(local_ci) as other:
        made = in_threads(batch(client).run, batch(other).run)
    assert [total_of(summary) for summary in made] == [(6, 6)] * 2
    assert sorted(summary.jobs for summary in made) == [0, 6]
    assert live_outputs(client) == outputs(*keys(6))


def test_a_batch_that_is_being_run_can_be_refused(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    fill_bucket(*keys(4))
    refused: list[str] = []

    def run_again(_: Any) -> None:
        if not refused:
            with client_of(local_ci) as other, pytest.raises(BatchRunningError) as error:
                batch(other, on_running="fail").run()
            refused.append(str(error.value))

    assert batch(client, max_in_flight=1, progress=run_again).run().succeeded == 4
    assert f"process {os.getpid()}" in refused[0]
    assert live_outputs(client) == outputs(*keys(4))


def test_a_parked_batch_is_not_being_run(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*keys(2))
    resume = pause(client)
    assert batch(client).advance(patience=0, deadline=time.time() + 60) is None
    resume()
    assert batch(client, on_running="fail").run().succeeded == 2


def test_a_second_run_that_is_deferrable_comes_back_later(
    client: CIClient, local_ci: LocalCI, client_of: Connect, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*keys(2))
    found: list[Any] = []

    def look(_: Any) -> None:
        if not found:
            with client_of(local_ci) as other:
                second = batch(other)
                found.append(second.advance(patience=0, deadline=time.time() + 60))
                found.append(second.parked["folder"])

    assert batch(client, progress=look).run().succeeded == 2
    assert found == [None, batch_folder("_ci_batches/", "test")]


# What the batches say


def test_a_shared_object_that_failed_is_reported_as_failed(
    client: CIClient, fill_bucket: Fill, batch: Make, results: Results, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx")
    fill_bucket("in/b.docx", content=b"")
    resume = pause(client)
    options: dict[str, Any] = {"max_failures": 1}
    for batch_id in ("first", "second"):
        made = batch(client, batch_id=batch_id, **options)
        assert made.advance(patience=0, deadline=time.time() + 60) is None
    resume()
    in_threads(*(batch(client, batch_id=batch_id, **options).run for batch_id in ("first", "second")))
    for batch_id in ("first", "second"):
        report = results(client, report_key(batch_folder("_ci_batches/", batch_id)))
        assert report["in/b.docx"].state is ObjectState.FAILED
        assert report["in/a.docx"].is_good
    assert len(list(client.list_doc_jobs())) == 2


@pytest.mark.parametrize("local_ci", [0.1], indirect=True)
def test_an_object_the_first_batch_left_out_is_made_by_the_second(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    """The first batch is stopped with objects that it has not submitted."""
    fill_bucket(*keys(6))
    stop = threading.Event()
    first = batch(
        client, batch_id="first", max_in_flight=2, is_stopped=stop.is_set, progress=lambda _: stop.set()
    )
    in_threads(first.run)
    second = in_threads(batch(client, batch_id="second").run, batch(client, batch_id="first").run)
    assert [total_of(summary) for summary in second] == [(6, 6)] * 2
    assert live_outputs(client) == outputs(*keys(6))


def test_a_selection_and_a_list_of_keys_share_their_outputs(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket(*keys(4))
    listed = batch(client, ObjectSelection(prefix="in/"), batch_id="a", output="out/{stem}.pdf")
    named = batch(client, keys(4), batch_id="b", output="out/{stem}.pdf")
    made = in_threads(listed.run, named.run)
    assert [total_of(summary) for summary in made] == [(4, 4)] * 2
    assert live_outputs(client) == outputs(*keys(4))


def test_what_a_short_neighbour_left_out_is_read_from_its_report(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    """The index knows what a batch made, and not what it left out because another one had made it."""
    fill_bucket("in/a.docx")
    batch(client, batch_id="maker").run()
    batch(client, batch_id="neighbour").run()
    plan = read_plan(client, batch_folder("_ci_batches/", "neighbour"))
    assert plan is not None
    neighbour = Neighbour(client=client, details=batch_details(plan))
    registry = Registry(client)
    neighbour.refresh(registry.read(), [0], lambda change: change(registry.read()))
    assert (neighbour.is_over, neighbour.result(0)) == (True, ObjectState.SUCCEEDED)
