"""The failed objects of a batch are the source of the next batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    FailuresOf,
    NoReportError,
    ObjectSelection,
    ObjectState,
    failures_of,
)
from airflow_provider_ci.client import CIClient
from tests.batch.conftest import REPORT

MakeBatch = Callable[..., Batch]
Fill = Callable[..., None]


@pytest.fixture
def failed(client: CIClient, batch: MakeBatch, fill_bucket: Fill) -> Batch:
    """A batch of four objects, two of which have failed."""
    fill_bucket("in/a/good.docx", "in/fine.docx")
    fill_bucket("in/a/bad.docx", "in/worse.docx", content=b"")
    made = batch(client)
    with pytest.raises(BatchFailedError):
        made.run()
    return made


SOURCES: dict[str, Callable[[Batch, BatchFailedError], FailuresOf]] = {
    "a batch": lambda made, error: failures_of(made),
    "its id": lambda made, error: failures_of("test", prefix="in/"),
    "its report": lambda made, error: failures_of(REPORT, prefix="in/"),
    "its summary": lambda made, error: failures_of(error.summary, prefix="in/"),
    "its code": lambda made, error: failures_of(made, codes=["EmptyFile"]),
    "its state": lambda made, error: failures_of(made, states=[ObjectState.FAILED]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_batch_takes_the_failures_of_another(
    name: str, client: CIClient, batch: MakeBatch, failed: Batch, results: Any
) -> None:
    with pytest.raises(BatchFailedError) as caught:
        failed.run()
    source = SOURCES[name](failed, caught.value)
    client.put_object("in/a/bad.docx", b"repaired")
    again = batch(client, source, output="again/{dir}{stem}.pdf", batch_id="again")
    with pytest.raises(BatchFailedError) as still:
        again.run()
    assert (still.value.summary.succeeded, still.value.summary.failed) == (1, 1)
    found = results(client, still.value.summary.report_key)
    assert {key: each.output_key for key, each in found.items()} == {
        "in/a/bad.docx": "again/a/bad.pdf",
        "in/worse.docx": "again/worse.pdf",
    }


@pytest.mark.parametrize("wanted", [{"codes": ["Other"]}, {"states": ["unfinished", "cancelled"]}])
def test_other_codes_and_states_are_left_out(client: CIClient, failed: Batch, wanted: dict[str, Any]) -> None:
    assert list(failures_of(failed, **wanted).objects(client)) == []


def test_a_failed_object_that_was_deleted_fails_alone(client: CIClient, failed: Batch) -> None:
    client.delete_object("in/worse.docx")
    objects: Any = failures_of(failed).objects(client)
    found = {each.key: getattr(each, "code", None) for each in objects}
    assert found == {"in/a/bad.docx": None, "in/worse.docx": "NoSuchKey"}


def test_a_batch_without_a_report_is_named(client: CIClient, batch: MakeBatch) -> None:
    with pytest.raises(NoReportError, match="no report in '_ci_batches/missing-"):
        batch(client, failures_of("missing"), batch_id="again").run()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"batch": ""}, "cannot be ''"), ({"batch": None}, "cannot be None"),
     ({"batch": "b", "states": ["skipped"]}, "'skipped' is not one of failed, cancelled, unfinished")],
)  # fmt: skip
def test_what_names_no_failures_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FailuresOf(**arguments)


def test_the_prefix_of_the_batch_is_kept(client: CIClient, batch: MakeBatch) -> None:
    assert failures_of(batch(client, ObjectSelection(prefix="in/a/"))).prefix == "in/a/"
    assert failures_of(batch(client, ["in/a"])).prefix == ""


def test_a_source_survives_airflow_s_database() -> None:
    source = failures_of("{{ params.batch }}", codes=["Broken"], prefix="in/")
    assert FailuresOf.deserialize(source.serialize()) == source
