"""Which outputs are there already, found out with few requests."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from airflow_provider_ci.client import CIClient, NotFoundError, ObjectInfo

_KEYS_PER_PAGE = 20
"""A page is worth its time when it tells of as many keys as HEAD requests, side by side, would meanwhile."""
_POOR_PAGES = 4
"""So many pages may tell of fewer, for the sake of those behind them."""


class Outputs:
    """The objects in which outputs would be.

    Where the keys lie close together they are listed, a page for up to 1,000 of them; where they are
    scattered among others, each is asked for.

    :param client: is used by several threads.
    :param prefix: what all the keys begin with.
    :param threads: requests at the same time, at most.
    """

    def __init__(self, client: CIClient, prefix: str, *, threads: int) -> None:
        self._client = client
        self._prefix = prefix
        self._threads = threads
        self._page: dict[str, datetime] = {}
        self._until: str | None = (
            ""  # the last key of which the page tells; None: it tells of all from its first
        )

    def last_modified(self, keys: Sequence[str]) -> dict[str, datetime]:
        """When each of the keys was written, without those that are not there.

        :param keys: sorted, each once, and all behind those of the call before. Python compares strings by
            code points, which is the order of their UTF-8 bytes, and so that of a listing.
        :raises CIError: a request failed; that an object is missing is no failure.
        """
        found: dict[str, datetime] = {}
        known = self._read_page(keys, 0, found)
        pages = 0
        while known < len(keys) and _is_worth_a_page(pages, known, len(keys)):
            self._turn_page(keys[known])
            known = self._read_page(keys, known, found)
            pages += 1
        if known < len(keys):
            found.update(self.asked(keys[known:]))
        return found

    def asked(self, keys: Sequence[str]) -> dict[str, datetime]:
        """The same for any keys, of which each is asked for; a listing may be behind by seconds.

        :raises CIError: a request failed; that an object is missing is no failure.
        """
        if not keys:
            return {}
        executor = ThreadPoolExecutor(min(self._threads, len(keys)), "ci-outputs")
        try:
            answers = [each for each in executor.map(self._head, keys) if each]
        finally:
            executor.shutdown(cancel_futures=True)
        return {each.key: each.last_modified for each in answers}

    def _turn_page(self, key: str) -> None:
        # Without its last character a key comes before itself, and hardly anything comes between.
        start_after = max(self._until or "", key[:-1])
        page = self._client.list_objects_page(self._prefix, start_after=start_after)
        self._page = {each.key: each.last_modified for each in page.objects}
        self._until = page.next_marker

    def _read_page(self, keys: Sequence[str], known: int, found: dict[str, datetime]) -> int:
        """Add what the page tells of the keys behind the first ``known``; how many are known now."""
        end = len(keys) if self._until is None else bisect_right(keys, self._until, known)
        found.update({key: self._page[key] for key in keys[known:end] if key in self._page})
        return end

    def _head(self, key: str) -> ObjectInfo | None:
        try:
            return self._client.head_object(key)
        except NotFoundError:
            return None


def _is_worth_a_page(pages: int, known: int, wanted: int) -> bool:
    """Whether to list one more page, after so many that have told of ``known`` of the ``wanted`` keys."""
    if wanted == 1:
        return False
    return pages < max(1, min(wanted // _KEYS_PER_PAGE, _POOR_PAGES + known // _KEYS_PER_PAGE))
