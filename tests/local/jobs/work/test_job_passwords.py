"""Passwords of documents are used, but neither shown nor stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI


def test_a_password_is_shown_nowhere(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(convert=gate)
    call = caller(server)
    call.put("a.docx")
    body = call.doc_job("a.docx", "p${Number}", "<DocPassword>s3cr3t-word</DocPassword>")
    job_id = call.submit(body)
    missing = call.submit(body.replace("a.docx", "none.docx"))
    gate.open.set()
    for reply in (
        call.finished(job_id),
        call.finished(missing),
        call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]),
    ):
        assert b"s3cr3t-word" not in reply.body
        assert "******" in reply.texts("JobsDetail/Operation/DocProcess/DocPassword")
    server.stop()
    assert b"s3cr3t-word" not in (root / ".ci-local" / "state.sqlite").read_bytes()
    assert "s3cr3t-word" not in caplog.text


def test_a_password_is_forgotten_on_disk_when_its_job_ends(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, root: Path, until: Callable[..., None]
) -> None:
    def is_on_disk() -> bool:
        state = [path for path in (root / ".ci-local").rglob("*") if path.is_file()]
        return any(b"s3cr3t-word" in path.read_bytes() for path in state)

    call = caller(serve(convert=gate, workers=1))
    call.put("a.docx")
    body = call.doc_job("a.docx", "p${Number}", "<DocPassword>s3cr3t-word</DocPassword>")
    running, waiting = call.submit(body), call.submit(body)
    until(lambda: call.state(running) == "Running")
    assert call("PUT", "ci", f"/doc_jobs/{waiting}", [("cancel", "")]).status == 200
    assert is_on_disk()
    gate.open.set()
    call.finished(running)
    assert not is_on_disk()


def test_blanks_around_a_key_and_a_password_belong_to_it(call: Any) -> None:
    call.put(" a.docx")
    body = call.doc_job(" a.docx", " out.pdf").replace("</TgtType>", "</TgtType><DocPassword> </DocPassword>")
    done = call.finished(call.submit(body))
    assert done.text("JobsDetail/State") == "Success"
    assert done.text("JobsDetail/Operation/DocProcess/DocPassword") == "******"
    assert call.get(" out.pdf").status == 200
