"""Which objects of the bucket a batch takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, ClassVar

from airflow_provider_ci.batch.sources.unusable import UnusableKey
from airflow_provider_ci.client import CIClient, NotFoundError, ObjectInfo
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import VERSION, Value, restore

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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ObjectSelection(Value):
    """The objects under a prefix, filtered by suffix, size and time of their last change.

    Every field may be an Airflow template. Folder placeholders (keys that end in ``/``) are never taken.

    :param prefix: what the keys begin with; ``""`` is the whole bucket.
    :param suffixes: what the keys end with, compared without regard to case; none given takes all.
    :param modified_after: earliest change, inclusive; a datetime with time zone, or its ISO 8601 text.
    :param modified_before: end of the window, exclusive; as above.
    :param min_size: smallest size in bytes. 0 takes empty objects too, so that they are reported as failed.
    :param max_size: largest size in bytes; ``None`` has no limit.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("prefix",)

    prefix: str = ""
    suffixes: Sequence[str] = ()
    modified_after: datetime | str | None = None
    modified_before: datetime | str | None = None
    min_size: int = 0
    max_size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", checks.text("ObjectSelection.prefix", self.prefix))
        if checks.was_template() and self.prefix is None:
            raise ValueError("ObjectSelection.prefix is None; '' takes the whole bucket")
        object.__setattr__(self, "suffixes", _suffixes(self.suffixes))
        min_size = 0 if self.min_size is None else checks.number("ObjectSelection.min_size", self.min_size, 0)
        max_size = checks.number("ObjectSelection.max_size", self.max_size, 0)
        if isinstance(min_size, int) and isinstance(max_size, int) and max_size < min_size:
            raise ValueError(f"ObjectSelection: min_size {min_size} is more than max_size {max_size}")
        object.__setattr__(self, "min_size", min_size)
        object.__setattr__(self, "max_size", max_size)

    @classmethod
    def deserialize(cls, data: Mapping[str, Any], version: int = VERSION) -> ObjectSelection:
        """The selection from :meth:`serialize`, its bounds as times again."""
        restored = {
            name: _time_of(data[name]) for name in ("modified_after", "modified_before") if name in data
        }
        return restore(cls, {**data, **restored}, version)

    def described(self) -> str:
        """Where it looks, in words that follow "no object"."""
        first, rest = self.suffixes[:5], len(self.suffixes) - 5
        named = ", ".join(first) + (f" and {rest} more" if rest > 0 else "")
        parts = [
            f"under {self.prefix!r}",
            f"with suffixes {named}" if first else "",
            f"modified from {self.modified_after}" if self.modified_after else "",
            f"modified before {self.modified_before}" if self.modified_before else "",
        ]
        return " ".join(filter(None, parts))

    @property
    def identity(self) -> tuple[object, ...]:
        """The prefix and the suffixes; the bounds of time and size can differ at each rendering."""
        return self.prefix, frozenset(suffix.lower() for suffix in self.suffixes)

    def objects(self, client: CIClient) -> Iterator[ObjectInfo]:
        """The selected objects in key order, listed page by page as they are taken.

        :raises ValueError: the prefix is not text, a bound of the window not a time, or the window empty.
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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ObjectKeys(Value):
    """Objects that are named one by one, for example by an upstream task."""

    keys: Sequence[str]

    prefix = ""

    @property
    def identity(self) -> tuple[object, ...]:
        """The keys, in any order."""
        return (frozenset(self.keys),)

    def __post_init__(self) -> None:
        if not checks.is_template(self.keys):
            object.__setattr__(self, "keys", tuple(_flat(self.keys)))

    def described(self) -> str:
        """Where it looks, in words that follow "no object"."""
        return "in the list of keys"

    def objects(self, client: CIClient, *, threads: int = 32) -> Iterator[ObjectInfo | UnusableKey]:
        """The named objects in the given order, each once.

        A key without an object, or a key that no object can have, becomes an :class:`UnusableKey`: only this
        key fails, without a job.

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


def as_source(source: Any) -> Any:
    """A source as it is, or a list of keys made into one."""
    if isinstance(source, Value) and hasattr(source, "objects"):
        return source
    return ObjectKeys(keys=source)


def _flat(keys: Any) -> Iterator[str]:
    """The keys of a list, of a list of lists (what mapped tasks return), and so on."""
    if isinstance(keys, (set, frozenset)):
        keys = sorted(keys)
    if isinstance(keys, (str, bytes, Mapping)) or not isinstance(keys, Iterable):
        raise ValueError(f"source is an ObjectSelection or a list of object keys, not {_kind(keys)}")
    for key in keys:
        if isinstance(key, str) or checks.is_template(key):
            yield key
        else:
            yield from _flat(key)


def _kind(keys: Any) -> str:
    return f"the string {keys!r}" if isinstance(keys, str) else repr(keys)


def _suffixes(suffixes: Any) -> Any:
    """The suffixes as a tuple; a rendered template leaves them as a text with commas."""
    if suffixes is None:
        return ()
    if checks.is_template(suffixes):
        return suffixes
    if isinstance(suffixes, str):
        if not checks.was_template():
            raise ValueError(
                f"ObjectSelection.suffixes is a sequence of strings, not the string {suffixes!r}"
            )
        suffixes = [part.strip(" '\"") for part in suffixes.strip(" []()").split(",")]
        suffixes = [part for part in suffixes if part]
    found = sorted(suffixes) if isinstance(suffixes, (set, frozenset)) else tuple(suffixes)
    for suffix in found:
        if not isinstance(suffix, str) and not checks.is_template(suffix):
            raise ValueError(f"ObjectSelection.suffixes holds {suffix!r}, not a text such as '.docx'")
    return tuple(found)


def _time_of(text: Any) -> Any:
    """A time that :func:`datetime.isoformat` wrote; every other text as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    return moment if moment.isoformat() == text else text


def _moment(name: str, value: datetime | str | None) -> datetime | None:
    """A bound of the window.

    An empty text does not mean "no bound". A template renders to it in a run without such a moment, and the
    whole bucket would be selected.
    """
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(
            f"ObjectSelection.{name} is {value!r}, not a time such as '2026-11-21T00:00:00+00:00'"
        ) from None
    if not isinstance(moment, datetime):
        raise ValueError(f"ObjectSelection.{name} is {value!r}, not a time")
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
