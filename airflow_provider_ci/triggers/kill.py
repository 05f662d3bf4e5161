"""The base class of triggers that cancel jobs when a user ends their task."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any

from airflow_provider_ci import compat
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.triggers.base import CITrigger

_CANCELLING: set[asyncio.Task[None]] = set()
"""The asyncio tasks that cancel jobs. The event loop holds only weak references to its tasks."""


class CancellingTrigger(CITrigger):
    """Waits for jobs, and cancels jobs that have not started when a user ends the task."""

    cancel_on_kill: bool
    """Whether the trigger cancels jobs; only Airflow 3.3 and newer notify a trigger of a kill."""

    async def on_kill(self) -> None:
        """Cancel waiting jobs, once Airflow confirms that a user ended the task.

        The check is needed because a triggerer that was disconnected for a while calls this method for tasks
        that continue elsewhere. The triggerer cancels a trigger again while its ``on_kill`` runs (seen with
        3.3.2, some seconds later), so the work is done in an asyncio task of its own.
        """
        if not self.cancel_on_kill or self.task_instance is None:
            return
        # apache/airflow pull request 73454: a triggerer that lost its heartbeat calls on_kill for triggers
        # that another triggerer has taken over.
        cancelling = asyncio.create_task(self._cancel_if_killed())
        _CANCELLING.add(cancelling)
        cancelling.add_done_callback(_CANCELLING.discard)
        await asyncio.shield(cancelling)

    async def _outcome(self) -> dict[str, Any]:
        """Wait, and return the event.

        Before the wait, this reads the task's state from Airflow once, because the first such request of a
        triggerer takes some seconds (7 with 3.3.2), and ``on_kill`` needs a fast response.
        """
        if self.cancel_on_kill and self.task_instance is not None and compat.triggers_hear_of_kills():
            await asyncio.to_thread(compat.was_killed_by_user, self.task_instance)
        return await super()._outcome()

    async def _cancel_if_killed(self) -> None:
        if await asyncio.to_thread(compat.was_killed_by_user, self.task_instance):
            with await self._client() as client:
                await asyncio.to_thread(self._cancel, client)

    @abstractmethod
    def _cancel(self, client: CIClient) -> None:
        """Cancel the jobs that have not started. This call blocks."""
