"""Jobs of any kind: their states and their records.

Source: DescribeDocProcessJob, DescribePicProcessJob, tencentcloud.com document/product/1045/47933, 73113.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import unquote

from airflow_provider_ci.client.errors import (
    CIResponseError,
    JobCancelledError,
    JobFailedError,
    NotFoundError,
)
from airflow_provider_ci.client.http.responses import Response
from airflow_provider_ci.client.wire import nodes

QUEUE_TYPES = (
    *("Transcoding", "Speeching", "PicProcess", "AIProcess", "SpeedTranscoding", "DocProcess", "FileProcess"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """A tag, the path where its jobs are submitted and read, and the path where they are cancelled."""

    tag: str
    path: str
    cancel_path: str


class JobState(str, Enum):
    """The states of a job, spelt as the API spells them, and ``UNKNOWN`` for any other."""

    SUBMITTED = "Submitted"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    PAUSE = "Pause"
    CANCEL = "Cancel"
    UNKNOWN = "Unknown"
    """Any state that the API pages do not describe. Only jobs in listings can have it."""

    @property
    def is_final(self) -> bool:
        """Whether the job has reached its last state."""
        return self in _FINAL

    def __str__(self) -> str:
        return self.value


_FINAL = frozenset({JobState.SUCCESS, JobState.FAILED, JobState.CANCEL})
# The API pages name exactly these six states (1045/47932).
_STATES = {state.value: state for state in JobState if state is not JobState.UNKNOWN}


class JobResult:
    """What a job made; the base class of the results of all kinds of job."""

    __slots__ = ()

    @classmethod
    def from_node(cls: type[R], node: nodes.Tree, request_id: str) -> R:
        """Read the result node of a job."""
        raise NotImplementedError


R = TypeVar("R", bound=JobResult)
_RESULTS: dict[str, tuple[str, type[JobResult]]] = {}
"""For each tag: the node within ``Operation`` that holds the result, and the class that reads the node."""


def result_of(tag: str, node: str = "") -> Callable[[type[R]], type[R]]:
    """Register the decorated class as the reader of the results of jobs with this tag.

    :param node: the name of the result's node, if it is not the tag followed by ``Result``.
    """

    def register(cls: type[R]) -> type[R]:
        _RESULTS[tag] = node or f"{tag}Result", cls
        return cls

    return register


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWorkflow:
    """The workflow that created a job, and the run of that workflow."""

    workflow_id: str
    run_id: str = ""
    workflow_name: str = ""
    name: str = ""

    @classmethod
    def from_node(cls, node: nodes.Tree) -> JobWorkflow | None:
        """Read a ``Workflow`` node; None if no workflow created the job."""
        if not nodes.text(node, "WorkflowId"):
            return None
        return cls(
            workflow_id=nodes.text(node, "WorkflowId"),
            run_id=nodes.text(node, "RunId"),
            workflow_name=nodes.text(node, "WorkflowName"),
            name=nodes.text(node, "Name"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the service last described it.

    Times are aware datetimes; ``started_at`` and ``ended_at`` are None until the job starts and ends.
    ``code`` and ``message`` are meaningful only for a failed job. ``progress`` is in percent, for jobs that
    report it. ``result`` is None until the job succeeds. ``raw`` holds everything that the service returned
    about the job, under the API page's names. The repr omits ``raw``, because it may contain a document's
    password.

    A job from a listing is certain to have only a ``job_id``: its ``state`` may be ``UNKNOWN``, its
    ``created_at`` None, and any text empty. A job that was just submitted or was read by its id has a tag, a
    known state and a creation time.
    """

    job_id: str
    tag: str
    state: JobState
    code: str = ""
    message: str = ""
    created_at: datetime | None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    queue_id: str = ""
    input_key: str = ""
    output_key: str = ""
    output_bucket: str = ""
    output_region: str = ""
    user_data: str = ""
    progress: int | None = None
    sub_tag: str = ""
    workflow: JobWorkflow | None = None
    result: JobResult | None = None
    request_id: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def raise_for_state(self) -> None:
        """Raise an error if the job has failed or was cancelled.

        :raises JobFailedError: the message has the input key, the service's code and message, and the request
            id.
        :raises JobCancelledError: the message has the same content.
        """
        if self.state is JobState.FAILED:
            raise JobFailedError(self)
        if self.state is JobState.CANCEL:
            raise JobCancelledError(self)

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> Job:
        """Read a ``JobsDetail`` node; fields that cannot be read stay empty.

        :raises CIResponseError: the node has no ``JobId``.
        """
        operation = nodes.child(node, "Operation")
        output = nodes.child(operation, "Output")
        tag = nodes.text(node, "Tag")
        return cls(
            job_id=nodes.required(node, "JobId", request_id),
            tag=tag,
            state=_STATES.get(nodes.text(node, "State"), JobState.UNKNOWN),
            code=nodes.text(node, "Code"),
            message=nodes.text(node, "Message"),
            created_at=nodes.moment(node, "CreationTime"),
            started_at=nodes.moment(node, "StartTime"),
            ended_at=nodes.moment(node, "EndTime"),
            queue_id=nodes.text(node, "QueueId"),
            input_key=nodes.text(nodes.child(node, "Input"), "Object"),
            output_key=nodes.text(output, "Object"),
            output_bucket=nodes.text(output, "Bucket"),
            output_region=nodes.text(output, "Region"),
            user_data=nodes.text(operation, "UserData"),
            progress=nodes.integer(node, "Progress"),
            sub_tag=nodes.text(node, "SubTag"),
            workflow=JobWorkflow.from_node(nodes.child(node, "Workflow")),
            result=_result(tag, operation, request_id),
            request_id=request_id,
            raw=node,
        )

    def checked(self) -> Job:
        """Return this job if it has every field that a caller relies on.

        :raises CIResponseError: a field is missing or cannot be read.
        """
        # Jobs in a listing are not checked: an unreadable job of another program must not end the listing.
        for name in ("Tag", "State", "CreationTime"):
            nodes.required(dict(self.raw), name, self.request_id)
        if self.state is JobState.UNKNOWN:
            said = f"<State> is {self.raw.get('State')!r}, none of {', '.join(_STATES)}"
            raise CIResponseError(said, request_id=self.request_id)
        if self.created_at is None:
            said = f"<CreationTime> is {self.raw.get('CreationTime')!r}, not a time"
            raise CIResponseError(said, request_id=self.request_id)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One page of a listing of jobs, which may be empty; ``next_token`` is None on the last page."""

    jobs: tuple[Job, ...]
    next_token: str | None
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    """The response to any request about jobs; it describes any number of jobs."""

    jobs: tuple[Job, ...]
    """The described jobs that have an id."""
    are_all_named: bool
    missing: tuple[str, ...]
    next_token: str
    request_id: str

    @classmethod
    def from_response(cls, response: Response) -> JobAnswer:
        """Read a ``Response`` of jobs."""
        request_id = response.request_id
        node = response.tree
        described = nodes.children(node, "JobsDetail")
        named = [job for job in described if nodes.text(job, "JobId")]
        return cls(
            jobs=tuple([Job.from_node(job, request_id) for job in named]),
            are_all_named=len(named) == len(described),
            missing=tuple(nodes.texts(node, "NonExistJobIds")),
            next_token=nodes.text(node, "NextToken"),
            request_id=request_id,
        )

    def submitted(self, input_key: str, output_key: str) -> Job:
        """Return the job that a submission created; its input and output must match the request.

        :raises CIResponseError: they differ, so this is the response to another request, or the response does
            not describe exactly one job.
        """
        self._require_names()
        if len(self.jobs) != 1:
            raise CIResponseError(
                f"a submission makes one job, the response describes {len(self.jobs)}",
                request_id=self.request_id,
            )
        job = self.jobs[0].checked()
        if _differ(input_key, job.input_key) or _differ(output_key, job.output_key):
            raise CIResponseError(
                f"the response describes another job, for {job.input_key!r} -> {job.output_key!r}",
                request_id=self.request_id,
            )
        return job

    def named(self, job_id: str) -> Job:
        """Return the requested job.

        :raises NotFoundError: the service does not know the job.
        """
        self._require_names()
        for job in self.jobs:
            if job.job_id == job_id:
                return job.checked()
        # For an unknown id, the service responds with status 200 and NonExistJobIds (1045/47933).
        raise NotFoundError(
            status=200,
            code="NonExistJobIds",
            message=f"no job {job_id}; jobs are kept for one month",
            request_id=self.request_id,
        )

    def _require_names(self) -> None:
        if not self.are_all_named:
            raise CIResponseError("the response lacks <JobId>", request_id=self.request_id)

    def page(self) -> JobPage:
        """Return the jobs as a page of a listing."""
        # The last page has an empty token or none; the API pages show both (1045/47934, 1045/50336).
        return JobPage(jobs=self.jobs, next_token=self.next_token or None, request_id=self.request_id)


def _result(tag: str, operation: nodes.Tree, request_id: str) -> JobResult | None:
    if tag not in _RESULTS:
        return None
    name, cls = _RESULTS[tag]
    node = nodes.child(operation, name)
    return cls.from_node(node, request_id) if node else None


def _differ(asked: str, echoed: str) -> bool:
    """Whether two keys differ in more than blanks, a leading slash or escapes."""
    # The service may leave nodes out of a response, so an empty echo proves nothing.
    return asked != echoed and bool(asked and echoed) and _bare(asked) != _bare(echoed)


def _bare(key: str) -> str:
    # Keys in real responses may have a leading slash (1045/51266).
    return unquote(key).strip().lstrip("/")
