"""The report of a COS Inventory: ``manifest.json``, and the gzipped CSV parts that it names.

Source: tencentcloud.com document/product/436/30622 and 46869. The parts have no header line, because
``fileSchema`` of the manifest names the fields; keys are percent-encoded.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from airflow_provider_ci.batch.sources.files import fetched, md5_of, opened
from airflow_provider_ci.batch.sources.source import SourceError
from airflow_provider_ci.client import CIClient, NotFoundError, ObjectInfo
from airflow_provider_ci.client.http.address import unquoted
from airflow_provider_ci.client.wire import nodes

MANIFEST = "manifest.json"
CHECKSUM = "manifest.checksum"
_META = "x-cos-meta-"
_NEEDED = {"key": "Key", "size": "Size", "lastmodifieddate": "LastModifiedDate", "etag": "ETag"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryPart:
    """A gzipped CSV file of the report."""

    key: str
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InventorySchema:
    """The fields of each row, in lower case and in their order."""

    report: str
    """Key of the manifest, for messages."""
    fields: tuple[str, ...]

    def reader(
        self, *, tags: Mapping[str, str], metadata: Mapping[str, str]
    ) -> Callable[[list[str]], ObjectInfo | None]:
        """A function that returns the object of a row; None for old versions, or if tags or metadata differ.

        :raises SourceError: the inventory lacks a field.
        """
        for name, shown in _NEEDED.items():
            self._index(name, shown)
        conditions = list(self._conditions(tags, metadata))
        key, size, modified, etag = map(self.fields.index, _NEEDED)
        storage = self.fields.index("storageclass") if "storageclass" in self.fields else None

        def read(row: list[str]) -> ObjectInfo | None:
            if conditions and not all(holds(row[index]) for index, holds in conditions):
                return None
            storage_class = row[storage].upper() if storage is not None else ""
            try:
                return ObjectInfo(
                    unquoted(row[key]),
                    int(row[size]),
                    row[etag].strip('"'),
                    nodes.parse_time(row[modified]),
                    storage_class or "STANDARD",
                )
            except ValueError as error:
                raise SourceError(f"{self.report}: cannot read the row {row}: {error}") from error

        return read

    def _conditions(
        self, tags: Mapping[str, str], metadata: Mapping[str, str]
    ) -> Iterator[tuple[int, Callable[[str], bool]]]:
        # An inventory of all versions also has rows for old versions and for delete markers.
        if "islatest" in self.fields:
            yield self.fields.index("islatest"), _is_true
        if "isdeletemarker" in self.fields:
            yield self.fields.index("isdeletemarker"), lambda cell: not _is_true(cell)
        if tags:
            # The cell holds tags in the form of a query string: "team=sales&year=2026".
            yield self._index("tag", "Tag"), lambda cell: tags.items() <= dict(parse_qsl(cell)).items()
        for name, value in metadata.items():
            full = _META + name.lower().removeprefix(_META)
            yield self._index(full, full), value.__eq__

    def _index(self, name: str, shown: str) -> int:
        if name not in self.fields:
            raise SourceError(
                f"the inventory {self.report} lacks the field {shown}: add it to the optional fields of the "
                "inventory, and use the next report"
            )
        return self.fields.index(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryReport:
    """One report of an inventory."""

    key: str
    etag: str
    appid: str
    bucket: str
    """Source bucket, without the APPID."""
    schema: InventorySchema
    parts: tuple[InventoryPart, ...]

    @classmethod
    def find(cls, client: CIClient, prefix: str, *, etag: str = "") -> InventoryReport:
        """Read the newest ``manifest.json`` under a prefix, or the ``manifest.json`` at this key.

        :raises SourceError: the manifest is missing, is damaged or has changed, or several inventories lie
            under the prefix.
        """
        key = prefix if prefix.rpartition("/")[2] == MANIFEST else _newest(client, prefix)
        with fetched(client, key) as file:
            if etag and file.etag != etag:
                raise SourceError(f"{key} has changed: its ETag is {file.etag}, not {etag}")
            _check_md5(key, md5_of(file.path), _checksum(client, key))
            return _report(key, file.etag, file.path.read_bytes())

    def check_bucket(self, bucket: str) -> None:
        """Refuse the inventory of another bucket.

        :raises SourceError: this is the inventory of another bucket.
        """
        listed = f"{self.bucket}-{self.appid}" if self.appid else self.bucket
        if bucket not in (listed, self.bucket):
            raise SourceError(
                f"{self.key} is an inventory of the bucket {listed}, the batch works on {bucket}"
            )

    def rows(
        self, client: CIClient, start_part: int = 0, start_row: int = 0, max_rows: int | None = None
    ) -> Iterator[list[str]]:
        """The rows of the parts, in their order.

        :param start_part: number of parts to skip.
        :param start_row: number of rows to skip in the first part that is read.
        :param max_rows: maximum number of rows to read; None reads all.
        """
        left, skipped = max_rows, start_row
        for part in self.parts[start_part:]:
            if left == 0:
                return
            taken = 0
            for row in self.part_rows(client, part, skipped, left):
                taken += 1
                yield row
            skipped = 0
            left = None if left is None else left - taken

    def part_rows(
        self, client: CIClient, part: InventoryPart, start: int = 0, count: int | None = None
    ) -> Iterator[list[str]]:
        """The rows of a part.

        :raises SourceError: the part is missing, differs from its checksum, or has rows with other fields.
        """
        width = len(self.schema.fields)
        with fetched(client, part.key) as file:
            # Check before the first row: a damaged part must not lead to jobs for half of its objects.
            _check_md5(part.key, md5_of(file.path), part.md5)
            with opened(file) as content:
                rows = csv.reader(io.TextIOWrapper(content, "utf-8", newline=""))
                end = None if count is None else start + count
                try:
                    for row in islice(rows, start, end):
                        if len(row) != width:
                            # A SourceError is a ValueError: the handler below adds the place.
                            raise SourceError(f"has {len(row)} fields, the manifest names {width}")
                        yield row
                except (ValueError, csv.Error) as error:
                    raise SourceError(f"{part.key}, line {rows.line_num}: {error}") from error


def _newest(client: CIClient, prefix: str) -> str:
    found = [each for each in client.list_objects(prefix) if each.key.rpartition("/")[2] == MANIFEST]
    if not found:
        raise SourceError(f"there is no inventory under {prefix!r}: no object there is called {MANIFEST}")
    inventories = sorted({_inventory_of(each.key) for each in found})
    if len(inventories) > 1:
        named = ", ".join(inventories[:5])
        raise SourceError(f"several inventories lie under {prefix!r}: {named}; name the folder of one")
    return max(found, key=lambda each: (each.last_modified, each.key)).key


def _inventory_of(key: str) -> str:
    """Folder of the inventory to which a manifest belongs."""
    # <folder of the inventory>/<date>/manifest.json
    return "/".join(key.split("/")[:-2]) + "/"


def _checksum(client: CIClient, key: str) -> str:
    """The content of ``manifest.checksum``; empty if the file is missing, as in a copy of the report."""
    try:
        return client.read_object(key.removesuffix(MANIFEST) + CHECKSUM).decode("ascii", "replace").strip()
    except NotFoundError:
        return ""


def _check_md5(key: str, found: str, expected: str) -> None:
    if expected and found != expected.lower():
        raise SourceError(f"{key} is damaged: its MD5 is {found}, the inventory says {expected}")


def _report(key: str, etag: str, body: bytes) -> InventoryReport:
    try:
        content = json.loads(body)
        file_format = str(content["fileFormat"])
        report = InventoryReport(
            key=key,
            etag=etag,
            appid=str(content.get("sourceAppid") or ""),
            bucket=str(content["sourceBucket"]),
            schema=InventorySchema(
                report=key,
                fields=tuple(name.strip().lower() for name in content["fileSchema"].split(",")),
            ),
            parts=tuple(_part(each) for each in content["files"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{key} is not the manifest of an inventory: {error!r}") from error
    if file_format.upper() != "CSV":
        raise SourceError(f"{key} describes files of format {file_format}; this package reads CSV")
    return report


def _part(entry: Mapping[str, Any]) -> InventoryPart:
    lower = {name.lower(): value for name, value in entry.items()}
    return InventoryPart(key=str(lower["key"]), md5=str(lower["md5checksum"]))


def _is_true(cell: str) -> bool:
    return cell.strip().lower() == "true"
