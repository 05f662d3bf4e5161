"""URLs that hold their own signature and permit one action for a limited time.

Pure functions, like the signature. Source: Request Signature, tencentcloud.com document/product/436/7778.
"""

from __future__ import annotations

from airflow_provider_ci.client import signing
from airflow_provider_ci.client.http.address import Address, quote_query
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.signing import Credentials

TOKEN_PARAMS = frozenset({"x-ci-security-token", "x-cos-security-token"})


def signed_url(credentials: Credentials, address: Address, request: Request, *, key_time: str) -> str:
    """Turn a request into a URL that is signed with its host, parameters and headers.

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
