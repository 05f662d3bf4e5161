"""The operator that runs one job of any tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import Context, XComArg

from airflow_provider_ci import compat
from airflow_provider_ci.client import DocProcess, Job, PicProcess, PicTemplate
from airflow_provider_ci.client.jobs.any_job import JOB_OPERATIONS
from airflow_provider_ci.compat import AirflowFailException
from airflow_provider_ci.jobs import UnlistedSubmissionError
from airflow_provider_ci.jobs.kinds import Operation
from airflow_provider_ci.operators.jobs import STORE_KEY, JobOperator
from airflow_provider_ci.tasks.arguments import Reader, flag, optional, text


class UnconfirmedJobError(AirflowFailException):
    """It is not possible to find out whether the job exists, so the task fails and is not retried."""


class CIJobOperator(JobOperator):
    """Runs one job of any tag of ``/jobs``, ``/doc_jobs``, ``/pic_jobs`` or ``/file_jobs``.

    Every argument is templated. Durations are seconds or a ``timedelta``. API pages: CreateMediaJobs
    (1045/73035), CreateDocProcessJobs (1045/47932), CreateFileProcessJobs (1045/54392, 436/54266), and
    1045/73141 for text recognition.

    :param operation: a :class:`~airflow_provider_ci.client.CIJob`, or one of the typed operations:
        ``DocWatermark``, ``ImageOCR``, ``FileHashCode``, ``FileUncompress`` and the others of the client.
    :param input_key: key of the object; None if the operation names its inputs, such as ``FileCompress``.
    :param output_key: key of the output; None if the operation writes no object, or names its objects itself.
        ``{stem}``, ``{dir}`` and the others are filled in from ``input_key``, as in a batch.
    :param repeat_unconfirmed: submit again if the response to an earlier submission was lost and the service
        has no listing that could show its job (``/file_jobs``). By default such a task fails, because a
        second job costs a second time. Jobs of other paths are found in a listing, so they never need this
        argument.
    :param queue_id: queue of the job; the default queue if not given.
    :param job_level: 0, 1 or 2; jobs of a higher level go first.
    :param callback: a :class:`~airflow_provider_ci.client.Callback` for the end of the job.
    :param output_bucket: bucket of the output, in place of the connection's.
    :param output_region: region of ``output_bucket``.
    :param wait_for_completion: if False, return right after submission; a :class:`CIJobSensor` can wait.
    :param deferrable: wait in the triggerer, which holds no worker slot.
    :param poll_interval: longest time between two requests for the job.
    :param timeout_seconds: how long to wait; the job itself is not ended.
    :param cancel_on_kill: when a user ends the task or Airflow abandons it, cancel a job that has not
        started.
    :param outlets: Airflow's own; events of ``cos`` assets, or of an ``AssetAlias``, count the written
        objects. A task that does not wait sends no event.

    Returns ``{"job_id", "state", "input_key", "output_key"}`` and the result of the job: ``hash`` and
    ``size`` of ``FileHashCode``, ``files`` and ``keys`` of ``FileUncompress``, ``text`` and ``lines`` of
    ``ImageOCR``, ``pages`` and ``size`` of ``DocWatermark``. ``job_id`` is also an XCom of its own.
    """

    operations = (*JOB_OPERATIONS, DocProcess, PicProcess, PicTemplate)

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **JobOperator.argument_types,
        "input_key": optional(text),
        "output_key": optional(text),
        "repeat_unconfirmed": flag,
    }
    template_fields: Sequence[str] = tuple(argument_types)

    def __init__(
        self,
        *,
        operation: Operation | XComArg,
        input_key: str | XComArg | None = None,
        output_key: str | XComArg | None = None,
        repeat_unconfirmed: bool | str = False,
        **kwargs: Any,
    ) -> None:
        self.repeat_unconfirmed: Any = repeat_unconfirmed
        super().__init__(operation=operation, input_key=input_key, output_key=output_key, **kwargs)

    def _submit_or_take_over(self, context: Context) -> Job:
        try:
            return super()._submit_or_take_over(context)
        except UnlistedSubmissionError as error:
            if not self.repeat_unconfirmed:
                raise UnconfirmedJobError(
                    f"{error} To submit it again, set repeat_unconfirmed=True and clear the task."
                ) from error
            self.log.warning("%s It is submitted again, because repeat_unconfirmed is set.", error)
            compat.state_store(context).delete(STORE_KEY)
            return super()._submit_or_take_over(context)
