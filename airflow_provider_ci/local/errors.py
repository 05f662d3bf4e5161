"""The service's error codes in one table, with their HTTP status and the page that documents it.

Handlers raise :class:`ServiceError`; only ``hosts.app`` turns it into XML and a status.

The source of an entry is the page that documents it, or *assumed* if no page states it. docs/local.md lists
the assumptions.
"""

from __future__ import annotations

import sqlite3
from enum import Enum
from typing import NamedTuple


class Service(str, Enum):
    """The two services that a host name can belong to; their errors look different."""

    COS = "cos"
    CI = "ci"

    def __str__(self) -> str:
        return self.value


class ErrorEntry(NamedTuple):
    """The HTTP status of an error code, and the page that documents it."""

    status: int
    page: str


_COS_PAGE = "436/7730"
_CI_PAGE = "436 job errors, 1045/33700"
_NUMBERED = "1045/33700 as number and name; the status is assumed"
_ASSUMED = "assumed"

COS_ERRORS: dict[str, ErrorEntry] = {
    "AccessDenied": ErrorEntry(403, _COS_PAGE),
    "BadDigest": ErrorEntry(400, _COS_PAGE),
    "EntityTooLarge": ErrorEntry(400, _COS_PAGE),
    "FileAlreadyExists": ErrorEntry(409, "436/7749"),
    "IncompleteBody": ErrorEntry(400, _COS_PAGE),
    "InternalError": ErrorEntry(500, _COS_PAGE),
    "InvalidAccessKeyId": ErrorEntry(403, _COS_PAGE),
    "InvalidArgument": ErrorEntry(400, _COS_PAGE),
    "ImageResolutionExceed": ErrorEntry(400, _COS_PAGE),
    "ImageTooLarge": ErrorEntry(400, _COS_PAGE),
    "InvalidBucketName": ErrorEntry(400, _COS_PAGE),
    "InvalidDelimiter": ErrorEntry(400, _COS_PAGE),
    "InvalidDigest": ErrorEntry(400, _COS_PAGE),
    "InvalidImageFormat": ErrorEntry(400, _COS_PAGE),
    "InvalidObjectState": ErrorEntry(403, _ASSUMED),
    "InvalidPicOperations": ErrorEntry(400, _COS_PAGE),
    "InvalidRange": ErrorEntry(416, _COS_PAGE),
    "InvalidURI": ErrorEntry(400, _COS_PAGE),
    "KeyTooLong": ErrorEntry(400, _COS_PAGE),
    "MalformedXML": ErrorEntry(400, _COS_PAGE),
    "MethodNotAllowed": ErrorEntry(405, _COS_PAGE),
    "MissingContentLength": ErrorEntry(411, _COS_PAGE),
    "NoSuchBucket": ErrorEntry(404, _COS_PAGE),
    "NoSuchKey": ErrorEntry(404, _COS_PAGE),
    "NotImplemented": ErrorEntry(501, _COS_PAGE),
    "PathConflict": ErrorEntry(409, _COS_PAGE),
    "PreconditionFailed": ErrorEntry(412, _COS_PAGE),
    "RequestTimeTooSkewed": ErrorEntry(403, _COS_PAGE),
    "RequestTimeout": ErrorEntry(400, _COS_PAGE),
    "ServiceUnavailable": ErrorEntry(503, _COS_PAGE),
    "SignatureDoesNotMatch": ErrorEntry(403, _COS_PAGE),
    "SlowDown": ErrorEntry(503, _COS_PAGE),
}

CI_ERRORS: dict[str, ErrorEntry] = {
    "AIBucketUnBinded": ErrorEntry(400, _ASSUMED),
    "AccessDenied": ErrorEntry(401, _CI_PAGE),
    "CIRoleNotExist": ErrorEntry(400, _CI_PAGE),
    "DocBucketUnBinded": ErrorEntry(400, _ASSUMED),
    "InternalError": ErrorEntry(500, _CI_PAGE),
    "InvalidArgument": ErrorEntry(400, _CI_PAGE),
    "InvalidAuthorization": ErrorEntry(401, _CI_PAGE),
    "InvalidContent": ErrorEntry(400, _CI_PAGE),
    "InvalidHost": ErrorEntry(400, _CI_PAGE),
    "InvalidUrl": ErrorEntry(404, _CI_PAGE),
    "MediaBucketUnBinded": ErrorEntry(400, _CI_PAGE),
    "MethodNotAllowed": ErrorEntry(405, _ASSUMED),
    "MissingAuthorization": ErrorEntry(401, _CI_PAGE),
    "MissingContent": ErrorEntry(400, _CI_PAGE),
    "NoSuchBucket": ErrorEntry(404, _ASSUMED),
    "NoSuchQueue": ErrorEntry(400, _ASSUMED),
    "NotImplemented": ErrorEntry(501, _CI_PAGE),
    "PicBucketUnBinded": ErrorEntry(400, _ASSUMED),
    "QueueNotFound": ErrorEntry(400, _NUMBERED),
    "QueuePaused": ErrorEntry(403, _CI_PAGE),
    "QueueSaturated": ErrorEntry(403, _CI_PAGE),
    "ResourceNotFound": ErrorEntry(400, _CI_PAGE),
    "SecretidNotExist": ErrorEntry(401, _CI_PAGE),
    "ServiceUnavailable": ErrorEntry(503, _CI_PAGE),
    "SignatureExpired": ErrorEntry(401, _CI_PAGE),
    "SlowDown": ErrorEntry(429, _CI_PAGE),
    "TemplateNameDuplicate": ErrorEntry(400, _NUMBERED),
    "TemplateNotFound": ErrorEntry(400, _NUMBERED),
    "WriteTargetBucketDenied": ErrorEntry(400, _NUMBERED),
}

_TABLES = {Service.COS: COS_ERRORS, Service.CI: CI_ERRORS}


def status_of(service: Service, code: str) -> int | None:
    """The HTTP status that ``service`` sends with ``code``; None if the service does not have this code."""
    entry = _TABLES[service].get(code)
    return entry.status if entry else None


class ServiceError(Exception):
    """A service error.

    ``status`` overrides the table, ``headers`` are added to the response; both exist for injected faults.
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}


def reason_of(error: Exception) -> str:
    """Describe a failure inside the local CI, without paths; the log has the details."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, sqlite3.OperationalError) else type(error).__name__
