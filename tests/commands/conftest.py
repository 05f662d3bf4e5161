"""Fixtures: a local CI with traits for each test of ``ci-check``, and clients of this local CI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_ci.client import CIClient, Credentials
from airflow_provider_ci.local import LocalCI


@pytest.fixture
def serve(own_buckets: Path) -> Iterator[Callable[..., LocalCI]]:
    """Starts a local CI with an empty bucket."""
    with ExitStack() as stack:
        yield lambda **traits: stack.enter_context(LocalCI(own_buckets, convert="instant", **traits))


@pytest.fixture
def connect() -> Iterator[Callable[[LocalCI], CIClient]]:
    """Makes a client for a local CI."""
    with ExitStack() as stack:

        def make(server: LocalCI) -> CIClient:
            key = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
            place = ("ap-guangzhou", "examplebucket-1250000000")
            return stack.enter_context(CIClient(key, *place, endpoint=server.endpoint))

        yield make
