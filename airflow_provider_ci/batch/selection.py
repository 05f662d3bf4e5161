"""Which objects of the bucket a batch takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from airflow_provider_ci.batch.sources.unusable import UnusableKey
from airflow_provider_ci.client import CIClient, NotFoundError, ObjectInfo

_KEYS_AT_A_TIME = 1000

SHEET_SUFFIXES = (
    *(".csv", ".xls", ".xlsb", ".xlsm", ".xlsx", ".xlt", ".xltm", ".xltx"),
    *(".et", ".ets", ".ett"),
)
"""Spreadsheets that the service documents. Where they become pictures, the output needs ``${SheetID}``."""

PAGE_SUFFIXES = (
    *(".doc", ".docm", ".docx", ".dot", ".dotm", ".dotx", ".rtf", ".txt", ".wps", ".wpt"),
    *(".dps", ".dpt", ".pot", ".potm", ".potx", ".pps", ".ppsm", ".ppsx", ".ppt", ".pptm", ".pptx"),
    *(".htm", ".html", ".pdf"),
)
"""Texts and slides that the service documents: documents with pages and without sheets."""

DOCUMENT_SUFFIXES = (*PAGE_SUFFIXES, *SHEET_SUFFIXES)
"""Document types that data engineers meet, all of them documented (CreateDocProcessJobs,
document/product/1045/47932). That page also lists source code and log files."""

PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
"""Picture types that ``imageMogr2`` rules read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSelection:
    """The objects under a prefix, filtered by suffix, size and time of their last change.

    Every string may be an Airflow template. Folder placeholders (keys that end in ``/``) are never taken.

    :param prefix: what the keys begin with; ``""`` is the whole bucket.
    :param suffixes: what the keys end with, compared without regard to case; none given takes all.
    :param modified_after: earliest change, inclusive; a datetime with time zone, or its ISO 8601 text.
    :param modified_before: end of the window, exclusive; as above.
    :param min_size: smallest size in bytes. 0 takes empty objects too, so that they are reported as failed.
    :param max_size: largest size in bytes; ``None`` has no limit.
    """

    prefix: str = ""
    suffixes: Sequence[str] = ()
    modified_after: datetime | str | None = None
    modified_before: datetime | str | None = None
    min_size: int = 0
    max_size: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.suffixes, str):
            raise ValueError(
                f"ObjectSelection.suffixes is a sequence of strings, not the string {self.suffixes!r}"
            )
        if self.min_size < 0 or (self.max_size is not None and self.max_size < self.min_size):
            raise ValueError(f"ObjectSelection: sizes must be 0 <= {self.min_size=} <= {self.max_size=}")

    @property
    def identity(self) -> tuple[object, ...]:
        """The prefix and the suffixes; the bounds of time and size can differ at each rendering."""
        return self.prefix, frozenset(suffix.lower() for suffix in self.suffixes)

    def objects(self, client: CIClient) -> Iterator[ObjectInfo]:
        """The selected objects in key order, listed page by page as they are taken.

        :raises ValueError: the prefix is not text, a bound of the window is not a time, or the window is
            empty.
        """
        if not isinstance(self.prefix, str):
            raise ValueError(f"ObjectSelection.prefix is {self.prefix!r}, not a text")
        after = _moment("modified_after", self.modified_after)
        before = _moment("modified_before", self.modified_before)
        if after and before and after >= before:
            raise ValueError(
                f"ObjectSelection: no object can be modified after {after} and before {before}. In Airflow 3 "
                "the data interval of a cron schedule is empty; CronDataIntervalTimetable has one"
            )
        suffixes = tuple(suffix.lower() for suffix in self.suffixes)
        for found in client.list_objects(self.prefix):
            if (
                not found.key.endswith("/")
                and (not suffixes or found.key.lower().endswith(suffixes))
                and found.size >= self.min_size
                and (self.max_size is None or found.size <= self.max_size)
                and (after is None or found.last_modified >= after)
                and (before is None or found.last_modified < before)
            ):
                yield found


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKeys:
    """Objects that are named one by one, for example by an upstream task."""

    keys: Sequence[str]

    prefix = ""

    @property
    def identity(self) -> tuple[object, ...]:
        """The keys, in any order."""
        return (frozenset(self.keys),)

    def __post_init__(self) -> None:
        if isinstance(self.keys, str):
            raise ValueError(f"ObjectKeys.keys is a sequence of keys, not the string {self.keys!r}")

    def objects(self, client: CIClient, *, threads: int = 32) -> Iterator[ObjectInfo | UnusableKey]:
        """The named objects in the given order, each once.

        A key without an object, or one that no object can have, comes as an :class:`UnusableKey`: it fails
        alone, without a job.

        :param threads: maximum number of HEAD requests at the same time.
        """
        keys = list(dict.fromkeys(self.keys))
        with ThreadPoolExecutor(min(threads, len(keys)) or 1, "ci-keys") as executor:
            for start in range(0, len(keys), _KEYS_AT_A_TIME):
                yield from executor.map(partial(_head, client), keys[start : start + _KEYS_AT_A_TIME])


def _head(client: CIClient, key: str) -> ObjectInfo | UnusableKey:
    try:
        return client.head_object(key)
    except NotFoundError as error:
        if error.code == "NoSuchBucket":
            raise
        return UnusableKey(key=key, code="NoSuchKey", message=f"the bucket has no object {key!r}")
    except ValueError as error:  # the client refuses a key that no object can have
        return UnusableKey(key=key, code="InvalidObjectName", message=str(error))


def as_source(source: ObjectSelection | ObjectKeys | Iterable[str]) -> ObjectSelection | ObjectKeys:
    """A selection as it is, or a list of keys made into one."""
    if isinstance(source, (ObjectSelection, ObjectKeys)):
        return source
    if isinstance(source, str):
        raise ValueError(f"source is an ObjectSelection or a list of object keys, not the string {source!r}")
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise ValueError(f"source is an ObjectSelection or a list of object keys, not {source!r}")
    return ObjectKeys(keys=tuple(source))


def _moment(name: str, value: datetime | str | None) -> datetime | None:
    """A bound of the window.

    An empty text is no absent bound: it is what is left of the template of a run that has no such moment, and
    would take in the whole bucket.
    """
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(
            f"ObjectSelection.{name} is {value!r}, not a time such as '2026-11-21T00:00:00+00:00'"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
