"""The operator that processes many objects."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from airflow.sdk import Context, XComArg

from airflow_provider_ci import compat
from airflow_provider_ci.batch import Batch, ObjectKeys, ObjectSelection, Pace, Progress
from airflow_provider_ci.batch.plan import Operation, Skip
from airflow_provider_ci.operators.base import CIOperator

Source = ObjectSelection | ObjectKeys | Sequence[str]

_BATCH_ID = (
    "{{ dag.dag_id }}/{{ ti.task_id }}/{{ run_id }}{% if ti.map_index >= 0 %}/{{ ti.map_index }}{% endif %}"
)
_LOG_SECONDS = 10.0


class CIBatchOperator(CIOperator):
    """Processes many objects with one operation in one task.

    It lists, submits a window of jobs side by side, waits for all of them with one listing, and reports:
    ``report.jsonl`` in the bucket has the verdict of every object; the XCom is only the summary.

    It waits in place. When a try dies, its retry leaves out the objects whose output is newer than they are.

    :param source: an ``ObjectSelection``, or a list of object keys. (templated inside)
    :param operation: a ``DocProcess`` or ``PicProcess``. (templated inside)
    :param output: template of the output keys, such as ``pdf/{dir}{stem}.pdf``; see
        :class:`~airflow_provider_ci.batch.OutputTemplate`. (templated)
    :param batch_id: names the report; by default from DAG, task and run. (templated)
    :param skip: ``exists`` leaves out objects whose output is newer than they are, ``never`` processes all.
    :param queue_id: queue of the jobs; the default queue if not given. (templated)
    :param max_in_flight: jobs that wait or run at the same time, at most.
    :param object_attempts: jobs for an object, at most; only what may be transient is submitted again.
    :param max_failures: how many objects may fail, as a number or a percentage such as ``"5%"``.
    :param poll_interval: seconds between two looks at the jobs, at most.
    :param timeout_seconds: after so long, what has not ended is reported as unfinished.
    :param report_prefix: folder of the report in the bucket. (templated)
    :param cancel_on_kill: cancel jobs that have not begun when a user ends the task.
    """

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
        skip: Skip = "exists",
        queue_id: str | None = None,
        max_in_flight: int = 1000,
        object_attempts: int = 2,
        max_failures: int | str = 0,
        poll_interval: float = 30.0,
        timeout_seconds: float = 24 * 3600.0,
        report_prefix: str = "_ci_batches/",
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = cast(Source, source)  # an XComArg is resolved before execute
        self.operation = operation
        self.output_template = output  # Airflow's operators have an `output` of their own
        self.batch_id = batch_id
        self.skip = skip
        self.queue_id = queue_id
        self.max_in_flight = max_in_flight
        self.object_attempts = object_attempts
        self.max_failures = max_failures
        self.poll_interval = poll_interval
        self.timeout_seconds = timeout_seconds
        self.report_prefix = report_prefix
        self.cancel_on_kill = cancel_on_kill
        self._is_killed = False
        self._logged_at = 0.0
        self.depend_on_values_in(source, operation)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the batch and return its summary.

        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        """
        batch = Batch(
            self.hook.client,
            self.source,
            self.operation,
            self.output_template,
            batch_id=self.batch_id,
            skip=self.skip,
            queue_id=self.queue_id,
            max_in_flight=self.max_in_flight,
            object_attempts=self.object_attempts,
            max_failures=self.max_failures,
            timeout_seconds=self.timeout_seconds,
            report_prefix=self.report_prefix,
            pace=Pace(shortest=min(0.5, self.poll_interval), longest=self.poll_interval),
            progress=self._log_progress,
            is_stopped=lambda: self._is_killed,
            cancels_when_stopped=lambda: self.cancel_on_kill and compat.was_killed_by_user(context["ti"]),
        )
        summary = batch.run()
        self.log.info(
            "%d objects: %d succeeded, %d failed, %d skipped in %.1f s; report %s",
            *(summary.total, summary.succeeded, summary.failed, summary.skipped, summary.seconds),
            summary.report_key,
        )
        for failure in summary.first_failures:
            self.log.warning("failed: %s", failure)
        return summary.to_json()

    def on_kill(self) -> None:
        """Only note it. Whether a user ended the task, or its worker goes away, is found out by the wait."""
        self._is_killed = True

    def _log_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._logged_at < _LOG_SECONDS and progress.finished < progress.total:
            return
        self._logged_at = now
        left = progress.seconds_left
        self.log.info(
            "%d of %d objects done, %d failed, %d in flight, %s left",
            *(progress.finished, progress.total, progress.failed, progress.in_flight),
            "unknown time" if left is None else f"about {left:.0f} s",
        )
