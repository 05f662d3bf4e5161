"""Reads chosen results of a report without an index: a short one, or a long one of an earlier version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from airflow_provider_ci.batch.reports.index import FAILURE_ORDER, Kind
from airflow_provider_ci.batch.reports.selecting import Selection
from airflow_provider_ci.batch.results import ObjectResult


class ReadResults(Protocol):
    """A function that reads all results, or only the failures."""

    def __call__(self, *, is_failed: bool) -> Iterator[ObjectResult]:
        """The results."""


class Scanned:
    """The results of a report that has to be read from its beginning.

    :param is_short: the report is one object, which is kept in memory. A longer one is read again for each
        page, in the order in which it was written.
    """

    def __init__(self, read: ReadResults, *, is_short: bool) -> None:
        self._read = read
        self._is_short = is_short
        self._kept: dict[bool, list[ObjectResult]] = {}

    @property
    def failure_kinds(self) -> Counter[Kind]:
        """Number of failures by state and code."""
        return Counter((str(result.state), result.code) for result in self._all(is_failed=True))

    def objects(self, wanted: Selection, offset: int, limit: int) -> tuple[list[ObjectResult], int | None]:
        """A page of results, and the number of all matching results if it is known."""
        return self._page(wanted, offset, limit, is_failed=False)

    def failures(self, wanted: Selection, offset: int, limit: int) -> tuple[list[ObjectResult], int | None]:
        """A page of failures, and the number of all matching failures if it is known."""
        return self._page(wanted, offset, limit, is_failed=True)

    def object(self, key: str) -> ObjectResult | None:
        """The result of one object."""
        return next((result for result in self._all(is_failed=False) if result.key == key), None)

    def search(
        self, wanted: Selection, text: str, place: int, limit: int
    ) -> tuple[list[ObjectResult], int | None]:
        """Results whose key contains a text, and the place at which to continue."""
        found: list[ObjectResult] = []
        for number, result in enumerate(self._all(is_failed=False)):
            if number >= place and text.lower() in result.key.lower() and wanted.matches(result):
                if len(found) == limit:
                    return found, number
                found.append(result)
        return found, None

    def _page(
        self, wanted: Selection, offset: int, limit: int, *, is_failed: bool
    ) -> tuple[list[ObjectResult], int | None]:
        matching = filter(wanted.matches, self._all(is_failed=is_failed))
        if not self._is_short:
            # Read one result more than the page holds, to know whether another page follows.
            page = list(islice(matching, offset, offset + limit + 1))
            return page[:limit], None if len(page) > limit else offset + len(page)
        found = list(matching)
        return found[offset : offset + limit], len(found)

    def _all(self, *, is_failed: bool) -> Iterator[ObjectResult]:
        if not self._is_short:
            return self._read(is_failed=is_failed)
        # A short report has its results in the order in which they were reached. Pages are sorted like an
        # index.
        if is_failed not in self._kept:
            if is_failed:
                bad = (result for result in self._all(is_failed=False) if not result.is_good)
                self._kept[True] = sorted(bad, key=_failure_order)
            else:
                self._kept[False] = sorted(self._read(is_failed=False), key=lambda result: _bytes(result.key))
        return iter(self._kept[is_failed])


def _failure_order(result: ObjectResult) -> tuple[int, str, bytes]:
    return FAILURE_ORDER.index(result.state), result.code, _bytes(result.key)


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")
