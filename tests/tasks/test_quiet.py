"""Lines about single requests and objects are limited, so that they do not fill the log of a batch."""

from __future__ import annotations

import logging
from importlib import import_module

import pytest

from airflow_provider_ci.batch import Batch, ObjectSelection
from airflow_provider_ci.client import CIClient, DocProcess
from airflow_provider_ci.jobs import cancel_waiting
from airflow_provider_ci.tasks.progress import BatchProgress
from airflow_provider_ci.tasks.quiet import LOGGERS, FewLines
from tests.tasks.test_progress import Clock, Fill, Store

log = logging.getLogger("airflow_provider_ci.client.http.retry")


def test_the_named_loggers_exist() -> None:
    for name in LOGGERS:
        module = import_module(f"airflow_provider_ci.{name}")
        logger = getattr(module, "_log", None) or module.log
        assert logger.name == module.__name__


def test_after_the_first_lines_there_is_one_a_minute_for_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    with FewLines(clock):
        for number in range(240):  # two minutes, as each line advances the clock by 0.5 s
            log.info("attempt %d failed", number)
            clock.now += 0.5
        log.info("another kind")
    log.info("attempt %d failed", 1000)
    assert caplog.messages == [
        *("attempt 0 failed", "attempt 1 failed", "attempt 2 failed"),
        "attempt 122 failed (and 119 more like it)",
        "another kind",
        "117 more lines like 'attempt %d failed' were left out",
        "attempt 1000 failed",
    ]


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
def test_a_batch_logs_few_lines_about_its_single_requests(
    client: CIClient, fill_bucket: Fill, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fill_bucket("in/a.docx")
    with BatchProgress(log, Store()):
        job_ids = [client.submit_doc_job("in/a.docx", f"o/{n}.pdf", DocProcess()).job_id for n in range(40)]
        cancel_waiting(client, job_ids)
        Batch(client, ObjectSelection(prefix="in/"), DocProcess(), "out/{stem}.pdf", batch_id="b").run()
    assert sum(line.startswith("cancelled job") for line in caplog.messages) == 3
    assert "more lines like 'cancelled job %s' were left out" in caplog.text
