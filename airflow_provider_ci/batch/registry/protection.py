"""Finds out whether the bucket protects objects, that is, whether it respects ``x-cos-forbid-overwrite``.

A bucket that ever had versioning replaces an object in spite of that header. No setting shows this reliably,
so an object of constant content is written twice: a bucket that protects objects refuses the second PUT at
the latest.
"""

from __future__ import annotations

from airflow_provider_ci.batch.registry.service_time import service_now
from airflow_provider_ci.client import CIClient, ObjectExistsError

_BODY = b"This object shows whether the bucket protects objects from being replaced. It may be deleted.\n"


class Protection:
    """Finds out and remembers whether the bucket protects objects.

    :param valid_seconds: how long a result counts.
    """

    def __init__(self, client: CIClient, root: str, *, valid_seconds: float) -> None:
        self._client = client
        self._key = f"{root}protected.txt"
        self._valid_seconds = valid_seconds
        self._is_protected = False
        self._found_at: float | None = None

    def is_recent(self, found_at: float | None, now: float) -> bool:
        """Whether a result that was found at this time (by the service's clock) still counts."""
        # A clock that is behind must not make a result count for ever.
        return found_at is not None and abs(now - found_at) < self._valid_seconds

    def protected_at(self, now: float) -> float | None:
        """When the bucket was last seen to protect objects, by the service's clock; ``None`` if it does not.

        Costs no request while the last result counts; otherwise one or two.
        """
        if not self.is_recent(self._found_at, now):
            self._look()
        return self._found_at if self._is_protected else None

    def _look(self) -> None:
        # The first PUT may create the object, which proves nothing yet.
        for _ in range(2):
            try:
                self._client.put_object(self._key, _BODY, content_type="text/plain", overwrite=False)
            except ObjectExistsError as error:
                self._is_protected = True
                self._found_at = error.server_time or service_now(self._client)
                return
        self._is_protected = False
        self._found_at = service_now(self._client)
