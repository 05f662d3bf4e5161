"""Templates: named picture rules, which jobs refer to by id (1045/73037, 73038)."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from secrets import token_hex

from airflow_provider_ci.local.database import Database, Row
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http import wire
from airflow_provider_ci.local.http.answer import Answer
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.http.wire import Value
from airflow_provider_ci.local.jobs.requests import submission

TAG = "PicProcess"
MAX_PAGE_SIZE = 100

_CATEGORIES = ("Custom", "Official")
_NAME = re.compile(r"[A-Za-z0-9_*\u3400-\u4dbf\u4e00-\u9fff-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template of a bucket. Times are in Unix seconds."""

    template_id: str
    bucket: str
    name: str
    parameters: Mapping[str, str]
    created: int
    updated: int


class Templates:
    """The templates of all buckets; names are unique within a bucket."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, bucket: str, name: str, parameters: Mapping[str, str], now: float) -> Template:
        """Store a new template.

        :raises ServiceError: ``TemplateNameDuplicate`` if the bucket has a template of this name.
        """
        template_id = "t" + token_hex(16)
        values = (template_id, bucket, name, json.dumps(parameters, ensure_ascii=False), int(now), int(now))
        self._change(
            "INSERT INTO templates (template_id, bucket, name, parameters, created, updated)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            values,
            name,
        )
        return self.get(bucket, template_id)

    def get(self, bucket: str, template_id: str) -> Template:
        """The template of ``bucket`` with this id.

        :raises ServiceError: ``TemplateNotFound`` if it does not exist.
        """
        row = self._database.row(
            "SELECT * FROM templates WHERE bucket = ? AND template_id = ?", (bucket, template_id)
        )
        if row is None:
            raise ServiceError(
                "TemplateNotFound", f"template {template_id!r} does not exist in bucket {bucket}"
            )
        return _template(row)

    def of_bucket(self, bucket: str) -> list[Template]:
        """The templates of a bucket, the newest first."""
        rows = self._database.rows("SELECT * FROM templates WHERE bucket = ? ORDER BY seq DESC", (bucket,))
        return [_template(row) for row in rows]

    def update(self, template: Template, name: str, parameters: Mapping[str, str], now: float) -> Template:
        """Change a template's name and parameters; jobs submitted earlier keep the old ones.

        :raises ServiceError: ``TemplateNameDuplicate`` if another template has this name.
        """
        values = (name, json.dumps(parameters, ensure_ascii=False), int(now), template.template_id)
        self._change(
            "UPDATE templates SET name = ?, parameters = ?, updated = ? WHERE template_id = ?", values, name
        )
        return self.get(template.bucket, template.template_id)

    def delete(self, template: Template) -> None:
        """Delete a template; jobs submitted earlier are not affected."""
        self._database.change("DELETE FROM templates WHERE template_id = ?", (template.template_id,))

    def _change(self, sql: str, values: tuple[object, ...], name: str) -> None:
        try:
            self._database.change(sql, values)
        except sqlite3.IntegrityError as error:
            raise ServiceError(
                "TemplateNameDuplicate", f"the bucket has a template named {name!r} already"
            ) from error


async def create(templates: Templates, request: Request, rest: str) -> Answer:
    """CreateMediaTemplate with the tag PicProcess (1045/73037)."""
    name, parameters = _read(await request.body())
    template = templates.add(request.address.bucket, name, parameters, request.now)
    return _response(request, {"Template": template_detail(template)})


async def update(templates: Templates, request: Request, rest: str) -> Answer:
    """UpdateMediaTemplate with the tag PicProcess (1045/73038)."""
    name, parameters = _read(await request.body())
    template = templates.get(request.address.bucket, rest)
    return _response(
        request, {"Template": template_detail(templates.update(template, name, parameters, request.now))}
    )


async def delete(templates: Templates, request: Request, rest: str) -> Answer:
    """DeleteMediaTemplate."""
    templates.delete(templates.get(request.address.bucket, rest))
    return _response(request, {"TemplateId": rest})


async def list_templates(templates: Templates, request: Request, rest: str) -> Answer:
    """DescribeMediaTemplates: list page by page, by category, ids, and beginning of the name."""
    category = request.parameter("category", _CATEGORIES[0])
    if category not in _CATEGORIES:
        raise ServiceError("InvalidArgument", f"category {category!r} is neither Custom nor Official")
    number = wire.number("pageNumber", request.parameter("pageNumber"), 1, low=1, high=999_999)
    size = wire.number("pageSize", request.parameter("pageSize"), 10, low=1, high=MAX_PAGE_SIZE)
    found = _found(templates, request) if category == "Custom" else []
    return _response(
        request,
        {
            "TotalCount": len(found),
            "PageNumber": number,
            "PageSize": size,
            "TemplateList": [template_detail(item) for item in found[(number - 1) * size : number * size]],
        },
    )


Operation = Callable[[Templates, Request, str], Awaitable[Answer]]

OPERATIONS: Mapping[tuple[str, bool], Operation] = {
    ("POST", False): create,
    ("PUT", True): update,
    ("DELETE", True): delete,
    ("GET", False): list_templates,
}
"""The operations of ``/template``, by method and whether an id follows."""


def template_detail(template: Template) -> Mapping[str, Value]:
    """``Template`` or ``TemplateList`` of a response."""
    return {
        "Tag": TAG,
        "Name": template.name,
        "TemplateId": template.template_id,
        "UpdateTime": wire.local_time(template.updated),
        "CreateTime": wire.local_time(template.created),
        "BucketId": template.bucket,
        "Category": _CATEGORIES[0],
        TAG: dict(template.parameters),
    }


def _found(templates: Templates, request: Request) -> list[Template]:
    wanted = [item for item in request.parameter("ids").split(",") if item]
    return [
        template
        for template in templates.of_bucket(request.address.bucket)
        if (not wanted or template.template_id in wanted)
        and template.name.startswith(request.parameter("name"))
        and request.parameter("tag", TAG) == TAG
    ]


def _read(body: bytes) -> tuple[str, dict[str, str]]:
    """Read name and parameters from a request that makes or changes a template."""
    if not body.strip():
        raise ServiceError("MissingContent", "the request has no body")
    request = wire.parse(body, "Request")
    tag, name = wire.text(request, "Tag"), wire.text(request, "Name")
    if not tag:
        raise ServiceError("InvalidArgument", "Request.Tag is missing or empty")
    if tag != TAG:
        raise ServiceError("NotImplemented", f"Request.Tag is {tag!r}, the local CI knows {TAG} templates")
    submission.check_known(request, "Request", {"Tag", "Name", TAG})
    if not _NAME.fullmatch(name):
        raise ServiceError(
            "InvalidArgument",
            f"Request.Name {name!r} is not 1 to 64 letters, digits, Chinese characters, _, - or *",
        )
    node = request.find(TAG)
    if node is None:
        raise ServiceError("InvalidArgument", f"Request.{TAG} is missing")
    return name, submission.picture(node)


def _response(request: Request, nodes: Mapping[str, Value]) -> Answer:
    return Answer.response({"RequestId": request.request_id, **nodes})


def _template(row: Row) -> Template:
    return Template(
        template_id=row["template_id"],
        bucket=row["bucket"],
        name=row["name"],
        parameters=json.loads(row["parameters"]),
        created=row["created"],
        updated=row["updated"],
    )
