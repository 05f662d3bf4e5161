"""The folder in which a batch keeps its objects, and the keys of its report."""

from __future__ import annotations

import hashlib
import re

_MAX_FOLDER_BYTES = 618
"""Maximum length of a folder: object keys have at most 850 bytes, and the names of records need the rest."""
_LEDGER_FOLDER = re.compile(r"(?:^|/)[^/]*\.ci-batch/")


def report_key(folder: str) -> str:
    """Key of the report of a batch."""
    return f"{folder}report.jsonl"


def failures_key(folder: str, number: int = 1) -> str:
    """Key of a part of the list of failures, by its number from 1."""
    return f"{folder}failures.jsonl" if number == 1 else f"{folder}failures-{number:06}.jsonl"


def batch_folder(prefix: str, batch_id: str) -> str:
    """The folder in which a batch keeps its objects.

    The folder ends with a hash of the id, so that different ids never share a folder, and with ``.ci-batch``,
    by which every batch recognizes the ledgers of other batches.

    :raises ValueError: the batch id is empty, or too long for object keys.
    """
    # The readable name is for people. If two ids have the same readable name, their hashes differ.
    readable = re.sub(r"[^\w./-]+|\.{2,}", "-", batch_id)
    readable = re.sub(r"/{2,}", "/", readable).strip("/.")
    if not readable:
        raise ValueError(f"batch_id names the folder of the batch, so it cannot be {batch_id!r}")
    digest = hashlib.sha256(batch_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    folder = f"{prefix}{readable}-{digest}.ci-batch/"
    if len(folder.encode()) > _MAX_FOLDER_BYTES:
        raise ValueError(f"batch_id is too long for object keys: {batch_id!r}")
    return folder


def is_ledger_key(key: str) -> bool:
    """Whether an object belongs to the ledger of some batch."""
    return bool(_LEDGER_FOLDER.search(key))
