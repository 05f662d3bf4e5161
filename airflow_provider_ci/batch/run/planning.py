"""Makes the plan of a run: which objects to process, skip, leave to other batches, or find in flight."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from itertools import islice

from airflow_provider_ci.batch.dispatch.submit import Submitter
from airflow_provider_ci.batch.errors import OutputConflictError
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.plan_store import PlanHeader, StoredPlan, freeze_plan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError, RecordWriter
from airflow_provider_ci.batch.ledger.version1 import refuse_unfinished
from airflow_provider_ci.batch.planning.adoption import Adoption
from airflow_provider_ci.batch.planning.draft import Draft, OtherOperationError, new_draft
from airflow_provider_ci.batch.planning.operations import operation_record
from airflow_provider_ci.batch.planning.outputs.existing import ExistingOutputs
from airflow_provider_ci.batch.planning.outputs.lines import Lines
from airflow_provider_ci.batch.planning.outputs.template import (
    OutputTemplate,
    OutputTemplateError,
    first_output_of,
)
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject, by_object
from airflow_provider_ci.batch.planning.planner import Planner
from airflow_provider_ci.batch.planning.rows import row_of_lines, with_row
from airflow_provider_ci.batch.planning.sample import count_to_submit, sample_first, sample_size
from airflow_provider_ci.batch.planning.steps import PlanStep, steps_fingerprint, stored_steps
from airflow_provider_ci.batch.planning.unrecorded import UnrecordedOutputs
from airflow_provider_ci.batch.registry.claims import Claim, intersecting, output_place
from airflow_provider_ci.batch.registry.heartbeat import LivenessWatch, last_beat
from airflow_provider_ci.batch.registry.outputs_index import IndexReader
from airflow_provider_ci.batch.registry.registry import REGISTRY_PREFIX
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.batch.reports.folder import is_ledger_key
from airflow_provider_ci.batch.run.others.neighbours import (
    batch_details,
    claimed_outputs,
    is_buried,
    is_buried_by,
    wait_until_planned,
)
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.batch.sources.selection import as_source
from airflow_provider_ci.batch.sources.source import Found, LeftOut, Row, Source, UnusableKey
from airflow_provider_ci.client import CIClient, Job, ObjectInfo
from airflow_provider_ci.jobs.kinds import matches_operation
from airflow_provider_ci.jobs.service_time import CLOCK_ERROR_SECONDS

log = logging.getLogger(__name__)

DEFAULT_REPORT_PREFIX = "_ci_batches/"
_RECENT_SECONDS = 3.0
_JOBS_PER_PAGE = 100
_PAGES = 10
"""Maximum number of pages of the listing of jobs that are read, besides one page for each output to make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMaker:
    """Makes and freezes a plan.

    :param make_submitter: makes the submitter of a plan from its token, ``jobs_not_before`` and its steps.
    :param wait: waits for some seconds, and raises if the batch was asked to stop.
    :param doubts_since: Unix time at which this batch began with another operation, if the records of that
        operation's jobs are lost.
    """

    settings: BatchSettings
    lease: Lease
    state: State
    """The registry when the claim was made."""
    outputs_client: CIClient
    make_submitter: Callable[[str, float, Sequence[PlanStep]], Submitter]
    wait: Callable[[float], None]
    doubts_since: float = float("inf")
    freeze: Callable[..., StoredPlan] = freeze_plan
    left_out: LeftOut = field(default_factory=LeftOut)
    """Number of objects that are left out; filled while the objects are taken."""

    def make(self, *, old: StoredPlan | None, expected_total: int, jobs_before: int = 0) -> StoredPlan:
        """Freeze a plan.

        :param old: a damaged plan of this batch, whose objects are planned again.
        :param expected_total: number of objects of a plan that was deleted; 0 if none is known.
        :param jobs_before: jobs that the old plan, and the plans before it, have submitted.
        :raises OutputTemplateError: the template cannot name the outputs.
        :raises OutputConflictError: another batch makes one of the outputs by another operation.
        :raises OSError: the disk has no room for the temporary file of the plan.
        :raises CIError: a request failed.
        """
        settings, started_at = self.settings, self._now()
        steps = settings.plan_steps
        if old is not None:  # a frozen plan keeps its steps, however the templates render
            steps = steps_of_plan(old, settings)
        token = uuid.uuid4().hex[:12]
        submitter = self.make_submitter(token, 0.0, steps)
        with new_draft(len(steps)) as draft:
            planner = Planner(
                draft,
                steps,
                skip=settings.skip,
                retry_failed=settings.retry_failed,
                check=self._check,
                doubts_since=self.doubts_since,
            )
            expected = max(expected_total, self._take(planner, steps, old))
            if self.state.number == 1 and draft.total > 1:
                # This is the first batch of this version in the bucket. For a single object, the check is not
                # worth a request: the object's job in flight or output is found anyway.
                refuse_unfinished(settings.client, settings.report_prefix, settings.batch_id)
            in_flight = self._jobs_in_flight(draft, submitter)
            place = output_place(self.outputs_client.bucket, settings.client.bucket)
            index = IndexReader(settings.client, self.state, self.lease.registry_root, place)
            planner.look_up(index, *map(self._existing, steps))
            # Share before jobs are adopted: a job of an earlier batch is followed in that batch's records.
            self._share(draft, planner, old)
            self._adopt(draft, planner.lines, in_flight, submitter)
            # Last of all decisions: a step depends on the decision about the step whose output it reads.
            planner.finish_chains()
            self._separate_seconds(planner, started_at)
            # Read the time after the wait for another second. Otherwise, an older job of the same keys could
            # be taken for a job of this plan.
            counts, not_before = draft.counts(), self._now() - CLOCK_ERROR_SECONDS
            to_submit = draft.objects_with(Decision.SUBMIT)
            if settings.canary and any(step.back for step in steps):
                to_submit = count_to_submit(planner.objects(), len(steps))
            canary = sample_size(settings.canary, to_submit)
            writer = RecordWriter(client=settings.client, expires_at=self.lease.writes_until)
            plan = self.freeze(
                writer,
                settings.folder,
                token,
                sample_first(planner.objects, steps=len(steps), size=canary, to_submit=to_submit),
                lambda total, parts: replace(
                    self._header(token, steps, old),
                    total=total,
                    parts=parts,
                    started_at=started_at,
                    jobs_not_before=not_before,
                    judged_by_time=counts[Decision.UP_TO_DATE_BY_TIME],
                    canary=canary * len(steps),
                    jobs_before=jobs_before,
                    archived=self.left_out.archived,
                    lost_objects=max(0, expected - total),
                ),
                check=self._check,
            )
        self._log(counts, draft.total)
        return plan

    def _header(self, token: str, steps: Sequence[PlanStep], old: StoredPlan | None) -> PlanHeader:
        """The header of a plan, as far as it is known before the objects are."""
        settings = self.settings
        return PlanHeader(
            batch_id=settings.batch_id,
            token=token,
            claim=self.lease.claim.token,
            definition=old.header.definition if old else settings.definition_name,
            operation=operation_record(steps[0].operation),
            operation_fingerprint=steps_fingerprint(steps),
            output=steps[0].template.text,
            prefix=steps[0].template.prefix,
            tag=steps[0].tag,
            queue_id=settings.queue_id,
            queue_ids=tuple(settings.queue_ids),
            output_bucket=self.outputs_client.bucket,
            output_region=self.outputs_client.region,
            steps=tuple(step.to_json() for step in steps) if steps[0].name else (),
            total=0,
            started_at=0.0,
        )

    def _existing(self, step: PlanStep) -> ExistingOutputs:
        threads = self.settings.reading_threads
        return ExistingOutputs(self.outputs_client, step.template.literal_prefix, threads=threads)

    # The objects

    def _take(self, planner: Planner, steps: Sequence[PlanStep], old: StoredPlan | None) -> int:
        """Take the objects; return how many lines the damaged plan had, or 0 without a damaged plan."""
        if old is None:
            planner.take(self._selected(steps))
            return 0
        try:
            # Read the whole plan first: a missing part must not leave half of the old plan in the draft.
            objects = list(_objects_of(old, steps))
        except MissingRecordError as error:
            log.warning("%s; the objects are selected again", error)
            planner.take(self._selected(steps))
        else:
            planner.take(objects)
        return old.header.total

    def _selected(self, steps: Sequence[PlanStep]) -> Iterator[Found]:
        if self.settings.parameters is None:
            return self._listed(steps)
        return (with_row(found, self.settings.parameters) for found in self._listed(steps))

    def _listed(self, steps: Sequence[PlanStep]) -> Iterator[Found]:
        settings, source, left_out = self.settings, as_source(self.settings.source), self.left_out
        found = source.objects(settings.client, threads=settings.reading_threads, left_out=left_out)
        # Keys that were named one by one are taken even if they look like outputs or records.
        if not source.listed_prefixes:
            yield from found
            return
        own_outputs = tuple(filter(None, (self._own_outputs(source, step.template) for step in steps)))
        for each in found:
            key = each.info.key if isinstance(each, Row) else each.key
            if self._is_of_ledger(key):
                left_out.ledger += 1
                continue
            if own_outputs and key.startswith(own_outputs):
                left_out.own_outputs += 1
                continue
            yield each
        if left_out.own_outputs:
            log.warning(
                "%d objects below %s are left out: they lie where this batch writes its outputs",
                left_out.own_outputs,
                ", ".join(map(repr, own_outputs)),
            )
        if left_out.archived:
            log.warning(
                "%d archived objects are left out: the service cannot read them before they are restored; "
                "storage_classes chooses them",
                left_out.archived,
            )

    def _is_of_ledger(self, key: str) -> bool:
        prefixes = (DEFAULT_REPORT_PREFIX, REGISTRY_PREFIX)
        own = self.settings.report_prefix
        return key.startswith(prefixes) or (bool(own) and key.startswith(own)) or is_ledger_key(key)

    def _own_outputs(self, source: Source, template: OutputTemplate) -> str:
        """The folder of the outputs, if it lies in the selection; outputs must not become inputs.

        :raises OutputTemplateError: outputs and inputs share a folder, and their suffixes do not
            distinguish them.
        """
        if self.outputs_client.bucket != self.settings.client.bucket:
            return ""
        folder = template.literal_prefix[: template.literal_prefix.rfind("/") + 1]
        prefixes = source.listed_prefixes
        shared = next((each for each in prefixes if folder in (each, f"{each}/")), None)
        if shared is None:
            return folder if folder.startswith(prefixes) else ""
        if source.may_take(folder, template.literal_suffix):
            raise OutputTemplateError(
                f"output template {template.text!r}: the outputs lie in {shared!r}, where the "
                "selection would take them as objects the next time; name another folder, or suffixes that "
                "leave the outputs out"
            )
        return ""

    # Other batches and jobs in flight

    def _share(self, draft: Draft, planner: Planner, old: StoredPlan | None) -> None:
        bounds = draft.output_range()
        if bounds is None:
            return
        if old is not None:  # outputs that it made by another operation are made again
            planner.share(claimed_outputs(old, *bounds), batch_details(old), is_dead=lambda: True)
        for claim in self._earlier_claims():
            self._share_with(planner, claim, bounds)

    def _earlier_claims(self) -> Iterable[Claim]:
        own = self.lease.claim
        earlier = self.state.earlier_than(own.token)
        return [each for each in intersecting(earlier, own.all_prefixes) if each.folder != own.folder]

    def _share_with(self, planner: Planner, claim: Claim, bounds: tuple[str, str]) -> None:
        client = self.settings.client
        if is_buried(claim):
            plan = read_plan(client, claim.folder)
            if plan is not None:
                planner.distrust(claimed_outputs(plan, *bounds))
            return
        plan = wait_until_planned(
            client,
            claim,
            read_registry=self.lease.read_registry,
            change_registry=self.lease.change_registry,
            wait=self.wait,
        )
        if plan is None:
            return
        try:
            # Jobs of a dead batch that are still in flight are found in the listing of the queue.
            shared = planner.share(
                claimed_outputs(plan, *bounds),
                batch_details(plan),
                is_dead=_once(partial(self._is_dead, claim)),
            )
        except OtherOperationError as error:
            raise OutputConflictError(self.settings.batch_id, claim.batch_id, error.output) from None
        if shared:
            log.info("%d outputs are being made by batch %s; waiting for them", shared, claim.batch_id)

    def _is_dead(self, claim: Claim) -> bool:
        """Whether the run of a claim is dead and can no longer continue.

        A claim without a heartbeat is watched for as long as it is valid.
        """
        client, watch = self.settings.client, LivenessWatch(self.settings.client, claim)
        while (current := self.lease.read_registry().claim(claim.token)) is not None:
            liveness = watch.look(current)
            if liveness == "dead":
                return is_buried_by(self.lease.change_registry, current)
            if liveness == "parked" or last_beat(client, current) is not None:
                return False
            self.wait(0.5)
        return False  # it has ended, or another run has taken it over

    def _jobs_in_flight(self, draft: Draft, submitter: Submitter) -> list[Job]:
        """The jobs in flight for our outputs, whoever submitted them.

        The jobs are listed before the outputs are looked up. If a job ends in between, both the job and its
        output are seen; in the other order, both could be missed.
        """
        if not draft.total:
            return []
        jobs = submitter.jobs_in_flight()
        return [job for job in jobs if draft.of_output(first_output_of(job.output_key))]

    def _adopt(self, draft: Draft, lines: Lines, in_flight: Iterable[Job], submitter: Submitter) -> None:
        """Adopt unrecorded jobs that make our outputs or have made them.

        Jobs are unrecorded if, for example, the whole ledger was deleted, or an older version of this package
        submitted them.
        """
        adoption = Adoption(
            draft=draft,
            lines=lines,
            output_of=lambda job: first_output_of(job.output_key),
            matches=matches_operation,
            is_here=self._writes_here,
        )
        try:
            adopted = adoption.in_flight(in_flight)
        except OtherOperationError as error:
            raise OutputConflictError(
                self.settings.batch_id, "unknown, with a job in flight,", error.output
            ) from None
        if adopted:
            log.info("%d jobs in flight already make outputs of this batch; adopted", adopted)
        if draft.unrecorded.total:
            adopted = adoption.ended(self._recent_jobs(draft.unrecorded, submitter))
            if adopted:
                log.info("%d jobs have made outputs of this batch that nobody recorded; adopted", adopted)

    def _recent_jobs(self, unrecorded: UnrecordedOutputs, submitter: Submitter) -> Iterator[Job]:
        """The jobs that may have written outputs about which nothing is recorded.

        The number of jobs is limited, because other programs may use the queue heavily. Each output to make
        adds a page, because a page costs less than the job that it may save. Any other output, whose content
        is only in doubt (as after a bucket was copied), adds one job.
        """
        since = datetime.fromtimestamp(unrecorded.since, timezone.utc)
        jobs = submitter.newest_jobs(since)
        return islice(jobs, _JOBS_PER_PAGE * (_PAGES + unrecorded.to_make) + unrecorded.total)

    def _writes_here(self, job: Job) -> bool:
        return job.output_bucket in ("", self.outputs_client.bucket)

    def _separate_seconds(self, planner: Planner, started_at: float) -> None:
        """Wait for the service's next second if an output that is made again was written just now.

        The service gives creation times in whole seconds. These times distinguish jobs without UserData
        from older jobs of the same keys. One second more covers the error of our estimate of the service's
        clock.
        """
        if planner.newest_replaced > started_at - _RECENT_SECONDS:
            now = self._now()
            begin = int(now) + 1 + CLOCK_ERROR_SECONDS
            self.wait(begin + 0.05 - now)

    def _check(self) -> None:
        self.wait(0.0)
        self.lease.check()

    def _now(self) -> float:
        return self.settings.client.clock.now()

    def _log(self, counts: dict[Decision, int], total: int) -> None:
        parts = ", ".join(f"{count:,} {decision}" for decision, count in counts.items() if count)
        log.info("planned %d objects (%s): batch %s", total, parts or "none", self.settings.batch_id)
        if not total:
            source = as_source(self.settings.source)
            log.warning("no object %s: %s", source.described(), source.advice)


def steps_of_plan(plan: StoredPlan, settings: BatchSettings) -> tuple[PlanStep, ...]:
    """The steps of a frozen plan; passwords that are not references come from the settings."""
    records, header = plan.header.all_steps, plan.header
    if not header.output and not header.steps:  # a plan of an older version
        records = tuple({**record, "output": settings.template.text} for record in records)
        return stored_steps(records, settings.template.prefix, settings.steps)
    return stored_steps(records, header.prefix, settings.steps)


def _once(ask: Callable[[], bool]) -> Callable[[], bool]:
    """A function that calls ``ask`` only once, and then returns the same answer."""
    answers: list[bool] = []

    def answer() -> bool:
        if not answers:
            answers.append(ask())
        return answers[0]

    return answer


def _objects_of(plan: StoredPlan, steps: Sequence[PlanStep]) -> Iterator[Found]:
    """The objects of a plan, with the settings of their rows."""
    for lines in by_object(plan.objects(), len(steps)):
        yield _object_of(lines, steps[0].template)


def _object_of(lines: Sequence[PlannedObject], template: OutputTemplate) -> Found:
    first = lines[0]
    if first.decision is Decision.UNUSABLE:
        return UnusableKey(key=first.key, code=first.details["code"], message=first.details["message"])
    modified = datetime.fromtimestamp(first.modified, timezone.utc)
    return row_of_lines(ObjectInfo(first.key, first.size, first.etag, modified), lines, template)
