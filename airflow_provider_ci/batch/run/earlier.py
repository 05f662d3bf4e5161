"""What a new plan must know about the plan before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.limits import FailureLimit
from airflow_provider_ci.batch.registry.index_state import Entry
from airflow_provider_ci.batch.registry.outputs_index import IndexReader
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.run.allowance import jobs_of_earlier_plan
from airflow_provider_ci.batch.run.canary import Canary
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import Job
from airflow_provider_ci.jobs.service_time import CLOCK_ERROR_SECONDS

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class EarlierPlan:
    """An unfinished plan whose claim is gone, so that its objects are planned again."""

    settings: BatchSettings
    plan: StoredPlan

    def is_published(self, index: IndexReader) -> bool:
        """Whether the index has an outcome newer than the plan for each output that the plan had to make.

        If so, the plan has ended, and only its report was deleted.
        """
        lines = (planned for planned in self.plan.objects() if planned.is_claimed)
        try:
            while chunk := {planned.output: planned.fingerprint for planned in islice(lines, _CHUNK)}:
                entries = index.find(sorted(chunk))
                if len(entries) < len(chunk):
                    return False
                for output, entry in entries.items():
                    if entry.fingerprint != chunk[output] or not self._is_newer(entry):
                        return False
        except MissingRecordError:
            return False
        return True

    def _is_newer(self, entry: Entry) -> bool:
        begin = self.plan.header.started_at
        # With "fresh", an earlier entry of an output that was made would have made the output up to date. So
        # the entry is newer than the plan, even if both have the same second. Any other entry of about the
        # same time may be older, such as a failure that is retried.
        if entry.made and self.settings.skip == "fresh":
            return entry.recorded_at >= math.floor(begin)
        return entry.recorded_at >= begin + CLOCK_ERROR_SECONDS

    def canary_report(self) -> BatchSummary | None:
        """The summary of a plan that was stopped because its sample failed; None if the plan may continue."""
        if not (self.settings.canary and self.plan.header.canary):
            return None
        found = self._state()
        if found is None:
            return None
        journal, state = found
        canary = Canary.of_plan(self.settings, journal)
        canary.judge(state)
        if not canary.has_failed(state):
            return None
        report = read_report_header(self.settings.client, self.plan.folder)
        return report.summary if report and report.plan == self.plan.header.token else None

    def settings_of_next(self) -> BatchSettings:
        """The settings for planning again, without a canary if the sample of this plan was good."""
        if not (self.settings.canary and self.plan.header.canary):
            return self.settings
        found = self._state()
        # If no line after the sample was touched, the sample is not known to be good.
        if found is None or found[1].next_index <= self.plan.header.canary:
            return self.settings
        return replace(self.settings, canary=0)

    def jobs(self, submitter: Submitter) -> int:
        """Number of jobs submitted so far; 0 for a batch without ``max_jobs``, where nothing is counted."""
        if self.settings.max_jobs is None:
            return 0
        found = self._state()
        if found is None:
            return self.plan.header.jobs_before
        journal, state = found

        def listed() -> Iterator[Job]:
            for job in submitter.newest_jobs(state.look_back_to):
                # Jobs of other batches are in the same listing.
                if submitter.read_mark(job.user_data):
                    yield job

        return jobs_of_earlier_plan(journal, state, before=self.plan.header.jobs_before, listed=listed)

    def _state(self) -> tuple[Journal, BatchState] | None:
        journal = Journal(client=self.settings.client, plan=self.plan)
        try:
            return journal, journal.read_state()
        except MissingRecordError:
            return None


def jobs_of_failed_run(settings: BatchSettings, summary: BatchSummary) -> int:
    """Number of jobs of an ended run that was not good enough; they still count against ``max_jobs``.

    The number is 0 if the run was good enough or had another definition: then the next run is new work.
    """
    if settings.max_jobs is None or summary.is_good_enough(FailureLimit.parse(settings.max_failures)):
        return 0
    plan = read_plan(settings.client, settings.folder)
    return summary.jobs if plan and plan.header.definition == settings.definition_name else 0
