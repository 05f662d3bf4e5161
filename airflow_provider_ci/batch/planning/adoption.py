"""Adopts jobs of other programs that make or have made an output of a plan, so that none is made twice."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.batch.planning.draft import Draft, DraftOutput, OtherOperationError
from airflow_provider_ci.batch.planning.outputs.lines import Lines
from airflow_provider_ci.batch.planning.planned import THERE, Decision
from airflow_provider_ci.client import Job, JobState

_BY_TIME = Decision.UP_TO_DATE_BY_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """Adopts jobs for lines of a draft, after it is known which outputs are up to date.

    :param output_of: returns the first output of a job.
    :param matches: returns whether a job does an operation.
    :param is_here: returns whether a job writes into the bucket of this batch's outputs.
    """

    draft: Draft
    lines: Lines
    output_of: Callable[[Job], str]
    matches: Callable[[Job, Any], bool]
    is_here: Callable[[Job], bool]

    def in_flight(self, jobs: Iterable[Job]) -> int:
        """Adopt the jobs that the service is running for outputs of this plan; returns their number.

        :raises OtherOperationError: a job in flight makes one of the outputs by another operation.
        """
        adopted = 0
        for job in jobs:
            ours = self._output(job)
            if ours is None or self.draft.decision(ours.line) is not Decision.SUBMIT:
                continue
            # Checked before the input: whatever the job reads, it will overwrite the output that we make.
            if not self._does_same(job, ours):
                raise OtherOperationError(ours.output)
            if not self._reads_same(job, ours):
                continue
            back = self._back(ours.line)
            if back and self.draft.decision(ours.line - back) not in THERE:
                continue  # the job reads an output that will be made again
            self.draft.decide(ours.line, Decision.ADOPTED, _details(job))
            adopted += 1
        return adopted

    def ended(self, jobs: Iterable[Job]) -> int:
        """Correct the decisions about outputs that are newer than every record about them.

        The newest job that wrote such an output is adopted if it did the same as the job that this batch
        would submit. If it did something else, the output is made again, even if its record says that it is
        up to date.

        :param jobs: all jobs that were created since :attr:`.UnrecordedOutputs.since`.
        :returns: the number of adopted jobs.
        """
        # First store the jobs on disk: a listing is ordered by time, but steps must be judged in line order.
        self._note(jobs)
        noted: dict[int, Mapping[str, Any]] = {}
        adopted: set[int] = set()
        for line, job, is_noted in self.draft.unrecorded.jobs():
            # A line reads outputs of its own object only, so the jobs of earlier objects are dropped.
            noted = {known: each for known, each in noted.items() if line - known < self.draft.steps}
            noted[line] = job
            decision, parent = self.draft.decision(line), line - self._back(line)
            is_same = job["is_same"] and self._has_read_current(line, noted, adopted)
            is_doubted = decision is _BY_TIME and is_noted
            if (decision is Decision.UP_TO_DATE and not is_same) or (is_doubted and not job["is_same"]):
                self.draft.decide(line, Decision.SUBMIT)
            # An output that is up to date by its time needs no job, unless the job that made its input is
            # adopted.
            elif is_same and (decision is Decision.SUBMIT or (decision is _BY_TIME and parent in adopted)):
                self.draft.decide(line, Decision.ADOPTED, job["details"])
                adopted.add(line)
        return len(adopted)

    def _note(self, jobs: Iterable[Job]) -> None:
        unrecorded = self.draft.unrecorded
        for job in jobs:
            ours = self._output(job)
            if ours is None or job.created_at is None or job.state is not JobState.SUCCESS:
                continue
            is_by_time = self.draft.decision(ours.line) is _BY_TIME
            if is_by_time or ours.line in unrecorded:  # a missing output must be made anyway
                created = job.created_at.timestamp()
                ended = job.ended_at.timestamp() if job.ended_at else created
                is_same = self._does_same(job, ours) and self._reads_same(job, ours)
                noted = {"created": created, "ended": ended, "is_same": is_same, "details": _details(job)}
                unrecorded.note_job(ours.line, created, noted)

    def _has_read_current(
        self, line: int, noted: Mapping[int, Mapping[str, Any]], adopted: Container[int]
    ) -> bool:
        """Whether the job of a line has read the current output of the earlier step, not an older one."""
        parent = line - self._back(line)
        if parent == line:
            return True
        is_there = parent in adopted or self.draft.decision(parent) in THERE
        # A job created while the earlier step still ran may have read the old output of that step.
        return is_there and (parent not in noted or noted[line]["created"] >= noted[parent]["ended"])

    def _output(self, job: Job) -> DraftOutput | None:
        return self.draft.of_output(self.output_of(job)) if self.is_here(job) else None

    def _does_same(self, job: Job, ours: DraftOutput) -> bool:
        return self.matches(job, self.lines.operation(ours.parts, ours.line % self.draft.steps))

    def _reads_same(self, job: Job, ours: DraftOutput) -> bool:
        """Whether a job reads the input of our line with its current content, not with an older one."""
        place = ours.line % self.draft.steps
        if job.input_key.removeprefix("/") != self.lines.input_key(ours.key, ours.parts, place):
            return False
        return job.created_at is not None and job.created_at.timestamp() >= ours.modified

    def _back(self, line: int) -> int:
        return self.lines.steps[line % self.draft.steps].back


def _details(job: Job) -> dict[str, str]:
    created_at = job.created_at.isoformat() if job.created_at else ""
    details = {"job_id": job.job_id, "created_at": created_at}
    return {**details, "queue_id": job.queue_id} if job.queue_id else details
