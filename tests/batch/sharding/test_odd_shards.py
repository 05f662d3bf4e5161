"""Shards of uneven, unusual and changing sources, and merged reports when shards failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    Inventory,
    Manifest,
    ObjectSelection,
    SourceError,
    failures_of,
)
from airflow_provider_ci.batch.sharding.merge import MergedReport, merge_reports
from airflow_provider_ci.batch.sharding.record import ShardList, make_shards
from airflow_provider_ci.client import CIClient
from tests.batch.sharding.test_split import keys
from tests.batch.sources.test_inventory import FOLDER, rows_of, write

Fill = Callable[..., None]
Make = Callable[..., Batch]
IN = ObjectSelection(prefix="in/")

LOPSIDED: dict[str, list[str]] = {
    "one huge folder": [*(f"in/huge/{n:03}.docx" for n in range(40)), "in/a.docx", "in/z/1.docx"],
    "one folder": [f"in/{n:02}.docx" for n in range(11)],
    "one object": ["in/a.docx"],
    "many folders of one": [f"in/{n:02}/a.docx" for n in range(23)],
    "deep": ["in/a/b/c/d/e/f/g.docx", "in/a/b/c/d/e/f.docx", "in/a/b.docx", "in/a.docx"],
    "unicode": [
        "in/é.docx",
        "in/é.docx",
        "in/合同.docx",
        "in/𝔄.docx",
        "in/ﬀ.docx",
        "in/~.docx",
        "in/\uffee.docx",
    ],
    "special characters": [
        "in/a b.docx",
        "in/a+b.docx",
        "in/a%2Fb.docx",
        "in/a&b=c.docx",
        "in/'q'.docx",
        "in/#.docx",
    ],
    "folders beside files": ["in/a-b", "in/a.b", "in/a/b/c", "in/a/b-c", "in/a/b.c", "in/a0", "in/a-b.c"],
}


@pytest.mark.parametrize("max_objects", [1, 3, 10])
@pytest.mark.parametrize("name", LOPSIDED)
def test_each_object_lies_in_exactly_one_shard(name: str, max_objects: int, client: CIClient) -> None:
    for key in LOPSIDED[name]:
        client.put_object(key, b"x")
    made = make_shards(client, IN, shards_id="s", max_objects=max_objects)
    found = [keys(shard.source, client) for shard in made.shards]
    assert list(chain(*found)) == keys(IN, client)
    assert all(1 <= len(each) <= max_objects for each in found)
    assert [shard.objects for shard in made.shards] == list(map(len, found))


def run(made: ShardList, batch: Make, client: CIClient, *numbers: int, **options: Any) -> None:
    for number, shard in enumerate(made.shards):
        if not numbers or number in numbers:
            batch(client, shard.source, batch_id=shard.batch_id, max_failures="100%", **options).run()


def by_key(report: MergedReport) -> tuple[int, int, int]:
    summary = report.summary
    return summary.total, summary.succeeded, summary.unfinished


def test_shards_of_a_listing_that_changes_are_retried(
    client: CIClient, batch: Make, fill_bucket: Fill
) -> None:
    """A new object belongs to one shard, a deleted one to none; a retried shard sees both changes."""
    fill_bucket(*(f"in/{n}.docx" for n in range(6)))
    made = make_shards(client, IN, shards_id="s", max_objects=2)
    run(made, batch, client, 0)
    client.delete_object("in/3.docx")
    fill_bucket("in/00.docx", "in/9.docx", "in/1.docx", content=b"changed")
    run(made, batch, client)
    report = merge_reports(client, made)
    assert by_key(report) == (7, 6, 0), "one of the first shard's is up to date"
    assert report.incomplete == []
    assert len(list(client.list_doc_jobs())) == 8


def test_shards_of_a_manifest_keep_its_rows(client: CIClient, batch: Make, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    client.put_object("m.csv", b"key,output\nin/a.docx,out/1.pdf\nin/b.docx,out/2.pdf\nin/c.docx,out/3.pdf\n")
    made = make_shards(client, Manifest("m.csv"), shards_id="s", max_objects=2)
    client.put_object("m.csv", b"key\nin/a.docx\n")
    client.delete_object("in/c.docx")
    run(made, batch, client)
    assert [each.key for each in client.list_objects("out/")] == ["out/1.pdf", "out/2.pdf"]
    assert by_key(merge_reports(client, made)) == (3, 2, 0)


def test_shards_of_an_inventory_keep_its_report(client: CIClient, batch: Make, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    write(client, rows_of("in/a.docx"), rows_of("in/b.docx", "in/c.docx"))
    made = make_shards(client, Inventory(FOLDER), shards_id="s", max_objects=2)
    write(client, rows_of("in/a.docx"), date="20260202")
    run(made, batch, client)
    assert by_key(merge_reports(client, made)) == (3, 3, 0)
    write(client, rows_of("in/z.docx"))  # replaces the report that the shards read
    with pytest.raises(SourceError, match="has changed: its ETag is"):
        run(made, batch, client)


def test_two_reports_over_the_same_shards_are_equal(client: CIClient, batch: Make, fill_bucket: Fill) -> None:
    fill_bucket("in/1.docx", "in/2.docx", "in/3.docx")
    fill_bucket("in/4.docx", content=b"")
    made = make_shards(client, IN, shards_id="s", max_objects=2)
    run(made, batch, client)
    first, second = merge_reports(client, made), merge_reports(client, made)
    assert first == second
    assert (first.summary.total, first.summary.failed, first.summary.jobs) == (4, 1, 4)


def test_a_shard_without_a_report_counts_as_unfinished(
    client: CIClient, batch: Make, fill_bucket: Fill
) -> None:
    fill_bucket(*(f"in/{n}.docx" for n in range(5)))
    made = make_shards(client, IN, shards_id="s", max_objects=2)
    run(made, batch, client, 0)
    with pytest.raises(BatchFailedError, match="max_jobs is 1"):
        run(made, batch, client, 1, max_jobs=1)
    report = merge_reports(client, made)
    assert [result.state for result in report.results] == ["complete", "unfinished", "missing"]
    assert by_key(report) == (5, 3, 2)
    assert report.summary.stop_reason.startswith("s/0002: max_jobs is 1")
    run(made, batch, client)
    assert by_key(merge_reports(client, made)) == (5, 2, 0), "the others are up to date"


def test_no_objects_make_no_shards_and_an_empty_report(client: CIClient) -> None:
    made = make_shards(client, replace(IN, prefix="none/"), shards_id="s", max_objects=2)
    assert made.shards == ()
    assert by_key(merge_reports(client, made)) == (0, 0, 0)


def test_what_cannot_be_split_says_what_can(client: CIClient) -> None:
    with pytest.raises(SourceError, match="FailuresOf cannot be split into shards: give an ObjectSelection"):
        make_shards(client, failures_of("b"), shards_id="s")
    with pytest.raises(SourceError, match="max_objects must be at least 1, not 0"):
        make_shards(client, IN, shards_id="s", max_objects=0)
