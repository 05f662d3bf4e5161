"""The operations of a CI host on jobs: submit, get, list, cancel."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from airflow_provider_ci.local.errors import Service, ServiceError, status_of
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.http.traits import Traits, TraitSwitch
from airflow_provider_ci.local.http.wire import Value
from airflow_provider_ci.local.jobs import queues, receivers, templates
from airflow_provider_ci.local.jobs.jobs import Filter, Job, Jobs, State, Submission
from airflow_provider_ci.local.jobs.queues import Queues
from airflow_provider_ci.local.jobs.requests import submission
from airflow_provider_ci.local.jobs.requests.submission import Order
from airflow_provider_ci.local.jobs.responses import echoes, job_pages
from airflow_provider_ci.local.jobs.responses.details import job_detail
from airflow_provider_ci.local.jobs.templates import Templates
from airflow_provider_ci.local.jobs.work.scheduler import Scheduler
from airflow_provider_ci.local.objects.store import Store

MAX_IDS = 10
OWN_TYPE_HEADER = "x-ci-local-own-type"
"""Header of the response to a submission whose source type the service does not document; names the type."""

MAX_PAGE_SIZE = 100

_MAKERS = ("workflowId", "inventoryTriggerJobId")
_QUEUE_TYPES = {
    "DocProcess": queues.DOC,
    "FileProcess": queues.FILE,
    "PicProcess": queues.PIC,
    "Transcoding": queues.MEDIA,
}
_QUEUE_TYPES_WITHOUT_QUEUE = ("AIProcess", "Speeching", "SpeedTranscoding")
_NO_QUEUE = "none"


FAMILIES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "doc_jobs": {"DocProcess": (queues.DOC,), "DocWatermark": (queues.DOC,)},
    "pic_jobs": {"PicProcess": (queues.PIC,)},
    "jobs": {
        "PicProcess": (queues.PIC, queues.MEDIA),
        "FileHashCode": (queues.FILE,),
        "FileUncompress": (queues.FILE,),
    },
    "file_jobs": {"FileHashCode": (queues.FILE,), "FileUncompress": (queues.FILE,)},
}
"""For each path and tag: the categories of the queues that accept such a job, the default one first."""

LISTED = ("doc_jobs", "pic_jobs", "jobs")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOperations:
    """Submits, gets, lists and cancels jobs, on every path for jobs."""

    store: Store
    jobs: Jobs
    queues: Queues
    templates: Templates
    scheduler: Scheduler
    traits: TraitSwitch

    async def submit(self, request: Request, name: str, rest: str) -> Answer:
        """CreateDocProcessJobs, CreatePicProcessJobs, CreateMediaJobs, CreateFileProcessJobs.

        Sources: 1045/47932, 49947, 73035; 436/83108, 83110.
        """
        order = submission.read(await request.body(), FAMILIES[name])
        categories = FAMILIES[name][order.tag]
        _check_refused(self.traits.now_on.refuse_submissions)
        bucket = request.address.bucket
        if not self.queues.is_bound(bucket, categories[0]):
            raise ServiceError("MediaBucketUnBinded", f"bucket {bucket} is not bound to {categories[0]}")
        if order.output_bucket not in ("", bucket):
            self.store.require_bucket(order.output_bucket)
        operation = {**order.operation, **self._template(bucket, order)}
        if order.receiver:
            await receivers.check_job(order.receiver)
            operation["CallBack"] = order.receiver
        job = self.scheduler.submit(
            Submission(
                bucket=bucket,
                region=request.address.region,
                tag=order.tag,
                queue_id=self._queue_id(request, categories, order),
                level=order.level,
                input_object=order.input_object,
                operation=operation,
                secret=order.secret,
            ),
            request.now,
        )
        answer = Answer.response({"JobsDetail": self._job_detail(job)})
        answer.headers.update(_own_type_header(job))
        return answer

    async def get(self, request: Request, name: str, rest: str) -> Answer:
        """DescribeDocProcessJob, DescribePicProcessJob, DescribeMediaJob, DescribeFileProcessJob.

        Accepts up to ten ids. Sources: 1045/47933, 73113; 436/83111.
        """
        job_ids = list(dict.fromkeys(item for item in rest.split(",") if item))
        if not 1 <= len(job_ids) <= MAX_IDS:
            raise ServiceError(
                "InvalidArgument", f"{len(job_ids)} job ids in the path, 1 to {MAX_IDS} are allowed"
            )
        found = self._find(request, name, job_ids)
        known = {job.job_id for job in found}
        nodes: dict[str, Value] = {}
        if found:
            nodes["JobsDetail"] = [self._job_detail(job) for job in found]
        unknown: list[Value] = [job_id for job_id in job_ids if job_id not in known]
        if unknown:
            nodes["NonExistJobIds"] = unknown
        return Answer.response(nodes)

    async def list_jobs(self, request: Request, name: str, rest: str) -> Answer:
        """DescribeDocProcessJobs, DescribePicProcessJobs, DescribeMediaJobs (1045/47934, 50336, 73114)."""
        traits = self.traits.now_on
        size = wire.number("size", request.parameter("size"), 10, low=1, high=MAX_PAGE_SIZE)
        wanted = self._filter(request, FAMILIES[name])
        place = job_pages.read_token(request.parameter("nextToken"))
        following = job_pages.place_after_empty_page(place, traits)
        if following:
            return Answer.response({"NextToken": following.token})
        foreign = self._foreign_jobs(request, wanted) if place.after is None else []
        size = max(size - len(foreign), 1)
        # Read one job more than the page holds, to know whether another page follows.
        found = self.jobs.page(wanted, size=size + 1, after=place.after)
        shown = found[:size]
        last_job = shown[-1].seq if shown else None
        is_last = len(found) <= size
        next_token = job_pages.last_token(place, last_job, traits) if is_last else str(last_job)
        details: list[Value] = [*foreign, *(self._job_detail(job) for job in shown)]
        return Answer.response({"JobsDetail": details, "NextToken": next_token})

    async def cancel(self, request: Request, name: str, rest: str) -> Answer:
        """CancelDocProcessJob, CancelMediaJob: cancel a job that has not started (1045/49512)."""
        if not request.has_parameter("cancel"):
            raise ServiceError("InvalidArgument", f"PUT {request.path} needs ?cancel")
        found = self._find(request, name, [rest])
        if not found:
            raise ServiceError("ResourceNotFound", f"job {rest!r} does not exist among the {name}")
        if not self.scheduler.cancel(found[0], request.now):
            message = f"The job provided can not be modified: job {rest} is no longer waiting"
            raise ServiceError("InvalidArgument", message)
        return Answer()

    def _find(self, request: Request, name: str, job_ids: list[str]) -> list[Job]:
        found = self.jobs.get(request.address.bucket, job_ids)
        traits = self.traits.now_on
        return [job for job in found if job.tag in FAMILIES[name] and _is_visible(job, traits, request.now)]

    def _job_detail(self, job: Job) -> Mapping[str, Value]:
        return echoes.changed(job_detail(job), self.traits.now_on)

    def _foreign_jobs(self, request: Request, wanted: Filter) -> list[Mapping[str, Value]]:
        if not self.traits.now_on.foreign_jobs:
            return []
        return job_pages.foreign_jobs(wanted.tag, request.address.bucket, wanted.queue_ids[0])

    def _template(self, bucket: str, order: Order) -> Mapping[str, object]:
        """The nodes of a job that names a template: the template's id, name and current parameters."""
        if not order.template_id:
            return {}
        template = self.templates.get(bucket, order.template_id)
        return {
            templates.TAG: template.parameters,
            "TemplateId": template.template_id,
            "TemplateName": template.name,
        }

    def _queue_id(self, request: Request, categories: tuple[str, ...], order: Order) -> str:
        bucket = request.address.bucket
        wanted = order.queue_id or self._queue_of_type(bucket, order.queue_type, request.now)
        ids = (self.queues.ids(bucket, category, request.now) for category in categories)
        known = list(chain.from_iterable(ids))
        if wanted and wanted not in known:
            raise ServiceError(
                "QueueNotFound", f"queue {wanted!r} does not exist for {order.tag} in {bucket}"
            )
        return wanted or known[0]

    def _filter(self, request: Request, tags: Mapping[str, tuple[str, ...]]) -> Filter:
        tag = request.parameter("tag")
        submission.check_tag(tag, tags, "tag")
        order = request.parameter("orderByTime", "Desc")
        if order not in ("Desc", "Asc"):
            raise ServiceError("InvalidArgument", f"orderByTime {order!r} is neither Desc nor Asc")
        bucket, traits = request.address.bucket, self.traits.now_on
        if traits.require_queue_id and not request.parameter("queueId"):
            raise ServiceError("InvalidArgument", "queueId is missing, and the listing of jobs requires it")
        queue_id = self._listed_queue(request, bucket)
        created_to = wire.parse_time("endCreationTime", request.parameter("endCreationTime"))
        every = self._every_queue(bucket, tag, request.now)
        return Filter(
            queue_ids=tuple(item for item in every if queue_id in ("", item)),
            tag=tag,
            states=_states(request.parameter("states", "All")),
            created_from=wire.parse_time("startCreationTime", request.parameter("startCreationTime")),
            # The traits hide_jobs_seconds and forget_jobs_seconds work as additional filters.
            created_to=_earlier(created_to, _newest_visible(traits, request.now)),
            ended_after=_oldest_end(traits, request.now),
            # No API page documents this filter for document jobs.
            input_object="" if tag.startswith("Doc") else request.parameter("inputObject"),
            newest_first=order == "Desc",
        )

    def _every_queue(self, bucket: str, tag: str, now: float) -> tuple[str, ...]:
        """The queues that jobs with this tag may be in."""
        categories = {item for tags in FAMILIES.values() for item in tags.get(tag, ())}
        ids = (self.queues.ids(bucket, category, now) for category in categories)
        return tuple(chain.from_iterable(ids))

    def _listed_queue(self, request: Request, bucket: str) -> str:
        queue_type = request.parameter("queueType")
        if any(request.parameter(name) for name in _MAKERS):
            return _NO_QUEUE  # the local CI has no jobs from workflows or inventories
        if request.parameter("queueId"):
            return request.parameter("queueId")
        if queue_type in _QUEUE_TYPES_WITHOUT_QUEUE:
            return _NO_QUEUE
        return self._queue_of_type(bucket, queue_type, request.now)

    def _queue_of_type(self, bucket: str, queue_type: str, now: float) -> str:
        if not queue_type:
            return ""
        if queue_type in _QUEUE_TYPES_WITHOUT_QUEUE:
            raise ServiceError("NotImplemented", f"the local CI has no queue of the type {queue_type}")
        if queue_type not in _QUEUE_TYPES:
            known = ", ".join(sorted([*_QUEUE_TYPES, *_QUEUE_TYPES_WITHOUT_QUEUE]))
            raise ServiceError("InvalidArgument", f"the queue type {queue_type!r} is not one of {known}")
        return self.queues.default(bucket, _QUEUE_TYPES[queue_type], now)


def _own_type_header(job: Job) -> dict[str, str]:
    """The header that warns of a source type that the service may refuse."""
    if job.tag != "DocProcess":
        return {}
    source_type = submission.source_type_of(job.operation["DocProcess"], job.input_object)
    if not submission.is_own_type(source_type):
        return {}
    _log.warning("%r: the service does not document the source type %s", job.input_object, source_type)
    return {OWN_TYPE_HEADER: source_type}


def _check_refused(code: str) -> None:
    """Raise the error that ``--refuse-submissions`` asks for, if any."""
    if code:
        message = f"every submission is refused with {code}, as --refuse-submissions says"
        raise ServiceError(code, message, status=status_of(Service.CI, code) or 400)


def _newest_visible(traits: Traits, now: float) -> int | None:
    """The latest creation time of visible jobs, in whole Unix seconds; None if no job is hidden."""
    return int(now - traits.hide_jobs_seconds) - 1 if traits.hide_jobs_seconds else None


def _oldest_end(traits: Traits, now: float) -> float | None:
    """The Unix time up to which ended jobs are forgotten; None if no job is forgotten."""
    return None if traits.forget_jobs_seconds is None else now - traits.forget_jobs_seconds


def _is_visible(job: Job, traits: Traits, now: float) -> bool:
    newest, oldest = _newest_visible(traits, now), _oldest_end(traits, now)
    is_hidden = newest is not None and job.created > newest
    is_forgotten = oldest is not None and job.ended is not None and job.ended <= oldest
    return not is_hidden and not is_forgotten


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((time for time in (one, other) if time is not None), default=None)


def _states(text: str) -> tuple[State, ...]:
    names = [name for name in text.split(",") if name]
    if "All" in names:
        return ()
    known = {str(state): state for state in State}
    for name in names:
        if name not in known:
            raise ServiceError("InvalidArgument", f"states has {name!r}; known are All, {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))
