"""The one place that knows which features this Airflow has."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from airflow.sdk import Connection, Context

# The newest Airflow gives the types; it warns about the older places.
try:
    from airflow.sdk import BaseHook
except ImportError:  # Airflow 3.0
    from airflow.hooks.base import BaseHook  # type: ignore[attr-defined, no-redef]

try:
    from airflow.sdk import conf
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralTimeout,
    )
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.configuration import conf  # type: ignore[assignment]
    from airflow.exceptions import (  # type: ignore[attr-defined, no-redef]
        AirflowException,
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralTimeout,
    )

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseHook",
    "StateStore",
    "TaskDeferralTimeout",
    "allow_in_xcom",
    "base_url",
    "conf",
    "connection",
    "has_batch_pages",
    "pages_have_deep_links",
    "progress_store",
    "require_retry_policies",
    "server_connection",
    "state_store",
    "triggers_hear_of_kills",
    "was_killed_by_user",
]

log = logging.getLogger(__name__)

USER_KILLED = frozenset({"failed", "success", "skipped", "removed"})
"""States that a task gets while its work is still going on: a user marked it, or Airflow gave it up. A
cleared task is not among them: its next try takes over the job that it finds."""


class StateStore(Protocol):
    """Small values that outlive a try of a task (Airflow 3.3 and newer)."""

    def get(self, key: str) -> Any: ...  # noqa: D102

    def set(self, key: str, value: Any) -> None: ...  # noqa: D102

    def delete(self, key: str) -> None: ...  # noqa: D102


class _NoStore:
    """Stands in where Airflow has no task state store."""

    def get(self, key: str) -> Any:
        return None

    def set(self, key: str, value: Any) -> None:
        pass

    def delete(self, key: str) -> None:
        pass


class _XComStore(_NoStore):
    """Stands in for values that only have to be seen while a try of a task runs."""

    def __init__(self, ti: Any, key: str) -> None:
        self._ti = ti
        self._key = key

    def set(self, key: str, value: Any) -> None:
        self._ti.xcom_push(key=self._key, value=value)


def allow_in_xcom(*classes: type) -> None:
    """Let this process build instances of these classes of ours from XCom.

    Airflow builds only what an administrator allows or what Airflow itself knows; a task that imports our
    operators may read our own values.
    """
    try:
        from airflow.sdk import serde
    except ImportError:  # Airflow 3.0 and 3.1
        from airflow.serialization import serde  # type: ignore[attr-defined, no-redef]
    serde._extra_allowed.update(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)


def state_store(context: Context) -> StateStore:
    """The task's state store, or a stand-in that forgets where Airflow has no store."""
    store: StateStore | None = context.get("task_state_store")
    return store if store is not None else _NoStore()


def progress_store(context: Context, xcom_key: str) -> StateStore:
    """Where the progress of a task is kept: its state store, or an XCom where Airflow has no store."""
    store = state_store(context)
    ti = context.get("ti")
    return _XComStore(ti, xcom_key) if isinstance(store, _NoStore) and ti is not None else store


async def connection(conn_id: str) -> Connection:
    """The connection, for use in a trigger: asynchronously where Airflow can, else in a thread."""
    if hasattr(BaseHook, "aget_connection"):
        return await BaseHook.aget_connection(conn_id)
    return await asyncio.to_thread(BaseHook.get_connection, conn_id)


def server_connection(conn_id: str) -> Any:
    """The connection, for use in Airflow's API server.

    :raises AirflowException: it does not exist.
    """
    from airflow.models.connection import Connection as StoredConnection

    return StoredConnection.get_connection_from_secrets(conn_id)


def has_batch_pages() -> bool:
    """Whether the UI of this Airflow has our page of batches: 3.1 and newer, unless it is switched off."""
    from airflow.plugins_manager import AirflowPlugin

    is_wanted = conf.getboolean("tencent_ci", "batch_pages", fallback=True)
    return hasattr(AirflowPlugin, "external_views") and is_wanted


def pages_have_deep_links() -> bool:
    """Whether the UI opens any page of a plugin beside its menu, and not only the first one (Airflow 3.3)."""
    import airflow.sdk

    return hasattr(airflow.sdk, "RetryPolicy")  # it came with the same version


def base_url() -> str:
    """The address of Airflow's UI without a ``/`` at its end; empty where this process does not know it."""
    return (conf.get("api", "base_url", fallback="") or "").rstrip("/")


def triggers_hear_of_kills() -> bool:
    """Whether the triggerer calls ``on_kill`` (Airflow 3.3 and newer)."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def was_killed_by_user(ti: Any) -> bool:
    """Whether a user ended this task, or Airflow gave it up, by the state that Airflow's server has now.

    False as well where the server cannot be asked: then the work is better left running, for a retry.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        states = RuntimeTaskInstance.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
    except Exception as error:
        log.warning("cannot ask Airflow for the state of this task: %s", error)
        return False
    of_run = states.get(ti.run_id, {})
    return bool(of_run) and all(str(state) in USER_KILLED for state in of_run.values())


def require_retry_policies() -> None:
    """Return if tasks of this Airflow can have a retry policy.

    :raises ImportError: it is older than 3.3, whose operators refuse ``retry_policy``.
    """
    import airflow.sdk

    if not hasattr(airflow.sdk, "RetryPolicy"):
        raise ImportError(
            f"CIRetryPolicy needs Airflow 3.3 or newer, this is {airflow.__version__}: "
            "leave retry_policy out, and set retries and retry_delay"
        )
