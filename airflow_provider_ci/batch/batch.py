"""A batch: one operation on many objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_ci.batch.preview import BatchPreview
from airflow_provider_ci.batch.prices import PriceTable
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.run.previewing import preview
from airflow_provider_ci.batch.run.session import Session
from airflow_provider_ci.batch.settings import BatchSettings


@dataclass(frozen=True)
class Batch(BatchSettings):
    """One operation on many objects: one successful job per output, even if runs crash or overlap.

    The batch keeps its records in the bucket: a frozen plan, the ids of submitted jobs, and the results. A
    run that dies is continued by the next run with the same ``batch_id``, in any process on any machine. A
    run after a finished run makes a new plan, and submits jobs only for outputs that are missing or out of
    date. Batches with the same outputs share them: one batch makes an output, the others wait for it. See
    ``docs/protocol.md``.
    """

    parked: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Set when :meth:`advance` returns None: plain JSON that the next :meth:`advance` takes as ``resume``."""

    def run(self) -> BatchSummary:
        """Run the batch to its end: list the objects, submit jobs, wait for the jobs and write the report.

        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        :raises BatchRunningError: another run of this batch is active, and ``on_running`` is ``fail``.
        :raises BatchStoppedError: ``is_stopped`` returned true; submitted jobs keep running.
        :raises OutputConflictError: another batch makes one of the outputs by another operation.
        :raises OutputTemplateError: the template cannot name the outputs; nothing was submitted.
        :raises LedgerLostError: records were deleted, and some objects of the plan are no longer known.
        :raises CIError: the service refused the whole batch (wrong key, unknown bucket), or was unavailable
            for too long. The report holds all results that were known at that time.
        """
        deadline = self.client.clock.now() + self.timeout_seconds
        summary = self.advance(patience=None, deadline=deadline)
        assert summary is not None, "without a limit of patience it runs to the end"
        return summary

    def preview(self, prices: PriceTable | None = None) -> BatchPreview:
        """Return what :meth:`run` would do now; nothing is claimed, written or submitted.

        A preview sends the same requests as planning: listings of the source and of the outputs. It ignores
        other batches that are making the same outputs at this moment.

        :param prices: prices for the estimate of money and time; by default list prices, see
            :class:`PriceTable`.
        """
        return preview(self, prices or PriceTable())

    def advance(
        self, *, patience: float | None, deadline: float, resume: Mapping[str, Any] | None = None
    ) -> BatchSummary | None:
        """Do the same as :meth:`run`, but return once the batch can only wait.

        The jobs in flight are then in the ledger. :class:`BatchWatch` waits for them, in any process, and the
        next :meth:`advance` continues. Each call costs only a few extra requests, however large the batch is.

        :param patience: seconds to wait for jobs before returning; None waits until the end.
        :param deadline: end of the batch, in Unix seconds.
        :param resume: :attr:`parked` of the previous run. The plan of that run is continued even if the
            settings differ.
        :returns: the summary, or None if jobs are in flight or another run of the batch is active.
        """
        settings = self
        if resume and resume.get("batch_id"):  # the id may be rendered differently by now
            settings = replace(self, batch_id=resume["batch_id"], report_prefix=resume["report_prefix"])
        seconds_left = deadline - self.client.clock.now()
        session = Session(settings, seconds_left=seconds_left, resume=resume)
        self.parked.clear()
        try:
            return session.advance(patience)
        finally:
            self.parked.update(session.parked)
