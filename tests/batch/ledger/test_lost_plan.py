"""After a plan or its report was deleted, only outputs whose object or operation changed are made again."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_ci.batch import Batch, Step
from airflow_provider_ci.client import CIClient, DocProcess, PicProcess
from tests.batch.conftest import Kill, wait_until

Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]

KEYS = [f"in/{number}.docx" for number in range(4)]
PDF = Step(DocProcess(target="pdf", end_page=2), "out/{dir}{stem}.pdf")
PAGE = Step(DocProcess(target="jpg", start_page=1, end_page=1), "out/{dir}{stem}.jpg", after="pdf")
SMALL = Step(PicProcess("imageMogr2/thumbnail/!50p"), "out/small/{dir}{stem}.jpg", after="page")
STEPS = {"one step": {"pdf": PDF}, "chain": {"pdf": PDF, "page": PAGE, "small": SMALL}}
OTHER_PDF = replace(PDF, operation=DocProcess(target="pdf", end_page=3))
LOST = {
    "plan": ("plan.json", "/plan/"),
    "plan and claim": ("plan.json", "/plan/", "registry/00000003.json"),
    "folder": ("_ci_batches/",),
    "folder and claim": ("_ci_batches/", "registry/00000003.json"),
    "report": ("/report.jsonl", "/report/"),
}


def delete_records(bucket: Path, lost: str) -> None:
    for path in [*bucket.glob("_ci_batches/**/*"), *bucket.glob("_ci_batches.registry/*")]:
        if path.is_file() and any(part in path.as_posix() for part in LOST[lost]):
            path.unlink()


def wait_for_jobs(client: CIClient) -> None:
    wait_until(lambda: all(job.state.is_final for job in (*client.list_doc_jobs(), *client.list_pic_jobs())))


@pytest.fixture
def make(batch: Make) -> Make:
    """Makes a batch with the given steps."""

    def make(client: CIClient, operations: Mapping[str, Step]) -> Batch:
        options = {"operations": operations, "lease_seconds": 30, "max_in_flight": 2, "threads": 1}
        return batch(client, operation=None, output="", **options)

    return make


@pytest.mark.parametrize("changed", ["content", "operation"])
@pytest.mark.parametrize(
    ("steps", "posts", "lost"),
    [
        ("one step", 3, "plan"),
        ("one step", 3, "folder and claim"),
        ("chain", 3, "folder"),
        ("chain", 6, "plan and claim"),
    ],
)
def test_what_a_dead_run_has_made_is_not_made_again(
    steps: str,
    posts: int,
    lost: str,
    changed: str,
    client: CIClient,
    kill: Kill,
    make: Make,
    bucket: Path,
    fill_bucket: Callable[..., None],
    end_leases: Callable[[], None],
    live_outputs: Count,
) -> None:
    operations = STEPS[steps]
    fill_bucket(*KEYS)
    make(client, operations).run()
    before = live_outputs(client)
    if changed == "content":
        fill_bucket(*KEYS, content=b"Other text.\n")
    else:
        operations = {**operations, "pdf": OTHER_PDF}
    kill(posts, lambda doomed: make(doomed, operations))
    wait_for_jobs(client)
    end_leases()
    delete_records(bucket, lost)
    summary = make(client, operations).run()
    assert summary.succeeded + summary.skipped == len(KEYS)
    assert live_outputs(client) - before == dict.fromkeys(before, 1)


def test_an_output_of_a_lost_plan_that_was_deleted_is_made_again(
    client: CIClient, make: Make, bucket: Path, fill_bucket: Callable[..., None], live_outputs: Count
) -> None:
    fill_bucket(*KEYS)
    make(client, STEPS["one step"]).run()
    make(client, {"pdf": OTHER_PDF}).run()
    delete_records(bucket, "folder")
    (bucket / "out/0.pdf").unlink()
    summary = make(client, {"pdf": OTHER_PDF}).run()
    assert (summary.succeeded, summary.skipped) == (1, 3)
    assert live_outputs(client) == {
        "out/0.pdf": 3,
        **dict.fromkeys(("out/1.pdf", "out/2.pdf", "out/3.pdf"), 2),
    }


def test_an_output_that_others_have_touched_is_made_again_by_another_operation(
    client: CIClient, make: Make, bucket: Path, fill_bucket: Callable[..., None], live_outputs: Count
) -> None:
    fill_bucket(*KEYS)
    make(client, STEPS["one step"]).run()
    for output in (bucket / "out").glob("*.pdf"):
        os.utime(output, (time.time() + 5, time.time() + 5))  # as if it had been restored from a copy
    assert make(client, {"pdf": OTHER_PDF}).run().succeeded == len(KEYS)
    assert set(live_outputs(client).values()) == {2}


@pytest.mark.parametrize("changed", ["content", "operation"])
@pytest.mark.parametrize("steps", STEPS)
def test_what_a_lost_plan_has_replaced_is_made_again(
    steps: str,
    changed: str,
    client: CIClient,
    make: Make,
    bucket: Path,
    fill_bucket: Callable[..., None],
    live_outputs: Count,
) -> None:
    """The index still names the first output, but the plan that was lost had replaced that output."""
    operations, before = STEPS[steps], b"Some text."
    fill_bucket(*KEYS, content=before)
    make(client, operations).run()
    states = {path: path.read_bytes() for path in bucket.glob("_ci_batches.registry/*.json")}
    if changed == "content":
        fill_bucket(*KEYS, content=b"Other text.")
        make(client, operations).run()
        now = int(time.time())
        wait_until(lambda: time.time() >= now + 1)  # the service's times are whole seconds
        fill_bucket(*KEYS, content=before)
    else:
        make(client, {**operations, "pdf": OTHER_PDF}).run()
    delete_records(bucket, "folder")
    for path in bucket.glob("_ci_batches.registry/*.json"):
        path.unlink()
    for path, content in states.items():
        path.write_bytes(content)
    assert make(client, operations).run().succeeded == len(KEYS)
    assert set(live_outputs(client).values()) == {3}
    assert make(client, operations).run().skipped == len(KEYS)


@pytest.mark.parametrize("local_ci", [0.0, 3.0], indirect=True, ids=["quick jobs", "slow jobs"])
def test_a_plan_whose_report_was_deleted_does_not_stand_for_the_next_one(
    client: CIClient, bucket: Path, batch: Make, fill_bucket: Callable[..., None], live_outputs: Count
) -> None:
    """A nightly batch always has the same id; its report was deleted, but its other records were not."""
    fill_bucket(*KEYS[:3])
    assert batch(client).run().succeeded == 3
    delete_records(bucket, "report")
    fill_bucket(KEYS[0], content=b"changed since\n")
    fill_bucket(KEYS[3])
    summary = batch(client).run()
    assert (summary.total, summary.succeeded, summary.skipped) == (4, 2, 2)
    assert live_outputs(client) == {"out/0.pdf": 2, "out/1.pdf": 1, "out/2.pdf": 1, "out/3.pdf": 1}
