"""The pages of the local CI: finds the page for an address, and builds the response.

Links from Airflow lead here, so these paths are stable: ``/_local/jobs/<job id>``,
``/_local/queues/<queue id>`` and ``/_local/objects/<bucket>/<key>``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from urllib.parse import quote

from aiohttp import ClientError, web
from jinja2 import Environment

from airflow_provider_ci.local.errors import Service, ServiceError, reason_of, status_of
from airflow_provider_ci.local.http.answer import Answer, FileBody
from airflow_provider_ci.local.http.request import Request, is_loopback
from airflow_provider_ci.local.pages import actions, forms
from airflow_provider_ci.local.pages.guard import READING, Guard, RefusedError
from airflow_provider_ci.local.pages.parts import FOLDER, Parts, Shown, Visit
from airflow_provider_ci.local.pages.previews import Previews
from airflow_provider_ci.local.pages.views.home import home
from airflow_provider_ci.local.pages.views.jobs import job, job_list
from airflow_provider_ci.local.pages.views.objects import bucket_list, folder, stored_object
from airflow_provider_ci.local.pages.views.queues import queue, queue_list
from airflow_provider_ci.local.pages.views.simulate import simulate
from airflow_provider_ci.web import (
    FILE_HEADERS,
    PAGE_HEADERS,
    STATIC_HEADERS,
    content_security_policy,
    environment,
    static_file,
)

View = Callable[[Parts, Visit], Shown]

# The keys are the kind of page, and whether its path names something.
_VIEWS: Mapping[tuple[str, bool], View] = {
    ("", False): home,
    ("jobs", False): job_list,
    ("jobs", True): job,
    ("queues", False): queue_list,
    ("queues", True): queue,
    ("buckets", False): bucket_list,
    ("buckets", True): folder,
    ("objects", True): stored_object,
    ("object", False): stored_object,
    ("simulate", False): simulate,
}
_HEADERS = {
    **PAGE_HEADERS,
    "Content-Security-Policy": content_security_policy(frame_ancestors="'none'"),
    "Cross-Origin-Opener-Policy": "same-origin",
}
_PICTURE_HEADERS = {**FILE_HEADERS, "Content-Type": "image/png", "Cache-Control": "private, max-age=3600"}
_DOWNLOAD_HEADERS = {**FILE_HEADERS, "Content-Type": "application/octet-stream"}
_NO_PICTURE = "no-preview.svg"

_log = logging.getLogger(__name__)


def is_browser(request: Request) -> bool:
    """Whether a browser requests the start page of the local CI.

    An API client signs its requests and does not accept HTML.
    """
    is_signed = request.header("Authorization") or any(
        name == "sign" or name.startswith("q-") for name, _ in request.query
    )
    return (
        request.path == "/"
        and request.method in READING
        and is_loopback(request.host)
        and "text/html" in request.header("Accept").lower()
        and not is_signed
    )


class Pages:
    """Handles the requests of a browser at ``/`` and below ``/_local/``."""

    def __init__(self, parts: Parts, guard: Guard) -> None:
        self._parts = parts
        self._guard = guard
        self._previews = Previews(parts)
        self._files: Mapping[str, Callable[[Visit], Awaitable[Answer]]] = {
            "static": self._static,
            "preview": self._preview,
            "download": self._download,
        }

    async def answer(self, request: Request) -> Answer:
        """Return the page or the file that the path names, or a page with the error."""
        kind, _, rest = request.path[len(FOLDER) :].partition("/") if request.path != "/" else ("", "", "")
        visit = Visit(request=request, rest=rest)
        try:
            self._guard.check(request)
            return await self._found(visit, kind)
        except RefusedError as error:
            return self._page(visit, _error(error.status, error.message))
        except ServiceError as error:
            return self._page(visit, _error(_status(error), error.message))
        except ValueError as error:  # an invalid fault or trait
            return self._page(visit, _error(400, str(error)))
        except (ConnectionError, ClientError, web.RequestPayloadError):
            return self._page(visit, _error(400, "The connection ended before the form did."))
        except Exception as error:
            _log.exception("the page %s failed", request.path)
            return self._page(visit, _error(500, f"The local CI failed: {reason_of(error)}"))

    async def _found(self, visit: Visit, kind: str) -> Answer:
        if visit.request.method not in READING:
            return await self._act(visit, kind)
        if kind in self._files:
            return await self._files[kind](visit)
        view = _VIEWS.get((kind, bool(visit.rest)))
        if view is None:
            raise RefusedError(404, f"The page {kind!r} does not exist.")
        return self._page(visit, await asyncio.to_thread(view, self._parts, visit))

    async def _act(self, visit: Visit, kind: str) -> Answer:
        action = actions.ACTIONS.get((kind, bool(visit.rest)))
        if action is None:
            raise RefusedError(405, "This page can only be read.")
        form = await forms.read(visit.request, self._check_fields, self._parts.store)
        place = await action(self._parts, visit, form)
        return Answer(status=303, headers={**_HEADERS, "Location": visit.base + place})

    def _check_fields(self, fields: Mapping[str, str]) -> None:
        self._guard.check_token(fields.get("token", ""))
        actions.prepare(self._parts, fields)

    async def _static(self, visit: Visit) -> Answer:
        file = static_file(visit.rest)
        if file is None:
            raise RefusedError(404, "This file does not exist.")
        return Answer(body=file.body, headers={**STATIC_HEADERS, "Content-Type": file.content_type})

    async def _preview(self, visit: Visit) -> Answer:
        made = await self._previews.picture(visit)
        if made is None:
            file = static_file(_NO_PICTURE)
            assert file is not None
            return Answer(body=file.body, headers={**FILE_HEADERS, "Content-Type": file.content_type})
        return Answer(body=made.body, headers=dict(_PICTURE_HEADERS))

    async def _download(self, visit: Visit) -> Answer:
        """Send an object of any kind as a file to save; a browser never displays it."""
        bucket, key = visit.parameter("bucket"), visit.parameter("key")
        found = self._parts.store.find(bucket, key) if bucket and key else None
        opened = self._parts.store.open(found) if found else None
        if opened is None:
            raise RefusedError(404, f"Object {key!r} does not exist in bucket {bucket!r}.")
        name = quote(key.rpartition("/")[2] or "object", safe="")
        return Answer(
            headers={**_DOWNLOAD_HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
            file=FileBody(file=opened[0], offset=0, length=opened[1].size),
        )

    def _page(self, visit: Visit, shown: Shown) -> Answer:
        values = {
            **shown.values,
            "title": shown.title,
            "refresh": shown.refresh,
            "base": visit.base,
            "token": self._guard.token,
            "section": visit.request.path[len(FOLDER) :].partition("/")[0],
        }
        text = self._templates.get_template(shown.template).render(values)
        return Answer(status=shown.status, body=text.encode(errors="replace"), headers=dict(_HEADERS))

    @cached_property
    def _templates(self) -> Environment:
        return environment("airflow_provider_ci.local.pages")


def _error(status: int, message: str) -> Shown:
    return Shown(template="error.html", title="This did not work", status=status, values={"message": message})


def _status(error: ServiceError) -> int:
    """The status of a page; unlike in the API, a missing bucket, object, job or queue is 404."""
    if error.code in ("NoSuchBucket", "NoSuchKey", "QueueNotFound", "ResourceNotFound"):
        return 404
    return error.status or status_of(Service.CI, error.code) or 400
