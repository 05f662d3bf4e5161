"""The frozen plan of a batch, as it is stored in the bucket.

``plan.json`` holds the header, and all lines of a small plan. The lines of a larger plan are stored in parts
``<token>/plan/000001.jsonl``, which are written before the header: a plan counts only once its header exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from typing import Any

from airflow_provider_ci.batch.ledger import records
from airflow_provider_ci.batch.ledger.records import MissingRecordError, RecordWriter
from airflow_provider_ci.batch.planning.planned import PlannedObject, planned_line, planned_of_line
from airflow_provider_ci.client import CIClient, NotFoundError

PART_LINES = 10_000
"""Number of lines in one part of a plan; the last part can have fewer."""
INLINE_LINES = 200
"""Plans of up to this many lines are stored in ``plan.json`` itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHeader:
    """What ``plan.json`` says about a plan."""

    batch_id: str
    token: str
    """Identifies the plan, and names the folder of all of its records."""
    claim: str
    """Token of the claim under which the plan was made."""
    definition: str
    """Identifies the code that made the plan; see :class:`~airflow_provider_ci.batch.Batch`."""
    operation: Mapping[str, Any]
    """Name and fields of the operation, without a password."""
    operation_fingerprint: str
    output: str = ""
    """Output template as it was rendered; empty if unknown."""
    prefix: str = ""
    """Prefix of the selection, which ``{dir}`` leaves out."""
    tag: str
    """Tag of the jobs, as the service names it, such as ``DocProcess``."""
    queue_id: str | None = None
    """Queue of the jobs; None for the default queue. A run that continues the plan keeps it, because it
    searches this queue for jobs that were submitted but not recorded."""
    total: int
    """Number of lines: one for each object and step."""
    parts: tuple[tuple[str, str], ...] = ()
    """First and last claimed output of each part, both empty for a part without claimed outputs."""
    started_at: float
    """Service time, in Unix seconds, at which planning began."""
    jobs_not_before: float = 0.0
    """Service time before which none of the plan's jobs can have been created."""
    judged_by_time: int = 0
    """Number of objects that count as up to date only because their output is newer."""
    canary: int = 0
    """Number of lines in the sample that comes first in the plan; 0 without a sample."""
    jobs_before: int = 0
    """Number of jobs that earlier plans of the same work submitted and that count towards ``max_jobs``."""
    archived: int = 0
    """Number of objects that were left out because the service cannot read their storage class."""
    lost_objects: int = 0
    """Number of lines of a deleted earlier plan that are missing here, because their objects are unknown."""
    steps: tuple[Mapping[str, Any], ...] = ()
    """The steps of a batch with several outputs per object: name, operation and its fingerprint, output
    template, the step before it, and tag. Empty for a batch with one operation, which the fields above
    describe."""
    queue_ids: tuple[str, ...] = ()
    """Queues of the jobs, if there are several. A run that continues the plan keeps them, too."""
    output_bucket: str | None = None
    """Bucket of the outputs; None if an older version wrote the plan."""
    output_region: str | None = None
    """Region of the output bucket; None if an older version wrote the plan."""

    @property
    def all_queue_ids(self) -> tuple[str, ...]:
        """The queues that were named; empty for the service's default queue."""
        return self.queue_ids or ((self.queue_id,) if self.queue_id else ())

    @property
    def all_steps(self) -> tuple[Mapping[str, Any], ...]:
        """The steps; a batch with one operation has one step without a name."""
        only = {
            "name": "",
            "operation": self.operation,
            "fingerprint": self.operation_fingerprint,
            "output": self.output,
            "tag": self.tag,
        }
        return self.steps or (only,)

    @property
    def tags(self) -> tuple[str, ...]:
        """The service's tags of all jobs, each once."""
        return tuple(dict.fromkeys(str(step["tag"]) for step in self.all_steps))

    @property
    def step_fingerprints(self) -> dict[str, str]:
        """Fingerprint of each step's operation, by step name; valid for lines that do not set their own."""
        return {str(step["name"]): str(step["fingerprint"]) for step in self.all_steps}


_NAMES = tuple(item.name for item in fields(PlanHeader))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan in the bucket."""

    client: CIClient
    folder: str
    header: PlanHeader
    inline: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def root(self) -> str:
        """Folder of the plan's own records."""
        return f"{self.folder}{self.header.token}/"

    def objects(self, start: int = 0) -> Iterator[PlannedObject]:
        """The objects of the plan from an index on; one part is in memory at a time.

        :raises MissingRecordError: a part was deleted.
        """
        if not self.header.parts:
            yield from map(planned_of_line, self.inline[start:])
            return
        # All parts but the last one have exactly this many lines.
        for part in range(start // PART_LINES, len(self.header.parts)):
            known = max(0, start - part * PART_LINES)
            yield from islice(self._part(part), known, None)

    def claimed(self, first: str, last: str) -> Iterator[PlannedObject]:
        """The objects whose output the plan has claimed, with outputs from ``first`` to ``last`` inclusive.

        :raises MissingRecordError: a part was deleted.
        """
        parts = range(len(self.header.parts)) if self.header.parts else (None,)
        for part in parts:
            if part is not None:
                lowest, highest = self.header.parts[part]
                if not highest or lowest > last or highest < first:
                    continue
            found = self.objects() if part is None else self._part(part)
            yield from (each for each in found if each.is_claimed and first <= each.output <= last)

    def _part(self, part: int) -> Iterator[PlannedObject]:
        key = part_key(self.root, "plan", part + 1)
        try:
            _, lines = records.read(self.client, key, "plan part")
        except NotFoundError:
            raise MissingRecordError(f"{key!r} of batch {self.header.batch_id} was deleted") from None
        return map(planned_of_line, lines)


def read_plan(client: CIClient, folder: str) -> StoredPlan | None:
    """The plan of a batch, if one was frozen.

    :raises RecordError: ``plan.json`` is damaged or of another version.
    """
    try:
        header, lines = records.read(client, plan_key(folder), "plan")
    except NotFoundError as error:
        # A missing bucket must not be taken for a batch without a plan, which would be planned again.
        if error.code == "NoSuchBucket":
            raise
        return None
    # Fields of other versions are ignored, and fields that an older version did not write have defaults.
    known = {name: header[name] for name in _NAMES if name in header}
    known["parts"] = tuple((first, last) for first, last in known.get("parts", ()))
    for name in ("steps", "queue_ids"):
        known[name] = tuple(known.get(name, ()))
    return StoredPlan(client=client, folder=folder, header=PlanHeader(**known), inline=tuple(lines))


def freeze_plan(
    writer: RecordWriter,
    folder: str,
    token: str,
    objects: Iterable[PlannedObject],
    header: Callable[[int, tuple[tuple[str, str], ...]], PlanHeader],
    *,
    check: Callable[[], None],
) -> StoredPlan:
    """Write a plan, its parts first.

    :param header: makes the header from the number of objects and the ranges of the parts.
    :param check: called before each part; an exception from it ends the planning.
    """
    remaining, total = iter(objects), 0
    parts: list[tuple[str, str]] = []
    # One line more than fits is read: if it exists, the plan needs parts.
    chunk = list(islice(remaining, INLINE_LINES + 1))
    if len(chunk) <= INLINE_LINES:
        made = header(len(chunk), ())
        inline = tuple(map(planned_line, chunk))
    else:
        chunk += islice(remaining, PART_LINES - len(chunk))
        while chunk:
            check()
            total += len(chunk)
            # The range lets other batches skip parts that cannot hold a shared output.
            outputs = [each.output for each in chunk if each.is_claimed]
            parts.append((min(outputs, default=""), max(outputs, default="")))
            body = records.encode("plan part", {"plan": token}, map(planned_line, chunk))
            writer.write(part_key(f"{folder}{token}/", "plan", len(parts)), body)
            chunk = list(islice(remaining, PART_LINES))
        made, inline = header(total, tuple(parts)), ()
    check()
    writer.write(plan_key(folder), records.encode("plan", asdict(made), inline))
    return StoredPlan(client=writer.client, folder=folder, header=made, inline=inline)


def plan_key(folder: str) -> str:
    """Key of the header of a batch's plan."""
    return f"{folder}plan.json"


def part_key(root: str, name: str, number: int) -> str:
    """Key of a numbered record of a plan."""
    return f"{root}{name}/{number:06}.jsonl"
