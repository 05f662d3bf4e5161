"""Headers that keep a page harmless, whatever it shows.

Nothing is loaded from other origins, inline scripts and styles are forbidden, and only a page of the same
origin may show a page in a frame.
"""

from __future__ import annotations

from collections.abc import Mapping

_POLICY = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
    "img-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
}
_COMMON = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def content_security_policy(**directives: str) -> str:
    """The value of ``Content-Security-Policy`` for a page.

    :param directives: replace or add directives, with ``_`` for ``-``: ``frame_src="'self'"``.
    """
    policy = {**_POLICY, **{name.replace("_", "-"): value for name, value in directives.items()}}
    return "; ".join(f"{name} {value}" for name, value in policy.items())


PAGE_HEADERS: Mapping[str, str] = {
    **_COMMON,
    "Cache-Control": "no-store",
    "Content-Security-Policy": content_security_policy(),
    "Content-Type": "text/html; charset=utf-8",
}
"""Headers of an HTML page."""

FILE_HEADERS: Mapping[str, str] = {
    **_COMMON,
    "Cache-Control": "private, no-store",
    # Opened by itself, such a file has an origin of its own and cannot run scripts.
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
}
"""Headers for serving a user's file; the caller adds its content type."""
