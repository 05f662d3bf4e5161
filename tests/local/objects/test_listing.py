"""Listings: the order of keys, pages, prefixes and delimiters, compared with a sorted list."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.local.objects import keys, listing
from airflow_provider_ci.local.objects.folders import Folders

SEGMENTS = [
    "",
    "a",
    "b",
    ".",
    "..",
    "a.b",
    "a-b",
    "a!",
    "%ci%",
    "\x01",
    "é" * 128,
    "x" * 255,
    "x" * 256,
    "x" * 400,
]
KEYS = st.lists(
    st.one_of(
        st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map("/".join),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    ).filter(lambda key: 0 < len(key.encode()) <= keys.MAX_KEY_BYTES),
    max_size=12,
)


def by_bytes(found: set[str] | list[str]) -> list[str]:
    return sorted(found, key=lambda key: key.encode())


def store(folder: Path, wanted: list[str]) -> list[str]:
    """Create the files of these keys, except keys that are also folders; return the keys created."""
    made = set()
    for key in wanted:
        path = folder / keys.to_path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:
            continue
        if path.is_file():
            made.add(key)
    return by_bytes(made)


def expected(made: list[str], prefix: str, delimiter: str, marker: str) -> list[str]:
    """The expected content of a listing, as the API page defines it."""
    found: dict[str, None] = {}
    for key in made:
        if key.startswith(prefix) and key.encode() > marker.encode():
            rest = key[len(prefix) :]
            at = rest.find(delimiter) if delimiter else -1
            name = key if at < 0 else prefix + rest[: at + 1]
            if name != marker:
                found[name] = None
    return list(found)


@given(KEYS)
@settings(max_examples=150, deadline=None)
def test_a_key_is_found_again_under_its_path_and_all_come_in_the_order_of_their_bytes(
    wanted: list[str],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        made = store(Path(name), wanted)
        for batch in (1, 2, 100):
            for folders in (None, Folders()):
                walk = listing.Walk(Path(name), "", "", batch, folders)
                assert [found.key for found in walk] == made


@given(
    KEYS,
    st.sampled_from(["", "/", "a", "-"]),
    st.integers(1, 5),
    st.sampled_from([None, Folders()]),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_the_pages_of_a_listing_hold_every_name_once(
    wanted: list[str], delimiter: str, size: int, folders: Folders | None, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        made = store(Path(name), wanted)
        starts = ["", *made, *[key[:1] for key in made], *[key.rpartition("/")[0] + "/" for key in made]]
        prefix, marker = data.draw(st.sampled_from(starts)), data.draw(st.sampled_from(starts))
        found: list[str] = []
        following = marker
        while True:
            page = listing.page(
                Path(name),
                prefix=prefix,
                delimiter=delimiter,
                marker=following,
                max_keys=size,
                folders=folders,
            )
            found += by_bytes([item.key for item in page.objects] + page.common_prefixes)
            assert len(page.objects) + len(page.common_prefixes) <= size
            following = page.next_marker
            if not following:
                break
        assert found == expected(made, prefix, delimiter, marker)


def test_a_dot_comes_before_a_slash_in_the_listing(call: Any) -> None:
    wanted = ["a", "b/1", "b.txt", "b-c", "b0", "é", "Z", "表"]
    for key in wanted:
        call.put(key)
    assert call("GET", "cos", "/").texts("Contents/Key") == by_bytes(wanted)


def test_an_empty_listing_has_no_contents(call: Any) -> None:
    reply = call("GET", "cos", "/", [("prefix", "none/")])
    assert (reply.texts("Contents"), reply.text("IsTruncated")) == ([], "false")
    assert [node.tag for node in reply.xml] == ["Name", "Prefix", "Marker", "MaxKeys", "IsTruncated"]


def test_an_entry_has_the_documented_nodes(call: Any) -> None:
    call.put("a.txt", b"abc")
    reply = call("GET", "cos", "/", [("delimiter", "/"), ("encoding-type", "url")])
    assert [node.tag for node in reply.xml.find("Contents")] == [
        "Key",
        "LastModified",
        "ETag",
        "Size",
        "Owner",
        "StorageClass",
    ]
    assert reply.text("Contents/ETag") == '"900150983cd24fb0d6963f7d28e17f72"'
    assert reply.text("Contents/Size") == "3"
    assert reply.text("Contents/LastModified").endswith(".000Z")
    assert (reply.text("EncodingType"), reply.text("Delimiter"), reply.text("MaxKeys")) == (
        "url",
        "/",
        "1000",
    )


def test_pages_follow_each_other_by_their_next_marker(call: Any, folder: Path) -> None:
    (folder / "in").mkdir()
    for number in range(25):
        (folder / "in" / f"{number:02}.txt").touch()
    (folder / "z").touch()
    seen: list[str] = []
    marker = ""
    while True:
        reply = call("GET", "cos", "/", [("max-keys", "10"), ("marker", marker), ("prefix", "in/")])
        seen += reply.texts("Contents/Key")
        if reply.text("IsTruncated") == "false":
            assert reply.texts("NextMarker") == []
            break
        marker = reply.text("NextMarker")
        assert marker == seen[-1]
    assert seen == [f"in/{number:02}.txt" for number in range(25)]


def test_common_prefixes_count_as_names(call: Any) -> None:
    for key in ("a/1", "a/2", "b", "c/1", "d"):
        call.put(key)
    first = call("GET", "cos", "/", [("delimiter", "/"), ("max-keys", "3")])
    assert (first.texts("CommonPrefixes/Prefix"), first.texts("Contents/Key")) == (["a/", "c/"], ["b"])
    assert first.text("NextMarker") == "c/"
    rest = call("GET", "cos", "/", [("delimiter", "/"), ("marker", "c/")])
    assert (rest.texts("CommonPrefixes/Prefix"), rest.texts("Contents/Key")) == ([], ["d"])


def test_encoded_names_write_a_blank_as_20_and_keep_the_slash(call: Any) -> None:
    key = "in/a b+c%表\x01.txt"
    call.put(key)
    reply = call("GET", "cos", "/", [("encoding-type", "url"), ("prefix", "in/a b")])
    assert reply.text("Contents/Key") == "in/a%20b%2Bc%25%E8%A1%A8%01.txt"
    assert unquote(reply.text("Contents/Key")) == key
    assert reply.text("Prefix") == "in/a%20b"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("max-keys", "many", "InvalidArgument"),
        ("max-keys", "-1", "InvalidArgument"),
        ("encoding-type", "base64", "InvalidArgument"),
        ("delimiter", "//", "InvalidDelimiter"),
        ("list-type", "2", "NotImplemented"),
    ],
)
def test_senseless_parameters_are_refused(call: Any, name: str, value: str, code: str) -> None:
    assert call("GET", "cos", "/", [(name, value)]).code == code


def test_more_than_1000_keys_are_never_given_at_once(call: Any, folder: Path) -> None:
    for number in range(1001):
        (folder / f"{number:04}").touch()
    reply = call("GET", "cos", "/", [("max-keys", "5000")])
    assert (len(reply.texts("Contents/Key")), reply.text("MaxKeys")) == (1000, "1000")
    assert reply.text("NextMarker") == "0999"


@pytest.mark.parametrize("name", [b"\xff\xfe", b"%ci%plain", b"%ci+%short", b"a\x01b", b"%ci%%2e"])
def test_a_file_that_no_key_names_is_not_listed(call: Any, folder: Path, name: bytes) -> None:
    (folder / "sub").mkdir()
    for place in (folder, folder / "sub"):
        Path(os.fsdecode(os.fsencode(place) + b"/" + name)).touch()
    (folder / "sub" / "real").touch()
    assert call("GET", "cos", "/").texts("Contents/Key") == ["sub/real"]


@pytest.fixture
def remembered(until: Callable[[Callable[[], bool]], None]) -> Callable[[Folders, Path], list[bytes]]:
    """Waits until the names of a folder are remembered, and returns them."""

    def names(folders: Folders, folder: Path) -> list[bytes]:
        until(lambda: folders.names(str(folder)) is folders.names(str(folder)))
        found = folders.names(str(folder))
        assert found is not None
        return found

    return names


def big_folder(folder: Path) -> Path:
    folder.mkdir()
    for number in range(1_500):
        (folder / f"{number:04}").touch()
    return folder


def test_the_names_of_a_big_folder_are_remembered_until_they_change(tmp_path: Path, remembered: Any) -> None:
    big, folders = big_folder(tmp_path / "big"), Folders()

    def listed(marker: str) -> list[str]:
        found = listing.page(
            tmp_path, prefix="big/", delimiter="", marker=marker, max_keys=2, folders=folders
        )
        return [item.key for item in found.objects]

    remembered(folders, big)
    assert listed("big/0010") == ["big/0011", "big/0012"]
    (big / "0010x").touch()
    assert listed("big/0010") == ["big/0010x", "big/0011"]
    remembered(folders, big)
    (big / "0010x").unlink()
    (big / "0011").rename(big / "moved")
    (big / "0012").unlink()
    (big / "0012").mkdir()
    (big / "0012" / "inner").touch()
    assert listed("big/0010") == ["big/0012/inner", "big/0013"]
    remembered(folders, big)
    assert listed("big/0010") == ["big/0012/inner", "big/0013"]
    assert listed("big/1499") == ["big/moved"]


def test_no_more_names_are_remembered_than_allowed(tmp_path: Path, remembered: Any) -> None:
    first, second = big_folder(tmp_path / "first"), big_folder(tmp_path / "second")
    folders = Folders(most=4_000)
    known = remembered(folders, first)
    assert len(known) == 1_500
    remembered(folders, second)
    assert folders.names(str(first)) is not known
    assert Folders(most=1_000).names(str(first)) is None


def test_memory_does_not_grow_with_the_folder(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"{number:05}").touch()
    tracemalloc.start()
    page = listing.page(tmp_path, prefix="", delimiter="", marker="10000", max_keys=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [item.key for item in page.objects] == [f"{number:05}" for number in range(10001, 10101)]
    assert peak < 1_000_000
