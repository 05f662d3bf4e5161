"""Cancelling jobs when a user ends the task that a trigger waits for."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any

from airflow_provider_ci import compat
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.triggers.base import CITrigger

_CANCELLING: set[asyncio.Task[None]] = set()
"""Holds the tasks that cancel jobs: the event loop alone does not keep a task alive."""


class CancellingTrigger(CITrigger):
    """Waits for jobs, and cancels waiting ones when a user ends the task."""

    cancel_on_kill: bool
    """Whether it does so; only Airflow 3.3 and newer notify a trigger."""

    async def on_kill(self) -> None:
        """Cancel waiting jobs, once Airflow confirms that a user ended the task.

        It asks first: a triggerer that was away for a while calls this for tasks that go on elsewhere. The
        triggerer cancels a trigger again while its ``on_kill`` runs (seen with 3.3.2, some seconds later); a
        task of its own goes on all the same.
        """
        if not self.cancel_on_kill or self.task_instance is None:
            return
        # apache/airflow pull request 73454: a triggerer that lost its heartbeat calls on_kill for triggers
        # that others have taken over.
        cancelling = asyncio.create_task(self._cancel_if_killed())
        _CANCELLING.add(cancelling)
        cancelling.add_done_callback(_CANCELLING.discard)
        await asyncio.shield(cancelling)

    async def _outcome(self) -> dict[str, Any]:
        """The event.

        Airflow is asked for the task's state once before the wait, as on_kill will: a triggerer takes some
        seconds for its first question (7 with 3.3.2).
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
        """Cancel the jobs that have not begun. It blocks."""
