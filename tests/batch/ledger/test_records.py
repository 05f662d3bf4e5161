from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ci.batch.ledger import records
from airflow_provider_ci.batch.ledger.records import (
    LeaseExpiredError,
    RecordError,
    RecordWriter,
)
from airflow_provider_ci.client import CIClient, NotFoundError
from airflow_provider_ci.local import LocalCI

LINES = [{"index": 0, "key": "合同"}, {"index": 1, "key": "a\u2028b\u0085c\nd\re\x0b"}]


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.booleans())))
def test_what_is_encoded_is_decoded(lines: list[dict[str, object]]) -> None:
    header, found = records.decode("k", records.encode("plan", {"plan": "t"}, lines), "plan")
    assert header == {"version": 2, "kind": "plan", "plan": "t"}
    assert list(found) == lines


def test_each_record_is_a_line_that_everybody_can_read() -> None:
    text = records.encode("plan", {}, LINES).decode()
    assert "合同" in text
    assert [json.loads(line) for line in text.rstrip("\n").split("\n")[1:]] == LINES


@pytest.mark.parametrize(
    "header",
    [
        {"version": 1, "kind": "plan"},
        {"version": 3, "kind": "plan"},
        {"version": 2, "kind": "checkpoint"},
        {},
    ],
)
def test_another_version_or_kind_is_refused_by_name(header: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=r"'b/plan\.jsonl' is .* this package reads 'plan' of version 2"):
        records.decode("b/plan.jsonl", json.dumps(header).encode(), "plan")


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"[]", b'"text"', b"null", b'{"version": 1', b"<Error/>", b"\xff"]
)
def test_what_is_damaged_at_its_beginning_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(RecordError, match=r"'b/plan\.jsonl' is damaged"):
        records.decode("b/plan.jsonl", body, "plan")


def test_what_is_damaged_further_on_is_refused_by_name() -> None:
    body = records.encode("plan", {}, LINES)[:-20]
    with pytest.raises(RecordError, match=r"'b/plan\.jsonl' is damaged"):
        list(records.decode("b/plan.jsonl", body, "plan")[1])


def test_what_is_not_there_is_not_found(client: CIClient) -> None:
    with pytest.raises(NotFoundError):
        records.read(client, "b/plan.jsonl", "plan")


def test_a_write_that_arrives_after_the_lease_is_refused(client: CIClient, local_ci: LocalCI) -> None:
    client.server_time()
    writer = RecordWriter(client=client, expires_at=lambda: client.clock.now() + 1)
    local_ci.faults.add("slow", seconds=3, method="PUT", path="/b/")
    with pytest.raises(LeaseExpiredError) as problem:
        writer.write("b/1.jsonl", b"late")
    assert problem.value.is_retryable
    assert not list(client.list_objects("b/"))
    RecordWriter(client=client, expires_at=lambda: client.clock.now() + 10).write("b/1.jsonl", b"in time")
    assert client.read_object("b/1.jsonl") == b"in time"


def test_a_lone_surrogate_survives_a_record() -> None:
    body = records.encode("plan", {}, [{"key": "in/\ud800"}])
    assert list(records.decode("k", body, "plan")[1]) == [{"key": "in/\ud800"}]
