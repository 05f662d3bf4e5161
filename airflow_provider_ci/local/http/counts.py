"""Counts of served requests by kind."""

from __future__ import annotations

from collections import Counter

from airflow_provider_ci.local.errors import Service
from airflow_provider_ci.local.http.request import Request


class RequestCounts:
    """Counts requests by method, service and kind of path, such as ``GET ci /doc_jobs/{id}``."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, request: Request) -> None:
        """Count a request."""
        service = request.address.service
        self._counts[f"{request.method} {service} {_kind_of_path(service, request.path)}"] += 1

    def as_mapping(self) -> dict[str, int]:
        """The counts so far."""
        return dict(self._counts)

    def reset(self) -> None:
        """Set all counts to 0."""
        self._counts = Counter()


def _kind_of_path(service: Service, path: str) -> str:
    if service is Service.COS:
        return "/" if path == "/" else "/{key}"
    name, _, rest = path[1:].partition("/")
    return f"/{name}/{{id}}" if rest else f"/{name}"
