"""The operators that run one job."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import Context

from airflow_provider_ci import compat
from airflow_provider_ci.assets import announce, output_uri
from airflow_provider_ci.batch.planning.fingerprint import Fingerprints
from airflow_provider_ci.client import (
    DocProcess,
    DocProcessResult,
    Job,
    JobState,
    NotFoundError,
    PicProcess,
    PicProcessResult,
)
from airflow_provider_ci.compat import AirflowException, conf
from airflow_provider_ci.jobs import (
    JobRequest,
    JobWatch,
    Pace,
    cancel_waiting,
    find_submitted,
    submit_once,
    type_of_job_id,
)
from airflow_provider_ci.jobs.kinds import Operation
from airflow_provider_ci.lineage import job_lineage, outputs_of
from airflow_provider_ci.links import CIJobLink, CIQueueLink, TaskLinks
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.progress import JobsProgress
from airflow_provider_ci.triggers import CIJobTrigger

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

_STORE_KEY = "ci_job"
_INLINE_SECONDS = 5.0
"""A job that ends so soon is not worth a deferral; very short ones are unsafe in Airflow 3.3.0 to 3.3.2."""
_KILL_CHECK_SECONDS = 0.5
_OLDER_VERSION_SECONDS = 60.0


class JobWaitError(AirflowException):
    """The wait for a job came to no result. The job itself may go on; a retry of the task takes it over."""


class _JobOperator(CIOperator):
    """Submits one job, and waits for it or not.

    On Airflow 3.3 and newer the task's state store keeps a mark from before the submission, and then its
    id, so that a retry takes over what an earlier try submitted, as long as input, operation and output are
    the same.
    """

    template_fields: Sequence[str] = ("input_key", "output_key", "operation", "queue_id", "bucket", "region")
    operator_extra_links = (CIJobLink(), CIQueueLink())
    operation_type: ClassVar[type[Operation]]

    def __init__(
        self,
        *,
        input_key: str,
        output_key: str,
        operation: Operation,
        queue_id: str | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 10.0,
        timeout_seconds: float = 3600.0,
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_key = input_key
        self.output_key = output_key
        self.operation = operation
        self.queue_id = queue_id
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout_seconds = timeout_seconds
        self.cancel_on_kill = cancel_on_kill
        self._is_killed = False
        self._input_bytes: int | None = None
        self._done: Job | None = None
        self.depend_on_values_in(operation)

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit, then return, wait in place, or defer.

        :raises NotFoundError: the input object is not there.
        :raises JobFailedError: the job failed.
        :raises JobWaitError: it did not end in time.
        """
        if not isinstance(self.operation, self.operation_type):
            raise TypeError(f"operation must be a {self.operation_type.__name__}, not {self.operation!r}")
        self.task_links = TaskLinks(context, self.hook)
        job = self._submit_or_take_over(context)
        context["ti"].xcom_push(key="job_id", value=job.job_id)
        self.task_links.tell_job(job.job_id)
        self.task_links.tell_queue(job.queue_id)
        if not self.wait_for_completion:
            compat.state_store(context).delete(
                _STORE_KEY
            )  # the work of this task ends here, whatever follows
            return _result(job)
        deadline = time.time() + self.timeout_seconds
        if self.deferrable:
            job = self._wait(job, context, until=min(deadline, time.time() + _INLINE_SECONDS))
            if not job.state.is_final:
                self._defer(job, deadline)
        else:
            job = self._wait(job, context, until=deadline)
        return self._end(job, context)

    def resume(
        self, context: Context, event: dict[str, Any] | None = None, input_bytes: int | None = None
    ) -> dict[str, Any]:
        """Go on after the trigger's event.

        :param input_bytes: size of the input, as it was when the job was submitted.
        :raises JobWaitError: the event says that the wait failed, or there is none.
        """
        if not event or event.get("status") not in ("done", "timeout"):
            reason = (event or {}).get("message") or "the trigger fired no event that this version knows"
            raise JobWaitError(f"waiting for the job of {self.input_key!r} failed: {reason}")
        self._input_bytes = input_bytes
        (job_id,) = event["job_ids"]
        return self._end(type_of_job_id(job_id).get(self.hook.client, job_id), context)

    def on_kill(self) -> None:
        """Only note it. Whether a user ended the task, or its worker goes away, is found out by the wait."""
        self._is_killed = True

    def _submit_or_take_over(self, context: Context) -> Job:
        client = self.hook.client
        found = client.head_object(self.input_key)
        self._input_bytes = found.size
        fingerprint = Fingerprints(self.operation).of(found.key, found.etag, self.output_key)
        store = compat.state_store(context)
        stored = store.get(_STORE_KEY) or {}
        if stored.get("fingerprint") != fingerprint:
            stored = {}
        if job := self._earlier(stored):
            self.log.info("taking over job %s of an earlier try", job.job_id)
        else:
            # Noted before the submission: whatever becomes of this try, the next one can find the job.
            stored = {
                "fingerprint": fingerprint,
                "token": uuid.uuid4().hex,
                "since": client.server_time().isoformat(),
            }
            store.set(_STORE_KEY, stored)
            job = submit_once(
                client,
                self._request,
                token=stored["token"],
                before_sending=lambda expires_at: store.set(_STORE_KEY, {**stored, "expires_at": expires_at}),
                raise_if_stopped=self._raise_if_killed,
            )
            self.log.info("submitted job %s: %s -> %s", job.job_id, self.input_key, self.output_key)
        store.set(_STORE_KEY, {**stored, "job_id": job.job_id})
        return job

    def _earlier(self, stored: dict[str, Any]) -> Job | None:
        """The job that an earlier try has submitted, noted or not, unless it has come to no good end."""
        if "job_id" in stored:
            return self._alive(stored["job_id"])
        if "token" not in stored:
            return None
        since = datetime.fromisoformat(stored["since"])
        job = find_submitted(
            self.hook.client,
            self._request,
            token=stored["token"],
            since=since,
            # Without it, only an older version of this package can have sent a request.
            expires_at=stored.get("expires_at", since.timestamp() + _OLDER_VERSION_SECONDS),
            raise_if_stopped=self._raise_if_killed,
        )
        return job and self._alive(job.job_id)

    @property
    def _request(self) -> JobRequest:
        return JobRequest(self.input_key, self.output_key, self.operation, queue_id=self.queue_id)

    def _raise_if_killed(self) -> None:
        if self._is_killed:
            raise JobWaitError(
                f"the task was ended while it looked for the job of {self.input_key!r}; a retry finds the job"
            )

    def _alive(self, job_id: str) -> Job | None:
        try:
            job = type_of_job_id(job_id).get(self.hook.client, job_id)
        except NotFoundError:
            return None
        return None if job.state in (JobState.FAILED, JobState.CANCEL) else job

    def _wait(self, job: Job, context: Context, *, until: float) -> Job:
        watch = JobWatch(self.hook.client, [job.job_id], created={job.job_id: job.created_at})
        pace = Pace(shortest=min(0.5, self.poll_interval), longest=self.poll_interval)
        tell = JobsProgress(self.log, 1)
        while True:
            watch.look_patiently()
            if not watch.pending:
                return watch.finished[job.job_id]
            tell(len(watch.pending))
            next_look = time.time() + watch.wait_seconds(pace)
            while time.time() < next_look:
                if self._is_killed:
                    self._stop(job, context)
                if time.time() >= until:
                    return job
                time.sleep(_KILL_CHECK_SECONDS)

    def _stop(self, job: Job, context: Context) -> NoReturn:
        is_cancelled = self.cancel_on_kill and compat.was_killed_by_user(context["ti"])
        if is_cancelled:
            cancel_waiting(self.hook.client, [job.job_id])
        raise JobWaitError(
            f"the task was ended while job {job.job_id} was waiting or running; "
            + ("it was cancelled" if is_cancelled else "it goes on, and a retry takes it over")
        )

    def _defer(self, job: Job, deadline: float) -> NoReturn:
        self.defer(
            trigger=CIJobTrigger(
                job_ids=[job.job_id],
                conn_id=self.conn_id,
                bucket=self.bucket,
                region=self.region,
                deadline=deadline,
                poll_interval=self.poll_interval,
                cancel_on_kill=self.cancel_on_kill,
            ),
            method_name="resume",
            kwargs={"input_bytes": self._input_bytes},
        )

    def _end(self, job: Job, context: Context) -> dict[str, Any]:
        if not job.state.is_final:
            raise JobWaitError(
                f"job {job.job_id} of {self.input_key!r} has not ended after {self.timeout_seconds:g} s "
                f"(state {job.state}); it goes on, and a retry of this task takes it over"
            )
        compat.state_store(context).delete(_STORE_KEY)
        job.raise_for_state()
        self._done = job
        result = _result(job)
        announce(
            context,
            self.outlets,
            uri=output_uri(self.hook.client.bucket, self.output_key),
            objects=outputs_of(job),
            details=result,
        )
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """What the job read and wrote, if it was waited for; OpenLineage's provider asks for it."""
        if self._done is None:
            return None
        return job_lineage(self.hook.client.bucket, self._done, input_bytes=self._input_bytes)


class CIDocProcessOperator(_JobOperator):
    """Converts one document: to PDF, or its pages to pictures.

    :param input_key: key of the document. (templated)
    :param output_key: key of the output, with ``${Number}`` or ``${Page}`` when there are pages. (templated)
    :param operation: a :class:`~airflow_provider_ci.client.DocProcess`. (templated inside)
    :param queue_id: queue of the job; the default queue if not given. (templated)
    :param wait_for_completion: ``False`` returns right after submission, for a :class:`CIJobSensor` to wait.
    :param deferrable: wait in the triggerer, which holds no worker slot.
    :param poll_interval: seconds between two looks at the job, at most.
    :param timeout_seconds: how long to wait; the job itself is not ended.
    :param cancel_on_kill: cancel a job that has not begun when a user ends the task.
    :param outlets: Airflow's own; events of ``cos`` assets, or of an ``AssetAlias``, say what was written.

    Returns ``{"job_id", "state", "input_key", "output_key", "pages"}``; ``job_id`` is an XCom of its own too.
    """

    operation_type = DocProcess


class CIPicProcessOperator(_JobOperator):
    """Runs one picture through a processing rule.

    :param input_key: key of the picture. (templated)
    :param output_key: key of the output. (templated)
    :param operation: a :class:`~airflow_provider_ci.client.PicProcess`. (templated inside)
    :param queue_id: queue of the job; the default queue if not given. (templated)
    :param wait_for_completion: ``False`` returns right after submission, for a :class:`CIJobSensor` to wait.
    :param deferrable: wait in the triggerer, which holds no worker slot.
    :param poll_interval: seconds between two looks at the job, at most.
    :param timeout_seconds: how long to wait; the job itself is not ended.
    :param cancel_on_kill: cancel a job that has not begun when a user ends the task.
    :param outlets: Airflow's own; events of ``cos`` assets, or of an ``AssetAlias``, say what was written.

    Returns ``{"job_id", "state", "input_key", "output_key", "size"}``; ``job_id`` is an XCom of its own too.
    """

    operation_type = PicProcess


def _result(job: Job) -> dict[str, Any]:
    """The job as a small XCom."""
    result: dict[str, Any] = {
        "job_id": job.job_id,
        "state": str(job.state),
        "input_key": job.input_key,
        "output_key": job.output_key,
    }
    if isinstance(job.result, DocProcessResult):
        result["pages"] = job.result.total_page_count
    if isinstance(job.result, PicProcessResult):
        result["size"] = job.result.size
    return result
