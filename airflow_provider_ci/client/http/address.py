"""Where requests go: the host names of CI and COS, or an endpoint that replaces them."""

from __future__ import annotations

import re
from binascii import a2b_qp
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

Service = Literal["ci", "cos", "region"]
"""``ci``: a bucket's jobs and queues. ``cos``: a bucket's objects. ``region``: calls without a bucket."""

# CI has hosts only below this domain, COS below both domains. No official SDK has another host for CI.
_DOMAIN = ".myqcloud.com"
_SERVICE_DOMAINS = (_DOMAIN, ".tencentcos.cn")
# The characters that the documentation allows in a bucket name (436/13312).
_BUCKET = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?-\d+")
# Not a list of regions, because Tencent adds regions. The official Python SDK checks the same pattern.
_REGION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of one service, for one bucket."""

    host: str
    """The service's own host name, prefixed with the bucket: the ``Host`` of every request."""
    base: str
    """Scheme, host and port to connect to."""
    token_header: str
    """Name of the header or URL parameter in which this service expects a temporary key's token."""

    @property
    def link_base(self) -> str:
        """Scheme, host and port of a signed URL for another program; the host has to name the bucket.

        Browsers and curl resolve any name below ``.localhost`` to this machine, and the local CI reads
        bucket, service and region from that name.
        """
        url = urlsplit(self.base)
        if not is_loopback(url.hostname or ""):
            return self.base
        name = f"{self.host.removesuffix(_DOMAIN)}.localhost"
        return f"{url.scheme}://{name}:{url.port}" if url.port else f"{url.scheme}://{name}"

    @property
    def link_host(self) -> str:
        """The ``Host`` to sign a URL with: the URL's host, or the service's if the endpoint is remote."""
        link = urlsplit(self.link_base)
        return link.netloc if is_loopback(link.hostname or "") else self.host


def addresses(
    bucket: str, region: str, endpoint: str | None, ci_endpoint: str | None = None
) -> dict[Service, Address]:
    """Return the addresses of a bucket at CI and COS, and the address of CI for calls without a bucket.

    :param endpoint: where to connect for objects, and for everything else without a ``ci_endpoint``.

    :raises ValueError: the bucket lacks its APPID, or the region or an endpoint is malformed.
    """
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"bucket must be <name>-<APPID>, such as examplebucket-1250000000, not {bucket!r}")
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise ValueError(f"region must be a name such as ap-guangzhou, not {region!r}")
    # The two services read the token of a temporary key from different headers (1045/43609).
    cos, ci = endpoint, ci_endpoint or endpoint
    return {
        "ci": _address(f"{bucket}.ci.{region}{_DOMAIN}", ci, "ci_endpoint", "x-ci-security-token"),
        "cos": _address(f"{bucket}.cos.{region}{_DOMAIN}", cos, "endpoint", "x-cos-security-token"),
        "region": _address(f"ci.{region}{_DOMAIN}", ci, "ci_endpoint", "x-ci-security-token"),
    }


def endpoint_for(endpoint: str | None, here: tuple[str, str], there: tuple[str, str]) -> str | None:
    """Return the endpoint for another bucket that corresponds to this bucket's ``endpoint``.

    A host name of the service contains the bucket and usually the region, so they are replaced. Any other
    address stays the same, because the ``Host`` of each request names the bucket.

    :param here: bucket and region of ``endpoint``.
    :param there: bucket and region of the other bucket.
    """
    url = urlsplit(endpoint or "")
    if not (url.hostname or "").endswith(_SERVICE_DOMAINS):
        return endpoint
    labels = dict(zip(here, there, strict=True))
    place = ".".join(labels.get(label, label) for label in url.netloc.split("."))
    return url._replace(netloc=place).geturl()


def quote_path(path: str) -> str:
    """Quote a path for sending. Dot segments are escaped, so that no proxy removes them.

    Like the official SDKs, this writes ``./`` as ``.%2F``; the service decodes it again.
    """
    quoted = quote(path, "/").replace("./", ".%2F")
    return quoted[:-1] + "%2E" if quoted.endswith(("/.", "/..", "%2F.", "%2F..")) else quoted


def quote_query(params: tuple[tuple[str, str], ...]) -> str:
    """Quote parameters for sending. A parameter without a value has no equals sign."""
    return "&".join(
        [f"{quote(name, '')}={quote(value, '')}" if value else quote(name, "") for name, value in params]
    )


def unquoted(text: str) -> str:
    """Decode a percent-encoded key, as ``urllib.parse.unquote`` does, at a fifteenth of its cost.

    Decoding is most of the work of reading a page of a listing. Quoted-printable differs from
    percent-encoding only in the sign before the two digits, and its decoder is written in C. That decoder
    skips malformed escapes; the length check then detects them.

    :raises ValueError: for bytes that are not UTF-8.
    """
    if "%" not in text:
        return text
    # Line ends are excluded, because the decoder drops a line end after "=".
    if "=" not in text and text.isascii() and text.isprintable():
        data = a2b_qp(text.replace("%", "="))
        if len(data) == len(text) - 2 * text.count("%"):
            return data.decode()
    return unquote(text, errors="strict")


def _address(host: str, endpoint: str | None, name: str, token: str) -> Address:
    if endpoint is None:
        return Address(host, f"https://{host}", token)
    base = _base(endpoint, name)
    # The service has further host names for a bucket (internal, accelerated). The request must be signed for
    # the name that it connects to, and TLS checks the same name.
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
    """Strip the login from an address for a message: it may hold a password."""
    scheme, separator, rest = endpoint.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
