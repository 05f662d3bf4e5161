"""The base of all sources, and the items that they yield."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from airflow_provider_ci.client import CIClient, ObjectInfo
from airflow_provider_ci.client.records.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One object of a source, with its own settings in place of those of the batch."""

    info: ObjectInfo
    output_key: str = ""
    """Key of the output; if it is empty, the output template of the batch names the output."""
    job_level: int | None = None
    """Priority of the job, 0 to 2; None for the priority of the batch."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields of the operation that replace those of the batch, such as ``{"start_page": 2}``. A password is
    never among them: ``doc_password`` names a secret, which is looked up when the job is submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableKey:
    """A key for which no job can be submitted; the report has the key with this reason."""

    key: str
    code: str
    message: str


Found: TypeAlias = ObjectInfo | Row | UnusableKey
"""What a source yields: an object, an object with its own settings, or a key that cannot be used."""


class SourceError(ValueError):
    """The whole source is unusable, such as a manifest without keys; nothing was submitted."""


@dataclass(slots=True)
class LeftOut:
    """How many objects were found but not taken, by reason."""

    archived: int = 0
    """Objects in a storage class that has to be restored before the service can read them."""
    own_outputs: int = 0
    """Objects in the folder where the batch writes its outputs."""
    ledger: int = 0
    """Objects that are records of batches."""

    def reasons(self) -> dict[str, int]:
        """The numbers by reason, without zeros."""
        return {name.replace("_", " "): count for name, count in asdict(self).items() if count}


class Source(Value):
    """Base of the records that say where the objects of a batch come from. Every field may be a template."""

    __slots__ = ()

    @property
    def root(self) -> str:
        """The prefix that ``{dir}`` of an output template leaves out, up to the last ``/`` of the prefix."""
        return ""

    @property
    def folder(self) -> str:
        """The prefix that OpenLineage names as the input."""
        return self.root

    @property
    def listed_prefixes(self) -> tuple[str, ...]:
        """Prefixes under which the source looks for objects; empty if the keys are named one by one."""
        return ()

    @property
    def identity(self) -> tuple[object, ...]:
        """The fields that identify the source, without fields that can differ at each rendering."""
        raise NotImplementedError

    def described(self) -> str:
        """Where the source looks, in words that continue the sentence "no object"."""
        raise NotImplementedError

    @property
    def advice(self) -> str:
        """What to do if the source has no objects."""
        if self.listed_prefixes:
            return "check the prefix and the suffixes"
        return "check what the source names"

    def may_take(self, folder: str, suffix: str) -> bool:
        """Whether the source may take a key in ``folder`` that ends with ``suffix``.

        The folder is under a listed prefix.
        """
        return True

    def objects(
        self, client: CIClient, *, threads: int = 32, left_out: LeftOut | None = None
    ) -> Iterator[Found]:
        """The objects; they are read while the caller iterates.

        :param threads: maximum number of requests at the same time.
        :param left_out: counts objects that are found but not taken.
        :raises SourceError: the whole source is unusable.
        """
        raise NotImplementedError
