"""Other batches that make some of our outputs.

If two batches share outputs, the batch with the later claim waits for the results of these outputs. It
reads the results from the ledger of the other batch, and follows the jobs that the other batch recorded for
them.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError, RecordError
from airflow_provider_ci.batch.ledger.state import RunningJob
from airflow_provider_ci.batch.planning.planned import PlannedObject
from airflow_provider_ci.batch.planning.planner import ClaimedOutput
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.heartbeat import LivenessWatch
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.batch.reports.reading import read_report, read_report_header
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, lines_of
from airflow_provider_ci.client import CIClient, NotFoundError

log = logging.getLogger(__name__)

ChangeRegistry = Callable[[Callable[[State], State]], State]

_UNKNOWN, _MADE, _FAILED, _OPEN = range(4)
_MAX_FAILURES = 10_000
"""Maximum number of failed results of a neighbour that are kept with their reason."""


def claimed_outputs(plan: StoredPlan, first: str, last: str) -> Iterator[ClaimedOutput]:
    """The outputs between two keys that a plan makes; a deleted part of the plan is skipped."""
    operations = plan.header.step_fingerprints
    try:
        for planned in plan.claimed(first, last):
            yield ClaimedOutput(
                output=planned.output,
                fingerprint=planned.fingerprint,
                index=planned.index,
                operation=planned.operation or operations.get(planned.step, ""),
            )
    except MissingRecordError as error:
        log.warning("%s; its outputs are not known to this batch", error)


def wait_until_planned(
    client: CIClient,
    claim: Claim,
    *,
    read_registry: Callable[[], State],
    change_registry: ChangeRegistry,
    wait: Callable[[float], None],
) -> StoredPlan | None:
    """Wait for the frozen plan of an earlier claim. If the run of the claim dies first, the claim is buried.

    :param wait: waits for some seconds, and raises if the batch has to stop.
    :returns: None if the other run ended, or died, before it froze a plan.
    """
    watch = LivenessWatch(client, claim)
    began = told = time.monotonic()
    while True:
        plan = _plan_of(client, claim)
        if plan is not None:
            return plan
        current = read_registry().claim(claim.token)
        if current is None:
            return _plan_of(client, claim)  # the plan may have been frozen and carried out in between
        if watch.look(current) == "dead" and is_buried_by(change_registry, current):
            return _plan_of(client, claim)
        waited = time.monotonic() - began
        if time.monotonic() - told > 30:
            told = time.monotonic()
            log.info("waiting for the plan of batch %s (%.0f s so far)", claim.batch_id, waited)
        wait(min(5.0, 0.2 + waited / 10))


def _plan_of(client: CIClient, claim: Claim) -> StoredPlan | None:
    try:
        plan = read_plan(client, claim.folder)
    except RecordError as error:
        log.warning("the plan of batch %s cannot be read: %s", claim.batch_id, error)
        return None
    if plan is None:
        return None
    return plan if is_of_claim(plan, claim) else None


def is_of_claim(plan: StoredPlan, claim: Claim) -> bool:
    """Whether a plan was made under a claim, or a run under it continued the plan."""
    return plan.header.claim == claim.token or plan.header.token == claim.plan


def is_unchanged(state: State, claim: Claim) -> bool:
    """Whether a claim is in the registry and was not renewed since it was read."""
    current = state.claim(claim.token)
    return current is not None and current.claimed_at == claim.claimed_at


def batch_details(plan: StoredPlan) -> dict[str, str]:
    """The details of a planned object that identify the neighbour."""
    header = plan.header
    names = {"batch": header.batch_id, "folder": plan.folder, "plan": header.token, "claim": header.claim}
    # The plan itself can be gone: the next plan of its batch takes its place.
    return {**names, "started_at": f"{header.started_at:.3f}"}


def is_buried_by(change_registry: ChangeRegistry, claim: Claim) -> bool:
    """Replace the claim of a dead run by one without a run; False if a run of its batch is active again.

    A batch does this before it makes the outputs of a dead batch. If the run was only suspended, it stops
    when it resumes. The next run of the dead batch plans its objects again, after the claims of others.
    """
    buried = replace(
        claim, token=uuid.uuid4().hex[:16], plan="", seconds=0.0, holder="no run, since its lease expired"
    )
    state = change_registry(
        lambda state: state.replaced(claim.token, buried) if is_unchanged(state, claim) else state
    )
    if any(not is_buried(each) for each in state.of_folder(claim.folder)):
        return False  # it was renewed, or a new run took over
    log.warning("batch %s ended without a word; this batch makes the missing outputs", claim.batch_id)
    return True


def is_buried(claim: Claim) -> bool:
    """Whether a claim has no run, and only keeps the place of a dead run's claim."""
    return claim.seconds == 0


@dataclass(slots=True)
class Neighbour:
    """Another batch whose results this batch waits for."""

    client: CIClient
    details: Mapping[str, Any]
    """From :func:`batch_details`."""
    running: dict[int, RunningJob] = field(default_factory=dict)
    """Jobs of followed outputs, by their place in the other plan."""
    is_over: bool = False
    """Whether the other batch has ended or died, so that its ledger does not change any more."""
    _plan: StoredPlan | None = None
    _outcomes: bytearray = field(default_factory=bytearray)
    _failures: dict[int, ObjectResult] = field(default_factory=dict)
    _known_parts: int = 0
    _watch: LivenessWatch | None = None
    _watched: str = ""

    @property
    def started_at(self) -> float:
        """Service time, in Unix seconds, at which the planning of the other batch began; 0 if unknown."""
        known = self._plan.header.started_at if self._plan else 0.0
        return float(self.details.get("started_at", known))

    def refresh(self, state: State, wanted: Iterable[int], change_registry: ChangeRegistry) -> None:
        """Read the new records in the ledger of the other batch.

        :param state: the registry as it is now.
        :param wanted: places, in the other plan, of the outputs that this batch follows.
        """
        # Check first whether the other batch is active: if it is not, the ledger that is read next is final.
        is_over = not self._is_active(state, change_registry)
        if self._plan is None:
            self._plan = self._find_plan()
        if self._plan is not None:
            self._read(self._plan, set(wanted))
            if is_over and not self._known_parts:
                self._read_report(self._plan)
        self.is_over = is_over

    def result(self, index: int) -> ObjectResult | ObjectState | None:
        """The outcome of an output: its failure, SUCCEEDED, UNFINISHED if not made, or None if unknown."""
        outcome = self._outcomes[index] if index < len(self._outcomes) else _UNKNOWN
        if outcome == _MADE:
            return ObjectState.SUCCEEDED
        if outcome == _FAILED:
            return self._failures.get(index, ObjectState.UNFINISHED)
        return ObjectState.UNFINISHED if outcome == _OPEN else None

    @property
    def is_undecided(self) -> bool:
        """Whether a longer watch is needed to know if the other batch is dead."""
        return self._watch is not None and self._watch.is_undecided

    def _is_active(self, state: State, change_registry: ChangeRegistry) -> bool:
        claim = next((each for each in state.claims if self._is_its_claim(each)), None)
        if claim is None:
            return False
        if self._watch is None or self._watched != claim.token:
            self._watch, self._watched = LivenessWatch(self.client, claim), claim.token
        return self._watch.look(claim) != "dead" or not is_buried_by(change_registry, claim)

    def _is_its_claim(self, claim: Claim) -> bool:
        if claim.folder != self.details["folder"]:
            return False
        # The claim of the run that made the plan, or of a later run that continues the plan.
        return bool(claim.token == self.details["claim"] or claim.plan == self.details["plan"])

    def _find_plan(self) -> StoredPlan | None:
        try:
            plan = read_plan(self.client, self.details["folder"])
        except RecordError:
            return None
        if plan is None or plan.header.token != self.details["plan"]:
            return None
        # One byte for each line of the other plan, which may have a million.
        self._outcomes = bytearray(plan.header.total)
        return plan

    def _read(self, plan: StoredPlan, wanted: set[int]) -> None:
        journal = Journal(client=self.client, plan=plan)
        running = journal.read_state().running.values()
        self.running = {
            found.attempt.planned.index: found for found in running if found.attempt.planned.index in wanted
        }
        for result in journal.results_after(self._known_parts):
            self._note(result)
        self._known_parts = journal.parts

    def _read_report(self, plan: StoredPlan) -> None:
        """Read the results of a short batch, which may be only in its report.

        The index of outputs does not replace the report. It shows which outputs were made, but not which
        outputs the other batch left out because a third batch had made them.
        """
        try:
            header = read_report_header(self.client, plan.folder)
            if header is not None and header.plan == plan.header.token:
                for result in lines_of(read_report(self.client, report_key(plan.folder))):
                    self._note(result)
        except (NotFoundError, ValueError) as error:  # deleted meanwhile, or damaged: the outputs decide
            log.warning("the report of batch %s cannot be read: %s", plan.header.batch_id, error)

    def _note(self, result: ObjectResult) -> None:
        if result.index >= len(self._outcomes):
            return
        if result.is_good:
            self._outcomes[result.index] = _MADE
        elif result.state is ObjectState.FAILED and not result.is_retryable:
            self._outcomes[result.index] = _FAILED
            # Without the reason, this batch cannot report the failure, so it submits the object itself.
            if len(self._failures) < _MAX_FAILURES:
                self._failures[result.index] = result
        else:
            self._outcomes[result.index] = _OPEN


def neighbour_of(planned: PlannedObject) -> str:
    """The token of the plan that makes a shared object, by which the neighbour is identified."""
    return str(planned.details["plan"])
