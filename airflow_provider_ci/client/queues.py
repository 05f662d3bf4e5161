"""The queues in which jobs wait, and the calls that read, change, pause and resume queues.

Source: tencentcloud.com document/product/1045/47935, 72918 and 72919.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_ci.client.callbacks import NotifyConfig
from airflow_provider_ci.client.errors import CIResponseError, NotFoundError
from airflow_provider_ci.client.http.request import XML_BODY, Request
from airflow_provider_ci.client.http.responses import RESPONSE, Response
from airflow_provider_ci.client.http.transport import Connected
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.pages import MAX_ITEMS_PER_PAGE, Page, all_items, page_request
from airflow_provider_ci.client.wire import nodes, xml

if TYPE_CHECKING:  # Python 3.10 has no Unpack
    from typing_extensions import Unpack

DOCUMENT_QUEUES = "/docqueue"
PICTURE_QUEUES = "/picqueue"
MEDIA_QUEUES = "/queue"
FILE_QUEUES = "/file_queue"
AI_QUEUES = "/ai_queue"


class QueueState(str, Enum):
    """The states of a queue, spelt as the API spells them."""

    ACTIVE = "Active"
    PAUSED = "Paused"

    def __str__(self) -> str:
        return self.value


_STATES = {state.value: state for state in QueueState}


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue, in which at most ``max_size`` jobs wait and at most ``max_concurrent`` jobs run.

    ``notify`` is None if the queue has no callback, or a callback that this client cannot express. Other
    fields are None or empty if they cannot be read. ``raw`` holds everything that the service returned about
    the queue.
    """

    queue_id: str
    name: str
    state: QueueState | None = None
    max_size: int | None = None
    max_concurrent: int | None = None
    category: str = ""
    notify: NotifyConfig | None = None
    bucket: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> Queue:
        """Read a ``QueueList`` or ``Queue`` node."""
        return cls(
            # API pages and SDKs use both spellings.
            queue_id=nodes.text(node, "QueueID") or nodes.required(node, "QueueId", request_id),
            name=nodes.text(node, "Name"),
            state=_STATES.get(nodes.text(node, "State")),
            max_size=nodes.integer(node, "MaxSize"),
            max_concurrent=nodes.integer(node, "MaxConcurrent"),
            category=nodes.text(node, "Category"),
            notify=_notify(nodes.child(node, "NotifyConfig")),
            bucket=nodes.text(node, "BucketId"),
            created_at=nodes.moment(node, "CreateTime"),
            updated_at=nodes.moment(node, "UpdateTime"),
            raw=node,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChange:
    """A change to a queue. Fields that are None do not change."""

    name: str | None = None
    state: QueueState | None = None
    notify: NotifyConfig | None = None

    def __post_init__(self) -> None:
        if self.name is None and self.state is None and self.notify is None:
            raise ValueError("nothing to change: give a name, a state or a NotifyConfig")
        if self.name == "":
            raise ValueError("name must be a queue's name, not empty")
        if self.state is not None:
            object.__setattr__(self, "state", QueueState(self.state))

    @property
    def is_complete(self) -> bool:
        """Whether this change has all three fields that the service requires."""
        return None not in (self.name, self.state, self.notify)

    def to_request(self, path: str, queue_id: str, known: Queue | None) -> Request:
        """Return the request for this change; ``known`` supplies the fields that do not change."""
        content = {
            "Name": self.name or (known.name if known else None),
            "QueueID": queue_id,
            "State": str(self.state) if self.state else nodes.text(dict(known.raw) if known else {}, "State"),
            "NotifyConfig": self.notify.to_node() if self.notify else _as_it_was(known),
        }
        return Request(
            method="PUT",
            service="ci",
            path=f"{path}/{queue_id}",
            headers=XML_BODY,
            body=xml.build("Request", content),
            success=RESPONSE,
        )


class QueueFilters(TypedDict, total=False):
    """Filters of a listing of queues: their state, or their ids."""

    state: QueueState | None
    queue_ids: Sequence[str]


class QueueFields(TypedDict, total=False):
    """The fields of a :class:`QueueChange`. None has the same meaning as leaving a field out."""

    name: str | None
    state: QueueState | None
    notify: NotifyConfig | None


class QueueCalls(Connected):
    """Read, rename, pause and resume queues, and set their callbacks."""

    def list_doc_queues(self, **filters: Unpack[QueueFilters]) -> list[Queue]:
        """Read the document queues (DescribeDocProcessQueues), filtered by state or ids if given."""
        return self._list_queues(DOCUMENT_QUEUES, filters)

    def list_pic_queues(self, **filters: Unpack[QueueFilters]) -> list[Queue]:
        """Read the picture queues (DescribePicProcessQueues); see :meth:`list_doc_queues`."""
        return self._list_queues(PICTURE_QUEUES, filters)

    def list_media_queues(self, **filters: Unpack[QueueFilters]) -> list[Queue]:
        """Read the media queues (DescribeMediaQueues); see :meth:`list_doc_queues`."""
        return self._list_queues(MEDIA_QUEUES, filters)

    def list_file_queues(self, **filters: Unpack[QueueFilters]) -> list[Queue]:
        """Read the file queues (DescribeFileProcessQueues); see :meth:`list_doc_queues`."""
        return self._list_queues(FILE_QUEUES, filters)

    def list_ai_queues(self, **filters: Unpack[QueueFilters]) -> list[Queue]:
        """Read the AI queues, which :class:`.ImageOCR` jobs use (DescribeAIProcessQueues)."""
        return self._list_queues(AI_QUEUES, filters)

    def list_doc_queues_page(
        self,
        *,
        state: QueueState | None = None,
        queue_ids: Sequence[str] = (),
        page_number: int = 1,
        page_size: int = MAX_ITEMS_PER_PAGE,
    ) -> Page[Queue]:
        """Read one page of document queues; ``missing`` of the page holds the ids that do not exist."""
        return self._queues(DOCUMENT_QUEUES, _filters(state, queue_ids), page_number, page_size)

    def list_pic_queues_page(
        self,
        *,
        state: QueueState | None = None,
        queue_ids: Sequence[str] = (),
        category: str | None = None,
        page_number: int = 1,
        page_size: int = MAX_ITEMS_PER_PAGE,
    ) -> Page[Queue]:
        """Read one page of picture queues; ``category`` may be ``CateAll``."""
        filters = _filters(state, queue_ids, category)
        return self._queues(PICTURE_QUEUES, filters, page_number, page_size)

    def list_media_queues_page(
        self,
        *,
        state: QueueState | None = None,
        queue_ids: Sequence[str] = (),
        category: str | None = None,
        page_number: int = 1,
        page_size: int = MAX_ITEMS_PER_PAGE,
    ) -> Page[Queue]:
        """Read one page of media queues."""
        filters = _filters(state, queue_ids, category)
        return self._queues(MEDIA_QUEUES, filters, page_number, page_size)

    def update_doc_queue(self, queue_id: str, **fields: Unpack[QueueFields]) -> Queue:
        """Change name, state or callback of a document queue (UpdateDocProcessQueue), and return the queue.

        Fields that are None do not change. The service requires all three fields, so the queue is read first
        if a field is missing. In that case, two simultaneous changes may undo each other.
        """
        return self._update(DOCUMENT_QUEUES, queue_id, QueueChange(**fields))

    def update_pic_queue(self, queue_id: str, **fields: Unpack[QueueFields]) -> Queue:
        """Change a picture queue (UpdatePicProcessQueue); see :meth:`update_doc_queue`."""
        return self._update(PICTURE_QUEUES, queue_id, QueueChange(**fields))

    def update_media_queue(self, queue_id: str, **fields: Unpack[QueueFields]) -> Queue:
        """Change a media queue (UpdateMediaQueue); see :meth:`update_doc_queue`."""
        return self._update(MEDIA_QUEUES, queue_id, QueueChange(**fields))

    def update_file_queue(self, queue_id: str, **fields: Unpack[QueueFields]) -> Queue:
        """Change a file queue (UpdateFileProcessQueue); see :meth:`update_doc_queue`."""
        return self._update(FILE_QUEUES, queue_id, QueueChange(**fields))

    def pause_doc_queue(self, queue_id: str) -> Queue:
        """Pause a document queue: no more jobs start; running jobs finish."""
        return self.update_doc_queue(queue_id, state=QueueState.PAUSED)

    def resume_doc_queue(self, queue_id: str) -> Queue:
        """Resume a document queue: jobs start again."""
        return self.update_doc_queue(queue_id, state=QueueState.ACTIVE)

    def pause_pic_queue(self, queue_id: str) -> Queue:
        """Pause a picture queue: no more jobs start; running jobs finish."""
        return self.update_pic_queue(queue_id, state=QueueState.PAUSED)

    def resume_pic_queue(self, queue_id: str) -> Queue:
        """Resume a picture queue: jobs start again."""
        return self.update_pic_queue(queue_id, state=QueueState.ACTIVE)

    def pause_media_queue(self, queue_id: str) -> Queue:
        """Pause a media queue: no more jobs start; running jobs finish."""
        return self.update_media_queue(queue_id, state=QueueState.PAUSED)

    def resume_media_queue(self, queue_id: str) -> Queue:
        """Resume a media queue: jobs start again."""
        return self.update_media_queue(queue_id, state=QueueState.ACTIVE)

    def pause_file_queue(self, queue_id: str) -> Queue:
        """Pause a file queue: no more jobs start; running jobs finish."""
        return self.update_file_queue(queue_id, state=QueueState.PAUSED)

    def resume_file_queue(self, queue_id: str) -> Queue:
        """Resume a file queue: jobs start again."""
        return self.update_file_queue(queue_id, state=QueueState.ACTIVE)

    def _list_queues(self, path: str, filters: QueueFilters) -> list[Queue]:
        params = _filters(**filters)
        if filters.get("queue_ids"):  # one response covers all ids
            return list(self._queues(path, params, 1, MAX_ITEMS_PER_PAGE).items)
        return all_items(lambda number: self._queues(path, params, number, MAX_ITEMS_PER_PAGE))

    def _queues(self, path: str, filters: dict[str, str], number: int, size: int) -> Page[Queue]:
        def read(response: Response) -> Page[Queue]:
            return Page.from_response(response, "QueueList", Queue.from_node)

        return self._transport.send(page_request(path, number, size, filters), read)

    def _update(self, path: str, queue_id: str, change: QueueChange) -> Queue:
        checks.identifier("queue_id", queue_id)
        # The service requires all three fields, so a change of one field sends the others unchanged.
        known = None if change.is_complete else self._get_queue(path, queue_id)
        return self._transport.send(change.to_request(path, queue_id, known), _changed)

    def _get_queue(self, path: str, queue_id: str) -> Queue:
        page = self._queues(path, _filters(queue_ids=[queue_id]), 1, MAX_ITEMS_PER_PAGE)
        for queue in page.items:
            if queue.queue_id == queue_id:
                return queue
        raise NotFoundError(
            status=200,
            code="NonExistPIDs",
            message=f"no queue {queue_id} at {path}",
            request_id=page.request_id,
        )


def _changed(response: Response) -> Queue:
    """Read the ``Response`` to the change of a queue."""
    request_id = response.request_id
    node = response.tree
    found = nodes.child(node, "Queue")
    if not found:
        raise CIResponseError("the response lacks <Queue>", request_id=request_id)
    return Queue.from_node(found, request_id)


def _filters(
    state: QueueState | None = None, queue_ids: Sequence[str] = (), category: str | None = None
) -> dict[str, str]:
    """Return the parameters that select the queues to list."""
    for queue_id in queue_ids:
        checks.identifier("queue_id", queue_id)
    wanted = {"queueIds": ",".join(queue_ids), "state": str(QueueState(state)) if state else ""}
    return {**wanted, "category": category or ""}


def _notify(node: nodes.Tree) -> NotifyConfig | None:
    try:
        return NotifyConfig.from_node(node) if node else None
    except ValueError:
        return None  # an unreadable callback must not hide the queue; it is still in raw


def _as_it_was(known: Queue | None) -> dict[str, object]:
    """Return the callback of a queue as the service reported it, without empty fields."""
    node = nodes.child(dict(known.raw), "NotifyConfig") if known else {}
    return {name: value for name, value in node.items() if value}
