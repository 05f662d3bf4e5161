"""Several outputs of each object: each output has one job, and a step waits for the step that it follows."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    ObjectResult,
    OutputConflictError,
    OutputTemplateError,
    Step,
    read_report,
)
from airflow_provider_ci.client import CIClient, DocProcess, Job, PicProcess
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import ConversionError, InstantConverters
from tests.batch.conftest import INBOX, REPORT, in_threads, pause
from tests.batch.steps.conftest import ALL_OF_CHAIN, BOTH, CHAIN, KEYS, PDF, THUMB, TWO, outputs, states

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]


def test_each_object_has_all_its_outputs(
    client: CIClient, fill_bucket: Fill, bucket: Path, steps: Make, live_outputs: Count, results: Results
) -> None:
    fill_bucket(*KEYS)
    summary = steps(client).run()
    assert (summary.total, summary.succeeded, summary.jobs, summary.outputs) == (4, 4, 8, 8)
    assert live_outputs(client) == outputs(*KEYS, of=BOTH)
    assert all((bucket / name).is_file() for name in outputs(*KEYS, of=BOTH))
    report = results(client)
    assert list(states(report[KEYS[0]])) == ["pdf", "thumb"]
    assert {name for result in report.values() for name in states(result).values()} == {"succeeded"}
    assert [step.output_key for step in report[KEYS[1]].steps] == ["pdf/1.pdf", "thumbs/1.jpg"]
    assert all(step.job_id and step.key == KEYS[1] for step in report[KEYS[1]].steps)


def test_a_chain_reads_the_output_before(
    client: CIClient, fill_bucket: Fill, bucket: Path, steps: Make, live_outputs: Count, results: Results
) -> None:
    """One batch has document jobs and picture jobs, which have different calls, queues and listings."""
    fill_bucket(*KEYS)
    summary = steps(client, CHAIN).run()
    assert (summary.total, summary.succeeded, summary.jobs) == (4, 4, 12)
    assert live_outputs(client) == ALL_OF_CHAIN
    read = {job.output_key: job.input_key for job in (*client.list_doc_jobs(), *client.list_pic_jobs())}
    assert read["pdf/2.pdf"] == "in/2.docx"
    assert read["thumbs/2.jpg"] == "pdf/2.pdf"
    assert read["small/2.jpg"] == "thumbs/2.jpg"
    assert list(states(results(client)[KEYS[0]])) == ["pdf", "thumb", "small"]


@pytest.mark.parametrize("window", [1, 2, 1000])
def test_the_window_does_not_matter(
    window: int, client: CIClient, fill_bucket: Fill, steps: Make, live_outputs: Count
) -> None:
    fill_bucket(*KEYS)
    assert steps(client, CHAIN, max_in_flight=window).run().succeeded == 4
    assert live_outputs(client) == ALL_OF_CHAIN


def test_a_later_run_makes_only_what_is_missing_or_changed(
    client: CIClient, fill_bucket: Fill, bucket: Path, steps: Make, live_outputs: Count
) -> None:
    fill_bucket(*KEYS)
    steps(client, CHAIN).run()
    again = steps(client, CHAIN, batch_id="again").run()
    assert (again.total, again.skipped, again.jobs, again.judged_by_time) == (4, 4, 0, 0)
    (bucket / "pdf/0.pdf").unlink()
    (bucket / "small/1.jpg").unlink()
    fill_bucket("in/2.docx", content=b"changed")
    summary = steps(client, CHAIN, batch_id="later").run()
    assert (summary.total, summary.succeeded, summary.skipped, summary.jobs) == (4, 3, 1, 5)
    changed = ["pdf/0.pdf", "small/1.jpg", "pdf/2.pdf", "thumbs/2.jpg", "small/2.jpg"]
    assert live_outputs(client) == ALL_OF_CHAIN + Counter(changed)


def test_another_operation_at_the_beginning_remakes_the_chain(
    client: CIClient, fill_bucket: Fill, steps: Make
) -> None:
    fill_bucket(*KEYS[:1])
    steps(client, CHAIN).run()
    other = {**CHAIN, "pdf": (DocProcess(target="pdf", comments=1), "pdf/{stem}.pdf")}
    assert steps(client, other, batch_id="other").run().jobs == 3
    end = {**CHAIN, "small": Step(PicProcess("imageMogr2/thumbnail/!20p"), "small/{stem}.jpg", after="thumb")}
    other_end = {**other, "small": end["small"]}
    assert steps(client, other_end, batch_id="end").run().jobs == 1


def test_what_follows_a_failed_step_has_no_job(
    client: CIClient, fill_bucket: Fill, steps: Make, live_outputs: Count, results: Results
) -> None:
    fill_bucket(*KEYS)
    fill_bucket("in/1.docx", content=b"")  # cannot be converted
    with pytest.raises(BatchFailedError) as failed:
        steps(client, CHAIN).run()
    summary = failed.value.summary
    assert (summary.total, summary.succeeded, summary.failed, summary.jobs) == (4, 3, 1, 10)
    bad = results(client)[KEYS[1]]
    assert states(bad) == dict.fromkeys(("pdf", "thumb", "small"), "failed")
    assert [step.job_id is None for step in bad.steps] == [False, True, True]
    assert "step 'pdf' failed" in bad.steps[1].message
    assert "step 'thumb' failed" in bad.steps[2].message
    assert bad.code == bad.steps[0].code
    assert bad.message.startswith("step 'pdf': ")
    assert [group.count for group in summary.failures] == [1]
    with pytest.raises(BatchFailedError) as again:
        steps(client, CHAIN, batch_id="again").run()
    assert (again.value.summary.jobs, again.value.summary.failed_before) == (0, 1)
    fill_bucket("in/1.docx", content=b"repaired")
    assert steps(client, CHAIN, batch_id="repaired").run().jobs == 3
    assert live_outputs(client) == ALL_OF_CHAIN


class FailingPictures(InstantConverters):
    """Picture jobs fail while the file ``switch`` exists."""

    def __init__(self, switch: Path) -> None:
        super().__init__()
        self._switch = switch

    def picture(self, *arguments: Any) -> Any:
        if self._switch.exists():
            raise ConversionError("UnsupportedImageFormat", "as was asked for")
        return super().picture(*arguments)


def test_a_retry_makes_only_the_missing_step(
    tmp_path: Path, client_of: Any, steps: Make, live_outputs: Count
) -> None:
    bucket, switch = tmp_path / "buckets" / "examplebucket-1250000000", tmp_path / "switch"
    (bucket / "in").mkdir(parents=True)
    switch.touch()
    for key in KEYS:
        (bucket / key).write_text("Some text.")
    with (
        LocalCI(tmp_path / "buckets", convert=FailingPictures(switch)) as server,
        client_of(server) as client,
    ):
        with pytest.raises(BatchFailedError) as failed:
            steps(client, CHAIN).run()
        assert (failed.value.summary.failed, failed.value.summary.outputs) == (4, 8)
        switch.unlink()
        summary = steps(client, CHAIN, retry_failed=True).run()
        assert (summary.total, summary.succeeded, summary.jobs) == (4, 4, 4)
        assert live_outputs(client) == ALL_OF_CHAIN


def test_an_object_that_does_not_exist_fails_with_all_its_steps(
    client: CIClient, fill_bucket: Fill, steps: Make, results: Results
) -> None:
    fill_bucket(*KEYS[:1])
    with pytest.raises(BatchFailedError) as failed:
        steps(client, CHAIN, source=[KEYS[0], "in/gone.docx"]).run()
    assert (failed.value.summary.total, failed.value.summary.failed) == (2, 1)
    assert results(client)["in/gone.docx"].code == "NoSuchKey"


WRONG: dict[str, tuple[Any, str]] = {
    "none": ({}, "must map names to steps"),
    "no mapping": ([(PDF, "o")], "must map names to steps"),
    "no step": ({"a": PDF}, "step 'a' must be a Step"),
    "unknown after": ({"a": (PDF, "o/{stem}", "b")}, "comes after 'b', which is not a step"),
    "itself": ({"a": (PDF, "o/{stem}", "a")}, "in a circle"),
    "circle": ({"a": (PDF, "a/{stem}", "b"), "b": (PDF, "b/{stem}", "a")}, "a, b come after each other"),
    "name": ({"a.b": (PDF, "o/{stem}")}, "text without dots"),
    "operation": ({"a": ("pdf", "o/{stem}")}, "operation must be"),
}


@pytest.mark.parametrize(("operations", "words"), WRONG.values(), ids=WRONG)
def test_wrong_steps_are_refused_before_anything(
    operations: Any, words: str, client: CIClient, steps: Make
) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        steps(client, operations)


@pytest.mark.parametrize(
    "operations",
    [
        {"a": (PDF, "o/{stem}"), "b": (THUMB, "o/{stem}")},
        {"a": (PDF, "o/{name}"), "b": (THUMB, "o/{stem}{suffix}")},
        {"a": (PDF, "o/{stem}"), "b": (THUMB, "o/{nonsense}")},
    ],
)
def test_steps_with_one_output_are_refused_before_anything(
    operations: Any, client: CIClient, fill_bucket: Fill, steps: Make
) -> None:
    fill_bucket(*KEYS)
    with pytest.raises(OutputTemplateError):
        steps(client, operations).run()
    assert not list(client.list_doc_jobs())


@pytest.mark.parametrize(
    "options",
    [
        {"operation": PDF, "output": "o", "operations": TWO},
        {"output": "o"},
        {"operation": PDF, "operations": TWO},
    ],
)
def test_one_operation_or_several_but_not_both(options: dict[str, Any], client: CIClient) -> None:
    with pytest.raises(ValueError, match="give operation and output, or operations"):
        Batch(client, INBOX, batch_id="x", **options)


def test_batches_share_single_outputs(
    client: CIClient, fill_bucket: Fill, steps: Make, batch: Make, live_outputs: Count
) -> None:
    """A plain batch and two chains share outputs: every output has one job."""
    fill_bucket(*KEYS)
    made = in_threads(
        batch(client, INBOX, PDF, output="pdf/{stem}.pdf", batch_id="plain").run,
        steps(client, CHAIN, batch_id="chain").run,
        steps(client, CHAIN, batch_id="another").run,
    )
    assert [(summary.total, summary.succeeded + summary.skipped) for summary in made] == [(4, 4)] * 3
    assert live_outputs(client) == ALL_OF_CHAIN


def test_a_conflict_in_one_step_is_found(
    client: CIClient, fill_bucket: Fill, steps: Make, batch: Make
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    first = batch(client, INBOX, THUMB, output="thumbs/{stem}.jpg", batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    with pytest.raises(OutputConflictError, match=r"'thumbs/0\.jpg'"):
        steps(client, {**TWO, "thumb": (DocProcess(target="jpg"), "thumbs/{stem}.jpg")}).run()
    elsewhere = {"a": (PDF, "a/{stem}.pdf"), "b": (PDF, "b/{stem}.pdf")}
    assert steps(client, elsewhere).advance(patience=0, deadline=time.time() + 60) is None
    resume()


def test_the_rows_of_a_report_go_through_json(
    client: CIClient, fill_bucket: Fill, steps: Make, bucket: Path
) -> None:
    fill_bucket(*KEYS[:1])
    steps(client).run()
    (result,) = read_report(client, REPORT)
    line = json.loads((bucket / REPORT).read_text().splitlines()[1])
    assert [step["step"] for step in line["steps"]] == ["pdf", "thumb"]
    assert "key" not in line["steps"][0], "the object stands in its row once"
    assert result.is_good
    assert result.steps[1].key == KEYS[0]


def test_all_steps_write_to_another_bucket(
    client: CIClient, local_ci: LocalCI, fill_bucket: Fill, steps: Make, bucket: Path, live_outputs: Count
) -> None:
    other = bucket.parent / "other-1250000000"
    other.mkdir()
    fill_bucket(*KEYS)
    where = {"output_bucket": other.name, "output_region": "ap-beijing"}
    row = {"thumb.quality": 5}
    summary = steps(client, parameters=lambda info: row if info.key == KEYS[0] else {}, **where).run()
    assert (summary.succeeded, summary.jobs) == (4, 8)
    assert all((other / name).is_file() for name in outputs(*KEYS, of=BOTH))
    assert steps(client, batch_id="again", parameters=lambda _: {}, **where).run().jobs == 1
    assert {job.output_bucket for job in client.list_doc_jobs()} == {other.name}
    with pytest.raises(ValueError, match="jobs read from examplebucket-1250000000 only"):
        steps(client, CHAIN, **where)


def test_rows_set_parameters_of_single_steps(client: CIClient, fill_bucket: Fill, steps: Make) -> None:
    fill_bucket(*KEYS[:2])

    def row_of(info: Any) -> dict[str, Any]:
        return {"thumb.quality": 5, "paper_size": 2, "job_level": 1} if info.key == KEYS[1] else {}

    assert steps(client, CHAIN, parameters=row_of).run().succeeded == 2
    sent = {job.output_key: _sent(job) for job in client.list_doc_jobs()}
    assert (sent["thumbs/1.jpg"]["Quality"], sent["thumbs/1.jpg"]["PaperSize"]) == ("5", "0")
    assert (sent["pdf/1.pdf"]["PaperSize"], sent["pdf/0.pdf"]["PaperSize"]) == ("2", "0")
    again = steps(client, CHAIN, batch_id="again").run()
    assert (again.jobs, again.skipped) == (3, 1), "without the row, the whole chain of one object changes"


def test_a_row_cannot_name_the_output_of_several_steps(
    client: CIClient, fill_bucket: Fill, steps: Make
) -> None:
    fill_bucket(*KEYS[:1])
    with pytest.raises(BatchFailedError, match="output_key: the batch makes 3 outputs"):
        steps(client, CHAIN, parameters=lambda _: {"output_key": "pdf/x.pdf"}).run()


def _sent(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = job.raw["Operation"]["DocProcess"]
    return found
