"""Objects with settings of their own: what a row changes is in its job, its fingerprint, and nowhere else."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
    SecretError,
)
from airflow_provider_ci.batch.sources.row import Row
from airflow_provider_ci.client import CIClient, DocProcess, Job, ObjectInfo, PicProcess, Secret
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import FOLDER, die, dies, pause

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
Results = Callable[..., dict[str, ObjectResult]]
End = Callable[[], None]

KEYS = [f"in/{number}.docx" for number in range(4)]
PASSWORD = "hunter2-is-no-password"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Rows(ObjectSelection):
    """The objects of a selection, each as a row."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def objects(self, client: CIClient, **options: Any) -> Iterator[Any]:
        for info in ObjectSelection.objects(self, client, **options):
            yield Row(info=info, **self.rows[info.key]) if info.key in self.rows else info


def rows(**by_number: dict[str, Any]) -> Rows:
    return Rows(prefix="in/", rows={f"in/{name[1:]}.docx": row for name, row in by_number.items()})


def pages_of(job: Job) -> str:
    """The first page, 0 if none was named."""
    return str(job.raw["Operation"]["DocProcess"].get("StartPage"))


def jobs_by_output(client: CIClient) -> dict[str, Job]:
    return {job.output_key: job for job in client.list_doc_jobs()}


def everything_in(bucket: Path) -> str:
    """All that the engine has stored."""
    paths = [path for path in bucket.rglob("*") if path.is_file() and "_ci_batches" in path.as_posix()]
    return "\n".join(path.read_text(errors="replace") for path in paths)


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


# Secrets


@pytest.fixture
def sent_passwords(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords in the submissions of the client, in their order."""
    sent: list[str] = []
    attempt = client._transport._attempt

    def look(request: Any, *more: Any, **options: Any) -> Any:
        if request.method == "POST" and b"<DocPassword>" in (request.body or b""):
            sent.append(request.body.decode().partition("<DocPassword>")[2].partition("<")[0])
        return attempt(request, *more, **options)

    monkeypatch.setattr(client._transport, "_attempt", look)
    return sent


def test_a_secret_is_sent_and_stored_nowhere(
    client: CIClient,
    fill_bucket: Fill,
    bucket: Path,
    batch: Make,
    sent_passwords: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill_bucket(*KEYS)
    asked: list[str] = []

    def look_up(reference: str) -> str:
        asked.append(reference)
        return f"{PASSWORD} of {reference}"

    operation = DocProcess(target="pdf", password=Secret("conn:all"))
    source = rows(
        n1={"parameters": {"doc_password": "var:one"}}, n2={"parameters": {"doc_password": "conn:all"}}
    )
    made = batch(client, source, operation, secrets=look_up)
    summary = made.run()
    assert summary.succeeded == 4
    assert sorted(sent_passwords) == sorted([*[f"{PASSWORD} of conn:all"] * 3, f"{PASSWORD} of var:one"])
    assert sorted(asked) == ["conn:all", "var:one"], "each is looked up once"
    stored = everything_in(bucket)
    assert "conn:all" in stored
    assert "var:one" in stored
    assert PASSWORD not in stored + caplog.text + repr(summary) + repr(made) + json.dumps(summary.to_json())
    again = batch(client, source, operation, secrets=lambda _: "another", batch_id="again").run()
    assert again.jobs == 0, "the fingerprint is of the reference"


def test_a_secret_that_cannot_be_looked_up_fails_its_object(
    client: CIClient, fill_bucket: Fill, batch: Make, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_bucket(*KEYS)
    monkeypatch.setenv("EMPTY_PASSWORD", "")
    wrong = {"n1": "env:NO_SUCH_PASSWORD", "n2": "conn:unknown", "n3": "env:EMPTY_PASSWORD"}
    source = rows(**{name: {"parameters": {"doc_password": reference}} for name, reference in wrong.items()})
    with pytest.raises(BatchFailedError):
        batch(client, source).run()
    report = results(client)
    assert [report[key].code for key in KEYS] == ["", *["SecretUnavailable"] * 3]
    assert "'env:NO_SUCH_PASSWORD' cannot be looked up: the environment var" in report[KEYS[1]].message
    assert "pass secrets=" in report[KEYS[2]].message
    assert "it is empty" in report[KEYS[3]].message
    assert len(list(client.list_doc_jobs())) == 1
    monkeypatch.setenv("NO_SUCH_PASSWORD", "now there")
    with pytest.raises(BatchFailedError) as again:
        batch(client, source).run()
    assert (again.value.summary.failed, again.value.summary.jobs) == (2, 1), "it is not remembered"


def test_without_the_secret_of_all_objects_nothing_is_submitted(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*KEYS)
    operation = DocProcess(target="pdf", password=Secret("env:NO_SUCH_PASSWORD"))
    with pytest.raises(SecretError, match="NO_SUCH_PASSWORD is not set"):
        batch(client, operation=operation).run()
    assert not list(client.list_doc_jobs())


@pytest.mark.parametrize("text", ["hunter2", "", "conn:", "pass:word", "CONN:x"])
def test_a_text_that_is_no_reference_is_never_shown(text: str) -> None:
    with pytest.raises(ValueError, match="must name a secret") as refused:
        Secret(text)
    assert not text or text not in str(refused.value).replace("'conn:my_connection'", "")


def test_a_reference_is_shown_and_crosses_json() -> None:
    operation = DocProcess(password=Secret("conn:docs"))
    assert repr(Secret("conn:docs")) == "Secret(reference='conn:docs')"
    stored = json.loads(json.dumps(operation.serialize()))
    assert DocProcess.deserialize(stored) == operation


def test_a_reference_is_no_password_for_a_single_job(client: CIClient) -> None:
    with pytest.raises(ValueError, match="'conn:docs'"):
        client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(password=Secret("conn:docs")))


# Many


def test_ten_thousand_mixed_rows_in_one_batch(tmp_path: Path, client_of: Any, batch: Make) -> None:
    """Other targets, pages, qualities, outputs, priorities and some wrong rows; 1 % fail."""
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
