"""Links from a task to its job, its queue, its batch and its report.

Airflow itself stores the links of a task only when the task has ended. This module pushes each link as soon
as it is known, so that users can open it while the task runs. The links lead to the local CI's own pages, or
to the service's console.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink, Context

from airflow_provider_ci.client.http.address import is_loopback
from airflow_provider_ci.hooks import CIHook

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

_CONSOLE = "https://console.cloud.tencent.com"


class _ToldLink(BaseOperatorLink):
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address that the task pushed while it ran; Airflow calls this when the task has ended."""
        from airflow.sdk.execution_time.xcom import XCom

        links: TaskLinks | None = getattr(operator, "task_links", None)
        if links is not None:
            return links.urls.get(self.xcom_key, "")
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


class CIJobLink(_ToldLink):
    """Leads to the job of a task that has one job."""

    name = "CI job"


class CIQueueLink(_ToldLink):
    """Leads to the queue in which the jobs of a task wait."""

    name = "CI queue"


class CIBatchLink(_ToldLink):
    """Leads to the page of a batch in Airflow's UI (Airflow 3.1 and newer)."""

    name = "CI batch"


class CIReportLink(_ToldLink):
    """Leads to the results of a batch on its page.

    If Airflow has no such page, the link leads to the report, and before the report is written, to
    ``plan.json``.
    """

    name = "CI report"


class TaskLinks:
    """The links of the running task; its operator keeps this object as ``task_links``.

    :param hook: hook of the connection, which decides whether the links lead to a local CI or to the console.
    :param task: the operator; it gets only the links that have an address, so that Airflow stores no empty
        links.
    """

    def __init__(self, context: Context, hook: CIHook, task: Any = None) -> None:
        self._context = context
        self._hook = hook
        self._task = task
        self.urls: dict[str, str] = {}
        """The pushed addresses, by the key of the link's XCom."""

    def tell_job(self, job_id: str) -> str:
        """Push the link to the task's job, and return its address."""
        return self._tell(CIJobLink(), self._pages.job(job_id))

    def tell_queue(self, queue_id: str | None, default: Callable[[], str | None] = lambda: None) -> str:
        """Push the link to the task's queue, and return its address.

        :param queue_id: the queue; None for the default queue.
        :param default: finds the id of the default queue; called only if a page needs the id.
        """
        if queue_id is None and self._pages.needs_queue_id:
            queue_id = default()
        return self._tell(CIQueueLink(), self._pages.queue(queue_id))

    def tell_batch(self, url: str) -> str:
        """Push the link to the page of the batch; an empty address means that there is no page."""
        return self._tell(CIBatchLink(), url)

    def tell_report(self, folder: str, name: str) -> str:
        """Push the link to the report: the object ``name`` in ``folder``, which ends with ``/``."""
        page = self.urls.get(CIBatchLink().xcom_key, "")
        file = self._pages.object(folder + name)
        return self._tell(CIReportLink(), f"{page}#objects" if is_absolute(page) else file)

    def of_object(self, key: str) -> str:
        """The address of a page that shows an object of the bucket."""
        return self._pages.object(key)

    @cached_property
    def _pages(self) -> _LocalPages | _ConsolePages:
        connection = self._hook.get_connection(self._hook.tencent_ci_conn_id)
        endpoint = urlsplit(connection.extra_dejson.get("endpoint") or "")
        bucket, region = self._hook.client.bucket, self._hook.client.region
        if endpoint.scheme == "http" and is_loopback(endpoint.hostname or ""):
            return _LocalPages(base=f"http://{endpoint.netloc}/_local", bucket=bucket)
        return _ConsolePages(place=f"bucket={quote(bucket)}&region={quote(region)}")

    def _tell(self, link: BaseOperatorLink, url: str) -> str:
        if url:
            if self._task is not None and link.xcom_key not in self.urls:
                self._task.operator_extra_links = (*self._task.operator_extra_links, link)
            self.urls[link.xcom_key] = url
            if (ti := self._context.get("ti")) is not None:
                ti.xcom_push(key=link.xcom_key, value=url)
        return url


def is_absolute(url: str) -> bool:
    """Whether an address names its host, so that it works outside of Airflow's UI too."""
    return bool(urlsplit(url).netloc)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LocalPages:
    """Addresses of the local CI's pages; even the page of the default queue needs the queue's id."""

    base: str
    bucket: str
    needs_queue_id = True

    def job(self, job_id: str) -> str:
        return f"{self.base}/jobs/{quote(job_id)}"

    def queue(self, queue_id: str | None) -> str:
        return f"{self.base}/queues/{quote(queue_id)}" if queue_id else ""

    def object(self, key: str) -> str:
        return f"{self.base}/objects/{self.bucket}/{quote(key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ConsolePages:
    """Addresses in the console, which has no page for one job or queue: both lead to the bucket."""

    place: str
    needs_queue_id = False

    def job(self, job_id: str) -> str:
        return f"{_CONSOLE}/ci/bucket?{self.place}"

    def queue(self, queue_id: str | None) -> str:
        return f"{_CONSOLE}/ci/bucket?{self.place}"

    def object(self, key: str) -> str:
        folder = key[: key.rfind("/") + 1]  # the console has addresses of folders only
        path = quote(quote(f"/{folder}", safe=""), safe="")  # twice, as the console itself writes it
        return f"{_CONSOLE}/cos/bucket?{self.place}&path={path}"
