"""What we assume about the objects of a bucket."""

from __future__ import annotations

import hashlib

from airflow_provider_ci.check import samples
from airflow_provider_ci.check.assumption import Assumption
from airflow_provider_ci.check.finding import Finding, Matters
from airflow_provider_ci.check.trial import LISTING_POLLS, Trial
from airflow_provider_ci.client import CIServiceError, NotFoundError, ObjectExistsError

ODD_NAMES = ("keys/a b+%.txt", "keys/b.txt", "keys/b/c.txt", "keys/\u6587.txt")
"""Keys that are hard to handle, sorted by their bytes."""


def etag(trial: Trial) -> Finding:
    """Compare the ETag of an object with the MD5 of its bytes."""
    found = trial.stored[0].etag
    fits = found == hashlib.md5(samples.DOCUMENT, usedforsecurity=False).hexdigest()
    return Finding("the MD5" if fits else f"{found!r}, which is not the MD5", fits)


def checksum(trial: Trial) -> Finding:
    """Check that a PUT returns the checksum that other programs compare."""
    value = trial.stored[1].response_headers.get("x-cos-hash-crc64ecma")
    return Finding("present" if value else "missing", bool(value))


def versioning(trial: Trial) -> Finding:
    """Check that a stored object has no version id."""
    version = trial.stored[1].response_headers.get("x-cos-version-id")
    return Finding("the object has a version id" if version else "no version id", not version)


def overwriting(trial: Trial) -> Finding:
    """Store an object twice, both times with a header that forbids replacing it."""
    trial.put("protected.txt", overwrite=False)
    try:
        trial.put("protected.txt", overwrite=False)
    except ObjectExistsError as error:
        return Finding(f"refused: {error.status} {error.code}", True)
    except CIServiceError as error:
        return Finding(f"refused in another way: {error.status} {error.code}", False)
    return Finding("the object was replaced", False)


def read_after_write(trial: Trial) -> Finding:
    """Replace an object, and read it immediately."""
    trial.put("changed.txt", b"old")
    trial.put("changed.txt", b"new")
    found = trial.client.read_object(trial.key("changed.txt"))
    return Finding("the new content" if found == b"new" else f"{found!r:.40} after b'new'", found == b"new")


def read_after_delete(trial: Trial) -> Finding:
    """Delete an object, and check immediately that it is gone."""
    trial.put("deleted.txt")
    trial.client.delete_object(trial.key("deleted.txt"))
    is_there = trial.exists(trial.key("deleted.txt"))
    return Finding("it can still be read" if is_there else "404 at once", not is_there)


def missing_object(trial: Trial) -> Finding:
    """Read an object that does not exist."""
    try:
        trial.client.read_object(trial.key("missing.txt"))
    except NotFoundError as error:
        return Finding(f"{error.status} {error.code}", error.code == "NoSuchKey")
    except CIServiceError as error:
        return Finding(f"{error.status} {error.code}", False)
    return Finding("an object", False)


def listing_lag(trial: Trial) -> Finding:
    """Measure how long a new object is missing from the listing."""
    after = trial.listed_after
    if after is None:
        return Finding(f"not listed within {trial.patience_seconds:g} s", False)
    return Finding("at once" if after == 0 else f"after {after:.1f} s", after == 0)


def listing_order(trial: Trial) -> Finding:
    """List unusual keys in one page, and again with one key per page."""
    wanted = [trial.put(name).key for name in ODD_NAMES]
    folder = f"{trial.folder}keys/"
    found: list[str] = []
    for polls, _ in enumerate(trial.pauses(), 1):
        found = [item.key for item in trial.client.list_objects_page(folder).objects]
        if set(found) >= set(wanted) or polls == LISTING_POLLS:
            break
    paged = [item.key for item in trial.client.list_objects(folder, page_size=1)]
    if found == paged == wanted:
        return Finding(f"{len(wanted)} keys in order, on as many pages", True)
    said = f"pages of one give {_names(paged, folder)}, one page gives {_names(found, folder)}"
    return Finding(said, False)


def _names(keys: list[str], folder: str) -> str:
    return ", ".join(repr(key.removeprefix(folder)) for key in keys) or "nothing"


OBJECTS = (
    Assumption(
        name="listing lag",
        assumed="a new object is in the listing at once",
        look=listing_lag,
        matters=Matters.COMFORT,
        advice="A batch that starts right after an upload can miss the newest objects; the next run takes "
        "them. Let a sensor wait first (CIObjectSensor), with settled_seconds above this delay.",
    ),
    Assumption(
        name="overwriting",
        assumed="PUT with x-cos-forbid-overwrite does not replace an object",
        look=overwriting,
        matters=Matters.EXACTLY_ONCE,
        advice="The bucket has versioning, or had it once. The engine notices this and takes its order from "
        "time instead: each batch waits some eight seconds more. Switch it neither on nor off while batches "
        "run, or keep ledgers in a bucket without versioning.",
        requests=2,
    ),
    Assumption(
        name="versioning",
        assumed="an object has no version id",
        look=versioning,
        matters=Matters.EXACTLY_ONCE,
        advice="See overwriting. Deleted objects of this check stay as old versions: let a lifecycle rule "
        "remove old versions.",
    ),
    Assumption(
        name="read after write",
        assumed="a replaced object is read with its new content at once",
        look=read_after_write,
        matters=Matters.EXACTLY_ONCE,
        advice="Something between this machine and the bucket caches objects, such as a proxy or a CDN "
        "domain. Connect to the bucket directly.",
        requests=3,
    ),
    Assumption(
        name="read after delete",
        assumed="a deleted object cannot be read any more",
        look=read_after_delete,
        matters=Matters.COMFORT,
        advice="A cache on the way answers. Connect to the bucket directly.",
        requests=3,
    ),
    Assumption(
        name="missing object",
        assumed="reading a missing object is 404 NoSuchKey",
        look=missing_object,
        matters=Matters.EXACTLY_ONCE,
        advice="The engine takes a 404 for a missing record. Allow this key to list the bucket "
        "(cos:GetBucket): without it, COS hides what is missing behind a 403.",
        requests=1,
    ),
    Assumption(
        name="listing order",
        assumed="listings are ordered by bytes, complete on small pages, and keep odd keys as they are",
        look=listing_order,
        matters=Matters.EXACTLY_ONCE,
        advice="A batch can miss objects, or take one twice. Do not use batches on this bucket, and send us "
        "a record.",
        requests=len(ODD_NAMES) + LISTING_POLLS + len(ODD_NAMES) + 1,
    ),
    Assumption(
        name="ETag",
        assumed="the ETag of an uploaded object is the MD5 of its bytes",
        look=etag,
        matters=Matters.COMFORT,
        advice="The bucket encrypts its objects, or the endpoint changes them. Uploads are not compared with "
        "their ETag then; changed objects are still noticed.",
    ),
    Assumption(
        name="checksum",
        assumed="PUT returns x-cos-hash-crc64ecma",
        look=checksum,
        matters=Matters.COMFORT,
        advice="This package does not use it. The official Go SDK refuses uploads without it.",
    ),
)
