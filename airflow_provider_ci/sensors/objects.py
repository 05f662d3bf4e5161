"""The sensor that waits for objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from airflow.sdk import Context, PokeReturnValue, XComArg

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.batch.sources.arrivals import Arrival, Sighting
from airflow_provider_ci.sensors.base import CISensor
from airflow_provider_ci.tasks.arguments import Reader, Seconds, anything, seconds, whole_number
from airflow_provider_ci.tasks.progress import HumanPace, immediate_pace
from airflow_provider_ci.triggers import CIObjectsTrigger
from airflow_provider_ci.triggers.base import FIRST_LOOK_SECONDS


class CIObjectsSensor(CISensor):
    """Waits until enough objects exist and no object has been written for some time.

    There are three ways of waiting: ``mode="poke"``, ``mode="reschedule"``, and ``deferrable=True``. Each
    poke lists the prefix, with a thousand objects per request. Every argument is templated.

    :param source: the objects to wait for; with ``modified_after``, only new objects count.
    :param min_objects: minimum number of objects.
    :param settled_seconds: the objects count as complete when none of them was written for this time, in
        seconds or as a ``timedelta``.
    :param deferrable: wait in the triggerer, which holds no worker slot.

    Returns ``{"objects": number, "bytes": total size, "newest": time of the last write}``.
    """

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **CISensor.argument_types,
        "source": anything,
        "min_objects": whole_number(),
        "settled_seconds": seconds,
    }
    template_fields: Sequence[str] = tuple(argument_types)
    template_fields_renderers: ClassVar[dict[str, str]] = {"source": "json"}

    def __init__(
        self,
        *,
        source: ObjectSelection | XComArg,
        min_objects: int | str = 1,
        settled_seconds: Seconds = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.min_objects: Any = min_objects
        self.settled_seconds: Any = settled_seconds
        self._seen: Sighting | None = None
        self.keep_arguments("source", "min_objects", "settled_seconds")

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once. If the service is unavailable, keep waiting."""
        self.read_arguments()
        self._seen = self._arrival.look_patiently(self.hook.client)
        if self._seen is None:
            return PokeReturnValue(is_done=False)
        if missing := self._arrival.missing(self._seen):
            if self._pace.is_time():
                self.log.info("still waiting: %s", missing)
            return PokeReturnValue(is_done=False)
        return self._arrived(self._seen.to_json())

    def trigger(self, deadline: float) -> CIObjectsTrigger:
        """The trigger that does the waiting."""
        soon = self._arrival.wait_seconds(self._seen, self.poke_interval)
        return CIObjectsTrigger(
            arrival=self._arrival.to_json(),
            **self.connection_of_trigger(),
            deadline=deadline,
            poll_interval=self.poke_interval,
            # The sensor has just listed the objects, and a trigger that fires at once is unsafe.
            first_wait=max(soon, FIRST_LOOK_SECONDS),
        )

    def after_event(self, context: Context, event: dict[str, Any]) -> PokeReturnValue:
        """Return what the trigger has found."""
        return self._arrived(event["found"])

    def missing_in(self, event: dict[str, Any]) -> str:
        """Say which objects have not arrived."""
        return f"the objects {self.source.described()} have not arrived"

    def _arrived(self, found: dict[str, Any]) -> PokeReturnValue:
        self.log.info(
            "arrived: %s objects %s, %s bytes, the newest of %s",
            *(f"{found['objects']:,}", self.source.described(), f"{found['bytes']:,}", found["newest"]),
        )
        return PokeReturnValue(is_done=True, xcom_value=found)

    @cached_property
    def _pace(self) -> HumanPace:
        return immediate_pace()

    @cached_property
    def _arrival(self) -> Arrival:
        if not isinstance(self.source, ObjectSelection):
            raise TypeError(f"source must be an ObjectSelection, not {self.source!r}")
        return Arrival(source=self.source, min_objects=self.min_objects, settled_seconds=self.settled_seconds)
