"""Objects on the wire and on the disk: listings are complete; files are complete or do not exist."""

from __future__ import annotations

import base64
import hashlib
import os
import resource
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    CIResponseError,
    NotFoundError,
    RetryPolicy,
)
from airflow_provider_ci.client.http.address import unquoted

NOW = 1700000060.0  # where the fake clock starts
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"
WHEN = datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


# Listings


def test_a_listing_goes_on_until_its_end(ci: CIClient, wire: Any, listing_reply: Any) -> None:
    wire.will(
        listing_reply("in/a", "in/b%20c%2B", truncated="true", marker="in/b%20c%2B"),
        listing_reply("in/%E8%A1%A8"),
    )
    found = ci.list_objects("in/", start_after="in/0")
    first = next(found)
    assert len(wire.requests) == 1
    assert [each.key for each in found] == ["in/b c+", "in/表"]
    assert (first.key, first.size, first.etag) == ("in/a", 3, "d41d8cd98f00b204e9800998ecf8427e")
    assert (first.last_modified, first.storage_class) == (WHEN, "STANDARD_IA")
    assert wire.requests[0].target == "/?prefix=in%2F&marker=in%2F0&max-keys=1000&encoding-type=url"
    assert wire.requests[1].target == "/?prefix=in%2F&marker=in%2Fb%20c%2B&max-keys=1000&encoding-type=url"


def test_keys_that_are_not_encoded_are_taken_as_they_are(ci: CIClient, wire: Any, listing_reply: Any) -> None:
    wire.will(listing_reply("a%20b", encoding=""))
    assert [each.key for each in ci.list_objects()] == ["a%20b"]


def test_an_empty_listing(ci: CIClient, wire: Any, listing_reply: Any) -> None:
    wire.will(listing_reply())
    assert list(ci.list_objects("none/")) == []


def test_common_prefixes(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(
        reply(
            "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
            "<NextMarker>in/y/</NextMarker><CommonPrefixes><Prefix>in/x%20/</Prefix></CommonPrefixes>"
            "<CommonPrefixes><Prefix>in/y/</Prefix></CommonPrefixes></ListBucketResult>"
        )
    )
    page = ci.list_objects_page("in/", delimiter="/")
    assert (page.common_prefixes, page.next_marker, page.objects) == (("in/x /", "in/y/"), "in/y/", ())


@pytest.mark.parametrize("marker", ["a", "B"])
def test_a_listing_that_does_not_advance_is_an_error(
    marker: str, ci: CIClient, wire: Any, listing_reply: Any
) -> None:
    """Markers are compared by their bytes, because the service orders keys by their bytes."""
    wire.will(
        listing_reply("a", truncated="true", marker="a"), listing_reply("a", truncated="true", marker=marker)
    )
    with pytest.raises(CIResponseError, match=f"does not advance: after 'a' it goes on at '{marker}'"):
        list(ci.list_objects())
    assert len(wire.requests) == 2


def test_a_truncated_listing_must_say_where_it_goes_on(ci: CIClient, wire: Any, listing_reply: Any) -> None:
    wire.will(listing_reply("a", truncated="true"))
    with pytest.raises(CIResponseError, match="no <NextMarker>"):
        list(ci.list_objects())


def test_a_listing_must_say_whether_it_is_truncated(ci: CIClient, wire: Any, listing_reply: Any) -> None:
    wire.will(listing_reply("a", truncated="maybe"))
    with pytest.raises(CIResponseError, match="<IsTruncated> is 'maybe'"):
        list(ci.list_objects())


@pytest.mark.parametrize("missing", ["Key", "Size", "ETag", "LastModified"])
def test_a_listed_object_must_be_whole(missing: str, ci: CIClient, wire: Any, reply: Any) -> None:
    cells = {"Key": "a", "Size": "1", "ETag": "e", "LastModified": "2023-11-14T22:13:20.000Z"}
    row = "".join(f"<{name}>{value}</{name}>" for name, value in cells.items() if name != missing)
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated><Contents>{row}</Contents></ListBucketResult>"
    wire.will(reply(body))
    with pytest.raises(CIResponseError, match=f"lacks <{missing}>.*NWRl"):
        list(ci.list_objects())


def test_a_page_size_is_bounded(ci: CIClient) -> None:
    with pytest.raises(ValueError, match="page_size must be from 1 to 1000, not 1001"):
        ci.list_objects_page(page_size=1001)


@given(st.text())
def test_encoded_keys_decode_to_what_they_were(key: str) -> None:
    assert unquoted(quote(key)) == key
    assert unquoted(quote(key, "")) == key


@given(st.text(st.sampled_from("%=+aF09 /\n\r\tä")))
def test_odd_encodings_decode_as_the_standard_library_does(text: str) -> None:
    try:
        expected = unquote(text, errors="strict")
    except ValueError:
        with pytest.raises(ValueError, match="utf-8"):
            unquoted(text)
    else:
        assert unquoted(text) == expected


def test_a_key_that_is_not_utf8_is_an_error_and_not_another_key(
    ci: CIClient, wire: Any, listing_reply: Any
) -> None:
    wire.will(listing_reply("a%FF"))
    with pytest.raises(CIResponseError, match="not as documented"):
        list(ci.list_objects())


def test_a_long_listing_holds_one_page_in_memory(ci: CIClient, wire: Any, listing_reply: Any) -> None:
    pages = [
        listing_reply(*[f"{page:03}/{n:04}" for n in range(1000)], truncated="true", marker=f"{page:03}/0999")
        for page in range(20)
    ]
    wire.will(*pages, listing_reply())
    tracemalloc.start()
    try:
        assert sum(1 for _ in ci.list_objects()) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


# Reading


def test_head_describes_an_object(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(Content_Length="12", ETag='"e1"', Last_Modified=MODIFIED, x_cos_storage_class="ARCHIVE"))
    info = ci.head_object("in/a.docx")
    assert (info.key, info.size, info.etag) == ("in/a.docx", 12, "e1")
    assert (info.last_modified, info.storage_class) == (WHEN, "ARCHIVE")
    assert wire.last.method == "HEAD"


def test_an_object_becomes_a_file(ci: CIClient, wire: Any, reply: Any, tmp_path: Path) -> None:
    data = os.urandom(700_000)
    wire.will(reply(data, ETag='"e1"', Last_Modified=MODIFIED))
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    info = ci.get_object("a.bin", target)
    assert target.read_bytes() == data
    assert (info.size, info.etag, info.last_modified) == (700_000, "e1", WHEN)
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_name_may_be_as_long_as_the_disk_allows(
    ci: CIClient, wire: Any, reply: Any, tmp_path: Path
) -> None:
    wire.will(reply(b"abc", Last_Modified=MODIFIED))
    ci.get_object("a", str(tmp_path / ("x" * 255)))
    assert (tmp_path / ("x" * 255)).read_bytes() == b"abc"


def test_a_short_body_is_fetched_again(ci: CIClient, wire: Any, reply: Any, tmp_path: Path) -> None:
    wire.will(
        reply(b"x" * 600_000, cut=100, Last_Modified=MODIFIED), reply(b"y" * 600_000, Last_Modified=MODIFIED)
    )
    ci.get_object("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"y" * 600_000
    assert ci.read_object("a") == b"y" * 600_000


@pytest.mark.parametrize("read", ["get", "read"])
def test_a_body_that_stays_short_is_an_error_and_leaves_the_old_file(
    read: str, ci: CIClient, wire: Any, reply: Any, tmp_path: Path
) -> None:
    wire.will(reply(b"x" * 600_000, cut=1, Last_Modified=MODIFIED))
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(CIConnectionError, match="1 more expected"):
        ci.get_object("a", target) if read == "get" else ci.read_object("a")
    assert len(wire.requests) == 4
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_object_leaves_no_file(ci: CIClient, wire: Any, error_reply: Any, tmp_path: Path) -> None:
    wire.will(error_reply(404, "NoSuchKey"))
    with pytest.raises(NotFoundError):
        ci.get_object("a", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_os_error_and_leaves_nothing(
    ci: CIClient, wire: Any, reply: Any, tmp_path: Path
) -> None:
    """RLIMIT_FSIZE stands in for a full disk: the write itself fails."""
    wire.will(reply(b"x" * 3_000_000, Last_Modified=MODIFIED))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            ci.get_object("a", tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    assert len(wire.requests) == 1


def test_a_folder_that_is_not_there_is_an_os_error(
    ci: CIClient, wire: Any, reply: Any, tmp_path: Path
) -> None:
    wire.will(reply(b"abc", Last_Modified=MODIFIED))
    with pytest.raises(FileNotFoundError):
        ci.get_object("a", tmp_path / "none" / "a")


def test_a_body_without_an_end_of_its_own_is_an_error(
    ci: CIClient, wire: Any, raw_reply: Any, tmp_path: Path
) -> None:
    wire.will(raw_reply(b"HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\nabc", close=True))
    with pytest.raises(CIResponseError, match="its end is unknown"):
        ci.get_object("a", tmp_path / "a")


# Writing


def test_bytes_are_stored_with_their_digest(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(ETag=f'"{md5(b"abc")}"'))
    info = ci.put_object("in/a b.txt", b"abc", content_type="text/plain")
    assert (wire.last.method, wire.last.target, wire.last.body) == ("PUT", "/in/a%20b.txt", b"abc")
    assert wire.last.headers["content-md5"] == base64.b64encode(hashlib.md5(b"abc").digest()).decode()
    assert wire.last.headers["content-type"] == "text/plain"
    assert wire.last.signed["q-header-list"] == "content-length;content-md5;content-type;host"
    assert (info.key, info.size, info.etag) == ("in/a b.txt", 3, md5(b"abc"))
    assert info.last_modified == datetime(2023, 11, 14, 22, 14, 20, tzinfo=timezone.utc)


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_file_is_stored(size: int, ci: CIClient, wire: Any, reply: Any, tmp_path: Path) -> None:
    data = os.urandom(size)
    source = tmp_path / "a.bin"
    source.write_bytes(data)
    wire.will(reply(ETag=f'"{md5(data)}"'))
    info = ci.put_object("a.bin", source)
    assert wire.last.body == data
    assert wire.last.headers["content-length"] == str(size)
    assert "transfer-encoding" not in wire.last.headers
    assert info.size == size


def test_a_file_is_read_again_when_the_request_is_repeated(
    ci: CIClient, wire: Any, reply: Any, hang_up: Any, tmp_path: Path
) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"x" * 100_000)
    wire.will(
        reply("<Error><Code>InternalError</Code></Error>", 500),
        hang_up,
        reply(ETag=f'"{md5(b"x" * 100_000)}"'),
    )
    ci.put_object("a.bin", source)
    assert [request.body for request in wire.requests] == [b"x" * 100_000] * 3


def test_an_object_that_arrived_damaged_is_sent_again(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(ETag=f'"{md5(b"abd")}"'), reply(ETag=f'"{md5(b"abc")}"'))
    assert ci.put_object("a", b"abc").etag == md5(b"abc")
    assert len(wire.requests) == 2


def test_an_object_that_stays_damaged_is_an_error(
    ci: CIClient, wire: Any, reply: Any, tmp_path: Path
) -> None:
    wire.will(reply(ETag=f'"{md5(b"abd")}"'))
    (tmp_path / "a").write_bytes(b"abc")
    with pytest.raises(CIResponseError, match="'a' arrived damaged"):
        ci.put_object("a", tmp_path / "a")


@pytest.mark.parametrize(
    "headers",
    [{"ETag": '"9"'}, {"ETag": f'"{md5(b"other")}"', "x_cos_server_side_encryption": "cos/kms"}],
)
def test_an_etag_that_is_no_digest_says_nothing(
    headers: dict[str, str], ci: CIClient, wire: Any, reply: Any
) -> None:
    wire.will(reply(**headers))
    ci.put_object("a", b"abc")
    assert len(wire.requests) == 1


@pytest.mark.parametrize("body", ["", "<html>Please log in</html>"])
def test_an_upload_without_an_etag_was_not_stored(body: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(body), reply(body), reply(ETag=f'"{md5(b"abc")}"'))
    assert ci.put_object("a", b"abc").etag == md5(b"abc")
    assert len(wire.requests) == 3


def test_an_upload_and_a_read_know_when_the_service_answered(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(b"abc", ETag='"9"'))
    assert ci.put_object("a", b"abc").date == NOW
    body, info = ci.read_object_with_info("a")
    assert (body, info.size, info.etag, info.date) == (b"abc", 3, "9", NOW)


def test_a_part_of_an_object_is_read_by_its_range(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(b"cde", 206, ETag='"9"', Content_Range="bytes 2-4/8"))
    body, info = ci.read_object_part("a", 2, 3)
    assert wire.requests[0].headers["range"] == "bytes=2-4"
    assert (body, info.size, info.etag) == (b"cde", 8, "9")
    wire.will(reply(b"gh", 206, Content_Range="bytes 6-7/8"))
    assert ci.read_object_part("a", 6, 100)[0] == b"gh"


def test_a_server_that_ignores_the_range_sends_everything(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(b"abcdefgh"))
    body, info = ci.read_object_part("a", 2, 3)
    assert (body, info.size) == (b"cde", 8)


@pytest.mark.parametrize("described", ["bytes 1-3/8", "bytes 2-5/8", "bytes 2-9/12", "pages 2-4/8"])
def test_other_bytes_than_the_requested_ones_are_refused(
    described: str, ci: CIClient, wire: Any, reply: Any
) -> None:
    body = b"x" * (8 if "9" in described else 3)
    wire.will(
        *[reply(body, 206, Content_Range=described)] * 2, reply(b"cde", 206, Content_Range="bytes 2-4/8")
    )
    assert ci.read_object_part("a", 2, 3)[0] == b"cde"


def test_a_file_that_is_not_there_is_an_os_error(ci: CIClient, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ci.put_object("a", tmp_path / "none")


def test_a_file_that_shrinks_on_the_way_is_an_os_error(
    ci: CIClient, wire: Any, reply: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size at the start is faked, one byte too large, as if another process had then cut the file."""
    source = tmp_path / "a"
    source.write_bytes(b"x" * 100)
    wire.will(reply())
    real = os.fstat

    class Longer:
        def __init__(self, size: int) -> None:
            self.st_size = size + 1

    monkeypatch.setattr(os, "fstat", lambda fd: Longer(real(fd).st_size))
    with pytest.raises(OSError, match="became shorter while it was uploaded"):
        ci.put_object("a", source)


@pytest.mark.parametrize("content_type", ["text/plain\r\nX: y", "bé"])
def test_a_content_type_cannot_smuggle_headers(content_type: str, ci: CIClient) -> None:
    with pytest.raises(ValueError, match="content_type must be printable ASCII"):
        ci.put_object("a", b"", content_type=content_type)


def test_deleting(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(status=204, Content_Length=""))
    ci.delete_object("in/a")
    ci.delete_object("in/a")
    assert [(each.method, each.target) for each in wire.requests] == [("DELETE", "/in/a")] * 2
    assert wire.connections == 1


@pytest.mark.parametrize("key", ["", "x" * 851, "a\x1bb"])
def test_a_key_is_a_key(key: str, ci: CIClient, tmp_path: Path) -> None:
    calls: list[Callable[[], object]] = [
        lambda: ci.head_object(key),
        lambda: ci.get_object(key, tmp_path / "a"),
        lambda: ci.read_object(key),
        lambda: ci.put_object(key, b""),
        lambda: ci.delete_object(key),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="key"):
            call()


def test_a_policy_without_repeats_holds_for_objects_too(
    connect: Callable[..., CIClient], wire: Any, reply: Any, tmp_path: Path
) -> None:
    wire.will(reply(b"abc", cut=1, Last_Modified=MODIFIED))
    with pytest.raises(CIConnectionError):
        connect(retry=RetryPolicy(max_attempts=1)).get_object("a", tmp_path / "a")
    assert len(wire.requests) == 1
