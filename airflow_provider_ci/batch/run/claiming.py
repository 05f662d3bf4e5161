"""Gets the right to run a batch: adds a claim to the registry once no other run of the batch is active."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from airflow_provider_ci.batch.errors import BatchRunningError
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan, read_plan
from airflow_provider_ci.batch.planning.steps import steps_fingerprint
from airflow_provider_ci.batch.registry.claims import CLAIM_MAX_SECONDS, Claim, output_place
from airflow_provider_ci.batch.registry.heartbeat import LivenessWatch, last_beat
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.run.others.neighbours import is_buried, is_of_claim, is_unchanged
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIClient

log = logging.getLogger(__name__)

_CHANGE_SECONDS = 120.0
"""Time limit of one change of the registry; in a bucket with versioning a change takes some 20 seconds."""
_SHORTEST_LEASE_SECONDS = 3.0
"""Minimum lease: the service gives times, and reads the end times of signatures, in whole seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The right to run a batch, and what the previous run left behind."""

    lease: Lease
    state: State
    """The registry with the claim in it."""
    plan: StoredPlan | None
    """The unfinished plan of the batch, if there is one."""
    ended: tuple[str, BatchSummary] | None = None
    """Token and summary of the batch's plan, if that plan has ended."""
    is_unpublished: bool = False
    """Whether the plan has ended, but its run may have died before its results were in the index."""
    keeps_place: bool = False
    """Whether the claim under which the plan was made or continued was still in the registry. Otherwise,
    other batches may have made outputs of the plan in the meantime."""
    parked: Mapping[str, Any] = field(default_factory=dict)
    """Proof that the previous run ended cleanly: what its ledger must hold. Empty if there is no proof."""


class Claiming:
    """Claims the outputs of a batch.

    :param wait: waits for some seconds, and raises if the batch was asked to stop.
    """

    def __init__(self, settings: BatchSettings, registry: Registry, wait: Callable[[float], None]) -> None:
        self._settings = settings
        self._client = settings.client
        self._registry = registry
        self._wait = wait
        self._state = State()

    def claim(self, *, patience: float | None) -> Claimed | None:
        """Claim the outputs, after waiting for another run of the batch if there is one.

        :param patience: seconds to wait for the other run; None waits until it ends.
        :returns: None if the other run is still active after that time.
        :raises BatchRunningError: another run is active, and ``on_running`` is ``fail``.
        """
        watch: tuple[str, LivenessWatch] | None = None
        began = told = time.monotonic()
        self._registry.look_up()  # first, because the service's time is known only after a response
        while True:
            claim = self._new_claim()
            lease = self._changed(claim, partial(_added, claim=claim, now=self._client.clock.now))
            state = self._state
            other = next((each for each in state.of_folder(claim.folder) if each.token != claim.token), None)
            if lease is not None and other is None:
                return self._claimed(lease, state)
            # The other run has ended in between, so the next try can succeed.
            if other is None:
                continue
            # Another token means another run, which needs a new watch.
            if watch is None or watch[0] != other.token:
                watch = other.token, LivenessWatch(self._client, other)
            liveness = "dead" if is_buried(other) else watch[1].look(other)
            if liveness != "alive":
                if claimed := self._take_over(other, is_parked=liveness == "parked"):
                    return claimed
                continue
            waited = time.monotonic() - began
            # A watch that has begun is completed, because the next call would have to begin it again.
            if not watch[1].is_undecided:
                if self._settings.on_running == "fail":
                    raise BatchRunningError(other.folder, other.holder)
                if patience is not None and waited >= patience:
                    return None
            if time.monotonic() - told >= 30 or told == began:
                told = time.monotonic()
                log.info("waiting for another run of this batch, %s (%.0f s so far)", other.holder, waited)
            # Wait briefly at first, because the other run may end soon, and longer later, to save requests.
            self._wait(min(5.0, 0.2 + waited / 10))
            self._registry.read()

    def _new_claim(self) -> Claim:
        settings, prefixes = self._settings, self._output_prefixes()
        return Claim(
            token=uuid.uuid4().hex[:16],
            folder=settings.folder,
            batch_id=settings.batch_id,
            prefix=os.path.commonprefix(prefixes),  # noqa: RUF071 keys have no path components
            prefixes=prefixes if len(prefixes) > 1 else (),
            operation=steps_fingerprint(settings.plan_steps),
            definition=settings.definition_name,
            claimed_at=self._client.clock.now(),
            seconds=max(settings.lease_seconds, _SHORTEST_LEASE_SECONDS),
            holder=f"process {os.getpid()} on {socket.gethostname()}",
        )

    def _output_prefixes(self) -> tuple[str, ...]:
        """What the outputs of each step begin with; a prefix that another prefix covers is left out."""
        begins = sorted({step.template.literal_prefix for step in self._settings.plan_steps})
        wide = [
            each for each in begins if not any(each != other and each.startswith(other) for other in begins)
        ]
        place = output_place(self._settings.output_bucket, self._client.bucket)
        return tuple(place + prefix for prefix in wide)

    def _take_over(self, other: Claim, *, is_parked: bool) -> Claimed | None:
        """Take the place of a run that is parked or dead; None if another run was quicker.

        If the plan is continued, the claim keeps its place among the claims of other batches. Otherwise it
        goes behind those claims, because the plans of other batches do not include the plan to be made.
        """
        plan, ended = self._plan()
        beat = last_beat(self._client, other) if is_parked else None
        keeps_place = plan is not None and is_of_claim(plan, other)
        claim = self._new_claim()
        if plan is not None:  # the plan's outputs count, even if the template renders differently
            claim = replace(claim, prefix=other.prefix, prefixes=other.prefixes, operation=other.operation)
            claim = replace(claim, plan=plan.header.token if keeps_place else "")

        def taken(state: State) -> State:
            # Either this change was already made and its response was lost, or the other run is alive.
            if state.claim(claim.token) or not is_unchanged(state, other):
                return state
            if claim.plan:
                return state.replaced(other.token, claim)
            return state.without(other.token).with_claim(claim)

        lease = self._changed(claim, taken)
        if lease is None:
            return None
        if not is_parked:
            log.warning("the run of %s ended without a word; its work is taken over", other.holder)
        parked = dict(beat.details) if beat else {}
        return Claimed(
            lease=lease,
            state=self._state,
            plan=plan,
            ended=ended,
            is_unpublished=ended is not None and self._is_unpublished(other),
            keeps_place=keeps_place,
            parked=parked,
        )

    def _is_unpublished(self, other: Claim) -> bool:
        """Whether this claim belongs to the plan that has ended, and no other run has taken its place."""
        plan = read_plan(self._client, self._settings.folder)
        return plan is not None and not is_buried(other) and is_of_claim(plan, other)

    def _claimed(self, lease: Lease, state: State) -> Claimed:
        try:
            plan, ended = self._plan()
        except BaseException:
            lease.stop()
            raise
        return Claimed(lease=lease, state=state, plan=plan, ended=ended)

    def _changed(self, claim: Claim, change: Callable[[State], State]) -> Lease | None:
        """Change the registry, and return the lease of the claim if the change has added the claim.

        The registry after the change is kept in ``_state``.
        """
        lease = Lease(self._client, self._registry, claim)
        # Started first: the change can take longer than the lease, and the claim must not look dead.
        lease.start()
        try:
            self._state = self._registry.change(change, timeout_seconds=_CHANGE_SECONDS)
            if claimed := self._state.claim(claim.token):
                lease.confirm(claimed)
                return lease
        except BaseException:
            lease.abandon()
            raise
        lease.abandon()
        return None

    def _plan(self) -> tuple[StoredPlan | None, tuple[str, BatchSummary] | None]:
        """The unfinished plan, or else the token and summary of the finished plan."""
        folder = self._settings.folder
        plan = read_plan(self._client, folder)
        if plan is None:
            return None, None
        report = read_report_header(self._client, folder)
        # A plan has ended once the header of its report says so. A report of another plan is an older one.
        if report is not None and report.plan == plan.header.token and report.is_complete:
            return None, (report.plan, report.summary)
        return plan, None


def _added(state: State, claim: Claim, now: Callable[[], float]) -> State:
    """The registry with the claim added, unless it already has a claim of the same batch.

    The time is read here, because the service's clock is known only once the registry has been read.
    """
    if state.of_folder(claim.folder):
        return state
    claim = replace(claim, claimed_at=now())
    return state.forgetting(claim.claimed_at - CLAIM_MAX_SECONDS).with_claim(claim)


def output_client(settings: BatchSettings, *known: CIClient) -> CIClient:
    """A client of the bucket in which the outputs lie; one of ``known`` is used again if it fits."""
    client = settings.client
    bucket = settings.output_bucket or client.bucket
    region = settings.output_region or client.region
    for each in (client, *known):
        if (bucket, region) == (each.bucket, each.region):
            return each
    return client.for_bucket(bucket, region)
