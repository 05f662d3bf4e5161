"""Pictures of objects, made by the sandboxed conversion workers and kept in memory for a while.

The browser never gets the bytes of an object. A picture is decoded and encoded again, and one page of
a document is drawn. HTML and SVG are shown as text.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock

from airflow_provider_ci.local.convert.pictures.rules.parsing import FORMATS as PICTURES
from airflow_provider_ci.local.convert.source.formats import FORMATS as DOCUMENTS
from airflow_provider_ci.local.errors import Service, ServiceError
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.objects.store import StoredFile
from airflow_provider_ci.local.pages.parts import Parts, Visit, inner_request
from airflow_provider_ci.local.sync import preview, sync_pictures

SMALL, LARGE = "small", "large"
PICTURE, PAGES, TEXT, OTHER = "picture", "pages", "text", "other"

MAX_TEXT_BYTES = 64 * 1024
"""Maximum number of bytes of a text that is shown beside another object."""
MAX_SOURCE_BYTES = 50 * 1024**2
"""Larger objects have no picture."""
MAX_KEPT_BYTES = 64 * 1024**2
MAX_PICTURE_BYTES = 8 * 1024**2

_DRAWN_KINDS = ("word", "sheet", "slides", "pdf")
_TEXTS = frozenset(
    [
        *("css", "csv", "htm", "html", "js", "json", "jsonl", "log", "md", "py"),
        *("sh", "svg", "toml", "tsv", "txt", "xml", "yaml", "yml"),
    ]
)
_SIDES = {SMALL: 320, LARGE: 1200}
_SCALES = {SMALL: "36", LARGE: "110"}


def suffix_of(key: str) -> str:
    """The suffix of a key in lower case, such as ``docx``."""
    name = key.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def kind_of(key: str) -> str:
    """How an object can be shown, judged by its key."""
    suffix = suffix_of(key)
    if suffix in PICTURES:
        return PICTURE
    if suffix in _TEXTS or (suffix in DOCUMENTS and DOCUMENTS[suffix].kind not in _DRAWN_KINDS):
        return TEXT
    return PAGES if suffix in DOCUMENTS else OTHER


def can_convert(key: str) -> bool:
    """Whether there is a conversion for the object."""
    return kind_of(key) == PICTURE or suffix_of(key) in DOCUMENTS


def needs_office(key: str) -> bool:
    """Whether LibreOffice has to open the object, which takes a second or more."""
    return kind_of(key) == PAGES and suffix_of(key) != "pdf"


@dataclass(slots=True)
class Previews:
    """Makes the pictures, and keeps the latest ones. Use it in the server's event loop."""

    parts: Parts
    _kept: OrderedDict[tuple[object, ...], Answer] = field(default_factory=OrderedDict)
    _size: int = 0
    _lock: Lock = field(default_factory=Lock)
    _office: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Allows one drawing by LibreOffice at a time, so that a folder full of documents blocks no jobs."""

    async def picture(self, visit: Visit) -> Answer | None:
        """The picture of the object that the address names; None if it cannot be drawn."""
        bucket, key = visit.parameter("bucket"), visit.parameter("key")
        size = SMALL if visit.parameter("size") == SMALL else LARGE
        page, kind = visit.number("page", 1, high=999_999), kind_of(key)
        found = await asyncio.to_thread(self._source, bucket, key)
        if found is None or kind not in (PICTURE, PAGES):
            return None
        known = (found.name, found.identity, size, page)
        async with self._office if needs_office(key) else nullcontext():
            return self._kept_one(known) or await self._make(visit, found, kind, size, page, known)

    def _source(self, bucket: str, key: str) -> StoredFile | None:
        try:
            found = self.parts.store.find(bucket, key)
        except ServiceError:
            return None
        return found if found and found.size <= MAX_SOURCE_BYTES and self.parts.converts else None

    async def _make(
        self, visit: Visit, found: StoredFile, kind: str, size: str, page: int, known: tuple[object, ...]
    ) -> Answer | None:
        query = _picture_query(size) if kind == PICTURE else _page_query(size, page)
        request = inner_request(visit.request, Service.COS, "GET", found.bucket, f"/{found.key}", query)
        work = preview.read(request) or sync_pictures.read(request)
        try:
            answer = await self.parts.sync.run(work, request) if work else None
        except ServiceError:
            return None
        return await asyncio.to_thread(self._keep, known, answer) if answer else None

    def _keep(self, known: tuple[object, ...], answer: Answer) -> Answer | None:
        body = answer.file.file.read(MAX_PICTURE_BYTES + 1) if answer.file else answer.body
        answer.close()
        if not 0 < len(body) <= MAX_PICTURE_BYTES:
            return None
        made = Answer(body=body)
        with self._lock:
            self._kept[known] = made
            self._size += len(body)
            while self._size > MAX_KEPT_BYTES:
                self._size -= len(self._kept.popitem(last=False)[1].body)
        return made

    def _kept_one(self, known: tuple[object, ...]) -> Answer | None:
        with self._lock:
            if known not in self._kept:
                return None
            self._kept.move_to_end(known)
            return self._kept[known]


def text_of(parts: Parts, found: StoredFile, most: int = MAX_TEXT_BYTES) -> str | None:
    """The beginning of an object as text; None if its bytes are not text."""
    opened = parts.store.open(found)
    if opened is None:
        return None
    with opened[0] as file:
        content = file.read(most)
    if kind_of(found.key) != TEXT and (b"\0" in content or not _is_utf8(content)):
        return None
    return content.decode("utf-8-sig", errors="replace")


def _is_utf8(content: bytes) -> bool:
    """Whether ``content`` is UTF-8; its last character may be incomplete."""
    try:
        content[: max(len(content) - 4, 0)].decode()
    except UnicodeDecodeError as error:
        return error.start >= len(content) - 8
    return True


def _picture_query(size: str) -> list[tuple[str, str]]:
    side = _SIDES[size]
    return [(f"imageMogr2/thumbnail/{side}x{side}>/format/png", "")]


def _page_query(size: str, page: int) -> list[tuple[str, str]]:
    options: Mapping[str, str] = {"dstType": "png", "page": str(page), "scale": _SCALES[size]}
    return [("ci-process", "doc-preview"), *options.items()]
