"""Finds the operation that a request to a CI host asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.hosts.ci_jobs import FAMILIES, LISTED, JobOperations
from airflow_provider_ci.local.hosts.ci_queues import BINDINGS, QUEUES, QueueOperations
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.jobs import templates
from airflow_provider_ci.local.jobs.templates import Templates
from airflow_provider_ci.local.objects.store import Store

# How the service names the paths of its other features: /file_jobs, /asrbucket, /workflowexecution …
_OTHER_ENDINGS = ("job", "jobs", "queue", "bucket", "template", "auditing")
_OTHER_BEGINNINGS = ("workflow", "triggerworkflow", "dataset", "filemeta", "playkey")
_OTHER_NAMES = frozenset(
    {"audio", "document", "image", "livevideo", "report", "text", "video", "virus", "webpage"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CIService:
    """Handles the requests to a CI host."""

    store: Store
    jobs: JobOperations
    queues: QueueOperations
    templates: Templates

    async def answer(self, request: Request) -> Answer:
        """Find the operation by method and path, and do it.

        :raises ServiceError: the operation is refused, unknown (``InvalidUrl``) or left out
            (``NotImplemented``).
        """
        name, _, rest = request.path[1:].partition("/")
        handler = _ROUTES.get((request.method, name, bool(rest)))
        if handler is None:
            raise _no_route(request, name)
        needs_bucket = (request.method, name) not in _WITHOUT_BUCKET
        if needs_bucket:
            self._check_bucket(request)
        return await handler(self, request, name, rest)

    def _check_bucket(self, request: Request) -> None:
        if not request.address.bucket:
            raise ServiceError(
                "InvalidHost", f"{request.method} {request.path} needs a bucket in the host name"
            )
        self.store.require_bucket(request.address.bucket)


_Handler = Callable[[CIService, Request, str, str], Awaitable[Answer]]


def _on_jobs(operation: Callable[[JobOperations, Request, str, str], Awaitable[Answer]]) -> _Handler:
    async def handle(service: CIService, request: Request, name: str, rest: str) -> Answer:
        return await operation(service.jobs, request, name, rest)

    return handle


def _on_queues(operation: Callable[[QueueOperations, Request, str, str], Awaitable[Answer]]) -> _Handler:
    async def handle(service: CIService, request: Request, name: str, rest: str) -> Answer:
        return await operation(service.queues, request, name, rest)

    return handle


def _on_templates(operation: templates.Operation) -> _Handler:
    async def handle(service: CIService, request: Request, name: str, rest: str) -> Answer:
        return await operation(service.templates, request, rest)

    return handle


# The keys are the method, the first part of the path, and whether an id follows.
_ROUTES: dict[tuple[str, str, bool], _Handler] = {
    **{("POST", name, False): _on_jobs(JobOperations.submit) for name in FAMILIES},
    **{("GET", name, True): _on_jobs(JobOperations.get) for name in FAMILIES},
    **{("GET", name, False): _on_jobs(JobOperations.list_jobs) for name in LISTED},
    **{("PUT", name, True): _on_jobs(JobOperations.cancel) for name in ("doc_jobs", "jobs")},
    **{("GET", name, False): _on_queues(QueueOperations.list_queues) for name in QUEUES},
    **{("PUT", name, True): _on_queues(QueueOperations.update_queue) for name in QUEUES},
    **{("GET", name, False): _on_queues(QueueOperations.list_buckets) for name in BINDINGS},
    **{("POST", name, False): _on_queues(QueueOperations.bind) for name in BINDINGS},
    ("DELETE", "picbucket", False): _on_queues(QueueOperations.unbind),
    **{
        (method, "template", has_id): _on_templates(operation)
        for (method, has_id), operation in templates.OPERATIONS.items()
    },
}
_WITHOUT_BUCKET = frozenset(("GET", name) for name in BINDINGS)


def _is_left_out(name: str) -> bool:
    return name in _OTHER_NAMES or name.endswith(_OTHER_ENDINGS) or name.startswith(_OTHER_BEGINNINGS)


def _no_route(request: Request, name: str) -> ServiceError:
    if name in {known for _, known, _ in _ROUTES}:
        return ServiceError("MethodNotAllowed", f"{request.method} {request.path} is not an operation of CI")
    if _is_left_out(name.lower()):
        return ServiceError("NotImplemented", f"the local CI does not know {request.method} /{name}")
    return ServiceError("InvalidUrl", f"no operation of CI has the path {request.path!r}")
