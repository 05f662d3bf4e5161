"""Draw PDF pages and process pictures: each request and each response is one JSON line.

Usage: ``python -m airflow_provider_ci.local.convert.workers.page_worker MEMORY_BYTES FILE_BYTES``.
The process exits when stdin ends, because its parent is then gone.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PIL import Image, UnidentifiedImageError

from airflow_provider_ci.local.convert import errors
from airflow_provider_ci.local.convert.errors import ConversionError, from_os_error
from airflow_provider_ci.local.convert.pdf import drawing as pdf
from airflow_provider_ci.local.convert.pdf import watermark
from airflow_provider_ci.local.convert.pictures import picture
from airflow_provider_ci.local.convert.pictures.canvas import fetch_from
from airflow_provider_ci.local.convert.pictures.metadata import QUERIES
from airflow_provider_ci.local.convert.source import archives


def _inspect(request: dict[str, Any]) -> dict[str, Any]:
    return pdf.inspect(Path(request["source"]), request["password"])


def _unlock(request: dict[str, Any]) -> dict[str, Any]:
    return pdf.unlock(Path(request["source"]), Path(request["target"]), request["password"])


def _picture(request: dict[str, Any]) -> dict[str, Any]:
    result = picture.process_picture(
        Path(request["source"]),
        request["rule"],
        Path(request["target"]),
        fetch=fetch_from(request["images"]),
    )
    return dataclasses.asdict(result)


def _unpack(request: dict[str, Any]) -> dict[str, Any]:
    made = archives.unpack(
        Path(request["source"]), request["name"], request["password"], Path(request["folder"])
    )
    return {"files": [[each.name, each.path.name] for each in made]}


def _query(request: dict[str, Any]) -> dict[str, Any]:
    return {"told": QUERIES[request["name"]](Path(request["source"]))}


_OPERATIONS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "inspect": _inspect,
    "unlock": _unlock,
    "render": pdf.render,
    "texts": pdf.texts,
    "picture": _picture,
    "query": _query,
    "unpack": _unpack,
    "watermark": watermark.lay_over,
}


def _error_of(error: Exception) -> ConversionError:
    """Turn an error of a decoder into a ConversionError; decoders raise nearly anything on hostile bytes."""
    if isinstance(error, ConversionError):
        return error
    if isinstance(error, (MemoryError, Image.DecompressionBombError)):
        return ConversionError(
            errors.IMAGE_TOO_LARGE, "there is not enough memory for a picture of this size"
        )
    if isinstance(error, OSError) and error.errno and not isinstance(error, UnidentifiedImageError):
        return from_os_error(error)
    return ConversionError(errors.DAMAGED_FILE, "the content cannot be read: it is cut off or damaged")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run the operation of a request; an error becomes a response with a code and a message."""
    try:
        return _OPERATIONS[request["operation"]](request)
    except Exception as error:
        told = _error_of(error)
        detail = "" if told is error else f"{type(error).__name__}: {error}"
        return {"code": told.code, "message": told.message, "detail": detail}


def _read_requests(requests: queue.Queue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def main() -> None:
    """Answer one request after another, within the limits of memory and file size in the arguments."""
    memory_bytes, file_bytes = map(int, sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # If SIGXFSZ is ignored, a write beyond the limit fails with EFBIG instead of ending the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    # Output of libraries goes to stderr, so that stdout has only responses.
    os.dup2(2, 1)
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    while True:
        reply = answer(json.loads(requests.get()))
        # Linux gives ru_maxrss in KiB.
        reply["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answers.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
