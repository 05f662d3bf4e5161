"""One state of the registry: a small JSON document that never changes once it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_ci.batch.ledger.records import RecordError
from airflow_provider_ci.batch.registry import claims as claims_
from airflow_provider_ci.batch.registry.claims import Claim
from airflow_provider_ci.batch.registry.index_state import IndexState

VERSION = 2
KIND = "registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the registry says at one moment. Methods return a changed copy.

    Every change is idempotent: a writer that does not know whether its change arrived makes it again.
    """

    number: int = 0
    """Number of the object that holds the state; 0 for the empty state, which has no object."""
    token: str = ""
    """Random text that identifies this state."""
    base: str = ""
    """Token of the state that this one was built on."""
    claims: tuple[Claim, ...] = ()
    """The claims, in the order in which they were made."""
    index: IndexState = field(default_factory=IndexState)
    protected_at: float | None = None
    """Unix seconds by the service's clock at which the bucket was last seen to protect objects."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this version does not know. They are kept for the version that does."""

    def claim(self, token: str) -> Claim | None:
        """The claim of this token, or ``None``."""
        return next((claim for claim in self.claims if claim.token == token), None)

    def with_claim(self, claim: Claim) -> State:
        """The state with this claim after all others, or in the place of the claim with the same token."""
        return self.replaced(claim.token, claim)

    def replaced(self, old_token: str, claim: Claim) -> State:
        """The state with a claim in the place of an older one, or after all others if that one is gone."""
        return replace(self, claims=claims_.replaced(self.claims, old_token, claim))

    def without(self, token: str) -> State:
        """The state without the claim of this token."""
        return replace(self, claims=tuple(claim for claim in self.claims if claim.token != token))

    def forgetting(self, older_than: float) -> State:
        """The state without claims made before this time (Unix seconds by the service's clock)."""
        return replace(self, claims=tuple(claim for claim in self.claims if claim.claimed_at >= older_than))

    def earlier_than(self, token: str) -> tuple[Claim, ...]:
        """The claims before the claim of this token; all claims if there is no such claim."""
        for place, claim in enumerate(self.claims):
            if claim.token == token:
                return self.claims[:place]
        return self.claims

    def of_folder(self, folder: str) -> tuple[Claim, ...]:
        """The claims of the batch whose ledger lies in this folder."""
        return tuple(claim for claim in self.claims if claim.folder == folder)

    def with_index(self, index: IndexState) -> State:
        """The state with another index."""
        return replace(self, index=index)

    def encode(self) -> bytes:
        """The bytes of the object that holds the state."""
        content = {
            # Unknown fields come first, so that none of them replaces a known field.
            **self.extra,
            "version": VERSION,
            "kind": KIND,
            "token": self.token,
            "base": self.base,
            "claims": [claim.to_json() for claim in self.claims],
            "index": self.index.to_json(),
            "protected_at": self.protected_at,
        }
        return to_bytes(content)


_KNOWN = frozenset(["version", "kind", "token", "base", "claims", "index", "protected_at"])


def to_bytes(content: Any) -> bytes:
    """JSON as it is stored. A key may hold half of a surrogate pair, which must not end the batch."""
    # Escapes would double the length of keys in Chinese.
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def decode(key: str, body: bytes, number: int) -> State:
    """The state that an object holds.

    :raises RecordError: the object is damaged, foreign, or of a newer version.
    """
    try:
        content = json.loads(body)
        check_version(key, content["version"], content["kind"], KIND)
        protected_at = content.get("protected_at")
        return State(
            number=number,
            token=str(content["token"]),
            base=str(content["base"]),
            claims=tuple(map(Claim.from_json, content["claims"])),
            index=IndexState.from_json(content["index"]),
            protected_at=None if protected_at is None else float(protected_at),
            extra={name: value for name, value in content.items() if name not in _KNOWN},
        )
    # RecordError is a ValueError, and its message is complete already.
    except RecordError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise damaged(key, "a state of the registry of batches", error) from None


def check_version(key: str, version: Any, kind: Any, expected_kind: str) -> None:
    """Check that this version of the package can read an object of this version and kind.

    :raises RecordError: it cannot.
    """
    if kind != expected_kind:
        raise RecordError(
            f"{key!r} has kind {kind!r} instead of {expected_kind!r}; move it out of this folder"
        )
    if version != VERSION:
        raise RecordError(
            f"{key!r} has format version {version!r}, this package reads version {VERSION}: "
            "upgrade airflow-provider-ci wherever it uses this bucket"
        )


def damaged(key: str, what: str, error: Exception) -> RecordError:
    """The error for an object that cannot be read."""
    return RecordError(
        f"{key!r} is damaged: it is not {what} ({type(error).__name__}: {error}). Delete this object; "
        "the changes that only it holds are lost"
    )
