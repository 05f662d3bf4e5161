"""The settings of a row change the job and the fingerprint of its object, and of no other object."""

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
    ObjectSelection,
    ObjectState,
    OutputConflictError,
    OutputTemplateError,
    Pace,
)
from airflow_provider_ci.client import CIClient, Job, ObjectInfo, PicProcess
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, die, dies, pause
from tests.batch.rows.conftest import KEYS, PASSWORD, everything_in, rows

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
End = Callable[[], None]


def pages_of(job: Job) -> str:
    """The first page that the job converts; ``"0"`` if none was given."""
    return str(job.raw["Operation"]["DocProcess"].get("StartPage"))


def jobs_by_output(client: CIClient) -> dict[str, Job]:
    return {job.output_key: job for job in client.list_doc_jobs()}


def test_a_row_changes_its_own_job_only(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*KEYS)
    source = rows(
        n1={"parameters": {"start_page": "2", "comments": ""}},
        n2={"output_key": "out/elsewhere.pdf", "job_level": 2},
        n3={"parameters": {"start_page": 3}, "job_level": "1"},
    )
    summary = batch(client, source, job_level=0).run()
    assert (summary.succeeded, summary.jobs) == (4, 4)
    jobs = jobs_by_output(client)
    assert jobs.keys() == {"out/0.pdf", "out/1.pdf", "out/elsewhere.pdf", "out/3.pdf"}
    assert {name: pages_of(job) for name, job in jobs.items()} == {
        "out/0.pdf": "0",
        "out/1.pdf": "2",
        "out/elsewhere.pdf": "0",
        "out/3.pdf": "3",
    }
    levels = {name: job.raw["Operation"].get("JobLevel") for name, job in jobs.items()}
    assert levels == {"out/0.pdf": "0", "out/1.pdf": "0", "out/elsewhere.pdf": "2", "out/3.pdf": "1"}


def test_a_function_gives_the_row_of_each_object(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*KEYS)

    def row_of(info: ObjectInfo) -> dict[str, Any] | None:
        number = int(info.key[3])
        if number == 3:
            raise KeyError("no row for it")
        return {"start_page": number, "output_key": f"out/{number}-own.pdf"} if number else None

    with pytest.raises(BatchFailedError) as failed:
        batch(client, parameters=row_of).run()
    assert {name: pages_of(job) for name, job in jobs_by_output(client).items()} == {
        "out/0.pdf": "0",
        "out/1-own.pdf": "1",
        "out/2-own.pdf": "2",
    }
    assert "no row for it" in failed.value.summary.failures[0].example


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": ({"parameters": {"strat_page": 1}}, "strat_page: DocProcess has no such parameter"),
    "name of another operation": (
        {"parameters": {"rule": "imageMogr2/rotate/90"}},
        "rule: DocProcess has no",
    ),
    "unknown step": ({"parameters": {"pdf.start_page": 1}}, "the batch has no step 'pdf'"),
    "value": ({"parameters": {"start_page": "two"}}, "start_page must be a whole number, not 'two'"),
    "range": ({"parameters": {"quality": 101}}, "quality must be from 1 to 100, not 101"),
    "template": ({"parameters": {"target": "{{ ds }}"}}, "target must be one of pdf, png, jpg"),
    "level": ({"job_level": 3}, "job_level must be from 0 to 2, not 3"),
    "output elsewhere": ({"output_key": "other/1.pdf"}, "output_key 'other/1.pdf' must begin with 'out/'"),
    "output too long": ({"output_key": f"out/{'x' * 900}"}, "an object key has at most 850"),
    "control character": ({"output_key": "out/\x1b.pdf"}, "control character"),
    "ledger": ({"output_key": "out/x.ci-batch/plan.json"}, "lies among the records of batches"),
    "password": ({"parameters": {"password": PASSWORD}}, "doc_password names a secret"),
    "password as reference": ({"parameters": {"doc_password": PASSWORD}}, "must name a secret"),
    "password in extra": (
        {"parameters": {"extra": {"DocPassword": PASSWORD}}},
        "name the secret by doc_pass",
    ),
}


@pytest.mark.parametrize(("row", "words"), BAD.values(), ids=BAD)
def test_a_wrong_row_fails_alone(
    row: dict[str, Any],
    words: str,
    client: CIClient,
    fill_bucket: Fill,
    bucket: Path,
    batch: Make,
    results: Results,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill_bucket(*KEYS[:3])
    with pytest.raises(BatchFailedError) as failed:
        batch(client, rows(n1=row)).run()
    report = results(client)
    assert {key: report[key].state for key in KEYS[:3]} == {
        KEYS[0]: ObjectState.SUCCEEDED,
        KEYS[1]: ObjectState.FAILED,
        KEYS[2]: ObjectState.SUCCEEDED,
    }
    assert report[KEYS[1]].code == "InvalidRow"
    assert report[KEYS[1]].message.startswith("row of 'in/1.docx': ")
    assert words in report[KEYS[1]].message
    assert len(list(client.list_doc_jobs())) == 2
    assert PASSWORD not in everything_in(bucket) + str(failed.value) + caplog.text + repr(
        failed.value.summary
    )


def test_an_output_that_is_its_object_fails_alone(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*KEYS[:2])
    with pytest.raises(BatchFailedError, match="output_key names the object itself"):
        batch(client, rows(n1={"output_key": "in/1.docx"}), output="{key}.pdf").run()


@pytest.mark.parametrize(
    "row", [{"output_key": "out/0.pdf"}, {"output_key": "out/3.pdf"}], ids=["template", "row"]
)
def test_two_rows_with_one_output_are_refused_before_anything_is_submitted(
    row: dict[str, Any], client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*KEYS)
    with pytest.raises(OutputTemplateError, match=r"would both write 'out/.*output_key"):
        batch(client, rows(n1=row, n2={"output_key": "out/3.pdf"})).run()
    assert not list(client.list_doc_jobs())


def test_only_what_a_row_changed_is_made_again(
    client: CIClient, fill_bucket: Fill, batch: Make, live_jobs: Count
) -> None:
    fill_bucket(*KEYS)
    first = rows(n1={"parameters": {"start_page": 2}}, n2={"job_level": 1})
    batch(client, first).run()
    again = batch(client, first, batch_id="again").run()
    assert (again.skipped, again.jobs, again.judged_by_time) == (4, 0, 0)
    changed = rows(
        n1={"parameters": {"start_page": "2"}}, n2={"job_level": 2}, n3={"parameters": {"end_page": 1}}
    )
    summary = batch(client, changed, batch_id="changed").run()
    assert (summary.skipped, summary.jobs) == (3, 1)
    assert live_jobs(client) == {**dict.fromkeys(KEYS, 1), KEYS[3]: 2}
    without = batch(client, batch_id="without").run()
    assert without.jobs == 2, "both rows are gone"


def test_a_failure_is_remembered_with_the_parameters_of_its_row(
    client: CIClient, fill_bucket: Fill, batch: Make, local_ci: LocalCI
) -> None:
    fill_bucket(KEYS[0])
    fill_bucket("in/1.docx", content=b"")
    row = rows(n1={"parameters": {"start_page": 2}})
    with pytest.raises(BatchFailedError):
        batch(client, row).run()
    with pytest.raises(BatchFailedError) as again:
        batch(client, row, batch_id="again").run()
    assert (again.value.summary.failed_before, again.value.summary.jobs) == (1, 0)
    with pytest.raises(BatchFailedError) as other:
        batch(client, rows(n1={"parameters": {"start_page": 3}}), batch_id="other").run()
    assert (other.value.summary.failed_before, other.value.summary.jobs) == (0, 1)


@pytest.mark.parametrize(
    ("theirs", "ours", "is_conflict"),
    [
        ({"start_page": 2}, {"start_page": 2}, False),
        ({"start_page": 2}, {"start_page": "2"}, False),
        ({"start_page": 2}, {"start_page": 3}, True),
        ({"start_page": 2}, {}, True),
        ({}, {"start_page": 2}, True),
    ],
)
def test_conflicts_with_other_batches_are_found_output_by_output(
    theirs: dict[str, Any],
    ours: dict[str, Any],
    is_conflict: bool,
    client: CIClient,
    fill_bucket: Fill,
    batch: Make,
    live_jobs: Count,
) -> None:
    fill_bucket(*KEYS)
    resume = pause(client)
    first = batch(client, rows(n1={"parameters": theirs}), batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    second = batch(client, rows(n1={"parameters": ours}), batch_id="second")
    if is_conflict:
        with pytest.raises(OutputConflictError, match=r"'out/1\.pdf' by another operation"):
            second.advance(patience=0, deadline=time.time() + 60)
    else:
        assert second.advance(patience=0, deadline=time.time() + 60) is None
    resume()
    assert first.run().succeeded == 4
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


def test_the_frozen_plan_keeps_its_rows(
    client: CIClient, fill_bucket: Fill, batch: Make, end_leases: End
) -> None:
    fill_bucket(*KEYS)
    first = rows(
        n1={"parameters": {"start_page": 2}}, n3={"parameters": {"start_page": 3}, "output_key": "out/x"}
    )
    die(batch(client, first, max_in_flight=2, progress=dies(1), definition="code"))
    end_leases()
    other = rows(n1={"parameters": {"start_page": 7}}, n3={"parameters": {"start_page": 7}})
    summary = batch(client, other, definition="code").run()
    assert (summary.succeeded, summary.total) == (4, 4)
    assert {name: pages_of(job) for name, job in jobs_by_output(client).items()} == {
        "out/0.pdf": "0",
        "out/1.pdf": "2",
        "out/2.pdf": "0",
        "out/x": "3",
    }


@pytest.mark.parametrize("lost", ["ledger", "plan", "results"])
def test_jobs_of_rows_are_adopted_after_records_were_deleted(
    lost: str,
    client: CIClient,
    fill_bucket: Fill,
    bucket: Path,
    batch: Make,
    live_jobs: Count,
    end_leases: End,
) -> None:
    fill_bucket(*KEYS)
    source = rows(n1={"parameters": {"start_page": 2}}, n2={"output_key": "out/x.pdf"})
    resume = pause(client)
    assert batch(client, source).advance(patience=0, deadline=time.time() + 60) is None
    parts = {
        "ledger": "_ci_batches*/**/*",
        "plan": f"{FOLDER}plan.json",
        "results": f"{FOLDER}*/checkpoint.jsonl",
    }
    for path in bucket.glob(parts[lost]):
        if path.is_file():
            path.unlink()
    end_leases()
    resume()
    summary = batch(client, source).run()
    assert (summary.total, summary.succeeded + summary.skipped) == (4, 4)
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


def test_a_plan_of_this_version_before_steps_and_rows_is_continued(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, live_jobs: Count, end_leases: End
) -> None:
    fill_bucket(*KEYS)
    die(batch(client, max_in_flight=2, progress=dies(1)))
    path = bucket / FOLDER / "plan.json"
    header, *lines = path.read_text().splitlines()
    known = {name: value for name, value in json.loads(header).items() if name not in ("steps", "queue_ids")}
    path.write_text("\n".join([json.dumps(known), *lines, ""]))
    end_leases()
    assert batch(client).run().succeeded == 4
    assert live_jobs(client) == dict.fromkeys(KEYS, 1)


def test_ten_thousand_mixed_rows_in_one_batch(tmp_path: Path, client_of: Any, batch: Make) -> None:
    """The rows differ in target, pages, quality, output and priority; 1 % of them are wrong and fail."""
    name, count = "synthetic-1250000000", 10_000
    (tmp_path / name).mkdir()

    def row_of(info: ObjectInfo) -> dict[str, Any]:
        number = int("".join(each for each in info.key if each.isdigit()))
        if number % 100 == 99:
            return {"quality": 1000}
        row: dict[str, Any] = {"job_level": number % 3, "start_page": number % 7 + 1}
        if number % 2:
            row |= {"target": "jpg", "quality": number % 50 + 1}
            row |= {"output_key": f"out/{number}/${{Number}}.jpg"}
        return row

    with (
        LocalCI(tmp_path, convert="none", synthetic={name: count}, workers=8) as server,
        client_of(server, bucket=name) as client,
    ):
        summary = batch(
            client,
            ObjectSelection(prefix="synthetic/"),
            parameters=row_of,
            max_failures="1%",
            pace=Pace(shortest=0.2, longest=1.0),
        ).run()
    assert (summary.total, summary.failed, summary.jobs) == (count, count // 100, count - count // 100)
    assert [(group.code, group.count) for group in summary.failures] == [("InvalidRow", 100)]


def test_pictures_have_rows_too(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/1.docx", "in/2.docx")
    source = rows(n1={"parameters": {"rule": "imageMogr2/rotate/90", "is_pic_info": "true"}})
    assert (
        batch(client, source, PicProcess("imageMogr2/rotate/180"), output="out/{name}.png").run().total == 2
    )
    sent = {
        job.input_key: job.raw["Operation"]["PicProcess"]["ProcessRule"] for job in client.list_pic_jobs()
    }
    assert sent == {"in/1.docx": "imageMogr2/rotate/90", "in/2.docx": "imageMogr2/rotate/180"}
