"""The supported parts of COS: one allow-list of query parameters and of ``x-cos-`` headers.

The service has dozens of sub-resources (``?acl``, ``?tagging``, ``?symlink`` …) and gets new ones. The
response to anything else is 501, because ignoring it would look like success.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.sync import sync_pictures

OVERRIDES: Mapping[str, str] = {
    f"response-{name.lower()}": name
    for name in (
        *("Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Expires"),
        "Content-Language",
    )
}
"""Parameters of GET and HEAD that set a header of the response."""

_LISTING = frozenset({"prefix", "delimiter", "marker", "max-keys", "encoding-type"})
_PARAMETERS: Mapping[tuple[str, str], frozenset[str]] = {
    ("bucket", "GET"): _LISTING,
    ("bucket", "POST"): frozenset({"delete", "inventory", "id"}),
    ("object", "GET"): frozenset(OVERRIDES),
    ("object", "HEAD"): frozenset(OVERRIDES),
    ("object", "POST"): frozenset({"image_process"}),
}
# Beginnings of the signature's parameters, and of headers that a signed URL carries as parameters.
_OF_ANY_REQUEST = ("q-", "x-cos-", "x-ci-")

_HEADERS = frozenset(
    {
        "x-cos-acl",
        "x-cos-forbid-overwrite",
        "x-cos-sdk-retry",
        "x-cos-security-token",
        "x-cos-storage-class",
        "x-cos-traffic-limit",
    }
)
_HEADER_PREFIXES = ("x-cos-meta-", "x-cos-grant-")


def check(request: Request, level: str) -> None:
    """Check that all parameters and headers are supported; ``level`` is ``bucket`` or ``object``.

    :raises ServiceError: ``NotImplemented``, naming the first one that is not supported.
    """
    for name in _sent_headers(request):
        if name not in _HEADERS and not name.startswith(_HEADER_PREFIXES):
            raise _left_out(f"the header {name!r}")
    if level == "object" and request.method == "GET" and request.has_parameter("ci-process"):
        return  # the processing checks its own parameters
    allowed = _PARAMETERS.get((level, request.method), frozenset())
    for name, _ in request.query:
        if not (name in allowed or name == "sign" or name.startswith(_OF_ANY_REQUEST)):
            _check_rule(request, level, name)


def _sent_headers(request: Request) -> list[str]:
    names = [name.lower() for name in request.http.headers]
    names += [name.lower() for name, _ in request.query]
    return [name for name in names if name.startswith("x-cos-")]


def _check_rule(request: Request, level: str, name: str) -> None:
    if level == "object" and request.method == "GET" and sync_pictures.is_rule(name):
        return
    raise _left_out(f"{request.method} of this {level} with {name!r}")


def _left_out(what: str) -> ServiceError:
    return ServiceError("NotImplemented", f"the local CI does not know {what}")
