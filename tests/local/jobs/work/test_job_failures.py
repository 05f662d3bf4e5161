"""An impossible job fails with a code and a reason, and does not affect other jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.convert import InstantConverters

FAILURES = {
    "missing object": ("in/none.docx", "out.pdf", "ResourceNotFound", "in/none.docx"),
    "empty file": ("in/empty.docx", "out.pdf", "EmptyFile", ""),
    "unknown type": ("in/a.zzz", "out.pdf", "UnsupportedType", ""),
    "output under an object": ("in/a.docx", "in/a.docx/out.pdf", "PathConflict", "in/a.docx/out.pdf"),
    "output key too long": ("in/a.docx", "x" * 851, "KeyTooLong", "851"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_cannot_be_done_fails_its_own_job_with_code_and_message(call: Any, case: str) -> None:
    key, output, code, message = FAILURES[case]
    call.put("in/a.docx")
    call.put("in/empty.docx", b"")
    call.put("in/a.zzz")
    failing, other = call.submit(call.doc_job(key, output)), call.submit(call.doc_job("in/a.docx", "ok.pdf"))
    failed = call.finished(failing)
    assert failed.texts("JobsDetail/State") == ["Failed"]
    assert failed.text("JobsDetail/Code") == code
    assert message in failed.text("JobsDetail/Message")
    assert failed.xml.find("JobsDetail/Operation/DocProcessResult") is None
    assert call.finished(other).text("JobsDetail/State") == "Success"


def test_a_rule_that_makes_no_sense_is_accepted_and_fails_the_job(call: Any) -> None:
    call.put("a.jpg")
    failed = call.finished(
        call.submit(call.pic_job("a.jpg", "b.jpg", "imageMogr2/nonsense"), "/pic_jobs"), "/pic_jobs"
    )
    assert failed.text("JobsDetail/State") == "Failed"
    assert failed.text("JobsDetail/Message")


def test_an_output_in_the_way_of_other_objects_fails_its_job_alone(call: Any) -> None:
    call.put("a.docx")
    call.put("taken/by", b"an object")
    for output in ("taken", "taken/by/too.pdf"):
        failed = call.finished(call.submit(call.doc_job("a.docx", output)))
        assert failed.texts("JobsDetail/State") + failed.texts("JobsDetail/Code") == [
            "Failed",
            "PathConflict",
        ]
        assert f"'{output}' cannot be stored" in failed.text("JobsDetail/Message")
    assert call.get("taken/by").body == b"an object"
    assert call.finished(call.submit(call.doc_job("a.docx"))).text("JobsDetail/State") == "Success"


def test_a_failing_conversion_of_any_kind_ends_its_job(
    serve: Callable[..., LocalCI], caller: Any, gate: Any
) -> None:
    gate.document = lambda *_: 1 / 0
    call = caller(serve(convert=gate))
    call.put("a.docx")
    logging.getLogger("airflow_provider_ci.local.jobs.work.processing").disabled = True
    failed = call.finished(call.submit(call.doc_job("a.docx")))
    logging.getLogger("airflow_provider_ci.local.jobs.work.processing").disabled = False
    assert (failed.text("JobsDetail/Code"), failed.text("JobsDetail/State")) == ("InternalError", "Failed")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(5, "Input/output error", "/a/path"), "the local CI failed: Input/output error"),
        (RuntimeError("defect in /a/path"), "the local CI failed: RuntimeError"),
    ],
)
def test_a_defect_of_the_local_ci_fails_the_job_and_shows_no_path(
    serve: Callable[..., LocalCI],
    caller: Any,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    message: str,
) -> None:
    class Defective(InstantConverters):
        def document(self, *_: object) -> Any:
            raise error

    call = caller(serve(convert=Defective()))
    call.put("a.docx")
    failed = call.finished(call.submit(call.doc_job("a.docx")))
    assert failed.text("JobsDetail/Code") == "InternalError"
    assert failed.text("JobsDetail/Message") == message
    assert "/a/path" in caplog.text
