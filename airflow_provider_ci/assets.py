"""Objects of a bucket, or folders of them, as Airflow assets: ``cos://BucketName-APPID/key``.

A key is percent-encoded in the same way as in the service's own URLs, so every key has exactly one URI, in
plain ASCII. Airflow removes the ``/`` at the end of a folder, and uses the text from which an asset was made
as its name. So write an asset in the same way everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow.sdk import Asset, AssetAlias, Context

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset

SCHEME = "cos"
_BUCKET = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?-\d+")
_PLACEHOLDER = re.compile(r"\$?\{\w+\}")


def cos_uri(bucket: str, key: str) -> str:
    """The URI of an object or a folder, as Airflow spells it: without a ``/`` at its end."""
    return f"{SCHEME}://{bucket}/{quote(key.rstrip('/'), safe='/~')}"


def output_uri(bucket: str, output: str) -> str:
    """The URI of the folder of an output: ``cos://bucket/pdf`` for ``pdf/{dir}{stem}.pdf``.

    An output without a placeholder is one object, and the URI is the URI of that object.
    """
    literal, *rest = _PLACEHOLDER.split(output, maxsplit=1)
    return cos_uri(bucket, literal[: literal.rfind("/") + 1] if rest else literal)


def create_asset(*, bucket: str, key: str = "", extra: dict[str, Any] | None = None) -> Asset:
    """The asset of an object or a folder; without a key, of the whole bucket."""
    return Asset(uri=cos_uri(bucket, key), extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """The normal form of a ``cos`` URI; Airflow calls this function for every asset.

    A connection before the bucket (``cos://conn@bucket/key``) is dropped: it does not belong to the asset.

    :raises ValueError: the bucket or its APPID is missing, or a ``?`` is not percent-encoded.
    """
    bucket = uri.netloc.rpartition("@")[2]
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"{uri.geturl()!r}: the format is cos://<BucketName-APPID>/<key>, such as "
            "cos://examplebucket-1250000000/inbox/a.docx"
        )
    if uri.query:
        raise ValueError(f"{uri.geturl()!r}: write a ? of a key as %3F")
    return uri._replace(netloc=bucket, path=quote(unquote(uri.path, errors="strict"), safe="/~"))


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> Dataset:
    """The asset as a dataset of OpenLineage: the bucket is the namespace, the key is the name."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    namespace, name = lineage_name(asset.uri)
    return Dataset(namespace=namespace, name=name)


def lineage_name(uri: str) -> tuple[str, str]:
    """Namespace and name of a ``cos`` URI in OpenLineage; the bucket itself has the name ``/``."""
    parts = urlsplit(uri)
    return f"{SCHEME}://{parts.netloc}", unquote(parts.path).lstrip("/") or "/"


def announce(
    context: Context,
    outlets: Iterable[object],
    *,
    uri: str | Iterable[str],
    objects: int,
    details: Mapping[str, Any],
) -> None:
    """Report the written objects in the events of a task's outlets. Call this right before the task succeeds.

    The event of every outlet that is a ``cos`` asset gets ``details`` and the number of objects as its
    extra. An ``AssetAlias`` gets an event for the asset ``uri``, but only when something was written, so
    that no consumer starts needlessly.

    :param uri: URI of the written object or folder, see :func:`output_uri`; or several URIs.
    :param objects: number of objects that were written.
    """
    extra = {"objects": objects, **details}
    uris = [uri] if isinstance(uri, str) else list(dict.fromkeys(uri))
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            for each in uris if objects else ():
                context["outlet_events"][outlet].add(Asset(uri=each), extra=extra)
        elif isinstance(outlet, Asset) and urlsplit(outlet.uri).scheme == SCHEME:
            context["outlet_events"][outlet].extra = extra
