"""Fixtures that make claims and record the requests of a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.registry import Change
from airflow_provider_ci.client import CIClient

ROOT = "_ci_batches.registry/"


@pytest.fixture
def claim_of() -> Callable[..., Claim]:
    """Makes a claim; arguments replace the default fields."""

    def make(token: str = "t", **values: Any) -> Claim:
        defaults: dict[str, Any] = {
            "folder": "_ci_batches/a/",
            "batch_id": "a",
            "prefix": "out/",
            "operation": "pdf",
            "claimed_at": 1_700_000_000.0,
            "seconds": 60.0,
            "holder": "process 1",
        }
        return Claim(token=token, **{**defaults, **values})

    return make


@pytest.fixture
def adding(claim_of: Callable[..., Claim]) -> Callable[[str], Change]:
    """Makes a change of the registry that adds a claim with the given token."""
    return lambda token: lambda state: state.with_claim(claim_of(token))


@pytest.fixture
def sent() -> Callable[[CIClient], list[tuple[str, str]]]:
    """Records the method and path of each request that a client sends from now on."""

    def watch(client: CIClient) -> list[tuple[str, str]]:
        noted: list[tuple[str, str]] = []
        transport = client._transport
        send = transport.send

        def note(request: Any, read: Any) -> Any:
            noted.append((request.method, request.path))
            return send(request, read)

        transport.send = note  # type: ignore[method-assign]
        return noted

    return watch
