"""The base of all sources, and the items that they yield."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TypeAlias

from airflow_provider_ci.batch.sources.row import Row
from airflow_provider_ci.batch.sources.unusable import UnusableKey
from airflow_provider_ci.client import CIClient, ObjectInfo
from airflow_provider_ci.client.records.values import Value

Found: TypeAlias = ObjectInfo | Row | UnusableKey
"""What a source yields: an object, an object with settings of its own, or a key that fails alone."""


class SourceError(ValueError):
    """A source cannot be read as a whole, such as a manifest without keys; nothing was submitted."""


@dataclass(slots=True)
class LeftOut:
    """How many objects were found and not taken, and why."""

    archived: int = 0
    """In a storage class that has to be restored before the service can read it."""
    own_outputs: int = 0
    """In the folder where the batch writes its outputs."""
    ledger: int = 0
    """Records of batches."""

    def reasons(self) -> dict[str, int]:
        """The numbers by reason, without zeros."""
        return {name.replace("_", " "): count for name, count in asdict(self).items() if count}


class Source(Value):
    """Base of the records that say where the objects of a batch come from. Every field may be a template."""

    __slots__ = ()

    @property
    def root(self) -> str:
        """What ``{dir}`` of an output template leaves out, up to its last ``/``."""
        return ""

    @property
    def folder(self) -> str:
        """The prefix that OpenLineage names as the input."""
        return self.root

    @property
    def listed_prefixes(self) -> tuple[str, ...]:
        """Prefixes under which the source takes whatever lies there; none where keys are named one by one."""
        return ()

    @property
    def identity(self) -> tuple[object, ...]:
        """The fields that distinguish it from others, without fields that can differ at each rendering."""
        raise NotImplementedError

    def described(self) -> str:
        """Where it looks, in words that follow "no object"."""
        raise NotImplementedError

    def may_take(self, folder: str, suffix: str) -> bool:
        """Whether it may take a key in this folder that ends so; asked for keys under a listed prefix."""
        return True

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[Found]:
        """The objects, read as they are taken.

        :param threads: maximum number of requests at the same time.
        :param left_out: counts objects that are found and not taken.
        :raises SourceError: the source cannot be read as a whole.
        """
        raise NotImplementedError
