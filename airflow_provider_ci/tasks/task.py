"""The base of all operators and sensors: the connection, and the time limits of a task."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_ci.compat import AirflowTaskTimeout
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.links import TaskLinks
from airflow_provider_ci.tasks.arguments import Reader, optional, text
from airflow_provider_ci.tasks.rendering import Templated

CONNECTION: Mapping[str, Reader] = {
    "tencent_ci_conn_id": text,
    "bucket": optional(text),
    "region": optional(text),
}
"""The arguments that all operators and sensors have."""


class CITask(Templated):
    """Mixin for an operator or a sensor that works on the bucket of a ``tencent_ci`` connection."""

    task_links: TaskLinks | None = None
    """The links that this process has pushed."""
    if TYPE_CHECKING:
        tencent_ci_conn_id: str
        bucket: str | None
        region: str | None

    @property
    def conn_id(self) -> str:
        """The connection id, under the name that it had before version 0.3."""
        warnings.warn("conn_id is now called tencent_ci_conn_id", DeprecationWarning, stacklevel=2)
        return self.tencent_ci_conn_id

    @cached_property
    def hook(self) -> CIHook:
        """The hook of the connection; the connection is read when its client is first used."""
        return CIHook(self.tencent_ci_conn_id, bucket=self.bucket, region=self.region)

    def begin(self, context: Context, event: Mapping[str, Any] | None = None) -> TaskLinks:
        """Read the arguments, and start with no links. Call this first in each process of a try.

        :param event: event of the trigger; the task continues in the bucket in which it was deferred.
        """
        self.read_arguments()
        for name, value in ((event or {}).get("connection") or {}).items():
            if name in CONNECTION:
                setattr(self, name, value)
        self.task_links = TaskLinks(context, self.hook, task=self)
        return self.task_links

    def _do_render_template_fields(self, *args: Any, **kwargs: Any) -> None:
        """Render as Airflow does, for plain and mapped tasks; Airflow calls this first in each process."""
        # At the end, Airflow pushes each link of the task, even an empty link of a task that failed at once.
        self.operator_extra_links = ()
        super()._do_render_template_fields(*args, **kwargs)

    def end_of_try(self) -> float | None:
        """Unix time at which ``execution_timeout`` ends this try; a deferral does not extend this time."""
        if self.execution_timeout is None:
            return None
        return time.time() + self.execution_timeout.total_seconds()

    def connection_of_trigger(self) -> dict[str, Any]:
        """The arguments that every trigger takes."""
        return {
            "tencent_ci_conn_id": self.tencent_ci_conn_id,
            "bucket": self.bucket,
            "region": self.region,
        }

    def raise_if_overdue(self, end_of_try: float | None, what_goes_on: str) -> None:
        """Fail as Airflow does in place if the try has used up its ``execution_timeout``.

        :param what_goes_on: a sentence that says which work continues.
        """
        if end_of_try is not None and time.time() >= end_of_try and self.execution_timeout is not None:
            limit = self.execution_timeout.total_seconds()
            raise AirflowTaskTimeout(f"execution_timeout of {limit:g} s is over. {what_goes_on}")


def earliest(*moments: float | None) -> float:
    """The earliest of these Unix times; None is ignored."""
    return min(moment for moment in moments if moment is not None)
