"""Buckets as folders of plain files: reads, writes and deletes objects, and computes their ETags.

A bucket exists if and only if its folder does. A file put there by hand is an object like any other. Writes
go to a temporary file outside the buckets, which is then renamed, so that no incomplete object is visible.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mimetypes
import os
import shutil
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from tempfile import mkstemp
from threading import Lock
from typing import BinaryIO

from airflow_provider_ci.local.database import Database
from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.objects import keys, synthetic
from airflow_provider_ci.local.objects.crc64 import Crc64
from airflow_provider_ci.local.objects.synthetic import SyntheticObjects

STATE_FOLDER = ".ci-local"
"""Folder beside the buckets for the database, the lock and temporary files; no bucket can have its name."""

STORAGE_CLASS = "x-cos-storage-class"
STANDARD = "STANDARD"
_ARCHIVED = frozenset({"ARCHIVE", "DEEP_ARCHIVE"})

_HASH_BYTES = 1024 * 1024
# A file changed this recently may change again within the same tick of the file system's clock.
_SETTLED_NANOSECONDS = 50_000_000
_NOT_FOUND = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_CONFLICTS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """The file behind an object, and what identifies its current content.

    A synthetic object has its ``text`` instead of a file.
    """

    bucket: str
    key: str
    path: str
    size: int
    mtime_ns: int
    inode: int
    text: bytes | None = None

    @property
    def name(self) -> str:
        """The file's key in the table of objects."""
        return f"{self.bucket}/{self.key}"

    @property
    def identity(self) -> tuple[int, int, int]:
        """Size, modification time and inode; they change whenever the file is replaced or written to."""
        return (self.size, self.mtime_ns, self.inode)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object: its file, its ETag (MD5 in hex, no quotes) and the headers that it was stored with.

    ``crc64`` is the checksum as COS shows it, ``""`` until :meth:`Store.checksum` computes it.
    """

    file: StoredFile
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)
    crc64: str = ""

    @property
    def modified(self) -> float:
        """When the object was last written, in Unix seconds."""
        return self.file.mtime_ns / 1e9

    @property
    def storage_class(self) -> str:
        """``STANDARD`` unless the upload named another storage class."""
        return self.headers.get(STORAGE_CLASS, STANDARD)

    @property
    def is_archived(self) -> bool:
        """Whether the object has to be restored before it can be read."""
        return self.storage_class in _ARCHIVED

    @property
    def content_type(self) -> str:
        """The stored content type; if none was stored, a guess from the key's suffix."""
        guessed = mimetypes.guess_type(self.file.key, strict=False)[0]
        return self.headers.get("Content-Type") or guessed or "application/octet-stream"


class Store:
    """The buckets under ``root``, with the ``synthetic`` objects of some of them. Thread-safe."""

    def __init__(
        self, root: Path, database: Database, synthetic: Mapping[str, SyntheticObjects] | None = None
    ) -> None:
        self._root = root
        self._database = database
        self.synthetic = synthetic or {}
        self._temporary = root / STATE_FOLDER / "tmp"
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        self._shape = Lock()  # so that no folder is pruned just before a file is put there

    def bucket_path(self, bucket: str) -> Path:
        """The folder of ``bucket``, whether or not it exists."""
        return self._root / bucket

    def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket's folder exists; a symbolic link does not count."""
        if not keys.is_bucket_name(bucket):  # names come from the bodies of requests, too
            return False
        try:
            return stat.S_ISDIR(os.lstat(f"{self._root}/{bucket}").st_mode)
        except OSError:
            return False

    def buckets(self) -> list[str]:
        """The names of all buckets, sorted."""
        with os.scandir(self._root) as found:
            return sorted(
                [item.name for item in found if item.is_dir(follow_symlinks=False) and item.name[0] != "."]
            )

    def require_bucket(self, bucket: str) -> Path:
        """The folder of an existing bucket.

        :raises ServiceError: ``NoSuchBucket``.
        """
        if not self.has_bucket(bucket):
            message = (
                f"bucket {bucket!r} does not exist; make the folder {bucket} in the server's root folder"
            )
            raise ServiceError("NoSuchBucket", message)
        return self.bucket_path(bucket)

    def find(self, bucket: str, key: str) -> StoredFile | None:
        """The file of an object; None if the object does not exist."""
        folder, relative = self.require_bucket(bucket), keys.to_path(keys.check_key(key))
        if keys.has_link(str(folder), relative):
            return None
        return self.look(bucket, key, f"{folder}/{relative}")

    def look(self, bucket: str, key: str, path: str) -> StoredFile | None:
        """The file at ``path`` as object ``key``, else the synthetic object; None if there is neither."""
        try:
            found = os.lstat(path)
        except OSError as error:
            if error.errno in _NOT_FOUND:
                return self._made_up(bucket, key)
            raise
        return _stored_file(bucket, key, path, found) if stat.S_ISREG(found.st_mode) else None

    def open(self, file: StoredFile) -> tuple[BinaryIO, StoredFile] | None:
        """Open the object's file and describe it again, as it may have been replaced; None if it is gone."""
        if file.text is not None:
            return BytesIO(file.text), file
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (*_NOT_FOUND, errno.ELOOP):
                return None
            raise
        opened = os.fdopen(descriptor, "rb")
        return opened, _stored_file(file.bucket, file.key, file.path, os.fstat(descriptor))

    def copy(self, file: StoredFile, target: Path) -> bool:
        """Link or copy an object to ``target``, unaffected by later writes; False if the object is gone."""
        if file.text is not None:
            target.write_bytes(file.text)
            return True
        try:
            os.link(file.path, target)
        except FileNotFoundError:
            return False
        except OSError:  # a bucket on another file system, or one without hard links
            shutil.copyfile(file.path, target)
        return True

    def is_known(self, file: StoredFile) -> bool:
        """Whether :meth:`describe` returns without reading the file."""
        return file.name in self._recall([file])

    def is_archived(self, file: StoredFile) -> bool:
        """Whether the object has to be restored before it can be read; does not read the file."""
        known = self._recall([file]).get(file.name)
        return known is not None and known.is_archived

    def describe(self, files: Iterable[StoredFile]) -> list[StoredObject]:
        """The objects of these files; reads the files whose ETag is not known yet."""
        wanted = list(files)
        known = self._recall([file for file in wanted if file.text is None])
        return [known.get(file.name) or self._hashed(file) for file in wanted]

    def checksum(self, stored: StoredObject) -> str:
        """The CRC-64 of an object; reads the file the first time, unless the object was uploaded."""
        if stored.crc64:
            return stored.crc64
        opened = self.open(stored.file)
        if opened is None:
            return Crc64().text
        digest = Crc64()
        with opened[0] as content:
            while chunk := content.read(_HASH_BYTES):
                digest.update(chunk)
        if opened[1].identity == stored.file.identity:
            self._database.change(
                "UPDATE objects SET crc64 = ? WHERE (path, size, mtime_ns, inode) = (?, ?, ?, ?)",
                (digest.text, stored.file.name, *stored.file.identity),
            )
        return digest.text

    def upload(self, bucket: str, key: str) -> Upload:
        """Begin to write an object, which is not visible before :meth:`Upload.commit`."""
        self.require_bucket(bucket)
        keys.check_key(key)
        descriptor, path = mkstemp(dir=self._temporary)
        return Upload(store=self, bucket=bucket, key=key, path=path, file=os.fdopen(descriptor, "wb"))

    def adopt(self, bucket: str, key: str, source: Path, headers: Mapping[str, str]) -> StoredObject:
        """Move a finished file from outside the buckets into a bucket, replacing an existing object."""
        return self.place(bucket, key, str(source), md5_of(source), headers, replace=True)

    def place(
        self,
        bucket: str,
        key: str,
        source: str,
        etag: str,
        headers: Mapping[str, str],
        *,
        replace: bool,
        crc64: str = "",
    ) -> StoredObject:
        """Rename ``source`` to the object's path and store its ETag and headers.

        :raises ServiceError: ``PathConflict`` if a part of the key is an object or the key is a folder of
            objects; ``FileAlreadyExists`` if the object exists and ``replace`` is false; ``AccessDenied`` if
            the path leads through a symbolic link.
        """
        folder, relative = self.require_bucket(bucket), keys.to_path(keys.check_key(key))
        parent = relative.rpartition("/")[0]
        target = f"{folder}/{relative}"
        with self._shape:
            if parent and keys.has_link(str(folder), parent):
                raise ServiceError("AccessDenied", f"{key!r} leads through a symbolic link", status=403)
            if not replace and os.path.lexists(target):
                raise ServiceError("FileAlreadyExists", f"{key!r} exists and x-cos-forbid-overwrite is true")
            try:
                (folder / parent).mkdir(parents=True, exist_ok=True)
                _rename(Path(source), Path(target))
            except OSError as error:
                raise _placing_error(key, error) from error
            stored = StoredObject(
                file=_stored_file(bucket, key, target, os.lstat(target)),
                etag=etag,
                headers=dict(headers),
                crc64=crc64,
            )
            self._remember(stored)
        return stored

    def add_header(self, stored: StoredObject, name: str, value: str) -> None:
        """Add a header to an object, unless its content was replaced in the meantime."""
        headers = {**stored.headers, name: value}
        found = self.find(stored.file.bucket, stored.file.key)
        if found is not None and found.text is None and found.identity == stored.file.identity:
            self._remember(replace(stored, headers=headers))

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object if it exists, and the folders that become empty.

        :raises ServiceError: ``AccessDenied`` for a synthetic object.
        """
        file = self.find(bucket, key)
        if file is None:
            return
        if file.text is not None:
            raise ServiceError("AccessDenied", f"{key!r} is synthetic and cannot be deleted", status=403)
        with self._shape:
            Path(file.path).unlink(missing_ok=True)
            self._database.change("DELETE FROM objects WHERE path = ?", (file.name,))
            _prune(Path(file.path).parent, self.bucket_path(bucket))

    def _made_up(self, bucket: str, key: str) -> StoredFile | None:
        objects = self.synthetic.get(bucket)
        text = objects.content(key) if objects else None
        if text is None:
            return None
        modified = synthetic.MODIFIED * 1_000_000_000
        return StoredFile(
            bucket=bucket, key=key, path="", size=len(text), mtime_ns=modified, inode=0, text=text
        )

    def _recall(self, files: list[StoredFile]) -> dict[str, StoredObject]:
        rows = self._database.rows(
            "SELECT objects.* FROM json_each(?) AS wanted JOIN objects ON objects.path = wanted.value",
            (json.dumps([file.name for file in files]),),
        )
        noted = {row["path"]: row for row in rows}
        return {
            file.name: StoredObject(
                file=file, etag=row["etag"], headers=json.loads(row["headers"]), crc64=row["crc64"]
            )
            for file in files
            if (row := noted.get(file.name)) and (row["size"], row["mtime_ns"], row["inode"]) == file.identity
        }

    def _hashed(self, file: StoredFile) -> StoredObject:
        if file.text is not None:
            return StoredObject(file=file, etag=synthetic.etag(file.text))
        opened = self.open(file)
        if opened is None:
            return StoredObject(file=file, etag=hashlib.md5(usedforsecurity=False).hexdigest())
        with opened[0] as content:
            etag = _md5(content)
            now = _stored_file(file.bucket, file.key, file.path, os.fstat(content.fileno()))
        found = StoredObject(file=now, etag=etag)
        if time.time_ns() - now.mtime_ns > _SETTLED_NANOSECONDS and now.identity == file.identity:
            self._remember(found)
        return found

    def _remember(self, stored: StoredObject) -> None:
        self._database.change(
            "REPLACE INTO objects (path, size, mtime_ns, inode, etag, headers, crc64)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                stored.file.name,
                *stored.file.identity,
                stored.etag,
                json.dumps(dict(stored.headers)),
                stored.crc64,
            ),
        )


@dataclass(slots=True, kw_only=True)
class Upload:
    """An upload in progress: write its chunks in order, then commit or discard it."""

    store: Store
    bucket: str
    key: str
    path: str
    file: BinaryIO
    size: int = 0
    digest: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    checksum: Crc64 = field(default_factory=Crc64)

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        self.file.write(chunk)
        self.digest.update(chunk)
        self.checksum.update(chunk)
        self.size += len(chunk)

    def commit(self, headers: Mapping[str, str], *, replace: bool) -> StoredObject:
        """Move the object to its path in the bucket, and return it."""
        self.file.close()
        return self.store.place(
            self.bucket,
            self.key,
            self.path,
            self.digest.hexdigest(),
            headers,
            replace=replace,
            crc64=self.checksum.text,
        )

    def discard(self) -> None:
        """Remove the temporary file of an upload that was not committed; harmless after a commit."""
        with suppress(OSError):  # the buffered rest may not fit onto a full disk
            self.file.close()
        Path(self.path).unlink(missing_ok=True)


def md5_of(path: Path) -> str:
    """The MD5 of a file in hex, which is the ETag of an object with the same content."""
    with path.open("rb") as file:
        return _md5(file)


def _stored_file(bucket: str, key: str, path: str, found: os.stat_result) -> StoredFile:
    return StoredFile(
        bucket=bucket, key=key, path=path, size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino
    )


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(_HASH_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _rename(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except IsADirectoryError:
        target.rmdir()  # an empty leftover; if it holds objects, the caller reports a conflict
        source.replace(target)


def _placing_error(key: str, error: OSError) -> Exception:
    if error.errno in _CONFLICTS:
        message = (
            f"{key!r} cannot be stored: one of its folders is an object, or it is a folder of other objects; "
            "the local CI keeps objects as files, where a name is one or the other"
        )
        return ServiceError("PathConflict", message, status=409)
    if error.errno == errno.ENAMETOOLONG:
        return ServiceError("KeyTooLong", f"the path of {key!r} is too long for the file system", status=400)
    return error


def _prune(folder: Path, stop: Path) -> None:
    with suppress(OSError):  # not empty
        while folder != stop:
            folder.rmdir()
            folder = folder.parent
