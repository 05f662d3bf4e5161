"""A plan that is still being made.

It lives in a temporary SQLite database, so that ten objects and ten million objects need the same memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from airflow_provider_ci.batch.planning.planned import Decision
from airflow_provider_ci.batch.planning.rows import RowPart
from airflow_provider_ci.batch.planning.unrecorded import UnrecordedOutputs
from airflow_provider_ci.client import ObjectInfo

_SETTINGS = (
    "PRAGMA journal_mode = OFF",  # nothing is ever rolled back
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -16384",  # KiB; a plan of some 50,000 objects never touches the disk
)
_TABLES = (
    "CREATE TABLE objects (number INTEGER PRIMARY KEY, key TEXT, size INTEGER, etag TEXT, modified REAL)",
    "CREATE TABLE outputs (output TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID",
    "CREATE TABLE details (line INTEGER PRIMARY KEY, content TEXT)",
    "CREATE TABLE parts (number INTEGER PRIMARY KEY, content TEXT)",
    UnrecordedOutputs.TABLE,
)
_DECISIONS = tuple(Decision)


class SameOutputError(Exception):
    """Two lines have the same output."""

    def __init__(self, output: str, first_key: str, second_key: str) -> None:
        self.output = output
        self.keys = first_key, second_key
        super().__init__(f"{first_key!r} and {second_key!r} have the same output {output!r}")


class OtherOperationError(Exception):
    """Another batch makes one of the outputs by another operation."""

    def __init__(self, output: str) -> None:
        self.output = output
        super().__init__(output)


class DraftObject(NamedTuple):
    """An object of the draft."""

    number: int
    key: str
    size: int
    etag: str
    modified: float
    """Unix time of the object's last change."""


class DraftOutput(NamedTuple):
    """An output of the draft and its object."""

    output: str
    line: int
    key: str
    etag: str
    modified: float
    parts: Sequence[RowPart] = ()
    """What the row of the object sets: one part per step; empty without a row."""


class DraftLine(NamedTuple):
    """What the plan decided about the output of one object and one step."""

    decision: Decision
    details: dict[str, Any]


class Draft:
    """The objects in the order of the source, their outputs in the order of their keys, and the decisions.

    Each object has one line for each step. Lines are numbered across all objects, from 0: in a batch with
    three steps, object 2 has the lines 6, 7 and 8.
    """

    def __init__(self, database: sqlite3.Connection, steps: int = 1) -> None:
        self._database = database
        # One byte per line instead of a column: decisions change often, and ten million lines take 10 MB.
        self._decisions = bytearray()
        self._has_parts = False
        self.steps = steps
        self.unrecorded = UnrecordedOutputs(database)

    @property
    def total(self) -> int:
        """Number of objects so far."""
        return len(self._decisions) // self.steps

    def add(
        self,
        found: Sequence[ObjectInfo],
        outputs: Sequence[str | None],
        parts: Mapping[int, Sequence[RowPart]] | None = None,
    ) -> None:
        """Add objects and the first output of each line; None if the line cannot have an output.

        :param parts: what the rows of the objects set, by place in ``found``.
        :raises SameOutputError: an output already belongs to another line.
        """
        first = self.total
        rows = [(n, o.key, o.size, o.etag, o.last_modified.timestamp()) for n, o in enumerate(found, first)]
        self._database.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
        if parts:
            self._has_parts = True
            texts = [(first + place, _text(each)) for place, each in parts.items()]
            self._database.executemany("INSERT INTO parts VALUES (?, ?)", texts)
        # Zero is SUBMIT, the first decision: it stays until something else is known about the line.
        self._decisions.extend(bytes(len(found) * self.steps))
        # Rows are sorted before they are inserted, because sorted rows touch fewer pages of the table.
        lines = enumerate(outputs, first * self.steps)
        named = sorted((output, line) for line, output in lines if output is not None)
        try:
            self._database.executemany("INSERT INTO outputs VALUES (?, ?)", named)
        except sqlite3.IntegrityError:
            raise self._same_output(named) from None

    def decide(self, line: int, decision: Decision, details: Mapping[str, Any] | None = None) -> None:
        """Set the decision about a line."""
        self._decisions[line] = _DECISIONS.index(decision)
        if details:
            row = line, json.dumps(details)
            self._database.execute("INSERT OR REPLACE INTO details VALUES (?, ?)", row)

    def decision(self, line: int) -> Decision:
        """The decision about a line."""
        return _DECISIONS[self._decisions[line]]

    def counts(self) -> dict[Decision, int]:
        """Number of lines for each decision."""
        return {each: self._decisions.count(number) for number, each in enumerate(_DECISIONS)}

    def objects_with(self, decision: Decision) -> int:
        """Number of objects of which at least one line has this decision."""
        wanted, lines = _DECISIONS.index(decision), self._decisions
        if self.steps == 1:
            return lines.count(wanted)
        return sum(wanted in lines[at : at + self.steps] for at in range(0, len(lines), self.steps))

    def outputs(self, place: int = 0, size: int = 1000) -> Iterator[list[DraftOutput]]:
        """The outputs of one step in the order of their keys, in chunks."""
        only = f" WHERE line % {self.steps} = {place}" if self.steps > 1 else ""
        cursor = self._database.execute(f"{self._select_outputs}{only} ORDER BY output")
        while rows := cursor.fetchmany(size):
            yield [_output(row) for row in rows]

    def of_output(self, output: str) -> DraftOutput | None:
        """The output with this key, if the draft has it."""
        row = self._database.execute(f"{self._select_outputs} WHERE output = ?", (output,)).fetchone()
        return _output(row) if row else None

    @property
    def _select_outputs(self) -> str:
        content = "parts.content" if self._has_parts else "NULL"
        parts = f" LEFT JOIN parts ON parts.number = line / {self.steps}" if self._has_parts else ""
        return (
            f"SELECT output, line, key, etag, modified, {content} FROM outputs"  # noqa: S608 numbers only
            f" JOIN objects ON objects.number = line / {self.steps}{parts}"
        )

    def output_range(self) -> tuple[str, str] | None:
        """The first and the last output key."""
        first, last = self._database.execute("SELECT min(output), max(output) FROM outputs").fetchone()
        return None if first is None else (first, last)

    def overwritten(self) -> tuple[str, str] | None:
        """Key of an object whose output is another object of the draft, and key of that other object."""
        # SQLite keeps the order of a CROSS JOIN. In this order, it looks up each object's key in the primary
        # key of the outputs; in another order, it would need an index of the keys of objects.
        row: tuple[str, str] | None = self._database.execute(
            "SELECT owner.key, taken.key FROM objects AS taken "  # noqa: S608 a number only
            "CROSS JOIN outputs ON outputs.output = taken.key "
            f"CROSS JOIN objects AS owner ON owner.number = outputs.line / {self.steps} LIMIT 1"
        ).fetchone()
        return row

    def objects(self) -> Iterator[tuple[DraftObject, list[DraftLine], Sequence[RowPart]]]:
        """The objects in the order in which they came, each with its lines and its row."""
        rows = self._database.execute(
            "SELECT objects.number, key, size, etag, modified, content"
            " FROM objects LEFT JOIN parts ON parts.number = objects.number ORDER BY objects.number"
        )
        # Objects and details both come in the order of the lines, so they are read side by side, without a
        # query per line.
        details = self._details()
        known = next(details, None)
        for *values, content in rows:
            found = DraftObject._make(values)
            lines = []
            for line in range(found.number * self.steps, (found.number + 1) * self.steps):
                own: dict[str, Any] = {}
                if known is not None and known[0] == line:
                    own, known = json.loads(known[1]), next(details, None)
                lines.append(DraftLine(self.decision(line), own))
            yield found, lines, _parts(content)

    def _details(self) -> Iterator[tuple[int, str]]:
        yield from self._database.execute("SELECT line, content FROM details ORDER BY line")

    def _same_output(self, outputs: Iterable[tuple[str, int]]) -> SameOutputError:
        """The error for the first of these outputs that belongs to another line."""
        for output, line in outputs:
            (owner,) = self._database.execute(
                "SELECT line FROM outputs WHERE output = ?", (output,)
            ).fetchone()
            if owner != line:
                return SameOutputError(output, self._key(owner), self._key(line))
        raise AssertionError("no output of the draft is taken")

    def _key(self, line: int) -> str:
        row = self._database.execute("SELECT key FROM objects WHERE number = ?", (line // self.steps,))
        return str(row.fetchone()[0])


def _output(row: Sequence[Any]) -> DraftOutput:
    return DraftOutput._make([*row[:-1], _parts(row[-1])])


def _text(parts: Sequence[RowPart]) -> str:
    return json.dumps([part.to_json() for part in parts])


def _parts(content: str | None) -> Sequence[RowPart]:
    return [RowPart.from_json(each) for each in json.loads(content)] if content else ()


@contextmanager
def new_draft(steps: int = 1) -> Iterator[Draft]:
    """An empty draft in a temporary file that has no name, so that nothing is left behind.

    :param steps: number of steps of the batch, which is the number of lines per object.
    :raises OSError: the disk is full, or the folder for temporary files cannot be written.
    """
    # check_same_thread: the generator that holds this connection may be closed in another thread.
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    with closing(connection) as database:
        try:
            # One transaction for everything: without BEGIN, SQLite would commit after each statement. The
            # transaction is never committed, because the file is not needed afterwards.
            for statement in (*_SETTINGS, *_TABLES, "BEGIN"):
                database.execute(statement)
            yield Draft(database, steps)
        except sqlite3.OperationalError as error:
            raise OSError(
                f"planning a batch needs a temporary file of about 300 bytes per object: {error}; free "
                "some space in the folder that TMPDIR names (/var/tmp if it is not set), "
                "or set TMPDIR to another one"
            ) from error
