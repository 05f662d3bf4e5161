"""Reads pages and single results of a report, without reading all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from airflow_provider_ci.batch.reports.folder import batch_folder, report_key
from airflow_provider_ci.batch.reports.reading import (
    ReportHeader,
    failure_parts,
    read_parts,
    read_report,
    read_report_header,
)
from airflow_provider_ci.batch.reports.scanning import Scanned
from airflow_provider_ci.batch.reports.selecting import Indexed, ReportChangedError, Selection
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.results import ObjectResult, ObjectState
from airflow_provider_ci.client import CIClient, CIError

T = TypeVar("T")


class NoReportError(CIError):
    """The batch has no report yet."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(
            f"no report in {folder!r}: a batch writes its report when a run ends. Check the batch id and the "
            "report prefix, or wait until the run has ended"
        )

    def __reduce__(self) -> tuple[type[NoReportError], tuple[str]]:
        return type(self), (self.folder,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """A page of results of a report."""

    results: tuple[ObjectResult, ...]
    total: int | None
    """Number of all results that match; None if the whole report would have to be read to know it."""
    next_offset: int | None
    """The offset of the page after this one; None at the end."""


class BatchReport:
    """The report of a batch, read page by page.

    Even in a report of a million results, a page takes a few requests: the header, the index, and the bytes
    that hold the page. Header and index are read once; to see a new report, make a new :class:`BatchReport`.

    :param folder: folder of the batch, see :attr:`BatchSettings.folder`; :meth:`of_batch` takes the id.
    """

    def __init__(self, client: CIClient, folder: str) -> None:
        self._client = client
        self.folder = folder

    @classmethod
    def of_batch(cls, client: CIClient, batch_id: str, *, report_prefix: str = "_ci_batches/") -> BatchReport:
        """The report of the batch with this id."""
        return cls(client, batch_folder(report_prefix, batch_id))

    @cached_property
    def header(self) -> ReportHeader:
        """The header of the report.

        :raises NoReportError: no run of the batch has ended yet.
        """
        header = read_report_header(self._client, self.folder)
        if header is None:
            raise NoReportError(self.folder)
        return header

    @property
    def summary(self) -> BatchSummary:
        """The batch in numbers."""
        return self.header.summary

    @property
    def is_complete(self) -> bool:
        """Whether every object has its final result; otherwise the next run continues."""
        return self.header.is_complete

    @property
    def codes(self) -> dict[str, int]:
        """Number of failures by error code, most frequent first; ``""`` is for failures without a code."""
        return self._read(lambda: _codes(self._results.failure_kinds))

    def failures(
        self,
        offset: int = 0,
        limit: int = 50,
        *,
        state: ObjectState | str | None = None,
        code: str | None = None,
    ) -> ResultPage:
        """Objects without an output: first the failed, then the cancelled, then the unfinished objects.

        Within a state they are sorted by code, then by key.

        :param state: only objects in this state: ``failed``, ``cancelled`` or ``unfinished``.
        :param code: only objects with this error code.
        """
        wanted = Selection(_state(state), code)
        return self._read(lambda: _page(self._results.failures(wanted, offset, limit), offset))

    def objects(
        self,
        *,
        state: ObjectState | str | None = None,
        text: str = "",
        offset: int = 0,
        limit: int = 50,
    ) -> ResultPage:
        """Results of objects, sorted by key.

        :param state: only objects in this state. Objects without an output come in the order of
            :meth:`failures`.
        :param text: only objects whose key contains this text, in upper or lower case. Each call searches
            about 64 MiB of the report. A page can then be empty and still have a
            :attr:`~ResultPage.next_offset`, which continues the search; other offsets have no meaning.
        """
        wanted = Selection(_state(state), None)
        if text:
            return self._read(lambda: _found(self._results.search(wanted, text, offset, limit)))
        return self._read(lambda: _page(self._results.objects(wanted, offset, limit), offset))

    def object(self, key: str) -> ObjectResult | None:
        """The result of one object; None if the batch had no such object."""
        return self._read(lambda: self._results.object(key))

    def results(self, *, is_failed: bool = False) -> Iterator[ObjectResult]:
        """All results, or only the objects without an output; one part is in memory at a time."""
        if is_failed:
            yield from read_parts(self._client, failure_parts(self._client, self.folder, self.header))
        else:
            yield from read_report(self._client, report_key(self.folder))

    @cached_property
    def _results(self) -> Indexed | Scanned:
        if self.header.index:
            return Indexed(self._client, self.header.index)
        # Only long reports that could be sorted have an index.
        return Scanned(self.results, is_short=not self.header.parts)

    def _read(self, step: Callable[[], T]) -> T:
        """Take a step that reads the report; take it again if a run has just replaced the report."""
        try:
            return step()
        except ReportChangedError:
            # A cached property keeps its value in __dict__.
            for name in ("header", "_results"):
                self.__dict__.pop(name, None)
            return step()


def _state(state: ObjectState | str | None) -> str | None:
    """The name of a state.

    :raises ValueError: no state has this name.
    """
    return None if state is None else str(ObjectState(state))


def _page(found: tuple[list[ObjectResult], int | None], offset: int) -> ResultPage:
    results, total = found
    end = offset + len(results)
    # An empty page is the last one. Otherwise, a caller with an offset beyond the end would never stop.
    has_more = bool(results) and (total is None or end < total)
    return ResultPage(results=tuple(results), total=total, next_offset=end if has_more else None)


def _found(found: tuple[list[ObjectResult], int | None]) -> ResultPage:
    results, next_offset = found
    return ResultPage(results=tuple(results), total=None, next_offset=next_offset)


def _codes(kinds: Counter[tuple[str, str]]) -> dict[str, int]:
    codes: Counter[str] = Counter()
    for (_, code), count in kinds.items():
        codes[code] += count
    return dict(codes.most_common())
