"""Fixtures: a local CI with traits for each test, and the check of its bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.check import Report, check_bucket
from airflow_provider_ci.client import CIClient, Credentials, RetryPolicy
from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
LONGEST_SLEEP_SECONDS = 0.1


class SharedTime:
    """The clock of a client; a long sleep is mostly skipped, and the local CI's clock moves ahead with it."""

    def __init__(self, server: LocalCI) -> None:
        self._server = server
        self._skipped = 0.0

    def now(self) -> float:
        return time.time() + self._skipped

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, LONGEST_SLEEP_SECONDS))
        skipped = max(seconds - LONGEST_SLEEP_SECONDS, 0.0)
        offset = self._server.traits.now_on.clock_offset_seconds
        self._server.traits.set(clock_offset_seconds=offset + skipped)
        self._skipped += skipped


@pytest.fixture
def serve(own_buckets: Path) -> Iterator[Callable[..., LocalCI]]:
    """Starts a local CI with an empty bucket."""
    with ExitStack() as stack:
        yield lambda **traits: stack.enter_context(LocalCI(own_buckets, **{"convert": "instant", **traits}))


@pytest.fixture
def connect() -> Iterator[Callable[..., CIClient]]:
    """Makes a client for a local CI."""
    with ExitStack() as stack:

        def make(server: LocalCI, *, bucket: str = BUCKET, **keys: Any) -> CIClient:
            key = {"secret_id": server.secret_id, "secret_key": server.secret_key, **keys}
            clock: Any = SharedTime(server)
            return stack.enter_context(
                CIClient(
                    Credentials(**key),
                    REGION,
                    bucket,
                    endpoint=server.endpoint,
                    retry=RetryPolicy(max_attempts=2, max_seconds=1),
                    _clock=clock,
                )
            )

        yield make


@pytest.fixture
def check(
    serve: Callable[..., LocalCI], connect: Callable[..., CIClient], own_buckets: Path
) -> Callable[..., Report]:
    """Checks a local CI with the given traits, and asserts that the check leaves no object in its bucket."""

    def run(options: dict[str, Any] | None = None, /, **traits: Any) -> Report:
        server = serve(**traits)
        report = check_bucket(connect(server), **(options or {}))
        assert report.left_behind == ()
        assert objects_in(own_buckets) == []
        return report

    return run


def objects_in(buckets: Path) -> list[str]:
    """The objects of the bucket, read from the disk."""
    return [path.name for path in (buckets / BUCKET).rglob("*") if path.is_file()]
