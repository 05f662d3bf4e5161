"""Fingerprints: when two jobs make the same output, and when two batches follow the same definition."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Set
from dataclasses import asdict
from typing import Any

# 64 bits: of 40 million batches with a million outputs each, about one has two outputs with one fingerprint.
_DIGITS = 16


class Fingerprints:
    """Fingerprints of the outputs of one operation.

    The part of the hash that all outputs share is computed once.
    """

    def __init__(self, operation: Any) -> None:
        self._operation = hashlib.sha256(operation_text(operation))

    def of(self, key: str, etag: str, output_key: str) -> str:
        """Sixteen hexadecimal digits that change with the content, the operation or the output key.

        The suffix of the input counts as well, because the service derives the source format from it.
        """
        # The rest of the key does not count: a renamed object with the same output need not be made again.
        suffix = posixpath.splitext(key)[1].lower()
        whole = self._operation.copy()
        # The lengths keep the parts apart: without them, different parts could give the same text.
        whole.update(f"{len(suffix)} {len(etag)} {suffix}{etag}{output_key}".encode("utf-8", "surrogatepass"))
        return whole.hexdigest()[:_DIGITS]


def operation_fingerprint(operation: Any) -> str:
    """Sixteen hexadecimal digits that change with the operation."""
    return hashlib.sha256(operation_text(operation)).hexdigest()[:_DIGITS]


def definition_fingerprint(*parts: Any) -> str:
    """Sixteen hexadecimal digits that change with any of the parts; the order within sets never matters."""
    return hashlib.sha256(_text_of(parts)).hexdigest()[:_DIGITS]


def operation_text(operation: Any) -> bytes:
    """The operation as bytes that are the same in every process."""
    # The index stores fingerprints. If the text of an operation changed, all its outputs would be made again.
    return _text_of([type(operation).__name__, asdict(operation)])


def _text_of(value: Any) -> bytes:
    # With escapes, because a lone surrogate in a text cannot be encoded.
    text = json.dumps(value, sort_keys=True, default=_plain, ensure_ascii=True)
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Set):
        return sorted(str(item) for item in value)
    return str(value)
