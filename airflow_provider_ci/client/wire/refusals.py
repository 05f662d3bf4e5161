"""Translates the service's error responses into our errors.

Sources: Error Codes, tencentcloud.com document/product/1045/33700 and 436/7730.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from airflow_provider_ci.client import errors
from airflow_provider_ci.client.errors import CIServiceError
from airflow_provider_ci.client.wire import nodes
from airflow_provider_ci.client.wire.words import words_of

MAX_SKEW_SECONDS = 900
"""The service rejects a signature whose time differs from its own clock by more than this many seconds."""
CODES_WITHOUT_EFFECT = frozenset({"SlowDown", "QueueSaturated", "QueuePaused", "NotImplemented"})
"""With these codes, the request certainly had no effect, whatever the status."""

_BY_CODE: dict[str, type[CIServiceError]] = {
    "ExpiredToken": errors.AuthenticationError,
    "InvalidAccessKeyId": errors.AuthenticationError,
    "InvalidAuthorization": errors.AuthenticationError,
    "MissingAuthorization": errors.AuthenticationError,
    "SecretidNotExist": errors.AuthenticationError,
    "SignatureDoesNotMatch": errors.AuthenticationError,
    "AccessDenied": errors.AccessDeniedError,
    # The account lacks the role CI_QCSRole, which CI needs to read and write objects.
    "CIRoleNotExist": errors.AccessDeniedError,
    # The feature is not switched on for the bucket. "UnBinded" is the spelling of the API page (1045/33700).
    "AIBucketUnBinded": errors.AccessDeniedError,
    "DocBucketUnBinded": errors.AccessDeniedError,
    "MediaBucketUnBinded": errors.AccessDeniedError,
    "PicBucketUnBinded": errors.AccessDeniedError,
    "WriteTargetBucketDenied": errors.AccessDeniedError,
    "NoProcessAuthority": errors.AccessDeniedError,
    "ResourceAccessDenied": errors.AccessDeniedError,
    "RequestTimeTooSkewed": errors.ClockSkewError,
    "SignatureExpired": errors.ClockSkewError,
    "NoSuchBucket": errors.NotFoundError,
    "NoSuchKey": errors.NotFoundError,
    "NoSuchQueue": errors.NotFoundError,
    "NoSuchUpload": errors.NotFoundError,
    "NoSuchVersion": errors.NotFoundError,
    "QueueNotFound": errors.NotFoundError,
    # Its status is 400, not 404 (1045/33700).
    "ResourceNotFound": errors.NotFoundError,
    "TemplateNotFound": errors.NotFoundError,
    "FileAlreadyExists": errors.ObjectExistsError,
    "MediaBucketAlreadyBinded": errors.InvalidRequestError,
    # These two have the status 403, although a later attempt can succeed (1045/33700).
    "QueuePaused": errors.QueuePausedError,
    "QueueSaturated": errors.ThrottledError,
    "SlowDown": errors.ThrottledError,
    "InternalError": errors.ServerError,
    "ServiceUnavailable": errors.ServerError,
}
_BY_STATUS: dict[int, type[CIServiceError]] = {
    401: errors.AuthenticationError,
    402: errors.AccessDeniedError,
    403: errors.AccessDeniedError,
    404: errors.NotFoundError,
    429: errors.ThrottledError,
    451: errors.AccessDeniedError,
}
# A response to HEAD has no body, so the code is derived from the status.
_CODES_WITHOUT_BODY = {
    301: "PermanentRedirect",
    307: "TemporaryRedirect",
    403: "AccessDenied",
    429: "SlowDown",
    500: "InternalError",
    503: "ServiceUnavailable",
}
_SILENT_REFUSAL = (
    "the response gives no reason; the key may be unknown, its secret wrong, or its policy too narrow"
)
_SECONDS = re.compile(r"[0-9]{1,9}")
_UNBOUND = re.compile(
    r"bucket'?s? (?:is )?(?:not bound|unbinded)|bucket's host is unavailable", re.IGNORECASE
)
"""Matches messages about a bucket without CI, because such errors have no code of their own."""


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    asked: str,
    path: str,
    now: float,
    is_cut: bool = False,
) -> CIServiceError:
    """Return the error for an unsuccessful response, which may have no body at all.

    :param asked: method and address of the request, for the message.
    :param path: the decoded path. If the response has no body, the path distinguishes a missing bucket from a
        missing object.
    :param now: the service's Unix time that the signature assumed.
    :param is_cut: the body ended early, so that the reason may be missing.
    """
    said = words_of(body)
    server_time = date_of(headers)
    code = said.code or _code_without_body(status, path, now, server_time)
    request_id = said.request_id or request_id_of(headers)
    return _class_of(status, code, said.message)(
        status=status,
        code=code,
        message=said.message or (_SILENT_REFUSAL if status == 403 and not body else ""),
        resource=said.resource,
        request_id=request_id,
        asked=asked,
        retry_after=_retry_after(headers.get("Retry-After"), now if server_time is None else server_time),
        server_time=server_time,
        # A proxy can respond 403 to a request that it has already passed on. Only a response from the
        # service itself is proof.
        is_certain=(said.is_xml or bool(request_id)) and _did_nothing(status, said.code),
        is_cut=is_cut,
    )


def _class_of(status: int, code: str, message: str) -> type[CIServiceError]:
    # COS reports an expired signature as AccessDenied with this text (436/7730).
    if "Request has expired" in message:
        return errors.ClockSkewError
    if _UNBOUND.search(message):
        return errors.AccessDeniedError
    found = _BY_CODE.get(code) or _BY_STATUS.get(status)
    return found or (errors.ServerError if status >= 500 else errors.InvalidRequestError)


def _did_nothing(status: int, code: str) -> bool:
    """Whether this error means that the request had no effect, provided that the service itself sent it."""
    if code in CODES_WITHOUT_EFFECT:
        return True
    # The server may fail after it created the job, so a 5xx proves nothing.
    return 400 <= status < 500 or (status < 400 and code not in errors.TRANSIENT_CODES)


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the request id, which every response of CI or COS carries in a header."""
    return headers.get("x-ci-request-id") or headers.get("x-cos-request-id") or ""


def date_of(headers: Mapping[str, str]) -> float | None:
    """Return the ``Date`` of a response in Unix seconds by the service's clock; None if it is missing."""
    return _timestamp(headers.get("Date"))


@lru_cache(maxsize=64)
def _timestamp(value: str | None) -> float | None:
    time = nodes.header_time(value)
    return None if time is None else time.timestamp()


def _code_without_body(status: int, path: str, now: float, server_time: float | None) -> str:
    """Return a code for a response without a body, such as one to HEAD or one from a proxy on the way."""
    # Without a body, only the difference between the clocks can show that the signature has expired.
    skewed = server_time is not None and abs(server_time - now) > MAX_SKEW_SECONDS
    if status in (401, 403) and skewed:
        return "RequestTimeTooSkewed"
    if status == 404:
        return "NoSuchBucket" if path == "/" else "NoSuchKey"
    try:
        return _CODES_WITHOUT_BODY.get(status) or HTTPStatus(status).phrase.title().replace(" ", "")
    except ValueError:
        return f"Status{status}"


def _retry_after(value: str | None, now: float) -> float | None:
    # No page of CI or COS mentions Retry-After, but gateways on the way send it.
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return float(value)
    time = nodes.header_time(value)
    return None if time is None else max(0.0, time.timestamp() - now)
