"""The forms of the pages: fields, and files that go straight into a bucket without being held in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.objects.store import Store, StoredObject, Upload
from airflow_provider_ci.local.pages.guard import RefusedError

MAX_FILE_BYTES = 200 * 1024**2
"""Largest file of a form, in bytes: the largest document that is converted. The API accepts larger ones."""
MAX_FILES = 50
MAX_FIELD_BYTES = 16 * 1024
MAX_FIELDS = 60

UPLOADS = "uploads/"
"""The folder of a bucket for dropped files."""

_CHUNK_BYTES = 256 * 1024
_MAX_NAME_BYTES = 180
_UNWANTED = re.compile(r'[\x00-\x1f\x7f/\\"]')
_MOST_NAMESAKES = 1000
_MULTIPART = "multipart/form-data"


@dataclass(slots=True)
class Form:
    """The content of a form: the fields by name, and the keys of the files that were stored."""

    fields: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def get(self, name: str) -> str:
        """A field without the blanks around it; ``""`` if it is missing."""
        return self.fields.get(name, "").strip()


async def read(request: Request, check: Callable[[Mapping[str, str]], None], store: Store) -> Form:
    """Read a form and store its files in the bucket that it names.

    ``check`` gets the fields before a file is stored, so a form must send its fields before its files.

    :raises RefusedError: a field or a file is too large, or ``check`` refuses the fields.
    """
    if request.header("Content-Type").partition(";")[0].strip().lower() == _MULTIPART:
        return await _read_parts(request, check, store)
    body = await request.body()
    form = Form(dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True)))
    check(form.fields)
    return form


async def _read_parts(request: Request, check: Callable[[Mapping[str, str]], None], store: Store) -> Form:
    form = Form()
    try:
        async for part in await request.http.multipart():
            if not isinstance(part, BodyPartReader):
                raise RefusedError(400, "The form has a part in parts.")
            if part.filename is None:
                await _take_field(form, part)
            elif part.filename:
                check(form.fields)
                await _take_file(form, part, store)
    except (ValueError, AssertionError, HttpProcessingError, web.RequestPayloadError) as error:
        raise RefusedError(400, "The form is not well-formed multipart/form-data.") from error
    check(form.fields)
    return form


async def _take_field(form: Form, part: BodyPartReader) -> None:
    text = bytearray()
    while chunk := await part.read_chunk():
        text += chunk
        if len(text) > MAX_FIELD_BYTES:
            raise RefusedError(413, f"A field of the form exceeds {MAX_FIELD_BYTES:,} bytes.")
    if len(form.fields) == MAX_FIELDS:
        raise RefusedError(413, f"The form has more than {MAX_FIELDS} fields.")
    form.fields[part.name or ""] = text.decode(errors="replace")


async def _take_file(form: Form, part: BodyPartReader, store: Store) -> None:
    if len(form.keys) == MAX_FILES:
        raise RefusedError(413, f"The form has more than {MAX_FILES} files; drop them in several goes.")
    upload = store.upload(form.get("bucket"), UPLOADS + file_name(part.filename or ""))
    try:
        while chunk := await part.read_chunk(_CHUNK_BYTES):
            if upload.size + len(chunk) > MAX_FILE_BYTES:
                limit = f"{MAX_FILE_BYTES // 1024**2} MiB"
                raise RefusedError(413, f"A file exceeds {limit}; the API takes larger ones.")
            await asyncio.to_thread(upload.write, chunk)
        stored = await asyncio.to_thread(place, upload)
    finally:
        upload.discard()
    form.keys.append(stored.file.key)


def file_name(name: str) -> str:
    """Make the name of a dropped file fit for a key: without folders, control characters and quotes."""
    base = _UNWANTED.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip()
    stem, dot, suffix = base.rpartition(".")
    stem, suffix = (stem, dot + suffix) if stem and len(suffix) <= 8 else (base, "")
    while len((stem + suffix).encode(errors="replace")) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    named = (stem + suffix).encode(errors="replace").decode()
    return "file" if named in ("", ".", "..") else named


def place(upload: Upload) -> StoredObject:
    """Store a file; add a number to its name if an object of that name has other content."""
    folder, _, name = upload.key.rpartition("/")
    stem, dot, suffix = name.rpartition(".") if "." in name else (name, "", "")
    for number in range(2, _MOST_NAMESAKES):
        found = upload.store.find(upload.bucket, upload.key)
        known = upload.store.describe([found])[0] if found else None
        if known and known.etag == upload.digest.hexdigest():
            return known
        if known is None:
            return upload.commit({}, replace=False)
        upload.key = f"{folder}/{stem}-{number}{dot}{suffix}"
    raise ServiceError("FileAlreadyExists", f"there are {_MOST_NAMESAKES} objects called {name!r} already")
