"""A file as the body of a request."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO


class Upload:
    """A file to upload, which is read from its start whenever it is opened and hashed while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self.failure: OSError | None = None
        # Open the file once, so that an unreadable file fails here and not after a wait for the network.
        self.open()
        self.close()

    def open(self) -> None:
        """Open the file at its start.

        :raises OSError: if the file cannot be read.
        """
        self._file = self._path.open("rb")
        self.size = self._left = os.fstat(self._file.fileno()).st_size
        # The digest is compared with the ETag. Without the flag, Python refuses MD5 in FIPS mode.
        self._md5 = hashlib.md5(usedforsecurity=False)

    def read(self, amount: int = -1) -> bytes:
        """Return the next bytes, never more than the announced size in total."""
        assert self._file is not None
        try:
            # The file may grow during the upload. The server would interpret bytes beyond Content-Length as
            # the next request.
            data = self._file.read(self._left if amount < 0 else min(amount, self._left))
            if not data and self._left:
                raise OSError(f"{self._path} became shorter while it was uploaded")
        except OSError as error:
            self.failure = error  # kept, because the HTTP library only reports a broken connection
            raise
        self._left -= len(data)
        self._md5.update(data)
        return data

    @property
    def md5(self) -> str:
        """The hex digest of the bytes that were read since the file was opened."""
        return self._md5.hexdigest()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
