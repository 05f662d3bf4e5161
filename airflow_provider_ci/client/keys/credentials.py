"""Sources of the key that signs each request, and the renewal of temporary keys.

:class:`~airflow_provider_ci.client.signing.Credentials` is the source for a key that never changes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from airflow_provider_ci.client.errors import CredentialsError
from airflow_provider_ci.client.http import forks
from airflow_provider_ci.client.http.clock import Clock
from airflow_provider_ci.client.signing import Credentials

_log = logging.getLogger(__name__)

RENEW_BEFORE_SECONDS = 300
"""A key is renewed this many seconds before it expires, or halfway through its lifetime if that is later."""
PAUSE_SECONDS = 30
"""Seconds between attempts to renew a key, after a failure or while the service rejects the key."""

KEY_VARIABLES = ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY")
TOKEN_VARIABLES = ("TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN")
"""The vendor's SDKs read the first variable, its Terraform provider reads the second."""


class TemporaryKey(Protocol):
    """A key with a token, and the time when it expires, in Unix seconds."""

    @property
    def credentials(self) -> Credentials:
        """The key."""

    @property
    def expires(self) -> float:
        """The Unix time from which the service rejects the key."""


class Role(Protocol):
    """A source of temporary keys: a role from :mod:`.roles`, or your own implementation."""

    def fetch(self) -> TemporaryKey:
        """Fetch a key that is valid from now on.

        :raises CredentialsError: the source returned no key.
        """


def environment_credentials(environ: Mapping[str, str] = os.environ) -> Credentials:
    """Read the key from the environment, under the names that the vendor's tools use.

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
    """A key, and the Unix times to renew and to drop it, by this machine's clock."""

    credentials: Credentials
    renew_at: float
    expires: float


class RenewingCredentials:
    """Supplies the current key of a role, fetched on first use and renewed before it expires.

    One thread renews the key at a time. Other threads use the old key while it is valid, and wait once it has
    expired. A failed renewal is tried again later; it is an error only when the old key has expired.
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
        """Return the key; renew it first if its renewal is due.

        :raises CredentialsError: the old key has expired, and the source returned no new key.
        """
        held, now = self._held, self._clock.now()
        if held is not None and now < held.renew_at:
            return held.credentials
        if held is not None and now < held.expires:
            return self._renewed_ahead(held)
        with self._lock:
            held = self._held
            # Another thread may have renewed the key while this thread waited for the lock.
            if held is None or self._clock.now() >= held.expires:
                held = self._renew()
        return held.credentials

    def replacing(self, refused: Credentials) -> Credentials | None:
        """Return another key (cached or newly fetched) after the service rejected this one, or None."""
        with self._lock:
            held = self._held
            # If the condition is false, another thread has already replaced the rejected key.
            if held is None or held.credentials == refused:
                held = self._renew_after_refusal()
        return held.credentials if held and held.credentials != refused else None

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may have held while it fetched a key."""
        self._lock = Lock()

    def _renewed_ahead(self, held: _Held) -> Credentials:
        # Another thread is renewing the key; the old key still works.
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
        """Renew at most once per ``PAUSE_SECONDS``: a rejection can have other reasons than the key."""
        now = self._clock.monotonic()
        if now - self._replaced_at < PAUSE_SECONDS:
            return None
        self._replaced_at = now
        try:
            return self._renew()
        except CredentialsError as error:
            _log.warning("the service rejected the key, and no other key is available: %s", error)
            return None

    def _renew(self) -> _Held:
        key = self._role.fetch()
        now = self._clock.now()
        # A key that seems expired is used for a while longer, because this machine's clock may be wrong.
        expires = max(key.expires, now + PAUSE_SECONDS)
        left = expires - now
        renew_at = now + max(left - RENEW_BEFORE_SECONDS, left / 2)
        self._held = _Held(key.credentials, renew_at, expires)
        return self._held
