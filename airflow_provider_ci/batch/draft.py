"""A plan while it is made: on disk, so that it takes the same memory for ten objects and for millions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from airflow_provider_ci.client import ObjectInfo

_SETTINGS = (
    "PRAGMA journal_mode = OFF",  # nothing is ever rolled back
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -16384",  # KiB
)
_TABLES = (
    "CREATE TABLE objects (number INTEGER PRIMARY KEY, key TEXT, size INTEGER, etag TEXT)",
    "CREATE TABLE outputs (output TEXT PRIMARY KEY, number INTEGER, fresh_from REAL, was_made INTEGER)"
    " WITHOUT ROWID",
    "CREATE TABLE ended (key TEXT PRIMARY KEY, fingerprint TEXT) WITHOUT ROWID",
)


class SameOutputError(Exception):
    """Two objects have the same output."""

    def __init__(self, first_key: str, second_key: str) -> None:
        self.keys = first_key, second_key
        super().__init__(f"{first_key!r} and {second_key!r} have the same output")


class DraftRow(NamedTuple):
    """An object, its first output, and when that output is fresh."""

    found: ObjectInfo
    output: str
    fresh_from: float | None
    """From this time on; ``None``: never."""
    was_made: bool
    """An earlier run of the batch has made it."""


class DraftOutput(NamedTuple):
    """An output that may be fresh: the number of its object, and the rest as in :class:`DraftRow`."""

    output: str
    number: int
    fresh_from: float
    was_made: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """The objects in their order, their outputs in the order of the keys, and what ended well before."""

    _database: sqlite3.Connection

    def remember(self, chunks: Iterable[list[tuple[str, str]]]) -> None:
        """Take in keys and fingerprints of objects; of several for one key the last."""
        for chunk in chunks:
            self._database.executemany(
                "INSERT OR REPLACE INTO ended VALUES (?, ?)", sorted(dict(chunk).items())
            )

    def fingerprint(self, key: str) -> str | None:
        """The fingerprint that is remembered for an object."""
        row = self._database.execute("SELECT fingerprint FROM ended WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def add(self, number: int, rows: list[DraftRow]) -> None:
        """Add objects; ``number`` is that of the first, the others have the following ones.

        :raises SameOutputError: the output of one is that of another object, too.
        """
        numbered = list(enumerate(rows, number))
        self._database.executemany(
            "INSERT INTO objects VALUES (?, ?, ?, ?)",
            [(number, row.found.key, row.found.size, row.found.etag) for number, row in numbered],
        )
        # Sorted, they go into few pages of the table, one after the other.
        outputs = sorted((row.output, number, row.fresh_from, row.was_made) for number, row in numbered)
        try:
            self._database.executemany("INSERT INTO outputs VALUES (?, ?, ?, ?)", outputs)
        except sqlite3.IntegrityError:
            raise self._same_output(outputs) from None

    def overwritten(self) -> tuple[str, str] | None:
        """An object, and another one whose key is its output; ``None`` if there are no such two."""
        row: tuple[str, str] | None = self._database.execute(
            "SELECT owner.key, taken.key FROM objects AS taken "
            "CROSS JOIN outputs ON outputs.output = taken.key "
            "CROSS JOIN objects AS owner ON owner.number = outputs.number LIMIT 1"
        ).fetchone()
        return row

    def outputs(self) -> Iterator[DraftOutput]:
        """The outputs that may be fresh, in the order of their keys."""
        rows = self._database.execute("SELECT * FROM outputs WHERE fresh_from IS NOT NULL ORDER BY output")
        yield from map(DraftOutput._make, rows)

    def objects(self) -> Iterator[tuple[int, str, int, str]]:
        """The objects in the order in which they came: number, key, size, ETag."""
        yield from self._database.execute("SELECT number, key, size, etag FROM objects ORDER BY number")

    def _same_output(self, outputs: list[tuple[str, int, float | None, bool]]) -> SameOutputError:
        """The error for the first of these outputs that belongs to another object."""
        for output, number, *_ in outputs:
            (owner,) = self._database.execute(
                "SELECT number FROM outputs WHERE output = ?", (output,)
            ).fetchone()
            if owner != number:
                break
        return SameOutputError(self._key(owner), self._key(number))

    def _key(self, number: int) -> str:
        (key,) = self._database.execute("SELECT key FROM objects WHERE number = ?", (number,)).fetchone()
        return str(key)


@contextmanager
def new_draft() -> Iterator[Draft]:
    """An empty draft. Its file has no name any more from the start, so that nothing is left of it ever.

    :raises OSError: the disk is full, or the folder for temporary files cannot be written to.
    """
    # A generator may be closed by another thread than the one that began it.
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    with closing(connection) as database:
        try:
            for statement in (*_SETTINGS, *_TABLES, "BEGIN"):
                database.execute(statement)
            yield Draft(database)
        except sqlite3.OperationalError as error:
            raise OSError(
                f"planning a batch takes a temporary file of some 300 bytes per object: {error}; make room "
                "in the folder that TMPDIR names (/var/tmp where it names none), or let it name another one"
            ) from error
