"""The settings of a batch, which every part of the engine reads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from airflow_provider_ci.batch.limits import EarlyStop, FailureLimit
from airflow_provider_ci.batch.operations import check_operation
from airflow_provider_ci.batch.planning.outputs.fingerprint import (
    definition_fingerprint,
    operation_fingerprint,
)
from airflow_provider_ci.batch.planning.outputs.template import OutputTemplate
from airflow_provider_ci.batch.planning.planner import Skip
from airflow_provider_ci.batch.planning.steps import PlanStep, Step, named_steps, plan_steps
from airflow_provider_ci.batch.progress import Progress
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.sources.selection import as_source
from airflow_provider_ci.batch.sources.source import Source
from airflow_provider_ci.client import Callback, CIClient, ObjectInfo
from airflow_provider_ci.client.records.values import stable_text
from airflow_provider_ci.jobs.watch import Pace

OnRunning = Literal["wait", "fail"]
"""What to do when another run of the same batch is active."""


@dataclass(frozen=True)
class BatchSettings:
    """The settings of a :class:`~airflow_provider_ci.batch.Batch`."""

    client: CIClient
    """Used by several threads."""
    source: Source | Iterable[str]
    """The objects: a selection, or their keys."""
    operation: Any = None
    """A :class:`DocProcess`, :class:`PicProcess` or :class:`PicTemplate`; also a :class:`DocWatermark`, or a
    :class:`CIJob` that writes one output object and whose jobs the service lists."""
    output: str = ""
    """Template of the output keys, see :class:`OutputTemplate`."""
    _: KW_ONLY
    batch_id: str
    """Names the batch and its folder; the same for every try at the same work."""
    operations: Mapping[str, Any] | None = None
    """Instead of ``operation`` and ``output``: several outputs of each object, by name, each a :class:`Step`
    or a tuple of operation, output template and, perhaps, the step whose output is read."""
    parameters: Callable[[ObjectInfo], Mapping[str, Any] | None] | None = None
    """Called for each object: what differs for it, as in the row of a manifest. The keys are fields of the
    operation (``doc_password`` names a secret), ``output_key`` and ``job_level``."""
    secrets: Callable[[str], str] | None = None
    """Looks a secret up by its reference, such as ``conn:ID``. By default only ``env:NAME`` is known."""
    skip: Skip = "fresh"
    """``fresh`` leaves out objects whose output was made from the same content by the same operation; where
    no record says how the output was made, it must not be older than the object. ``exists`` compares times
    only. ``never`` makes every output again."""
    queue_id: str | None = None
    """Queue of the jobs; None for the service's default queue."""
    queue_ids: Sequence[str] = ()
    """Several queues, which are filled by how fast each drains."""
    job_level: int | None = None
    """Priority of the jobs, 0 to 2; a higher one goes first."""
    callback: Callback | None = None
    """Receives a message for each ended job, instead of the queue's callback."""
    output_bucket: str | None = None
    """Bucket of the outputs; None for the bucket of the client."""
    output_region: str | None = None
    """Region of the output bucket; None for the region of the client."""
    max_in_flight: int = 1000
    """Maximum number of jobs that wait or run at the same time (a queue of the service takes 10,000)."""
    threads: int = 64
    """Maximum number of requests at the same time while submitting."""
    object_attempts: int = 2
    """Maximum number of jobs for an object in one run of the plan; only retryable failures are repeated."""
    max_failures: int | str = 0
    """Number of objects that may fail, or a share such as ``"5%"``. It decides at the end whether the batch
    has failed; it never stops the batch early."""
    stop_early: bool | str = True
    """When a batch is pointless, nothing more is submitted: True if half of the objects failed, once 1,000
    have finished; a share such as ``"20%"``; False never."""
    max_jobs: int | None = None
    """Maximum number of jobs that the batch may submit, over all of its runs and retries; None for any
    number. When it is reached, the rest stays unfinished and the batch fails; a run with a higher number
    does the rest."""
    canary: int = 0
    """Size of a sample that is done first, spread evenly over the plan; 0 for none. If more of it fails than
    ``canary_failures``, nothing more is submitted and the batch fails."""
    canary_failures: int | str | None = None
    """Number, or share, of the sample that may fail; None for ``max_failures``."""
    retry_failed: bool = False
    """Submit objects again whose unchanged content failed permanently before."""
    on_running: OnRunning = "wait"
    """``wait`` for another active run of the same batch id, or ``fail``."""
    definition: str | None = None
    """Names the code that made the plan. A run continues an unfinished plan of the same definition. For
    another definition it waits for the jobs of the old plan, then makes a new plan. By default it is derived
    from the operation, the output template and the source without its time bounds."""
    timeout_seconds: float = 24 * 3600
    """Time limit of the batch, in seconds. Objects are then unfinished; the next run continues."""
    outage_seconds: float = 600
    """How long the service may be unavailable, or the queue paused, in seconds, before the run gives up. A
    full queue does not count."""
    settle_seconds: float | None = None
    """Deprecated and ignored: a submission whose response was lost is repeated when its signature has
    expired."""
    lease_seconds: float = 60
    """How long a run that has died keeps the next one waiting, in seconds. Less than 3 counts as 3."""
    report_prefix: str = "_ci_batches/"
    """Folder of all batches in the bucket."""
    pace: Pace = field(default_factory=Pace)
    """How often the jobs are looked at."""
    progress: Callable[[Progress], None] | None = None
    """Called each time the states of the jobs were read."""
    is_stopped: Callable[[], bool] = bool
    """Polled all the time; once it returns true, the run ends with :class:`BatchStoppedError`."""
    cancels_when_stopped: Callable[[], bool] = bool
    """Called then: whether to cancel the jobs that have not begun. All others keep running."""

    def __post_init__(self) -> None:
        if min(self.max_in_flight, self.threads, self.object_attempts) < 1:
            raise ValueError("max_in_flight, threads and object_attempts must be at least 1")
        if self.skip not in ("fresh", "exists", "never"):
            raise ValueError(f"skip must be 'fresh', 'exists' or 'never', not {self.skip!r}")
        if self.on_running not in ("wait", "fail"):
            raise ValueError(f"on_running must be 'wait' or 'fail', not {self.on_running!r}")
        if self.settle_seconds is not None:
            warnings.warn(
                "settle_seconds is ignored: a submission is repeated when its signature has expired",
                DeprecationWarning,
                stacklevel=3,  # behind this check and the generated constructor lies the user's line
            )
        if self.lease_seconds < 1:
            raise ValueError(f"lease_seconds must be at least 1, not {self.lease_seconds}")
        if self.queue_id and self.queue_ids:
            raise ValueError("give queue_id or queue_ids, not both")
        if isinstance(self.queue_ids, str):
            raise ValueError(f"queue_ids is a list of queue ids, not the string {self.queue_ids!r}")
        object.__setattr__(self, "queue_ids", tuple(dict.fromkeys(self.queue_ids or ())))
        object.__setattr__(self, "operations", self._checked_operations())
        for name, step in self.steps.items():
            check_operation(step.operation)
            if step.after and self.output_bucket not in (None, self.client.bucket):
                raise ValueError(
                    f"step {name!r} comes after {step.after!r}, whose output goes to {self.output_bucket}, "
                    f"and jobs read from {self.client.bucket} only: make that step in a second batch, whose "
                    f"client has the bucket {self.output_bucket}"
                )
        # Parsed only to refuse a wrong value now; the loop parses it again.
        FailureLimit.parse(self.max_failures)
        if self.canary_failures is not None:
            try:
                FailureLimit.parse(self.canary_failures)
            except ValueError as error:
                raise ValueError(str(error).replace("max_failures", "canary_failures")) from None
        if self.max_jobs is not None and self.max_jobs < 1:
            raise ValueError(f"max_jobs must be at least 1, or None for any number, not {self.max_jobs}")
        if self.canary < 0:
            raise ValueError(f"canary must be a number of objects, or 0 for none, not {self.canary}")
        EarlyStop.parse(self.stop_early)
        batch_folder(self.report_prefix, self.batch_id)
        object.__setattr__(self, "source", as_source(self.source))  # a generator yields its keys only once

    @property
    def folder(self) -> str:
        """Folder in which the batch keeps its objects."""
        return batch_folder(self.report_prefix, self.batch_id)

    def _checked_operations(self) -> dict[str, Step] | None:
        if self.operations is None:
            if self.operation is None:
                raise ValueError("give operation and output, or operations")
            return None
        if self.operation is not None or self.output:
            raise ValueError("give operation and output, or operations, not both")
        return named_steps(self.operations)

    @property
    def steps(self) -> Mapping[str, Step]:
        """The outputs of each object; one operation is a step without a name."""
        return self.operations or {"": Step(self.operation, self.output)}

    @property
    def plan_steps(self) -> tuple[PlanStep, ...]:
        """The same for a new plan.

        :raises OutputTemplateError: a template cannot name outputs.
        """
        return plan_steps(self.steps, as_source(self.source).root)

    @property
    def template(self) -> OutputTemplate:
        """The output template, of the first step if there are several.

        :raises OutputTemplateError: the template cannot name outputs.
        """
        return self.plan_steps[0].template

    @property
    def all_queue_ids(self) -> tuple[str, ...]:
        """The queues that were named."""
        return tuple(self.queue_ids) or ((self.queue_id,) if self.queue_id else ())

    @property
    def reading_threads(self) -> int:
        """Maximum number of requests at the same time while objects and outputs are looked up."""
        return min(self.threads, 32)

    @property
    def definition_name(self) -> str:
        """The definition, derived from the settings if none was given."""
        if self.definition is not None:
            return self.definition
        source = as_source(self.source)
        steps = {
            name: (operation_fingerprint(step.operation), step.output, step.after)
            for name, step in self.steps.items()
        }
        # One operation gives the same parts as before batches had steps, so that older plans are continued.
        made = [steps] if self.operations else list(steps[""][:2])
        parts: list[Any] = [*made, self.output_bucket, type(source).__name__, source.identity]
        if self.parameters:
            parts.append(stable_text(self.parameters))
        return definition_fingerprint(*parts)

    @property
    def submit_options(self) -> dict[str, Any]:
        """Further arguments of the client's submit methods, without the unset ones."""
        options = {
            "job_level": self.job_level,
            "callback": self.callback,
            "output_bucket": self.output_bucket,
            "output_region": self.output_region,
        }
        return {name: value for name, value in options.items() if value is not None}
