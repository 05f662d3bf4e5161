"""Conversions within one request to a COS host: they run in threads; their failures become service errors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from airflow_provider_ci.local.convert import (
    ConversionError,
    Converters,
    ConvertersClosedError,
    PictureResult,
    errors,
)
from airflow_provider_ci.local.convert.pictures.rules.parsing import output_format, parse_rule
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.http.answer import Answer, FileBody
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.workspace import CONTENT_TYPES, Workspace


class Refusal(NamedTuple):
    """The response to a failed conversion: error code, HTTP status, and a number for ``X-ErrNo``, if any."""

    code: str
    status: int = 400
    number: str = ""


_SERVER_AT_FAULT = {
    errors.OFFICE_MISSING: Refusal("InternalError", 500),
    errors.DISK_FULL: Refusal("InternalError", 500),
    errors.FILE_UNREADABLE: Refusal("InternalError", 500),
    errors.UNSUPPORTED_RULE: Refusal("NotImplemented", 501),
}
MAX_WAITING = 100
"""Maximum number of requests that wait for a conversion at the same time."""
MISSING = "missing object"
"""The key in the tables of refusals for an object that does not exist."""

DOCUMENT_REFUSALS: Mapping[str, Refusal] = {
    **_SERVER_AT_FAULT,
    MISSING: Refusal("NoSuchKey", 404, "-3004"),
    errors.EMPTY_FILE: Refusal("EmptyFile", 400, "-3008"),
    errors.FILE_TOO_LARGE: Refusal("FileTooLarge", 400, "-3075"),
    errors.INVALID_PARAMETER: Refusal("InvalidArgument"),
    errors.INVALID_RULE: Refusal("InvalidArgument", 400, "-60998"),
    errors.PAGE_OUT_OF_RANGE: Refusal("PageOutOfRange", 400, "-3013"),
    errors.PASSWORD_REQUIRED: Refusal("PasswordRequired", 400, "-3006"),
    errors.UNSUPPORTED_ENCRYPTION: Refusal("UnsupportedEncryption", 400, "-3006"),
    errors.UNSUPPORTED_TYPE: Refusal("UnsupportedType", 400, "-3011"),
    errors.WRONG_PASSWORD: Refusal("WrongPassword", 400, "-3006"),
}
PICTURE_REFUSALS: Mapping[str, Refusal] = {
    **_SERVER_AT_FAULT,
    MISSING: Refusal("NoSuchKey", 404, "-46628"),
    errors.DAMAGED_FILE: Refusal("InvalidImageFormat", 400, "-441"),
    errors.EMPTY_FILE: Refusal("InvalidImageFormat", 400, "-441"),
    errors.FILE_TOO_LARGE: Refusal("ImageTooLarge", 400, "-60996"),
    errors.IMAGE_TOO_LARGE: Refusal("ImageResolutionExceed", 400, "-447"),
    errors.INVALID_RULE: Refusal("InvalidArgument", 400, "-60998"),
    errors.UNSUPPORTED_TYPE: Refusal("InvalidImageFormat", 400, "-441"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a conversion within one request works with: the converters, its own folder, and its object."""

    workspace: Workspace
    converters: Converters
    folder: Path
    bucket: str
    key: str

    def source(self) -> Path:
        """Return the object as a file in the folder."""
        found = self.workspace.source(self.folder, self.bucket, self.key)
        if found is None:
            message = f"object {self.key!r} does not exist in bucket {self.bucket}"
            raise ConversionError(MISSING, message)
        return found

    def fetch(self, url: str) -> Path:
        """Return the file of a watermark image; ``url`` is the address of an object in the bucket."""
        return self.workspace.fetch(self.folder, self.bucket, url)

    def picture(self, source: Path, rule: str, target: Path) -> PictureResult:
        """Apply the rule to the picture ``source`` and write the result to ``target``."""
        return self.converters.picture(source, rule, target, self.fetch)


class Work(Protocol):
    """A conversion within one request; its parameters are checked already, its object is not."""

    @property
    def refusals(self) -> Mapping[str, Refusal]:
        """The responses to failures, by the converters' error codes."""

    def make(self, bench: Bench) -> Answer:
        """Convert the object; runs in a thread."""


class SyncProcessing:
    """Runs up to ``workers`` conversions within requests at once, with the same converters as the jobs.

    Up to ``MAX_WAITING`` more requests may wait; any further request is refused immediately.
    """

    def __init__(self, workspace: Workspace, converters: Converters, *, workers: int) -> None:
        self._workspace = workspace
        self._converters = converters
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="ci-local-sync")
        self._most = workers + MAX_WAITING
        self._pending = 0

    async def run(self, work: Work, request: Request) -> Answer:
        """Do the work on the object of the request, in one of the threads.

        :raises ServiceError: the conversion failed, too many requests are waiting, or the server is stopping.
        """
        if self._pending >= self._most:
            raise ServiceError(
                "SlowDown", f"{MAX_WAITING} requests wait for a conversion already; try again later"
            )
        loop = asyncio.get_running_loop()
        self._pending += 1
        try:
            return await loop.run_in_executor(self._threads, self._make, work, request)
        except ConversionError as error:
            raise _refusal(error, work.refusals) from error
        except ConvertersClosedError as error:
            raise ServiceError("ServiceUnavailable", "the local CI stops; try again later") from error
        finally:
            self._pending -= 1

    def close(self) -> None:
        """Wait for the threads; call it after the converters were closed."""
        self._threads.shutdown(cancel_futures=True)

    def _make(self, work: Work, request: Request) -> Answer:
        with self._workspace.folder() as folder:
            bench = Bench(
                workspace=self._workspace,
                converters=self._converters,
                folder=folder,
                bucket=request.address.bucket,
                key=request.path[1:],
            )
            return work.make(bench)


def picture_type(rule: str, target: str) -> str:
    """Return the file type that a picture of type ``target`` has after a rule, which may change the type."""
    return (output_format(parse_rule(rule)).lower() if rule else "") or target


def file_answer(path: Path, file_type: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a response with an open file, which may be removed before it is sent."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb")
    length = os.fstat(file.fileno()).st_size
    return Answer(
        headers={"Content-Type": CONTENT_TYPES.get(file_type, "application/octet-stream"), **(headers or {})},
        file=FileBody(file=file, offset=0, length=length),
    )


def _refusal(error: ConversionError, refusals: Mapping[str, Refusal]) -> ServiceError:
    code, status, number = refusals.get(error.code, Refusal(error.code))
    return ServiceError(code, error.message, status=status, headers={"X-ErrNo": number} if number else {})
