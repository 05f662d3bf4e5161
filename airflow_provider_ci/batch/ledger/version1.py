"""Ledgers of version 0.2 of this package, whose batches must have ended before the upgrade."""

from __future__ import annotations

import json
import re

from airflow_provider_ci.batch.ledger.records import RecordError
from airflow_provider_ci.client import CIClient, NotFoundError


def refuse_unfinished(client: CIClient, report_prefix: str, batch_id: str) -> None:
    """Refuse a batch that version 0.2 left unfinished.

    :raises RecordError: the batch is unfinished. Its plan may hold objects that the source no longer selects.
    """
    # The name of the folder as version 0.2 made it.
    folder = re.sub(r"[^\w./-]+", "-", batch_id).strip("/")
    key = f"{report_prefix}{folder}/batch.json"
    try:
        header = json.loads(client.read_object(key).partition(b"\n")[0])
    except (NotFoundError, ValueError):
        return
    if isinstance(header, dict) and header.get("version") == 1 and not header.get("is_finished"):
        raise RecordError(
            f"{key!r} is an unfinished batch of version 0.2, which this version cannot continue: finish it "
            "with airflow-provider-ci 0.2, or delete that object; jobs in flight and outputs are recognized"
        )
