"""Gathers the results of a batch, and sorts them in a temporary database if they are many."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from airflow_provider_ci.batch.reports.index import FAILURE_ORDER
from airflow_provider_ci.batch.reports.summary import Counts
from airflow_provider_ci.batch.results import ObjectResult, result_line

# Good results rank after all failures, so that one comparison separates the two.
_GOOD = len(FAILURE_ORDER)
_AT_A_TIME = 1000
_STATEMENTS = (
    "PRAGMA journal_mode = OFF",  # nothing is ever rolled back
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -16384",  # KiB
    # Keys are bytes: they sort as in the bucket, and may hold a lone surrogate.
    "CREATE TABLE results (key BLOB, place INTEGER, rank INTEGER, state TEXT, code TEXT, line BLOB)",
    "BEGIN",
)
_BY_KEY = "SELECT key, state, code, line FROM results ORDER BY key, place"
_FAILURES = f"SELECT key, state, code, line FROM results WHERE rank < {_GOOD} ORDER BY rank, code, key, place"  # noqa: S608 # a number


class Line(NamedTuple):
    """One line of a report, and the facts about it that the index needs."""

    key: bytes
    state: str
    code: str
    line: bytes


class Gathered:
    """The results of a batch.

    :param limit: size of all lines, in bytes, from which the results are sorted.
    """

    def __init__(self, database: sqlite3.Connection, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._kept: list[tuple[bytes, int, int, str, str, bytes]] = []
        self._size = 0
        self.counts = Counts()
        self.is_long = False
        """Whether the size of the lines has reached the limit."""

    def add(self, results: Iterable[ObjectResult]) -> None:
        """Add results."""
        for result in results:
            self.counts.add(result)
            line = encoded(result)
            self._size += len(line)
            key = result.key.encode("utf-8", "surrogatepass")
            # SQLite takes no text with a lone surrogate.
            code = result.code.encode("utf-8", "replace").decode()
            self._kept.append((key, result.index, _rank(result), str(result.state), code, line))
            self.is_long |= self._size >= self._limit
            # A short report never touches the disk: small batches need no folder for temporary files.
            if self.is_long and len(self._kept) >= _AT_A_TIME:
                self._spill()
        if self.is_long:
            self._spill()

    def short(self, *, is_failed: bool) -> bytes:
        """The lines of a short report, all or only the failures, in the order in which they were added."""
        return b"".join(line for _, _, rank, _, _, line in self._kept if not is_failed or rank < _GOOD)

    def by_key(self) -> Iterator[Line]:
        """The lines of a long report, sorted by key."""
        return map(Line._make, self._database.execute(_BY_KEY))

    def failures(self) -> Iterator[Line]:
        """The failures of a long report, sorted by state, code and key."""
        return map(Line._make, self._database.execute(_FAILURES))

    def _spill(self) -> None:
        self._database.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)", self._kept)
        self._kept = []


@contextmanager
def gathered(results: Iterable[ObjectResult], *, limit: int) -> Iterator[Gathered]:
    """Gather the results; their temporary database exists until the block ends.

    :raises OSError: there is no temporary space for a long report.
    """
    # Without a name, SQLite makes a temporary file and deletes it by itself.
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as database:
        try:
            for statement in _STATEMENTS:
                database.execute(statement)
            found = Gathered(database, limit)
            found.add(results)
            yield found
        except sqlite3.OperationalError as error:
            raise OSError(str(error)) from error


def encoded(result: ObjectResult) -> bytes:
    """The line of a result."""
    return f"{json.dumps(result_line(result), ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")


def _rank(result: ObjectResult) -> int:
    return _GOOD if result.is_good else FAILURE_ORDER.index(result.state)
