"""The SQLite file beside the buckets: jobs, queues, templates, and known facts about objects."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

Row = sqlite3.Row
Parameters = Iterable[object] | Mapping[str, object]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    etag TEXT NOT NULL, headers TEXT NOT NULL, crc64 TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS queues (
    queue_id TEXT PRIMARY KEY, bucket TEXT NOT NULL, category TEXT NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL, notify TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unbound (
    bucket TEXT NOT NULL, feature TEXT NOT NULL, PRIMARY KEY (bucket, feature)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE, bucket TEXT NOT NULL, region TEXT
    NOT NULL, tag TEXT NOT NULL, queue_id TEXT NOT NULL, state TEXT NOT NULL, level INTEGER NOT NULL,
    created INTEGER NOT NULL, started INTEGER, ended INTEGER, input_object TEXT NOT NULL, operation TEXT NOT
    NULL, secret TEXT, code TEXT NOT NULL, message TEXT NOT NULL, result TEXT
);
CREATE TABLE IF NOT EXISTS callbacks (
    job_id TEXT PRIMARY KEY, bucket TEXT NOT NULL, url TEXT NOT NULL, format TEXT NOT NULL,
    due INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS callbacks_by_due ON callbacks (due);
CREATE TABLE IF NOT EXISTS templates (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, template_id TEXT NOT NULL UNIQUE, bucket TEXT NOT NULL,
    name TEXT NOT NULL, parameters TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
    UNIQUE (bucket, name)
);
CREATE INDEX IF NOT EXISTS jobs_by_queue ON jobs (queue_id, tag, state, seq);
CREATE INDEX IF NOT EXISTS jobs_by_created ON jobs (created);
CREATE INDEX IF NOT EXISTS pictures_by_input ON jobs (queue_id, input_object, seq) WHERE tag = 'PicProcess';
CREATE INDEX IF NOT EXISTS waiting_jobs ON jobs (queue_id, state, level DESC, seq)
    WHERE state IN ('Submitted', 'Pause');
DROP INDEX IF EXISTS jobs_by_state;
DROP INDEX IF EXISTS jobs_by_time;
DROP INDEX IF EXISTS jobs_by_input;
DROP INDEX IF EXISTS jobs_waiting;
"""


class Database:
    """One connection, used by the server's loop and by the workers' threads in turn.

    WAL with ``synchronous=NORMAL``: committed changes survive a killed process, and a commit needs no
    fsync.
    """

    def __init__(self, path: Path) -> None:
        self._lock = RLock()
        self._is_log_old = False
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA secure_delete=ON")  # erases passwords of finished jobs
        self._connection.executescript(_SCHEMA)
        self._add_missing_columns()

    def _add_missing_columns(self) -> None:
        """Add the columns that a file of an older version lacks."""
        columns = self._connection.execute("PRAGMA table_info(objects)").fetchall()
        if "crc64" not in {column["name"] for column in columns}:
            self._connection.execute("ALTER TABLE objects ADD COLUMN crc64 TEXT NOT NULL DEFAULT ''")

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, _bound(parameters)).fetchall()

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a query."""
        return next(iter(self.rows(sql, parameters)), None)

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement that changes rows; return how many it changed."""
        with self._lock:
            return self._connection.execute(sql, _bound(parameters)).rowcount

    def insert(self, sql: str, parameters: Parameters) -> int:
        """Run an INSERT; return the number of the new row."""
        with self._lock:
            return int(self._connection.execute(sql, _bound(parameters)).lastrowid or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes inside together, or none of them if an error is raised.

        A nested transaction becomes part of the outer one.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            if self._is_log_old:
                self.forget_log()

    def forget_log(self) -> None:
        """Copy the write-ahead log into the database file and truncate it: it still holds deleted rows."""
        with self._lock:
            # Inside a transaction this is not possible yet; the end of the transaction does it.
            self._is_log_old = self._connection.in_transaction
            if not self._is_log_old:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


def _bound(parameters: Parameters) -> dict[str, object] | tuple[object, ...]:
    return dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
