"""Makes clients for the buckets of a batch, from the connection of its task."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.compat import server_connection
from airflow_provider_ci.hooks.connection import client_of
from airflow_provider_ci.hooks.diagnosis import CLIENT_OPTIONS
from airflow_provider_ci.tasks.batch_page import BatchRecord

_CONNECTION_TYPE = "tencent_ci"
_KEPT = 32
_KEPT_SECONDS = 60.0
"""Seconds that a client is kept; a changed connection takes effect after this time."""
_lock = threading.Lock()
_clients: OrderedDict[tuple[str, str, str], tuple[float, CIClient]] = OrderedDict()


def client_of_batch(record: BatchRecord) -> CIClient:
    """The client of the bucket that holds the batch and its inputs.

    :raises ValueError: the connection does not exist, is of another type, or cannot be used.
    """
    return _client(record.conn_id, record.bucket, record.region)


def client_of_outputs(record: BatchRecord) -> CIClient:
    """The client of the bucket that holds the outputs."""
    if not record.output_bucket:
        return client_of_batch(record)
    return _client(record.conn_id, record.output_bucket, record.output_region or record.region)


def _client(conn_id: str, bucket: str, region: str) -> CIClient:
    place = (conn_id, bucket, region)
    with _lock:
        made_at, client = _clients.get(place, (0.0, None))
        if client is not None and time.monotonic() - made_at < _KEPT_SECONDS:
            return client
    client = _made(conn_id, bucket, region)
    with _lock:
        _clients[place] = (time.monotonic(), client)
        _clients.move_to_end(place)
        while len(_clients) > _KEPT:
            _clients.popitem(last=False)
    return client


def _made(conn_id: str, bucket: str, region: str) -> CIClient:
    try:
        connection = server_connection(conn_id)
    except Exception as error:  # each secrets backend raises its own errors
        raise ValueError(f"connection {conn_id!r} cannot be read by the API server") from error
    if connection.conn_type != _CONNECTION_TYPE:
        raise ValueError(f"connection {conn_id!r} is not of type {_CONNECTION_TYPE}")
    return client_of(connection, conn_id, bucket=bucket, region=region, **CLIENT_OPTIONS)
