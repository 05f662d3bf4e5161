"""Objects that a COS Inventory lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from airflow_provider_ci.batch.sources.filters import (
    FilteredSource,
    common_root,
    described_prefixes,
    minimal,
    prefixes,
)
from airflow_provider_ci.batch.sources.inventory_report import InventoryReport
from airflow_provider_ci.batch.sources.source import LeftOut, SourceError
from airflow_provider_ci.client import CIClient, ObjectInfo
from airflow_provider_ci.client.records import checks


@dataclass(frozen=True, slots=True, repr=False)
class Inventory(FilteredSource):
    """The objects that a COS Inventory lists, filtered in the same way as by an ``ObjectSelection``.

    The inventory must have the optional fields ``Size``, ``LastModifiedDate`` and ``ETag``, and
    ``StorageClass`` so that archived objects can be left out. Each part is compared with its checksum before
    any of its rows is used.

    :param prefix: folder of the inventory, such as ``reports/1250000000/examplebucket/daily/``, whose newest
        ``manifest.json`` is read; or the key of one ``manifest.json``.
    :param key_prefix: what the keys of the objects begin with: one prefix or a list, like
        ``ObjectSelection.prefix``.
    :param inventory_bucket: bucket of the inventory, in the region of the client; None for the client's
        bucket.
    :param tags: tags that an object must have; the inventory then needs the field ``Tag``.
    :param metadata: values of ``x-cos-meta-`` headers that an object must have, by the header's name without
        ``x-cos-meta-``; the inventory then needs the fields of these headers.
    :param etag: ETag of the only version of ``manifest.json`` to accept; empty for the current version.
    :param start_part: number of parts to skip.
    :param start_row: number of rows to skip in the first part that is read.
    :param max_rows: maximum number of rows to read; None reads all.
    """

    _: KW_ONLY
    key_prefix: str | Sequence[str] = ""
    inventory_bucket: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    etag: str = ""
    start_part: int = 0
    start_row: int = 0
    max_rows: int | None = None

    def __post_init__(self) -> None:
        self._set("prefix", checks.text(self._name("prefix"), self.prefix))
        if not self.prefix:
            raise ValueError(f"Inventory.prefix is {self.prefix!r}; it names the folder of the inventory")
        self._set("key_prefix", prefixes(self._name("key_prefix"), self.key_prefix))
        self._set("inventory_bucket", checks.text(self._name("inventory_bucket"), self.inventory_bucket))
        self._set("etag", checks.text(self._name("etag"), self.etag) or "")
        for name in ("tags", "metadata"):
            self._set(name, _pairs(self._name(name), getattr(self, name)))
        for name in ("start_part", "start_row"):
            self._set(name, checks.number(self._name(name), getattr(self, name), 0) or 0)
        self._set("max_rows", checks.number(self._name("max_rows"), self.max_rows, 0))
        # Not super(): a dataclass with slots is a new class, which super() without arguments does not find.
        FilteredSource.__post_init__(self)

    def described(self) -> str:
        """Where the source looks, in words that continue the sentence "no object"."""
        where = described_prefixes(self.key_prefix) if self.key_prefix != "" else ""
        return " ".join(
            filter(None, [f"in the inventory {self.prefix!r}", where, *self._filters_described()])
        )

    @property
    def root(self) -> str:
        """The text with which all keys begin."""
        return common_root(self.key_prefix)

    @property
    def listed_prefixes(self) -> tuple[str, ...]:
        """The prefixes of the objects, without prefixes that lie under another prefix."""
        return minimal(self.key_prefix)

    @property
    def identity(self) -> tuple[object, ...]:
        """The folder, the filters and the range, without the newest inventory, which differs between runs."""
        pairs = tuple(tuple(sorted(each.items())) for each in (self.tags, self.metadata))
        places = (self.start_part, self.start_row, self.max_rows)
        return (self.prefix, self.listed_prefixes, *self._filter_identity(), *pairs, *places)

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[ObjectInfo]:
        """The objects in the order of the inventory; one part is fetched at a time.

        :raises SourceError: the inventory or one of its parts is missing or damaged, or a field is missing.
        """
        with self.reader(client) as reader:
            report = self.report(reader, client.bucket)
            taken = self.taken(report, left_out)
            for row in report.rows(reader, self.start_part, self.start_row, self.max_rows):
                if found := taken(row):
                    yield found

    def report(self, reader: CIClient, bucket: str) -> InventoryReport:
        """The report to read.

        :param bucket: bucket of the objects.
        :raises SourceError: the report is missing or damaged, or it lists another bucket.
        """
        report = InventoryReport.find(reader, self.prefix_text, etag=self.etag)
        report.check_bucket(bucket)
        return report

    def taken(
        self, report: InventoryReport, left_out: LeftOut | None = None
    ) -> Callable[[list[str]], ObjectInfo | None]:
        """A function that returns the object of a row, or None if the object is not taken."""
        takes = self.filter(left_out).takes
        under = None if "" in self.listed_prefixes else self.listed_prefixes
        read = report.schema.reader(tags=self.tags, metadata=self.metadata)

        def taken(row: list[str]) -> ObjectInfo | None:
            found = read(row)
            if found and (under is None or found.key.startswith(under)) and takes(found):
                return found
            return None

        return taken

    def reader(self, client: CIClient) -> AbstractContextManager[CIClient]:
        """A client of the bucket in which the inventory lies."""
        if self.inventory_bucket in (None, "", client.bucket):
            return nullcontext(client)
        return client.for_bucket(str(self.inventory_bucket), client.region)

    @property
    def prefix_text(self) -> str:
        """The folder of the inventory.

        :raises SourceError: the prefix is a template that was not rendered, or a list.
        """
        if not isinstance(self.prefix, str):
            raise SourceError(f"Inventory.prefix is {self.prefix!r}, not a text")
        return self.prefix


def _pairs(name: str, value: Any) -> Any:
    if value is None:
        return {}
    if checks.is_template(value):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is a dict such as {{'team': 'sales'}}, not {value!r}")
    return {str(key): checks.text(f"{name}[{key!r}]", each) for key, each in value.items()}
