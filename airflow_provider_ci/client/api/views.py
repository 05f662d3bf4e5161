"""Calls that read what the service makes of an object on request, without storing it."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ci.client import checks, pictures
from airflow_provider_ci.client.api.connected import Connected
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.previews import DocPreview
from airflow_provider_ci.client.request import Request
from airflow_provider_ci.client.responses import OBJECT, Response


class ViewCalls(Connected):
    """A page of a document, or a processed picture, as bytes. The service charges for each call."""

    def read_doc_preview(
        self, key: str, preview: DocPreview | None = None, *, max_bytes: int | None = None
    ) -> bytes:
        """Return a preview of a document (Document preview).

        :param max_bytes: limit of the response.
        :raises CIResponseError: the response is longer than ``max_bytes``.
        """
        return self._read_view(key, (preview or DocPreview()).to_params(), max_bytes)

    def read_picture(self, key: str, rule: str, *, max_bytes: int | None = None) -> bytes:
        """Return a picture processed by a rule, such as ``imageMogr2/thumbnail/!50p``.

        :param max_bytes: limit of the response.
        :raises CIResponseError: the response is longer than ``max_bytes``.
        """
        pictures.check_rule("rule", rule)
        return self._read_view(key, {rule: ""}, max_bytes)

    def _read_view(self, key: str, params: Mapping[str, str], max_bytes: int | None) -> bytes:
        checks.object_key("key", key)
        request = Request(
            method="GET", service="cos", path=f"/{key}", params=tuple(params.items()), success=OBJECT
        )
        return self._transport.send(request, lambda response: _limited(key, response, max_bytes))


def _limited(key: str, response: Response, max_bytes: int | None) -> bytes:
    body = bytearray()
    for chunk in response.chunks():
        body += chunk
        if max_bytes is not None and len(body) > max_bytes:
            raise CIResponseError(
                f"the view of {key!r} has more than {max_bytes} bytes", request_id=response.request_id
            )
    return bytes(body)
