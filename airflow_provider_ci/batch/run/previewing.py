"""Makes a plan and keeps only its numbers, without a claim, a record or a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import Any, cast

from airflow_provider_ci.batch.dispatch.operations import Operations
from airflow_provider_ci.batch.dispatch.queues import Queues
from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.ledger.journal import Journal
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.plan_store import PlanHeader, StoredPlan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject, by_object
from airflow_provider_ci.batch.planning.sample import lines_to_submit
from airflow_provider_ci.batch.planning.steps import PlanStep
from airflow_provider_ci.batch.preview import BatchPreview, estimated
from airflow_provider_ci.batch.prices import PriceTable, Work
from airflow_provider_ci.batch.registry.registry import Registry
from airflow_provider_ci.batch.reports.reading import read_report_header
from airflow_provider_ci.batch.run.claiming import output_client
from airflow_provider_ci.batch.run.earlier import jobs_of_failed_run
from airflow_provider_ci.batch.run.planning import PlanMaker
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.client import CIServiceError
from airflow_provider_ci.client.records.values import values_in
from airflow_provider_ci.jobs.kinds import DOCUMENTS, JobType, type_of_operation

_COUNTED = {
    Decision.UP_TO_DATE: "up_to_date",
    Decision.UP_TO_DATE_BY_TIME: "up_to_date",
    Decision.FAILED_BEFORE: "failed_before",
    Decision.UNUSABLE: "unusable",
    Decision.SHARED: "in_flight",
    Decision.ADOPTED: "in_flight",
}
_IN_ORDER = ("in_flight", "unusable", "failed_before", "up_to_date")
"""If no step of an object needs a job, the first of these kinds that any step has is the object's kind."""


class _Tally:
    """Counts the objects of a plan, each with all of its lines."""

    def __init__(self, settings: BatchSettings, prices: PriceTable) -> None:
        self.counts: Counter[str] = Counter()
        self.bytes = 0
        self.canary = 0
        self._prices = prices
        self._steps = settings.steps
        self._fields = {name: dict(values_in(step.operation)) for name, step in self._steps.items()}
        self.works = {
            name: Work(tag=type_of_operation(step.operation).tag) for name, step in self._steps.items()
        }

    def add(self, lines: Iterable[PlannedObject]) -> None:
        """Count lines, in the order of the plan."""
        for group in by_object(lines, len(self._steps)):
            self._add_object(group)

    def _add_object(self, lines: Sequence[PlannedObject]) -> None:
        to_submit = lines_to_submit(lines)
        kinds = {_COUNTED[planned.decision] for planned in lines if planned.decision is not Decision.SUBMIT}
        kind = "to_submit" if to_submit else next(each for each in _IN_ORDER if each in kinds)
        self.counts["objects"] += 1
        self.counts[kind] += 1
        if kind == "to_submit":
            self.bytes += lines[0].size
        for planned in to_submit:
            self._add_job(planned)

    def _add_job(self, planned: PlannedObject) -> None:
        name = planned.step if planned.step in self._steps else next(iter(self._steps))
        step, work = self._steps[name], self.works[name]
        work.jobs += 1
        # The price of documents depends on their pages, and that of pictures on their size.
        if work.tag == DOCUMENTS.tag:
            work.pages += self._prices.pages_of({**self._fields[name], **planned.parameters})
        elif step.after:
            # The job reads an output that does not exist yet.
            work.unknown_size = True
        else:
            work.size += planned.size

    @property
    def jobs(self) -> int:
        """Jobs to submit."""
        return sum(work.jobs for work in self.works.values())

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
        """Count the plan; this method replaces the function that writes the plan."""
        self.add(objects)
        plan = header(self.counts["objects"] * len(self._steps), ())
        self.canary = plan.canary // len(self._steps)
        return StoredPlan(client=writer.client, folder=folder, header=plan)


def preview(settings: BatchSettings, prices: PriceTable) -> BatchPreview:
    """What the batch would do now.

    :raises OutputTemplateError: the template cannot name the outputs.
    :raises OutputConflictError: a job in flight makes one of the outputs by another operation.
    :raises CIError: a request failed.
    """
    tally = _Tally(settings, prices)
    left_out: dict[str, int] = {}
    finished, jobs_before = 0, 0
    unfinished = _unfinished(settings)
    if unfinished is None:
        left_out = _plan(settings, tally)
        jobs_before = _jobs_before(settings)
    else:
        finished, jobs_before = _remaining(settings, unfinished, tally)
    counts = dict.fromkeys(("objects", "to_submit", *_IN_ORDER), 0) | tally.counts
    counts["objects"] += finished
    is_named = list(settings.steps) != [""]
    return estimated(
        {
            "batch_id": settings.batch_id,
            **counts,
            "jobs": tally.jobs,
            "outputs": counts["objects"] * len(settings.steps),
            "steps": {name: work.jobs for name, work in tally.works.items()} if is_named else {},
            "canary": tally.canary,
            "finished": finished,
            "left_out": left_out,
            "bytes": tally.bytes,
            "continues": unfinished is not None,
            "max_jobs": settings.max_jobs,
            "max_jobs_left": None if settings.max_jobs is None else max(0, settings.max_jobs - jobs_before),
        },
        prices,
        list(tally.works.values()),
        concurrency=_concurrency(settings),
    )


def _jobs_before(settings: BatchSettings) -> int:
    """Number of jobs of a failed run, which still count against ``max_jobs``."""
    if settings.max_jobs is None:
        return 0
    report = read_report_header(settings.client, settings.folder)
    return jobs_of_failed_run(settings, report.summary) if report else 0


def _plan(settings: BatchSettings, tally: _Tally) -> dict[str, int]:
    """Plan from the source, and return what was left out; claims of other batches are ignored."""
    client = settings.client
    # A preview has no claim, so it has no place in the order of the claims.
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
    """An object in place of the lease, which a preview does not need, because it writes nothing."""
    claim = SimpleNamespace(token="", all_prefixes=("",), folder="")
    return SimpleNamespace(claim=claim, registry_root=root, writes_until=None, check=lambda: None)


def _unfinished(settings: BatchSettings) -> StoredPlan | None:
    """The plan that a run would continue; None if there is none."""
    plan = read_plan(settings.client, settings.folder)
    if plan is None or plan.header.definition != settings.definition_name:
        return None
    report = read_report_header(settings.client, settings.folder)
    has_ended = report is not None and report.plan == plan.header.token and report.is_complete
    return None if has_ended else plan


def _remaining(settings: BatchSettings, plan: StoredPlan, tally: _Tally) -> tuple[int, int]:
    """Count what is left of an unfinished plan; return the number of finished objects and of jobs so far."""
    header, steps = plan.header, len(plan.header.all_steps)
    journal = Journal(client=plan.client, plan=plan)
    try:
        state = journal.read_state()
    except MissingRecordError:
        tally.add(plan.objects())
        return 0, header.jobs_before
    to_submit = [attempt.planned for attempt in (*state.waiting, *state.blocked_attempts)]
    in_flight = [attempt.planned for attempt in state.unconfirmed]
    in_flight += [found.attempt.planned for found in state.running.values()]
    touched = [
        *(replace(planned, decision=Decision.SUBMIT) for planned in to_submit),
        *(replace(planned, decision=Decision.ADOPTED) for planned in (*in_flight, *state.followed.values())),
    ]
    rest = (each for each in plan.objects(state.next_index) if each.index not in state.done_ahead)
    # Sorted in the order of the plan, because the tally groups neighbouring lines into objects.
    tally.add(chain(sorted(touched, key=lambda planned: planned.index), rest))
    if state.next_index < header.canary and settings.canary:
        tally.canary = header.canary // steps
    finished = header.total // steps - tally.counts["objects"]
    return finished, header.jobs_before + state.jobs + len(state.unconfirmed)


def _concurrency(settings: BatchSettings) -> dict[str, int | None]:
    """Number of jobs that the queues run at the same time, by tag; None if it is unknown."""
    types = [type_of_operation(step.operation) for step in settings.steps.values()]
    by_tag = {job_type.tag: job_type for job_type in types}
    return {tag: _concurrency_of(settings, job_type) for tag, job_type in by_tag.items()}


def _concurrency_of(settings: BatchSettings, job_type: JobType) -> int | None:
    try:
        queues = list(job_type.queues(settings.client))
    except CIServiceError as error:
        # Without the permission to read queues, a preview still reports everything else.
        if error.is_retryable:
            raise
        return None
    named = settings.all_queue_ids
    wanted = [queue for queue in queues if not named or queue.queue_id in named]
    if len(wanted) > 1 and not named:
        return None
    return sum(queue.max_concurrent or 0 for queue in wanted) or None
