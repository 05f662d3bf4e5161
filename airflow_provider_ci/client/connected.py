"""The base of all groups of calls: a bucket and the transport to it."""

from __future__ import annotations

from airflow_provider_ci.client.http.transport import Transport


class Connected:
    """A bucket in a region, and the transport to the service; set up by the client."""

    region: str
    bucket: str
    _transport: Transport
