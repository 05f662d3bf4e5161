"""Finds jobs of others that make an output of a plan, or have made it, so that no second job does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.batch.planning.draft import Draft, DraftOutput, OtherOperationError
from airflow_provider_ci.batch.planning.outputs.lines import Lines
from airflow_provider_ci.batch.planning.planned import THERE, Decision
from airflow_provider_ci.client import Job, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """Adopts jobs for lines of a draft, after it is known which outputs are up to date.

    :param output_of: the first output of a job.
    :param matches: whether a job does an operation.
    :param is_here: whether a job writes into the bucket of this batch's outputs.
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
            if not self._does_same(job, ours):
                raise OtherOperationError(ours.output)
            if not self._reads_same(job, ours):
                continue
            back = self._back(ours.line)
            if back and self.draft.decision(ours.line - back) not in THERE:
                continue  # it reads an output that will be made again
            self.draft.decide(ours.line, Decision.ADOPTED, _details(job))
            adopted += 1
        return adopted

    def ended(self, jobs: Iterable[Job]) -> int:
        """Adopt jobs that have ended well and have written what nobody recorded; returns their number.

        An output that only its time calls up to date is among them if the output that it was made from is.

        :param jobs: all that were created since :attr:`.UnrecordedOutputs.since`.
        """
        self._note(jobs)
        total = 0
        adopted: dict[int, Mapping[str, Any]] = {}
        for line, job in self.draft.unrecorded.jobs():
            # The newest job counts: what an older one wrote was overwritten.
            if job["is_same"] and self._has_read_current(line, job, adopted):
                adopted = {known: each for known, each in adopted.items() if line - known < self.draft.steps}
                adopted[line] = job
                self.draft.decide(line, Decision.ADOPTED, job["details"])
                total += 1
        return total

    def _note(self, jobs: Iterable[Job]) -> None:
        unrecorded = self.draft.unrecorded
        for job in jobs:
            ours = self._output(job)
            if ours is None or job.created_at is None or job.state is not JobState.SUCCESS:
                continue
            is_by_time = self.draft.decision(ours.line) is Decision.UP_TO_DATE_BY_TIME
            if is_by_time or ours.line in unrecorded:  # an output that is not there must be made again
                created = job.created_at.timestamp()
                ended = job.ended_at.timestamp() if job.ended_at else created
                is_same = self._does_same(job, ours) and self._reads_same(job, ours)
                noted = {"created": created, "ended": ended, "is_same": is_same, "details": _details(job)}
                unrecorded.note_job(ours.line, created, noted)

    def _has_read_current(
        self, line: int, job: Mapping[str, Any], adopted: Mapping[int, Mapping[str, Any]]
    ) -> bool:
        """Whether a job has read what there is now, and not what an earlier step had made before."""
        decision, back = self.draft.decision(line), self._back(line)
        parent = adopted.get(line - back) if back else None
        if parent is not None:
            return bool(job["created"] >= parent["ended"])
        # Without a new input, the time of this output has decided already.
        is_there = not back or self.draft.decision(line - back) in THERE
        return is_there and decision is Decision.SUBMIT

    def _output(self, job: Job) -> DraftOutput | None:
        return self.draft.of_output(self.output_of(job)) if self.is_here(job) else None

    def _does_same(self, job: Job, ours: DraftOutput) -> bool:
        return self.matches(job, self.lines.operation(ours.parts, ours.line % self.draft.steps))

    def _reads_same(self, job: Job, ours: DraftOutput) -> bool:
        """Whether it reads the input of our line, and not the content that the object had before."""
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
