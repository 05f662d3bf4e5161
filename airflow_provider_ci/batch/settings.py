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
    """The client; several threads use it."""
    source: Source | Iterable[str]
    """The objects: a source such as an :class:`ObjectSelection`, or a list of keys."""
    operation: Any = None
    """A :class:`DocProcess`, :class:`PicProcess` or :class:`PicTemplate`; also a :class:`DocWatermark`, or a
    :class:`CIJob` that writes one output object and whose jobs the service lists."""
    output: str = ""
    """Template of the output keys, see :class:`OutputTemplate`."""
    _: KW_ONLY
    batch_id: str
    """Name of the batch and of its folder. Each run of the same work uses the same id."""
    operations: Mapping[str, Any] | None = None
    """Several outputs of each object, by name, instead of ``operation`` and ``output``. Each value is a
    :class:`Step`, or a tuple of an operation, an output template and, optionally, the name of the step whose
    output the operation reads."""
    parameters: Callable[[ObjectInfo], Mapping[str, Any] | None] | None = None
    """Called for each object; returns the settings that differ for this object, as a row of a manifest does.
    The keys are fields of the operation (``doc_password`` names a secret), ``output_key`` and
    ``job_level``."""
    secrets: Callable[[str], str] | None = None
    """Looks up a secret by its reference, such as ``conn:ID``. By default, only ``env:NAME`` is known."""
    skip: Skip = "fresh"
    """``fresh`` skips objects whose output was made from the same content by the same operation; if no record
    says how an output was made, the output must not be older than the object. ``exists`` compares only the
    times. ``never`` makes every output again."""
    queue_id: str | None = None
    """Queue of the jobs; None for the service's default queue."""
    queue_ids: Sequence[str] = ()
    """Several queues; a queue whose jobs end faster gets more jobs."""
    job_level: int | None = None
    """Priority of the jobs, 0 to 2; jobs with a higher priority run first."""
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
    """Maximum number of jobs per object in one run of the plan. Another job follows only a retryable
    failure."""
    max_failures: int | str = 0
    """Number of objects that may fail, or a share such as ``"5%"``. The limit decides at the end whether the
    batch has failed; it never stops the batch early."""
    stop_early: bool | str = True
    """When to stop submitting because too many objects failed: True for half of the finished objects, a share
    such as ``"20%"``, or False for never. Checked once 1,000 objects have finished."""
    max_jobs: int | None = None
    """Maximum number of jobs that the batch may submit, in all of its runs and retries together; None for no
    limit. When the maximum is reached, the other objects stay unfinished and the batch fails; a run with a
    higher maximum processes them."""
    canary: int = 0
    """Number of objects in a sample that is processed first, spread evenly over the plan; 0 for no sample. If
    more of these objects fail than ``canary_failures`` allows, nothing more is submitted and the batch
    fails."""
    canary_failures: int | str | None = None
    """Number or share of the sample's objects that may fail; None for the value of ``max_failures``."""
    retry_failed: bool = False
    """Whether to submit objects again that failed permanently before and are unchanged."""
    on_running: OnRunning = "wait"
    """What to do while another run with the same batch id is active: ``wait`` or ``fail``."""
    definition: str | None = None
    """Name of the code that makes the plan. A run continues an unfinished plan of the same definition. If the
    definition differs, the run waits for the jobs of the old plan, then makes a new plan. By default, the
    definition is derived from the operation, the output template and the source without its time bounds."""
    timeout_seconds: float = 24 * 3600
    """Time limit of the batch, in seconds. The remaining objects stay unfinished; the next run continues."""
    outage_seconds: float = 600
    """Maximum time, in seconds, for which the service may be unavailable or the queue may be paused before
    the run gives up. A full queue does not count."""
    settle_seconds: float | None = None
    """Deprecated and ignored: a submission whose response was lost is repeated when its signature has
    expired."""
    lease_seconds: float = 60
    """Seconds that the next run has to wait after a run has died. Values below 3 count as 3."""
    report_prefix: str = "_ci_batches/"
    """Folder of all batches in the bucket."""
    pace: Pace = field(default_factory=Pace)
    """How often the states of the jobs are read."""
    progress: Callable[[Progress], None] | None = None
    """Called each time the states of the jobs have been read."""
    is_stopped: Callable[[], bool] = bool
    """Polled while the batch runs; once it returns true, the run ends with :class:`BatchStoppedError`."""
    cancels_when_stopped: Callable[[], bool] = bool
    """Called when the run is stopped; returns whether to cancel the jobs that have not started. Jobs that
    have started keep running."""

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
                stacklevel=3,  # the user's line called the generated constructor, which called this
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
        # Parsed only to refuse a wrong value now; the loop parses the value again.
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
        """The steps by name; a batch with one operation has one step, whose name is empty."""
        return self.operations or {"": Step(self.operation, self.output)}

    @property
    def plan_steps(self) -> tuple[PlanStep, ...]:
        """The steps in the form in which a new plan uses them.

        :raises OutputTemplateError: a template cannot name outputs.
        """
        return plan_steps(self.steps, as_source(self.source).root)

    @property
    def template(self) -> OutputTemplate:
        """The output template; if there are several steps, the template of the first step.

        :raises OutputTemplateError: the template cannot name outputs.
        """
        return self.plan_steps[0].template

    @property
    def all_queue_ids(self) -> tuple[str, ...]:
        """The queues that the user named; empty for the default queue."""
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
        # A batch with one operation gives the same parts as in versions without steps. So plans that such a
        # version made are continued.
        made = [steps] if self.operations else list(steps[""][:2])
        parts: list[Any] = [*made, self.output_bucket, type(source).__name__, source.identity]
        if self.parameters:
            parts.append(stable_text(self.parameters))
        return definition_fingerprint(*parts)

    @property
    def submit_options(self) -> dict[str, Any]:
        """The settings that the client's submit methods take, without those that are None."""
        options = {
            "job_level": self.job_level,
            "callback": self.callback,
            "output_bucket": self.output_bucket,
            "output_region": self.output_region,
        }
        return {name: value for name, value in options.items() if value is not None}
