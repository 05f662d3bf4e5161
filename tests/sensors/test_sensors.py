from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, DocProcess, PicProcess, ServerError
from airflow_provider_ci.compat import AirflowException, AirflowSensorTimeout
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.sensors import CIJobSensor, JobsFailedError

RunDag = Callable[..., Any]
Fill = Callable[..., None]

DAG_TEXT = """
from airflow.sdk import DAG
from airflow_provider_ci.sensors import CIJobSensor

with DAG(DAG_ID, schedule=None) as dag:
    CIJobSensor(task_id="wait", job_ids=%r, poke_interval=0.2, timeout=30, %s)
"""


class Instance:
    """A task instance with only the method that the sensor calls in these tests."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed = (key, value)


def submit(client: CIClient, *keys: str) -> list[str]:
    return [client.submit_doc_job(key, f"out/{key}.pdf", DocProcess(target="pdf")).job_id for key in keys]


@pytest.mark.parametrize("local_ci", [0.5], indirect=True)
@pytest.mark.parametrize("how", ["mode='poke'", "mode='reschedule'", "deferrable=True"])
def test_it_waits_for_many_jobs(
    run_dag: RunDag, client: CIClient, fill_bucket: Fill, how: str, local_ci: LocalCI
) -> None:
    fill_bucket("a.docx", "b.docx", "c.docx", "d.docx", "e.png")
    job_ids = submit(client, "a.docx", "b.docx", "c.docx", "d.docx")
    job_ids.append(client.submit_pic_job("e.png", "out/e.png", PicProcess("imageMogr2/rotate/90")).job_id)
    result = run_dag(DAG_TEXT % (job_ids, how))
    assert result.state == "success"
    assert result.results == {"wait": {"jobs": 5}}


@pytest.mark.parametrize("how", ["mode='poke'", "deferrable=True"])
def test_it_fails_when_a_job_failed_and_names_it(
    run_dag: RunDag, client: CIClient, fill_bucket: Fill, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    fill_bucket("good.docx")
    fill_bucket("empty.docx", content=b"")
    result = run_dag(DAG_TEXT % (submit(client, "good.docx", "empty.docx"), how))
    assert result.state == "failed"
    logged = "".join(capfd.readouterr())
    assert "1 of 2 jobs did not succeed" in logged
    assert "empty.docx" in logged


@pytest.mark.parametrize(
    "shape",
    [
        lambda ids: ids[0],
        lambda ids: ",".join(ids),
        lambda ids: f" {ids[0]} , {ids[1]},",
        lambda ids: [{"job_id": ids[0], "state": "Submitted"}, ids[1], ids[0]],
        lambda ids: {"job_id": ids[0]},
    ],
    ids=["one", "commas", "blanks", "mixed and twice", "a result"],
)
def test_every_shape_of_job_ids(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, shape: Callable[[list[str]], Any]
) -> None:
    fill_bucket("a.docx", "b.docx")
    job_ids = submit(client, "a.docx", "b.docx")
    sensor = CIJobSensor(task_id="wait", job_ids=shape(job_ids), poke_interval=0.1, timeout=30)
    context: Any = {"ti": Instance()}
    assert sensor.execute(context)["jobs"] in (1, 2)


@pytest.mark.parametrize("job_ids", ["", None, "no-job-id!", 5, [5], {"total": 3, "report_key": "r"}])
def test_what_is_no_job_id_is_refused(connection: dict[str, Any], job_ids: Any) -> None:
    sensor = CIJobSensor(task_id="wait", job_ids=job_ids, poke_interval=0.1, timeout=1)
    with pytest.raises(ValueError, match=r"no job id|not a job id|cannot read a job id"):
        sensor.poke({})


def test_it_waits_for_all_before_it_fails(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("x.docx", "y.docx", content=b"")
    sensor = CIJobSensor(
        task_id="wait", job_ids=submit(client, "x.docx", "y.docx"), poke_interval=0.1, timeout=9
    )
    with pytest.raises(JobsFailedError, match="2 of 2 jobs did not succeed"):
        sensor.execute({})


def test_it_names_the_request_id_of_what_failed(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("x.docx", content=b"")
    sensor = CIJobSensor(task_id="wait", job_ids=submit(client, "x.docx"), poke_interval=0.1, timeout=9)
    context: Any = {"ti": Instance()}
    with pytest.raises(JobsFailedError, match=r"x\.docx.* request id \S+"):
        sensor.execute(context)


def done(job_ids: list[str]) -> dict[str, Any]:
    return {"status": "done", "message": "", "job_ids": job_ids, "pending": []}


def test_after_the_event_an_outage_is_told_as_what_it_is(
    connection: dict[str, Any], client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    """The jobs have ended; an outage while they are read does not count as a failed job."""
    fill_bucket("a.docx")
    job_ids = submit(client, "a.docx")
    sensor = CIJobSensor(task_id="wait", job_ids=job_ids, timeout=9)
    local_ci.faults.add("error", code="ServiceUnavailable", method="GET", count=1, retry_after=10_000)
    with pytest.raises(ServerError, match="ServiceUnavailable"):
        sensor.execute_complete({}, done(job_ids))


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        (
            {"status": "timeout", "pending": ["d1", "d2"]},
            AirflowSensorTimeout,
            "2 jobs have not ended in 9 s",
        ),
        ({"status": "error", "message": "no such key"}, AirflowException, "no such key"),
        ({}, AirflowException, "no event"),
        (None, AirflowException, "no event"),
    ],
)
def test_events_that_are_no_success(event: dict[str, Any] | None, error: type[Exception], words: str) -> None:
    """A deadline in the triggerer raises the same error as in place; Airflow does not retry this error."""
    with pytest.raises(error, match=words):
        CIJobSensor(task_id="wait", job_ids="d1", timeout=9).execute_complete({}, event)
