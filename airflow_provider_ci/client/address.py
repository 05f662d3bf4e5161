"""Where requests go: the service's own host names, or one endpoint that stands for both of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import quote, urlsplit

Service = Literal["ci", "cos", "region"]
"""The bucket's jobs and queues, the bucket's objects, and what concerns no bucket."""

_DOMAIN = ".myqcloud.com"
_SERVICE_DOMAINS = (_DOMAIN, ".tencentcos.cn")
_BUCKET = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?-\d+")
_REGION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where one of the services is, as seen from a bucket."""

    host: str
    """What the service calls itself, with the bucket before it: the ``Host`` of every request."""
    base: str
    """Scheme, host and port of where to connect."""
    token_header: str
    """How this service calls the header, or the parameter of a URL, that holds a temporary key's token."""

    @property
    def link_base(self) -> str:
        """Scheme, host and port for a URL that somebody else opens, where the host has to name the bucket.

        Browsers and curl take any name below ``.localhost`` for this machine, and the local CI reads bucket,
        service and region from it.
        """
        url = urlsplit(self.base)
        if not is_loopback(url.hostname or ""):
            return self.base
        name = f"{self.host.removesuffix(_DOMAIN)}.localhost"
        return f"{url.scheme}://{name}:{url.port}" if url.port else f"{url.scheme}://{name}"

    @property
    def link_host(self) -> str:
        """The ``Host`` that goes with a URL: its own, but behind an endpoint elsewhere the service's name."""
        link = urlsplit(self.link_base)
        return link.netloc if is_loopback(link.hostname or "") else self.host


def addresses(
    bucket: str, region: str, endpoint: str | None, ci_endpoint: str | None = None
) -> dict[Service, Address]:
    """The addresses of a bucket at CI (jobs, queues) and COS (objects), and of CI without a bucket.

    :param endpoint: where to connect for objects, and for all else if there is no ``ci_endpoint``.

    :raises ValueError: for a bucket without its APPID, a region or endpoint that cannot be one.
    """
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"bucket must be <name>-<APPID>, such as examplebucket-1250000000, not {bucket!r}")
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ValueError(f"region must be a name such as ap-guangzhou, not {region!r}")
    cos, ci = endpoint, ci_endpoint or endpoint
    return {
        "ci": _address(f"{bucket}.ci.{region}{_DOMAIN}", ci, "ci_endpoint", "x-ci-security-token"),
        "cos": _address(f"{bucket}.cos.{region}{_DOMAIN}", cos, "endpoint", "x-cos-security-token"),
        "region": _address(f"ci.{region}{_DOMAIN}", ci, "ci_endpoint", "x-ci-security-token"),
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


def _address(host: str, endpoint: str | None, name: str, token: str) -> Address:
    if endpoint is None:
        return Address(host, f"https://{host}", token)
    base = _base(endpoint, name)
    # The service's other names for a bucket (internal, accelerated) are names of their own to it and to TLS.
    place = urlsplit(base).netloc
    is_service = place.endswith(_SERVICE_DOMAINS) and not host.startswith("ci.")
    return Address(place if is_service else host, base, token)


def _base(endpoint: str, name: str) -> str:
    url = urlsplit(endpoint)
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or url.path.strip("/")
        or url.query
        or url.username
    ):
        raise ValueError(f"{name} must look like http://127.0.0.1:9000, not {_without_login(endpoint)!r}")
    return f"{url.scheme}://{url.netloc}"


def _without_login(endpoint: str) -> str:
    """An address for a message: what stands before ``@`` may be a password."""
    scheme, separator, rest = endpoint.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address stands for this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
