"""A claim: a batch's announced right to make the outputs below a prefix.

Claims stand in the registry's state in the order in which they were made. A batch looks only at the claims
before its own. So if two batches make the same output, exactly one of them waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

CLAIM_MAX_SECONDS = 31 * 24 * 3600
"""The service keeps records of jobs for a month; an older claim protects nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A batch's right to make the outputs whose keys begin with ``prefix``."""

    token: str
    """Random; names this claim and its heartbeat."""
    folder: str
    """Of the batch's ledger, with its ``/`` at the end."""
    batch_id: str
    prefix: str
    """What all output keys of the batch begin with: the literal start of its output template."""
    operation: str
    """The operation, as text that is equal for equal operations."""
    claimed_at: float
    """Unix seconds by the service's clock."""
    seconds: float
    """How long the claim is valid without a heartbeat."""
    holder: str
    """The process that made the claim, for people."""
    definition: str | None = None
    """Names the code that made the plan."""
    plan: str = ""
    """Token of the frozen plan; empty while the batch is still planning."""
    prefixes: tuple[str, ...] = ()
    """What the output keys of each step begin with, if the batch has several steps. ``prefix`` is then what
    all of them begin with, for versions of this package that know nothing of steps."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields that this version does not know. They are kept for the version that does."""

    def to_json(self) -> dict[str, Any]:
        """The claim as plain JSON."""
        known = {name: getattr(self, name) for name in _NAMES}
        return {**self.extra, **{name: value for name, value in known.items() if value not in (None, ())}}

    @property
    def all_prefixes(self) -> tuple[str, ...]:
        """One of these begins each output key."""
        return self.prefixes or (self.prefix,)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Claim:
        """Read a claim.

        :raises KeyError, TypeError, ValueError: a field is missing or of the wrong type.
        """
        definition = content.get("definition")
        return cls(
            **{name: _text(content[name]) for name in _TEXTS},
            claimed_at=float(content["claimed_at"]),
            seconds=float(content["seconds"]),
            definition=None if definition is None else _text(definition),
            plan=_text(content.get("plan", "")),
            prefixes=tuple(map(_text, content.get("prefixes", ()))),
            extra={name: value for name, value in content.items() if name not in _NAMES},
        )


_TEXTS = ("token", "folder", "batch_id", "prefix", "operation", "holder")
_NAMES = tuple(item.name for item in fields(Claim) if item.name != "extra")


def intersecting(claims: Iterable[Claim], prefixes: Iterable[str]) -> tuple[Claim, ...]:
    """The claims that may include an output below one of the prefixes: one begins with the other."""
    # A single text would otherwise be taken apart into its letters, each of them a prefix.
    own = (prefixes,) if isinstance(prefixes, str) else tuple(prefixes)
    return tuple(
        claim
        for claim in claims
        if any(
            theirs.startswith(ours) or ours.startswith(theirs)
            for theirs in claim.all_prefixes
            for ours in own
        )
    )


def replaced(claims: tuple[Claim, ...], old_token: str, claim: Claim) -> tuple[Claim, ...]:
    """The claims with ``claim`` in the place of the one with ``old_token``, or at the end if that is gone.

    Doing it a second time changes nothing, which the registry relies on.
    """
    # The new token counts, too, because the change may have been made already.
    tokens = {old_token, claim.token}
    place = next((i for i, each in enumerate(claims) if each.token in tokens), len(claims))
    before, after = claims[:place], claims[place:]
    return (*before, claim, *(each for each in after if each.token not in tokens))


def _text(value: Any) -> str:
    # str() would turn anything into text and hide a damaged record.
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def place_of(output_bucket: str | None, own: str) -> str:
    """What stands before output keys in claims and index; nothing for those in the registry's bucket."""
    # No key of the registry's bucket begins like this.
    return f"cos://{output_bucket}/" if output_bucket not in (None, "", own) else ""
