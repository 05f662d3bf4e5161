"""Two operations for one output: the second batch fails while jobs of the first are in flight."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from airflow_provider_ci.batch import Batch, OutputConflictError
from airflow_provider_ci.client import CIClient, DocProcess, JobState
from tests.batch.conftest import die, dies, pause, wait_until
from tests.batch.overlap.conftest import total_of

Fill = Callable[..., None]
Make = Callable[..., Batch]
Count = Callable[[CIClient], "Counter[str]"]
End = Callable[[], None]


def test_another_operation_on_outputs_in_flight_is_an_error(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "in/c.docx")
    resume = pause(client)
    first = batch(client, ["in/a.docx", "in/b.docx"], batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    with pytest.raises(OutputConflictError, match=r"batch first is making 'out/b\.pdf'.*batch second") as no:
        batch(
            client, ["in/b.docx", "in/c.docx"], DocProcess(target="pdf", start_page=2), batch_id="second"
        ).run()
    assert (no.value.batch_id, no.value.other_batch_id, no.value.output) == ("second", "first", "out/b.pdf")
    assert len(list(client.list_doc_jobs())) == 2
    resume()
    assert first.run().succeeded == 2


def test_after_the_first_batch_the_other_operation_may_run(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    resume = pause(client)
    first = batch(client, batch_id="first")
    assert first.advance(patience=0, deadline=time.time() + 60) is None
    other = batch(client, operation=DocProcess(target="pdf", start_page=2), batch_id="second")
    with pytest.raises(OutputConflictError):
        other.run()
    resume()
    assert first.run().succeeded == 1
    assert other.run().succeeded == 1


def test_a_job_of_nobody_known_with_another_operation_is_an_error(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx")
    pause(client)
    client.submit_doc_job("in/a.docx", "out/a-${Number}.png", DocProcess(target="png", image_dpi=96))
    with pytest.raises(OutputConflictError, match=r"out/a-1\.png"):
        batch(
            client, operation=DocProcess(target="png", image_dpi=300), output="out/{stem}-${Number}.png"
        ).run()
    assert len(list(client.list_doc_jobs())) == 1


def test_a_job_of_nobody_known_with_our_operation_is_adopted(
    client: CIClient, fill_bucket: Fill, batch: Make, live_outputs: Count
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    resume = pause(client)
    client.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess(target="pdf"))
    threading.Timer(0.5, resume).start()
    summary = batch(client).run()
    assert total_of(summary) == (2, 2)
    assert summary.jobs == 1, "the other job was paid for by somebody else"
    assert live_outputs(client) == {"out/a.pdf": 1, "out/b.pdf": 1}


def test_another_operation_after_a_dead_batch_waits_for_its_jobs(
    client: CIClient, fill_bucket: Fill, batch: Make, end_leases: End
) -> None:
    """The dead batch left a job in flight, which must not overwrite the output of the new operation."""
    fill_bucket("in/a.docx")
    resume = pause(client)
    pages = {"output": "out/{stem}-${Number}.png"}
    coarse, fine = (DocProcess(target="png", image_dpi=dpi) for dpi in (96, 300))
    die(batch(client, operation=coarse, **pages, batch_id="dead", progress=dies(1)))
    end_leases()
    other = batch(client, operation=fine, **pages, batch_id="other")
    with pytest.raises(OutputConflictError):
        other.run()
    assert len(list(client.list_doc_jobs())) == 1
    resume()
    wait_until(lambda: all(job.state.is_final for job in client.list_doc_jobs()))
    assert other.run().succeeded == 1
    newest, _ = client.list_doc_jobs(order="Desc")
    assert newest.state is JobState.SUCCESS
