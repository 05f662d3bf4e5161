"""The operator that pauses, resumes and changes queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow.sdk import Context

from airflow_provider_ci.client import CIClient, NotifyConfig, Queue, QueueState
from airflow_provider_ci.operators.base import CIOperator

_LIST: dict[str, Callable[[CIClient], list[Queue]]] = {
    "doc": CIClient.list_doc_queues,
    "pic": CIClient.list_pic_queues,
    "media": CIClient.list_media_queues,
}
_UPDATE: dict[str, Callable[..., Queue]] = {
    "doc": CIClient.update_doc_queue,
    "pic": CIClient.update_pic_queue,
    "media": CIClient.update_media_queue,
}


class AmbiguousQueueError(ValueError):
    """No queue was named, and there is not exactly one."""


class CIQueueOperator(CIOperator):
    """Pauses a queue, resumes it, or changes its name and callback.

    While a queue is paused its jobs wait; those that run end. What is not given stays as it is.

    :param kind: ``doc``, ``pic``, or ``media``, where ``/jobs`` run. (templated)
    :param queue_id: which queue; the bucket's only one of its kind if not given. (templated)
    :param state: ``Paused`` or ``Active``. (templated)
    :param name: a new name. (templated)
    :param notify: whom to tell that jobs have ended; takes some five minutes to have an effect.
        (templated inside)

    Returns ``{"queue_id", "name", "state"}`` as they are now.
    """

    template_fields: Sequence[str] = ("kind", "queue_id", "state", "name", "notify", "bucket", "region")

    def __init__(
        self,
        *,
        kind: str,
        queue_id: str | None = None,
        state: QueueState | str | None = None,
        name: str | None = None,
        notify: NotifyConfig | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.queue_id = queue_id
        self.state = state
        self.name = name
        self.notify = notify
        self.depend_on_values_in(notify)

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the queue.

        :raises AmbiguousQueueError: no queue is named, and the bucket has not exactly one.
        :raises ValueError: nothing is to be changed, or the state is none.
        """
        client = self.hook.client
        queue_id = self.queue_id or only_queue(client, self.kind)
        update = _call(_UPDATE, self.kind)
        queue = update(client, queue_id, name=self.name, state=self.state, notify=self.notify)
        self.log.info("queue %s (%s) is %s", queue.queue_id, queue.name, queue.state)
        return {"queue_id": queue.queue_id, "name": queue.name, "state": str(queue.state)}


def only_queue(client: CIClient, kind: str) -> str:
    """The id of the bucket's queue of this kind; the service makes one when a feature is switched on.

    :raises AmbiguousQueueError: it has none, or several.
    """
    queues: list[Queue] = _call(_LIST, kind)(client)
    if len(queues) != 1:
        known = ", ".join(f"{queue.queue_id} ({queue.name})" for queue in queues) or "none"
        raise AmbiguousQueueError(f"bucket {client.bucket} has these {kind} queues: {known}; give queue_id")
    return queues[0].queue_id


def _call(table: dict[str, Callable[..., Any]], kind: str) -> Callable[..., Any]:
    if kind not in table:
        raise ValueError(f"kind must be one of {', '.join(table)}, not {kind!r}")
    return table[kind]
