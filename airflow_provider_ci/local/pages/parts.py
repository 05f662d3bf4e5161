"""What the pages work with: the parts of the running server, a visit, and what a view hands to a template."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_ci.client.signing import Credentials
from airflow_provider_ci.local.errors import Service
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.counts import RequestCounts
from airflow_provider_ci.local.http.faults import Faults
from airflow_provider_ci.local.http.request import Address, Request
from airflow_provider_ci.local.http.traits import TraitSwitch
from airflow_provider_ci.local.jobs.jobs import Jobs
from airflow_provider_ci.local.jobs.queues import Queues
from airflow_provider_ci.local.objects.folders import Folders
from airflow_provider_ci.local.objects.store import Store
from airflow_provider_ci.local.pages.overview import Overview
from airflow_provider_ci.local.sync.sync import SyncProcessing

FOLDER = "/_local/"
REGION = "ap-guangzhou"
"""The local CI takes any region; the pages submit with this one."""

_AUTHORITY = re.compile("^https?://[^/]*", re.IGNORECASE)

Operation = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the running server. ``ci`` handles a request like a signed request to a CI host."""

    store: Store
    jobs: Jobs
    queues: Queues
    overview: Overview
    ci: Operation
    sync: SyncProcessing
    faults: Faults
    traits: TraitSwitch
    counts: RequestCounts
    credentials: Credentials
    is_example_key: bool
    """Whether the key is the documented example, which may be shown."""
    converts: bool
    """Whether documents and pictures are really converted, so that there are previews."""
    workers: int
    queue_size: int
    queue_concurrency: int
    certificate: str = ""
    """The file that clients have to trust; empty without TLS."""
    folders: Folders = field(default_factory=Folders)

    async def call(
        self, visit: Visit, method: str, bucket: str, path: str, body: bytes = b"", query: str = ""
    ) -> Answer:
        """Call the API as a signed request to the bucket's CI host would.

        :raises ServiceError: the API refuses the request.
        """
        parameters = [(query, "")] if query else []
        return await self.ci(inner_request(visit.request, Service.CI, method, bucket, path, parameters, body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request for a page: ``rest`` is the part of its path after the kind of page."""

    request: Request
    rest: str = ""

    @property
    def base(self) -> str:
        """The relative path to ``/_local/`` from the address that the browser shows."""
        if not self.request.path.startswith(FOLDER):
            return FOLDER[1:]
        path = _AUTHORITY.sub("", self.request.http.raw_path).partition("?")[0]
        return "../" * (path.count("/") - FOLDER.count("/")) or "./"

    @property
    def endpoint(self) -> str:
        """The address of the local CI as the browser reached it."""
        return f"{self.request.http.scheme}://{self.request.host}"

    @property
    def now(self) -> float:
        """The time by the service's clock, in Unix seconds."""
        return self.request.now

    def parameter(self, name: str) -> str:
        """A parameter of the address, ``""`` if it is missing."""
        return self.request.parameter(name)

    def number(self, name: str, default: int, low: int = 1, high: int = 2**53) -> int:
        """A number in the address; the default for any other text."""
        text = self.request.parameter(name)
        value = int(text) if text.isdecimal() and len(text) < 16 else default
        return min(max(value, low), high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A template and its values."""

    template: str
    title: str
    values: Mapping[str, object] = field(default_factory=dict)
    refresh: int = 0
    """Seconds after which the page reloads itself; 0: never."""
    status: int = 200


def inner_request(
    outer: Request,
    service: Service,
    method: str,
    bucket: str,
    path: str,
    query: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Request:
    """A request of the local CI to itself, on behalf of a page, without signature and faults."""
    request = Request(
        method=method,
        host=outer.host,
        path=path,
        query=list(query),
        request_id=outer.request_id,
        now=outer.now,
        http=outer.http,
        kept_body=body,
    )
    request.address = Address(service=service, bucket=bucket, region=REGION)
    return request
