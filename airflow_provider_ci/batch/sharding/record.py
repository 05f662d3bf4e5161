"""The shards of a source, recorded in the bucket so that every attempt uses the same shards."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.batch.sharding.split import split
from airflow_provider_ci.batch.sources.inventory import Inventory
from airflow_provider_ci.batch.sources.manifest import Manifest
from airflow_provider_ci.batch.sources.selection import ObjectSelection
from airflow_provider_ci.batch.sources.source import Source, SourceError
from airflow_provider_ci.client import CIClient, NotFoundError, ObjectExistsError

VERSION = 1
_KINDS = {each.__name__: each for each in (Inventory, Manifest, ObjectSelection)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A part of a source that is a batch of its own."""

    batch_id: str
    objects: int
    """Number of objects in the shard when it was made."""
    source: Source

    def to_json(self) -> dict[str, Any]:
        """The shard as JSON types."""
        source = {"type": type(self.source).__name__, **self.source.serialize()}
        return {"batch_id": self.batch_id, "objects": self.objects, "source": source}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Shard:
        """The shard from :meth:`to_json`."""
        fields = dict(values["source"])
        kind: Any = _KINDS[fields.pop("type")]
        return cls(batch_id=values["batch_id"], objects=values["objects"], source=kind.deserialize(fields))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardList:
    """All shards of a source."""

    shards_id: str
    report_prefix: str
    definition: str
    """Identifies the code that made the shards; with another definition, new shards are made."""
    shards: tuple[Shard, ...]

    @property
    def folder(self) -> str:
        """Folder of the list and the report of all shards."""
        return batch_folder(self.report_prefix, self.shards_id)


def make_shards(
    client: CIClient,
    source: Source,
    *,
    shards_id: str,
    max_objects: int = 1_000_000,
    definition: str = "",
    report_prefix: str = "_ci_batches/",
    before_replacing: Callable[[ShardList], object] = lambda unfinished: None,
) -> ShardList:
    """Split a source into shards of at most ``max_objects`` objects, and record them in the bucket.

    Until their report is written, another call returns the same shards, even if the source has changed.

    :param shards_id: names the shards; their batches are called ``<shards_id>/0001`` and so on.
    :param definition: identifies the code that makes the shards; a list of another definition is replaced.
    :param before_replacing: called with a list of another definition whose report is not written; any
        exception from it keeps that list.
    :raises SourceError: the source cannot be read or split.
    """
    folder = batch_folder(report_prefix, shards_id)
    known = read_shards(client, shards_id, report_prefix=report_prefix)
    if known and not has_report(client, folder):
        if known.definition == definition:
            return known
        before_replacing(known)
    # Each attempt has its own folder: two attempts at the same time must not replace each other's copies.
    copies = f"{folder}shards/{uuid.uuid4().hex[:12]}/"
    shards = tuple(
        Shard(batch_id=f"{shards_id}/{number:04}", objects=piece.objects, source=piece.source)
        for number, piece in enumerate(split(client, source, max_objects, copies), start=1)
    )
    made = ShardList(shards_id=shards_id, report_prefix=report_prefix, definition=definition, shards=shards)
    if known:
        # The report is deleted first: a new list beside an older report would count as finished.
        client.delete_object(report_index_key(folder))
        client.delete_object(list_key(folder))
    return _write(client, made)


def read_shards(client: CIClient, shards_id: str, *, report_prefix: str = "_ci_batches/") -> ShardList | None:
    """The recorded shards; None without a record.

    :raises ValueError: a newer version of this package wrote them.
    """
    key = list_key(batch_folder(report_prefix, shards_id))
    content = read_json(client, key)
    if content is None:
        return None
    if content.get("version") != VERSION:
        raise ValueError(f"{key} has version {content.get('version')}; this package reads version {VERSION}")
    return ShardList(
        shards_id=shards_id,
        report_prefix=report_prefix,
        definition=content["definition"],
        shards=tuple(map(Shard.from_json, content["shards"])),
    )


def list_key(folder: str) -> str:
    """Key of the list of shards."""
    return f"{folder}shards.json"


def report_index_key(folder: str) -> str:
    """Key of the report of all shards."""
    return f"{folder}shards-report.json"


def has_report(client: CIClient, folder: str) -> bool:
    """Whether all shards have ended and their report is written."""
    report = read_json(client, report_index_key(folder))
    return bool(report and report.get("is_complete"))


def read_json(client: CIClient, key: str) -> dict[str, Any] | None:
    """The content of an object; None if it does not exist.

    :raises SourceError: it is not a JSON object.
    """
    try:
        content = json.loads(client.read_object(key))
    except NotFoundError as error:
        # A missing bucket must not be taken for a missing record.
        if error.code == "NoSuchBucket":
            raise
        return None
    except ValueError as error:
        raise SourceError(f"{key} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{key} is damaged: it holds no JSON object")
    return content


def put_json(client: CIClient, key: str, content: Mapping[str, Any], *, overwrite: bool = True) -> None:
    """Write an object of JSON."""
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
    client.put_object(key, body, content_type="application/json", overwrite=overwrite)


def _write(client: CIClient, made: ShardList) -> ShardList:
    """Write a list, or return the list of an attempt that was faster."""
    shards: Sequence[Mapping[str, Any]] = [shard.to_json() for shard in made.shards]
    content = {"version": VERSION, "kind": "shards", "definition": made.definition, "shards": shards}
    with suppress(ObjectExistsError):
        put_json(client, list_key(made.folder), content, overwrite=False)
    # The list in the bucket counts: a repeated request may find its own object, and versioned buckets
    # replace objects.
    return read_shards(client, made.shards_id, report_prefix=made.report_prefix) or made
