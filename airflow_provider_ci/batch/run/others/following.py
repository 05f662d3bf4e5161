"""Follows the outputs that other batches make, and finds the outputs that this batch must make after all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_ci.batch.dispatch.submit import Submitter, keys_of_job
from airflow_provider_ci.batch.ledger.state import Attempt, RunningJob
from airflow_provider_ci.batch.planning.outputs.existing import ExistingOutputs
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.registry.claims import output_place
from airflow_provider_ci.batch.registry.outputs_index import IndexReader
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.batch.results import ObjectResult, ObjectState, result_without_job
from airflow_provider_ci.batch.run.others.neighbours import ChangeRegistry, Neighbour, neighbour_of
from airflow_provider_ci.client import CIClient, Job
from airflow_provider_ci.jobs.service_time import CLOCK_ERROR_SECONDS

log = logging.getLogger(__name__)

_SHORTEST_SECONDS = 1.0
_LONGEST_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Resolved:
    """A followed object whose outcome is known now."""

    planned: PlannedObject
    result: ObjectResult | None = None
    """Result of the object, if another batch has one."""
    job: RunningJob | None = None
    """Job in flight that makes the output. If there is neither a result nor a job, the object has to be
    submitted."""


class Following:
    """Checks, from time to time, the batches whose results this batch waits for.

    :param outputs_client: client of the bucket in which the outputs lie.
    """

    def __init__(
        self,
        client: CIClient,
        outputs_client: CIClient,
        submitter: Submitter,
        *,
        read_registry: Callable[[], State],
        change_registry: ChangeRegistry,
        registry_root: str,
        retry_failed: bool,
    ) -> None:
        self._client = client
        self._outputs_client = outputs_client
        self._submitter = submitter
        self._read_registry = read_registry
        self._change_registry = change_registry
        self._registry_root = registry_root
        self._retry_failed = retry_failed
        self._neighbours: dict[str, Neighbour] = {}
        self._began = time.monotonic()
        self._looked_at = float("-inf")

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next check."""
        now = time.monotonic()
        # A tenth of the time waited so far, so that few requests are sent if the other batch works for hours.
        interval = min(max(_SHORTEST_SECONDS, (now - self._began) / 10), _LONGEST_SECONDS)
        return now - self._looked_at >= interval

    @property
    def is_undecided(self) -> bool:
        """Whether a longer watch is needed to know if one of the other batches is dead."""
        return any(neighbour.is_undecided for neighbour in self._neighbours.values())

    def resolve(self, followed: Mapping[int, PlannedObject]) -> list[Resolved]:
        """The followed objects whose outcome has become known.

        :raises CIError: a request failed.
        """
        self._looked_at = time.monotonic()
        if not followed:
            return []
        state = self._read_registry()
        by_neighbour: dict[str, list[PlannedObject]] = {}
        for planned in followed.values():
            by_neighbour.setdefault(neighbour_of(planned), []).append(planned)
        resolved: list[Resolved] = []
        orphans: list[tuple[PlannedObject, Neighbour]] = []
        for plan, objects in by_neighbour.items():
            neighbour = self._neighbour(plan, objects[0])
            wanted = [_their_index(planned) for planned in objects]
            neighbour.refresh(state, wanted, self._change_registry)
            for planned in objects:
                found = self._outcome(planned, neighbour)
                if found is not None:
                    resolved.append(found)
                elif neighbour.is_over:
                    orphans.append((planned, neighbour))
                elif (job := neighbour.running.get(_their_index(planned))) and _is_same_content(planned):
                    attempt = Attempt(planned=planned)
                    running = RunningJob(attempt, job.job_id, job.created_at, job.queue_id)
                    resolved.append(Resolved(planned, job=running))
        return resolved + self._adopt(orphans)

    def _neighbour(self, plan: str, planned: PlannedObject) -> Neighbour:
        if plan not in self._neighbours:
            self._neighbours[plan] = Neighbour(client=self._client, details=planned.details)
        return self._neighbours[plan]

    def _outcome(self, planned: PlannedObject, neighbour: Neighbour) -> Resolved | None:
        outcome = neighbour.result(_their_index(planned))
        if outcome is None or outcome is ObjectState.UNFINISHED:
            return None  # cancelled, or a retryable failure: the other batch may still retry it
        if not _is_same_content(planned):
            return _to_submit(planned)  # the other batch made it from older content
        if isinstance(outcome, ObjectResult):
            if self._retry_failed:
                return _to_submit(planned)
            return Resolved(
                planned, _failed_there(planned, {"code": outcome.code, "message": outcome.message})
            )
        return Resolved(planned, _made_there(planned))

    def _adopt(self, orphans: Iterable[tuple[PlannedObject, Neighbour]]) -> list[Resolved]:
        """Resolve the objects of batches that ended or died without a result for these objects.

        The jobs in flight are checked first, then the outputs. If a job ends between the two checks, the
        second check finds its output.
        """
        remaining = list(orphans)
        if not remaining:
            return []
        resolved: list[Resolved] = []
        remaining = self._by_index(remaining, resolved)
        jobs = self._jobs_of([planned for planned, _ in remaining])
        existing = ExistingOutputs(self._outputs_client, "", threads=16)
        missing = [planned.output for planned, _ in remaining if _keys(planned) not in jobs]
        written = existing.head(missing)
        for planned, neighbour in remaining:
            job = jobs.get(_keys(planned))
            made_at = written.get(planned.output)
            # The start comes from an estimate of the service's clock, which gives outputs their times.
            newest_before = max(int(neighbour.started_at) - CLOCK_ERROR_SECONDS, planned.modified)
            # The line is adopted and no longer shared: no other batch is left to retry a failed job.
            ours = replace(planned, decision=Decision.ADOPTED)
            if job is not None and job.created_at and job.created_at.timestamp() >= planned.modified:
                running = RunningJob(Attempt(planned=ours), job.job_id, job.created_at, job.queue_id)
                resolved.append(Resolved(ours, job=running))
            elif made_at is not None and made_at.timestamp() >= newest_before and _is_same_content(planned):
                resolved.append(Resolved(planned, _made_there(planned)))
            else:
                resolved.append(_to_submit(planned))
        return resolved

    def _jobs_of(self, objects: Iterable[PlannedObject]) -> dict[tuple[str, str], Job]:
        """The jobs in flight that make outputs of these lines, by input and output key."""
        wanted = {_keys(planned): planned for planned in objects}
        found: dict[tuple[str, str], Job] = {}
        for job in self._submitter.jobs_in_flight():
            planned = wanted.get(keys_of_job(job))
            if planned is not None and self._submitter.matches(job, planned):
                found[keys_of_job(job)] = job
        return found

    def _by_index(
        self, orphans: list[tuple[PlannedObject, Neighbour]], resolved: list[Resolved]
    ) -> list[tuple[PlannedObject, Neighbour]]:
        """Resolve the objects whose outcome is in the index of outputs, and return the others."""
        outputs = sorted(planned.output for planned, _ in orphans)
        place = output_place(self._outputs_client.bucket, self._client.bucket)
        index = IndexReader(self._client, self._read_registry(), self._registry_root, place)
        entries = index.find(outputs)
        unknown = []
        for planned, neighbour in orphans:
            entry = entries.get(planned.output)
            # An older output was to be made again: it was missing, or skip="never" asked for it.
            is_older = entry is not None and entry.made and entry.recorded_at <= neighbour.started_at
            if entry is None or entry.fingerprint != planned.fingerprint or is_older:
                unknown.append((planned, neighbour))
            elif entry.made:
                resolved.append(Resolved(planned, _made_there(planned)))
            elif self._retry_failed:
                resolved.append(_to_submit(planned))
            else:
                resolved.append(Resolved(planned, _failed_there(planned, entry.details or {})))
        return unknown


def _keys(planned: PlannedObject) -> tuple[str, str]:
    return planned.read_key, planned.output_key


def _their_index(planned: PlannedObject) -> int:
    return int(planned.details["their_index"])


def _is_same_content(planned: PlannedObject) -> bool:
    return bool(planned.details.get("is_same_content", True))


def _to_submit(planned: PlannedObject) -> Resolved:
    return Resolved(replace(planned, decision=Decision.SUBMIT, details={}))


def _made_there(planned: PlannedObject) -> ObjectResult:
    batch = str(planned.details["batch"])
    result = result_without_job(planned, ObjectState.SKIPPED, message=f"made by batch {batch}")
    return replace(result, made_by=batch)


def _failed_there(planned: PlannedObject, failure: Mapping[str, Any]) -> ObjectResult:
    message = f"failed in batch {planned.details['batch']}: {failure.get('message', '')}"
    result = result_without_job(planned, ObjectState.FAILED, message=message)
    return replace(result, code=str(failure.get("code", "")), failed_before=True)
