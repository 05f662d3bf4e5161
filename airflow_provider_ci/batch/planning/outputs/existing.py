"""Finds out with few requests which outputs exist already."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from airflow_provider_ci.client import CIClient, NotFoundError, ObjectInfo

_KEYS_PER_PAGE = 20
"""A page of the listing is worth its time if it covers at least this many keys: concurrent HEAD requests can
check as many in the same time."""
_POOR_PAGES = 4
"""Number of pages that may cover fewer keys, because the pages after them may cover more."""


class ExistingOutputs:
    """Finds out when outputs were written, for keys in ascending order.

    Keys that lie close together are listed, up to 1,000 with one page; keys that are scattered among other
    objects are read one by one.

    :param client: used by several threads.
    :param prefix: every key begins with this prefix.
    :param threads: maximum number of requests at the same time.
    """

    def __init__(self, client: CIClient, prefix: str, *, threads: int) -> None:
        self._client = client
        self._prefix = prefix
        self._threads = threads
        self._page: dict[str, datetime] = {}
        # The last key that the current page covers; None when it covers all keys from its first one on.
        self._until: str | None = ""

    def last_modified(self, keys: Sequence[str]) -> dict[str, datetime]:
        """When each of the keys was written; keys without an object are left out.

        :param keys: sorted, without repetitions, and all after the keys of the previous call. Python compares
            strings by code points, which is the order of their UTF-8 bytes and so the order of a listing.
        :raises CIError: a request failed. A missing object is not a failure.
        """
        found: dict[str, datetime] = {}
        known = self._read_page(keys, 0, found)
        pages = 0
        while known < len(keys) and _is_worth_a_page(pages, known, len(keys)):
            self._turn_page(keys[known])
            known = self._read_page(keys, known, found)
            pages += 1
        if known < len(keys):
            found.update(self.head(keys[known:]))
        return found

    def head(self, keys: Sequence[str]) -> dict[str, datetime]:
        """When each of the keys was written, found with one HEAD request per key; keys can be in any order.

        This also serves keys that a listing may not show yet, because a listing can be behind by seconds.

        :raises CIError: a request failed. A missing object is not a failure.
        """
        if not keys:
            return {}
        executor = ThreadPoolExecutor(min(self._threads, len(keys)), "ci-outputs")
        try:
            found = [each for each in executor.map(self._head, keys) if each]
        finally:
            # After an error, the remaining requests are useless.
            executor.shutdown(cancel_futures=True)
        return {each.key: each.last_modified for each in found}

    def _turn_page(self, key: str) -> None:
        # A listing begins after its marker. The key without its last character sorts before the key itself,
        # and hardly any key lies between the two.
        start_after = max(self._until or "", key[:-1])
        page = self._client.list_objects_page(self._prefix, start_after=start_after)
        self._page = {each.key: each.last_modified for each in page.objects}
        self._until = page.next_marker

    def _read_page(self, keys: Sequence[str], known: int, found: dict[str, datetime]) -> int:
        """Add to ``found`` what the page shows about the keys after the first ``known`` ones.

        Returns how many keys are known now.
        """
        end = len(keys) if self._until is None else bisect_right(keys, self._until, known)
        found.update({key: self._page[key] for key in keys[known:end] if key in self._page})
        return end

    def _head(self, key: str) -> ObjectInfo | None:
        try:
            return self._client.head_object(key)
        except NotFoundError:
            return None


def _is_worth_a_page(pages: int, known: int, wanted: int) -> bool:
    """Whether to list one more page, after ``pages`` pages that covered ``known`` of the keys."""
    # One HEAD costs less than a page of up to 1,000 keys.
    if wanted == 1:
        return False
    return pages < max(1, min(wanted // _KEYS_PER_PAGE, _POOR_PAGES + known // _KEYS_PER_PAGE))
