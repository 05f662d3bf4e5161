"""The operator that cancels jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar

from airflow.sdk import Context

from airflow_provider_ci.client import CIClient, CIServiceError, JobState, NotFoundError
from airflow_provider_ci.jobs import DOCUMENTS, PICTURES, type_of_job_id
from airflow_provider_ci.links import CIQueueLink, TaskLinks
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.operators.queues import only_queue
from airflow_provider_ci.tasks.arguments import Reader, anything, one_of, optional, text
from airflow_provider_ci.tasks.job_ids import job_ids_in

_KINDS = {"doc": DOCUMENTS, "pic": PICTURES}
_WAITING = (JobState.SUBMITTED, JobState.PAUSE)
_NO_SUCH_JOB = "NonExistJobIds"
_THREADS = 8
_FATES = {
    JobState.CANCEL: "cancelled",
    JobState.RUNNING: "running",
    JobState.SUCCESS: "ended",
    JobState.FAILED: "ended",
}
"""The outcome for a job whose cancellation the service refused, by the job's state."""


class CICancelJobsOperator(CIOperator):
    """Cancels jobs that have not started; the service lets running jobs end.

    Give either ``job_ids``, or ``all_waiting_of``, which cancels all jobs that wait in a queue, no matter who
    submitted them. Every argument is templated.

    :param job_ids: a job id, several ids separated by commas, a list, or the result of an operator.
    :param all_waiting_of: ``doc`` or ``pic``: all jobs that wait in the queue of this kind.
    :param queue_id: the queue for ``all_waiting_of``; by default the bucket's only queue of this kind.

    Returns how many jobs were ``cancelled``, are ``running``, have ``ended`` already, or are ``unknown``.
    """

    operator_extra_links = (CIQueueLink(),)

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **CIOperator.argument_types,
        "job_ids": anything,
        "all_waiting_of": optional(one_of(*_KINDS)),
        "queue_id": optional(text),
    }
    template_fields: Sequence[str] = tuple(argument_types)

    def __init__(
        self,
        *,
        job_ids: Any = None,
        all_waiting_of: str | None = None,
        queue_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_ids = job_ids
        self.all_waiting_of = all_waiting_of
        self.queue_id = queue_id
        self.keep_arguments()

    def execute(self, context: Context) -> dict[str, int]:
        """Cancel the jobs, and count the outcomes.

        :raises ValueError: the arguments do not say which jobs to cancel.
        :raises CIError: the service refuses to cancel a job for another reason than the job's state.
        """
        links, client = self.begin(context), self.hook.client
        job_ids = self._named() if self.all_waiting_of is None else self._all_waiting(client, links)
        with ThreadPoolExecutor(_THREADS, "ci-cancel") as executor:
            fates = Counter(executor.map(partial(_cancel, client), job_ids))
        counts = {fate: fates[fate] for fate in ("cancelled", "running", "ended", "unknown")}
        told = ", ".join(f"{number} {fate}" for fate, number in counts.items())
        self.log.info("%s of %d jobs", told, len(job_ids))
        return counts

    def _named(self) -> list[str]:
        if self.job_ids is None or (isinstance(self.job_ids, str) and not self.job_ids.strip()):
            raise ValueError("which jobs to cancel? job_ids is empty; all_waiting_of takes all of a queue")
        job_ids = list(dict.fromkeys(job_ids_in(self.job_ids)))
        for job_id in job_ids:
            type_of_job_id(job_id)  # an invalid id is an error before anything is cancelled
        return job_ids

    def _all_waiting(self, client: CIClient, links: TaskLinks) -> list[str]:
        """The ids of the waiting jobs, newest first, because the oldest may start at any moment."""
        if self.job_ids is not None:
            raise ValueError("give job_ids or all_waiting_of, not both")
        assert self.all_waiting_of is not None
        queue_id = self.queue_id or only_queue(client, self.all_waiting_of)
        links.tell_queue(queue_id)
        waiting = _KINDS[self.all_waiting_of].list(client, states=_WAITING, queue_id=queue_id, order="Desc")
        return [job.job_id for job in waiting]


def _cancel(client: CIClient, job_id: str) -> str:
    """Cancel a job, and return the outcome. If the service refuses, the job's state decides the outcome."""
    job_type = type_of_job_id(job_id)
    try:
        job_type.cancel(client, job_id)
    except CIServiceError as refusal:
        try:
            state = job_type.get(client, job_id).state
        except NotFoundError as missing:
            if missing.code != _NO_SUCH_JOB:
                raise
            return "unknown"
        if state not in _FATES:
            raise refusal from None
        return _FATES[state]
    return "cancelled"
