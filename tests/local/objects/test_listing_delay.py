"""Delayed listings: a new object is missing from listings, but all other requests find it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.objects.listing import page

BUCKET = "examplebucket-1250000000"
NAMES = ("a/1", "a/2", "a/b/1", "b", "c/1", "d/1", "d/2", "e", "f")
WRITTEN = 2_000_000_000_000_000_000
"""Unix time, in nanoseconds, at which the new files of the comparisons were written."""


@pytest.fixture
def server(serve: Callable[..., LocalCI]) -> LocalCI:
    """A local CI whose listings show objects one hour late."""
    return serve(listing_delay_seconds=3600)


def listed(call: Any, *params: tuple[str, str]) -> list[str]:
    found: list[str] = call("GET", "cos", "/", [*params]).texts("Contents/Key")
    return found


def settle(path: Path) -> None:
    """Make the file two hours older."""
    then = path.stat().st_mtime - 7200
    os.utime(path, (then, then))


def test_an_object_is_there_at_once_and_listed_later(call: Any, folder: Path) -> None:
    call.put("a.txt", b"new")
    assert listed(call) == []
    assert call("HEAD", "cos", "/a.txt").status == 200
    assert call.get("a.txt").body == b"new"
    settle(folder / "a.txt")
    assert listed(call) == ["a.txt"]


def test_an_overwritten_object_is_missing_for_as_long(call: Any, folder: Path) -> None:
    call.put("a.txt", b"old")
    settle(folder / "a.txt")
    assert listed(call) == ["a.txt"]
    etag = call.put("a.txt", b"new").headers["etag"]
    assert listed(call) == []
    settle(folder / "a.txt")
    assert call("GET", "cos", "/").texts("Contents/ETag") == [etag]


def test_a_file_put_by_hand_is_listed_by_its_age(call: Any, folder: Path) -> None:
    for name in ("old.txt", "new.txt"):
        (folder / name).touch()
    settle(folder / "old.txt")
    assert listed(call) == ["old.txt"]
    assert call.get("new.txt").status == 200


def test_a_deleted_object_is_gone_at_once(call: Any, folder: Path) -> None:
    call.put("a.txt")
    settle(folder / "a.txt")
    call("DELETE", "cos", "/a.txt")
    assert listed(call) == []


def test_the_output_of_a_job_is_listed_later_and_the_job_at_once(call: Any, folder: Path) -> None:
    call.put("a.docx")
    job = call.finished(call.submit(call.doc_job("a.docx", "out/a.pdf")))
    jobs = call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")])
    assert jobs.texts("JobsDetail/JobId") == job.texts("JobsDetail/JobId")
    assert call("HEAD", "cos", "/out/a.pdf").status == 200
    assert listed(call) == []
    settle(folder / "out" / "a.pdf")
    assert listed(call) == ["out/a.pdf"]


def test_a_common_prefix_is_there_when_one_object_below_it_is(call: Any, folder: Path) -> None:
    for key in ("a/1", "b/1", "b/2"):
        call.put(key)
    settle(folder / "b" / "2")
    assert call("GET", "cos", "/", [("delimiter", "/")]).texts("CommonPrefixes/Prefix") == ["b/"]


def test_pages_go_on_behind_objects_that_are_missing(call: Any, folder: Path) -> None:
    for key in ("a", "b", "c", "d", "e", "f"):
        call.put(key)
    for key in ("a", "e"):
        settle(folder / key)
    first = call("GET", "cos", "/", [("max-keys", "1")])
    assert (first.texts("Contents/Key"), first.text("NextMarker")) == (["a"], "a")
    last = call("GET", "cos", "/", [("max-keys", "1"), ("marker", "a")])
    assert (last.texts("Contents/Key"), last.text("IsTruncated")) == (["e"], "false")


def test_synthetic_objects_are_always_listed(call: Any, serve: Callable[..., LocalCI], caller: Any) -> None:
    call.server.stop()
    found = listed(caller(serve(listing_delay_seconds=3600, synthetic={BUCKET: 3})))
    assert len(found) == 3


@given(
    fresh=st.sets(st.sampled_from(NAMES)),
    delimiter=st.sampled_from(["", "/"]),
    prefix=st.sampled_from(["", "a/", "d", "x"]),
    marker=st.sampled_from(["", "a/", "a/1", "b", "d/", "f"]),
    size=st.integers(1, 9),
)
@settings(deadline=None)
def test_a_listing_is_that_of_a_bucket_without_what_is_fresh(
    fresh: set[str], delimiter: str, prefix: str, marker: str, size: int
) -> None:
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as settled:
        for name in NAMES:
            _write(Path(whole) / name, WRITTEN if name in fresh else WRITTEN - 1)
        for name in {*NAMES} - fresh:
            _write(Path(settled) / name, WRITTEN)
        query: dict[str, Any] = {"prefix": prefix, "delimiter": delimiter, "max_keys": size}
        shown = pages(Path(whole), marker, **query, written_before_ns=WRITTEN)
        assert shown == pages(Path(settled), marker, **query)


def _write(path: Path, written_ns: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, ns=(written_ns, written_ns))


def pages(folder: Path, marker: str, **query: Any) -> list[tuple[list[str], list[str], str]]:
    """Keys, common prefixes and next marker of every page."""
    found = []
    while True:
        names = page(folder, marker=marker, **query)
        found.append(([item.key for item in names.objects], names.common_prefixes, names.next_marker))
        marker = names.next_marker
        if not marker:
            return found
