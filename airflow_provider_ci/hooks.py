"""CIHook: from an Airflow connection to a :class:`~airflow_provider_ci.client.CIClient`."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from airflow.sdk import BaseHook, Connection

from airflow_provider_ci import compat
from airflow_provider_ci.client import CIClient, CIError, Credentials, RetryPolicy

_KNOWN_EXTRAS = frozenset(
    {"region", "bucket", "token", "endpoint", "requests_per_second", "timeout", "verify", "max_connections"}
)
_TEST_RETRY = RetryPolicy(max_attempts=2, max_seconds=8)
"""A connection test answers soon, with what is wrong."""


_TRIGGER_RETRY = RetryPolicy(max_attempts=2, max_seconds=8)
"""A trigger looks again anyway, and a thread that sleeps between attempts is one that other triggers lack."""


class ConnectionConfigError(ValueError):
    """The Airflow connection lacks something, or holds what cannot be used; all of it is named at once."""


class CIHook(BaseHook):
    """Gives operators, sensors and triggers a client for the bucket of a connection.

    The connection's login is the SecretId, its password the SecretKey; ``region`` and ``bucket`` are in its
    extra, ``token``, ``endpoint``, ``requests_per_second``, ``timeout``, ``verify`` and ``max_connections``
    may be. It is read on first use.

    :param conn_id: the Airflow connection.
    :param bucket: takes the place of the connection's bucket (``BucketName-APPID``).
    :param region: takes the place of the connection's region, such as ``ap-guangzhou``.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "tencent_ci_default"
    conn_type = "tencent_ci"
    hook_name = "Tencent Cloud Infinite"

    def __init__(
        self, conn_id: str = default_conn_name, *, bucket: str | None = None, region: str | None = None
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.bucket = bucket
        self.region = region

    @cached_property
    def client(self) -> CIClient:
        """The client of the connection.

        :raises ConnectionConfigError: the connection cannot be used; all that is wrong is named.
        """
        return self._client_for(self.get_connection(self.conn_id))

    async def async_client(self) -> CIClient:
        """A new client, for a trigger: nothing here blocks the event loop."""
        return self._client_for(await compat.connection(self.conn_id), retry=_TRIGGER_RETRY)

    def get_conn(self) -> CIClient:
        """The client, under the name that Airflow's hooks have for it."""
        return self.client

    def test_connection(self) -> tuple[bool, str]:
        """Read the bucket and its document queues with the connection's key, and say what failed and why."""
        try:
            client = self._client_for(self.get_connection(self.conn_id), retry=_TEST_RETRY)
        except ValueError as error:
            return False, str(error)
        reads = (
            # One key of a listing, because a HEAD that is refused does not say why.
            (f"bucket {client.bucket}", partial(client.list_objects_page, page_size=1)),
            (f"document queues of {client.bucket}", client.list_doc_queues),
        )
        with client:
            for what, read in reads:
                try:
                    read()
                except CIError as error:
                    return False, f"cannot read the {what}: {error}"
            return True, f"bucket {client.bucket} and its document queues can be read"

    def _client_for(self, conn: Connection, *, retry: RetryPolicy | None = None) -> CIClient:
        extra: Any = conn.extra_dejson
        if not isinstance(extra, dict):
            raise ConnectionConfigError(f"connection {self.conn_id!r}: its extra is no JSON object")
        region = self.region or extra.get("region")
        bucket = self.bucket or extra.get("bucket")
        problems = [
            f"{what} is missing"
            for what, value in (
                ("login (SecretId)", conn.login),
                ("password (SecretKey)", conn.password),
                ("extra 'region'", region),
                ("extra 'bucket' (or the operator's bucket)", bucket),
            )
            if not value
        ]
        problems += [f"extra {name!r} is not known" for name in sorted(extra.keys() - _KNOWN_EXTRAS)]
        if problems:
            raise ConnectionConfigError(f"connection {self.conn_id!r}: {'; '.join(problems)}")
        options: dict[str, Any] = {
            "endpoint": extra.get("endpoint") or None,
            "verify": _verify(extra.get("verify")),
        }
        try:
            if extra.get("timeout"):
                options["timeout"] = float(extra["timeout"])
            if extra.get("requests_per_second"):
                options["requests_per_second"] = float(extra["requests_per_second"])
            if extra.get("max_connections"):
                options["max_connections"] = int(extra["max_connections"])
            if retry is not None:
                options["retry"] = retry
            credentials = Credentials(
                secret_id=str(conn.login), secret_key=str(conn.password), token=extra.get("token") or None
            )
            return CIClient(credentials, str(region), str(bucket), **options)
        except (TypeError, ValueError) as error:
            raise ConnectionConfigError(f"connection {self.conn_id!r}: {error}") from error


def _verify(value: Any) -> bool | str:
    """TLS verification from a JSON boolean, its text, or the path of a CA bundle."""
    words = {"": True, "true": True, "false": False}
    text = "" if value is None else str(value)
    return words.get(text.lower(), text)
