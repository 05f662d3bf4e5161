"""Where requests go: the service's own host names, or one endpoint that stands for both of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

Service = Literal["ci", "cos"]

_BUCKET = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?-\d+")
_REGION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket's address at one of the two services."""

    host: str
    """What the service calls itself, with the bucket before it: the ``Host`` of every request."""
    base: str
    """Scheme, host and port of where to connect."""
    token_header: str
    """How this service calls the header of a temporary key's token."""


def addresses(bucket: str, region: str, endpoint: str | None) -> dict[Service, Address]:
    """The addresses of a bucket at CI (jobs, queues) and COS (objects).

    :raises ValueError: for a bucket without its APPID, a region or endpoint that cannot be one.
    """
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"bucket must be <name>-<APPID>, such as examplebucket-1250000000, not {bucket!r}")
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ValueError(f"region must be a name such as ap-guangzhou, not {region!r}")
    services: tuple[Service, ...] = ("ci", "cos")
    return {
        service: Address(
            host := f"{bucket}.{service}.{region}.myqcloud.com",
            _base(endpoint) if endpoint else f"https://{host}",
            f"x-{service}-security-token",
        )
        for service in services
    }


def quote_path(path: str) -> str:
    """A path as it goes on the line, so that nobody on the way finds dot segments to fold.

    The official SDKs write ``./`` as ``.%2F`` too; the service decodes it again.
    """
    quoted = quote(path, "/").replace("./", ".%2F")
    return quoted[:-1] + "%2E" if quoted.endswith(("/.", "/..", "%2F.", "%2F..")) else quoted


def quote_query(params: tuple[tuple[str, str], ...]) -> str:
    """Parameters as they go on the line; one without a value has no equals sign."""
    return "&".join(
        [f"{quote(name, '')}={quote(value, '')}" if value else quote(name, "") for name, value in params]
    )


def _base(endpoint: str) -> str:
    url = urlsplit(endpoint)
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or url.path.strip("/")
        or url.query
        or url.username
    ):
        raise ValueError(f"endpoint must look like http://127.0.0.1:9000, not {endpoint!r}")
    return f"{url.scheme}://{url.netloc}"
