"""What the end of a job means for its line, and for the lines that read its output."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from airflow_provider_ci.batch.errors import WholeBatchError, concerns_batch
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.state import Attempt, BatchState, RunningJob
from airflow_provider_ci.batch.planning.outputs.existing import ExistingOutputs
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.results import (
    RETRYABLE_JOB_CODES,
    STEP_FAILED,
    ObjectResult,
    ObjectState,
    result_of_job,
    result_without_job,
)
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIClient, Job, JobState, NotFoundError

log = logging.getLogger(__name__)


class Outcomes:
    """Records results, and releases lines when the earlier step that they wait for is done.

    :param outputs_client: client of the bucket in which the outputs lie.
    """

    def __init__(
        self, settings: BatchSettings, journal: Journal, state: BatchState, outputs_client: CIClient
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._outputs_client = outputs_client
        self._state = state
        self._steps = len(journal.plan.header.all_steps)
        # The service truncates all times, including those of outputs, to whole seconds.
        self._first_second = int(journal.plan.header.jobs_not_before)
        self.inherited = frozenset(state.running)
        """Ids of the jobs that this run inherited from earlier runs."""
        self.moved = 0
        """Number of submissions that the service accepted, plus the number of finished lines."""
        self.skipped = 0
        """Number of finished lines that needed no job."""
        self.failed_jobs = 0
        self.ended_jobs = 0

    # Results

    def finish(self, result: ObjectResult, *, is_pressing: bool = False) -> None:
        """Record the result of a line, and release or fail the lines that read its output.

        :param is_pressing: whether nothing else records this outcome, because the line has no job.
        """
        self.moved += 1
        self._state.count(result)
        self._journal.add_result(result, is_pressing=is_pressing)
        if self._steps > 1:
            self._pass_on(result)

    def pass_over(self, result: ObjectResult) -> None:
        """Record the result of a line that needs no job."""
        self.skipped += result.is_good
        self.finish(result, is_pressing=True)

    def enqueue(self, attempts: Iterable[Attempt]) -> None:
        """Let lines wait for their submission; a line whose input is missing waits for the input first."""
        open_lines = self._state.open_lines() if self._steps > 1 else set()
        # In the order of the plan, a line comes after the line whose output it reads.
        for attempt in sorted(attempts, key=lambda each: each.planned.index):
            if attempt.planned.parent in open_lines:
                self._state.block(attempt.planned)
            else:
                self._state.waiting.append(attempt)
            open_lines.add(attempt.planned.index)

    def release(self) -> None:
        """Release the lines whose earlier step was already done when the records were read."""
        for result in list(self._state.resolved.values()):
            self._pass_on(result)
            if result.is_good:
                del self._state.resolved[result.index]

    def _pass_on(self, result: ObjectResult) -> None:
        children = self._state.blocked.pop(result.index, [])
        if result.is_good:
            self._state.waiting.extend(Attempt(planned=child) for child in children)
            return
        next_index = self._state.next_index
        if result.index >= next_index - next_index % self._steps:
            self._state.resolved[result.index] = result  # for lines of the object that are not touched yet
        for child in (*children, *self._followed_after(result.index)):
            self.fail_after(child, result)

    def _followed_after(self, index: int) -> Iterable[PlannedObject]:
        """Take out the lines that read the output of this line and follow another batch."""
        for place in range(index + 1, index + self._steps):
            planned = self._state.followed.get(place)
            if planned is not None and planned.parent == index:
                yield self._state.followed.pop(place)

    def fail_after(self, planned: PlannedObject, earlier: ObjectResult) -> None:
        """Record that a line has no job, because an earlier step has no output."""
        state = ObjectState.CANCELLED if earlier.state is ObjectState.CANCELLED else ObjectState.FAILED
        verb = "was cancelled" if state is ObjectState.CANCELLED else "failed"
        message = f"step {earlier.step!r} {verb}: {earlier.reason}".rstrip(": ")
        result = result_without_job(planned, state, message=message)
        self.finish(replace(result, code=STEP_FAILED), is_pressing=True)

    # Ends of jobs

    def settle(self, found: RunningJob, job: Job) -> WholeBatchError | None:
        """Decide about a line whose job has ended; return the error if it must end the batch.

        A batch-wide failure of an earlier run's job may be outdated, so its object is submitted again.
        """
        attempt, planned = found.attempt, found.attempt.planned
        is_failed = job.state is JobState.FAILED
        if is_failed and concerns_batch(job.code, job.message):
            # Put the line back first: the error ends this run, and a later run has to make the output.
            if planned.decision is Decision.SHARED:
                self._state.followed[planned.index] = planned
            else:
                self._state.waiting.append(attempt.next())
            if attempt.is_adopted or job.job_id in self.inherited:
                return None
            return WholeBatchError(self._settings.batch_id, job.code, job.message, planned.key)
        is_retryable = is_failed and job.code in RETRYABLE_JOB_CODES
        was_cancelled = job.state is JobState.CANCEL
        if planned.decision is Decision.SHARED and (is_retryable or was_cancelled):
            self._state.followed[planned.index] = planned  # the other batch decides whether to retry it
        elif (is_retryable and attempt.number < self._settings.object_attempts) or (
            # A job that a user cancelled stays cancelled. If this batch cancelled it, because its task was
            # ended, the next run submits it again.
            was_cancelled and self._state.asked_to_cancel
        ):
            self._state.waiting.append(attempt.next())
        else:
            self._count_job(is_failed=is_failed)
            self.finish(result_of_job(planned, job, attempts=attempt.number))
        return None

    def settle_forgotten(self, found: RunningJob) -> None:
        """Decide, from the output, about a job that the service no longer knows (it keeps jobs for a month).

        If there is no output newer than the job, the line is submitted again.
        """
        planned = found.attempt.planned
        if self._is_output_newer(planned, found.created_at):
            self._count_job(is_failed=False)
            self.finish(
                result_without_job(
                    planned, ObjectState.SUCCEEDED, job_id=found.job_id,
                    message="the service no longer knows the job; its output is there",
                )
            )  # fmt: skip
        else:
            log.warning("job %s of %r is unknown to the service; submitting again", found.job_id, planned.key)
            self._state.waiting.append(found.attempt.next())

    def finish_made(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Finish lines whose output was written after the plan was made, and return the other attempts.

        A dead run may have submitted their jobs without recording them, and the service may no longer know
        these jobs.
        """
        # Only first attempts count: before a later attempt, a failed job may have written its first pages.
        outputs = sorted(each.planned.output for each in attempts if each.number == 1)
        if not outputs:
            return list(attempts)
        prefix = os.path.commonprefix(outputs)  # noqa: RUF071 keys are not paths
        threads = self._settings.reading_threads
        written = ExistingOutputs(self._outputs_client, prefix, threads=threads).last_modified(outputs)
        left = []
        for attempt in attempts:
            made_at = written.get(attempt.planned.output)
            if attempt.number > 1 or made_at is None or made_at.timestamp() < self._first_second:
                left.append(attempt)
                continue
            message = "no job is known any more; the output was written since the plan was made"
            result = result_without_job(attempt.planned, ObjectState.SUCCEEDED, message=message)
            self.finish(result, is_pressing=True)
        if len(left) < len(attempts):
            log.info("%d outputs are there, made by a run that died", len(attempts) - len(left))
        return left

    def _is_output_newer(self, planned: PlannedObject, created_at: datetime | None) -> bool:
        try:
            written = self._outputs_client.head_object(planned.output).last_modified
        except NotFoundError:
            return False
        begin = self._first_second if created_at is None else int(created_at.timestamp())
        return written.timestamp() >= begin

    def _count_job(self, *, is_failed: bool) -> None:
        self.ended_jobs += 1
        self.failed_jobs += is_failed
