"""The sensor that waits for jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from airflow.sdk import Context, PokeReturnValue

from airflow_provider_ci.client import Job, JobState
from airflow_provider_ci.compat import AirflowException
from airflow_provider_ci.jobs import JobWatch
from airflow_provider_ci.links import CIJobLink, TaskLinks
from airflow_provider_ci.sensors.base import CISensor
from airflow_provider_ci.tasks.arguments import Reader, anything
from airflow_provider_ci.tasks.job_ids import job_ids_in
from airflow_provider_ci.tasks.progress import HumanPace, immediate_pace
from airflow_provider_ci.triggers import CIJobTrigger


class JobsFailedError(AirflowException):
    """All jobs have ended, and some of them failed or were cancelled."""


class CIJobSensor(CISensor):
    """Waits until one or many jobs have ended, and fails when any of them failed.

    There are three ways of waiting: ``mode="poke"``, ``mode="reschedule"``, and ``deferrable=True``. The
    sensor waits for all jobs before it fails, so its message can name every job that failed. With an empty
    list of jobs, the sensor succeeds at once. Every argument is templated.

    :param job_ids: a job id, several ids separated by commas, a list, or the result of an operator.
    :param deferrable: wait in the triggerer, which holds no worker slot.

    Returns ``{"jobs": number of jobs}``.
    """

    operator_extra_links = (CIJobLink(),)

    argument_types: ClassVar[Mapping[str, Reader]] = {**CISensor.argument_types, "job_ids": anything}
    template_fields: Sequence[str] = tuple(argument_types)

    def __init__(self, *, job_ids: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_ids = job_ids
        self.keep_arguments("job_ids")

    def look_around(self, links: TaskLinks) -> None:
        """Push a link to the job if there is only one."""
        if len(self._watch.pending) == 1:
            links.tell_job(*self._watch.pending)

    def poke(self, context: Context) -> PokeReturnValue:
        """Read the states of the jobs once.

        :raises JobsFailedError: all jobs have ended, and some failed.
        """
        self._watch.look_patiently()
        if not self._watch.pending:
            return self._outcome()
        if self._pace.is_time():
            ended, total = len(self._watch.finished), len(self._watch.finished) + len(self._watch.pending)
            self.log.info("%d of %d jobs ended, %d to go", ended, total, total - ended)
        return PokeReturnValue(is_done=False)

    def trigger(self, deadline: float) -> CIJobTrigger:
        """The trigger that does the waiting."""
        return CIJobTrigger(
            job_ids=list(self._watch.pending or self._watch.finished),
            **self.connection_of_trigger(),
            deadline=deadline,
            poll_interval=self.poke_interval,
            cancel_on_kill=False,
        )

    def after_event(self, context: Context, event: dict[str, Any]) -> PokeReturnValue:
        """Read the jobs once more. Errors are raised, because no later poke would repeat the request."""
        self._watch.look()
        return self._outcome()

    def missing_in(self, event: dict[str, Any]) -> str:
        """Say how many jobs have not ended."""
        return f"{len(event['pending'])} jobs have not ended"

    def _outcome(self) -> PokeReturnValue:
        jobs = list(self._watch.finished.values())
        _raise_for_failures(jobs)
        if jobs:
            self.log.info("succeeded: %d jobs, for example %s → %s", len(jobs), *_keys_of(jobs[0]))
        else:
            self.log.warning("succeeded: no jobs were given to wait for")
        return PokeReturnValue(is_done=True, xcom_value={"jobs": len(jobs)})

    @cached_property
    def _pace(self) -> HumanPace:
        return immediate_pace()

    @cached_property
    def _watch(self) -> JobWatch:
        job_ids = list(dict.fromkeys(job_ids_in(self.job_ids)))
        if not job_ids and (self.job_ids is None or isinstance(self.job_ids, str)):
            raise ValueError(
                f"job_ids: there is no job id in {self.job_ids!r}; the task that should return it was "
                "skipped, or returned nothing"
            )
        return JobWatch(self.hook.client, job_ids)


def _keys_of(job: Job) -> tuple[str, str]:
    return job.input_key, job.output_key


def _raise_for_failures(jobs: Sequence[Job]) -> None:
    failed = [job for job in jobs if job.state is not JobState.SUCCESS]
    if failed:
        reasons = "; ".join(map(_reason, failed[:10]))
        raise JobsFailedError(f"{len(failed)} of {len(jobs)} jobs did not succeed: {reasons}")


def _reason(job: Job) -> str:
    said = f"{job.code} {job.message}, request id {job.request_id}"
    return f"{job.job_id} ({job.input_key}): {job.state} {said}"
