"""Calls for templates."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_ci.client import templates
from airflow_provider_ci.client.connected import Connected
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.http.responses import Response, nothing
from airflow_provider_ci.client.pictures import PicProcess
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.pages import MAX_ITEMS_PER_PAGE, Page, all_items, page_request
from airflow_provider_ci.client.templates import Template


class TemplateCalls(Connected):
    """Store picture rules at the service; jobs refer to them by id (:class:`.PicTemplate`)."""

    def create_template(self, name: str, operation: PicProcess) -> Template:
        """Store a rule under a name (CreateMediaTemplate), which is unique in the bucket.

        :param name: 1 to 64 letters (Chinese too), digits, ``_``, ``-`` or ``*``.
        """
        request = templates.template_request("POST", templates.PATH, name, operation)
        return self._transport.send(request, Template.from_response)

    def update_template(self, template_id: str, name: str, operation: PicProcess) -> Template:
        """Replace name and rule of a template (UpdateMediaTemplate)."""
        request = templates.template_request("PUT", templates.path_of(template_id), name, operation)
        return self._transport.send(request, Template.from_response)

    def delete_template(self, template_id: str) -> None:
        """Delete a template (DeleteMediaTemplate)."""
        path = templates.path_of(template_id)
        self._transport.send(Request(method="DELETE", service="ci", path=path), nothing)

    def list_templates(
        self, *, category: str | None = None, template_ids: Sequence[str] = (), name_prefix: str = ""
    ) -> list[Template]:
        """Read the templates (DescribeMediaTemplates), for all kinds of jobs.

        :param category: ``Custom`` or ``Official``.
        """
        checks.one_of("category", category, templates.CATEGORIES)
        for template_id in template_ids:
            checks.identifier("template_id", template_id)
        filters = {"category": category or "", "ids": ",".join(template_ids), "name": name_prefix}

        def read(response: Response) -> Page[Template]:
            return Page.from_response(response, "TemplateList", Template.from_node)

        def get(number: int) -> Page[Template]:
            request = page_request(templates.PATH, number, MAX_ITEMS_PER_PAGE, filters)
            return self._transport.send(request, read)

        return all_items(get)
