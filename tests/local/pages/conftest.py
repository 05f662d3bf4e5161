"""Fixtures: a visitor who requests pages like a browser and sends forms with the token of the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from lxml import html

BUCKET = "examplebucket-1250000000"
BOUNDARY = "part-of-the-form"


@dataclass
class Visitor:
    """A browser without scripts, on the machine of the local CI."""

    call: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return str(self.call.server.endpoint.partition("//")[2])

    def get(self, path: str, **headers: str) -> Any:
        return self.call.raw("GET", path, {"Host": self.host, "Accept": "text/html", **headers})

    def tree(self, path: str) -> Any:
        reply = self.get(path)
        assert reply.status == 200, reply.body
        return html.fromstring(reply.body)

    def token(self) -> str:
        return str(self.tree("/").xpath("//input[@name='token']/@value")[0])

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Any:
        """Send a form with the token of the page, unless the fields include a token."""
        body = urlencode({"token": self.token(), **(fields or {})})
        return self.send(path, body.encode(), "application/x-www-form-urlencoded", **headers)

    def send(self, path: str, body: bytes, content_type: str, **headers: str) -> Any:
        own = {"Host": self.host, "Origin": f"http://{self.host}", "Content-Type": content_type}
        return self.call.raw("POST", path, {**own, **headers}, body)

    def drop(
        self, name: str, content: bytes, fields: dict[str, str] | None = None, token: str | None = None
    ) -> Any:
        """Send the form of the first page as if one file was dropped there."""
        given = {"token": self.token() if token is None else token, "bucket": BUCKET}
        parts = [(f'form-data; name="{key}"', value.encode()) for key, value in given.items()]
        parts.append((f'form-data; name="files"; filename="{name}"', content))
        parts += [(f'form-data; name="{key}"', value.encode()) for key, value in (fields or {}).items()]
        body = b"".join(
            b"--%s\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), head.encode(), value)
            for head, value in parts
        )
        return self.send(
            "/_local/convert",
            body + b"--%s--\r\n" % BOUNDARY.encode(),
            f"multipart/form-data; boundary={BOUNDARY}",
        )

    def job_of(self, reply: Any) -> str:
        """Wait until the job that a form created is final; return its id."""
        assert reply.status == 303, reply.body
        job_id = str(reply.headers["location"].rpartition("/")[2])
        path = "/doc_jobs" if job_id.startswith("d") else "/pic_jobs"
        self.call.finished(job_id, path)
        return job_id


@pytest.fixture
def visitor(call: Any) -> Visitor:
    return Visitor(call)


@pytest.fixture
def visitor_of() -> type[Visitor]:
    return Visitor
