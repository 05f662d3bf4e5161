"""The lease: the right of one run to act for its batch, for as long as it is renewed.

A run has the lease when its claim is in the registry. It renews the lease with a heartbeat object. Each
heartbeat moves the fence to two thirds of the lease after the ``Date`` of the service's response. The run may
act until the fence: everything it sends is signed to expire at the fence, and it sends nothing after it.
Other runs wait for the whole lease, from the last heartbeat on, before they take the batch over. The
remaining third covers requests that are still on their way.

All times are by the service's clock, so neither a wrong clock nor a suspended machine moves the fence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, TypeVar

from airflow_provider_ci.batch.errors import BatchRunningError
from airflow_provider_ci.batch.ledger.records import LeaseExpiredError
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.heartbeat import Heartbeat
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.client import CIClient, CIError, RequestExpiredError

log = logging.getLogger(__name__)

T = TypeVar("T")

_RENEWALS = 4
"""Number of renewals in the time that a lease lasts."""
_CHECKS = 4
"""Number of renewals after which the registry is read, because its objects may have been deleted."""
_ACTIVE_SHARE = 2 / 3
PARKED_SECONDS = 900.0
"""How long the claim of a batch that waits for its jobs in a triggerer stays valid without a heartbeat."""


class Lease:
    """The lease of one run, renewed by a thread. A context manager.

    The heartbeat begins before the claim is in the registry, because a claim can take longer than the lease
    lasts: a bucket with versioning needs some 20 seconds for each change of the registry.

    :param claim: the run's claim, which is about to be added to the registry.
    """

    def __init__(self, client: CIClient, registry: Registry, claim: Claim) -> None:
        self._client = client
        self._registry = registry
        self._claim = claim
        self._heartbeat = Heartbeat(client, claim.folder, claim.token)
        self._active_until = claim.claimed_at + claim.seconds * _ACTIVE_SHARE
        self._has_beaten = False
        self._is_claimed = False
        self._lost: BatchRunningError | None = None
        self._problem: CIError | None = None
        self._is_over = Event()
        self._thread: Thread | None = None
        self._registry_lock = Lock()  # the registry serves one thread at a time

    @property
    def claim(self) -> Claim:
        """The run's claim."""
        return self._claim

    @property
    def is_held(self) -> bool:
        """Whether the run may act now."""
        return self._lost is None and self._client.clock.now() < self._active_until

    def expires_at(self) -> float:
        """Service time, in Unix seconds, until which the run may act; 0 once another run has taken over."""
        return 0.0 if self._lost else self._active_until

    def writes_until(self) -> float:
        """Service time, in Unix seconds, until which the run may write to the ledger.

        :raises BatchRunningError: another run has taken over.
        """
        if self._lost is not None:
            raise self._lost
        return self._active_until

    def check(self) -> None:
        """Check that the run may act.

        :raises BatchRunningError: another run has taken over.
        :raises CIError: the lease could not be renewed in time; a later renewal works once the bucket accepts
            writes again.
        """
        if self._lost is not None:
            raise self._lost
        if not self.is_held:
            folder = self._claim.folder
            raise self._problem or LeaseExpiredError(f"the lease of {folder!r} was not renewed in time")

    def start(self) -> None:
        """Begin the heartbeat."""
        self._is_over.clear()
        # A daemon thread: a process that crashes must not be kept alive by its lease.
        self._thread = Thread(target=self._keep, name="ci-lease", daemon=True)
        self._thread.start()

    def confirm(self, claim: Claim) -> None:
        """Begin to act, because the claim is now in the registry.

        :raises BatchRunningError: another run has taken over since.
        """
        if not self._has_beaten:  # the claim is dated by the service's clock, which may be known only now
            self._active_until = claim.claimed_at + claim.seconds * _ACTIVE_SHARE
        self._claim, self._is_claimed = claim, True
        if not self.is_held:
            self._regain()

    def abandon(self) -> None:
        """End the heartbeat of a claim that was not added to the registry."""
        self.stop()
        if self._has_beaten:
            # A heartbeat without a claim does no harm, and the error that led here matters more.
            with suppress(CIError):
                self._heartbeat.end()

    def change_registry(self, change: Callable[[State], State], *, timeout_seconds: float = 120) -> State:
        """Change the registry; this is safe while the other thread renews the lease."""
        with self._registry_lock:
            return self._registry.change(change, timeout_seconds=timeout_seconds)

    def read_registry(self) -> State:
        """Read the registry; this is safe while the other thread renews the lease."""
        with self._registry_lock:
            return self._registry.read()

    def park(self, details: Mapping[str, Any]) -> None:
        """Leave the claim in place for the next run, which may begin at once.

        :param details: proves a clean end, and says what the next run must find in the ledger.
        :raises CIError: the heartbeat could not be written; the next run then treats this end as a crash.
        """
        with self._without_renewing():
            try:
                self._heartbeat.beat(
                    seconds=PARKED_SECONDS, is_parked=True, details=details, expires_at=self._active_until
                )
            except RequestExpiredError as error:
                raise LeaseExpiredError(str(error)) from error

    @property
    def registry_root(self) -> str:
        """Folder of the registry in the bucket."""
        return self._registry.root

    @property
    def service_time(self) -> float:
        """Unix seconds by the service's clock."""
        return self._client.clock.now()

    def with_registry(self, use: Callable[[Registry], T]) -> T:
        """Use the registry; this is safe while the other thread renews the lease."""
        with self._registry_lock:
            return use(self._registry)

    def publish(self, add: Callable[[Registry, Callable[[State], State]], State], *, releases: bool) -> State:
        """Change the registry, and remove the claim in the same change.

        :param add: changes the registry, and includes the change that it gets as its second argument.
        :param releases: whether the claim is removed.
        :raises CIError: the registry could not be changed; the claim then ends by itself.
        """
        if not releases:
            return self.with_registry(lambda registry: add(registry, lambda state: state))
        # A heartbeat that is written after the deletion below would never be deleted.
        with self._without_renewing():
            state = self.with_registry(lambda registry: add(registry, self._without_claim))
        if self._has_beaten:
            self._heartbeat.end()
        return state

    @contextmanager
    def _without_renewing(self) -> Iterator[None]:
        """Stop renewing; start again if the block raises CIError, because the run then keeps its lease."""
        self.stop()
        try:
            yield
        except CIError:
            self.start()
            raise

    def _without_claim(self, state: State) -> State:
        # While the lease is held, no other run takes over. If the claim is gone nevertheless, objects of the
        # registry were deleted.
        if state.claim(self._claim.token) is None and not self.is_held:
            raise BatchRunningError(self._claim.folder, "a run that took over")
        return state.without(self._claim.token)

    def release(self) -> None:
        """Remove the claim.

        :raises CIError: the registry could not be changed; the claim then ends by itself.
        """
        self.publish(lambda registry, also: registry.change(also), releases=True)

    def move(self, claim: Claim) -> State:
        """Replace the run's claim by another one, which comes after the claims of all other batches.

        :param claim: the new claim, which has the token of the run's claim.
        :raises BatchRunningError: another run has taken over.
        """

        def moved(state: State) -> State:
            _require_no_other(state, claim)
            # The change was made already, but its response was lost.
            if state.claims and state.claims[-1] == claim:
                return state
            return state.without(claim.token).with_claim(claim)

        self._claim = claim
        return self.change_registry(moved)

    def name_plan(self, plan: str) -> State:
        """Tell other batches which plan this run continues.

        :raises BatchRunningError: another run has taken over.
        """
        claim = self._claim = replace(self._claim, plan=plan)
        return self.change_registry(lambda state: _kept(state, claim))

    def stop(self) -> None:
        """Stop renewing."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _keep(self) -> None:
        renewals = 0
        while not self._is_over.wait(self._claim.seconds / _RENEWALS) and self._lost is None:
            renewals += 1
            try:
                self._renew()
                if self._is_claimed and renewals % _CHECKS == 0:
                    self._require_claim()
                self._problem = None
            except BatchRunningError as error:
                self._lost = error
            except CIError as error:
                self._problem = error
                log.warning("the lease of %s could not be renewed: %s", self._claim.folder, error)
            # Anything else must not end this thread silently, because the run relies on it.
            except Exception as error:
                self._problem = CIError(f"the lease could not be renewed: {error!r}")
                log.exception("the lease of %s could not be renewed", self._claim.folder)

    def _renew(self) -> None:
        if self._client.clock.now() < self._active_until:
            try:
                answered_at = self._heartbeat.beat(
                    seconds=self._claim.seconds, is_parked=False, details={}, expires_at=self._active_until
                )
                self._has_beaten = True
                # This is the service's time of the response, so the duration of the request does not matter.
                self._active_until = answered_at + self._claim.seconds * _ACTIVE_SHARE
                return
            except RequestExpiredError:
                pass  # this machine was suspended, or its clock had stopped
        if self._is_claimed:
            self._regain()

    def _regain(self) -> None:
        """Get the lease back after it has expired, unless another run has taken over.

        A heartbeat is not enough: another run may be taking over at this moment. Only the registry decides.
        If it no longer has the claim, another run took over and may even have ended since.
        """
        # The clock is read before the change, so that this run assumes no more time than other runs allow it.
        claim = replace(self._claim, claimed_at=self._client.clock.now())

        def regained(state: State) -> State:
            if state.claim(claim.token) is None:
                raise BatchRunningError(claim.folder, "a run that took over")
            return _kept(state, claim)

        self.change_registry(regained)
        self._claim = claim
        self._active_until = claim.claimed_at + claim.seconds * _ACTIVE_SHARE
        log.warning("the lease of %s had expired; this run has it again", claim.folder)

    def _require_claim(self) -> None:
        """Add the claim again if the registry lost it, because its objects were deleted.

        This is done only while the lease is held, because no other run can take over until it expires.

        :raises BatchRunningError: another run has taken over.
        """
        state = self.read_registry()
        if any(each.token == self._claim.token for each in state.claims):
            return
        _require_no_other(state, self._claim)
        if not self.is_held:
            return
        log.warning("the registry no longer has the claim of %s; it is added again", self._claim.folder)
        claim = self._claim
        self.change_registry(lambda state: _kept(state, claim))


def _kept(state: State, claim: Claim) -> State:
    """The state with this claim in its place; it is added if the objects of the registry were deleted."""
    _require_no_other(state, claim)
    return state.replaced(claim.token, claim)


def _require_no_other(state: State, claim: Claim) -> None:
    for other in state.of_folder(claim.folder):
        if other.token != claim.token:
            raise BatchRunningError(claim.folder, f"{other.holder}, which took over")
