"""Synthetic objects are listed, read and converted like files, and can be mixed with real ones."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.objects.listing import Names, page
from airflow_provider_ci.local.objects.synthetic import MAX_OBJECTS, SyntheticObjects

BUCKET = "examplebucket-1250000000"
FIRST = "synthetic/2020/01/01/doc-0000001.txt"


@pytest.fixture
def server(serve: Callable[..., LocalCI]) -> LocalCI:
    """A local CI whose bucket has 2,500 synthetic objects, spread over two and a half days."""
    return serve(synthetic={BUCKET: 2500})


def keys(call: Any, *params: tuple[str, str]) -> list[str]:
    """All keys of a listing, read page by page."""
    found: list[str] = []
    marker = ""
    while True:
        reply = call("GET", "cos", "/", [*params, ("marker", marker)])
        found += reply.texts("Contents/Key")
        if reply.text("IsTruncated") == "false":
            return found
        marker = reply.text("NextMarker")


def test_a_bucket_lists_as_many_as_were_asked_for_in_the_order_of_their_keys(call: Any) -> None:
    found = keys(call)
    assert (len(found), found[0], found[-1]) == (2500, FIRST, "synthetic/2020/01/03/doc-0002500.txt")
    assert all(before < after for before, after in pairwise(found))


def test_prefix_marker_delimiter_and_page_size_are_heeded(call: Any) -> None:
    assert len(keys(call, ("prefix", "synthetic/2020/01/03/"))) == 500
    assert keys(call, ("prefix", "synthetic/2020/01/02/doc-000200")) == [
        "synthetic/2020/01/02/doc-0002000.txt"
    ]
    assert keys(call, ("prefix", "synthetic/2021/")) == []
    reply = call("GET", "cos", "/", [("prefix", "synthetic/2020/01/"), ("delimiter", "/"), ("max-keys", "2")])
    days = ["synthetic/2020/01/01/", "synthetic/2020/01/02/"]
    assert (reply.texts("CommonPrefixes/Prefix"), reply.text("NextMarker")) == (days, days[1])
    reply = call("GET", "cos", "/", [("prefix", "synthetic/"), ("marker", FIRST), ("max-keys", "1")])
    assert reply.texts("Contents/Key") == ["synthetic/2020/01/01/doc-0000002.txt"]


def test_what_is_listed_of_an_object_is_what_reading_it_gives(call: Any) -> None:
    listed = call("GET", "cos", "/", [("max-keys", "30")]).xml.findall("Contents")
    for node in listed:
        reply = call.get(node.findtext("Key"))
        assert f'"{hashlib.md5(reply.body).hexdigest()}"' == reply.headers["etag"] == node.findtext("ETag")
        assert str(len(reply.body)) == node.findtext("Size")
        assert node.findtext("LastModified") == "2020-01-01T00:00:00.000Z"
        assert reply.headers["last-modified"] == "Wed, 01 Jan 2020 00:00:00 GMT"
    assert len({node.findtext("ETag") for node in listed}) == 30
    head = call("HEAD", "cos", f"/{FIRST}")
    assert (head.status, head.headers["content-type"]) == (200, "text/plain")
    assert call.get(FIRST, Range="bytes=0-3").body == b"This"


@pytest.mark.parametrize(
    "key",
    [
        "synthetic/2020/01/03/doc-0002501.txt",
        "synthetic/2020/01/02/doc-0000001.txt",
        "synthetic/2020/01/01/doc-0000000.txt",
        "synthetic/2020/01/01/doc-1.txt",
        "synthetic/",
    ],
)
def test_no_other_key_is_made_up(call: Any, key: str) -> None:
    assert call.get(key).status == 404


def test_files_stand_between_synthetic_objects_and_before_those_of_their_name(call: Any) -> None:
    for key in ("a.txt", FIRST, f"{FIRST}.pdf", "synthetic/2020/01/01.txt", "zz.txt"):
        call.put(key, b"mine")
    found = keys(call)
    assert len(found) == len(set(found)) == 2504
    assert found == sorted(found)
    assert found[:4] == ["a.txt", "synthetic/2020/01/01.txt", FIRST, f"{FIRST}.pdf"]
    assert call("GET", "cos", "/", [("prefix", FIRST)]).texts("Contents/Size") == ["4", "4"]
    assert call.get(FIRST).body == b"mine"
    assert call("DELETE", "cos", f"/{FIRST}").status == 204
    assert call.get(FIRST).body == b"This is synthetic document 1.\n"


def test_a_synthetic_object_cannot_be_deleted(call: Any) -> None:
    reply = call("DELETE", "cos", f"/{FIRST}")
    assert (reply.status, reply.code) == (403, "AccessDenied")
    assert call.get(FIRST).status == 200


def test_a_synthetic_object_is_converted_like_a_file(call: Any, folder: Path) -> None:
    done = call.finished(call.submit(call.doc_job(FIRST, "out/1.pdf")))
    assert done.text("JobsDetail/State") == "Success"
    assert (folder / "out" / "1.pdf").read_bytes().startswith(b"%PDF")
    assert [path.name for path in folder.iterdir()] == ["out"]


def test_other_buckets_have_none(call: Any, caller: Any, root: Path) -> None:
    (root / "other-1250000000").mkdir()
    assert caller(call.server, bucket="other-1250000000")("GET", "cos", "/").texts("Contents/Key") == []


def test_millions_take_no_memory_and_a_page_looks_at_itself_alone(tmp_path: Path) -> None:
    objects = SyntheticObjects(count=MAX_OBJECTS)
    tracemalloc.start()
    found = page(tmp_path, prefix="", delimiter="", marker="synthetic/2040", max_keys=1000, synthetic=objects)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found.objects), found.objects[0].key) == (1000, "synthetic/2040/01/01/doc-7305001.txt")
    assert peak < 4_000_000


@settings(deadline=None)
@given(
    files=st.sets(st.sampled_from(["a", FIRST, f"{FIRST}a", "synthetic/2020/01/01a", "synthetic/x", "z"])),
    count=st.integers(0, 2002),
    prefix=st.sampled_from(
        ["", "s", "synthetic/", "synthetic/2020/01/0", "synthetic/2020/01/01", FIRST, "x"]
    ),
    delimiter=st.sampled_from(["", "/", "-"]),
    marker=st.sampled_from(
        ["", "a", "synthetic/", "synthetic/2020/01/01/", FIRST, "synthetic/2020/01/02", "z"]
    ),
    size=st.integers(1, 700),
)
def test_a_merged_listing_is_that_of_as_many_files(
    tmp_path_factory: pytest.TempPathFactory,
    files: set[str],
    count: int,
    prefix: str,
    delimiter: str,
    marker: str,
    size: int,
) -> None:
    folder = tmp_path_factory.mktemp("bucket")
    for key in files:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).touch()
    objects = SyntheticObjects(count=count)
    wanted = expected(files | set(objects.walk("", "")), prefix, delimiter, marker)
    found: list[str] = []
    while True:
        names: Names = page(
            folder, prefix=prefix, delimiter=delimiter, marker=marker, max_keys=size, synthetic=objects
        )
        found += sorted([item.key for item in names.objects] + names.common_prefixes)
        marker = names.next_marker
        if not marker:
            break
    assert found == wanted


def expected(every: set[str], prefix: str, delimiter: str, marker: str) -> list[str]:
    """Keys and common prefixes in one list, as the definition of a listing requires."""
    shown = set()
    for key in every:
        head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        name = prefix + head + cut if cut else key
        is_below_marker = bool(cut) and marker == name
        if key.startswith(prefix) and key > marker and not is_below_marker:
            shown.add(name)
    return sorted(shown)


@pytest.mark.parametrize("count", [-1, MAX_OBJECTS + 1])
def test_more_than_can_be_named_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="synthetic objects"):
        LocalCI(tmp_path, synthetic={BUCKET: count})
