"""The sensor that waits for objects."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NoReturn

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.batch.arrivals import Arrival, Sighting
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.compat import AirflowException, AirflowSensorTimeout, conf
from airflow_provider_ci.hooks import CIHook
from airflow_provider_ci.rendering import RendersRecords
from airflow_provider_ci.triggers import CIObjectsTrigger
from airflow_provider_ci.triggers.base import FIRST_LOOK_SECONDS


class CIObjectsSensor(RendersRecords, BaseSensorOperator):
    """Waits until objects have arrived: new ones, enough of them, and no more on their way.

    All three ways of waiting are there: ``mode="poke"``, ``mode="reschedule"``, and ``deferrable=True``. Each
    look lists the prefix, a thousand objects a request.

    :param source: which objects; ``modified_after`` makes it wait for new ones. (templated inside)
    :param min_objects: how many, at least.
    :param settled_seconds: how long none of them may have been written before they count as complete.
    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket. (templated)
    :param region: takes the place of the connection's region. (templated)
    :param deferrable: wait in the triggerer, which holds no worker slot.

    Returns ``{"objects": how many, "bytes": in all, "newest": when the last was written}``.
    """

    template_fields: Sequence[str] = ("source", "bucket", "region")

    def __init__(
        self,
        *,
        source: ObjectSelection,
        min_objects: int = 1,
        settled_seconds: float = 0.0,
        conn_id: str = CIHook.default_conn_name,
        bucket: str | None = None,
        region: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.min_objects = min_objects
        self.settled_seconds = settled_seconds
        self.conn_id = conn_id
        self.bucket = bucket
        self.region = region
        self.deferrable = deferrable
        self._seen: Sighting | None = None
        self.depend_on_values_in(source)

    def execute(self, context: Context) -> Any:
        """Wait in place, by rescheduling, or in the triggerer.

        :raises AirflowSensorTimeout: the objects have not arrived in time.
        """
        if not self.deferrable:
            return super().execute(context)
        if done := self.poke(context):
            return done.xcom_value
        return self._defer()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; while the service is away, nothing has arrived."""
        self._seen = self._arrival.look_patiently(self._client)
        if self._seen is None:
            return PokeReturnValue(is_done=False)
        if missing := self._arrival.missing(self._seen):
            self.log.info("still waiting: %s", missing)
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._seen.to_json())

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Go on after the trigger's event.

        :raises AirflowSensorTimeout: the event says that the wait took too long.
        :raises AirflowException: it says that the wait failed, or there is none.
        """
        status = (event or {}).get("status")
        if event and status == "done":
            return event["found"]
        if status == "timeout":
            raise AirflowSensorTimeout(
                f"the objects under {self.source.prefix!r} have not arrived in {self.timeout:g} s"
            )
        raise AirflowException(f"waiting for objects failed: {(event or {}).get('message') or 'no event'}")

    def _defer(self) -> NoReturn:
        self.defer(
            trigger=CIObjectsTrigger(
                arrival=self._arrival.to_json(),
                conn_id=self.conn_id,
                bucket=self.bucket,
                region=self.region,
                deadline=time.time() + self.timeout,
                poll_interval=self.poke_interval,
                first_wait=max(
                    self._arrival.wait_seconds(self._seen, self.poke_interval), FIRST_LOOK_SECONDS
                ),
            ),
            method_name="resume",
        )

    @cached_property
    def _client(self) -> CIClient:
        return CIHook(self.conn_id, bucket=self.bucket, region=self.region).client

    @cached_property
    def _arrival(self) -> Arrival:
        return Arrival(source=self.source, min_objects=self.min_objects, settled_seconds=self.settled_seconds)
