"""What the client calls itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_ci import __version__
from airflow_provider_ci.client import CIClient


def test_every_request_names_the_package_and_its_version(
    wire: Any, ci: CIClient, reply: Callable[..., Any]
) -> None:
    wire.will(reply("text"))
    ci.read_object("a.txt")
    assert wire.last.headers["user-agent"] == f"airflow-provider-ci/{__version__}"
