"""Makes the plan of a run: which objects to process, skip, leave to other batches, or find in flight."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from typing import Any

from airflow_provider_ci.batch.errors import OutputConflictError
from airflow_provider_ci.batch.ledger.lease import Lease
from airflow_provider_ci.batch.ledger.plan_store import PlanHeader, StoredPlan, freeze_plan, read_plan
from airflow_provider_ci.batch.ledger.records import MissingRecordError, RecordWriter
from airflow_provider_ci.batch.ledger.version1 import refuse_unfinished
from airflow_provider_ci.batch.planning.draft import Draft, new_draft
from airflow_provider_ci.batch.planning.existing import ExistingOutputs
from airflow_provider_ci.batch.planning.fingerprint import operation_fingerprint
from airflow_provider_ci.batch.planning.planned import Decision
from airflow_provider_ci.batch.planning.planner import OtherOperationError, Planner
from airflow_provider_ci.batch.planning.sample import sample_first, sample_size
from airflow_provider_ci.batch.planning.template import OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.heartbeat import LivenessWatch, last_beat
from airflow_provider_ci.batch.registry.outputs_index import IndexReader
from airflow_provider_ci.batch.registry.registry import REGISTRY_PREFIX
from airflow_provider_ci.batch.registry.state import State
from airflow_provider_ci.batch.reports.folder import is_ledger_key
from airflow_provider_ci.batch.run.neighbours import (
    batch_details,
    claimed_outputs,
    is_buried,
    is_buried_by,
    wait_until_planned,
)
from airflow_provider_ci.batch.run.submit import Submitter, first_output_of
from airflow_provider_ci.batch.settings import BatchSettings
from airflow_provider_ci.batch.sources.left_out import LeftOut
from airflow_provider_ci.batch.sources.selection import ObjectSelection, as_source
from airflow_provider_ci.batch.sources.unusable import UnusableKey
from airflow_provider_ci.client import CIClient, DocProcess, Job, ObjectInfo, PicProcess, PicTemplate
from airflow_provider_ci.client.jobs.any_job import JOB_OPERATIONS

log = logging.getLogger(__name__)

DEFAULT_REPORT_PREFIX = "_ci_batches/"
_SECRET_FIELDS = ("password",)
_SECRET_NODES = ("DocPassword",)
_OPERATIONS = {each.__name__: each for each in (DocProcess, PicProcess, PicTemplate, *JOB_OPERATIONS)}
_STORED_NAMES = {"type": "type_"}
"""Fields that are stored under another name, because ``type`` is the class of the operation."""
_RECENT_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMaker:
    """Makes and freezes a plan.

    :param make_submitter: makes the submitter of a plan from its token and ``jobs_not_before``.
    :param wait: waits for some seconds, and raises if the batch was asked to stop.
    """

    settings: BatchSettings
    lease: Lease
    state: State
    """The registry when the claim was made."""
    outputs_client: CIClient
    make_submitter: Callable[[str, float], Submitter]
    wait: Callable[[float], None]
    freeze: Callable[..., StoredPlan] = freeze_plan
    left_out: LeftOut = field(default_factory=LeftOut)
    """Filled while the objects are taken."""

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
        template, operation = settings.template, settings.operation
        if old is not None:  # a frozen plan is carried out, however the templates render now
            operation = restored_operation(dict(old.header.operation), operation)
            if old.header.output:
                template = OutputTemplate(text=old.header.output, prefix=old.header.prefix)
        token = uuid.uuid4().hex[:12]
        with new_draft() as draft:
            planner = Planner(
                draft,
                template,
                operation,
                skip=settings.skip,
                retry_failed=settings.retry_failed,
                check=self._check,
            )
            expected = max(expected_total, self._take(planner, template, old))
            if self.state.number == 1 and draft.total > 1:
                # The first batch of this version in the bucket. A single object is not worth the request: its
                # job in flight, or its output, is enough.
                refuse_unfinished(settings.client, settings.report_prefix, settings.batch_id)
            threads = min(settings.threads, 32)
            in_flight = self._jobs_in_flight(draft, token)
            existing = ExistingOutputs(self.outputs_client, template.literal_prefix, threads=threads)
            planner.look_up(IndexReader(settings.client, self.state, self.lease.registry_root), existing)
            self._share(draft, planner, operation_fingerprint(operation), old)
            self._adopt(planner, in_flight, token)
            self._separate_seconds(planner, started_at)
            counts, not_before = draft.counts(), self._now()
            to_submit = counts[Decision.SUBMIT]
            canary = sample_size(settings.canary, to_submit)
            writer = RecordWriter(client=settings.client, expires_at=self.lease.writes_until)
            plan = self.freeze(
                writer,
                settings.folder,
                token,
                sample_first(planner.objects, size=canary, to_submit=to_submit),
                lambda total, parts: PlanHeader(
                    batch_id=settings.batch_id,
                    token=token,
                    claim=self.lease.claim.token,
                    definition=settings.definition_name,
                    operation=operation_record(operation),
                    operation_fingerprint=operation_fingerprint(operation),
                    output=template.text,
                    prefix=template.prefix,
                    tag=self.make_submitter(token, not_before).job_type.tag,
                    queue_id=settings.queue_id,
                    total=total,
                    parts=parts,
                    started_at=started_at,
                    jobs_not_before=not_before,
                    judged_by_time=counts[Decision.UP_TO_DATE_BY_TIME],
                    canary=canary,
                    jobs_before=jobs_before,
                    lost_objects=max(0, expected - total),
                ),
                check=self._check,
            )
        self._log(counts, draft.total)
        return plan

    # The objects

    def _take(self, planner: Planner, template: OutputTemplate, old: StoredPlan | None) -> int:
        """Take the objects; returns how many there should be, as far as a damaged plan says."""
        if old is None:
            planner.take(self._selected(template))
            return 0
        try:
            objects = list(_objects_of(old))
        except MissingRecordError as error:
            log.warning("%s; the objects are selected again", error)
            planner.take(self._selected(template))
        else:
            planner.take(objects)
        return old.header.total

    def _selected(self, template: OutputTemplate) -> Iterator[ObjectInfo | UnusableKey]:
        settings, source = self.settings, as_source(self.settings.source)
        if not isinstance(source, ObjectSelection):
            yield from source.objects(settings.client, threads=min(settings.threads, 32))
            return
        own_outputs = self._own_outputs(source, template)
        for found in source.objects(settings.client):
            if self._is_of_ledger(found.key):
                self.left_out.ledger += 1
                continue
            if own_outputs and found.key.startswith(own_outputs):
                self.left_out.own_outputs += 1
                continue
            yield found
        if self.left_out.own_outputs:
            log.warning(
                "%d objects below %r are left out: they lie where this batch writes its outputs",
                self.left_out.own_outputs,
                own_outputs,
            )

    def _is_of_ledger(self, key: str) -> bool:
        prefixes = (DEFAULT_REPORT_PREFIX, REGISTRY_PREFIX)
        own = self.settings.report_prefix
        return key.startswith(prefixes) or (bool(own) and key.startswith(own)) or is_ledger_key(key)

    def _own_outputs(self, source: ObjectSelection, template: OutputTemplate) -> str:
        """The folder of the outputs, if it lies in the selection; outputs must not become inputs.

        :raises OutputTemplateError: outputs and inputs share a folder, and their suffixes do not
            distinguish them.
        """
        if self.outputs_client.bucket != self.settings.client.bucket:
            return ""
        folder = template.literal_prefix[: template.literal_prefix.rfind("/") + 1]
        prefix = source.prefix
        if folder not in (prefix, f"{prefix}/"):
            return folder if folder.startswith(prefix) else ""
        suffix = template.literal_suffix.lower()
        takes_outputs = not source.suffixes or suffix.endswith(
            tuple(each.lower() for each in source.suffixes)
        )
        if takes_outputs:
            raise OutputTemplateError(
                f"output template {template.text!r}: the outputs lie in {prefix!r}, where the "
                "selection would take them as objects the next time; name another folder, or suffixes that "
                "leave the outputs out"
            )
        return ""

    # Other batches and jobs in flight

    def _share(self, draft: Draft, planner: Planner, operation: str, old: StoredPlan | None) -> None:
        bounds = draft.output_range()
        if bounds is None:
            return
        if old is not None and old.header.operation_fingerprint == operation:
            planner.share(claimed_outputs(old, *bounds), batch_details(old), is_same_operation=True)
        for claim in self._earlier_claims():
            self._share_with(planner, claim, bounds, operation)

    def _earlier_claims(self) -> Iterable[Claim]:
        own = self.lease.claim
        earlier = self.state.earlier_than(own.token)
        return [each for each in _intersecting(earlier, own.prefix) if each.folder != own.folder]

    def _share_with(self, planner: Planner, claim: Claim, bounds: tuple[str, str], operation: str) -> None:
        client = self.settings.client
        if is_buried(claim):
            plan = read_plan(client, claim.folder)
            if plan is not None and plan.header.operation_fingerprint != operation:
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
        is_same = plan.header.operation_fingerprint == operation
        if not is_same and self._is_dead(claim):
            # Its jobs that are still in flight are found among the jobs of the queue.
            planner.distrust(claimed_outputs(plan, *bounds))
            return
        try:
            shared = planner.share(
                claimed_outputs(plan, *bounds), batch_details(plan), is_same_operation=is_same
            )
        except OtherOperationError as error:
            raise OutputConflictError(self.settings.batch_id, claim.batch_id, error.output) from None
        if shared:
            log.info("%d outputs are being made by batch %s; waiting for them", shared, claim.batch_id)

    def _is_dead(self, claim: Claim) -> bool:
        """Whether the run of a claim is dead, and cannot come back any more.

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

    def _jobs_in_flight(self, draft: Draft, token: str) -> list[Job]:
        """The jobs in flight for our outputs, whoever submitted them.

        They are listed before the outputs are looked up. A job that ends in between is then seen twice, not
        never.
        """
        if not draft.total:
            return []
        jobs = self.make_submitter(token, 0.0).jobs_in_flight()
        return [job for job in jobs if draft.of_output(first_output_of(job.output_key))]

    def _adopt(self, planner: Planner, in_flight: Iterable[Job], token: str) -> None:
        """Adopt the jobs that are in flight for our outputs.

        This is what remains when the whole ledger was deleted, or when an older version of this package
        submitted the jobs.
        """
        try:
            adopted = planner.adopt(
                in_flight,
                output_of=lambda job: first_output_of(job.output_key),
                matches=self.make_submitter(token, 0.0).matches,
                is_here=self._writes_here,
            )
        except OtherOperationError as error:
            raise OutputConflictError(
                self.settings.batch_id, "unknown, with a job in flight,", error.output
            ) from None
        if adopted:
            log.info("%d jobs in flight already make outputs of this batch; adopted", adopted)

    def _writes_here(self, job: Job) -> bool:
        return job.output_bucket in ("", self.outputs_client.bucket)

    def _separate_seconds(self, planner: Planner, started_at: float) -> None:
        """Begin the next second of the service if an output that is made again was written just now.

        The service gives creation times in whole seconds. These times distinguish jobs without UserData
        from older jobs of the same keys.
        """
        if planner.newest_replaced > started_at - _RECENT_SECONDS:
            now = self._now()
            self.wait(int(now) + 1.05 - now)

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
            if isinstance(source, ObjectSelection):
                log.warning(
                    "no object under %r%s: check the prefix and the suffixes",
                    source.prefix,
                    f" with suffixes {', '.join(source.suffixes)}" if source.suffixes else "",
                )


def operation_record(operation: Any) -> dict[str, Any]:
    """An operation as JSON, without a password, because everybody with access to the bucket can read it."""
    values = {
        _STORED_NAMES.get(name, name): value
        for name, value in asdict(operation).items()
        if value is not None and name not in _SECRET_FIELDS
    }
    if "extra" in values:
        values["extra"] = {k: v for k, v in values["extra"].items() if k not in _SECRET_NODES}
    return {"type": type(operation).__name__, **values}


def restored_operation(record: dict[str, Any], current: Any) -> Any:
    """The operation of a plan; a password is taken from the current operation.

    :param current: the operation of the running code, whose arguments may be rendered differently by now.
    """
    made_of: Any = _OPERATIONS.get(str(record.get("type")), type(current))
    names = {item.name for item in fields(made_of) if item.init}
    stored = {_STORED_NAMES.get(name, name): name for name in names}
    values = {stored[name]: value for name, value in record.items() if name in stored}
    for name in names.intersection(_SECRET_FIELDS):
        values[name] = getattr(current, name, None)
    current_extra = getattr(current, "extra", {})
    secrets = {name: current_extra[name] for name in _SECRET_NODES if name in current_extra}
    if secrets and "extra" in names:
        values["extra"] = {**values.get("extra", {}), **secrets}
    return made_of(**values)


def _intersecting(claims: Iterable[Claim], prefix: str) -> list[Claim]:
    return [each for each in claims if each.prefix.startswith(prefix) or prefix.startswith(each.prefix)]


def _objects_of(plan: StoredPlan) -> Iterator[ObjectInfo | UnusableKey]:
    for planned in plan.objects():
        if planned.decision is Decision.UNUSABLE:
            details = planned.details
            yield UnusableKey(key=planned.key, code=details["code"], message=details["message"])
        else:
            modified = datetime.fromtimestamp(planned.modified, timezone.utc)
            yield ObjectInfo(planned.key, planned.size, planned.etag, modified)
