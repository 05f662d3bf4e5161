"""Calls for queues: of document jobs, of picture jobs, and of media jobs, where ``/jobs`` run."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_ci.client import checks, queues
from airflow_provider_ci.client.api.connected import Connected
from airflow_provider_ci.client.callbacks import NotifyConfig
from airflow_provider_ci.client.errors import NotFoundError
from airflow_provider_ci.client.pages import MAX_ITEMS_PER_PAGE, Page, all_items, page_request
from airflow_provider_ci.client.queues import Queue, QueueChange, QueueState
from airflow_provider_ci.client.responses import Response


class QueueCalls(Connected):
    """Read, rename, pause and resume queues, and set their callbacks."""

    def list_doc_queues(
        self, *, state: QueueState | None = None, queue_ids: Sequence[str] = ()
    ) -> list[Queue]:
        """Read the document queues (DescribeDocProcessQueues), filtered by state or ids if given."""
        return self._list_queues(queues.DOCUMENT_QUEUES, state, queue_ids)

    def list_pic_queues(
        self, *, state: QueueState | None = None, queue_ids: Sequence[str] = ()
    ) -> list[Queue]:
        """Read the picture queues (DescribePicProcessQueues), as :meth:`list_doc_queues` does."""
        return self._list_queues(queues.PICTURE_QUEUES, state, queue_ids)

    def list_media_queues(
        self, *, state: QueueState | None = None, queue_ids: Sequence[str] = ()
    ) -> list[Queue]:
        """Read the media queues (DescribeMediaQueues), as :meth:`list_doc_queues` does."""
        return self._list_queues(queues.MEDIA_QUEUES, state, queue_ids)

    def list_file_queues(
        self, *, state: QueueState | None = None, queue_ids: Sequence[str] = ()
    ) -> list[Queue]:
        """Read the file queues (DescribeFileProcessQueues), as :meth:`list_doc_queues` does."""
        return self._list_queues(queues.FILE_QUEUES, state, queue_ids)

    def list_ai_queues(
        self, *, state: QueueState | None = None, queue_ids: Sequence[str] = ()
    ) -> list[Queue]:
        """Read the queues of AI recognition, which :class:`.ImageOCR` jobs use (DescribeAIProcessQueues)."""
        return self._list_queues(queues.AI_QUEUES, state, queue_ids)

    def list_doc_queues_page(
        self,
        *,
        state: QueueState | None = None,
        queue_ids: Sequence[str] = (),
        page_number: int = 1,
        page_size: int = MAX_ITEMS_PER_PAGE,
    ) -> Page[Queue]:
        """Read one page of document queues; its ``missing`` names the ids that do not exist."""
        return self._queues(queues.DOCUMENT_QUEUES, queues.filters(state, queue_ids), page_number, page_size)

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
        filters = queues.filters(state, queue_ids, category)
        return self._queues(queues.PICTURE_QUEUES, filters, page_number, page_size)

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
        filters = queues.filters(state, queue_ids, category)
        return self._queues(queues.MEDIA_QUEUES, filters, page_number, page_size)

    def update_doc_queue(
        self,
        queue_id: str,
        *,
        name: str | None = None,
        state: QueueState | None = None,
        notify: NotifyConfig | None = None,
    ) -> Queue:
        """Change a document queue (UpdateDocProcessQueue) and return it.

        Arguments that are None stay as they are. The service requires all three, so the queue is read first
        if one is missing. Two changes at the same time may then undo each other.
        """
        return self._update(
            queues.DOCUMENT_QUEUES, queue_id, QueueChange(name=name, state=state, notify=notify)
        )

    def update_pic_queue(
        self,
        queue_id: str,
        *,
        name: str | None = None,
        state: QueueState | None = None,
        notify: NotifyConfig | None = None,
    ) -> Queue:
        """Change a picture queue (UpdatePicProcessQueue), as :meth:`update_doc_queue` does."""
        return self._update(
            queues.PICTURE_QUEUES, queue_id, QueueChange(name=name, state=state, notify=notify)
        )

    def update_media_queue(
        self,
        queue_id: str,
        *,
        name: str | None = None,
        state: QueueState | None = None,
        notify: NotifyConfig | None = None,
    ) -> Queue:
        """Change a media queue (UpdateMediaQueue), as :meth:`update_doc_queue` does."""
        return self._update(queues.MEDIA_QUEUES, queue_id, QueueChange(name=name, state=state, notify=notify))

    def update_file_queue(
        self,
        queue_id: str,
        *,
        name: str | None = None,
        state: QueueState | None = None,
        notify: NotifyConfig | None = None,
    ) -> Queue:
        """Change a file queue (UpdateFileProcessQueue), as :meth:`update_doc_queue` does."""
        return self._update(queues.FILE_QUEUES, queue_id, QueueChange(name=name, state=state, notify=notify))

    def pause_doc_queue(self, queue_id: str) -> Queue:
        """Pause a document queue: no further job starts, running jobs finish."""
        return self.update_doc_queue(queue_id, state=QueueState.PAUSED)

    def resume_doc_queue(self, queue_id: str) -> Queue:
        """Resume a document queue: jobs start again."""
        return self.update_doc_queue(queue_id, state=QueueState.ACTIVE)

    def pause_pic_queue(self, queue_id: str) -> Queue:
        """Pause a picture queue: no further job starts, running jobs finish."""
        return self.update_pic_queue(queue_id, state=QueueState.PAUSED)

    def resume_pic_queue(self, queue_id: str) -> Queue:
        """Resume a picture queue: jobs start again."""
        return self.update_pic_queue(queue_id, state=QueueState.ACTIVE)

    def pause_media_queue(self, queue_id: str) -> Queue:
        """Pause a media queue: no further job starts, running jobs finish."""
        return self.update_media_queue(queue_id, state=QueueState.PAUSED)

    def resume_media_queue(self, queue_id: str) -> Queue:
        """Resume a media queue: jobs start again."""
        return self.update_media_queue(queue_id, state=QueueState.ACTIVE)

    def pause_file_queue(self, queue_id: str) -> Queue:
        """Pause a file queue: no further job starts, running jobs finish."""
        return self.update_file_queue(queue_id, state=QueueState.PAUSED)

    def resume_file_queue(self, queue_id: str) -> Queue:
        """Resume a file queue: jobs start again."""
        return self.update_file_queue(queue_id, state=QueueState.ACTIVE)

    def _list_queues(self, path: str, state: QueueState | None, queue_ids: Sequence[str]) -> list[Queue]:
        filters = queues.filters(state, queue_ids)
        if queue_ids:  # one response covers all ids
            return list(self._queues(path, filters, 1, MAX_ITEMS_PER_PAGE).items)
        return all_items(lambda number: self._queues(path, filters, number, MAX_ITEMS_PER_PAGE))

    def _queues(self, path: str, filters: dict[str, str], number: int, size: int) -> Page[Queue]:
        def read(response: Response) -> Page[Queue]:
            return Page.from_response(response, "QueueList", Queue.from_node)

        return self._transport.send(page_request(path, number, size, filters), read)

    def _update(self, path: str, queue_id: str, change: QueueChange) -> Queue:
        checks.identifier("queue_id", queue_id)
        known = None if change.is_complete else self._get_queue(path, queue_id)
        return self._transport.send(change.to_request(path, queue_id, known), queues.changed)

    def _get_queue(self, path: str, queue_id: str) -> Queue:
        page = self._queues(path, queues.filters(None, [queue_id]), 1, MAX_ITEMS_PER_PAGE)
        for queue in page.items:
            if queue.queue_id == queue_id:
                return queue
        raise NotFoundError(
            status=200,
            code="NonExistPIDs",
            message=f"no queue {queue_id} at {path}",
            request_id=page.request_id,
        )
