"""What every family of calls needs: a bucket, and a way to it."""

from __future__ import annotations

from airflow_provider_ci.client.transport import Transport


class Connected:
    """A bucket in a region, and the transport to the service; set up by the client."""

    region: str
    bucket: str
    _transport: Transport
