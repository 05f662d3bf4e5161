"""A successful answer on its way in."""

from __future__ import annotations

from collections.abc import Iterator

from urllib3 import BaseHTTPResponse

from airflow_provider_ci.client.adapter import Asked, translated
from airflow_provider_ci.client.errors import CIResponseError
from airflow_provider_ci.client.refusals import request_id_of

CHUNK_BYTES = 256 * 1024
MAX_XML_BYTES = 32 * 1024 * 1024
"""No answer in XML is longer: a page of 1,000 keys, each as long as a key can be, has some 3 MB."""


class Answer:
    """Headers, request id, and a body to be read whole (XML) or in chunks (an object)."""

    __slots__ = ("_asked", "_raw", "headers", "request_id")

    def __init__(self, raw: BaseHTTPResponse, asked: Asked) -> None:
        self._raw = raw
        self._asked = asked
        self.headers = raw.headers
        self.request_id = request_id_of(raw.headers)

    def read(self) -> bytes:
        """The whole body.

        :raises CIConnectionError: if it ends early.
        :raises CIResponseError: if it is longer than any documented answer.
        """
        with translated(self._asked):
            body = read_bounded(self._raw)
        if len(body) > MAX_XML_BYTES:
            raise CIResponseError(
                f"the answer has more than {MAX_XML_BYTES} bytes", request_id=self.request_id
            )
        return body

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece.

        :raises CIConnectionError: if it ends early.
        """
        while True:
            with translated(self._asked):
                chunk = self._raw.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


def read_bounded(raw: BaseHTTPResponse) -> bytes:
    """A whole body, or of a longer one a byte more than is acceptable."""
    announced = raw.length_remaining
    return raw.read() if announced is not None and announced <= MAX_XML_BYTES else raw.read(MAX_XML_BYTES + 1)
