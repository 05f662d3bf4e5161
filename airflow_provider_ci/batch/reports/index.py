"""The index of a long report: which part and which bytes hold which objects.

A long report is sorted by key, and its failures by state, code and key. Each part consists of blocks of some
hundred lines. The index contains the first key of each block, and how many results of each state and code the
block holds. So a page of results, or one object, takes one request for the index and one or two for blocks.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from airflow_provider_ci.batch.results import ObjectState

INDEX_VERSION = 1

Kind = tuple[str, str]
"""State and error code of a result."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines of a part."""

    part: int
    """Number of the part that contains the block, from 0."""
    offset: int
    """Position of the block's first byte in the part."""
    size: int
    first: str
    """Key of the block's first object."""
    kinds: Mapping[Kind, int]
    """Number of results by state and code."""

    @property
    def lines(self) -> int:
        """Number of results in the block."""
        return sum(self.kinds.values())

    def count(self, state: str | None, code: str | None) -> int:
        """Number of results with a state and a code; None counts any."""
        return sum(
            count
            for (its_state, its_code), count in self.kinds.items()
            if state in (None, its_state) and code in (None, its_code)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One object of the report."""

    key: str
    etag: str
    size: int
    last: str
    """Key of the part's last object."""
    blocks: tuple[Block, ...]

    @property
    def kinds(self) -> Counter[Kind]:
        """Number of results by state and code."""
        counts: Counter[Kind] = Counter()
        for block in self.blocks:
            counts.update(block.kinds)
        return counts


@dataclass(frozen=True)  # without slots, because cached properties need a __dict__
class Section:
    """Consecutive parts: those with all results, or those with the failures."""

    parts: tuple[Part, ...]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of all parts."""
        return tuple(block for part in self.parts for block in part.blocks)

    @cached_property
    def _firsts(self) -> list[bytes]:
        return [_bytes(block.first) for block in self.blocks]

    @cached_property
    def kinds(self) -> Counter[Kind]:
        """Number of results by state and code."""
        counts: Counter[Kind] = Counter()
        for part in self.parts:
            counts.update(part.kinds)
        return counts

    def blocks_of_key(self, key: str) -> Iterator[Block]:
        """The blocks that can hold an object, if the section is sorted by key; two at most."""
        place = bisect_left(self._firsts, _bytes(key))
        if place < len(self.blocks) and self.blocks[place].first == key:
            yield self.blocks[place]
        # The block before may end with other lines of this key: a manifest can name an object twice.
        if place:
            yield self.blocks[place - 1]

    def to_json(self) -> list[dict[str, Any]]:
        """The parts as JSON types; a block is a list: offset, size, first key, counts by state and code."""
        return [
            {
                "key": part.key,
                "etag": part.etag,
                "bytes": part.size,
                "objects": sum(block.lines for block in part.blocks),
                "first": part.blocks[0].first,
                "last": part.last,
                "counts": _nested(part.kinds),
                "blocks": [
                    [block.offset, block.size, block.first, _nested(block.kinds)] for block in part.blocks
                ],
            }
            for part in self.parts
        ]

    @classmethod
    def from_json(cls, parts: Iterable[Mapping[str, Any]]) -> Section:
        """The section from :meth:`to_json`."""
        return cls(
            tuple(
                Part(
                    key=part["key"],
                    etag=part["etag"],
                    size=part["bytes"],
                    last=part["last"],
                    blocks=tuple(
                        Block(number, offset, size, first, _flat(counts))
                        for offset, size, first, counts in part["blocks"]
                    ),
                )
                for number, part in enumerate(parts)
            )
        )


@dataclass(frozen=True, slots=True)
class ReportIndex:
    """The index of a report, which is a separate object beside the parts."""

    objects: Section
    """All results, sorted by key."""
    failures: Section
    """The objects without an output, sorted by state, code and key."""

    def encode(self, plan: str) -> bytes:
        """The bytes of the index object."""
        content = {
            "version": INDEX_VERSION,
            "kind": "report index",
            "plan": plan,
            "parts": self.objects.to_json(),
            "failures": self.failures.to_json(),
        }
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")

    @classmethod
    def decode(cls, key: str, body: bytes) -> ReportIndex:
        """The index from its object.

        :raises ValueError: the object is damaged, or another version of this package wrote it.
        """
        try:
            content = json.loads(body.decode("utf-8", "surrogatepass"))
            version = content.get("version")
        except (ValueError, AttributeError):
            raise ValueError(f"report index {key!r} is damaged: it is not a JSON object") from None
        if version != INDEX_VERSION:
            raise ValueError(
                f"report index {key!r} has version {version}; this package reads version {INDEX_VERSION}"
            )
        return cls(Section.from_json(content["parts"]), Section.from_json(content["failures"]))


FAILURE_ORDER = (ObjectState.FAILED, ObjectState.CANCELLED, ObjectState.UNFINISHED)
"""The order of states among the failures."""


def _nested(kinds: Mapping[Kind, int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (state, code), count in kinds.items():
        nested.setdefault(state, {})[code] = count
    return nested


def _flat(nested: Mapping[str, Mapping[str, int]]) -> dict[Kind, int]:
    return {(state, code): count for state, codes in nested.items() for code, count in codes.items()}


def _bytes(key: str) -> bytes:
    """The bytes by which a key is sorted."""
    return key.encode("utf-8", "surrogatepass")
