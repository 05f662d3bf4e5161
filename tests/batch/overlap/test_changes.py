"""An output is made again if its object or operation changed, and skipped otherwise, for any batch id."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectResult
from airflow_provider_ci.client import CIClient, DocProcess, PicProcess
from tests.batch.conftest import in_threads, pause
from tests.batch.overlap.conftest import total_of

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]

PAGES = DocProcess(target="png")
TURN = PicProcess("imageMogr2/rotate/90")
TURN_BACK = PicProcess("imageMogr2/rotate/270")


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
    """Judged by its modification time alone, the output would be up to date."""
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


def test_content_that_changed_after_the_first_plan_is_made_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    resume = pause(client)
    first = batch(client, batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    time.sleep(1.1)  # the service's times are whole seconds
    fill_bucket("in/a.docx", content=b"Other text.\n")
    second = batch(client, batch_id="second")
    assert second.advance(patience=0, deadline=time.time() + 60) is None
    resume()
    made = in_threads(first.run, second.run)
    assert [total_of(summary) for summary in made] == [(2, 2)] * 2
    assert live_outputs(client) == {"out/a.pdf": 2, "out/b.pdf": 1}
    assert batch(client, batch_id="third").run().skipped == 2


def test_outputs_of_two_buckets_are_two(
    client: CIClient, fill_bucket: Fill, batch: Make, bucket: Path
) -> None:
    """Two batches take turns, like two nightly DAGs: same output keys, different operations and buckets."""
    (bucket.parent / "other-1250000000").mkdir()
    fill_bucket("in/a.docx", "in/b.docx")
    there: dict[str, Any] = {"output_bucket": "other-1250000000"}
    large: dict[str, Any] = {"operation": DocProcess(paper_size=2)}
    runs = (there, large, there, large)
    found = [batch(client, batch_id=f"night {night}", **each).run() for night, each in enumerate(runs)]
    assert [(each.jobs, each.skipped) for each in found] == [(2, 0), (2, 0), (0, 2), (0, 2)]
    assert [each.judged_by_time for each in found] == [0, 0, 0, 0]
