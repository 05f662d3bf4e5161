"""The operator that processes many objects."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.sdk import Context, XComArg

from airflow_provider_ci import compat
from airflow_provider_ci.assets import announce, output_uri
from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    BatchSummary,
    ObjectKeys,
    ObjectSelection,
    Pace,
)
from airflow_provider_ci.batch.planning.planner import Skip
from airflow_provider_ci.batch.report import batch_folder
from airflow_provider_ci.compat import AirflowException, conf
from airflow_provider_ci.jobs.kinds import Operation
from airflow_provider_ci.lineage import batch_lineage
from airflow_provider_ci.links import CIQueueLink, CIReportLink, TaskLinks
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.progress import BatchProgress
from airflow_provider_ci.triggers import CIBatchTrigger

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

Source = ObjectSelection | ObjectKeys | Sequence[str]

_BATCH_ID = (
    "{{ dag.dag_id }}/{{ ti.task_id }}/{{ run_id }}{% if ti.map_index >= 0 %}/{{ ti.map_index }}{% endif %}"
)
_HEAD_BYTES = 200
"""How much of a default batch id is left to read where the whole is too long for a key."""
_INLINE_SECONDS = 10.0
"""A batch that ends so soon is not worth a deferral."""
_ANNOUNCED = ("total", "succeeded", "failed", "skipped", "cancelled", "unfinished", "batch_id", "report_key")
"""What the event of an asset says of the batch."""


class BatchWaitError(AirflowException):
    """The wait for a batch came to no result. Its jobs go on; a retry of the task goes on with them."""


class CIBatchOperator(CIOperator):
    """Processes many objects with one operation in one task: exactly one good job for each.

    It lists, submits a window of jobs side by side, waits for all of them with one listing, and reports:
    ``report.jsonl`` in the bucket has the verdict of every object; the XCom is only the summary.

    What it does is kept in the bucket. When a worker, a triggerer or a scheduler dies, the retry goes on from
    there; when the task is cleared, it plans anew and does what is missing or changed.

    :param source: an ``ObjectSelection``, or a list of object keys. (templated inside)
    :param operation: a ``DocProcess`` or ``PicProcess``. (templated inside)
    :param output: template of the output keys, such as ``pdf/{dir}{stem}.pdf``; see
        :class:`~airflow_provider_ci.batch.OutputTemplate`. (templated)
    :param batch_id: names the batch and its report; by default from DAG, task and run, with a hash of them
        where they are too long for an object key. (templated)
    :param skip: ``fresh`` leaves out objects whose output is up to date, ``exists`` those whose output is
        newer, ``never`` none; see :class:`~airflow_provider_ci.batch.Batch`.
    :param queue_id: queue of the jobs; the default queue if not given. (templated)
    :param max_in_flight: jobs that wait or run at the same time, at most.
    :param object_attempts: jobs for an object, at most; only what may be transient is submitted again.
    :param max_failures: how many objects may fail, as a number or a percentage such as ``"5%"``.
    :param deferrable: wait in the triggerer, which holds no worker slot: a window is submitted, and the task
        comes back for the next one.
    :param poll_interval: seconds between two looks at the jobs, at most.
    :param timeout_seconds: after so long, what has not ended is reported as unfinished.
    :param outage_seconds: how long the service may be away, or the queue be paused.
    :param report_prefix: folder of the report in the bucket. (templated)
    :param cancel_on_kill: cancel jobs that have not begun when a user ends the task.
    :param outlets: Airflow's own; events of ``cos`` assets, or of an ``AssetAlias``, say what was written.
    """

    operator_extra_links = (CIQueueLink(), CIReportLink())

    template_fields: Sequence[str] = (
        *("source", "operation", "output_template", "batch_id", "queue_id", "report_prefix"),
        *("bucket", "region"),
    )

    def __init__(
        self,
        *,
        source: Source | XComArg,
        operation: Operation,
        output: str,
        batch_id: str = _BATCH_ID,
        skip: Skip = "fresh",
        queue_id: str | None = None,
        max_in_flight: int = 1000,
        object_attempts: int = 2,
        max_failures: int | str = 0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 30.0,
        timeout_seconds: float = 24 * 3600.0,
        outage_seconds: float = 600.0,
        report_prefix: str = "_ci_batches/",
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = cast(Source, source)  # an XComArg is resolved before execute
        self.operation = operation
        self.output_template = output  # Airflow's operators have an `output` of their own
        self.batch_id = batch_id
        self._is_named_by_airflow = batch_id == _BATCH_ID
        self.skip = skip
        self.queue_id = queue_id
        self.max_in_flight = max_in_flight
        self.object_attempts = object_attempts
        self.max_failures = max_failures
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout_seconds = timeout_seconds
        self.outage_seconds = outage_seconds
        self.report_prefix = report_prefix
        self.cancel_on_kill = cancel_on_kill
        self._is_killed = False
        self._summary: BatchSummary | None = None
        self.depend_on_values_in(source, operation)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the batch, or submit its first window and defer; return its summary.

        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        :raises BatchRunningError: another run of the same batch is alive.
        """
        return self._advance(context, time.time() + self.timeout_seconds, _INLINE_SECONDS)

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the trigger's event, with the next window or to the end.

        :raises BatchWaitError: the queue stayed paused, or there is no event.
        """
        if not event or event.get("status") == "paused":
            reason = (event or {}).get("message") or "the trigger fired no event"
            raise BatchWaitError(f"waiting for batch {self._id_that_fits()} failed: {reason}")
        if event["status"] != "error":
            return self._advance(context, event["deadline"], 0.0)
        # Of the triggerer's surroundings, as likely as not: another deferral would come back at once.
        self.log.warning("the trigger could not wait, so this task does: %s", event["message"])
        return self._advance(context, event["deadline"], None)

    def _advance(self, context: Context, deadline: float, patience: float | None) -> dict[str, Any]:
        progress = BatchProgress(self.log, compat.state_store(context))
        batch = self._batch(context, progress)
        self.task_links = TaskLinks(context, self.hook)
        self.task_links.tell_queue(self.queue_id)
        self.task_links.tell_report(batch.folder, "batch.json")
        try:
            summary = batch.advance(patience=patience if self.deferrable else None, deadline=deadline)
        except BatchFailedError as failed:
            self._close(failed.summary, progress, self.task_links, batch.folder)
            raise
        if summary is None:
            self._defer(batch.folder, deadline)
        self._close(summary, progress, self.task_links, batch.folder)
        announce(
            context,
            self.outlets,
            uri=output_uri(self.hook.client.bucket, self.output_template),
            objects=summary.succeeded,
            details={name: getattr(summary, name) for name in _ANNOUNCED},
        )
        return summary.to_json()

    def _close(self, summary: BatchSummary, progress: BatchProgress, links: TaskLinks, folder: str) -> None:
        self._summary = summary
        progress.close(summary)
        links.tell_report(folder, "report.jsonl")

    def _defer(self, folder: str, deadline: float) -> NoReturn:
        self.defer(
            trigger=CIBatchTrigger(
                folder=folder,
                conn_id=self.conn_id,
                bucket=self.bucket,
                region=self.region,
                deadline=deadline,
                poll_interval=self.poll_interval,
                pause_seconds=self.outage_seconds,
                cancel_on_kill=self.cancel_on_kill,
            ),
            method_name="resume",
        )

    def _batch(self, context: Context, progress: BatchProgress) -> Batch:
        return Batch(
            self.hook.client,
            self.source,
            self.operation,
            self.output_template,
            batch_id=self._id_that_fits(),
            skip=self.skip,
            queue_id=self.queue_id,
            max_in_flight=self.max_in_flight,
            object_attempts=self.object_attempts,
            max_failures=self.max_failures,
            timeout_seconds=self.timeout_seconds,
            outage_seconds=self.outage_seconds,
            report_prefix=self.report_prefix,
            pace=Pace(shortest=min(0.5, self.poll_interval), longest=self.poll_interval),
            progress=progress,
            is_stopped=lambda: self._is_killed,
            cancels_when_stopped=lambda: self.cancel_on_kill and compat.was_killed_by_user(context["ti"]),
        )

    def _id_that_fits(self) -> str:
        """The batch id; one that nobody has chosen is made to fit."""
        return _fitting(self.batch_id, self.report_prefix) if self._is_named_by_airflow else self.batch_id

    def on_kill(self) -> None:
        """Only note it. Whether a user ended the task, or its worker goes away, is found out by the wait."""
        self._is_killed = True

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """What the batch read and wrote; OpenLineage's provider asks when the task has ended."""
        if self._summary is None:
            return None
        return batch_lineage(self.hook.client.bucket, self.source, self.output_template, self._summary)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """What the batch read and wrote, if it came as far as its report."""
        return self.get_openlineage_facets_on_complete(task_instance)


def _fitting(batch_id: str, report_prefix: str) -> str:
    """The same id where a folder can have its name; else its beginning and a hash of the whole."""
    try:
        batch_folder(report_prefix, batch_id)
    except ValueError:
        whole = batch_id.encode()
        return f"{whole[:_HEAD_BYTES].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:32]}"
    return batch_id
