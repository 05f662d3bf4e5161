"""The base class of all sensors."""

from __future__ import annotations

import time
import traceback
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator, BaseSensorOperator, Context, PokeReturnValue

from airflow_provider_ci.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
    conf,
)
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.links import TaskLinks
from airflow_provider_ci.tasks.arguments import Reader, flag
from airflow_provider_ci.tasks.rendering import with_new_names
from airflow_provider_ci.tasks.task import CONNECTION, CITask, earliest
from airflow_provider_ci.triggers.base import CITrigger


class CISensor(CITask, BaseSensorOperator):
    """Waits in place, by rescheduling, or in the triggerer, and ends in the same way in all three cases.

    :param tencent_ci_conn_id: the Airflow connection. (templated)
    :param bucket: bucket to use in place of the connection's. (templated)
    :param region: region to use in place of the connection's. (templated)
    :param deferrable: wait in the triggerer, which holds no worker slot. (templated)
    """

    argument_types: ClassVar[Mapping[str, Reader]] = {**CONNECTION, "deferrable": flag}
    template_fields: Sequence[str] = tuple(argument_types)

    def __init__(
        self,
        *,
        tencent_ci_conn_id: str = CIHook.default_conn_name,
        bucket: str | None = None,
        region: str | None = None,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        kwargs = with_new_names(kwargs)
        conn_id = kwargs.pop("tencent_ci_conn_id", tencent_ci_conn_id)  # given under its old name
        super().__init__(**kwargs)
        self.tencent_ci_conn_id = conn_id
        self.bucket = bucket
        self.region = region
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Wait in place, or defer.

        :raises AirflowSensorTimeout: the wait took longer than ``timeout``.
        """
        self.look_around(self.begin(context))
        if not self.deferrable:
            return super().execute(context)
        deadline, end_of_try = time.time() + self.timeout, self.end_of_try()
        with self._failing_as_in_place():
            done = self._result_or_defer(lambda: self.poke(context), deadline, end_of_try)
        return done.xcom_value

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after a deferral; errors are handled as in place, unlike in Airflow's own sensors."""
        with self._failing_as_in_place():
            try:
                # Not super(): with soft_fail, Airflow turns every error into a skip here, but not in place.
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except TaskDeferralTimeout as error:
                raise AirflowSensorTimeout(*error.args) from error

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Continue after the trigger's event.

        :raises AirflowSensorTimeout: the wait took too long.
        :raises AirflowException: the wait failed, or the event is missing.
        """
        self.begin(context, event)
        note = (event or {}).get("note") or {}
        deadline, end_of_try = note.get("deadline") or time.time() + self.timeout, note.get("end_of_try")
        done = self._result_or_defer(
            lambda: self._after(context, event, deadline, end_of_try), deadline, end_of_try
        )
        return done.xcom_value

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """The same as :meth:`execute_complete`, for tasks that deferred before version 0.3."""
        return self.execute_complete(context, event)

    def _result_or_defer(
        self, look: Callable[[], PokeReturnValue], deadline: float, end_of_try: float | None
    ) -> PokeReturnValue:
        try:
            if done := look():
                return done
        except (AirflowSensorTimeout, AirflowFailException, AirflowSkipException):
            raise  # these decide how the task ends; silent_fail is about errors of a single poke
        except Exception:
            if not self.silent_fail or time.time() >= deadline:
                raise
            self.log.error("the sensor failed silently, and waits on:\n%s", traceback.format_exc())
        return self._defer(deadline, end_of_try)

    def _after(
        self, context: Context, event: dict[str, Any] | None, deadline: float, end_of_try: float | None
    ) -> PokeReturnValue:
        status = (event or {}).get("status")
        if event and status == "done":
            return self.after_event(context, event)
        if event and status == "timeout":
            # The trigger has only one deadline: the earlier of the two.
            if end_of_try is not None and end_of_try < deadline:
                self.raise_if_overdue(end_of_try, "What it waits for goes on.")
            raise AirflowSensorTimeout(f"{self.missing_in(event)} in {self.timeout:g} s")
        raise AirflowException(
            f"waiting failed: {(event or {}).get('message') or 'the trigger sent no event'}"
        )

    def _defer(self, deadline: float, end_of_try: float | None) -> NoReturn:
        trigger = self.trigger(earliest(deadline, end_of_try))
        trigger.note = {"deadline": deadline, "end_of_try": end_of_try}
        self.defer(trigger=trigger, method_name="execute_complete")

    @contextmanager
    def _failing_as_in_place(self) -> Iterator[None]:
        """Turn errors into skips where ``soft_fail`` and ``never_fail`` do so in poke mode."""
        try:
            yield
        except AirflowSensorTimeout as error:  # never_fail does not apply to a timeout in place either
            if self.soft_fail:
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise
        except (AirflowTaskTimeout, AirflowFailException) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise
        except AirflowSkipException:
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise

    def look_around(self, links: TaskLinks) -> None:
        """Prepare the wait; called once before the wait begins."""

    @abstractmethod
    def poke(self, context: Context) -> PokeReturnValue:
        """Check once whether the wait is over."""

    @abstractmethod
    def trigger(self, deadline: float) -> CITrigger:
        """The trigger that does the waiting."""

    @abstractmethod
    def after_event(self, context: Context, event: dict[str, Any]) -> PokeReturnValue:
        """The result after the trigger has reported the end of the wait."""

    @abstractmethod
    def missing_in(self, event: dict[str, Any]) -> str:
        """Describe what was still missing at the timeout, in words."""
