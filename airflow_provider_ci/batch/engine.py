"""A batch from its selection to its report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field

from airflow_provider_ci.batch.failures import BatchFailedError, FailureLimit
from airflow_provider_ci.batch.kinds import kind_of_operation
from airflow_provider_ci.batch.plan import Operation, OutputTemplate, Skip, plan_jobs
from airflow_provider_ci.batch.report import BatchSummary, Report
from airflow_provider_ci.batch.run import Progress, Run
from airflow_provider_ci.batch.selection import ObjectKeys, ObjectSelection, as_source
from airflow_provider_ci.batch.watch import Pace
from airflow_provider_ci.client import CIClient, ObjectInfo


@dataclass(frozen=True)
class Batch:
    """One operation on many objects: a window of jobs, one listing that waits for all, a verdict per object.

    This form keeps its state in memory. When its process dies, a new run with ``skip="exists"`` leaves out
    what is done already; objects whose jobs were waiting or running at that moment get a second job.
    """

    client: CIClient
    """Used by several threads."""
    source: ObjectSelection | ObjectKeys | Iterable[str]
    """The objects: a selection, or their keys."""
    operation: Operation
    """A :class:`DocProcess` or a :class:`PicProcess`."""
    output: str
    """Template of the output keys, see :class:`OutputTemplate`."""
    _: KW_ONLY
    batch_id: str
    """Names the report; the same for every try at the same work."""
    skip: Skip = "exists"
    """``exists`` leaves out objects whose output is newer than they are, ``never`` processes all."""
    queue_id: str | None = None
    """Queue of the jobs; the service's default queue if not given."""
    max_in_flight: int = 1000
    """Jobs that wait or run at the same time, at most (a queue of the service takes 10,000)."""
    threads: int = 16
    """Requests at the same time while submitting."""
    object_attempts: int = 2
    """Jobs for an object, at most; only failures that may be transient are submitted again."""
    max_failures: int | str = 0
    """How many objects may fail: a number, or a percentage such as ``"5%"``."""
    timeout_seconds: float = 24 * 3600
    """After so long, what has not ended is reported as unfinished."""
    outage_seconds: float = 600
    """How long the service may be away, busy or paused without a break before the batch gives up; a full
    queue does not count."""
    settle_seconds: float = 10
    """How long after its answer was lost a submission that no listing shows counts as never taken."""
    report_prefix: str = "_ci_batches/"
    """Folder of the report in the bucket; a selection leaves out what lies in it."""
    pace: Pace = field(default_factory=Pace)
    """How often it looks at the jobs."""
    progress: Callable[[Progress], None] | None = None
    """Called after each look at the jobs."""
    is_stopped: Callable[[], bool] = bool
    """Asked all the time; once it says yes, the batch ends with :class:`BatchStoppedError`."""
    cancels_when_stopped: Callable[[], bool] = bool
    """Asked then: whether to cancel the jobs that have not begun. All the others go on."""

    def __post_init__(self) -> None:
        if min(self.max_in_flight, self.threads, self.object_attempts) < 1:
            raise ValueError("max_in_flight, threads and object_attempts must be at least 1")
        if self.skip not in ("exists", "never"):
            raise ValueError(f"skip must be 'exists' or 'never', not {self.skip!r}")
        kind_of_operation(self.operation)
        FailureLimit.parse(self.max_failures)
        object.__setattr__(self, "source", as_source(self.source))  # a generator yields its keys only once

    def run(self) -> BatchSummary:
        """List, submit, wait and report.

        :raises BatchFailedError: more objects failed than allowed, or some did not finish.
        :raises OutputTemplateError: the template cannot name the outputs; nothing was submitted.
        :raises BatchStoppedError: ``is_stopped`` said so; jobs that were submitted go on.
        :raises CIError: the service refused the whole batch (wrong key, unknown bucket), or was away too
            long. What is known by then is in the report.
        """
        source = as_source(self.source)
        template = OutputTemplate(text=self.output, prefix=source.prefix)
        with Report(self.client, self.batch_id, prefix=self.report_prefix) as report:
            planned = list(plan_jobs(self.client, self._objects(source), template, skip=self.skip))
            with ThreadPoolExecutor(self.threads, "ci-submit") as executor:
                Run(self, planned, report, executor).to_end()
            summary = report.finish()
        limit = FailureLimit.parse(self.max_failures)
        failed = summary.failed + summary.cancelled
        if summary.unfinished or not limit.allows(failed, summary.total):
            raise BatchFailedError(summary, limit)
        return summary

    def _objects(self, source: ObjectSelection | ObjectKeys) -> Iterator[ObjectInfo]:
        found = source.objects(self.client)
        if isinstance(source, ObjectKeys) or not self.report_prefix:
            return found
        return (each for each in found if not each.key.startswith(self.report_prefix))
