"""Outputs that are newer than every record about them, and the jobs that wrote them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any


class UnrecordedOutputs:
    """The unrecorded outputs, by their line in the draft; a table of the draft's database holds them."""

    TABLE = "CREATE TABLE unrecorded (line INTEGER PRIMARY KEY, since REAL, created REAL, job TEXT)"

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.total = 0
        """Number of outputs that were noted."""
        self.to_make = 0
        """Number of noted outputs that would be made again."""
        self.since = float("inf")
        """Earliest Unix time at which a job can have written any of the noted outputs."""

    def note(self, line: int, since: float, *, is_to_make: bool) -> None:
        """Note the output of a line.

        :param since: earliest Unix time at which a job can have written the output.
        :param is_to_make: whether the plan, as it is so far, makes the output again.
        """
        self._database.execute("INSERT INTO unrecorded VALUES (?, ?, NULL, NULL)", (line, since))
        self.total += 1
        self.to_make += is_to_make
        self.since = min(self.since, since)

    def __contains__(self, line: int) -> bool:
        found = self._database.execute("SELECT 1 FROM unrecorded WHERE line = ?", (line,))
        return found.fetchone() is not None

    def note_job(self, line: int, created: float, job: Mapping[str, Any]) -> None:
        """Note a job that wrote the output of a line; of several jobs, the newest counts.

        :param created: Unix time at which the job was created. A job from before the ``since`` of a noted
            output is ignored, because the records know that job.
        """
        self._database.execute(
            # Queues are listed one after the other, so the jobs do not come in the order of their creation.
            "INSERT INTO unrecorded VALUES (?, 0, ?, ?) ON CONFLICT DO UPDATE"
            " SET created = excluded.created, job = excluded.job"
            " WHERE since <= excluded.created AND coalesce(created, -1) < excluded.created",
            (line, created, json.dumps(job)),
        )

    def jobs(self) -> Iterator[tuple[int, Mapping[str, Any], bool]]:
        """Each line with a known job, in ascending order: line, job, and whether its output was noted."""
        rows = self._database.execute(
            "SELECT line, job, since FROM unrecorded WHERE job NOTNULL ORDER BY line"
        )
        return ((line, json.loads(job), since > 0) for line, job, since in rows)
