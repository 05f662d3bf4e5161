"""Objects that a CSV or JSON Lines file names, each with settings of its own."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import islice
from typing import ClassVar

from airflow_provider_ci.batch.sources.files import fetched
from airflow_provider_ci.batch.sources.manifest_rows import (
    RawRow,
    WantedRow,
    is_known,
    raw_rows,
    unusable,
    wanted_row,
)
from airflow_provider_ci.batch.sources.selection import head
from airflow_provider_ci.batch.sources.source import Found, LeftOut, Source, SourceError, UnusableKey
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.client.records import checks

log = logging.getLogger(__name__)

_CHUNK = 1000


@dataclass(frozen=True, slots=True, repr=False)
class Manifest(Source):
    """Objects that a file names: CSV with a line of column names, or JSON Lines; also compressed by gzip.

    ``key`` is the only required column. ``size``, ``etag`` and ``last_modified`` save a request per object if
    all three are given; if only some are given, they are compared with the object. ``output`` is the key of
    the output, and ``job_level`` (or ``priority``) is the priority of the job. ``target``, ``start_page``,
    ``end_page``, ``quality``, ``sheet`` and other fields of the operation replace those of the batch.
    ``doc_password`` names a secret, such as ``conn:ID``. Other columns are ignored. For an empty cell, the
    setting of the batch applies.

    A row that cannot be used fails alone, with its line in the reason. A file that cannot be read as a
    manifest is an error before anything is submitted. Keys are written as they are, without
    percent-encoding.

    :param key: key of the file in the bucket, or URL of the file (``s3://…``, ``file:///…``), which Airflow's
        ``ObjectStoragePath`` reads.
    :param etag: ETag of the only version of the file to accept; empty for the current version.
    :param original: name of the manifest of which this manifest is a part, for messages.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("key",)

    key: str
    _: KW_ONLY
    etag: str = ""
    original: str = ""

    def __post_init__(self) -> None:
        for name in ("key", "etag", "original"):
            object.__setattr__(self, name, checks.text(f"Manifest.{name}", getattr(self, name)))
        if not self.key:
            raise ValueError(f"Manifest.key is {self.key!r}; it names the file that names the objects")

    @property
    def identity(self) -> tuple[object, ...]:
        """The key alone, because the content can differ at each run."""
        return (self.key,)

    def described(self) -> str:
        """Where the source looks, in words that continue the sentence "no object"."""
        return f"in the manifest {self.key!r}"

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[Found]:
        """The named objects in the order of the rows. Identical rows are taken once."""
        checked = self.checked_rows(client)
        with ThreadPoolExecutor(threads, "ci-keys") as executor:
            while chunk := [row for _, row in islice(checked, _CHUNK)]:
                yield from _found(client, executor, self._name, chunk)

    def checked_rows(self, client: CIClient) -> Iterator[tuple[RawRow, WantedRow | UnusableKey]]:
        """Each row as it stands in the file, and as it was understood; repeated rows are left out."""
        with fetched(client, self.key) as file, repetitions() as seen:
            if self.etag and file.etag != self.etag:
                raise SourceError(f"{self.key} has changed: its ETag is {file.etag}, not {self.etag}")
            remaining = raw_rows(file)
            ignored: set[str] = set()
            while raw := list(islice(remaining, _CHUNK)):
                wanted = [wanted_row(each, self._name) for each in raw]
                checked = zip(raw, seen.checked(self._name, wanted), strict=True)
                yield from ((each, row) for each, row in checked if row is not None)
                if new := _unknown(raw) - ignored:
                    ignored |= new
                    log.warning("%s: ignored the columns %s", self._name, ", ".join(sorted(new)[:20]))

    @property
    def _name(self) -> str:
        return self.original or self.key


class Repetitions:
    """Finds rows that repeat an earlier row with the same key and output; the rows seen are kept on disk."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute(
            "CREATE TABLE rows (key TEXT, output TEXT, line INTEGER, settings TEXT, "
            "PRIMARY KEY (key, output)) WITHOUT ROWID"
        )
        self.dropped = 0

    def checked(
        self, name: str, rows: Sequence[WantedRow | UnusableKey]
    ) -> list[WantedRow | UnusableKey | None]:
        """The rows, with None for a repetition of an earlier row; a contradiction to an earlier row fails."""
        before = self._database.total_changes
        wanted = [row for row in rows if isinstance(row, WantedRow)]
        self._database.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?)", map(_record, wanted))
        # In the usual case, all rows are new, and no query for each row is needed.
        if self._database.total_changes - before == len(wanted):
            return list(rows)
        return [self._check(name, row) for row in rows]

    def _check(self, name: str, row: WantedRow | UnusableKey) -> WantedRow | UnusableKey | None:
        if isinstance(row, UnusableKey):
            return row
        query = "SELECT line, settings FROM rows WHERE (key, output) = (?, ?)"
        line, settings = self._database.execute(query, _record(row)[:2]).fetchone()
        # The table holds the first row with this key and output: this row.
        if line == row.line:
            return row
        if settings == row.settings:
            self.dropped += 1
            return None
        reason = f"line {line} names the same object and output with other settings"
        return unusable(name, row.line, row.key, "RepeatedRow", reason)


@contextmanager
def repetitions() -> Iterator[Repetitions]:
    """A table of rows in a temporary file, until the end of the block."""
    # check_same_thread: the generator that holds this connection may be closed in another thread.
    # Without a name, SQLite makes a temporary file and deletes it by itself.
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as database:
        # The table is useless after a crash, so it need not survive one.
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16384"):
            database.execute(f"PRAGMA {setting}")
        rows = Repetitions(database)
        database.execute("BEGIN")
        yield rows
    if rows.dropped:
        log.warning("%d rows that repeat an earlier one were left out", rows.dropped)


def _record(row: WantedRow) -> tuple[str, str, int, str]:
    return row.key, row.values.get("output", ""), row.line, row.settings


def _unknown(rows: Sequence[RawRow]) -> set[str]:
    return {column for row in rows for column in row.cells if not is_known(column)}


def _found(
    client: CIClient, executor: ThreadPoolExecutor, name: str, rows: Sequence[WantedRow | UnusableKey]
) -> Iterator[Found]:
    """The objects of some rows; facts that rows lack are read with several requests at a time."""
    unknown = [row.key for row in rows if isinstance(row, WantedRow) and row.info is None]
    records = executor.map(partial(head, client), unknown)
    for row in rows:
        if isinstance(row, UnusableKey):
            yield row
            continue
        # The records come in the order of the rows that lack facts.
        info = row.info or next(records)
        if isinstance(info, UnusableKey):
            yield unusable(name, row.line, row.key, info.code, info.message)
        elif mismatch := row.mismatch(info):
            yield unusable(name, row.line, row.key, "ObjectChanged", mismatch)
        else:
            yield row.found(info)
