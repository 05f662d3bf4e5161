"""From the service's refusal to one of our errors.

Sources: Error Codes, tencentcloud.com document/product/1045/33700 and 436/7730.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from airflow_provider_ci.client import errors, nodes, xml
from airflow_provider_ci.client.errors import CIServiceError

MAX_SKEW_SECONDS = 900
"""The service refuses signatures that are further from its own clock."""
REFUSED_FOR_SURE = frozenset({"SlowDown", "QueueSaturated", "QueuePaused", "NotImplemented"})
"""Codes of 5xx answers that say that nothing was done."""

_BY_CODE: dict[str, type[CIServiceError]] = {
    "ExpiredToken": errors.AuthenticationError,
    "InvalidAccessKeyId": errors.AuthenticationError,
    "InvalidAuthorization": errors.AuthenticationError,
    "MissingAuthorization": errors.AuthenticationError,
    "SecretidNotExist": errors.AuthenticationError,
    "SignatureDoesNotMatch": errors.AuthenticationError,
    "AccessDenied": errors.AccessDeniedError,
    "CIRoleNotExist": errors.AccessDeniedError,
    "MediaBucketUnBinded": errors.AccessDeniedError,
    "NoProcessAuthority": errors.AccessDeniedError,
    "ResourceAccessDenied": errors.AccessDeniedError,
    "RequestTimeTooSkewed": errors.ClockSkewError,
    "SignatureExpired": errors.ClockSkewError,
    "NoSuchBucket": errors.NotFoundError,
    "NoSuchKey": errors.NotFoundError,
    "NoSuchUpload": errors.NotFoundError,
    "NoSuchVersion": errors.NotFoundError,
    "QueueNotFound": errors.NotFoundError,
    "ResourceNotFound": errors.NotFoundError,
    "TemplateNotFound": errors.NotFoundError,
    "FileAlreadyExists": errors.ObjectExistsError,
    "MediaBucketAlreadyBinded": errors.InvalidRequestError,
    "QueuePaused": errors.QueuePausedError,
    "QueueSaturated": errors.ThrottledError,
    "SlowDown": errors.ThrottledError,
}
_BY_STATUS: dict[int, type[CIServiceError]] = {
    401: errors.AuthenticationError,
    402: errors.AccessDeniedError,
    403: errors.AccessDeniedError,
    404: errors.NotFoundError,
    429: errors.ThrottledError,
    451: errors.AccessDeniedError,
}
_CODES_WITHOUT_BODY = {
    301: "PermanentRedirect",
    307: "TemporaryRedirect",
    403: "AccessDenied",
    429: "SlowDown",
    500: "InternalError",
    503: "ServiceUnavailable",
}
_SILENT_REFUSAL = (
    "the answer gives no reason; the key may be unknown, its secret wrong, or its policy too narrow"
)
_TAGS = re.compile(rb"<(script|style).*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_MAX_TEXT = 200


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, asked: str, path: str, now: float
) -> CIServiceError:
    """The error for an answer that is no success, however little it says.

    :param asked: method and address, for the message.
    :param path: the decoded path, which tells a missing bucket from a missing object where there is no body.
    :param now: the Unix time that the request was signed for.
    """
    said = _said(body)
    server_time = date_of(headers)
    code = said.get("code") or _code_without_body(status, path, now, server_time)
    message = said.get("message", "") or (_SILENT_REFUSAL if status == 403 and not body else "")
    cls = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if cls is None:
        cls = errors.ServerError if status >= 500 else errors.InvalidRequestError
    if "Request has expired" in message:
        cls = errors.ClockSkewError
    return cls(
        status=status,
        code=code,
        message=message,
        resource=said.get("resource", ""),
        request_id=said.get("requestid") or request_id_of(headers),
        asked=asked,
        retry_after=_retry_after(headers.get("Retry-After"), now if server_time is None else server_time),
        server_time=server_time,
        is_certain=status < 500 or said.get("code") in REFUSED_FOR_SURE,
    )


def request_id_of(headers: Mapping[str, str]) -> str:
    """The request id that every answer of CI or COS carries in a header."""
    return headers.get("x-ci-request-id") or headers.get("x-cos-request-id") or ""


def date_of(headers: Mapping[str, str]) -> float | None:
    """When the response was written, in Unix seconds by the service's clock; None where it does not say."""
    time = nodes.header_time(headers.get("Date"))
    return None if time is None else time.timestamp()


def _said(body: bytes) -> dict[str, str]:
    """Code, message, resource and request id of an error's body, by lower-case name, where they are there."""
    text = body.strip()
    if text[:1] == b"{":
        return _from_json(text)
    if text[:1] == b"<" and b"<Error" in text[:400]:
        return _from_xml(text)
    plain = b" ".join(_TAGS.sub(b" ", text).split()).decode("utf-8", "replace")
    return {"message": plain[:_MAX_TEXT]} if plain else {}


def _from_json(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return {str(name).lower(): str(value) for name, value in found.items() if isinstance(value, (str, int))}


def _from_xml(body: bytes) -> dict[str, str]:
    try:
        found = xml.parse(body, expected="Error")
    except errors.CIResponseError:
        return {}
    return {name.lower(): value for name, value in found.items() if isinstance(value, str)}


def _code_without_body(status: int, path: str, now: float, server_time: float | None) -> str:
    """The code of an answer to HEAD, or of something between the service and us."""
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
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    time = nodes.header_time(value)
    return None if time is None else max(0.0, time.timestamp() - now)
