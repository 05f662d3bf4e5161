"""Object keys as paths inside a bucket's folder, and back.

Nearly every key is its own path: ``in/a b+c.docx`` is the file ``in/a b+c.docx``. Only a segment that
cannot be a file name gets another name, which starts with ``%ci%`` and is percent-encoded: the empty segment
(a leading slash, ``//``, the trailing slash of a "folder" object), ``.``, ``..``, control characters, and a
name that itself starts with ``%ci``. A segment too long for a file name is split: it becomes a chain of
folders ``%ci+%…`` that contain one another and, at its end, the file or folder ``%ci%…``.

The mapping is one to one. A file whose path no key maps to (not UTF-8, a made-up ``%ci`` name, a symbolic
link) is not an object.
"""

from __future__ import annotations

import os
import re
import stat
from urllib.parse import unquote

from airflow_provider_ci.local.errors import ServiceError

MAX_KEY_BYTES = 850
"""Longest key in UTF-8 bytes (436/13324)."""

_LAST, _MORE, _RESERVED = "%ci%", "%ci+%", "%ci"
_MAX_NAME_BYTES = 255
_MAX_PIECE_BYTES = 240
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


def is_bucket_name(name: str) -> bool:
    """Whether ``name`` may name a bucket (436/13312). Other names never lead to a folder."""
    return bool(_BUCKET.fullmatch(name))


def check_key(key: str) -> str:
    """Return ``key`` if it may name an object.

    :raises ServiceError: the key is empty, too long, or not expressible in UTF-8.
    """
    if not key:
        raise ServiceError("InvalidArgument", "the object key is empty", status=400)
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise ServiceError("InvalidURI", f"the object key {key!r} is not UTF-8", status=400) from error
    if size > MAX_KEY_BYTES:
        raise ServiceError(
            "KeyTooLong",
            f"the object key has {size} bytes, more than the {MAX_KEY_BYTES} allowed",
            status=400,
        )
    return key


def to_path(key: str) -> str:
    """The path of ``key`` relative to its bucket's folder."""
    if "%ci" not in key and key.isprintable() and len(key) <= _MAX_NAME_BYTES // 4 and not _odd(key):
        return key
    return "/".join([_names(segment) for segment in key.split("/")])


def folder_path(prefix: str) -> str:
    """The relative path of the folder with the keys below ``prefix``, which is empty or ends in a slash."""
    return "/".join([_names(segment) for segment in prefix.split("/")[:-1]])


def entry_key(name: str) -> tuple[str, bool] | None:
    """What the file or folder ``name`` adds to a key, and whether its segment ends there.

    None for a name that no key leads to. For names in ``%ci`` the result is not final: check that
    :func:`to_path` of the whole key gives this path.
    """
    if name.isascii() and name.isprintable() and name[0] != "%":
        return name, True  # most names; a name in the file system is not too long
    if name.startswith(_MORE):
        return unquote(name[len(_MORE) :]), False
    if name.startswith(_LAST):
        return unquote(name[len(_LAST) :]), True
    return (name, True) if _is_plain(name) else None


def is_escaped(path: str) -> bool:
    """Whether any segment of ``path`` is an escaped name."""
    return _RESERVED in path


def has_link(folder: str, relative: str) -> bool:
    """Whether ``relative`` below ``folder`` is a symbolic link or leads through one; none is followed."""
    path = folder
    for name in relative.split("/"):
        path = f"{path}/{name}"
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return True
        except OSError:
            return False
    return False


def _odd(key: str) -> bool:
    return key[0] in "./" or key[-1] in "./" or "//" in key or "/." in key


def _names(segment: str) -> str:
    if segment and _is_plain(segment) and not segment.startswith(_RESERVED):
        return segment
    pieces = _pieces(segment)
    return "/".join([*[_MORE + piece for piece in pieces[:-1]], _LAST + pieces[-1]])


def _is_plain(segment: str) -> bool:
    if segment in (".", "..") or _CONTROL.search(segment):
        return False
    try:
        return len(segment.encode()) <= _MAX_NAME_BYTES
    except UnicodeEncodeError:
        return False


def _pieces(segment: str) -> list[str]:
    """The percent-encoded segment, in pieces that each fit into a file name."""
    pieces = [""]
    for character in segment:
        code = _encoded(character)
        if len((pieces[-1] + code).encode()) > _MAX_PIECE_BYTES:
            pieces.append("")
        pieces[-1] += code
    return pieces


def _encoded(character: str) -> str:
    return f"%{ord(character):02X}" if character in "%." or _CONTROL.match(character) else character
