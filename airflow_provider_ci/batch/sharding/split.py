"""Splits a source into disjoint shards, each a source of its own."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from airflow_provider_ci.batch.sources.inventory import Inventory
from airflow_provider_ci.batch.sources.inventory_report import InventoryReport
from airflow_provider_ci.batch.sources.manifest import Manifest
from airflow_provider_ci.batch.sources.manifest_rows import LINE, PROBLEM
from airflow_provider_ci.batch.sources.selection import ObjectKeys, ObjectSelection
from airflow_provider_ci.batch.sources.source import Source, SourceError, UnusableKey
from airflow_provider_ci.client import CIClient

_LISTINGS = 16
"""Maximum number of folders that are listed at the same time."""
_LEVELS = 3
"""Maximum number of folder levels that are searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a source: a source of its own, and its number of objects when it was made."""

    source: Source
    objects: int


def split(client: CIClient, source: Source, max_objects: int, folder: str) -> Iterator[Piece]:
    """The shards of a source, in the order of the source, each with at most ``max_objects`` objects.

    A listing is split into ranges of keys, and an inventory into ranges of rows of one report. The rows of a
    manifest are copied, because it may change or lie where other machines cannot read it.

    :param folder: folder for the copies; no other attempt at the split may use it.
    :raises SourceError: the source cannot be read or split.
    """
    if max_objects < 1:
        raise SourceError(f"max_objects must be at least 1, not {max_objects}")
    if isinstance(source, ObjectSelection):
        return _ranges(client, source, max_objects)
    if isinstance(source, Inventory):
        return _row_ranges(client, source, max_objects)
    if isinstance(source, (Manifest, ObjectKeys)):
        return _copies(client, source, max_objects, folder)
    raise SourceError(
        f"{type(source).__name__} cannot be split into shards: give an ObjectSelection, an Inventory, a "
        "Manifest or a list of keys"
    )


# Listings: ranges of keys


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A number of neighbouring objects, up to and including the key ``last``."""

    last: str
    objects: int


def _ranges(client: CIClient, source: ObjectSelection, max_objects: int) -> Iterator[Piece]:
    """Ranges of keys without gaps, so that an object that is added later lies in exactly one of them."""
    start, held = source.start_after, _Stretch(source.start_after, 0)
    for stretch in _stretches(client, source, max_objects):
        if held.objects and held.objects + stretch.objects > max_objects:
            yield Piece(source=replace(source, start_after=start, end_at=held.last), objects=held.objects)
            start, held = held.last, stretch
        else:
            held = _Stretch(stretch.last, held.objects + stretch.objects)
    if held.objects:
        # The last range keeps the end of the source: objects that are added after its last key belong to it.
        yield Piece(source=replace(source, start_after=start), objects=held.objects)


def _stretches(client: CIClient, source: ObjectSelection, max_objects: int) -> Iterator[_Stretch]:
    """Stretches of at most ``max_objects`` objects, in key order; several folders are listed at once."""
    folders = _folders(client, source)
    # The folders only divide the work: objects between two of them belong to the range before.
    bounds = zip([source.start_after, *folders], [*folders, source.end_at], strict=True)
    ranges = [replace(source, start_after=start, end_at=end) for start, end in bounds]
    with ThreadPoolExecutor(_LISTINGS, "ci-shards") as executor:
        for found in executor.map(lambda each: _of_range(client, each, max_objects), ranges):
            yield from found


def _folders(client: CIClient, source: ObjectSelection) -> list[str]:
    """Some folders of the selection, in key order; if possible, enough to keep all listing threads busy.

    A level with more names than fit on one page is not divided: finding its folders would take as long as
    listing it.
    """
    found: set[str] = set()
    level = list(source.listed_prefixes)
    for _ in range(_LEVELS):
        pages = [client.list_objects_page(prefix, delimiter="/") for prefix in level]
        level = [each for page in pages if page.next_marker is None for each in page.common_prefixes]
        found.update(level)
        if not level or len(found) >= _LISTINGS:
            break
    last = source.end_at
    return sorted(each for each in found if each > source.start_after and (last is None or each < last))


def _of_range(client: CIClient, source: ObjectSelection, max_objects: int) -> list[_Stretch]:
    found: list[_Stretch] = []
    objects, last = 0, ""
    for each in source.objects(client):
        objects, last = objects + 1, each.key
        if objects == max_objects:
            found.append(_Stretch(last, objects))
            objects = 0
    if objects:
        found.append(_Stretch(last, objects))
    return found


# Inventories: ranges of rows


def _row_ranges(client: CIClient, source: Inventory, max_objects: int) -> Iterator[Piece]:
    """Ranges of rows of the report that is the newest now."""
    with source.reader(client) as reader:
        report = source.report(reader, client.bucket)
        # All shards read this report: a newer report would have different rows.
        pinned = replace(source, prefix=report.key, etag=report.etag)
        taken = source.taken(report)
        start, rows, objects = (source.start_part, source.start_row), 0, 0
        for part, number, row in _rows(reader, source, report):
            is_taken = taken(row) is not None
            if is_taken and objects == max_objects:
                yield _of_rows(pinned, start, rows, objects)
                start, rows, objects = (part, number), 0, 0
            # The range of a shard counts all rows, including rows of objects that are not taken.
            rows += 1
            objects += is_taken
        if objects:
            yield _of_rows(pinned, start, rows, objects)


def _rows(
    reader: CIClient, source: Inventory, report: InventoryReport
) -> Iterator[tuple[int, int, list[str]]]:
    """The rows of an inventory, each with the number of its part and its number in the part, both from 0."""
    skipped, left = source.start_row, source.max_rows
    for part in range(source.start_part, len(report.parts)):
        found = report.part_rows(reader, report.parts[part], skipped, left)
        for number, row in enumerate(found, start=skipped):
            left = None if left is None else left - 1
            yield part, number, row
        skipped = 0
        if left == 0:
            return


def _of_rows(source: Inventory, start: tuple[int, int], rows: int, objects: int) -> Piece:
    part, row = start
    return Piece(source=replace(source, start_part=part, start_row=row, max_rows=rows), objects=objects)


# Manifests and lists of keys: copies


def _copies(
    client: CIClient, source: Manifest | ObjectKeys, max_objects: int, folder: str
) -> Iterator[Piece]:
    lines = _lines_of_manifest(client, source) if isinstance(source, Manifest) else _lines_of_keys(source)
    name = source.key if isinstance(source, Manifest) else "the list of keys"
    number = 0
    # An islice is always truthy, so the loop ends when the next copy would be empty.
    while chunk := islice(lines, max_objects):
        number += 1
        key = f"{folder}{number:06}.jsonl.gz"
        count, etag = _write(client, key, chunk)
        if not count:
            return
        yield Piece(source=Manifest(key, etag=etag, original=name), objects=count)


def _write(client: CIClient, key: str, lines: Iterable[Mapping[str, Any]]) -> tuple[int, str]:
    """Write a copy if there are lines; return the number of lines and the ETag of the copy."""
    count = 0
    # Written to disk first, because a shard of a million rows is too large for the memory of a small worker.
    with tempfile.TemporaryDirectory(prefix="ci-shard-") as place:
        path = Path(place) / "part.jsonl.gz"
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as file:
            for line in lines:
                count += 1
                file.write(f"{json.dumps(line)}\n")
        etag = client.put_object(key, path).etag if count else ""
    return count, etag


def _lines_of_manifest(client: CIClient, source: Manifest) -> Iterator[Mapping[str, Any]]:
    """The rows as they are in the file, without repetitions, each with its line number and its problem."""
    for raw, row in source.checked_rows(client):
        problem = {PROBLEM: row.message.partition(": ")[2]} if isinstance(row, UnusableKey) else {}
        yield {LINE: raw.line, **raw.cells, **problem}


def _lines_of_keys(source: ObjectKeys) -> Iterator[Mapping[str, Any]]:
    for number, key in enumerate(dict.fromkeys(source.keys), start=1):
        yield {LINE: number, "key": key}
