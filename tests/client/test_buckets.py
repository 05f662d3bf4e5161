"""Listing the buckets for which the features of CI are on, and turning the features on and off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, CIConnectionError, CIResponseError, InvalidRequestError

BUCKET = "examplebucket-1250000000"
KINDS = {"doc": "DocBucket", "pic": "PicBucket"}
INSIDE = (
    "<BucketId>{bucket}</BucketId><Name>{bucket}</Name><Region>ap-guangzhou</Region>"
    "<CreateTime>2023-11-15T06:13:20+0800</CreateTime><AliasBucketId/>"
)


def listing(reply: Any, node: str, total: int, *buckets: str) -> Any:
    inside = "".join(f"<{node}List>{INSIDE.format(bucket=each)}</{node}List>" for each in buckets)
    paging = f"<TotalCount>{total}</TotalCount><PageNumber>1</PageNumber><PageSize>100</PageSize>"
    return reply(f"<Response><RequestId>NWRl</RequestId>{paging}{inside or f'<{node}List/>'}</Response>")


@pytest.mark.parametrize("kind", KINDS)
def test_buckets_are_read_from_the_host_without_a_bucket(
    kind: str, connect: Callable[..., CIClient], wire: Any, reply: Any
) -> None:
    node = KINDS[kind]
    wire.will(listing(reply, node, 3, "a-1", "b-1"), listing(reply, node, 3, "c-1"))
    buckets = getattr(connect(token="t0k"), f"list_{kind}_buckets")()
    assert [each.bucket for each in buckets] == ["a-1", "b-1", "c-1"]
    assert [each.target for each in wire.requests] == [
        f"/{kind}bucket?pageNumber=1&pageSize=100",
        f"/{kind}bucket?pageNumber=2&pageSize=100",
    ]
    assert wire.last.headers["host"] == "ci.ap-guangzhou.myqcloud.com"
    assert wire.last.headers["x-ci-security-token"] == "t0k"
    created = datetime(2023, 11, 15, 6, 13, 20, tzinfo=timezone(timedelta(hours=8)))
    assert (buckets[0].name, buckets[0].region, buckets[0].created_at) == ("a-1", "ap-guangzhou", created)


@pytest.mark.parametrize("kind", KINDS)
def test_every_filter_of_buckets(kind: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(listing(reply, KINDS[kind], 0))
    filters: dict[str, Any] = {"regions": ["ap-guangzhou", "ap-beijing"], "bucket_names": [BUCKET]}
    assert getattr(ci, f"list_{kind}_buckets")(**filters, name_prefix="ex") == []
    assert wire.last.target == (
        f"/{kind}bucket?regions=ap-guangzhou%2Cap-beijing&bucketNames={BUCKET}&bucketName=ex"
        "&pageNumber=1&pageSize=100"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_is_switched_on_for_this_bucket(kind: str, ci: CIClient, wire: Any, reply: Any) -> None:
    node = KINDS[kind]
    wire.will(
        reply(
            f"<Response><RequestId>NWRl</RequestId><{node}>{INSIDE.format(bucket=BUCKET)}</{node}></Response>"
        )
    )
    assert getattr(ci, f"open_{kind}_bucket")().bucket == BUCKET
    assert (wire.last.method, wire.last.target, wire.last.body) == ("POST", f"/{kind}bucket", b"")
    assert wire.last.headers["content-length"] == "0"
    assert wire.last.headers["host"] == f"{BUCKET}.ci.ap-guangzhou.myqcloud.com"


def test_picture_processing_is_switched_off(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(f"<Response><RequestId>NWRl</RequestId><BucketName>{BUCKET}</BucketName></Response>"))
    ci.close_pic_bucket()
    assert (wire.last.method, wire.last.target) == ("DELETE", "/picbucket")
    assert wire.last.headers["host"] == f"{BUCKET}.ci.ap-guangzhou.myqcloud.com"


def test_what_is_on_already_is_told(ci: CIClient, wire: Any, error_reply: Any) -> None:
    wire.will(error_reply(403, "MediaBucketAlreadyBinded", "bucket is binded"))
    with pytest.raises(InvalidRequestError, match="switched on already"):
        ci.open_doc_bucket()


def test_an_answer_without_the_bucket(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response><RequestId>NWRl</RequestId></Response>"))
    with pytest.raises(CIResponseError, match="lacks <PicBucket>"):
        ci.open_pic_bucket()


def test_switching_on_is_not_repeated_where_it_may_have_happened(
    ci: CIClient, wire: Any, hang_up: Any
) -> None:
    wire.will(hang_up)
    with pytest.raises(CIConnectionError) as caught:
        ci.open_doc_bucket()
    assert len(wire.requests) == 1
    assert not caught.value.is_retryable


def test_switching_on_is_repeated_where_it_surely_did_not_happen(
    ci: CIClient, wire: Any, error_reply: Any, reply: Any
) -> None:
    wire.will(
        error_reply(503, "SlowDown"),
        reply(f"<Response><DocBucket>{INSIDE.format(bucket=BUCKET)}</DocBucket></Response>"),
    )
    assert ci.open_doc_bucket().bucket == BUCKET
    assert len(wire.requests) == 2
