"""One run of a batch: its steps in order, from the claim to the report."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from airflow_provider_ci.batch.dispatch.operations import Operations, Secrets
from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.dispatch.threads import threads_that_fit
from airflow_provider_ci.batch.errors import (
    BatchFailedError,
    BatchRunningError,
    BatchStoppedError,
    LedgerLostError,
)
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError
from airflow_provider_ci.batch.ledger.state import BatchState
from airflow_provider_ci.batch.limits import FailureLimit
from airflow_provider_ci.batch.planning.steps import PlanStep
from airflow_provider_ci.batch.registry.outputs_index import IndexReader
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.reports.reading import read_report
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.run.claiming import Claimed, Claiming, output_client
from airflow_provider_ci.batch.run.earlier import EarlierPlan, jobs_of_failed_run
from airflow_provider_ci.batch.run.ending import Ending
from airflow_provider_ci.batch.run.indexing import place_of_plan, publish_results
from airflow_provider_ci.batch.run.loop import Loop
from airflow_provider_ci.batch.run.others.following import Following
from airflow_provider_ci.batch.run.planning import PlanMaker, steps_of_plan
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIError
from airflow_provider_ci.jobs.outage import retry_while_unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_STOP_CHECK_SECONDS = 0.5


class Session:
    """One run of a batch.

    :param seconds_left: time limit of the run, in seconds.
    :param resume: :attr:`parked` of the previous run, if this run resumes it.
    """

    def __init__(
        self, settings: BatchSettings, *, seconds_left: float, resume: Mapping[str, Any] | None = None
    ) -> None:
        self._settings = settings
        self._client = settings.client
        self._ends_at = self._client.clock.monotonic() + seconds_left
        self._resume = dict(resume or {})
        self._began = time.monotonic()
        self.secrets = Secrets(settings.secrets)
        self.parked: dict[str, Any] = {}
        """Plain JSON for the next run, if this run left jobs in flight."""

    def advance(self, patience: float | None) -> BatchSummary | None:
        """Claim, plan, submit, wait and report; None if jobs are in flight and the patience is over."""
        settings = self._settings
        # Check before the claim: a missing secret or too few open files must not make other batches wait.
        Operations(settings.plan_steps, self.secrets).check_secrets()
        threads = threads_that_fit(settings.threads)
        registry = Registry(self._client, raise_if_stopped=self._raise_if_stopped)
        claiming = Claiming(settings, registry, self._wait)
        claimed = self._patiently(partial(claiming.claim, patience=patience))
        if claimed is None:
            # Another run is active, so the plan is not known; what the last run left is passed on.
            self.parked = {**self.identity(), "plan": "", "total": 0, **self._resume}
            return None
        with claimed.lease, ThreadPoolExecutor(threads, "ci-submit") as executor:
            return _ClaimedSession(self, settings, claimed, executor).advance(patience)

    # Shared with the steps below

    def identity(self) -> dict[str, Any]:
        """What identifies the batch, for the run that resumes it."""
        settings = self._settings
        return {
            "batch_id": settings.batch_id,
            "report_prefix": settings.report_prefix,
            "folder": settings.folder,
        }

    def note_parked(self, details: Mapping[str, Any]) -> None:
        """Keep what the next run has to know about jobs in flight."""
        self.parked = {**self.identity(), **details}

    def is_late(self) -> bool:
        """Whether the time limit of the batch has passed."""
        # This clock keeps counting while the machine is suspended, and time.monotonic() does not.
        return self._client.clock.monotonic() > self._ends_at

    @property
    def resume(self) -> dict[str, Any]:
        """What the previous run left for this run."""
        return self._resume

    @property
    def seconds(self) -> float:
        """Seconds since this run began."""
        return time.monotonic() - self._began

    def _patiently(self, step: Callable[[], T]) -> T:
        """Repeat a step until it succeeds, or until the service was unavailable for too long."""
        return retry_while_unavailable(
            step,
            limit_seconds=self._settings.outage_seconds,
            wait=self._wait,
            name=f"batch {self._settings.batch_id}",
        )

    def _wait(self, seconds: float) -> None:
        """Wait, unless the batch is asked to stop."""
        until = time.monotonic() + seconds
        self._raise_if_stopped()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _STOP_CHECK_SECONDS))
            self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self._settings.is_stopped():
            raise BatchStoppedError(self._settings.batch_id, [])

    patiently = _patiently
    wait = _wait


class _ClaimedSession:
    """What a run does while it has the lease."""

    def __init__(
        self,
        session: Session,
        settings: BatchSettings,
        claimed: Claimed,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._session = session
        self._given = self._settings = settings
        self._client = settings.client
        self._claimed = claimed
        self._lease = claimed.lease
        self._executor = executor
        self._state = claimed.state
        self._outputs_client = output_client(settings)
        self._secrets = session.secrets
        self._may_have_jobs = False
        self._has_begun_to_plan = False
        self._doubts_since = float("inf")
        self._ending = Ending(
            settings, claimed.lease, patiently=session.patiently, note_parked=session.note_parked
        )

    def advance(self, patience: float | None) -> BatchSummary | None:
        plan, ended = self._claimed.plan, self._claimed.ended
        # Publish first: otherwise, a new plan could judge the outputs of that run only by their times.
        if ended and self._claimed.is_unpublished:
            self._patiently(partial(self._publish_report, ended[1].report_key))
        if ended and self._session.resume.get("plan") == ended[0]:
            self._lease.release()
            return self._judge(ended[1], lost=0)  # another run has finished the plan
        try:
            if plan and not self._may_continue(plan):
                log.warning(
                    "batch %s has changed; waiting for the jobs of its old plan", plan.header.batch_id
                )
                # A job of the old operation that ends later would replace the output of the new plan.
                try:
                    summary = self._carry_out(plan, patience, submits=False, plans_again=True)
                except MissingRecordError as error:
                    log.warning("%s; the outcomes of its jobs are read from the service", error)
                    self._doubts_since = plan.header.jobs_not_before
                else:
                    if summary is None or self._session.parked:
                        return summary if summary is None else self._judge(summary, lost=0)
                plan, self._may_have_jobs = None, False
                self._become_last()
            if plan is not None and not self._claimed.keeps_place and self._is_published(plan):
                plan = None  # the plan has ended, and only its report was deleted
            if plan is not None and not self._claimed.keeps_place:
                log.warning(
                    "batch %s had lost its claim, and others may have made its outputs; planning again",
                    plan.header.batch_id,
                )
                # A sample that has failed stays failed: planning again must not submit another one.
                if stopped := self._patiently(EarlierPlan(self._settings, plan).canary_report):
                    self._lease.release()
                    return self._judge(stopped, lost=0)
                return self._carry_out(self._planned(old=plan), patience)
            if plan is not None:
                # Batches that wait for this plan find it by the claim of the run that continues it.
                if self._lease.claim.plan != plan.header.token:
                    self._state = self._patiently(partial(self._lease.name_plan, plan.header.token))
                return self._carry_out_or_replan(plan, patience)
            if self._lease.claim.plan:
                # The claim was taken over together with a plan that is not continued.
                self._become_last()
            return self._carry_out(self._planned(old=None), patience)
        except (BatchRunningError, BatchStoppedError):
            raise
        except BaseException:
            self._release_if_unused()
            raise

    def _publish_report(self, report_key: str) -> None:
        """Publish the results of a run that wrote its report and died before it published them."""
        results = partial(read_report, self._client, report_key)
        place = place_of_plan(self._settings, read_plan(self._client, self._settings.folder))
        publish_results(self._lease, results, report_key, place=place, releases=False)
        self._state = self._lease.read_registry()

    # Which plan

    def _may_continue(self, plan: StoredPlan) -> bool:
        # When a deferred task resumes, its templates may render differently, so the plan decides.
        is_resumed = self._session.resume.get("plan") == plan.header.token
        return is_resumed or plan.header.definition == self._settings.definition_name

    def _is_published(self, plan: StoredPlan) -> bool:
        """Whether the index has the outcomes of a plan; False if this run resumes the plan."""
        if self._session.resume.get("plan") == plan.header.token:
            return False
        place = place_of_plan(self._settings, plan)
        index = IndexReader(self._client, self._state, self._lease.registry_root, place)
        return self._patiently(partial(EarlierPlan(self._settings, plan).is_published, index))

    def _become_last(self) -> None:
        """Move the claim behind the claims of other batches, because a new plan will be made."""
        claim = replace(self._lease.claim, plan="", claimed_at=self._client.clock.now())
        self._state = self._patiently(partial(self._lease.move, claim))

    def _carry_out_or_replan(self, plan: StoredPlan, patience: float | None) -> BatchSummary | None:
        try:
            journal, state, is_clean = self._patiently(partial(self._journal, plan))
            if not journal.is_damaged:
                return self._carry_out(plan, patience, plans_again=True, known=(journal, state, is_clean))
            log.warning("records of batch %s were deleted; planning its objects again", plan.header.batch_id)
        except MissingRecordError as error:
            log.warning("%s; planning again", error)
        self._become_last()
        return self._carry_out(self._planned(old=plan), patience)

    def _planned(self, old: StoredPlan | None) -> StoredPlan:
        try:
            return self._patiently(partial(self._frozen_or_made, old))
        except Exception:
            if old is None:
                self._release_if_unused()
            raise

    def _frozen_or_made(self, old: StoredPlan | None) -> StoredPlan:
        """Make the plan, unless an earlier call froze it and only the response was lost."""
        # Other batches may have read that plan already: they would take a second one for another batch's.
        if self._has_begun_to_plan:
            frozen = read_plan(self._client, self._settings.folder)
            is_ours = frozen is not None and frozen.header.claim == self._lease.claim.token
            if frozen and is_ours and (old is None or frozen.header.token != old.header.token):
                return frozen
        self._has_begun_to_plan = True
        return self._make_plan(old)

    def _make_plan(self, old: StoredPlan | None) -> StoredPlan:
        self._write_where(old)
        settings, jobs_before = self._settings, 0
        if old is not None:
            earlier = EarlierPlan(settings, old)
            settings = earlier.settings_of_next()
            jobs_before = earlier.jobs(self._submitter_of(old))
        elif self._claimed.ended:
            jobs_before = jobs_of_failed_run(settings, self._claimed.ended[1])
        maker = PlanMaker(
            settings=settings,
            lease=self._lease,
            state=self._state,
            outputs_client=self._outputs_client,
            make_submitter=self._planning_submitter,
            wait=self._session.wait,
            doubts_since=self._doubts_since,
        )
        return maker.make(old=old, expected_total=self._expected_total(), jobs_before=jobs_before)

    def _expected_total(self) -> int:
        """Number of objects of a deleted plan, if anything still records it; otherwise 0."""
        if self._claimed.ended:
            return 0
        return max(
            int(self._claimed.parked.get("total", 0)),
            int(self._session.resume.get("total", 0)),
        )

    # Carrying a plan out

    def _journal(self, plan: StoredPlan) -> tuple[Journal, BatchState, bool]:
        """The journal, its state, and whether the previous run has proved a clean end."""
        journal = Journal(client=self._client, plan=plan, expires_at=self._lease.writes_until)
        state = journal.read_state()
        parked = self._claimed.parked
        # All four values have to match: a record that is newer than the proof, or missing, means a crash.
        is_clean = all(parked.get(name, "") == value for name, value in journal.proof.items())
        return journal, state, is_clean

    def _carry_out(
        self,
        plan: StoredPlan,
        patience: float | None,
        *,
        submits: bool = True,
        plans_again: bool = False,
        known: tuple[Journal, BatchState, bool] | None = None,
    ) -> BatchSummary | None:
        """Carry out a plan; None if jobs are in flight and the patience is over.

        :param plans_again: whether this run plans again, and so keeps its lease, if a record is missing.
        :raises MissingRecordError: a record was deleted that the rest of the plan needs.
        """
        if known is None:
            # If this run has just made the plan, there is nothing to read.
            is_new = plan.header.claim == self._lease.claim.token
            known = self._new_journal(plan) if is_new else self._patiently(partial(self._journal, plan))
        journal, state, is_clean = known
        self._may_have_jobs = True
        self._write_where(plan)
        loop = self._loop(plan, journal, state, submits=submits)
        try:
            if not is_clean:
                self._patiently(loop.adopt_unrecorded)
            has_ended = loop.to_end(patience=patience)
            if not has_ended:
                self._patiently(partial(self._ending.park, journal, loop.state))
                return None
            if loop.stop_reason:  # a later run reads how far this run got
                self._patiently(partial(journal.write_checkpoint, loop.state))
            self._patiently(journal.flush)
            summary = self._patiently(partial(self._ending.report, journal, loop))
            self._ending.end(journal, loop, summary, releases=submits)
        except BatchRunningError:
            raise  # everything here belongs to the other run now
        except BatchStoppedError:
            # Cancel first: a process that is being killed has five seconds.
            self._ending.cancel_if_told(journal, loop)
            self._ending.leave(journal, loop)
            raise
        except (CIError, OSError) as error:
            if plans_again and isinstance(error, MissingRecordError):
                self._ending.note(journal, loop)
            else:
                self._ending.leave(journal, loop)
            raise
        lost = math.ceil(plan.header.lost_objects / len(plan.header.all_steps))
        return self._judge(summary, lost=lost) if submits else summary

    def _new_journal(self, plan: StoredPlan) -> tuple[Journal, BatchState, bool]:
        journal = Journal(client=self._client, plan=plan, expires_at=self._lease.writes_until)
        return journal, BatchState(), True

    def _loop(self, plan: StoredPlan, journal: Journal, state: BatchState, *, submits: bool) -> Loop:
        submitter = self._submitter_of(plan)
        if submits:
            # The operations of a frozen plan can name other secrets than the arguments of this run.
            submitter.operations.check_secrets()
        following = Following(
            self._client,
            self._outputs_client,
            submitter,
            read_registry=self._lease.read_registry,
            change_registry=self._lease.change_registry,
            registry_root=self._lease.registry_root,
            retry_failed=self._settings.retry_failed,
        )
        return Loop(
            self._settings,
            journal,
            state,
            self._lease,
            self._executor,
            submitter,
            following,
            outputs_client=self._outputs_client,
            is_late=self._session.is_late,
            submits=submits,
        )

    def _write_where(self, plan: StoredPlan | None) -> None:
        """Write to the bucket of a frozen plan, even if the arguments of this run name another one."""
        self._settings = self._given
        if plan is not None and plan.header.output_bucket:
            where = {name: getattr(plan.header, name) for name in ("output_bucket", "output_region")}
            self._settings = replace(self._given, **where)
        self._outputs_client = output_client(self._settings, self._outputs_client)

    def _submitter_of(self, plan: StoredPlan) -> Submitter:
        header = plan.header
        # A plan keeps its queues: jobs that a dead run did not record are looked for only there.
        steps = steps_of_plan(plan, self._settings)
        return self._submitter(header.token, header.jobs_not_before, steps, header.all_queue_ids)

    def _planning_submitter(self, token: str, not_before: float, steps: Sequence[PlanStep]) -> Submitter:
        return self._submitter(token, not_before, steps, self._settings.all_queue_ids)

    def _submitter(
        self, token: str, not_before: float, steps: Sequence[PlanStep], queue_ids: Sequence[str]
    ) -> Submitter:
        operations = Operations(steps, self._secrets)
        return Submitter(
            client=self._client,
            operations=operations,
            queues=Queues(self._client, operations.types, queue_ids),
            token=token,
            expires_at=self._lease.expires_at,
            not_before=not_before,
            options=self._settings.submit_options,
        )

    def _release_if_unused(self) -> None:
        """Remove the claim after an error if no job is in flight yet, so that no other batch waits for it."""
        if self._session.parked or self._may_have_jobs:
            return
        with suppress(CIError, OSError):
            if self._lease.is_held:
                self._lease.release()

    def _judge(self, summary: BatchSummary, *, lost: int) -> BatchSummary:
        limit = FailureLimit.parse(self._settings.max_failures)
        if not summary.is_good_enough(limit):
            raise BatchFailedError(summary, limit)
        if lost:
            raise LedgerLostError(summary, lost)
        return summary

    def _patiently(self, step: Callable[[], T]) -> T:
        return self._session.patiently(step)
