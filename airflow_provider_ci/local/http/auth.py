"""Verifies the signature of every request, in a header or in the URL.

The signature is rebuilt from ``q-header-list`` and ``q-url-param-list`` alone; other headers and parameters
are ignored. Source: Request Signature, tencentcloud.com document/product/436/7778.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple
from urllib.parse import quote

from airflow_provider_ci.client import signing
from airflow_provider_ci.local.errors import Service, ServiceError
from airflow_provider_ci.local.http.request import Request, without_port

MAX_SKEW_SECONDS = 15 * 60

_FIELDS = (
    "q-sign-algorithm",
    "q-ak",
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
)
_WINDOW = re.compile(r"([0-9]{1,12});([0-9]{1,12})")
_TOKEN_NAMES = ("x-cos-security-token", "x-ci-security-token")

_STRICT_METHODS = ("PUT", "POST")
_STRICT_HEADERS = frozenset({"host", "date", "content-type", "content-length", "content-md5"})
_STRICT_PREFIXES = ("x-cos-", "x-ci-")

# Each defect with the code that COS uses and the code that CI uses.
_CODES = {
    "missing": ("AccessDenied", "MissingAuthorization"),
    "malformed": ("AccessDenied", "InvalidAuthorization"),
    "unknown": ("InvalidAccessKeyId", "SecretidNotExist"),
    "mismatch": ("SignatureDoesNotMatch", "InvalidAuthorization"),
    "early": ("RequestTimeTooSkewed", "SignatureExpired"),
    "expired": ("AccessDenied", "SignatureExpired"),
    "token": ("AccessDenied", "AccessDenied"),
    "unsigned": ("AccessDenied", "AccessDenied"),
}


class Claim(NamedTuple):
    """The fields of an authorization, in the order of ``_FIELDS``."""

    algorithm: str
    secret_id: str
    sign_time: str
    key_time: str
    header_list: str
    param_list: str
    signature: str


def verify(request: Request, credentials: signing.Credentials, *, is_strict: bool = False) -> None:
    """Check that the request was signed with ``credentials`` and was sent within its time window.

    If ``credentials`` have a session token, the request must carry it as a header or a query parameter.

    :param is_strict: whether PUT and POST must sign every header that can be signed, as in strict mode.

    :raises ServiceError: with the code that the request's service uses for the defect.
    """
    claim = _claim(request)
    if not _is_same(claim.secret_id, credentials.secret_id):
        raise _refusal(request, "unknown", f"the SecretId {claim.secret_id!r} does not exist")
    for window in (claim.sign_time, claim.key_time):
        _check_window(request, window)
    _check_token(request, credentials.token)
    if not any(_is_same(claim.signature, known) for known in _expected(request, claim, credentials)):
        raise _refusal(
            request,
            "mismatch",
            "the signature computed from the request differs from q-signature; check the SecretKey, "
            "and that path, parameters and headers were signed as they were sent",
        )
    if is_strict and request.method in _STRICT_METHODS:
        _check_headers(request, claim)


def _claim(request: Request) -> Claim:
    text = request.header("Authorization") or request.parameter("sign")
    # Not ``parse_qs``: it would decode the fields, and a signed value may hold "=".
    fields = dict(item.partition("=")[::2] for item in text.split("&")) if text else dict(request.query)
    if not text and "q-signature" not in fields:
        raise _refusal(
            request, "missing", "the request has no Authorization header and no signature in its URL"
        )
    absent = [name for name in _FIELDS if name not in fields]
    if absent:
        raise _refusal(request, "malformed", f"the authorization lacks {', '.join(absent)}")
    claim = Claim(*[fields[name] for name in _FIELDS])
    if claim.algorithm != "sha1":
        raise _refusal(request, "malformed", f"q-sign-algorithm {claim.algorithm!r} is not sha1")
    return claim


def _check_window(request: Request, window: str) -> None:
    times = _WINDOW.fullmatch(window)
    if not times:
        raise _refusal(request, "malformed", f"{window!r} is not a time window <start>;<end> in Unix seconds")
    start, end = int(times.group(1)), int(times.group(2))
    if request.server_time < start - MAX_SKEW_SECONDS:
        raise _refusal(
            request,
            "early",
            f"the signature is valid from {start}, more than {MAX_SKEW_SECONDS} s after the server's time "
            f"{int(request.server_time)}; set the clock",
        )
    if request.server_time > end:
        raise _refusal(
            request,
            "expired",
            f"Request has expired: it was valid until {end}, it is {int(request.server_time)}",
        )


def _check_token(request: Request, token: str | None) -> None:
    if token is None:
        return
    given = [request.header(name) or request.parameter(name) for name in _TOKEN_NAMES]
    if not any(_is_same(value, token) for value in given):
        names = " or ".join(_TOKEN_NAMES)
        raise _refusal(request, "token", f"the session token is missing or wrong ({names})")


def _check_headers(request: Request, claim: Claim) -> None:
    """Check strict mode. Tokens are exempt, because the Java SDK adds them after it has signed."""
    sent = {name.lower() for name in request.http.headers}
    strict = {name for name in sent if name in _STRICT_HEADERS or name.startswith(_STRICT_PREFIXES)}
    unsigned = sorted(strict - set(claim.header_list.lower().split(";")) - set(_TOKEN_NAMES))
    if unsigned:
        names = ", ".join(unsigned)
        error = _refusal(request, "unsigned", f"strict signature mode: the headers {names} are not signed")
        error.status = 403
        raise error


def _expected(request: Request, claim: Claim, credentials: signing.Credentials) -> list[str]:
    """Return the valid signatures: some SDKs sign the host with its port, others without."""
    key = signing.sign_key(credentials.secret_key, claim.key_time)
    params = signing.canonical(_listed(request.query, claim.param_list)).pairs
    names = [name for name in claim.header_list.lower().split(";") if name]
    hosts = dict.fromkeys((request.host, without_port(request.host))) if "host" in names else {"": None}
    return [
        signing.signature(
            key,
            signing.string_to_sign(
                claim.sign_time,
                signing.http_string(
                    request.method,
                    request.path,
                    params,
                    signing.canonical(_headers(request, names, host)).pairs,
                ),
            ),
        )
        for host in hosts
    ]


def _listed(query: list[tuple[str, str]], param_list: str) -> list[tuple[str, str]]:
    listed = set(param_list.lower().split(";"))
    return [(name, value) for name, value in query if quote(name, "").lower() in listed]


def _headers(request: Request, names: list[str], host: str) -> list[tuple[str, str]]:
    return [(name, host if name == "host" else request.header(name)) for name in names]


def _is_same(given: str, expected: str) -> bool:
    # As bytes: ``compare_digest`` refuses text that is not ASCII, and a client may send anything.
    return hmac.compare_digest(given.encode(), expected.encode())


def _refusal(request: Request, defect: str, message: str) -> ServiceError:
    on_cos, on_ci = _CODES[defect]
    return ServiceError(on_cos if request.address.service is Service.COS else on_ci, message)
