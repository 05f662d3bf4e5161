"""A request to the service, before it has an address and a signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_provider_ci.client import signing
from airflow_provider_ci.client.http.address import Address, Service, quote_path, quote_query
from airflow_provider_ci.client.http.responses import NOTHING, Success
from airflow_provider_ci.client.http.upload import Upload
from airflow_provider_ci.client.signing import Credentials

XML_BODY = {"Content-Type": "application/xml"}
"""The headers of a request whose body is XML."""
# CI and COS use different names for the token of a temporary key (1045/43609).
TOKEN_PARAMS = frozenset({"x-ci-security-token", "x-cos-security-token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request: a decoded path, decoded parameters, extra headers, a body.

    ``success`` describes a successful response; any other response is an error, whatever its status.

    An :class:`Upload` is opened for each attempt, so that a repeated request reads from the start.
    ``submits`` holds the input key and output key of a job if the request submits one; such a request must
    not be repeated blindly. ``expires_at`` is the Unix time, by the service's clock, after which the request
    is neither sent nor accepted.
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


def signed_url(credentials: Credentials, address: Address, request: Request, *, key_time: str) -> str:
    """Turn a request into a URL whose signature covers its host, parameters and headers.

    The program that opens the URL has to send those headers with the same values. The token of a temporary
    key is a parameter that the signature does not cover.

    :param key_time: from :func:`.signing.key_time`.
    :raises ValueError: a parameter is a field of the signature, or the token.
    """
    for name, _ in request.params:
        if name.lower().startswith("q-") or name.lower() in TOKEN_PARAMS:
            raise ValueError(f"parameter {name!r} is set by the signature itself, leave it out")
    fields = signing.signature_fields(
        credentials,
        request.method,
        request.path,
        request.params,
        (("Host", address.link_host), *request.headers.items()),
        key_time=key_time,
    )
    token = ((address.token_header, credentials.token),) if credentials.token else ()
    joint = "&" if request.params else "?"
    return f"{address.link_base}{request.target}{joint}{quote_query((*fields, *token))}"
