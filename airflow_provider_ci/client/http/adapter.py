"""Sends requests with urllib3: connections, proxies, certificates, and the translation of exceptions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3 import exceptions as lower

from airflow_provider_ci.client.errors import CIConnectionError, CITimeoutError
from airflow_provider_ci.client.http.address import is_loopback
from airflow_provider_ci.client.http.deadline import timed

Proxies = dict[str, str]

_LOGIN = ":%!$&'()*+,;=-._~"
"""Characters that need no quoting in a URL's login. ``%`` is one of them, so escapes stay as they are."""


class SupportsRead(Protocol):
    """The interface of a body that is not bytes."""

    def read(self, amount: int = -1, /) -> bytes:
        """Return the next bytes."""


NOT_SENT = (
    requests.ConnectTimeout,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    lower.ClosedPoolError,
    lower.ConnectTimeoutError,
    lower.EmptyPoolError,
    lower.HostChangedError,
    lower.LocationValueError,
    lower.NewConnectionError,
    lower.ProxyError,
    lower.ProxySchemeUnknown,
    lower.URLSchemeUnknown,
)
"""Exceptions raised before the first byte of a request leaves. urllib3's ProxyError means that the proxy
could not be reached; a proxy that drops a request raises ProtocolError."""

PERMANENT = (
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.SSLError,
    lower.HostChangedError,
    lower.LocationValueError,
    lower.ProxySchemeUnknown,
    lower.SSLError,
    lower.URLSchemeUnknown,
)
"""Errors that a retry would only repeat: an address, a header or a certificate is wrong."""

NO_RETRIES = urllib3.Retry(0, read=False)
"""The client repeats requests itself, because only it knows which ones may be repeated."""

TIMEOUTS = (requests.Timeout, lower.TimeoutError)
NO_TIMEOUTS = (lower.NewConnectionError,)
"""In urllib3, a refused connection is a subclass of a timeout, for backward compatibility."""

_WHAT = {
    (True, True): "no response in time",
    (True, False): "no connection in time",
    (False, True): "no complete response",
    (False, False): "the service could not be reached",
}
"""Text of a message, by two flags: whether it was a timeout, whether the request may have been sent."""

_ADVICE: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.InvalidSchema, "For a SOCKS proxy, install requests[socks] (PySocks)."),
    (requests.exceptions.InvalidProxyURL, "The proxy must look like http://user:password@host:port."),
    (lower.ProxySchemeUnknown, "The proxy must look like http://user:password@host:port."),
    (lower.ProxyError, "Check the proxy that the environment names (https_proxy, http_proxy, no_proxy)."),
    (lower.NameResolutionError, "Check the region or the endpoint in that name, and this machine's DNS."),
    (lower.SSLError, "Check which certificates are trusted (verify)."),
    (lower.NewConnectionError, "Check the endpoint, and that a server listens there."),
    (lower.TimeoutError, "Check the network, the firewall and the proxy on the way."),
)
"""Advice by type of cause. The first match counts, so special types come before their base types."""


class SignedRequest(NamedTuple):
    """A request that is ready to send; its quoted target is the one that was signed."""

    base: str
    """Where to connect: scheme, host, port."""
    method: str
    target: str
    """The quoted path and query."""
    headers: dict[str, str]
    body: bytes | SupportsRead | None


class Adapter:
    """Connections to the addresses of one client, with proxy and certificates resolved once per address.

    The requests library sets up the connections and understands the environment's proxies. Each request is
    then sent with urllib3 directly: a session of the requests library merges double slashes, which breaks the
    signature, and looks up the proxy and the certificates for every request, which costs more than the rest
    of a call.
    """

    def __init__(
        self,
        bases: Iterable[str],
        *,
        verify: bool | str,
        max_connections: int,
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        """Look up the proxies of the addresses ``bases``; nothing is opened yet."""
        self._proxies = {base: proxies_for(base) for base in bases}
        self._verify = verify
        self._max_connections = max_connections
        self._timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
        self._setup = self._new_setup()
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}

    def send(self, signed: SignedRequest) -> urllib3.BaseHTTPResponse:
        """Send the request once, and return the response as soon as its headers have arrived."""
        pool = self._pools.get(signed.base) or self._open(signed.base)
        return pool.urlopen(
            signed.method,
            self._url(signed),
            body=signed.body,  # type: ignore[arg-type]  # the stubs ask for more of a file than urllib3 uses
            headers=signed.headers,
            retries=NO_RETRIES,
            # 301 and 307 mean a wrong region (436/7730). The signature covers Host, so the service would
            # refuse a redirected request.
            redirect=False,
            # Through a proxy for plain HTTP the URL names the service, and the pool belongs to the proxy.
            assert_same_host=False,
            timeout=self._timeout,
            preload_content=False,
            # Otherwise urllib3 would decompress an object that is stored with Content-Encoding: gzip, and the
            # size would not match.
            decode_content=False,
        )

    def _new_setup(self) -> HTTPAdapter:
        # With pool_block, a thread waits for a free connection. Without it, urllib3 would open one more
        # connection and close it after one request.
        return HTTPAdapter(pool_maxsize=self._max_connections, pool_block=True)

    def _open(self, base: str) -> urllib3.HTTPConnectionPool:
        place = requests.Request("GET", base).prepare()
        pool = self._setup.get_connection_with_tls_context(place, self._verify, self._proxies.get(base))
        assert isinstance(pool, urllib3.HTTPConnectionPool)
        self._setup.cert_verify(pool, base, self._verify, None)  # type: ignore[no-untyped-call]
        pool.ConnectionCls = timed(pool.ConnectionCls)
        self._pools[base] = pool
        return pool

    def _url(self, signed: SignedRequest) -> str:
        """Return the target as it was signed. A proxy for plain HTTP needs the absolute URL."""
        proxy = self._proxies[signed.base].get("http", "")
        if proxy and signed.base.startswith("http:") and not proxy.lower().startswith("socks"):
            return signed.base + signed.target
        return signed.target

    def after_fork(self) -> None:
        """Close our copies of the parent's connections without taking its locks: they may stay locked."""
        for pool in self._pools.values():
            idle = pool.pool
            if idle is None:
                continue
            for connection in idle.queue:
                if connection is not None:
                    connection.close()
            idle.__init__(idle.maxsize)  # type: ignore[misc]  # new locks, which no thread holds
        self._pools = {}
        self._setup = self._new_setup()

    def close(self) -> None:
        """Close all idle connections."""
        self._pools.clear()
        self._setup.close()


def proxies_for(base: str) -> Proxies:
    """Return the environment's proxy for this address, by URL scheme; loopback addresses have none."""
    url = urlsplit(base)
    if is_loopback(url.hostname or ""):
        return {}
    proxy = select_proxy(base, get_environ_proxies(base))
    return {url.scheme: _with_quoted_password(proxy)} if proxy else {}


def _with_quoted_password(proxy: str) -> str:
    """Quote the login in a proxy's URL: ``#``, ``/`` and ``?`` in a password would end the host too early."""
    scheme, _, rest = proxy.rpartition("://")
    login, at, place = rest.rpartition("@")
    return f"{scheme or 'http'}://{quote(login, safe=_LOGIN)}{at}{place}"


def certificates(verify: bool | str | os.PathLike[str]) -> bool | str:
    """Return which certificates to trust: False for any, True for requests' own list, or a path.

    True reads REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, as requests does. A path overrides these variables.

    :raises ValueError: the path does not exist.
    """
    if verify is True:
        verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    if isinstance(verify, bool):
        return verify
    if not Path(verify).exists():
        raise ValueError(f"verify: no certificate bundle at {os.fspath(verify)!r}")
    return os.fspath(verify)


class Asked(NamedTuple):
    """Describes a request in messages. The text is built only when a message needs it."""

    method: str
    host: str
    path: str
    base: str
    submits: tuple[str, str] | None = None

    def __str__(self) -> str:
        path = self.path if self.path.isprintable() else quote(self.path)
        at = "" if self.base == f"https://{self.host}" else f" (at {self.base})"
        job = f" for {self.submits[0]!r} -> {self.submits[1]!r}" if self.submits else ""
        return f"{self.method} {self.host}{path}{at}{job}"


@contextmanager
def translated(asked: Asked) -> Iterator[None]:
    """Translate exceptions of requests and urllib3 into our errors, whose messages name the request."""
    try:
        yield
    except (requests.RequestException, lower.HTTPError) as error:
        raise translate(error, asked) from error


def translate(error: requests.RequestException | lower.HTTPError, asked: Asked) -> CIConnectionError:
    """Translate one exception of requests or urllib3."""
    causes = list(_causes(error))
    was_sent = not any(isinstance(cause, NOT_SENT) or _is_untrusted_certificate(cause) for cause in causes)
    is_retryable = not any(isinstance(cause, PERMANENT) for cause in causes)
    is_timeout = any(isinstance(cause, TIMEOUTS) and not isinstance(cause, NO_TIMEOUTS) for cause in causes)
    cls = CITimeoutError if is_timeout else CIConnectionError
    what = _WHAT[is_timeout, was_sent]
    advice = next((f" {text}" for kind, text in _ADVICE if any(isinstance(c, kind) for c in causes)), "")
    text = f"{asked}: {what}{_through(asked.base)}: {_reason(causes[-1])}.{advice}"
    return cls(text, was_sent=was_sent, is_retryable=is_retryable)


def _through(base: str) -> str:
    """Name the proxy in use, without its password."""
    proxy = proxies_for(base).get(urlsplit(base).scheme, "")
    return f" through the proxy {proxy.rpartition('@')[2]}" if proxy else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and all exceptions that it wraps, outermost first."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        # urllib3 keeps a cause in ``args``, in ``reason`` (MaxRetryError) or in ``original_error``
        # (ProxyError).
        inner = [*each.args, getattr(each, "reason", None), getattr(each, "original_error", None)]
        queue += [cause for cause in inner if isinstance(cause, BaseException)]


def _reason(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _is_untrusted_certificate(error: BaseException) -> bool:
    """Whether the certificate was rejected. The TLS handshake precedes the request, so nothing was sent."""
    return type(error).__name__ == "SSLCertVerificationError"
