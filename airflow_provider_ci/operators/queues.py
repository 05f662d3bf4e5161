"""The operator that pauses, resumes and changes queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from airflow_provider_ci.client import CIClient, CIError, NotifyConfig, Queue, QueueState
from airflow_provider_ci.jobs.kinds import Operation, type_of_operation
from airflow_provider_ci.links import CIQueueLink
from airflow_provider_ci.operators.base import CIOperator
from airflow_provider_ci.tasks.arguments import Reader, anything, one_of, optional, text

_LIST: dict[str, Callable[[CIClient], list[Queue]]] = {
    "doc": CIClient.list_doc_queues,
    "pic": CIClient.list_pic_queues,
    "media": CIClient.list_media_queues,
    "file": CIClient.list_file_queues,
}
_UPDATE: dict[str, Callable[..., Queue]] = {
    "doc": CIClient.update_doc_queue,
    "pic": CIClient.update_pic_queue,
    "media": CIClient.update_media_queue,
    "file": CIClient.update_file_queue,
}


def _state(name: str, value: Any) -> str:
    known = {str(state).lower(): str(state) for state in QueueState}
    return str(one_of(*known.values())(name, known.get(str(value).lower(), value)))


class AmbiguousQueueError(ValueError):
    """No queue was named, and the bucket has none or several of the kind."""


class CIQueueOperator(CIOperator):
    """Pauses a queue, resumes it, or changes its name and callback.

    While a queue is paused, its jobs wait; running jobs continue to their end. Arguments that are not given
    change nothing. Every argument is templated.

    :param kind: ``doc``, ``pic``, ``file``, or ``media``, where most jobs of ``/jobs`` run.
    :param queue_id: the queue; by default the bucket's only queue of this kind.
    :param state: ``Paused`` or ``Active``.
    :param name: a new name.
    :param notify: the callback for ended jobs; a change takes some five minutes to have an effect.

    Returns ``{"queue_id", "name", "state"}`` as they are after the change.
    """

    operator_extra_links = (CIQueueLink(),)

    argument_types: ClassVar[Mapping[str, Reader]] = {
        **CIOperator.argument_types,
        "kind": one_of(*_LIST),
        "queue_id": optional(text),
        "state": optional(_state),
        "name": optional(text),
        "notify": anything,
    }
    template_fields: Sequence[str] = tuple(argument_types)
    template_fields_renderers: ClassVar[dict[str, str]] = {"notify": "json"}

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
        self.keep_arguments()

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the queue.

        :raises AmbiguousQueueError: no queue is named, and the bucket does not have exactly one.
        :raises ValueError: no change is given, or the state does not exist.
        """
        links, client = self.begin(context), self.hook.client
        queue_id = self.queue_id or only_queue(client, self.kind)
        url = links.tell_queue(queue_id)
        queue = _UPDATE[self.kind](client, queue_id, name=self.name, state=self.state, notify=self.notify)
        self.log.info("%s: queue %s (%s) %s", queue.state, queue.queue_id, queue.name, url)
        return {"queue_id": queue.queue_id, "name": queue.name, "state": str(queue.state)}


def only_queue(client: CIClient, kind: str) -> str:
    """The id of the bucket's only queue of this kind; the service creates one when a feature is switched on.

    :raises AmbiguousQueueError: the bucket has no queue of this kind, or several.
    """
    queues = _LIST[kind](client)
    # Choosing one of several queues would be a guess, and pausing the wrong queue stops the work of others.
    if len(queues) != 1:
        known = ", ".join(f"{queue.queue_id} ({queue.name})" for queue in queues) or "none"
        raise AmbiguousQueueError(f"bucket {client.bucket} has these {kind} queues: {known}; give queue_id")
    return queues[0].queue_id


def default_queue(client: CIClient, operation: Operation) -> str | None:
    """The id of the queue that takes jobs without a queue id; None where several queues are possible."""
    try:
        queues = type_of_operation(operation).queues(client)
    except CIError:
        return None  # the id is needed only for a link
    return queues[0].queue_id if len(queues) == 1 else None
