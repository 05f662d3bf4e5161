"""The base of all sources, and the items that they yield."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from airflow_provider_ci.client import CIClient, ObjectInfo
from airflow_provider_ci.client.records.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object of a source, and what differs for it from the settings of the batch."""

    info: ObjectInfo
    output_key: str = ""
    """Key of the output; empty: the output template of the batch names it."""
    job_level: int | None = None
    """Priority of the job, 0 to 2; None: the priority of the batch."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields of the operation that replace those of the batch, such as ``{"start_page": 2}``. A password is
    never among them: ``doc_password`` names a secret, which is looked up when the job is submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableKey:
    """A key for which no job can be submitted; the report names it with this reason."""

    key: str
    code: str
    message: str


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

    @property
    def advice(self) -> str:
        """What to do if it has no objects."""
        if self.listed_prefixes:
            return "check the prefix and the suffixes"
        return "check what the source names"

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
