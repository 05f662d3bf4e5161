"""Requests a signed URL in the way that a program without this package would."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from airflow_provider_ci.client import CIClient, CIConnectionError, Exchange

TIMEOUT_SECONDS = (10, 30)
CONTENT_TYPE = "text/plain"
_SERVICE_DOMAINS = (".myqcloud.com", ".tencentcos.cn")


def send(client: CIClient, method: str, url: str, body: bytes, *, verify: bool | str) -> Exchange:
    """Send a request to a URL that the client signed, and return the exchange.

    :raises CIConnectionError: no response came.
    """
    headers = {"Host": _signed_host(client, url), "Content-Type": CONTENT_TYPE}
    sent = client.clock.monotonic()
    try:
        response = requests.request(
            method, _reachable(url), data=body, headers=headers, timeout=TIMEOUT_SECONDS, verify=verify
        )
    except requests.RequestException as error:
        host = urlsplit(url).netloc
        reason = type(error).__name__  # the error's text would contain the signed URL
        raise CIConnectionError(f"{method} {host}: no response: {reason}", was_sent=True) from None
    return Exchange(
        method=method,
        url=url,
        request_headers=headers,
        request_body=body,
        status=response.status_code,
        response_headers=response.headers,
        response_body=response.content,
        sent=sent,
        received=client.clock.monotonic(),
    )


def _reachable(url: str) -> str:
    """Replace a name below .localhost by localhost itself, because not every system resolves such names."""
    parts = urlsplit(url)
    if not (parts.hostname or "").endswith(".localhost"):
        return url
    return parts._replace(netloc=f"localhost:{parts.port}" if parts.port else "localhost").geturl()


def _signed_host(client: CIClient, url: str) -> str:
    """Return the host that the client signed: for a URL at another endpoint, the service's own name."""
    place = urlsplit(url).netloc
    if place.rpartition(":")[0].endswith(".localhost") or place.endswith((*_SERVICE_DOMAINS, ".localhost")):
        return place
    return f"{client.bucket}.cos.{client.region}{_SERVICE_DOMAINS[0]}"
