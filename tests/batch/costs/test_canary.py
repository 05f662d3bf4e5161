"""The canary: a sample of whole objects is converted and judged first, for every kind of work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, Manifest, ObjectResult, read_report
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import INBOX, REPORT
from tests.batch.costs.conftest import Make
from tests.batch.costs.work import CHAIN
from tests.batch.steps.test_steps import FailingPictures

Outputs = Callable[[CIClient], "Counter[str]"]
Count = Callable[[CIClient], int]

SAMPLE = (2, 5, 8, 11)
"""Numbers of the objects that a sample of four takes from twelve objects."""


def report_of(client: CIClient) -> list[ObjectResult]:
    return sorted(read_report(client, REPORT), key=lambda result: result.index)


def lines(results: list[ObjectResult]) -> list[ObjectResult]:
    return [line for result in results for line in (result.steps or (result,))]


def jobs(client: CIClient) -> int:
    return len([*client.list_doc_jobs(), *client.list_pic_jobs()])


def test_a_bad_sample_is_all_that_is_made(kind: Make, live_outputs: Outputs) -> None:
    kind.add(12, bad=range(6, 12))
    made = {"canary": 4, "max_failures": "40%"}
    for options in (made, made, {**made, "retry_failed": True}):
        with pytest.raises(BatchFailedError, match="2 of the 4 objects of the canary failed") as failed:
            kind(**options).run()
        results = report_of(kind.client)
        assert Counter(str(each.state) for each in results[:4]) == {"failed": 2, "succeeded": 2}
        assert {line.state for line in lines(results[4:])} == {"unfinished"}
        assert not [line for line in lines(results[:4]) if line.state == "unfinished"]
        assert failed.value.summary.jobs == jobs(kind.client) <= 4 * kind.steps
    with pytest.raises(BatchFailedError, match=" failed of "):
        kind(canary=0, max_failures="40%").run()
    assert set(live_outputs(kind.client).values()) == {1}
    assert not any(line.state == "unfinished" for line in lines(report_of(kind.client)))


@pytest.mark.parametrize(
    ("limit", "is_enough"), [(0, False), (1, True), ("24%", False), ("25%", True)], ids=str
)
def test_an_object_fails_once_however_many_of_its_steps_fail(
    limit: int | str, is_enough: bool, kind: Make
) -> None:
    kind.add(12, bad=[SAMPLE[1]])
    with pytest.raises(BatchFailedError) as failed:
        kind(canary=4, canary_failures=limit).run()
    summary = failed.value.summary
    assert bool(summary.unfinished) is not is_enough
    assert ("1 of the 4 objects of the canary failed" in summary.stop_reason) is not is_enough


def test_an_object_fails_with_one_of_its_steps(tmp_path: Path, client_of: Any, batch: Any) -> None:
    """The last of three steps fails for every object, and the canary counts each object as failed."""
    folder, switch = tmp_path / "own" / "examplebucket-1250000000" / "in", tmp_path / "switch"
    folder.mkdir(parents=True)
    switch.touch()
    for number in range(8):
        (folder / f"{number}.docx").write_text("Some text.")
    server = LocalCI(tmp_path / "own", convert=FailingPictures(switch))
    with server, client_of(server) as client:
        made: Batch = batch(client, INBOX, None, output="", operations=CHAIN, canary=4, canary_failures="99%")
        with pytest.raises(BatchFailedError, match="4 of the 4 objects of the canary failed"):
            made.run()
        assert jobs(client) == 12


def test_rows_of_one_key_are_objects_of_a_sample(client: CIClient, batch: Any, fill_bucket: Any) -> None:
    fill_bucket("in/a.docx")
    rows = [{"key": "in/a.docx", "output": f"out/{page}.pdf", "start_page": page} for page in range(1, 21)]
    client.put_object("pages.jsonl", "\n".join(map(json.dumps, rows)).encode())
    batch(client, Manifest("pages.jsonl"), canary=5).run()
    assert [each.output_key for each in report_of(client)[:5]] == [
        f"out/{page}.pdf" for page in (4, 8, 12, 16, 20)
    ]


def test_what_is_up_to_date_is_no_part_of_the_sample(kind: Make, live_outputs: Outputs) -> None:
    kind.add(4)
    kind().run()
    done = live_outputs(kind.client)
    kind.add(12, bad=range(4, 12))
    with pytest.raises(BatchFailedError, match="3 of the 3 objects of the canary failed") as failed:
        kind(canary=3).run()
    assert live_outputs(kind.client) == done
    assert failed.value.summary.skipped == 4 * (2 if kind.name == "rows" else 1)


def test_what_failed_before_is_no_part_of_the_sample(kind: Make) -> None:
    """An object that failed before is not in the sample, even if its later steps were never submitted."""
    kind.add(12, bad=range(1, 12, 2))
    with pytest.raises(BatchFailedError):
        kind(batch_id="before").run()
    kind.add(24, bad=range(1, 12, 2))
    with pytest.raises(BatchFailedError, match=" failed of ") as failed:
        kind(canary=4, canary_failures=0).run()
    assert not failed.value.summary.unfinished
    assert failed.value.summary.succeeded == kind.objects(12)
