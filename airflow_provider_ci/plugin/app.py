"""The pages as a FastAPI application, mounted into Airflow's API server."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from airflow.utils.session import create_session
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_provider_ci.batch import ObjectState
from airflow_provider_ci.batch.ledger.records import MissingRecordError, RecordError
from airflow_provider_ci.client import CIError, CIServiceError
from airflow_provider_ci.plugin import pages, recorded
from airflow_provider_ci.plugin.access import Batch, ReadableDags, User, may_read_xcom
from airflow_provider_ci.plugin.previews import NoPreviewError
from airflow_provider_ci.plugin.recorded import GROUPS, PAGE_ROWS
from airflow_provider_ci.plugin.results import BAD, Filter
from airflow_provider_ci.web import FILE_HEADERS, PAGE_HEADERS, STATIC_HEADERS, environment, static_file

log = logging.getLogger(__name__)

_TEMPLATES = environment("airflow_provider_ci.plugin")
_MAX_PAGE = 100_000
_MAX_REASON = 60
RESULT_FILTERS = (pages.ALL, BAD, *(state.value for state in ObjectState))
Offset = Annotated[int, Query(ge=0, le=2**40)]
PageNumber = Annotated[int, Query(ge=1, le=_MAX_PAGE)]
Text = Annotated[str, Query(max_length=850)]


@functools.cache
def batches_app() -> FastAPI:
    """The application; each process makes it once."""
    app = FastAPI(title="CI batches", openapi_url=None, docs_url=None, redoc_url=None)
    for path, show in _ROUTES.items():
        app.add_api_route(path, show, methods=["GET", "HEAD"], response_class=Response)
    for error, handle in _HANDLERS.items():
        app.add_exception_handler(error, handle)
    return app


def show_list(
    request: Request,
    user: User,
    readable: ReadableDags,
    state: Text = "",
    dag: Text = "",
    page: PageNumber = 1,
) -> Response:
    """All batches of the DAGs that the user may read."""
    with create_session() as session:
        dags = recorded.dags_with_batches(session, readable)
        shown = [each for each in dags if not dag or each == dag]
        group = state if state in GROUPS else ""
        counts = recorded.count_groups(session, shown)
        batches = recorded.list_batches(session, shown, group=group, offset=(page - 1) * PAGE_ROWS)
    open_dags = {
        each for each in {batch.name.dag_id for batch in batches} if may_read_xcom(request, user, each)
    }
    return _page(
        "list.html", **pages.list_of(batches, counts, dags, open_dags, group=group, dag=dag, page=page)
    )


def show_batch(
    batch: Batch, state: Text = "", code: Text = "", text: Text = "", offset: Offset = 0
) -> Response:
    """One batch: its state in a sentence, its failures, its objects."""
    if state and state not in RESULT_FILTERS:
        raise HTTPException(400, f"Unknown outcome {state!r}; known are {', '.join(RESULT_FILTERS)}.")
    template = "plan.html" if batch.record.plan_only else "batch.html"
    return _page(template, **pages.batch_page(batch, Filter(state, code, text.strip()), offset))


def show_object(batch: Batch, n: Annotated[int, Query(ge=0)]) -> Response:
    """One object of a batch, its input beside its output."""
    return _page("object.html", **pages.object_page(batch, n))


def send_picture(batch: Batch, n: Annotated[int, Query(ge=0)], side: Text) -> Response:
    """The picture, or the first page, of an object's input or output."""
    try:
        picture = pages.picture(batch, n, side)
    except (CIError, NoPreviewError) as error:
        return _no_picture(error)
    return Response(picture.body, headers={**FILE_HEADERS, "Content-Type": picture.content_type})


def send_file(batch: Batch, n: Annotated[int, Query(ge=0)], side: Text) -> Response:
    """An object's input or output as a file to save; a browser never displays it."""
    name, body = pages.file(batch, n, side)
    headers = {
        **FILE_HEADERS,
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
    }
    return Response(body, headers=headers)


def send_static(name: str) -> Response:
    """A file of the shared design; it needs no session, because it holds no data."""
    file = static_file(name)
    if file is None:
        raise HTTPException(404, "This file does not exist.")
    return Response(file.body, headers={**STATIC_HEADERS, "Content-Type": file.content_type})


_ROUTES: dict[str, Callable[..., Response]] = {
    "/": show_list,
    "/batch": show_batch,
    "/object": show_object,
    "/picture": send_picture,
    "/file": send_file,
    "/static/{name}": send_static,
}


def _page(template: str, status: int = 200, **values: Any) -> Response:
    html = _TEMPLATES.get_template(template).render(base="", **values)
    # A key may hold a lone surrogate, which UTF-8 cannot encode.
    return Response(html.encode("utf-8", "replace"), status, headers=dict(PAGE_HEADERS))


def _refused(request: Request, error: Exception) -> Response:
    """A page for 401, 403, 404 and other errors, with the reason in a sentence."""
    assert isinstance(error, AnyHTTPException)
    title = HTTPStatus(error.status_code).phrase
    words = _REFUSALS.get(error.status_code) or str(error.detail)
    return _page("error.html", error.status_code, title=title, words=words)


def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    names = ", ".join(sorted({str(each["loc"][-1]) for each in error.errors()}))
    return _page(
        "error.html", 400, title="Bad Request", words=f"The address is incomplete or damaged: {names}."
    )


def _no_picture(error: Exception) -> Response:
    """A picture that shows the reason; a broken picture would show none."""
    reason = error.code if isinstance(error, CIServiceError) else "The service sent no picture."
    body = _TEMPLATES.get_template("no_picture.svg").render(reason=reason[:_MAX_REASON])
    return Response(body.encode(), headers={**FILE_HEADERS, "Content-Type": "image/svg+xml"})


def _service_failed(request: Request, error: Exception) -> Response:
    """The page when the bucket cannot be read; the service's message contains no secret."""
    said = f"{error.code}: {error.message}" if isinstance(error, CIServiceError) else type(error).__name__
    log.warning("a page of a batch cannot read its bucket: %s", said)
    words = f"The bucket of this batch cannot be read now ({said})."
    return _page("error.html", 502, title="The bucket cannot be read", words=words)


def _cannot_connect(request: Request, error: Exception) -> Response:
    """The page when the connection or the ledger cannot be used; the details belong in the task's log."""
    log.warning("a page of a batch cannot be made: %s", type(error).__name__)
    words = (
        "The ledger of this batch is damaged, or a newer version of the package wrote it."
        if isinstance(error, RecordError)
        else "The API server cannot use the connection of this task. Does it have the same connection as the "
        "workers?"
    )
    return _page("error.html", 502, title="The batch cannot be read", words=words)


_REFUSALS = {
    401: "You are not logged in, or your session has expired. Log in to Airflow and open this page again.",
    403: "You may not read this DAG's XComs, on which this page rests. Ask an administrator for the right.",
}
_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Response]] = {
    AnyHTTPException: _refused,
    RequestValidationError: _unreadable,
    MissingRecordError: _service_failed,
    CIError: _service_failed,
    ValueError: _cannot_connect,
}
