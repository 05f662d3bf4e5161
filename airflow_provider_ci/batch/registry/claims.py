"""A claim: a batch's announced right to make the outputs below a prefix.

Claims stand in the registry's state in the order in which they were made. A batch looks only at the claims
before its own. So if two batches make the same output, exactly one of them waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

CLAIM_MAX_SECONDS = 31 * 24 * 3600
"""Maximum age of a claim, in seconds. The service keeps records of jobs for a month, so an older claim
protects nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A batch's right to make the outputs whose keys begin with ``prefix``."""

    token: str
    """Random text that identifies this claim and its heartbeat."""
    folder: str
    """Folder of the batch's ledger, with a ``/`` at the end."""
    batch_id: str
    prefix: str
    """Text with which all output keys of the batch begin: the literal start of its output template."""
    operation: str
    """A text for the operation that is equal for equal operations."""
    claimed_at: float
    """When the claim was made, in Unix seconds by the service's clock."""
    seconds: float
    """How long the claim is valid without a heartbeat, in seconds."""
    holder: str
    """Describes the process that made the claim, for people who read a message."""
    definition: str | None = None
    """Identifies the code that made the plan."""
    plan: str = ""
    """Token of the frozen plan; empty while the batch is still planning."""
    prefixes: tuple[str, ...] = ()
    """Text with which the output keys of each step begin, if the batch has several steps. ``prefix`` is then
    the common beginning of all output keys, for versions of this package without steps."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields that this version does not know. They are kept for the version that does."""

    def to_json(self) -> dict[str, Any]:
        """The claim as plain JSON."""
        known = {name: getattr(self, name) for name in _NAMES}
        return {**self.extra, **{name: value for name, value in known.items() if value not in (None, ())}}

    @property
    def all_prefixes(self) -> tuple[str, ...]:
        """All prefixes of the batch: each output key begins with one of them."""
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
    """The claims that may include an output below one of these prefixes.

    That is possible if a prefix of the claim begins with one of these prefixes, or the other way round.
    """
    # A single text gets special treatment: otherwise each of its letters would count as a prefix.
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
    """Put ``claim`` in the place of the claim with ``old_token``, or at the end if that claim is gone.

    A second call changes nothing, which the registry relies on.
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


def output_place(output_bucket: str | None, own: str) -> str:
    """Text before output keys in claims and index: names the output bucket, or is empty for ``own``."""
    # No object key of the registry's bucket begins with this text.
    return f"cos://{output_bucket}/" if output_bucket not in (None, "", own) else ""
