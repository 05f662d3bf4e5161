"""The page of batches in Airflow's UI: Browse > CI batches.

Airflow loads this module in each of its processes, so the pages themselves are imported at the first request.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_ci.compat import has_batch_pages
from airflow_provider_ci.tasks.batch_page import PREFIX

_NAME = "CI batches"
_PLACE = PREFIX.strip("/")


class _LazyApp:
    """The pages as an ASGI application that is made at its first request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from airflow_provider_ci.plugin.app import batches_app

        await batches_app()(scope, receive, send)


class CIBatchesPlugin(AirflowPlugin):
    """Adds the pages to Airflow 3.1 and newer; with ``[tencent_ci] batch_pages = False`` it adds nothing."""

    name = "ci_batches"
    fastapi_apps = [{"app": _LazyApp(), "url_prefix": PREFIX, "name": _NAME}] if has_batch_pages() else []
    external_views = (
        [
            {
                "name": _NAME,
                # Relative to the UI's own base, so that the link also works below a path of a reverse proxy.
                "href": f"{_PLACE}/",
                "icon": f"{_PLACE}/static/icon.svg",
                "url_route": _PLACE,
                "destination": "nav",
                "category": "browse",
            }
        ]
        if has_batch_pages()
        else []
    )
