"""A source whose objects have settings of their own, and the text of everything that the engine stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_ci.batch import ObjectSelection
from airflow_provider_ci.batch.sources.source import Row
from airflow_provider_ci.client import CIClient

KEYS = [f"in/{number}.docx" for number in range(4)]
PASSWORD = "hunter2-is-no-password"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Rows(ObjectSelection):
    """A selection in which the objects named in ``rows`` have settings of their own."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def objects(self, client: CIClient, **options: Any) -> Iterator[Any]:
        for info in ObjectSelection.objects(self, client, **options):
            yield Row(info=info, **self.rows[info.key]) if info.key in self.rows else info


def rows(**by_number: dict[str, Any]) -> Rows:
    return Rows(prefix="in/", rows={f"in/{name[1:]}.docx": row for name, row in by_number.items()})


def everything_in(bucket: Path) -> str:
    """The text of every object that the engine has stored in the bucket."""
    paths = [path for path in bucket.rglob("*") if path.is_file() and "_ci_batches" in path.as_posix()]
    return "\n".join(path.read_text(errors="replace") for path in paths)
