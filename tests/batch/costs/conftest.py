"""Batches of every kind of work, for tests of the limits on what a batch may cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, Manifest
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import INBOX
from tests.batch.costs.work import CHAIN, PDF, SIDE_BY_SIDE
from tests.conftest import BUCKET


@pytest.fixture
def local_ci(tmp_path: Path) -> Iterator[LocalCI]:
    """A local CI with two queues for each feature."""
    (tmp_path / "buckets" / BUCKET).mkdir(parents=True)
    with LocalCI(tmp_path / "buckets", convert="instant", queues=2) as server:
        yield server


@dataclass(frozen=True)
class Make:
    """Makes batches of one kind of work, in which each object has ``steps`` jobs."""

    name: str
    steps: int
    make: Callable[..., Batch]
    fill: Callable[..., None]
    client: CIClient

    def __call__(self, **options: Any) -> Batch:
        return self.make(self.client, **options)

    def objects(self, count: int) -> int:
        """The number of objects in the batch for ``count`` objects in the bucket: each row is an object."""
        return count * (2 if self.name == "rows" else 1)

    def add(self, count: int, *, bad: Sequence[int] = ()) -> None:
        """Put ``count`` objects into the bucket; the objects with the numbers ``bad`` cannot be converted."""
        keys = [f"in/{number:03}.docx" for number in range(count)]
        self.fill(*(key for number, key in enumerate(keys) if number not in bad))
        self.fill(*(keys[number] for number in bad), content=b"")
        self.client.put_object("rows.jsonl", "\n".join(map(_rows, keys)).encode())


def _rows(key: str) -> str:
    """Two manifest rows for a key, one for each of two pages; the batch counts each row as an object."""
    stem = key[3:-5]
    rows = [
        {"key": key, "output": f"out/{stem}-{page}.pdf", "start_page": page, "end_page": page}
        for page in (1, 2)
    ]
    return "\n".join(map(json.dumps, rows))


KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "one output": (1, {}),
    "rows": (2, {"source": Manifest("rows.jsonl")}),
    "side by side": (2, {"operation": None, "output": "", "operations": SIDE_BY_SIDE}),
    "chain": (3, {"operation": None, "output": "", "operations": CHAIN}),
    "queues": (1, {}),
}
"""Name of the kind of work -> number of jobs for each object in the bucket, and the batch's arguments."""


@pytest.fixture
def make_of(
    client: CIClient, batch: Callable[..., Batch], fill_bucket: Callable[..., None]
) -> Callable[[str], Make]:
    """Returns the :class:`Make` of a kind of work."""

    def of_kind(name: str) -> Make:
        steps, arguments = KINDS[name]
        if name == "queues":
            arguments = {"queue_ids": two_queues(client)}

        def make(client: CIClient, **options: Any) -> Batch:
            given = {"source": INBOX, "operation": PDF, **arguments, **options}
            return batch(client, given.pop("source"), given.pop("operation"), **given)

        return Make(name, steps, make, fill_bucket, client)

    return of_kind


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, make_of: Callable[[str], Make]) -> Make:
    """Runs the test once for each kind of work."""
    return make_of(request.param)


def two_queues(client: CIClient) -> list[str]:
    """The ids of the two document queues."""
    return [queue.queue_id for queue in client.list_doc_queues()]
