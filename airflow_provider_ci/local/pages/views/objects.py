"""A bucket as folders, a search in it, and one object."""

from __future__ import annotations

from airflow_provider_ci.local.errors import ServiceError
from airflow_provider_ci.local.jobs.jobs import Job
from airflow_provider_ci.local.objects import listing
from airflow_provider_ci.local.objects.store import StoredFile
from airflow_provider_ci.local.pages import previews, process
from airflow_provider_ci.local.pages.overview import Wanted
from airflow_provider_ci.local.pages.parts import Parts, Shown, Visit
from airflow_provider_ci.local.pages.views.rows import job_row

PAGE_SIZE = 60
SEARCHED_OBJECTS = 20_000
"""Number of objects that one page of a search looks at; the next page continues from there."""

REPORT_BYTES = 1024 * 1024
"""Maximum number of bytes of a text, such as a report, that the object's own page shows."""

JOBS_SHOWN, JOBS_SEARCHED = 10, 50

_STEP = 1000


def bucket_list(parts: Parts, visit: Visit) -> Shown:
    """Every bucket."""
    return Shown(
        template="buckets.html",
        title="Buckets",
        values={"buckets": parts.store.buckets(), "refresh_ok": True},
    )


def folder(parts: Parts, visit: Visit) -> Shown:
    """One folder of a bucket, or what a search in it found."""
    bucket, prefix, text = visit.rest, visit.parameter("folder"), visit.parameter("find").strip()
    parts.store.require_bucket(bucket)
    after = visit.parameter("after")
    if text:
        page = _search(parts, bucket, prefix, text.lower(), after)
    else:
        page = _page(parts, bucket, prefix, "/", after, PAGE_SIZE)
    files = [found for item in page.objects if (found := parts.store.look(bucket, item.key, item.path))]
    return Shown(
        template="folder.html",
        title=f"{prefix or bucket}",
        refresh=0 if after else 4,
        values={
            "bucket": bucket,
            "folder": prefix,
            "trail": _trail(prefix),
            "find": text,
            "after": after,
            "folders": page.common_prefixes,
            "files": [_file(parts, found, prefix) for found in files],
            "next": page.next_marker,
        },
    )


def stored_object(parts: Parts, visit: Visit) -> Shown:
    """One object, by the rest of the path or by the parameters ``bucket`` and ``key``."""
    bucket, _, key = visit.rest.partition("/")
    bucket, key = (bucket, key) if visit.rest else (visit.parameter("bucket"), visit.parameter("key"))
    found = parts.store.find(bucket, key) if bucket and key else None
    if found is None:
        raise ServiceError("NoSuchKey", f"Object {key!r} does not exist in bucket {bucket!r}.")
    page = visit.number("page", 1, high=999_999)
    return Shown(
        template="object.html",
        title=key.rpartition("/")[2] or key,
        values={
            "bucket": bucket,
            "key": key,
            "folder": key[: key.rfind("/") + 1],
            "trail": _trail(key[: key.rfind("/") + 1]),
            "size": found.size,
            "modified": found.mtime_ns / 1e9,
            "figure": object_figure(parts, bucket, key, page, REPORT_BYTES),
            "page": page,
            "is_paged": previews.kind_of(key) == previews.PAGES,
            "can_convert": previews.can_convert(key),
            "goals": process.goals_of(key),
            "formats": process.FORMATS,
            "jobs": [job_row(job, visit.now) for job in _jobs_of(parts, bucket, key)],
        },
    )


def object_figure(
    parts: Parts, bucket: str, key: str, page: int, most: int = previews.MAX_TEXT_BYTES
) -> dict[str, object]:
    """How an object is shown: as a picture, as text, or by a sentence that says why there is neither."""
    shown: dict[str, object] = {"bucket": bucket, "key": key, "page": page, "text": "", "note": ""}
    found = _find(parts, bucket, key)
    if found is None:
        return {**shown, "kind": "none", "note": "This object does not exist.", "exists": False}
    shown |= {"exists": True, "version": found.mtime_ns, "size": found.size}
    if previews.kind_of(key) in (previews.PICTURE, previews.PAGES):
        return shown | _drawn(parts, found)
    text = previews.text_of(parts, found, most)
    if text is None:
        return {**shown, "kind": "none", "note": "No preview: not a document, a picture or a text."}
    note = f"The first {most:,} of {found.size:,} bytes:" if found.size > most else ""
    return {**shown, "kind": "text", "text": text, "note": note}


def _drawn(parts: Parts, found: StoredFile) -> dict[str, object]:
    if not parts.converts:
        return {"kind": "none", "note": "This local CI only pretends to convert, so it draws no previews."}
    if found.size > previews.MAX_SOURCE_BYTES:
        limit = previews.MAX_SOURCE_BYTES // 1024**2
        return {"kind": "none", "note": f"Objects larger than {limit} MiB have no preview."}
    return {"kind": "picture"}


def _jobs_of(parts: Parts, bucket: str, key: str) -> list[Job]:
    """The newest jobs of this input."""
    found = parts.overview.newest(Wanted(text=key), JOBS_SEARCHED)
    wanted = (bucket, key)
    return [job for job in found if (job.bucket, job.input_object.removeprefix("/")) == wanted][:JOBS_SHOWN]


def _is_drawn(found: StoredFile) -> bool:
    is_kind = previews.kind_of(found.key) in (previews.PICTURE, previews.PAGES)
    return is_kind and found.size <= previews.MAX_SOURCE_BYTES


def _find(parts: Parts, bucket: str, key: str) -> StoredFile | None:
    try:
        return parts.store.find(bucket, key)
    except ServiceError:  # the bucket was removed, or the key is invalid
        return None


def _file(parts: Parts, found: StoredFile, prefix: str) -> dict[str, object]:
    return {
        "key": found.key,
        "name": found.key.removeprefix(prefix) or found.key,
        "size": found.size,
        "modified": found.mtime_ns / 1e9,
        "version": found.mtime_ns,
        "suffix": previews.suffix_of(found.key)[:5] or "file",
        "has_thumbnail": parts.converts and _is_drawn(found),
    }


def _page(parts: Parts, bucket: str, prefix: str, delimiter: str, marker: str, size: int) -> listing.Names:
    return listing.page(
        parts.store.bucket_path(bucket),
        prefix=prefix,
        delimiter=delimiter,
        marker=marker,
        max_keys=size,
        folders=parts.folders,
        synthetic=parts.store.synthetic.get(bucket),
    )


def _search(parts: Parts, bucket: str, prefix: str, text: str, after: str) -> listing.Names:
    found: list[listing.Found] = []
    for _ in range(SEARCHED_OBJECTS // _STEP):
        page = _page(parts, bucket, prefix, "", after, _STEP)
        for item in page.objects:
            if text in item.key[len(prefix) :].lower():
                found.append(item)
            if len(found) == PAGE_SIZE:
                return listing.Names(objects=found, common_prefixes=[], next_marker=item.key)
        after = page.next_marker
        if not after:
            break
    return listing.Names(objects=found, common_prefixes=[], next_marker=after)


def _trail(prefix: str) -> list[tuple[str, str]]:
    """The name and the prefix of each folder in ``prefix``."""
    names = prefix.split("/")[:-1]
    return [(name or "/", "/".join(names[: number + 1]) + "/") for number, name in enumerate(names)]
