"""A preview predicts what the next run does, for every kind of work and every state of the batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, BatchPreview, PriceTable
from airflow_provider_ci.client import CIClient, CIJob, DocProcess, PicProcess
from tests.batch.conftest import INBOX, PowerCut, dies
from tests.batch.costs.conftest import Make
from tests.batch.costs.test_canary import jobs
from tests.batch.costs.work import CHAIN, PDF, SIDE_BY_SIDE

OBJECTS = 6


def untouched(kind: Make, **options: Any) -> None:
    pass


def partly_up_to_date(kind: Make, **options: Any) -> None:
    kind.add(3)
    kind(batch_id="before").run()
    kind.add(OBJECTS)


def one_output_deleted(kind: Make, **options: Any) -> None:
    kind(batch_id="before").run()
    output = next(each.key for each in kind.client.list_objects("") if each.key.endswith((".jpg", ".pdf")))
    kind.client.delete_object(output)


def capped(kind: Make, **options: Any) -> None:
    with suppress(BatchFailedError):
        kind(max_jobs=4).run()


def killed(kind: Make, **options: Any) -> None:
    with suppress(PowerCut):
        kind(max_in_flight=2, lease_seconds=3, progress=dies(3)).run()


def killed_early(kind: Make, **options: Any) -> None:
    with suppress(PowerCut):
        kind(lease_seconds=3, progress=dies(1)).run()


STATES = {
    each.__name__: each
    for each in (untouched, partly_up_to_date, one_output_deleted, capped, killed, killed_early)
}


@pytest.mark.parametrize("state", STATES)
def test_a_run_submits_what_the_preview_said(state: str, kind: Make, end_leases: Callable[[], None]) -> None:
    kind.add(OBJECTS)
    STATES[state](kind)
    before = jobs(kind.client)
    preview = kind().preview()
    assert is_consistent(preview)
    assert (preview.objects, preview.outputs) == (kind.objects(OBJECTS), OBJECTS * kind.steps)
    assert jobs(kind.client) == before
    end_leases()
    kind().run()
    found = jobs(kind.client) - before
    # After a killed run, the service may have jobs that no record names: the next run adopts them.
    assert preview.jobs == found if state != "killed_early" else preview.jobs >= found
    assert kind().preview().jobs == 0


def is_consistent(preview: BatchPreview) -> bool:
    kinds = ("to_submit", "up_to_date", "failed_before", "unusable", "in_flight", "finished")
    assert sum(getattr(preview, name) for name in kinds) == preview.objects
    assert not preview.steps or sum(preview.steps.values()) == preview.jobs
    assert json.loads(json.dumps(preview.to_json())) == preview.to_json()
    assert preview.lines()
    return True


@pytest.mark.parametrize("retry_failed", [False, True])
def test_failures_are_counted_by_object(retry_failed: bool, kind: Make) -> None:
    kind.add(OBJECTS, bad=[1, 2])
    with pytest.raises(BatchFailedError):
        kind().run()
    before = jobs(kind.client)
    preview = kind(retry_failed=retry_failed).preview()
    assert is_consistent(preview)
    failed = kind.objects(2)
    assert (preview.failed_before, preview.to_submit) == ((0, failed) if retry_failed else (failed, 0))
    assert preview.up_to_date == kind.objects(OBJECTS - 2)
    with pytest.raises(BatchFailedError):
        kind(retry_failed=retry_failed).run()
    assert preview.jobs >= jobs(kind.client) - before >= preview.to_submit


def test_the_jobs_of_each_step_are_counted(make_of: Callable[[str], Make]) -> None:
    chain = make_of("chain")
    chain.add(OBJECTS)
    chain.client.put_object("small/000.jpg", b"x")  # newer than the object, whose other outputs are missing
    preview = chain().preview()
    assert preview.steps == {"pdf": 6, "thumb": 6, "small": 6}
    assert (preview.jobs, preview.outputs, preview.to_submit, preview.bytes) == (18, 18, 6, 6 * 11)
    assert "6 jobs of step 'thumb'" in preview.lines()
    assert not make_of("one output")().preview().steps


def test_the_cap_and_the_sample_are_in_the_preview(kind: Make) -> None:
    kind.add(OBJECTS)
    preview = kind(max_jobs=5, canary=2).preview()
    assert (preview.max_jobs, preview.max_jobs_left, preview.canary) == (5, 5, 2)
    assert "5 of them may be submitted, the rest would stay unfinished" in preview.lines()
    assert "2 objects go first, as a sample (canary)" in preview.lines()
    assert preview.jobs == OBJECTS * kind.steps
    with pytest.raises(BatchFailedError, match="max_jobs is 4"):
        kind(max_jobs=4).run()
    preview = kind(max_jobs=5).preview()
    assert preview.max_jobs_left == 1
    assert "1 of them may be submitted, the rest would stay unfinished" in preview.lines()


def test_the_cap_counts_a_run_that_ended_badly(kind: Make) -> None:
    kind.add(OBJECTS, bad=[0])
    with pytest.raises(BatchFailedError) as failed:
        kind(max_jobs=100).run()
    assert kind(max_jobs=100, retry_failed=True).preview().max_jobs_left == 100 - failed.value.summary.jobs
    assert kind(max_jobs=100, max_failures="90%").preview().max_jobs_left == 100


# Cost estimates


FREE = PriceTable(per_1000_pages=1000, pages_per_document=10, per_10000_requests=0, per_gb_of_pictures=0)
"""A price table in which each page costs 1, and nothing else costs anything."""
PAGES: dict[str, tuple[dict[str, Any], float]] = {
    "pdf": ({"target": "pdf"}, 10),
    "all pages": ({"target": "jpg"}, 10),
    "first page": ({"target": "jpg", "start_page": 1, "end_page": 1}, 1),
    "from the third": ({"target": "jpg", "start_page": 3}, 8),
    "more than there are": ({"target": "png", "end_page": 99}, 10),
    "behind the last": ({"target": "png", "start_page": 99}, 1),
    "ranges": ({"target": "jpg", "page_ranges": "1,3-5,7"}, 5),
    "a pdf has them all": ({"target": "pdf", "end_page": 2}, 10),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_that_are_not_converted_cost_nothing(
    name: str, client: CIClient, batch: Callable[..., Batch], fill_bucket: Callable[..., None]
) -> None:
    fields, cost = PAGES[name]
    fill_bucket("in/a.docx")
    made = batch(client, INBOX, DocProcess(**fields), output="out/{stem}/${Number}.x")
    assert made.preview(FREE).cost == cost


def test_rows_have_pages_of_their_own(make_of: Callable[[str], Make]) -> None:
    rows = make_of("rows")
    rows.add(3)
    assert rows(operation=DocProcess(target="jpg")).preview(FREE).cost == 6


def test_each_step_has_its_price(make_of: Callable[[str], Make]) -> None:
    chain = make_of("chain")
    chain.add(3)
    preview = chain().preview(FREE)
    assert preview.cost == 3 * (10 + 1)
    assert "pictures that are made of the outputs of a step" in preview.cost_leaves_out


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        (SIDE_BY_SIDE, "the price of a document page (per_1000_pages)"),
        (CHAIN, "the price of a document page (per_1000_pages)"),
        (
            {"mark": (CIJob(tag="DocWatermark"), "mark/{stem}.pdf"), "pdf": (PDF, "pdf/{stem}.pdf")},
            "DocWatermark jobs, for which the table has no price",
        ),
    ],
    ids=["documents", "chain", "other jobs"],
)
def test_a_cost_that_is_unknown_says_which_price_is_missing(
    operations: Any, words: str, client: CIClient, batch: Callable[..., Batch], fill_bucket: Any
) -> None:
    fill_bucket("in/a.docx")
    preview = batch(client, INBOX, None, output="", operations=operations).preview()
    assert preview.cost is None
    assert words in preview.cost_leaves_out
    assert any(line.startswith("not in the cost: ") and words in line for line in preview.lines())


def test_every_estimate_says_what_it_leaves_out(
    client: CIClient, batch: Callable[..., Batch], fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("in/a.png")
    made = batch(client, INBOX, PicProcess("imageMogr2/rotate/90"), output="out/{stem}.png")
    assert "not in the cost: storage, traffic, repeated jobs" in made.preview().lines()


def test_the_time_is_that_of_the_slowest_queues(make_of: Callable[[str], Make], bucket: Path) -> None:
    chain = make_of("chain")
    chain.add(OBJECTS)
    documents, pictures = chain.client.list_doc_queues(), chain.client.list_pic_queues()
    prices = PriceTable(seconds_per_job=3600)
    assert chain().preview(prices).hours is None, "two queues, and none is named"
    assert "set concurrency in the price table" in chain().preview(prices).lines()[-1]
    named = chain(queue_ids=[documents[0].queue_id, pictures[0].queue_id])
    assert named.preview(prices).hours == 12 / (documents[0].max_concurrent or 1)
    assert chain().preview(replace(prices, concurrency=3)).hours == 6
