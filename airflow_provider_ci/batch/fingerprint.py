"""What makes two jobs the same work."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from airflow_provider_ci.batch.plan import Operation, PlannedJob


def fingerprint(planned: PlannedJob, operation: Operation) -> str:
    """Sixteen hex digits that change with the object's content, the operation or the output."""
    parts = [planned.key, planned.etag, planned.output_key, type(operation).__name__, asdict(operation)]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
