"""The operator that processes many objects."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.sdk import Context, XComArg

from airflow_provider_ci import compat
from airflow_provider_ci.batch import Batch, BatchRunningError, BatchSummary, Pace, PriceTable
from airflow_provider_ci.batch.planning.planner import Skip
from airflow_provider_ci.batch.planning.steps import named_steps
from airflow_provider_ci.batch.sources.source import Source
from airflow_provider_ci.client import Callback, CIError
from airflow_provider_ci.compat import AirflowException, AirflowSkipException, conf
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.jobs.kinds import Operation
from airflow_provider_ci.lineage import batch_lineage
from airflow_provider_ci.links import CIBatchLink, CIQueueLink, CIReportLink, TaskLinks, is_absolute
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.operators.batch_arguments import BATCH_ARGUMENTS, DEFAULT_BATCH_ID, shortened
from airflow_provider_ci.operators.batch_results import announce_outputs, summary_as_xcom
from airflow_provider_ci.operators.queues import default_queue
from airflow_provider_ci.tasks.arguments import Reader, Seconds
from airflow_provider_ci.tasks.batch_page import PROGRESS_KEY, RECORD_KEY, BatchRecord, page_url
from airflow_provider_ci.tasks.progress import BatchProgress
from airflow_provider_ci.tasks.task import earliest
from airflow_provider_ci.triggers import CIBatchTrigger

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

AnySource = Source | Sequence[str] | XComArg
OnEmpty = Literal["succeed", "skip", "fail"]

_INLINE_SECONDS = 10.0
"""A batch that ends within this time is not worth a deferral."""
_GOES_ON = "The jobs keep running; a retry of the task resumes them."


class BatchWaitError(AirflowException):
    """Waiting failed. The jobs keep running; a retry of the task resumes them."""


class NoObjectsError(AirflowException):
    """The source has no objects, and ``on_empty`` is ``"fail"``."""


class CIBatchOperator(CIOperator):
    """Processes many objects with one operation in one task: exactly one successful job for each.

    The task lists the objects, submits a window of jobs in parallel, waits for all of them with one listing,
    and reports. ``report.jsonl`` in the bucket has the result of every object. The XCom is only the summary,
    and is also pushed when the task fails.

    The state of the batch is kept in the bucket. When a worker, a triggerer or a scheduler dies, the retry
    resumes from there. A retry or a cleared task continues an unfinished plan; after an ended plan, it plans
    again and processes missing and changed objects.

    Every argument is templated. Durations are seconds or a ``timedelta``.

    :param source: an ``ObjectSelection``, an ``Inventory`` or a ``Manifest``; or a list of object keys, where
        lists of lists are flattened.
    :param operation: a ``DocProcess``, a ``PicProcess`` or a ``PicTemplate``; also a ``DocWatermark``, or a
        ``CIJob`` that writes one output object and whose jobs the service lists. A password is best given as
        a ``Secret("conn:ID")``, which the task looks up.
    :param output: template of the output keys, such as ``pdf/{dir}{stem}.pdf``; see
        :class:`~airflow_provider_ci.batch.OutputTemplate`.
    :param operations: several outputs of each object, in place of ``operation`` and ``output``. Each key
        names a step, and each value is a ``Step``, or a tuple of operation, output template and optionally
        the name of the step whose output is read.
    :param batch_id: names the batch and its report; by default made from DAG, task and run, and shortened
        with a hash if that is too long for an object key.
    :param skip: ``fresh`` leaves out objects whose output is up to date, ``exists`` leaves out objects whose
        output is newer, and ``never`` leaves out none; see :class:`~airflow_provider_ci.batch.Batch`.
    :param retry_failed: also submit objects whose unchanged content failed permanently before.
    :param on_empty: what to do when the source has no objects: ``succeed``, ``skip`` or ``fail``.
    :param on_running: when another run of the same batch is alive, ``wait`` for it or ``fail``.
    :param queue_id: queue of the jobs; the default queue if not given.
    :param queue_ids: several queues; the queues that drain faster get more jobs.
    :param job_level: 0, 1 or 2; jobs of a higher level go first.
    :param callback: a :class:`~airflow_provider_ci.client.Callback` for each job.
    :param output_bucket: bucket of the outputs, in place of the connection's.
    :param output_region: region of ``output_bucket``.
    :param requests_per_second: largest number of requests that this task sends in a second, in place of the
        connection's.
    :param max_in_flight: largest number of jobs that wait or run at the same time.
    :param object_attempts: largest number of jobs for an object; only transient failures are submitted
        again.
    :param max_failures: how many objects may fail, as a number or a percentage such as ``"5%"``.
    :param max_jobs: maximum number of jobs that the batch may submit, over all of its tries; None for any
        number.
    :param canary: number of objects in a sample that is processed first; the rest follows only if the sample
        passes.
    :param canary_failures: how many objects of the sample may fail; None for ``max_failures``.
    :param plan_only: submit nothing; return a preview of a run, with its estimated cost
        (``BatchPreview``).
    :param prices: a ``PriceTable`` for the estimated cost.
    :param stop_early: stop submitting when at least 1,000 objects have finished and half of them failed; a
        percentage sets another share; with False the batch never stops early.
    :param deferrable: wait in the triggerer, which holds no worker slot: a window is submitted, and the task
        comes back for the next one.
    :param poll_interval: longest time between two requests for the jobs.
    :param timeout_seconds: after this time, objects without a result are reported as unfinished.
    :param outage_seconds: how long the service may be unavailable, or the queue paused.
    :param report_prefix: folder of the report in the bucket.
    :param cancel_on_kill: when a user ends the task or Airflow abandons it, cancel jobs that have not
        started.
    :param outlets: Airflow's own; events of ``cos`` assets, or of an ``AssetAlias``, count the written
        objects. If nothing was written, no event is sent.
    """

    operator_extra_links = (CIBatchLink(), CIQueueLink(), CIReportLink())

    argument_types: ClassVar[Mapping[str, Reader]] = {**CIOperator.argument_types, **BATCH_ARGUMENTS}
    template_fields: Sequence[str] = tuple(argument_types)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "source": "json",
        "operation": "json",
        "operations": "json",
        "callback": "json",
        "prices": "json",
    }

    def __init__(
        self,
        *,
        source: AnySource,
        operation: Operation | XComArg | None = None,
        output: str | XComArg = "",
        operations: Mapping[str, Any] | XComArg | None = None,
        batch_id: str = DEFAULT_BATCH_ID,
        skip: Skip | str = "fresh",
        retry_failed: bool | str = False,
        on_empty: OnEmpty | str = "succeed",
        on_running: Literal["wait", "fail"] | str = "wait",
        queue_id: str | None = None,
        queue_ids: Sequence[str] | str | XComArg = (),
        job_level: int | str | None = None,
        callback: Callback | None = None,
        output_bucket: str | None = None,
        output_region: str | None = None,
        requests_per_second: float | str | None = None,
        max_in_flight: int | str = 1000,
        object_attempts: int | str = 2,
        max_failures: int | str = 0,
        max_jobs: int | str | None = None,
        canary: int | str = 0,
        canary_failures: int | str | None = None,
        plan_only: bool | str = False,
        prices: PriceTable | None = None,
        stop_early: bool | str = True,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: Seconds = 30.0,
        timeout_seconds: Seconds = 24 * 3600.0,
        outage_seconds: Seconds = 600.0,
        report_prefix: str = "_ci_batches/",
        cancel_on_kill: bool | str = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.operation: Any = operation
        self.output_template: Any = output  # `output` is already an attribute of Airflow's operators
        self.operations: Any = operations
        self.batch_id: Any = batch_id
        self._is_named_by_airflow = batch_id == DEFAULT_BATCH_ID
        self.skip: Any = skip
        self.retry_failed: Any = retry_failed
        self.on_empty: Any = on_empty
        self.on_running: Any = on_running
        self.queue_id = queue_id
        self.queue_ids: Any = queue_ids
        self.job_level: Any = job_level
        self.callback = callback
        self.output_bucket = output_bucket
        self.output_region = output_region
        self.requests_per_second: Any = requests_per_second
        self.max_in_flight: Any = max_in_flight
        self.object_attempts: Any = object_attempts
        self.max_failures: Any = max_failures
        self.max_jobs: Any = max_jobs
        self.canary: Any = canary
        self.canary_failures: Any = canary_failures
        self.plan_only: Any = plan_only
        self.prices = prices
        self.stop_early: Any = stop_early
        self.deferrable: Any = deferrable
        self.poll_interval: Any = poll_interval
        self.timeout_seconds: Any = timeout_seconds
        self.outage_seconds: Any = outage_seconds
        self.report_prefix = report_prefix
        self.cancel_on_kill: Any = cancel_on_kill
        self._is_killed = False
        self._summary: BatchSummary | None = None
        self._since: dict[str, float] | None = None
        self.keep_arguments(
            *("source", "operation", "output_template", "skip", "retry_failed"),
            *("output_bucket", "output_region"),
            *(("operations",) if operations is not None else ()),
        )

    @cached_property
    def hook(self) -> CIHook:
        """The hook of the connection, with this task's limit of requests per second."""
        return CIHook(
            self.tencent_ci_conn_id,
            bucket=self.bucket,
            region=self.region,
            requests_per_second=self.requests_per_second,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the batch, or submit its first window and defer; return its summary, or only a preview.

        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        :raises BatchRunningError: another run of the same batch is alive, and ``on_running`` is ``"fail"``.
        :raises NoObjectsError: the source is empty, and ``on_empty`` is ``"fail"``.
        """
        links = self.begin(context)
        if self.plan_only:
            return self._preview(context, links)
        deadline = time.time() + self.timeout_seconds
        return self._advance(context, links, deadline, self.end_of_try(), patience=_INLINE_SECONDS)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Continue after the trigger's event, with the next window or to the end.

        :raises BatchWaitError: the queue stayed paused, or the event is missing.
        """
        links = self.begin(context, event)
        # If the task kept waiting, it would end in the same way. A retry resumes the batch once the queue is
        # active.
        if not event or event.get("status") == "paused":
            reason = (event or {}).get("message") or "the trigger sent no event"
            raise BatchWaitError(
                f"waiting for the batch failed: {reason}. {_GOES_ON} Batch: {self._id_that_fits()}"
            )
        note = event.get("note") or {}
        end_of_try = note.get("end_of_try")
        self.raise_if_overdue(end_of_try, _GOES_ON)
        patience: float | None = 0.0
        if event["status"] == "error":
            # The likely reason is the triggerer's environment, so another deferral would fail at once, too.
            self.log.warning("the trigger cannot wait, so the task waits in place: %s", event["message"])
            patience = None
        deadline = note.get("deadline") or event["deadline"]
        parked, self._since = note.get("parked"), note.get("since")
        return self._advance(context, links, deadline, end_of_try, patience=patience, parked=parked)

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """The same as :meth:`execute_complete`, for tasks that deferred before version 0.3."""
        return self.execute_complete(context, event)

    def _advance(
        self,
        context: Context,
        links: TaskLinks,
        deadline: float,
        end_of_try: float | None,
        *,
        patience: float | None,
        parked: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        store = compat.progress_store(context, PROGRESS_KEY)
        progress = BatchProgress(self.log, store, allowed=self.max_failures, since=self._since)
        batch = self._batch(context, progress)
        page = self._announce_page(context, links, batch.folder)
        steps = list(batch.steps.values())
        queue_id = next(iter(batch.all_queue_ids), None)
        links.tell_queue(queue_id, lambda: default_queue(self.hook.client, steps[0].operation))
        links.tell_report(batch.folder, "plan.json")
        try:
            with progress:
                summary = batch.advance(
                    patience=patience if self.deferrable else None,
                    deadline=earliest(deadline, end_of_try),
                    resume=parked,
                )
        except BatchRunningError as other:
            # Without a deferral, the batch itself waits for the other run.
            if self.on_running == "fail" or not self.deferrable:
                raise
            self.log.info("another run of this batch is alive, waiting for it: %s", other)
            self._defer(batch, deadline, end_of_try, progress)
        except CIError as error:
            ended = getattr(error, "summary", None)
            if isinstance(ended, BatchSummary):
                self._close(context, ended, progress, links, batch.folder, has_failed=True)
                if ended.unfinished:
                    self.raise_if_overdue(end_of_try, _GOES_ON)
            _lead_to(page, error)
            raise
        if summary is None:
            self._defer(batch, deadline, end_of_try, progress)
        values = self._close(context, summary, progress, links, batch.folder)
        self._end(context, summary, values)
        return values

    def _announce_page(self, context: Context, links: TaskLinks, folder: str) -> str:
        """Record where the batch is stored, push the link to its page, and return the page's address."""
        url = page_url(context["ti"])
        if url:
            context["ti"].xcom_push(key=RECORD_KEY, value=self._record(folder).to_json())
        return links.tell_batch(url)

    def _record(self, folder: str) -> BatchRecord:
        return BatchRecord(
            conn_id=self.tencent_ci_conn_id,
            bucket=self.hook.client.bucket,
            region=self.hook.client.region,
            folder=folder,
            batch_id=self._id_that_fits(),
            output_bucket=self.output_bucket or "",
            output_region=self.output_region or "",
            skip=str(self.skip),
            retry_failed=bool(self.retry_failed),
            allowed=str(self.max_failures),
            plan_only=bool(self.plan_only),
        )

    def _preview(self, context: Context, links: TaskLinks) -> dict[str, Any]:
        batch = self._batch(context, BatchProgress(self.log, compat.state_store(context)))
        self._announce_page(context, links, batch.folder)
        preview = batch.preview(self.prices)
        for line in preview.lines():
            self.log.info("%s", line)
        self.announce_nothing()
        if not preview.objects:
            self._report_empty(context, preview.to_json())
        return preview.to_json()

    def _close(
        self,
        context: Context,
        summary: BatchSummary,
        progress: BatchProgress,
        links: TaskLinks,
        folder: str,
        *,
        has_failed: bool = False,
    ) -> dict[str, Any]:
        """Report the end. If the task fails, push the summary to XCom for tasks that handle failures."""
        self._summary = summary
        url = links.tell_report(folder, "report.jsonl")
        progress.close(summary, has_failed=has_failed, report_url=url)
        values = summary_as_xcom(summary, url)
        if has_failed:
            self.push_result(context, values)
        return values

    def _end(self, context: Context, summary: BatchSummary, values: dict[str, Any]) -> None:
        """Announce the written objects; if the source is empty, end the task as ``on_empty`` says."""
        if not summary.total:
            self._report_empty(context, values)
        bucket = self.output_bucket or self.hook.client.bucket
        announce_outputs(self, context, summary, bucket=bucket, templates=self._templates)

    def _report_empty(self, context: Context, values: dict[str, Any]) -> None:
        what = f"no object {self.source.described()}"
        if self.on_empty == "succeed":
            self.log.warning("%s: nothing was done", what)
            return
        self.push_result(context, values)
        if self.on_empty == "skip":
            raise AirflowSkipException(f"{what}; on_empty is 'skip'")
        raise NoObjectsError(f"{what}; on_empty is 'fail'")

    def _defer(
        self, batch: Batch, deadline: float, end_of_try: float | None, progress: BatchProgress
    ) -> NoReturn:
        note = {"deadline": deadline, "end_of_try": end_of_try, "parked": batch.parked}
        self.defer(
            trigger=CIBatchTrigger(
                folder=batch.parked["folder"],
                claim=batch.parked.get("claim", ""),
                **self.connection_of_trigger(),
                deadline=earliest(deadline, end_of_try),
                poll_interval=self.poll_interval,
                pause_seconds=self.outage_seconds,
                cancel_on_kill=self.cancel_on_kill,
                note={**note, "since": progress.since},
            ),
            method_name="execute_complete",
        )

    def _batch(self, context: Context, progress: BatchProgress) -> Batch:
        return Batch(
            self.hook.client,
            self.source,
            self.operation,
            self.output_template,
            operations=self.operations,
            secrets=self.hook.secret,
            batch_id=self._id_that_fits(),
            skip=self.skip,
            retry_failed=self.retry_failed,
            on_running=self.on_running,
            definition=self.definition,
            queue_id=self.queue_id,
            queue_ids=self.queue_ids,
            job_level=self.job_level,
            callback=self.callback,
            output_bucket=self.output_bucket,
            output_region=self.output_region,
            max_in_flight=self.max_in_flight,
            object_attempts=self.object_attempts,
            max_failures=self.max_failures,
            max_jobs=self.max_jobs,
            canary=self.canary,
            canary_failures=self.canary_failures,
            stop_early=self.stop_early,
            timeout_seconds=self.timeout_seconds,
            outage_seconds=self.outage_seconds,
            report_prefix=self.report_prefix,
            pace=Pace(shortest=min(0.5, self.poll_interval), longest=self.poll_interval),
            progress=progress,
            is_stopped=lambda: self._is_killed,
            cancels_when_stopped=lambda: self.cancel_on_kill and compat.was_killed_by_user(context["ti"]),
        )

    @property
    def _templates(self) -> list[str]:
        """The output templates of all steps."""
        if self.operations is None:
            return [self.output_template]
        return [step.output for step in named_steps(self.operations).values()]

    def _id_that_fits(self) -> str:
        """The batch id; the default id is shortened if it is too long for an object key."""
        return shortened(self.batch_id, self.report_prefix) if self._is_named_by_airflow else self.batch_id

    def on_kill(self) -> None:
        """Set a flag. The wait loop decides whether a user ended the task or the worker is shutting down."""
        self._is_killed = True

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """What the batch read and wrote; OpenLineage's provider calls this when the task has ended."""
        if self._summary is None:
            return None
        return batch_lineage(
            self.hook.client.bucket,
            self.source,
            self._templates,
            self._summary,
            output_bucket=self.output_bucket,
        )

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """What the batch read and wrote, if it got as far as its report."""
        return self.get_openlineage_facets_on_complete(task_instance)


def _lead_to(page: str, error: CIError) -> None:
    """Append the address of the batch's page to the message of an error."""
    if is_absolute(page) and error.args:
        error.args = (f"{error.args[0]}. Details: {page}", *error.args[1:])
