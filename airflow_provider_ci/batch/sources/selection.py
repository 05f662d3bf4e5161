"""Selects the objects of the bucket that a batch processes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import islice
from os.path import commonprefix
from typing import Any

from airflow_provider_ci.batch.sources.filters import (
    FilteredSource,
    common_root,
    described_prefixes,
    minimal,
    prefixes,
)
from airflow_provider_ci.batch.sources.source import LeftOut, Source, UnusableKey
from airflow_provider_ci.client import CIClient, NotFoundError, ObjectInfo
from airflow_provider_ci.client.records import checks

_KEYS_AT_A_TIME = 1000
_ODD_KEYS = {
    r"^[a-z][a-z0-9]*://": "name the key alone, without the address of the bucket",
    r"^/": "keys seldom begin with a slash",
    r"^\s|\s$": "the key begins or ends with a space",
    r"%[0-9A-Fa-f]{2}": "keys are written as they are, without percent-encoding",
    r"\\": "folders are separated by /",
}
"""A hint for each pattern of an unusual key."""

SHEET_SUFFIXES = (
    *(".csv", ".xls", ".xlsb", ".xlsm", ".xlsx", ".xlt", ".xltm", ".xltx"),
    *(".et", ".ets", ".ett"),
)
"""Spreadsheet formats listed in the service's documentation. If a batch converts them to pictures, the output
template needs ``${SheetID}``."""

PAGE_SUFFIXES = (
    *(".doc", ".docm", ".docx", ".dot", ".dotm", ".dotx", ".rtf", ".txt", ".wps", ".wpt"),
    *(".dps", ".dpt", ".pot", ".potm", ".potx", ".pps", ".ppsm", ".ppsx", ".ppt", ".pptm", ".pptx"),
    *(".htm", ".html", ".pdf"),
)
"""Text and slide formats listed in the service's documentation: they have pages and no sheets."""

DOCUMENT_SUFFIXES = (*PAGE_SUFFIXES, *SHEET_SUFFIXES)
"""Common document formats, all listed in the service's documentation (CreateDocProcessJobs,
document/product/1045/47932). That page also lists source code and log files."""

PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
"""Picture types that ``imageMogr2`` rules read."""


@dataclass(frozen=True, slots=True, repr=False)
class ObjectSelection(FilteredSource):
    """The objects under one or several prefixes, filtered by name, storage class, size and time.

    Every field may be an Airflow template. Folder placeholders (keys that end in ``/``) are never taken.

    :param prefix: what the keys begin with; ``""`` for the whole bucket. A list takes the objects under each
        of its prefixes, each object once; an empty list takes none. ``{dir}`` then leaves out the common
        beginning of all prefixes.
    :param suffixes: what the keys end with, in upper or lower case; empty for all keys.
    :param include: patterns such as ``*.docx`` or ``**/2026-*/report?.pdf``; a key has to match one of them,
        see :class:`~airflow_provider_ci.batch.sources.filters.Globs`.
    :param exclude: patterns of keys that are left out.
    :param storage_classes: which storage classes to take. None takes all except ``ARCHIVE`` and
        ``DEEP_ARCHIVE``, which the service cannot read; the summary counts the archived objects. Name these
        classes to take objects that were restored.
    :param modified_after: earliest change, inclusive; a datetime with time zone, or its ISO 8601 text.
    :param modified_before: end of the window, exclusive; a datetime or text as in ``modified_after``.
    :param min_size: smallest size in bytes. 0 takes empty objects too, so that they are reported as failed.
    :param max_size: largest size in bytes; ``None`` for no limit.
    :param start_after: only keys after this one.
    :param end_at: only keys up to this one, inclusive.
    """

    _: KW_ONLY
    start_after: str = ""
    end_at: str | None = None

    def __post_init__(self) -> None:
        self._set("prefix", prefixes(self._name("prefix"), self.prefix))
        self._set("start_after", checks.text(self._name("start_after"), self.start_after) or "")
        self._set("end_at", checks.text(self._name("end_at"), self.end_at))
        # Not super(): a dataclass with slots is a new class, which super() without arguments does not find.
        FilteredSource.__post_init__(self)

    def described(self) -> str:
        """Where the source looks, in words that continue the sentence "no object"."""
        bounds = [
            f"after {self.start_after!r}" if self.start_after else "",
            f"up to {self.end_at!r}" if self.end_at is not None else "",
        ]
        return " ".join(filter(None, [described_prefixes(self.prefix), *bounds, *self._filters_described()]))

    @property
    def root(self) -> str:
        """The text with which all keys begin."""
        return common_root(self.prefix)

    @property
    def listed_prefixes(self) -> tuple[str, ...]:
        """The prefixes, without prefixes that lie under another prefix."""
        return minimal(self.prefix)

    @property
    def identity(self) -> tuple[object, ...]:
        """The prefix and the filters, without the bounds of time and size, which vary between renderings."""
        # For one prefix without bounds, the identity is as it was before several prefixes and bounds existed,
        # so that plans frozen before that still belong to this source.
        prefix = self.prefix if isinstance(self.prefix, str) else self.listed_prefixes
        bounds = (self.start_after, self.end_at) if self.start_after or self.end_at is not None else ()
        return (prefix, *self._filter_identity(), *bounds)

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[ObjectInfo]:
        """The selected objects in key order; pages are listed while the caller iterates.

        :raises ValueError: the prefix is not a text, a bound of the window is not a time, or the window is
            empty.
        """
        if self.prefix is None:
            raise ValueError("ObjectSelection.prefix is None, not a text")
        takes = self.filter(left_out).takes
        for found in self.listed(client):
            if takes(found):
                yield found

    def listed(self, client: CIClient) -> Iterator[ObjectInfo]:
        """All objects under the prefixes, in key order, from ``start_after`` to ``end_at``."""
        for prefix in self.listed_prefixes:
            if prefix < self.start_after[: len(prefix)]:  # all of its keys lie before the range
                continue
            if self.end_at is not None and prefix > self.end_at:
                return
            for found in client.list_objects(prefix, start_after=self.start_after):
                if self.end_at is not None and found.key > self.end_at:
                    return
                yield found


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ObjectKeys(Source):
    """Objects that are named one by one, for example by an upstream task."""

    keys: Sequence[str]

    @property
    def folder(self) -> str:
        """The folder that all keys lie in."""
        common = commonprefix(list(self.keys))  # noqa: RUF071 the folder is cut from it
        return common[: common.rfind("/") + 1]

    @property
    def identity(self) -> tuple[object, ...]:
        """The keys, regardless of their order."""
        return (frozenset(self.keys),)

    def __post_init__(self) -> None:
        if not checks.is_template(self.keys):
            object.__setattr__(self, "keys", tuple(_flat(self.keys)))

    def described(self) -> str:
        """Where the source looks, in words that continue the sentence "no object"."""
        return "in the list of keys"

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[ObjectInfo | UnusableKey]:
        """The named objects in the given order, each once.

        A key without an object, or a key that no object can have, becomes an :class:`UnusableKey`: only this
        key fails, without a job.
        """
        # A key that is named twice must not get two jobs.
        keys = dict.fromkeys(self.keys)
        return heads(client, keys, threads=min(threads, len(keys)))


def heads(client: CIClient, keys: Iterable[str], *, threads: int) -> Iterator[ObjectInfo | UnusableKey]:
    """The facts about each key's object, in the order of the keys, or the reason why there is no object.

    :param threads: maximum number of HEAD requests at the same time.
    """
    remaining = iter(keys)
    with ThreadPoolExecutor(threads or 1, "ci-keys") as executor:
        # map() reads all of its input at once, and keeps all results until they are taken.
        while chunk := list(islice(remaining, _KEYS_AT_A_TIME)):
            yield from executor.map(partial(head, client), chunk)


def head(client: CIClient, key: str) -> ObjectInfo | UnusableKey:
    """The facts about a key's object, or the reason why there is no object."""
    try:
        return client.head_object(key)
    except NotFoundError as error:
        # A missing bucket would be an error for every key, and says nothing about this one.
        if error.code == "NoSuchBucket":
            raise
        message = f"the bucket has no object {key!r}{_hint(key)}"
        return UnusableKey(key=key, code="NoSuchKey", message=message)
    except ValueError as error:  # the client refuses a key that no object can have
        return UnusableKey(key=key, code="InvalidObjectName", message=str(error))


def _hint(key: str) -> str:
    """What may be wrong with a key that no object has."""
    for pattern, hint in _ODD_KEYS.items():
        if re.search(pattern, key):
            return f"; {hint}"
    return ""


def as_source(source: Source | Iterable[str]) -> Source:
    """Return a source as it is, or make a source from a list of keys."""
    if isinstance(source, Source):
        return source
    return ObjectKeys(keys=source)  # type: ignore[arg-type] # it takes every iterable


def _flat(keys: Any) -> Iterator[str]:
    """The keys of a list, of a list of lists (what mapped tasks return), and so on."""
    keys = checks.as_written(keys)
    if isinstance(keys, (set, frozenset)):
        # A set has a different order in each process, which would change the stored DAG at each parse.
        keys = sorted(keys)
    if isinstance(keys, (str, bytes, Mapping)) or not isinstance(keys, Iterable):
        raise ValueError(f"source is an ObjectSelection or a list of object keys, not {_kind(keys)}")
    for key in keys:
        if isinstance(key, str) or checks.is_template(key):
            yield key
        else:
            yield from _flat(key)


def _kind(keys: Any) -> str:
    if keys is None:
        return "None: the task that should return it was skipped, or returned nothing"
    return f"the string {keys!r}" if isinstance(keys, str) else repr(keys)
