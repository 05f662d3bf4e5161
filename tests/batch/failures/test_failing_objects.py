from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    ObjectResult,
    ObjectState,
    read_report,
)
from airflow_provider_ci.client import (
    CIClient,
    PicProcess,
)
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import ConversionError, DocumentResult, InstantConverters

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], int]
Results = Callable[..., dict[str, ObjectResult]]


def test_a_failing_object_fails_alone_and_is_named(
    client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    fill_bucket("in/a.docx", "in/c.docx")
    fill_bucket("in/b.docx", content=b"")
    with pytest.raises(BatchFailedError, match=r"1 failed of 3 objects .*in/b\.docx") as failed:
        batch(client).run()
    report = results(client, failed.value.summary.report_key)
    assert report["in/b.docx"].state is ObjectState.FAILED
    assert report["in/b.docx"].reason
    assert report["in/a.docx"].state is report["in/c.docx"].state is ObjectState.SUCCEEDED


def test_failures_within_the_limit_are_a_success(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*(f"in/{number}.docx" for number in range(9)))
    fill_bucket("in/x.docx", content=b"")
    summary = batch(client, max_failures="10%").run()
    assert (summary.succeeded, summary.failed) == (9, 1)
    assert summary.first_failures[0].startswith("in/x.docx: ")


def test_a_missing_object_fails_alone(
    client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    fill_bucket("in/a.docx")
    summary = batch(client, ["in/a.docx", "in/missing.docx"], max_failures=1).run()
    report = results(client, summary.report_key)
    assert report["in/a.docx"].state is ObjectState.SUCCEEDED
    assert report["in/missing.docx"].state is ObjectState.FAILED
    assert "in/missing.docx" in report["in/missing.docx"].reason


def test_an_unknown_source_type_fails_alone_and_is_named(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.xyz")
    summary = batch(client, max_failures=1).run()
    (failure,) = summary.first_failures
    assert failure.startswith("in/b.xyz: ")
    assert "xyz" in failure.removeprefix("in/b.xyz: ")


def test_a_rule_that_makes_no_sense_fails_its_jobs_and_says_so(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.png")
    wrong = batch(client, operation=PicProcess("imageMogr2/dance/1"), output="out/{name}")
    with pytest.raises(BatchFailedError, match="dance"):
        wrong.run()


class FailingConverters(InstantConverters):
    """Converters whose first ``failures`` conversions fail with ``code``."""

    def __init__(self, code: str, failures: int) -> None:
        super().__init__()
        self._code = code
        self._left = failures
        self._lock = threading.Lock()

    def document(self, *arguments: Any) -> DocumentResult:
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                raise ConversionError(self._code, "this failure was asked for")
        return super().document(*arguments)


@pytest.mark.parametrize(
    ("code", "failures", "state", "jobs"),
    [
        ("InternalError", 1, ObjectState.SUCCEEDED, 2),
        ("InternalError", 2, ObjectState.SUCCEEDED, 3),
        ("InternalError", 3, ObjectState.FAILED, 3),
        ("Broken", 1, ObjectState.FAILED, 1),
    ],
)
def test_what_may_be_transient_is_submitted_again(
    tmp_path: Path,
    code: str,
    failures: int,
    state: ObjectState,
    jobs: int,
    batch: Make,
    job_count: Count,
    client_of: Connect,
) -> None:
    inbox = tmp_path / "examplebucket-1250000000" / "in"
    inbox.mkdir(parents=True)
    (inbox / "a.docx").write_text("text")
    with LocalCI(tmp_path, convert=FailingConverters(code, failures)) as server, client_of(server) as client:
        summary = batch(client, object_attempts=3, max_failures=1).run()
        (found,) = read_report(client, summary.report_key)
        assert (found.state, found.attempts, job_count(client)) == (state, jobs, jobs)
