"""The operations of a CI host on queues, and on the buckets that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.http.wire import Value
from airflow_provider_ci.local.jobs import queues, receivers
from airflow_provider_ci.local.jobs.jobs import Jobs
from airflow_provider_ci.local.jobs.queues import Queue, Queues
from airflow_provider_ci.local.jobs.requests import queue_update
from airflow_provider_ci.local.jobs.responses.details import queue_detail
from airflow_provider_ci.local.jobs.work.scheduler import Scheduler
from airflow_provider_ci.local.objects.store import Store

MAX_PAGE_SIZE = 100

QUEUES = {
    "docqueue": queues.DOC,
    "picqueue": queues.PIC,
    "queue": queues.MEDIA,
    "file_queue": queues.FILE,
}


class Binding(NamedTuple):
    """The feature behind a path of bucket operations, and the name of a bucket's element in a response."""

    feature: str
    element: str


BINDINGS = {
    "docbucket": Binding(queues.DOC, "DocBucket"),
    "picbucket": Binding(queues.PIC, "PicBucket"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOperations:
    """Lists and updates queues, and binds buckets.

    Responses show ``queue_size`` and ``queue_concurrency``.
    """

    store: Store
    jobs: Jobs
    queues: Queues
    scheduler: Scheduler
    queue_size: int
    queue_concurrency: int

    async def list_queues(self, request: Request, name: str, rest: str) -> Answer:
        """DescribeDocProcessQueues, DescribePicProcessQueues, DescribeMediaQueues (1045/47935, 72918)."""
        wanted = [item for item in request.parameter("queueIds").split(",") if item]
        state = request.parameter("state", "All")
        if state not in (*queue_update.STATES, "All"):
            raise ServiceError("InvalidArgument", f"state must be Active, Paused or All, not {state!r}")
        number = wire.number("pageNumber", request.parameter("pageNumber"), 1, low=1, high=999_999)
        size = wire.number("pageSize", request.parameter("pageSize"), 10, low=1, high=MAX_PAGE_SIZE)
        every = self.queues.of_bucket(request.address.bucket, QUEUES[name], request.now)
        found = [
            item for item in every if (not wanted or item.queue_id in wanted) and state in (item.state, "All")
        ]
        shown = found if wanted else found[(number - 1) * size : number * size]
        counts = {} if wanted else {"TotalCount": len(found), "PageNumber": number, "PageSize": size}
        unknown: list[Value] = [item for item in wanted if item not in [queue.queue_id for queue in every]]
        return Answer.response(
            {
                "RequestId": request.request_id,
                **counts,
                "QueueList": [self._queue_detail(queue) for queue in shown],
                "NonExistPIDs": unknown,
            }
        )

    async def update_queue(self, request: Request, name: str, rest: str) -> Answer:
        """UpdateDocProcessQueue, UpdatePicProcessQueue, UpdateMediaQueue (1045/72919)."""
        every = self.queues.of_bucket(request.address.bucket, QUEUES[name], request.now)
        queue = next((item for item in every if item.queue_id == rest), None)
        if queue is None:
            raise ServiceError("QueueNotFound", f"queue {rest!r} does not exist among the {name}")
        wanted = queue_update.read(await request.body(), rest)
        await receivers.check_queue({**queue.notify, **wanted.notify})
        # Jobs are released before the update and held after it: if the server dies in between, no job is
        # held in an active queue.
        if wanted.state == queues.ACTIVE:
            self.jobs.hold(rest, held=False)
        updated = self.queues.update(
            queue, name=wanted.name, state=wanted.state, notify=wanted.notify, now=request.now
        )
        if wanted.state == queues.PAUSED:
            self.jobs.hold(rest, held=True)
        self.scheduler.wake()
        return Answer.response({"RequestId": request.request_id, "Queue": self._queue_detail(updated)})

    async def list_buckets(self, request: Request, name: str, rest: str) -> Answer:
        """DescribeDocProcessBuckets, DescribePicProcessBuckets (1045/74910, 72915)."""
        region = request.address.region
        regions = request.parameter("regions", "All").split(",")
        names = [item for item in request.parameter("bucketNames").split(",") if item]
        number = wire.number("pageNumber", request.parameter("pageNumber"), 1, low=1, high=999_999)
        size = wire.number("pageSize", request.parameter("pageSize"), 10, low=1, high=MAX_PAGE_SIZE)
        found = [
            bucket
            for bucket in self.store.buckets()
            if ("All" in regions or region in regions)
            and (not names or bucket in names)
            and bucket.startswith(request.parameter("bucketName"))
            and self.queues.is_bound(bucket, BINDINGS[name].feature)
        ]
        shown = found[(number - 1) * size : number * size]
        return Answer.response(
            {
                "RequestId": request.request_id,
                "TotalCount": len(found),
                "PageNumber": number,
                "PageSize": size,
                f"{BINDINGS[name].element}List": [self._bucket_detail(request, name, item) for item in shown],
            }
        )

    async def bind(self, request: Request, name: str, rest: str) -> Answer:
        """CreateDocProcessBucket, CreatePicProcessBucket (460/103608, 1045/72916): switch the feature on."""
        bucket = request.address.bucket
        self.queues.bind(bucket, BINDINGS[name].feature, bound=True)
        detail = self._bucket_detail(request, name, bucket)
        return Answer.response({"RequestId": request.request_id, BINDINGS[name].element: detail})

    async def unbind(self, request: Request, name: str, rest: str) -> Answer:
        """DeletePicProcessBucket (1045/72917): switch the feature off."""
        bucket = request.address.bucket
        self.queues.bind(bucket, BINDINGS[name].feature, bound=False)
        return Answer.response({"RequestId": request.request_id, "BucketName": bucket})

    def _queue_detail(self, queue: Queue) -> Mapping[str, Value]:
        return queue_detail(queue, max_size=self.queue_size, max_concurrent=self.queue_concurrency)

    def _bucket_detail(self, request: Request, name: str, bucket: str) -> Mapping[str, Value]:
        created = self.queues.of_bucket(bucket, BINDINGS[name].feature, request.now)[0].created
        alias: dict[str, Value] = {"AliasBucketId": ""} if name == "docbucket" else {}
        return {
            "BucketId": bucket,
            "Name": bucket,
            "Region": request.address.region,
            "CreateTime": wire.local_time(created),
            **alias,
        }
