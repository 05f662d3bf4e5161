"""Previews of users' files, made harmless: pictures, and beginnings of texts.

No file is ever shown as a page. Pictures are recognized by their first bytes, which also decide the content
type of the response. Text is shown escaped. Everything else can only be downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airflow_provider_ci.batch import DOCUMENT_SUFFIXES
from airflow_provider_ci.client import CIClient, DocPreview

Kind = Literal["picture", "text", "none"]

MAX_PICTURE_BYTES = 8 * 1024 * 1024
"""The service scales larger pictures down."""
MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024
"""Larger files are not passed through the API server."""
TEXT_BYTES = 16 * 1024
"""Maximum number of bytes of a text that is shown."""
_THUMBNAIL = "imageMogr2/thumbnail/1200x1200>/format/png"

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_PICTURES = frozenset(
    {"png", "jpg", "jpeg", "jpe", "gif", "webp", "bmp", "tif", "tiff", "heic", "heif", "avif", "tpg"}
)
_DOCUMENTS = frozenset(suffix.lstrip(".").lower() for suffix in DOCUMENT_SUFFIXES) | {"pdf"}
_TEXTS = frozenset(
    {"txt", "json", "jsonl", "csv", "tsv", "md", "log", "xml", "html", "htm", "svg", "yaml", "yml", "rtf"}
)


class NoPreviewError(Exception):
    """A preview cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a browser can show."""

    body: bytes
    content_type: str


def kind_of(key: str) -> Kind:
    """How an object with this key can be shown."""
    suffix = _suffix(key)
    if suffix in _TEXTS:
        return "text"
    return "picture" if suffix in _PICTURES or suffix in _DOCUMENTS else "none"


def picture_of(client: CIClient, key: str, size: int) -> Picture:
    """The picture itself, a smaller one, or the first page of a document.

    :raises NoPreviewError: the service sent something that is not a picture.
    :raises CIError: the service made no picture.
    """
    if _suffix(key) in _DOCUMENTS:
        body = client.read_doc_preview(key, DocPreview("jpg", page=1), max_bytes=MAX_PICTURE_BYTES)
    elif size <= MAX_PICTURE_BYTES and _suffix(key) in _PICTURES:
        body = client.read_object(key)
        if content_type_of(body) is None:
            body = client.read_picture(key, _THUMBNAIL, max_bytes=MAX_PICTURE_BYTES)
    else:
        body = client.read_picture(key, _THUMBNAIL, max_bytes=MAX_PICTURE_BYTES)
    content_type = content_type_of(body)
    if content_type is None:
        raise NoPreviewError("the service sent no picture")
    return Picture(body, content_type)


def content_type_of(body: bytes) -> str | None:
    """The type of a picture by its first bytes; None for anything else."""
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if body.startswith(magic)), None)


def text_of(client: CIClient, key: str, size: int) -> str:
    """The beginning of a text."""
    if not size:
        return ""
    body, _ = client.read_object_part(key, 0, min(size, TEXT_BYTES))
    return body.decode(errors="replace")


def _suffix(key: str) -> str:
    return key.rpartition("/")[2].rpartition(".")[2].lower()
