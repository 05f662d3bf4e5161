"""Batches with the same outputs: each output has one successful job, and every report is true."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectResult, ObjectSelection, ObjectState
from airflow_provider_ci.batch.ledger.plan_store import read_plan
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.reports.folder import batch_folder, report_key
from airflow_provider_ci.batch.run.others.neighbours import Neighbour, batch_details
from airflow_provider_ci.client import CIClient, PicProcess
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import in_threads, pause, wait_until
from tests.batch.overlap.conftest import keys, outputs, total_of

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]

TURN = PicProcess("imageMogr2/rotate/90")


def all_pdfs(bucket: Path, *objects: str) -> bool:
    return all((bucket / name).is_file() for name in outputs(*objects))


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


def test_a_short_batch_beside_a_long_one_does_its_own_at_once(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    """The long batch cannot submit its remaining objects until the short batch has ended."""
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


def test_a_chain_of_three_batches_makes_each_output_once(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    """X and Y share outputs, and so do Y and Z."""
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
    """The first batch is stopped before it has submitted all its objects."""
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
    """The index names the outputs that a batch made, not those it skipped because they were up to date."""
    fill_bucket("in/a.docx")
    batch(client, batch_id="maker").run()
    batch(client, batch_id="neighbour").run()
    plan = read_plan(client, batch_folder("_ci_batches/", "neighbour"))
    assert plan is not None
    neighbour = Neighbour(client=client, details=batch_details(plan))
    registry = Registry(client)
    neighbour.refresh(registry.read(), [0], lambda change: change(registry.read()))
    assert (neighbour.is_over, neighbour.result(0)) == (True, ObjectState.SUCCEEDED)
