"""Links from a task to its job, its queue and its report.

Airflow itself notes the links of a task when the task has ended. Here each is told as soon as it is known, so
that it can be followed while the task runs: to the local CI's own pages, or to the cloud's console.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink, Context

from airflow_provider_ci.client.address import is_loopback
from airflow_provider_ci.hooks import CIHook

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

_CONSOLE = "https://console.cloud.tencent.com"


class _ToldLink(BaseOperatorLink):
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """What was told while the task ran: Airflow overwrites it with this when the task has ended.

        By the operator itself, or before its deferral by one in another process.
        """
        from airflow.sdk.execution_time.xcom import XCom

        links: TaskLinks | None = getattr(operator, "task_links", None)
        if links is not None:
            return links.urls.get(self.xcom_key, "")
        return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""


class CIJobLink(_ToldLink):
    """To the one job of a task."""

    name = "CI job"


class CIQueueLink(_ToldLink):
    """To the queue in which the jobs of a task wait."""

    name = "CI queue"


class CIReportLink(_ToldLink):
    """To the report of a batch; as long as there is none, to what is known of the batch."""

    name = "CI report"


class TaskLinks:
    """The links of the task that runs; its operator keeps them as ``task_links``.

    :param hook: of the connection, which says whether a local CI or the cloud has the pages.
    """

    def __init__(self, context: Context, hook: CIHook) -> None:
        self._context = context
        self.urls: dict[str, str] = {}
        """What was told, by the key of the link's XCom."""
        endpoint = urlsplit(hook.get_connection(hook.conn_id).extra_dejson.get("endpoint") or "")
        is_local = endpoint.scheme == "http" and is_loopback(endpoint.hostname or "")
        bucket, region = hook.client.bucket, hook.client.region
        self._pages: _LocalPages | _ConsolePages = (
            _LocalPages(base=f"http://{endpoint.netloc}/_local", bucket=bucket)
            if is_local
            else _ConsolePages(place=f"bucket={quote(bucket)}&region={quote(region)}")
        )

    def tell_job(self, job_id: str) -> None:
        """The task's job is known."""
        self._tell(CIJobLink(), self._pages.job(job_id))

    def tell_queue(self, queue_id: str | None) -> None:
        """The task's queue is known, or it is the default one."""
        self._tell(CIQueueLink(), self._pages.queue(queue_id))

    def tell_report(self, folder: str, name: str) -> None:
        """The report is the object ``name`` in ``folder``, which ends with ``/``."""
        self._tell(CIReportLink(), self._pages.report(folder, name))

    def _tell(self, link: BaseOperatorLink, url: str) -> None:
        if url:
            self.urls[link.xcom_key] = url
            self._context["ti"].xcom_push(key=link.xcom_key, value=url)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LocalPages:
    """Each thing has a page of its own; the default queue has one only under its id."""

    base: str
    bucket: str

    def job(self, job_id: str) -> str:
        return f"{self.base}/jobs/{quote(job_id)}"

    def queue(self, queue_id: str | None) -> str:
        return f"{self.base}/queues/{quote(queue_id)}" if queue_id else ""

    def report(self, folder: str, name: str) -> str:
        return f"{self.base}/objects/{self.bucket}/{quote(folder + name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ConsolePages:
    """The console has no address for one job or one queue; the bucket's page of CI leads to both."""

    place: str

    def job(self, job_id: str) -> str:
        return f"{_CONSOLE}/ci/bucket?{self.place}"

    def queue(self, queue_id: str | None) -> str:
        return f"{_CONSOLE}/ci/bucket?{self.place}"

    def report(self, folder: str, name: str) -> str:
        path = quote(quote(f"/{folder}", safe=""), safe="")  # twice, as the console itself writes it
        return f"{_CONSOLE}/cos/bucket?{self.place}&path={path}"
