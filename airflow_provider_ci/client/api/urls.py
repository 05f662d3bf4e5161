"""Calls that make signed URLs; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_ci.client import pictures
from airflow_provider_ci.client.connected import Connected
from airflow_provider_ci.client.http.request import Request
from airflow_provider_ci.client.previews import DocPreview
from airflow_provider_ci.client.records import checks

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


class UrlCalls(Connected):
    """URLs that each permit one action on one object, without a key, until they expire.

    Treat them as secrets. They never hold the SecretKey, but they do hold the token of a temporary key and
    the password of a previewed document. With a temporary key they expire with its token.

    With an ``endpoint`` on this machine they name the bucket below ``.localhost``, which browsers and curl
    resolve to this machine. With an endpoint elsewhere, a request for the URL has to send the service's own
    ``Host``.
    """

    def object_url(
        self,
        key: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        valid_seconds: int = 3600,
    ) -> str:
        """Return a URL that reads an object, or with another ``method`` stores, describes or deletes it.

        :param params: further parameters, such as ``response-content-disposition``; they are signed.
        :param headers: headers that a request has to send with exactly these values, such as
            ``Content-Type``.
        """
        checks.object_key("key", key)
        checks.one_of("method", method, METHODS)
        checks.number("valid_seconds", valid_seconds, 1)
        for name, value in (headers or {}).items():
            if name.lower() == "host":
                raise ValueError("headers must not hold Host, which is signed anyway")
            checks.header(name, value)
        request = Request(
            method=method,
            service="cos",
            path=f"/{key}",
            params=tuple((params or {}).items()),
            headers=headers or {},
        )
        return self._transport.signed_url(request, valid_seconds)

    def doc_preview_url(
        self, key: str, preview: DocPreview | None = None, *, valid_seconds: int = 3600
    ) -> str:
        """Return a URL that shows a document: one page as a picture, or the whole as ``html``."""
        params = (preview or DocPreview()).to_params()
        return self.object_url(key, params=params, valid_seconds=valid_seconds)

    def picture_url(self, key: str, rule: str, *, valid_seconds: int = 3600) -> str:
        """Return a URL that shows a picture processed by a rule, such as ``imageMogr2/thumbnail/!50p``.

        Nothing is stored. The rules ``imageInfo``, ``exif`` and ``imageAve`` return JSON.
        """
        pictures.check_rule("rule", rule)
        return self.object_url(key, params={rule: ""}, valid_seconds=valid_seconds)
