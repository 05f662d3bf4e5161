"""Reads chosen results of a long report by its index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from airflow_provider_ci.batch.reports.index import FAILURE_ORDER, Block, Kind, Part, ReportIndex, Section
from airflow_provider_ci.batch.reports.reading import lines_of, result_of_bytes
from airflow_provider_ci.batch.results import ObjectResult
from airflow_provider_ci.client import CIClient, CIError, NotFoundError

SEARCH_BYTES = 64 * 1024 * 1024
"""Bytes that one search for a text reads at most; a larger part is still read whole."""


class ReportChangedError(CIError):
    """A run has replaced the report while the report was being read."""

    is_retryable = True


@dataclass(frozen=True, slots=True)
class Selection:
    """Which results to take, by state and code; None takes any."""

    state: str | None
    code: str | None

    def matches(self, result: ObjectResult) -> bool:
        """Whether a result is selected."""
        return self.state in (None, str(result.state)) and self.code in (None, result.code)


class Indexed:
    """The results of a report with an index."""

    def __init__(self, client: CIClient, index_key: str) -> None:
        self._client = client
        self._index_key = index_key

    @cached_property
    def _index(self) -> ReportIndex:
        return ReportIndex.decode(self._index_key, self._client.read_object(self._index_key))

    @property
    def failure_kinds(self) -> Counter[Kind]:
        """Number of failures by state and code."""
        return self._index.failures.kinds

    def objects(self, wanted: Selection, offset: int, limit: int) -> tuple[list[ObjectResult], int]:
        """A page of results in the order of their keys, and the number of all matching results."""
        return self._page(self._section_of(wanted.state), wanted, offset, limit)

    def failures(self, wanted: Selection, offset: int, limit: int) -> tuple[list[ObjectResult], int]:
        """A page of failures, and the number of all matching failures."""
        return self._page(self._index.failures, wanted, offset, limit)

    def object(self, key: str) -> ObjectResult | None:
        """The result of one object."""
        section = self._index.objects
        for block in section.blocks_of_key(key):
            for result in self._results(section, block):
                if result.key == key:
                    return result
        return None

    def search(
        self, wanted: Selection, text: str, place: int, limit: int
    ) -> tuple[list[ObjectResult], int | None]:
        """Results whose key contains a text, and the place in the section at which to continue."""
        section = self._section_of(wanted.state)
        found: list[ObjectResult] = []
        begin = bytes_read = 0
        for part in section.parts:
            lines = sum(block.lines for block in part.blocks)
            if begin + lines > place:
                # At least one part is read, whatever its size, so that each search makes progress.
                if bytes_read and bytes_read + part.size > SEARCH_BYTES:
                    return found, max(begin, place)
                bytes_read += part.size
                body = self._bytes(part, 0, part.size)
                for number, result in _containing(body, text, max(0, place - begin)):
                    if wanted.matches(result):
                        if len(found) == limit:
                            return found, begin + number
                        found.append(result)
            begin += lines
        return found, None

    def _section_of(self, state: str | None) -> Section:
        """The section in which to look for a state; failures have a section of their own."""
        return self._index.failures if state in _FAILURE_NAMES else self._index.objects

    def _page(
        self, section: Section, wanted: Selection, offset: int, limit: int
    ) -> tuple[list[ObjectResult], int]:
        total = 0
        results: list[ObjectResult] = []
        for block in section.blocks:
            # Blocks after the page are counted, too: the index has their counts, so the total costs nothing.
            count = block.count(wanted.state, wanted.code)
            skipped = offset - total
            total += count
            if skipped < count and len(results) < limit:
                matching = filter(wanted.matches, self._results(section, block))
                results += list(matching)[max(0, skipped) :]
        return results[:limit], total

    def _results(self, section: Section, block: Block) -> Iterator[ObjectResult]:
        body = self._bytes(section.parts[block.part], block.offset, block.size)
        return map(result_of_bytes, lines_of(body))

    def _bytes(self, part: Part, offset: int, size: int) -> bytes:
        """Some bytes of a part.

        :raises ReportChangedError: the part was deleted or replaced after the index was read.
        """
        try:
            body, info = self._client.read_object_part(part.key, offset, size)
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            raise ReportChangedError(f"part {part.key!r} of the report was deleted") from error
        # A later run of the same plan writes parts with the same keys.
        if info.etag != part.etag:
            raise ReportChangedError(f"a run is replacing the report part {part.key!r}; read it again")
        return body


_FAILURE_NAMES = frozenset(map(str, FAILURE_ORDER))


def _containing(body: bytes, text: str, start: int) -> Iterator[tuple[int, ObjectResult]]:
    """The results of a part whose key contains a text, with their places; most lines are not parsed."""
    wanted = text.lower()
    # JSON writes quotes, backslashes and control characters in another way, and bytes.lower() changes
    # nothing beyond ASCII: such texts are compared only with the parsed key.
    is_plain = wanted.isascii() and wanted.isprintable() and not set(wanted) & {'"', "\\"}
    needle = wanted.encode() if is_plain else b""
    for number, line in enumerate(lines_of(body)):
        if number >= start and needle in line.lower():
            result = result_of_bytes(line)
            if wanted in result.key.lower():
                yield number, result
