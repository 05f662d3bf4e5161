"""The stylesheet, the script and the icon; their addresses change with their content."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "no-preview.svg": "image/svg+xml",
}

STATIC_HEADERS: Mapping[str, str] = {
    "Cache-Control": "public, max-age=31536000, immutable",  # the address has a version
    "X-Content-Type-Options": "nosniff",
}
"""Headers for serving a static file; the caller adds its content type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """One file of the shared design."""

    body: bytes
    content_type: str
    version: str
    """Changes with the content."""


@functools.cache
def static_file(name: str) -> StaticFile | None:
    """The static file of this name; None for any other name, so that no path leads out of the folder."""
    if name not in _TYPES:
        return None
    body = (_FOLDER / name).read_bytes()
    return StaticFile(body=body, content_type=_TYPES[name], version=hashlib.sha256(body).hexdigest()[:12])


def static_url(name: str) -> str:
    """The address of a static file below the root of the pages: ``static/style.css?v=…``."""
    file = static_file(name)
    if file is None:
        raise ValueError(f"static file {name!r} does not exist; there are {', '.join(_TYPES)}")
    return f"static/{name}?v={file.version}"
