"""What a plan that is made again must know about the plan before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan
from airflow_provider_ci.batch.ledger.records import MissingRecordError
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.run.allowance import jobs_of_earlier_plan
from airflow_provider_ci.batch.run.canary import Canary
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import Job


@dataclass(frozen=True, slots=True)
class EarlierPlan:
    """An unfinished plan whose claim is gone, so that its objects are planned again."""

    settings: BatchSettings
    plan: StoredPlan

    def canary_report(self) -> BatchSummary | None:
        """The summary of a plan that was stopped because its sample failed; None if it may go on."""
        if not (self.settings.canary and self.plan.header.canary):
            return None
        found = self._state()
        if found is None or not Canary.of_plan(self.settings, self.plan.header).has_failed(found[1]):
            return None
        report = read_report_header(self.settings.client, self.plan.folder)
        return report.summary if report and report.plan == self.plan.header.token else None

    def settings_of_next(self) -> BatchSettings:
        """The settings for planning again: a sample that was good is not repeated."""
        if not (self.settings.canary and self.plan.header.canary):
            return self.settings
        found = self._state()
        if found is None or found[1].next_index <= self.plan.header.canary:
            return self.settings
        return replace(self.settings, canary=0)

    def jobs(self, submitter: Submitter) -> int:
        """Jobs that were submitted so far; they are counted only for a batch with ``max_jobs``."""
        if self.settings.max_jobs is None:
            return 0
        found = self._state()
        if found is None:
            return self.plan.header.jobs_before
        journal, state = found

        def listed() -> Iterator[Job]:
            for job in submitter.newest_jobs(state.look_back_to):
                if submitter.read_mark(job.user_data):
                    yield job

        return jobs_of_earlier_plan(journal, state, before=self.plan.header.jobs_before, listed=listed)

    def _state(self) -> tuple[Journal, BatchState] | None:
        journal = Journal(client=self.settings.client, plan=self.plan)
        try:
            return journal, journal.read_state()
        except MissingRecordError:
            return None
