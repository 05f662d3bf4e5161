"""How a run ends: it parks its jobs or publishes its results, and writes the report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.records import RecordWriter
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.reports.writing import write_report
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, explained, result_of_steps
from airflow_provider_ci.batch.run.indexing import place_of_plan, publish_results
from airflow_provider_ci.batch.run.loop import Loop
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIError
from airflow_provider_ci.jobs.cancel import cancel_waiting

log = logging.getLogger(__name__)


class Ending:
    """The last steps of a run.

    :param patiently: repeats a step until it succeeds, or until the service was unavailable for too long.
    :param note_parked: receives plain JSON for the next run, if this run leaves jobs in flight.
    """

    def __init__(
        self,
        settings: BatchSettings,
        lease: Lease,
        *,
        patiently: Callable[[Callable[[], None]], None],
        note_parked: Callable[[dict[str, Any]], None],
    ) -> None:
        self._settings = settings
        self._client = settings.client
        self._lease = lease
        self._patiently = patiently
        self._note_parked = note_parked

    def end(self, journal: Journal, loop: Loop, summary: BatchSummary, *, releases: bool) -> None:
        """Publish the results if nothing is in flight; otherwise leave the jobs to the next run."""
        if loop.state.in_flight:
            self._patiently(partial(self.park, journal, loop.state))
        else:
            self._patiently(partial(self._publish, journal, summary, releases=releases))

    def _publish(self, journal: Journal, summary: BatchSummary, *, releases: bool) -> None:
        place = place_of_plan(self._settings, journal.plan)
        publish_results(self._lease, journal.results, summary.report_key, place=place, releases=releases)

    def park(self, journal: Journal, state: BatchState) -> None:
        """Leave the jobs in flight to the next run, with a proof of a clean end."""
        journal.write_checkpoint(state)
        header = journal.plan.header
        # The proof comes last, because it names the checkpoint and the numbers of all records.
        self._lease.park({**journal.proof, "total": header.total})
        self._note_parked({"plan": header.token, "total": header.total, "claim": self._lease.claim.token})

    def report(self, journal: Journal, loop: Loop) -> BatchSummary:
        """Write the report, with one row per object."""
        header, results = journal.plan.header, EachOnce(journal, loop)
        summary = replace(
            BatchSummary.empty(header.batch_id, report_key(journal.plan.folder)),
            # The estimate of the service's clock may have been corrected since the start.
            seconds=round(max(0.0, self._client.clock.now() - header.started_at), 3),
            jobs=header.jobs_before + loop.state.jobs,
            judged_by_time=header.judged_by_time,
            archived=header.archived,
            stopped_early=loop.stopped_early,
            stop_reason=loop.stop_reason,
        )
        return write_report(
            RecordWriter(client=self._client, expires_at=self._lease.writes_until),
            journal.plan.folder,
            plan=header.token,
            is_complete=lambda: loop.is_complete and not results.lost,
            results=of_objects(results, len(header.steps)),
            summary=summary,
        )

    def cancel_if_told(self, journal: Journal, loop: Loop) -> None:
        """Cancel the jobs that have not started, if the settings ask for that."""
        if self._settings.cancels_when_stopped():
            # Without the note, the next run does not know that this batch cancelled the jobs. The jobs are
            # cancelled even if the note fails: the user asked for it, and the process has little time.
            with suppress(CIError):
                journal.note_cancelling()
            cancel_waiting(self._client, loop.own_jobs())

    def note(self, journal: Journal, loop: Loop) -> None:
        """Record the state, if possible, because the run continues with another plan."""
        try:
            journal.write_checkpoint(loop.state)
        except (CIError, OSError) as error:
            log.warning("the state of the plan could not be recorded: %s", error)

    def leave(self, journal: Journal, loop: Loop) -> None:
        """Record as much of the state as possible, because the run ends with an error."""
        batch_id = self._settings.batch_id
        try:
            # The records come first: without them the next run has to treat this end as a crash.
            if loop.state.in_flight:
                self.park(journal, loop.state)
            else:
                journal.write_checkpoint(loop.state)
            summary = self.report(journal, loop)
            log.error("ended early; report: %s; batch %s", summary.report_key, batch_id)
            if not loop.state.in_flight:
                self._publish(journal, summary, releases=True)
        except (CIError, OSError) as error:
            log.error("ended early, and the records could not be written (%s): batch %s", error, batch_id)


class EachOnce:
    """One result per line of the plan, even if records were deleted while the batch ran."""

    def __init__(self, journal: Journal, loop: Loop) -> None:
        self._journal = journal
        self._loop = loop
        self.lost = 0
        """Number of lines whose result was deleted."""

    def __iter__(self) -> Iterator[ObjectResult]:
        plan, self.lost, reason = self._journal.plan, 0, self._loop.stop_reason
        # One byte for each line: a set of a million places would take sixty times as much memory.
        seen = bytearray(plan.header.total)
        for result in chain(self._journal.results(), self._loop.remaining()):
            if not seen[result.index]:
                seen[result.index] = 1
                yield explained(result, reason)
        if 0 not in seen:
            return
        for planned in plan.objects():
            if not seen[planned.index]:
                self.lost += 1
                yield ObjectResult(
                    key=planned.key,
                    state=ObjectState.UNFINISHED,
                    output_key=planned.output_key,
                    index=planned.index,
                    size=planned.size,
                    step=planned.step,
                    message="the record of its result was deleted; the next run looks for its output",
                )


def of_objects(results: Iterable[ObjectResult], steps: int) -> Iterator[ObjectResult]:
    """Combine the results of each object's steps into one result per object.

    The lines of an object end at about the same time, so few objects with a missing line are in memory.

    :param steps: number of steps; 0 for a batch with one operation, whose lines are its objects.
    """
    if not steps:
        yield from results
        return
    begun: dict[int, list[ObjectResult]] = {}
    for result in results:
        lines = begun.setdefault(result.index // steps, [])
        lines.append(result)
        if len(lines) == steps:
            del begun[result.index // steps]
            yield result_of_steps(sorted(lines, key=lambda line: line.index))
