"""The request signature of COS and CI (``q-sign-algorithm=sha1``) as pure functions, one per documented step.

No function here reads a clock or uses the network: times are arguments. So the same functions sign a request
in the client, verify it in the local CI, and reproduce the published examples.

Source: Request Signature, tencentcloud.com document/product/436/7778.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import quote

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A SecretId, its SecretKey, and for temporary keys a token. The repr hides SecretKey and token."""

    secret_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("secret_id", "secret_key"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value or value != value.strip():
                raise ValueError(f"Credentials.{name} must be a non-empty string without surrounding blanks")

    def current(self) -> Credentials:
        """Return this key, which never changes."""
        return self

    def replacing(self, refused: Credentials) -> Credentials | None:
        """Return None, because no other key exists."""
        return None


class CredentialSource(Protocol):
    """Supplies the key that a client signs with; it must be thread-safe."""

    def current(self) -> Credentials:
        """Return the key for a request that is sent now.

        :raises CredentialsError: no key is available.
        """

    def replacing(self, refused: Credentials) -> Credentials | None:
        """Return another key after the service rejected this one, or None if no other exists."""


class Canonical(NamedTuple):
    """Parameters or headers in the two forms that the signature needs."""

    names: str
    """The names, encoded, lower-cased, sorted, joined by ``;`` (UrlParamList, HeaderList)."""
    pairs: str
    """The same names with their encoded values, joined by ``&`` (HttpParameters, HttpHeaders)."""


def key_time(start: int, end: int) -> str:
    """Return KeyTime: start and end of the signature's validity, in Unix seconds."""
    return f"{start};{end}"


# Cached: all requests of a minute have the same key time (SIGNATURE_STEP_SECONDS in http/transport.py).
@lru_cache(maxsize=64)
def sign_key(secret_key: str, key_time: str) -> str:
    """Return SignKey, which is valid only for ``key_time``, as lower-case hex text."""
    return _hmac_sha1(secret_key, key_time)


def canonical(pairs: Pairs) -> Canonical:
    """Encode, lower-case and sort parameters or headers.

    Names are first percent-encoded and then lower-cased, including their hex digits; values keep their case.
    A repeated name is listed once per value, ordered by value (as the Go SDK does).
    """
    return _canonical(tuple(pairs))


@lru_cache(maxsize=256)
def _canonical(pairs: tuple[tuple[str, str], ...]) -> Canonical:
    """Encode and sort; cached, because headers rarely change and encoding is half of a signature's cost."""
    encoded = sorted((quote(name, "").lower(), value) for name, value in pairs)
    return Canonical(
        ";".join([name for name, _ in encoded]),
        "&".join([f"{name}={quote(value, '')}" for name, value in encoded]),
    )


def http_string(method: str, path: str, params: str, headers: str) -> str:
    """Return HttpString, the signed parts of a request. ``path`` is decoded and begins with ``/``."""
    return f"{method.lower()}\n{path}\n{params}\n{headers}\n"


def string_to_sign(key_time: str, http_string: str) -> str:
    """Return StringToSign, which combines the digest of HttpString with the time window."""
    digest = hashlib.sha1(http_string.encode(), usedforsecurity=False).hexdigest()
    return f"sha1\n{key_time}\n{digest}\n"


def signature(sign_key: str, string_to_sign: str) -> str:
    """Return Signature, the HMAC-SHA1 as lower-case hex; its key is the *text* of SignKey."""
    return _hmac_sha1(sign_key, string_to_sign)


def authorization(
    credentials: Credentials, method: str, path: str, params: Pairs, headers: Pairs, *, key_time: str
) -> str:
    """Return the ``Authorization`` header for a request with these signed parameters and headers.

    :param path: the decoded path, beginning with ``/``; it is not normalised.
    :param params: the query parameters to sign, decoded; a parameter without a value has the value ``""``.
    :param headers: the headers to sign, with the values that are sent.
    :param key_time: from :func:`key_time`.
    """
    fields = signature_fields(credentials, method, path, params, headers, key_time=key_time)
    return "&".join([f"{name}={value}" for name, value in fields])


def signature_fields(
    credentials: Credentials, method: str, path: str, params: Pairs, headers: Pairs, *, key_time: str
) -> tuple[tuple[str, str], ...]:
    """Return the seven fields of a signature, for a header or for the parameters of a URL.

    The arguments are those of :func:`authorization`.
    """
    url_params, http_headers = canonical(params), canonical(headers)
    to_sign = string_to_sign(key_time, http_string(method, path, url_params.pairs, http_headers.pairs))
    return (
        ("q-sign-algorithm", "sha1"),
        ("q-ak", credentials.secret_id),
        ("q-sign-time", key_time),
        # The API page allows a different time for the key. All official SDKs send the same time twice.
        ("q-key-time", key_time),
        ("q-header-list", http_headers.names),
        ("q-url-param-list", url_params.names),
        ("q-signature", signature(sign_key(credentials.secret_key, key_time), to_sign)),
    )


def _hmac_sha1(key: str, message: str) -> str:
    return hmac.digest(key.encode(), message.encode(), "sha1").hex()
