"""A plan in the making.

It lives in a temporary SQLite database, so that ten objects and ten million objects need the same memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from airflow_provider_ci.batch.planning.planned import Decision
from airflow_provider_ci.client import ObjectInfo

_SETTINGS = (
    "PRAGMA journal_mode = OFF",  # nothing is ever rolled back
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -16384",  # KiB; a plan of some 50,000 objects never touches the disk
)
_TABLES = (
    "CREATE TABLE objects (number INTEGER PRIMARY KEY, key TEXT, size INTEGER, etag TEXT, modified REAL)",
    "CREATE TABLE outputs (output TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID",
    "CREATE TABLE details (number INTEGER PRIMARY KEY, content TEXT)",
)
_DECISIONS = tuple(Decision)


class SameOutputError(Exception):
    """Two objects have the same output."""

    def __init__(self, first_key: str, second_key: str) -> None:
        self.keys = first_key, second_key
        super().__init__(f"{first_key!r} and {second_key!r} have the same output")


class DraftObject(NamedTuple):
    """An object of the draft."""

    number: int
    key: str
    size: int
    etag: str
    modified: float
    """Unix time of its last change."""


class DraftOutput(NamedTuple):
    """An output of the draft and its object."""

    output: str
    number: int
    key: str
    etag: str
    modified: float


class Draft:
    """The objects in their order, their outputs in the order of the keys, and the decisions."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._decisions = bytearray()

    @property
    def total(self) -> int:
        """Number of objects so far."""
        return len(self._decisions)

    def add(self, found: Sequence[ObjectInfo], outputs: Sequence[str | None]) -> None:
        """Add objects and the first output of each; None for an object that cannot have one.

        :raises SameOutputError: an output already belongs to another object.
        """
        first = self.total
        numbers = range(first, first + len(found))
        rows = [
            (n, o.key, o.size, o.etag, o.last_modified.timestamp())
            for n, o in zip(numbers, found, strict=True)
        ]
        self._database.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
        self._decisions.extend(bytes(len(found)))
        # Sorted rows touch few pages of the table, one after the other.
        named = sorted((output, n) for n, output in zip(numbers, outputs, strict=True) if output is not None)
        try:
            self._database.executemany("INSERT INTO outputs VALUES (?, ?)", named)
        except sqlite3.IntegrityError:
            raise self._same_output(named) from None

    def decide(self, number: int, decision: Decision, details: Mapping[str, Any] | None = None) -> None:
        """Set the decision about an object."""
        self._decisions[number] = _DECISIONS.index(decision)
        if details:
            row = number, json.dumps(details)
            self._database.execute("INSERT OR REPLACE INTO details VALUES (?, ?)", row)

    def decision(self, number: int) -> Decision:
        """The decision about an object."""
        return _DECISIONS[self._decisions[number]]

    def counts(self) -> dict[Decision, int]:
        """Number of objects for each decision."""
        return {each: self._decisions.count(number) for number, each in enumerate(_DECISIONS)}

    def outputs(self, size: int = 1000) -> Iterator[list[DraftOutput]]:
        """The outputs in the order of their keys, in chunks."""
        cursor = self._database.execute(
            "SELECT output, number, key, etag, modified FROM outputs JOIN objects USING (number)"
            " ORDER BY output"
        )
        while rows := cursor.fetchmany(size):
            yield [DraftOutput._make(row) for row in rows]

    def of_output(self, output: str) -> DraftOutput | None:
        """The output with this key, if the draft has it."""
        row = self._database.execute(
            "SELECT output, number, key, etag, modified FROM outputs JOIN objects USING (number)"
            " WHERE output = ?",
            (output,),
        ).fetchone()
        return DraftOutput._make(row) if row else None

    def output_range(self) -> tuple[str, str] | None:
        """The first and the last output key."""
        first, last = self._database.execute("SELECT min(output), max(output) FROM outputs").fetchone()
        return None if first is None else (first, last)

    def overwritten(self) -> tuple[str, str] | None:
        """An object whose output is another object of the draft, and that other object."""
        row: tuple[str, str] | None = self._database.execute(
            "SELECT owner.key, taken.key FROM objects AS taken "
            "CROSS JOIN outputs ON outputs.output = taken.key "
            "CROSS JOIN objects AS owner ON owner.number = outputs.number LIMIT 1"
        ).fetchone()
        return row

    def objects(self) -> Iterator[tuple[DraftObject, Decision, dict[str, Any]]]:
        """The objects in the order in which they came, each with its decision and details."""
        rows = self._database.execute(
            "SELECT number, key, size, etag, modified, content FROM objects LEFT JOIN details USING (number)"
            " ORDER BY number"
        )
        for *values, content in rows:
            found = DraftObject._make(values)
            yield found, self.decision(found.number), json.loads(content) if content else {}

    def _same_output(self, outputs: Iterable[tuple[str, int]]) -> SameOutputError:
        """The error for the first of these outputs that belongs to another object."""
        for output, number in outputs:
            (owner,) = self._database.execute(
                "SELECT number FROM outputs WHERE output = ?", (output,)
            ).fetchone()
            if owner != number:
                return SameOutputError(self._key(owner), self._key(number))
        raise AssertionError("no output of the draft is taken")

    def _key(self, number: int) -> str:
        (key,) = self._database.execute("SELECT key FROM objects WHERE number = ?", (number,)).fetchone()
        return str(key)


@contextmanager
def new_draft() -> Iterator[Draft]:
    """An empty draft. Its file has no name from the start, so nothing of it can be left behind.

    :raises OSError: the disk is full, or the folder for temporary files cannot be written.
    """
    # Another thread may close a generator.
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    with closing(connection) as database:
        try:
            for statement in (*_SETTINGS, *_TABLES, "BEGIN"):
                database.execute(statement)
            yield Draft(database)
        except sqlite3.OperationalError as error:
            raise OSError(
                f"planning a batch needs a temporary file of about 300 bytes per object: {error}; free "
                "some space in the folder that TMPDIR names (/var/tmp if it is not set), "
                "or set TMPDIR to another one"
            ) from error
