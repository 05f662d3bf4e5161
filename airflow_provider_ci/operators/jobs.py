"""The operators that run one job."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from airflow.sdk import Context, XComArg

from airflow_provider_ci import compat
from airflow_provider_ci.assets import announce
from airflow_provider_ci.batch import OutputTemplate
from airflow_provider_ci.batch.planning.outputs.fingerprint import Fingerprints
from airflow_provider_ci.client import (
    Callback,
    CIError,
    DocProcess,
    Job,
    JobState,
    NotFoundError,
    PicProcess,
    PicTemplate,
    SubmissionUnknownError,
)
from airflow_provider_ci.client.records.secrets import with_secret
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
from airflow_provider_ci.lineage import job_lineage, outputs_of, written_uri
from airflow_provider_ci.links import CIJobLink, CIQueueLink, TaskLinks
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.operators.job_results import result_of, told
from airflow_provider_ci.tasks.arguments import (
    Reader,
    Seconds,
    anything,
    flag,
    optional,
    seconds,
    text,
    whole_number,
)
from airflow_provider_ci.tasks.progress import JobsProgress, spoken
from airflow_provider_ci.tasks.task import earliest
from airflow_provider_ci.triggers import CIJobTrigger

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

STORE_KEY = "ci_job"
"""Key in the task's state store under which the facts about the job are stored."""
_INLINE_SECONDS = 5.0
"""A job that ends within this time is not worth a deferral; very short deferrals are unsafe in Airflow 3.3.0
to 3.3.2."""
_KILL_CHECK_SECONDS = 0.5
_OLDER_VERSION_SECONDS = 60.0
"""How long a request of version 0.2, which did not store the end of its signature, may still be accepted."""


class JobWaitError(AirflowException):
    """Waiting failed. The job keeps running; a retry of the task adopts it."""


class JobOperator(CIOperator):
    """Submits one job, and waits for it if asked to.

    On Airflow 3.3 and newer, the task's state store holds a token that is stored before the submission, and
    then the id of the job. With them, a retry adopts the job that an earlier try submitted, if input,
    operation and output are the same.
    """

    operator_extra_links = (CIJobLink(), CIQueueLink())
    operations: ClassVar[tuple[type[Any], ...]] = ()

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **CIOperator.argument_types,
        "input_key": text,
        "output_key": text,
        "operation": anything,
        "queue_id": optional(text),
        "job_level": optional(whole_number(0, 2)),
        "callback": anything,
        "output_bucket": optional(text),
        "output_region": optional(text),
        "wait_for_completion": flag,
        "deferrable": flag,
        "poll_interval": seconds,
        "timeout_seconds": seconds,
        "cancel_on_kill": flag,
    }
    template_fields: Sequence[str] = tuple(argument_types)
    template_fields_renderers: ClassVar[dict[str, str]] = {"operation": "json", "callback": "json"}

    def __init__(
        self,
        *,
        input_key: str | XComArg | None,
        output_key: str | XComArg | None,
        operation: Operation | XComArg,
        queue_id: str | None = None,
        job_level: int | str | None = None,
        callback: Callback | None = None,
        output_bucket: str | None = None,
        output_region: str | None = None,
        wait_for_completion: bool | str = True,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: Seconds = 10.0,
        timeout_seconds: Seconds = 3600.0,
        cancel_on_kill: bool | str = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_key: Any = input_key
        self.output_key: Any = output_key
        self.operation: Any = operation
        self.queue_id = queue_id
        self.job_level: Any = job_level
        self.callback = callback
        self.output_bucket = output_bucket
        self.output_region = output_region
        self.wait_for_completion: Any = wait_for_completion
        self.deferrable: Any = deferrable
        self.poll_interval: Any = poll_interval
        self.timeout_seconds: Any = timeout_seconds
        self.cancel_on_kill: Any = cancel_on_kill
        self._is_killed = False
        self._input_bytes: int | None = None
        self._done: Job | None = None
        self.keep_arguments("input_key", "output_key", "operation", "output_bucket", "output_region")

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit, then return, wait in place, or defer.

        :raises NotFoundError: the input object does not exist.
        :raises JobFailedError: the job failed.
        :raises JobWaitError: the job did not end in time.
        """
        links = self._begin(context)
        end_of_try = self.end_of_try()
        deadline = time.time() + self.timeout_seconds
        job = self._submit_or_take_over(context)
        context["ti"].xcom_push(key="job_id", value=job.job_id)
        self.log.info("job %s: %s", job.job_id, links.tell_job(job.job_id))
        links.tell_queue(job.queue_id or self.queue_id)
        if not self.wait_for_completion:
            self.announce_nothing()
            # The work of this task ends here, whatever follows.
            compat.state_store(context).delete(STORE_KEY)
            return result_of(job)
        if self.deferrable:
            job = self._wait(job, context, until=min(deadline, time.time() + _INLINE_SECONDS))
            if not job.state.is_final:
                self._defer(job, deadline, end_of_try)
        else:
            job = self._wait(job, context, until=deadline)
        return self._end(job, context)

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        input_bytes: int | None = None,
    ) -> dict[str, Any]:
        """Continue after the trigger's event.

        :param input_bytes: size of the input in bytes when the job was submitted.
        :raises JobWaitError: waiting failed, or the event is missing.
        """
        links = self._begin(context, event)
        if not event or event.get("status") not in ("done", "timeout"):
            reason = (event or {}).get("message") or "the trigger sent no event that this version knows"
            raise JobWaitError(f"waiting for the job of {self.input_key!r} failed: {reason}")
        note = event.get("note") or {}
        self._input_bytes = input_bytes
        (job_id,) = event["job_ids"]
        job = type_of_job_id(job_id).get(self.hook.client, job_id)
        links.tell_job(job_id)
        links.tell_queue(job.queue_id or self.queue_id)
        if not job.state.is_final:
            self.raise_if_overdue(
                note.get("end_of_try"), f"Job {job_id} keeps running; a retry takes it over."
            )
        return self._end(job, context)

    def resume(
        self, context: Context, event: dict[str, Any] | None = None, input_bytes: int | None = None
    ) -> dict[str, Any]:
        """The same as :meth:`execute_complete`, for tasks that deferred before version 0.3."""
        return self.execute_complete(context, event, input_bytes)

    def on_kill(self) -> None:
        """Set a flag. The wait loop decides whether a user ended the task or the worker is shutting down."""
        self._is_killed = True

    def _begin(self, context: Context, event: dict[str, Any] | None = None) -> TaskLinks:
        links = self.begin(context, event)
        if not isinstance(self.operation, self.operations):
            names = " or a ".join(each.__name__ for each in self.operations)
            raise TypeError(f"operation must be a {names}, not {self.operation!r}")
        return links

    @property
    def _output_of_job(self) -> str | None:
        """The output key, with ``{stem}`` and the other placeholders filled in as in a batch."""
        if self.output_key is None or self.input_key is None:
            return cast("str | None", self.output_key)
        return OutputTemplate(text=self.output_key).output_key(self.input_key)

    def _submit_or_take_over(self, context: Context) -> Job:
        client, request = self.hook.client, self._request
        # A cleared task keeps its store (Airflow 3.3.0 to 3.3.2), so the fingerprint depends on the content:
        # a changed document gets a new job.
        etag = self._etag_of_input()
        place = f"{self.output_bucket or ''}/{request.output_key or ''}"
        fingerprint = Fingerprints(self.operation).of(self.input_key or "", etag, place)
        store = compat.state_store(context)
        stored = store.get(STORE_KEY) or {}
        if stored.get("fingerprint") != fingerprint:
            stored = {}
        if job := self._earlier(stored):
            self.log.info("taking over the job of an earlier try")
        else:
            # Stored before the submission, so that the next try can find the job if this one dies.
            stored = {
                "fingerprint": fingerprint,
                "token": uuid.uuid4().hex,
                "since": client.server_time().isoformat(),
            }
            store.set(STORE_KEY, stored)
            job = self._submit(request, store, stored)
            self.log.info("submitted: %s → %s", self.input_key, request.output_key or request.job_type.tag)
        store.set(STORE_KEY, {**stored, "job_id": job.job_id})
        return job

    def _submit(self, request: JobRequest, store: compat.StateStore, stored: dict[str, Any]) -> Job:
        try:
            return submit_once(
                self.hook.client,
                request,
                token=stored["token"],
                before_sending=lambda expires_at: store.set(STORE_KEY, {**stored, "expires_at": expires_at}),
                raise_if_stopped=self._raise_if_killed,
            )
        except SubmissionUnknownError:
            raise
        except CIError:
            if not request.job_type.is_listed:
                store.delete(STORE_KEY)  # no job was created; no listing could show this later
            raise

    def _etag_of_input(self) -> str:
        if self.input_key is None:
            return ""
        found = self.hook.client.head_object(self.input_key)
        self._input_bytes = found.size
        return found.etag

    def _earlier(self, stored: dict[str, Any]) -> Job | None:
        """The job that an earlier try submitted, recorded or not, unless it failed or was cancelled."""
        if "job_id" in stored:
            return self._alive(stored["job_id"])
        if "token" not in stored:
            return None
        if not self._request.job_type.is_listed and "expires_at" not in stored:
            return None  # the earlier try died before it sent anything
        since = datetime.fromisoformat(stored["since"])
        job = find_submitted(
            self.hook.client,
            self._request,
            token=stored["token"],
            since=since,
            expires_at=stored.get("expires_at", since.timestamp() + _OLDER_VERSION_SECONDS),
            raise_if_stopped=self._raise_if_killed,
        )
        return job and self._alive(job.job_id)

    @property
    def _request(self) -> JobRequest:
        return JobRequest(
            self.input_key,
            self._output_of_job,
            with_secret(self.operation, self.hook.secret),
            queue_id=self.queue_id,
            job_level=self.job_level,
            callback=self.callback,
            output_bucket=self.output_bucket,
            output_region=self.output_region,
        )

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
        # The purpose of a retry is to submit a failed job again.
        return None if job.state in (JobState.FAILED, JobState.CANCEL) else job

    def _wait(self, job: Job, context: Context, *, until: float) -> Job:
        created = {job.job_id: job.created_at} if job.created_at else {}
        watch = JobWatch(self.hook.client, [job.job_id], created=created)
        pace = Pace(shortest=min(0.5, self.poll_interval), longest=self.poll_interval)
        tell = JobsProgress(self.log, 1)
        while True:
            watch.look_patiently()
            if not watch.pending:
                return watch.finished[job.job_id]
            next_look = time.time() + watch.wait_seconds(pace)
            while time.time() < next_look:
                tell(len(watch.pending))
                if self._is_killed:
                    self._stop(job, context)
                if time.time() >= until:
                    return job
                # Short, because Airflow kills the process five seconds after on_kill.
                time.sleep(_KILL_CHECK_SECONDS)

    def _stop(self, job: Job, context: Context) -> NoReturn:
        # A worker that shuts down also calls on_kill (apache/airflow 58936). Then a retry adopts the job.
        is_cancelled = self.cancel_on_kill and compat.was_killed_by_user(context["ti"])
        if is_cancelled:
            cancel_waiting(self.hook.client, [job.job_id])
        raise JobWaitError(
            f"the task was ended while job {job.job_id} was waiting or running; "
            + ("it was cancelled" if is_cancelled else "it goes on, and a retry takes it over")
        )

    def _defer(self, job: Job, deadline: float, end_of_try: float | None) -> NoReturn:
        self.defer(
            trigger=CIJobTrigger(
                job_ids=[job.job_id],
                **self.connection_of_trigger(),
                deadline=earliest(deadline, end_of_try),
                poll_interval=self.poll_interval,
                cancel_on_kill=self.cancel_on_kill,
                note={"end_of_try": end_of_try},
            ),
            method_name="execute_complete",
            kwargs={"input_bytes": self._input_bytes},
        )

    def _end(self, job: Job, context: Context) -> dict[str, Any]:
        if not job.state.is_final:
            raise JobWaitError(
                f"job of {self.input_key!r} has not ended after {spoken(self.timeout_seconds)} "
                f"(state {job.state}); job {job.job_id} keeps running, and a retry of this task takes it over"
            )
        compat.state_store(context).delete(STORE_KEY)
        job.raise_for_state()
        self._done = job
        result = result_of(job)
        bucket = self.output_bucket or self.hook.client.bucket
        self.log.info(
            "succeeded: %s%s", told(job), f" → {self._url_of_output(job)}" if job.output_key else ""
        )
        announce(
            context,
            self.outlets,
            uri=written_uri(bucket, job),
            objects=outputs_of(job),
            details=result,
        )
        return result

    def _url_of_output(self, job: Job) -> str:
        """The address of a page that shows the first output; its key if the output is in another bucket."""
        key = OutputTemplate(text=self.output_key).first_output(self.input_key)
        if self.output_bucket not in (None, self.hook.client.bucket) or self.task_links is None:
            return f"{self.output_bucket}/{key}"
        return self.task_links.of_object(key)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """What the job read and wrote, if the task waited for it; OpenLineage's provider calls this."""
        if self._done is None:
            return None
        return job_lineage(self.hook.client.bucket, self._done, input_bytes=self._input_bytes)


class CIDocProcessOperator(JobOperator):
    """Converts one document: to PDF, or its pages to pictures.

    Every argument is templated. Durations are seconds or a ``timedelta``.

    :param input_key: key of the document.
    :param output_key: key of the output, with ``${Number}`` or ``${Page}`` when there are pages; ``{stem}``,
        ``{dir}`` and the others are filled in from ``input_key``, as in a batch.
    :param operation: a :class:`~airflow_provider_ci.client.DocProcess`.
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

    Returns ``{"job_id", "state", "input_key", "output_key", "pages"}``; ``job_id`` is also an XCom of its
    own.
    """

    operations = (DocProcess,)


class CIPicProcessOperator(JobOperator):
    """Runs one picture through a processing rule, or through a template of the service.

    Every argument is templated. Durations are seconds or a ``timedelta``.

    :param input_key: key of the picture.
    :param output_key: key of the output; ``{stem}``, ``{dir}`` and the others are filled in from
        ``input_key``, as in a batch.
    :param operation: a :class:`~airflow_provider_ci.client.PicProcess` or a
        :class:`~airflow_provider_ci.client.PicTemplate`.
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

    Returns ``{"job_id", "state", "input_key", "output_key", "size"}``; ``job_id`` is also an XCom of its own.
    """

    operations = (PicProcess, PicTemplate)
