"""Makes a plan and keeps nothing of it but numbers: no claim, no record, no job."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from airflow_provider_ci.batch.dispatch.operations import Operations
from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.plan_store import PlanHeader, StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.planning.steps import PlanStep
from airflow_provider_ci.batch.preview import BatchPreview, estimated
from airflow_provider_ci.batch.prices import PriceTable
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.run.claiming import output_client
from airflow_provider_ci.batch.run.planning import PlanMaker
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIServiceError
from airflow_provider_ci.jobs.kinds import DOCUMENTS, type_of_operation

_COUNTED = {
    Decision.UP_TO_DATE: "up_to_date",
    Decision.UP_TO_DATE_BY_TIME: "up_to_date",
    Decision.FAILED_BEFORE: "failed_before",
    Decision.UNUSABLE: "unusable",
    Decision.SHARED: "in_flight",
    Decision.ADOPTED: "in_flight",
    Decision.SUBMIT: "jobs",
}


class _Tally:
    """Counts the objects of a plan."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.bytes = 0

    def add(self, objects: Iterable[PlannedObject]) -> None:
        for planned in objects:
            self.counts["objects"] += 1
            self.counts[_COUNTED[planned.decision]] += 1
            if planned.decision is Decision.SUBMIT:
                self.bytes += planned.size

    def freeze(
        self,
        writer: Any,
        folder: str,
        token: str,
        objects: Iterable[PlannedObject],
        header: Callable[[int, tuple[tuple[str, str], ...]], PlanHeader],
        *,
        check: Callable[[], None],
    ) -> StoredPlan:
        """In the place of the function that writes the plan."""
        self.add(objects)
        return StoredPlan(client=writer.client, folder=folder, header=header(self.counts["objects"], ()))


def preview(settings: BatchSettings, prices: PriceTable) -> BatchPreview:
    """What the batch would do now.

    :raises OutputTemplateError: the template cannot name the outputs.
    :raises OutputConflictError: a job in flight makes one of the outputs by another operation.
    :raises CIError: a request failed.
    """
    tally = _Tally()
    unfinished = _unfinished(settings)
    left_out: dict[str, int] = {}
    finished = 0
    if unfinished is None:
        left_out = _plan(settings, tally)
    else:
        finished = _remaining(unfinished, tally)
    counts = dict.fromkeys(("objects", *_COUNTED.values()), 0) | tally.counts
    counts["objects"] = math.ceil(counts["objects"] / len(settings.steps))
    finished = math.ceil(finished / len(settings.steps))
    is_documents = all(type_of_operation(step.operation) is DOCUMENTS for step in settings.steps.values())
    return estimated(
        {
            "batch_id": settings.batch_id,
            **counts,
            "finished": finished,
            "left_out": left_out,
            "bytes": tally.bytes,
            "continues": unfinished is not None,
            "max_jobs": settings.max_jobs,
        },
        prices,
        concurrency=_concurrency(settings),
        is_documents=is_documents,
    )


def _plan(settings: BatchSettings, tally: _Tally) -> dict[str, int]:
    """Plan from the source; other batches' claims are not looked at."""
    client = settings.client
    state = replace(Registry(client).read(), claims=())

    def submitter(token: str, not_before: float, steps: Sequence[PlanStep]) -> Submitter:
        operations = Operations(steps)
        return Submitter(
            client=client,
            operations=operations,
            queues=Queues(client, operations.types, settings.all_queue_ids),
            token=token,
            expires_at=client.clock.now,
            not_before=not_before,
            options={},
        )

    maker = PlanMaker(
        settings=settings,
        lease=cast(Lease, _no_lease(Registry(client).root)),
        state=state,
        outputs_client=output_client(settings),
        make_submitter=submitter,
        wait=lambda seconds: None,
        freeze=tally.freeze,
    )
    maker.make(old=None, expected_total=0)
    return maker.left_out.reasons()


def _no_lease(root: str) -> SimpleNamespace:
    """Stands in for a lease: nothing is written, so nothing needs one."""
    claim = SimpleNamespace(token="", all_prefixes=("",), folder="")
    return SimpleNamespace(claim=claim, registry_root=root, writes_until=None, check=lambda: None)


def _unfinished(settings: BatchSettings) -> StoredPlan | None:
    """The plan that a run would continue."""
    plan = read_plan(settings.client, settings.folder)
    if plan is None or plan.header.definition != settings.definition_name:
        return None
    report = read_report_header(settings.client, settings.folder)
    has_ended = report is not None and report.plan == plan.header.token and report.is_complete
    return None if has_ended else plan


def _remaining(plan: StoredPlan, tally: _Tally) -> int:
    """Count what an unfinished plan has left; returns the number of finished objects."""
    try:
        state = Journal(client=plan.client, plan=plan).read_state()
    except MissingRecordError:
        tally.add(plan.objects())
        return 0
    tally.add(attempt.planned for attempt in state.waiting)
    tally.add(planned for planned in plan.objects(state.next_index) if planned.index not in state.done_ahead)
    tally.counts["in_flight"] += state.in_flight + len(state.followed)
    tally.counts["objects"] = plan.header.total
    return state.finished


def _concurrency(settings: BatchSettings) -> int | None:
    """How many jobs the queue runs at the same time; None if it does not say."""
    try:
        first = next(iter(settings.steps.values()))
        queues = list(type_of_operation(first.operation).queues(settings.client))
    except CIServiceError as error:
        if error.is_retryable:
            raise
        return None
    named = settings.all_queue_ids
    wanted = [queue for queue in queues if not named or queue.queue_id in named]
    if len(wanted) > 1 and not named:
        return None
    return sum(queue.max_concurrent or 0 for queue in wanted) or None
