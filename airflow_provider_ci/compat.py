"""Finds out which features the installed version of Airflow has; no other module checks this."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from airflow.sdk import Connection, Context

# The types come from the newest Airflow, which warns about the older import paths.
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
"""States of a task that a user has marked, or that Airflow has abandoned, while its work was still running.
The state of a cleared task is not among them: the next try of a cleared task adopts the jobs that it
finds."""


class StateStore(Protocol):
    """A store for small values that are kept from one try of a task to the next (Airflow 3.3 and newer)."""

    def get(self, key: str) -> Any: ...  # noqa: D102

    def set(self, key: str, value: Any) -> None: ...  # noqa: D102

    def delete(self, key: str) -> None: ...  # noqa: D102


class _NoStore:
    """A store that keeps nothing, for versions of Airflow without a task state store."""

    def get(self, key: str) -> Any:
        return None

    def set(self, key: str, value: Any) -> None:
        pass

    def delete(self, key: str) -> None:
        pass


class _XComStore(_NoStore):
    """A store in an XCom, for values that are only needed while a try of a task runs."""

    def __init__(self, ti: Any, key: str) -> None:
        self._ti = ti
        self._key = key

    def set(self, key: str, value: Any) -> None:
        self._ti.xcom_push(key=self._key, value=value)


def allow_in_xcom(*classes: type) -> None:
    """Allow this process to build instances of these classes from XCom.

    Airflow builds only instances of classes that it knows itself or that an administrator allows. A task that
    imports this package's operators may also read this package's value objects.
    """
    try:
        from airflow.sdk import serde
    except ImportError:  # Airflow 3.0 and 3.1
        from airflow.serialization import serde  # type: ignore[attr-defined, no-redef]
    serde._extra_allowed.update(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)


def state_store(context: Context) -> StateStore:
    """The task's state store; if Airflow has none, a store that keeps nothing."""
    store: StateStore | None = context.get("task_state_store")
    return store if store is not None else _NoStore()


def progress_store(context: Context, xcom_key: str) -> StateStore:
    """The store for the progress of a task: its state store, or an XCom if Airflow has no state store."""
    store = state_store(context)
    ti = context.get("ti")
    return _XComStore(ti, xcom_key) if isinstance(store, _NoStore) and ti is not None else store


async def connection(conn_id: str) -> Connection:
    """Read a connection in a trigger: asynchronously if this Airflow can, otherwise in a thread."""
    if hasattr(BaseHook, "aget_connection"):
        return await BaseHook.aget_connection(conn_id)
    return await asyncio.to_thread(BaseHook.get_connection, conn_id)


def server_connection(conn_id: str) -> Any:
    """Read a connection in Airflow's API server.

    :raises AirflowException: the connection does not exist.
    """
    from airflow.models.connection import Connection as StoredConnection

    return StoredConnection.get_connection_from_secrets(conn_id)


def has_batch_pages() -> bool:
    """Whether Airflow's UI has the pages of batches: Airflow 3.1 and newer, unless they are switched off."""
    from airflow.plugins_manager import AirflowPlugin

    is_wanted = conf.getboolean("tencent_ci", "batch_pages", fallback=True)
    return hasattr(AirflowPlugin, "external_views") and is_wanted


def pages_have_deep_links() -> bool:
    """Whether the UI can show any page of a plugin beside its menu, not only the first page (Airflow 3.3)."""
    import airflow.sdk

    return hasattr(airflow.sdk, "RetryPolicy")  # both features came with Airflow 3.3


def base_url() -> str:
    """The address of Airflow's UI without a ``/`` at its end; empty if this process does not know it."""
    return (conf.get("api", "base_url", fallback="") or "").rstrip("/")


def triggers_hear_of_kills() -> bool:
    """Whether the triggerer calls ``on_kill`` (Airflow 3.3 and newer)."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def was_killed_by_user(ti: Any) -> bool:
    """Whether a user ended this task, or Airflow abandoned it, according to the state in Airflow's server.

    Also False if the state cannot be read: in that case the work keeps running, so that a retry can resume
    it.
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
    """Check that tasks of this Airflow can have a retry policy.

    :raises ImportError: Airflow is older than 3.3, and its operators refuse ``retry_policy``.
    """
    import airflow.sdk

    if not hasattr(airflow.sdk, "RetryPolicy"):
        raise ImportError(
            f"CIRetryPolicy needs Airflow 3.3 or newer, this is {airflow.__version__}: "
            "leave retry_policy out, and set retries and retry_delay"
        )
