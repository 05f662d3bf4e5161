"""Where the key of each request comes from, and how a temporary one is kept fresh.

:class:`~airflow_provider_ci.client.signing.Credentials` are their own source: a key that never changes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from airflow_provider_ci.client import forks
from airflow_provider_ci.client.clock import Clock
from airflow_provider_ci.client.errors import CredentialsError
from airflow_provider_ci.client.signing import Credentials

_log = logging.getLogger(__name__)

RENEW_BEFORE_SECONDS = 300
"""A key is renewed this long before it expires; one of less than twice that life, at half of its time."""
PAUSE_SECONDS = 30
"""Between two attempts to renew a key: after a failure, and where the service keeps refusing what it gets."""

KEY_VARIABLES = ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY")
TOKEN_VARIABLES = ("TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN")
"""The vendor's SDKs read the first, its Terraform provider the second."""


class CredentialSource(Protocol):
    """What a client signs with. Thread-safe."""

    def current(self) -> Credentials:
        """The key for a request that is sent now.

        :raises CredentialsError: there is none.
        """

    def replacing(self, refused: Credentials) -> Credentials | None:
        """Another key after the service refused this one; None where there is no other."""


class TemporaryKey(Protocol):
    """A key with a token, and when it ends; in Unix seconds."""

    @property
    def credentials(self) -> Credentials:
        """The key."""

    @property
    def expires(self) -> float:
        """When the service begins to refuse it."""


class Role(Protocol):
    """Who gives temporary keys: those of :mod:`.roles`, or one of your own."""

    def fetch(self) -> TemporaryKey:
        """A key that holds from now on.

        :raises CredentialsError: none is given.
        """


def environment_credentials(environ: Mapping[str, str] = os.environ) -> Credentials:
    """The key in the environment, under the names that the vendor's tools read.

    :raises ValueError: the SecretId or the SecretKey is missing.
    """
    missing = [name for name in KEY_VARIABLES if not environ.get(name)]
    if missing:
        raise ValueError(f"missing in the environment of this process: {', '.join(missing)}")
    secret_id, secret_key = (environ[name] for name in KEY_VARIABLES)
    tokens = [environ[name] for name in TOKEN_VARIABLES if environ.get(name)]
    return Credentials(secret_id=secret_id, secret_key=secret_key, token=tokens[0] if tokens else None)


@dataclass(frozen=True, slots=True)
class _Held:
    """A key and until when it serves, by this machine's clock."""

    credentials: Credentials
    renew_at: float
    expires: float


class RenewingCredentials:
    """The current key of a role: fetched on first use, renewed before it expires.

    One thread renews at a time; the others go on with the old key while it is valid, else they wait.
    A renewal that fails is tried again later, and is an error only when the old key has expired.
    """

    def __init__(self, role: Role, *, _clock: Clock | None = None) -> None:
        self._role = role
        self._clock = _clock or Clock()
        self._lock = Lock()
        self._held: _Held | None = None
        self._replaced_at = float("-inf")
        forks.watch(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._role!r})"

    def current(self) -> Credentials:
        """The key, renewed if it is time.

        :raises CredentialsError: there is no valid key, and none is given.
        """
        held, now = self._held, self._clock.now()
        if held is not None and now < held.renew_at:
            return held.credentials
        if held is not None and now < held.expires:
            return self._renewed_ahead(held)
        with self._lock:
            held = self._held
            if held is None or self._clock.now() >= held.expires:
                held = self._renew()
        return held.credentials

    def replacing(self, refused: Credentials) -> Credentials | None:
        """Another key after the service refused this one: what others fetched meanwhile, or a new one."""
        with self._lock:
            held = self._held
            if held is None or held.credentials == refused:
                held = self._renew_after_refusal()
        return held.credentials if held and held.credentials != refused else None

    def after_fork(self) -> None:
        """Forget the lock, which a thread may have held that was fetching a key."""
        self._lock = Lock()

    def _renewed_ahead(self, held: _Held) -> Credentials:
        if not self._lock.acquire(blocking=False):
            return held.credentials
        try:
            if self._held is held:
                return self._renew().credentials
        except CredentialsError as error:
            _log.warning("the key could not be renewed yet, the old one is still valid: %s", error)
            self._held = replace(held, renew_at=self._clock.now() + PAUSE_SECONDS)
        finally:
            self._lock.release()
        return self._held.credentials if self._held else held.credentials

    def _renew_after_refusal(self) -> _Held | None:
        """At most one in a while, since a refusal may well have another reason than the key."""
        now = self._clock.monotonic()
        if now - self._replaced_at < PAUSE_SECONDS:
            return None
        self._replaced_at = now
        try:
            return self._renew()
        except CredentialsError as error:
            _log.warning("the service refused the key, and there is no other: %s", error)
            return None

    def _renew(self) -> _Held:
        key = self._role.fetch()
        now = self._clock.now()
        # A key that seems to have expired is tried for a while: it is our clock that may be wrong.
        expires = max(key.expires, now + PAUSE_SECONDS)
        left = expires - now
        renew_at = now + max(left - RENEW_BEFORE_SECONDS, left / 2)
        self._held = _Held(key.credentials, renew_at, expires)
        return self._held
