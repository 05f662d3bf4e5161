"""Checks where a request comes from, to decide who may see the pages and who may change something.

The pages have no login, so three checks keep others out. A request must come from this machine and name it
as the host; this refuses a foreign site that points its own host name at 127.0.0.1. A request that changes
something must come from one of these pages, because any site that is open in the browser could post here.
Only a page of the same origin may embed a preview.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from ipaddress import ip_address
from secrets import token_urlsafe
from urllib.parse import urlsplit

from airflow_provider_ci.local.http.request import Request, is_from_here, is_loopback

READING = ("GET", "HEAD")
METHODS = (*READING, "POST")
_EMBEDDED_BY = ("same-origin", "none", "")


class RefusedError(Exception):
    """A request that the pages refuse; the message is shown to the user."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The checks of every request. ``token`` is in each form and changes at each start of the server."""

    is_open: bool = True
    token: str = field(default_factory=token_urlsafe, repr=False)

    def check(self, request: Request) -> None:
        """Check where a request comes from.

        :raises RefusedError: the request is not allowed.
        """
        if not (is_loopback(request.host) and is_from_here(request.http)):
            raise RefusedError(403, "These pages are for a browser on the machine of the local CI.")
        if not self.is_open:
            raise RefusedError(
                403,
                "The pages are off, because this local CI listens beyond this machine. "
                "Start it with --pages to have them here.",
            )
        if request.method not in METHODS:
            raise RefusedError(405, "These pages take GET, HEAD and POST.")
        if request.method in READING:
            _check_embedding(request)
        else:
            _check_origin(request)

    def check_token(self, given: str) -> None:
        """Check the token of a form.

        :raises RefusedError: the form was loaded before the server was last started.
        """
        if not hmac.compare_digest(given.encode(errors="replace"), self.token.encode()):
            raise RefusedError(
                403, "This form is out of date: the local CI was restarted. Load the page again."
            )


def is_loopback_address(host: str) -> bool:
    """Whether a server that listens on ``host`` can be reached only from this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _check_embedding(request: Request) -> None:
    """Refuse to serve content, such as a picture, to pages of other origins; links may come from anywhere."""
    is_link = request.header("Sec-Fetch-Mode") == "navigate" and request.header("Sec-Fetch-Dest") != "iframe"
    if not is_link and request.header("Sec-Fetch-Site") not in _EMBEDDED_BY:
        raise RefusedError(403, "Only the pages of the local CI itself can show this.")


def _check_origin(request: Request) -> None:
    origin = urlsplit(request.header("Origin"))
    is_own = origin.scheme in ("http", "https") and origin.netloc.lower() == request.host.lower()
    if not is_own or request.header("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise RefusedError(
            403, "Only a form on a page of the local CI itself can change something; programs use the API."
        )
