"""Outputs that were written after all that is recorded about them, and the jobs that wrote them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any


class UnrecordedOutputs:
    """The outputs by line of the draft, in a table of its database."""

    TABLE = "CREATE TABLE unrecorded (line INTEGER PRIMARY KEY, since REAL, created REAL, job TEXT)"

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.total = 0
        """Number of outputs that were noted."""
        self.to_make = 0
        """Number of those that would be made again."""
        self.since = float("inf")
        """Unix time before which no job has written any of them."""

    def note(self, line: int, since: float, *, is_to_make: bool) -> None:
        """Note the output of a line.

        :param since: Unix time before which no job has written it.
        :param is_to_make: whether it would be made again, by what is known so far.
        """
        self._database.execute("INSERT INTO unrecorded VALUES (?, ?, NULL, NULL)", (line, since))
        self.total += 1
        self.to_make += is_to_make
        self.since = min(self.since, since)

    def __contains__(self, line: int) -> bool:
        found = self._database.execute("SELECT 1 FROM unrecorded WHERE line = ?", (line,))
        return found.fetchone() is not None

    def note_job(self, line: int, created: float, job: Mapping[str, Any]) -> None:
        """Note a job that wrote the output of a line; of several, the newest counts.

        :param created: Unix time of its creation; a job that the records know is too old.
        """
        self._database.execute(
            # Queues are listed one after the other, so a job that comes later can be newer.
            "INSERT INTO unrecorded VALUES (?, 0, ?, ?) ON CONFLICT DO UPDATE"
            " SET created = excluded.created, job = excluded.job"
            " WHERE since <= excluded.created AND coalesce(created, -1) < excluded.created",
            (line, created, json.dumps(job)),
        )

    def jobs(self) -> Iterator[tuple[int, Mapping[str, Any], bool]]:
        """The lines of which a job is known, in their order, the jobs, and whether the output was noted."""
        rows = self._database.execute(
            "SELECT line, job, since FROM unrecorded WHERE job NOTNULL ORDER BY line"
        )
        return ((line, json.loads(job), since > 0) for line, job, since in rows)
