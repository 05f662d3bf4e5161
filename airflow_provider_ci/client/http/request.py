"""A request to the service, before it has an address and a signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_ci.client.http.address import Service, quote_path, quote_query
from airflow_provider_ci.client.http.responses import NOTHING, Success
from airflow_provider_ci.client.objects import Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request: a decoded path, decoded parameters, extra headers, a body.

    ``success`` describes a successful response; any other response is an error, whatever its status.

    An :class:`Upload` is opened for each attempt, so that a repeated request reads from the start.
    ``submits`` names the input and output of a job, for requests that must not be repeated blindly.
    ``expires_at`` is the Unix time, by the service's clock, after which it is neither sent nor accepted.
    """

    method: str
    service: Service
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Upload | None = None
    success: Success = NOTHING
    submits: tuple[str, str] | None = None
    expires_at: float | None = None

    @property
    def target(self) -> str:
        """The quoted path and query, as they are sent."""
        path = quote_path(self.path)
        return f"{path}?{quote_query(self.params)}" if self.params else path
