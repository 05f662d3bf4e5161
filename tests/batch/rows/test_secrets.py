"""Passwords given as references to secrets are sent with the jobs and stored nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchFailedError, ObjectResult, SecretError
from airflow_provider_ci.client import CIClient, DocProcess, Secret
from tests.batch.rows.conftest import KEYS, PASSWORD, everything_in, rows

Fill = Callable[..., None]
Make = Callable[..., Batch]
Results = Callable[..., dict[str, ObjectResult]]


@pytest.fixture
def sent_passwords(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records the password of each submission of the client, in the order of the submissions."""
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
