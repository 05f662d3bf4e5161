"""The public API as users use it. This file never runs; mypy checks it against the published types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable

from airflow_provider_ci.batch import (
    DOCUMENT_SUFFIXES,
    Batch,
    BatchFailedError,
    BatchSummary,
    ObjectKeys,
    ObjectSelection,
    Pace,
    Progress,
    read_report,
)
from airflow_provider_ci.client import (
    AssumedRole,
    CIClient,
    CIError,
    CIJob,
    CIServiceError,
    Credentials,
    CredentialSource,
    DocProcess,
    FileHashCode,
    FileHashCodeResult,
    Job,
    JobState,
    MachineRole,
    ObjectInfo,
    PicProcess,
    RenewingCredentials,
    RetryPolicy,
    environment_credentials,
)
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.operators import (
    CIBatchOperator,
    CICancelJobsOperator,
    CIDocProcessOperator,
    CIListObjectsOperator,
    CIPicProcessOperator,
    CIQueueOperator,
)
from airflow_provider_ci.sensors import CIJobSensor, CIObjectsSensor

# Without Airflow


def clients() -> Iterator[CIClient]:
    keys = Credentials(secret_id="SECRET_ID", secret_key="SECRET_KEY", token=None)
    machine = RenewingCredentials(MachineRole())
    assumed = RenewingCredentials(AssumedRole(role_arn="qcs::cam::uin/1:roleName/converter", source=machine))
    sources: list[CredentialSource] = [keys, environment_credentials(), machine, assumed]
    for source in sources:
        with CIClient(source, "ap-guangzhou", "examplebucket-1250000000") as client:
            yield client
    yield CIClient(
        keys,
        "ap-guangzhou",
        "examplebucket-1250000000",
        endpoint="http://127.0.0.1:9000",
        timeout=(5, 30),
        retry=RetryPolicy(max_attempts=3),
        requests_per_second=20,
        max_connections=8,
        verify="ca.pem",
    )


def one_job(client: CIClient) -> str:
    stored: ObjectInfo = client.put_object("inbox/letter.txt", b"Dear reader")
    job: Job = client.submit_doc_job(stored.key, "pdf/letter.pdf", DocProcess(target="pdf"), queue_id="p1")
    state: JobState = client.get_doc_job(job.job_id).state
    if not state.is_final:
        client.cancel_doc_job(job.job_id)
    ended: list[Job] = list(client.list_doc_jobs(states=[JobState.SUCCESS]))
    try:
        ended[0].raise_for_state()
    except CIServiceError as error:
        request_id: str = error.request_id
        return request_id
    except CIError as error:
        return str(error)
    client.get_object("pdf/letter.pdf", Path("letter.pdf"))
    return job.job_id


def one_job_of_another_tag(client: CIClient) -> str:
    job: Job = client.submit_job("inbox/letter.txt", None, FileHashCode("MD5"), user_data="mine")
    found: Job = client.get_job(job.job_id)
    if isinstance(found.result, FileHashCodeResult):
        return found.result.digest
    client.submit_job("a.mp4", "a.jpg", CIJob(tag="Snapshot", operation={"Snapshot": {"Mode": "Average"}}))
    return ",".join(listed.job_id for listed in client.list_jobs("Snapshot"))


def many_objects(client: CIClient) -> int:
    def show(progress: Progress) -> None:
        print(progress)

    sources: list[ObjectSelection | ObjectKeys | list[str]] = [
        ObjectSelection(
            prefix="inbox/", suffixes=DOCUMENT_SUFFIXES, modified_after=datetime.now(timezone.utc)
        ),
        ObjectKeys(keys=["inbox/a.docx"]),
        ["inbox/a.docx"],
    ]
    batch = Batch(
        client,
        sources[0],
        DocProcess(target="pdf"),
        "pdf/{dir}{stem}.pdf",
        batch_id="letters",
        skip="fresh",
        max_failures="5%",
        pace=Pace(),
        progress=show,
        is_stopped=lambda: False,
    )
    try:
        summary: BatchSummary = batch.run()
    except BatchFailedError as error:
        summary = error.summary
    reasons: list[str] = [
        f"{result.key}: {result.message}" for result in read_report(client, summary.report_key)
    ]
    return summary.succeeded + len(reasons)


def stand_in(folder: Path) -> str:
    with LocalCI(folder) as local:
        endpoint: str = local.endpoint
        keys = Credentials(secret_id=local.secret_id, secret_key=local.secret_key)
        with CIClient(keys, "ap-guangzhou", "examplebucket-1250000000", endpoint=endpoint) as client:
            one_job(client)
        local.faults.add("error", code="SlowDown", count=3)
    return endpoint


# In Airflow


def hook() -> CIClient:
    client: CIClient = CIHook().client
    return client


def dag() -> DAG:
    uploads = ObjectSelection(
        prefix="uploads/",
        suffixes=[".docx"],
        modified_after="{{ data_interval_start }}",
        modified_before="{{ data_interval_end }}",
    )
    pdfs = Asset("cos://examplebucket-1250000000/pdf")
    with DAG("usage", schedule=CronDataIntervalTimetable("@daily", timezone="UTC")) as made:
        wait = CIObjectsSensor(task_id="wait", source=uploads, settled_seconds=30, deferrable=True)
        batch = CIBatchOperator(
            task_id="batch",
            source=uploads,
            operation=DocProcess(target="png", end_page=2),
            output="pages/{dir}{stem}/${Number}.png",
            max_failures=3,
            deferrable=True,
            outlets=[pdfs],
            retries=3,
            retry_delay=timedelta(minutes=1),
        )
        keys = CIListObjectsOperator(task_id="keys", source=uploads)
        thumbnails = CIBatchOperator(
            task_id="thumbnails",
            source=keys.output,
            operation=PicProcess("imageMogr2/thumbnail/160x"),
            output="thumbnails/{stem}.jpg",
        )
        submit = CIDocProcessOperator(
            task_id="submit",
            input_key="uploads/a.docx",
            output_key="pdf/a.pdf",
            operation=DocProcess(target="pdf"),
            wait_for_completion=False,
        )
        ended = CIJobSensor(task_id="ended", job_ids=submit.output, mode="reschedule")
        picture = CIPicProcessOperator(
            task_id="picture",
            input_key="uploads/a.jpg",
            output_key="web/a.webp",
            operation=PicProcess("imageMogr2/format/webp"),
        )
        pause = CIQueueOperator(task_id="pause", kind="doc", state="Paused")
        cancel = CICancelJobsOperator(task_id="cancel", all_waiting_of="doc")
        wait >> [batch, keys] >> thumbnails
        submit >> ended >> picture >> pause >> cancel
    return made


def summary_of(result: dict[str, Any]) -> BatchSummary:
    return BatchSummary.from_json(result)
