"""Steps of file jobs and watermarks: hashes, the keys of unpacked files, the options of a watermark."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_ci.local.convert import ConversionError, WatermarkOptions
from airflow_provider_ci.local.convert.errors import UNSUPPORTED_TYPE
from airflow_provider_ci.local.http.wire import universal_time
from airflow_provider_ci.local.objects.keys import check_key
from airflow_provider_ci.local.objects.store import StoredObject

_LISTED_FILES = 1000
_HASH_BYTES = 1024 * 1024


def check_is_pdf(key: str, sent: Mapping[str, str]) -> None:
    """Check that the input is a PDF: the official SDKs set no other SrcType for watermarks."""
    suffix = sent.get("SrcType") or posixpath.splitext(key)[1].removeprefix(".")
    if suffix.lower() != "pdf":
        message = f"the local CI marks only pdf documents, and {key!r} is {suffix!r}; convert it to pdf first"
        raise ConversionError(UNSUPPORTED_TYPE, message)


def watermark_options(sent: Mapping[str, str]) -> WatermarkOptions:
    """Convert the parameters of a watermark; a missing parameter is 0."""
    return WatermarkOptions(
        dx=int(sent.get("Dx", "0")),
        dy=int(sent.get("Dy", "0")),
        batch=sent.get("Batch", "0") == "1",
        horizontal_spacing=int(sent.get("HorizontalSpacing", "0")),
        vertical_spacing=int(sent.get("VerticalSpacing", "0")),
    )


def digest_of(path: Path, kind: str) -> str:
    """The MD5, SHA1 or SHA256 of a file, in hex."""
    digest = hashlib.new(kind.lower(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_HASH_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def prefix_of(sent: Mapping[str, str], key: str) -> str:
    """The beginning of the keys of unpacked files, as ``PrefixReplaced`` sets it (436/83110)."""
    folder = sent.get("Prefix", "").removeprefix("/")
    whole = key.removesuffix(".gz").removesuffix(".tar") if key.endswith((".gz", ".tgz")) else key
    whole = posixpath.splitext(whole)[0] if whole == key else whole
    own = {"1": whole.rpartition("/")[2], "2": whole}.get(sent.get("PrefixReplaced", "0"), "")
    return "".join(f"{part.removesuffix('/')}/" for part in (folder, own) if part)


def keys_of(names: Sequence[str], prefix: str) -> list[str]:
    """The keys of unpacked files.

    :raises ServiceError: a name cannot be part of a key.
    """
    return [check_key(prefix + name.replace("\\", "/").removeprefix("./")) for name in names]


def listed(files: Sequence[StoredObject]) -> Mapping[str, object]:
    """The ``FileList`` of a result (436/83111)."""
    contents = [
        {
            "Key": stored.file.key,
            "LastModified": universal_time(int(stored.modified)),
            "FileSize": str(stored.file.size),
        }
        for stored in files[:_LISTED_FILES]
    ]
    return {"Contents": contents, "IsTruncated": "true" if len(files) > _LISTED_FILES else "false"}
