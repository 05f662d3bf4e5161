"""What makes two jobs the same work, and two batches."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields

from airflow_provider_ci.batch.selection import ObjectKeys, ObjectSelection
from airflow_provider_ci.client import DocProcess, PicProcess, PicTemplate

_DIGITS = 16


class Fingerprints:
    """Fingerprints of the jobs that do one operation, whose part of the hash is computed once."""

    def __init__(self, operation: DocProcess | PicProcess | PicTemplate) -> None:
        self._operation = hashlib.sha256(_text_of(operation))

    def of(self, key: str, etag: str, output_key: str) -> str:
        """Sixteen hex digits that change with the object's content, the operation or the output."""
        whole = self._operation.copy()
        whole.update(f"{len(key)} {len(etag)} {key}{etag}{output_key}".encode())
        return whole.hexdigest()[:_DIGITS]


def work_fingerprint(
    source: ObjectSelection | ObjectKeys, operation: DocProcess | PicProcess | PicTemplate, output: str
) -> str:
    """Sixteen hex digits that change with what a batch is told to do: source, operation, output template."""
    whole = hashlib.sha256(_text_of(operation))
    chosen = {field.name: getattr(source, field.name) for field in fields(source)}
    for piece in json.JSONEncoder(default=str).iterencode([type(source).__name__, chosen, output]):
        whole.update(piece.encode())  # piece by piece: there may be a million keys
    return whole.hexdigest()[:_DIGITS]


def _text_of(operation: DocProcess | PicProcess | PicTemplate) -> bytes:
    return json.dumps([type(operation).__name__, asdict(operation)], sort_keys=True, default=str).encode()
