"""Filters of the objects under a prefix: by suffix, glob, storage class, size and time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime, timezone
from os.path import commonprefix
from typing import Any, ClassVar, TypeVar

from airflow_provider_ci.batch.sources.source import LeftOut, Source
from airflow_provider_ci.client import ObjectInfo
from airflow_provider_ci.client.records import checks
from airflow_provider_ci.client.records.values import VERSION, restore

F = TypeVar("F", bound="FilteredSource")

ARCHIVED = frozenset({"ARCHIVE", "DEEP_ARCHIVE"})
"""Storage classes whose objects have to be restored before they can be read (436/30925)."""

_CLASS = re.compile(r"[A-Z][A-Z0-9_]*")
_WILDCARD = re.compile(r"\*\*/|\*+|\?")
_MEANING = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, slots=True, repr=False)
class FilteredSource(Source):
    """Base of the sources that find objects and filter them.

    The parameters are described in :class:`ObjectSelection`.
    """

    always_shown: ClassVar[tuple[str, ...]] = ("prefix",)

    prefix: str | Sequence[str] = ""
    _: KW_ONLY
    suffixes: Sequence[str] = ()
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    storage_classes: Sequence[str] | None = None
    modified_after: datetime | str | None = None
    modified_before: datetime | str | None = None
    min_size: int = 0
    max_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("suffixes", "include", "exclude"):
            self._set(name, texts(self._name(name), getattr(self, name)))
        if self.storage_classes is not None:
            self._set("storage_classes", _classes(self._name("storage_classes"), self.storage_classes))
        min_size = 0 if self.min_size is None else checks.number(self._name("min_size"), self.min_size, 0)
        max_size = checks.number(self._name("max_size"), self.max_size, 0)
        if isinstance(min_size, int) and isinstance(max_size, int) and max_size < min_size:
            raise ValueError(f"{self._name()}: min_size {min_size} is more than max_size {max_size}")
        self._set("min_size", min_size)
        self._set("max_size", max_size)

    @classmethod
    def deserialize(cls: type[F], data: Mapping[str, Any], version: int = VERSION) -> F:
        """The source from :meth:`serialize`, with its time bounds as datetimes again."""
        restored = {
            name: _time_of(data[name]) for name in ("modified_after", "modified_before") if name in data
        }
        return restore(cls, {**data, **restored}, version)

    def may_take(self, folder: str, suffix: str) -> bool:
        """Whether a key in ``folder`` that ends with ``suffix`` may pass the suffixes and globs."""
        ending = suffix.lower()
        if self.suffixes and not ending.endswith(tuple(each.lower() for each in self.suffixes)):
            return False
        if any(_takes_all(pattern, suffix) for pattern in self.exclude):
            return False
        # Only the ends are compared. In doubt the result is True: then the output template is refused, which
        # is better than a next run that takes outputs for inputs.
        tails = [_tail(pattern) for pattern in self.include]
        return not tails or any(tail.endswith(suffix) or suffix.endswith(tail) for tail in tails)

    def filter(self, left_out: LeftOut | None = None) -> ObjectFilter:
        """The compiled filter for the objects that are found.

        :raises ValueError: a bound of the window is not a time, or the window is empty.
        """
        after = self._moment("modified_after", self.modified_after)
        before = self._moment("modified_before", self.modified_before)
        if after and before and after >= before:
            raise ValueError(
                f"{self._name()}: no object can be modified after {after} and before {before}. In Airflow 3 "
                "the data interval of a cron schedule is empty; CronDataIntervalTimetable has one"
            )
        return ObjectFilter(
            suffixes=tuple(suffix.lower() for suffix in self.suffixes),
            include=Globs(self.include),
            exclude=Globs(self.exclude),
            classes=None if self.storage_classes is None else frozenset(self.storage_classes),
            after=after,
            before=before,
            min_size=self.min_size,
            max_size=self.max_size,
            left_out=left_out or LeftOut(),
        )

    def _filters_described(self) -> list[str]:
        first, rest = self.suffixes[:5], len(self.suffixes) - 5
        named = ", ".join(first) + (f" and {rest} more" if rest > 0 else "")
        return [
            f"with suffixes {named}" if first else "",
            f"that match {', '.join(self.include[:5])}" if self.include else "",
            f"except {', '.join(self.exclude[:5])}" if self.exclude else "",
            f"of storage class {', '.join(self.storage_classes)}" if self.storage_classes else "",
            f"modified from {self.modified_after}" if self.modified_after else "",
            f"modified before {self.modified_before}" if self.modified_before else "",
        ]

    def _filter_identity(self) -> tuple[object, ...]:
        """The part of the identity for suffixes, globs and classes; unused filters are left out."""
        more = {
            "include": frozenset(self.include),
            "exclude": frozenset(self.exclude),
            "storage_classes": frozenset(self.storage_classes or ()),
        }
        given = tuple((name, value) for name, value in more.items() if value)
        # Unused filters are left out, so that a plan frozen before a filter existed still belongs to this
        # source.
        return (frozenset(suffix.lower() for suffix in self.suffixes), *given)

    def _moment(self, name: str, value: datetime | str | None) -> datetime | None:
        """A bound of the window.

        An empty text is an error and does not mean "no bound": a template renders to an empty text in a run
        without such a time, and without a bound the whole bucket would be selected.
        """
        if value is None:
            return None
        try:
            # Python 3.10 does not read the "Z".
            moment = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else value
        except ValueError:
            raise ValueError(
                f"{self._name(name)} is {value!r}, not a time such as '2026-11-21T00:00:00+00:00'"
            ) from None
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        if not isinstance(moment, datetime):
            raise ValueError(f"{self._name(name)} is {value!r}, not a time")
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)

    def _name(self, field: str = "") -> str:
        return f"{type(self).__name__}.{field}" if field else type(self).__name__

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFilter:
    """The compiled filters of a source."""

    suffixes: tuple[str, ...]
    include: Globs
    exclude: Globs
    classes: frozenset[str] | None
    """Storage classes to take; None takes every class that needs no restoring."""
    after: datetime | None
    before: datetime | None
    min_size: int
    max_size: int | None
    left_out: LeftOut

    def takes(self, found: ObjectInfo) -> bool:
        """Whether the object is taken. Folder placeholders are never taken; archived objects are counted."""
        key = found.key
        if (
            # A folder that was made in the console is an empty object whose key ends with "/".
            key.endswith("/")
            or (self.suffixes and not key.lower().endswith(self.suffixes))
            or found.size < self.min_size
            or (self.max_size is not None and found.size > self.max_size)
            # A window includes its beginning and not its end, so neighbouring windows share no object.
            or (self.after is not None and found.last_modified < self.after)
            or (self.before is not None and found.last_modified >= self.before)
            or (self.include and not self.include.match(key))
            or (self.exclude and self.exclude.match(key))
        ):
            return False
        if self.classes is not None:
            return found.storage_class in self.classes
        if found.storage_class in ARCHIVED:  # counted last: only objects that would be taken otherwise
            self.left_out.archived += 1
            return False
        return True


class Globs:
    """Patterns of keys; a key has to match at least one of them.

    A pattern without ``/`` is compared with the name, the part of the key after its last ``/``; a pattern
    with ``/`` is compared with the whole key. ``*`` matches any characters except ``/``, ``?`` matches one
    character except ``/``, ``**/`` matches any number of folders, and ``**`` elsewhere matches any
    characters. All other characters, including ``[`` and ``{``, match only themselves, in the same case.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        names = [glob_regex(each) for each in patterns if "/" not in each and "**" not in each]
        keys = [glob_regex(each) for each in patterns if "/" in each or "**" in each]
        self._names = _any_of(names)
        self._keys = _any_of(keys)

    def __bool__(self) -> bool:
        return bool(self._names or self._keys)

    def match(self, key: str) -> bool:
        """Whether one of the patterns matches."""
        # Match from the last "/" on, without making a new string for each of millions of keys.
        if self._names and self._names.fullmatch(key, key.rfind("/") + 1):
            return True
        return bool(self._keys and self._keys.fullmatch(key))


def glob_regex(pattern: str) -> str:
    """The regular expression of a pattern."""
    return "".join(_regex_pieces(pattern))


def _regex_pieces(pattern: str) -> Iterator[str]:
    end, last = 0, ""
    for match in _WILDCARD.finditer(pattern):
        literal, wildcard = pattern[end : match.start()], match[0]
        end = match.end()
        if wildcard == "**/" and pattern[: match.start()].rpartition("/")[2]:
            wildcard, end = "**", end - 1  # inside a name, as in "a**/b", where no folder begins
        yield re.escape(literal)
        if literal or wildcard != last:  # a repeated wildcard would only cost time
            yield _MEANING.get(wildcard, ".*")
        last = "" if wildcard == "?" else wildcard
    yield re.escape(pattern[end:])


def _any_of(patterns: list[str]) -> re.Pattern[str] | None:
    # DOTALL, because a key may hold line breaks.
    return re.compile("|".join(f"(?:{each})" for each in patterns), re.DOTALL) if patterns else None


def _tail(pattern: str) -> str:
    """The text with which every key that matches a pattern ends."""
    return re.split(r"[*?]", pattern)[-1].rpartition("/")[2]


def _takes_all(pattern: str, suffix: str) -> bool:
    """Whether a pattern matches every key that ends with a suffix: ``*.pdf``, ``**/*.pdf``."""
    rest = pattern.removeprefix("**/")
    return rest.startswith("*") and suffix.endswith(rest.lstrip("*")) and not re.search(r"[*?/]", rest[1:])


def texts(name: str, value: Any) -> Any:
    """Convert a sequence of texts to a tuple; a rendered template provides it as one text with commas."""
    if value is None:
        return ()
    if checks.is_template(value):
        return value
    if isinstance(value, str):
        if not checks.was_template():
            # In code, one string is a mistake: each of its characters would be taken for an item.
            raise ValueError(f"{name} is a sequence of strings, not the string {value!r}")
        value = checks.parts(value)
    # A set has a different order in each process, which would change the stored DAG at each parse.
    found = sorted(value) if isinstance(value, (set, frozenset)) else tuple(value)
    for each in found:
        if not isinstance(each, str) and not checks.is_template(each):
            raise ValueError(f"{name} holds {each!r}, not a text")
    return tuple(found)


def prefixes(name: str, value: Any) -> Any:
    """Check one prefix, which stays a text, or several prefixes, which become a tuple.

    :raises ValueError: the value is None; a missing result must not select the whole bucket.
    """
    if checks.was_template() and value is None:
        raise ValueError(f"{name} is None; '' takes the whole bucket")
    if isinstance(value, (list, tuple, set, frozenset)):
        return texts(name, value)
    return checks.text(name, value)


def minimal(given: str | Sequence[str]) -> tuple[str, ...]:
    """The prefixes in the order of keys, without prefixes that lie under another prefix."""
    found: list[str] = []
    for prefix in sorted({given} if isinstance(given, str) else set(given)):
        # In this order, a prefix comes right after the prefix that it lies under.
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return tuple(found)


def common_root(given: str | Sequence[str]) -> str:
    """The text with which all prefixes begin."""
    return given if isinstance(given, str) else commonprefix(list(given))  # noqa: RUF071 keys, not paths


def described_prefixes(given: str | Sequence[str]) -> str:
    """The prefixes in words."""
    if isinstance(given, str):
        return f"under {given!r}"
    more = f" and {len(given) - 5} more" if len(given) > 5 else ""
    return f"under {', '.join(map(repr, given[:5]))}{more}" if given else "under an empty list of prefixes"


def _classes(name: str, value: Any) -> Any:
    found = texts(name, value)
    if not isinstance(found, tuple):
        return found
    upper = tuple(each.upper() if isinstance(each, str) else each for each in found)
    for each in upper:
        if not checks.is_template(each) and not _CLASS.fullmatch(each):
            raise ValueError(f"{name} holds {each!r}, not a storage class such as 'STANDARD_IA'")
    if not upper:
        raise ValueError(f"{name} is empty; name the classes to take, or leave it out")
    return upper


def _time_of(text: Any) -> Any:
    """Parse a time that :func:`datetime.isoformat` wrote; return every other text unchanged."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    # A time that a user wrote in another form stays as it was written.
    return moment if moment.isoformat() == text else text
