"""Templates: picture rules that the service stores under an id, and the calls that change them.

Source: tencentcloud.com document/product/1045/73037 and 73038.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_ci.client import pictures
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.http.request import XML_BODY, Request
from airflow_provider_ci.client.http.responses import RESPONSE, Response, nothing
from airflow_provider_ci.client.http.transport import Connected
from airflow_provider_ci.client.pictures import PicProcess
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.pages import MAX_ITEMS_PER_PAGE, Page, all_items, page_request
from airflow_provider_ci.client.wire import nodes, xml

PATH = "/template"
CATEGORIES = ("Custom", "Official")

_NAME = re.compile(r"[\w*-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template: a named operation that the service stores under an id.

    ``operation`` is None if the tag is not ``PicProcess``, or if this client would reject the rule. ``raw``
    holds everything that the service returned about the template.
    """

    template_id: str
    tag: str
    name: str
    operation: PicProcess | None = None
    category: str = ""
    bucket: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_node(cls, node: nodes.Tree, request_id: str) -> Template:
        """Read a ``Template`` or ``TemplateList`` node."""
        return cls(
            template_id=nodes.required(node, "TemplateId", request_id),
            tag=nodes.required(node, "Tag", request_id),
            name=nodes.text(node, "Name"),
            operation=_operation(node),
            category=nodes.text(node, "Category"),
            bucket=nodes.text(node, "BucketId"),
            created_at=nodes.moment(node, "CreateTime"),
            updated_at=nodes.moment(node, "UpdateTime"),
            raw=node,
        )

    @classmethod
    def from_response(cls, response: Response) -> Template:
        """Read the ``Response`` to the creation or change of a template."""
        request_id = response.request_id
        node = response.tree
        found = nodes.child(node, "Template")
        if not found:
            raise CIResponseError("the response lacks <Template>", request_id=request_id)
        return cls.from_node(found, request_id)


class TemplateCalls(Connected):
    """Calls for picture rules that the service stores; jobs refer to them by id (:class:`.PicTemplate`)."""

    def create_template(self, name: str, operation: PicProcess) -> Template:
        """Store a rule under a name (CreateMediaTemplate).

        :param name: unique in the bucket; 1 to 64 letters (Chinese too), digits, ``_``, ``-`` or ``*``.
        """
        request = _template_request("POST", PATH, name, operation)
        return self._transport.send(request, Template.from_response)

    def update_template(self, template_id: str, name: str, operation: PicProcess) -> Template:
        """Replace the name and the rule of a template (UpdateMediaTemplate)."""
        request = _template_request("PUT", _path_of(template_id), name, operation)
        return self._transport.send(request, Template.from_response)

    def delete_template(self, template_id: str) -> None:
        """Delete a template (DeleteMediaTemplate)."""
        path = _path_of(template_id)
        self._transport.send(Request(method="DELETE", service="ci", path=path), nothing)

    def list_templates(
        self, *, category: str | None = None, template_ids: Sequence[str] = (), name_prefix: str = ""
    ) -> list[Template]:
        """Read the templates for all kinds of job (DescribeMediaTemplates).

        :param category: ``Custom`` or ``Official``.
        """
        checks.one_of("category", category, CATEGORIES)
        for template_id in template_ids:
            checks.identifier("template_id", template_id)
        filters = {"category": category or "", "ids": ",".join(template_ids), "name": name_prefix}

        def read(response: Response) -> Page[Template]:
            return Page.from_response(response, "TemplateList", Template.from_node)

        def get(number: int) -> Page[Template]:
            request = page_request(PATH, number, MAX_ITEMS_PER_PAGE, filters)
            return self._transport.send(request, read)

        return all_items(get)


def _template_request(method: str, path: str, name: str, operation: PicProcess) -> Request:
    """Return the request that creates or changes a template."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"name must be 1 to 64 letters, digits, '_', '-' or '*', not {name!r}")
    content = {"Tag": pictures.TAG, "Name": name, pictures.TAG: operation.to_node()}
    return Request(
        method=method,
        service="ci",
        path=path,
        headers=XML_BODY,
        body=xml.build("Request", content),
        success=RESPONSE,
    )


def _path_of(template_id: str) -> str:
    """Return the path of one template."""
    checks.identifier("template_id", template_id)
    return f"{PATH}/{template_id}"


def _operation(node: nodes.Tree) -> PicProcess | None:
    found = nodes.child(node, pictures.TAG)
    is_pic_info = nodes.text(found, "IsPicInfo")
    try:
        return PicProcess(
            nodes.text(found, "ProcessRule"), is_pic_info=is_pic_info == "true" if is_pic_info else None
        )
    except ValueError:  # a rule that this client rejects must not hide the template; it is still in raw
        return None
