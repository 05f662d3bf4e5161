"""The sensor that waits for jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NoReturn

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue

from airflow_provider_ci.client import Job, JobState
from airflow_provider_ci.compat import AirflowException, AirflowSensorTimeout, conf
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.job_ids import job_ids_in
from airflow_provider_ci.jobs import JobWatch
from airflow_provider_ci.links import CIJobLink, TaskLinks
from airflow_provider_ci.triggers import CIJobTrigger


class JobsFailedError(AirflowException):
    """All jobs have ended, and some of them failed or were cancelled."""


class CIJobSensor(BaseSensorOperator):
    """Waits until one or many jobs have ended, and fails when any of them failed.

    All three ways of waiting are there: ``mode="poke"``, ``mode="reschedule"``, and ``deferrable=True``.
    All jobs are waited for before the sensor fails, so that its message names every job that did.

    :param job_ids: a job id, several with commas, a list, or what the operators return. (templated)
    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket. (templated)
    :param region: takes the place of the connection's region. (templated)
    :param deferrable: wait in the triggerer, which holds no worker slot.

    Returns ``{"jobs": how many}``.
    """

    template_fields: Sequence[str] = ("job_ids", "bucket", "region")
    operator_extra_links = (CIJobLink(),)
    task_links: TaskLinks | None = None
    """Those that were told in this process; of many jobs none leads anywhere."""

    def __init__(
        self,
        *,
        job_ids: Any,
        conn_id: str = CIHook.default_conn_name,
        bucket: str | None = None,
        region: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_ids = job_ids
        self.conn_id = conn_id
        self.bucket = bucket
        self.region = region
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Wait in place, by rescheduling, or in the triggerer.

        :raises JobsFailedError: jobs failed; all have ended.
        """
        self.task_links = TaskLinks(context, self._hook)
        if len(self._watch.pending) == 1:
            self.task_links.tell_job(*self._watch.pending)
        if not self.deferrable:
            return super().execute(context)
        if done := self.poke(context):
            return done.xcom_value
        return self._defer()

    def _defer(self) -> NoReturn:
        self.defer(
            trigger=CIJobTrigger(
                job_ids=list(self._watch.pending),
                conn_id=self.conn_id,
                bucket=self.bucket,
                region=self.region,
                deadline=time.time() + self.timeout,
                poll_interval=self.poke_interval,
                cancel_on_kill=False,
            ),
            method_name="resume",
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Look at the jobs once.

        :raises JobsFailedError: all have ended, and some failed.
        """
        self._watch.look_patiently()
        if self._watch.pending:
            self.log.info("%d jobs ended, %d to go", len(self._watch.finished), len(self._watch.pending))
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._outcome())

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after the trigger's event.

        :raises AirflowSensorTimeout: the event says that the wait took too long.
        :raises AirflowException: it says that the wait failed, or there is none.
        """
        status = (event or {}).get("status")
        if status == "done":
            self._watch.look()  # patience is of no use here: nothing would look again
            return self._outcome()
        if event and status == "timeout":
            raise AirflowSensorTimeout(f"{len(event['pending'])} jobs have not ended in {self.timeout:g} s")
        raise AirflowException(f"waiting for the jobs failed: {(event or {}).get('message') or 'no event'}")

    def _outcome(self) -> dict[str, int]:
        _raise_for_failures(list(self._watch.finished.values()))
        return {"jobs": len(self._watch.finished)}

    @cached_property
    def _hook(self) -> CIHook:
        return CIHook(self.conn_id, bucket=self.bucket, region=self.region)

    @cached_property
    def _watch(self) -> JobWatch:
        job_ids = list(dict.fromkeys(job_ids_in(self.job_ids)))
        if not job_ids:
            raise ValueError(f"job_ids holds no job id: {self.job_ids!r}")
        return JobWatch(self._hook.client, job_ids)


def _raise_for_failures(jobs: Sequence[Job]) -> None:
    failed = [job for job in jobs if job.state is not JobState.SUCCESS]
    if failed:
        reasons = "; ".join(map(_reason, failed[:10]))
        raise JobsFailedError(f"{len(failed)} of {len(jobs)} jobs did not succeed: {reasons}")


def _reason(job: Job) -> str:
    said = f"{job.code} {job.message}, request id {job.request_id}"
    return f"{job.job_id} ({job.input_key}): {job.state} {said}"
