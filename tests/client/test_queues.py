"""Queues: reading, changing and pausing them; they are read page by page or by id."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import (
    CIClient,
    CIResponseError,
    MqConfig,
    NotFoundError,
    NotifyConfig,
    Queue,
    QueueState,
)

CHINA = timezone(timedelta(hours=8))

QUEUE = (
    "<QueueList><QueueId>{id}</QueueId><Name>queue-doc-process-1</Name><State>{state}</State><NotifyConfig>"
    "<Url>http://cb.example.com/x</Url><State>On</State></NotifyConfig><MaxSize>10000</MaxSize>"
    "<MaxConcurrent>10</MaxConcurrent><CreateTime>2023-11-15T06:13:20+0800</CreateTime>"
    "<UpdateTime>2023-11-15T06:13:20+0800</UpdateTime><BucketId>b</BucketId><Category>DocProcessing</Category></QueueList>"
)


STATES = ["Active", "Active", "Paused"]


def test_queues(ci: CIClient, wire: Any, reply: Any) -> None:
    p1, p2, p3 = (
        QUEUE.format(id=each, state=state) for each, state in zip(["p1", "p2", "p3"], STATES, strict=True)
    )
    count = "<TotalCount>3</TotalCount>"
    wire.will(reply(f"<Response>{count}{p1}{p2}</Response>"), reply(f"<Response>{count}{p3}</Response>"))
    queues = ci.list_doc_queues()
    assert [queue.queue_id for queue in queues] == ["p1", "p2", "p3"]
    assert [request.target for request in wire.requests] == [
        "/docqueue?pageNumber=1&pageSize=100",
        "/docqueue?pageNumber=2&pageSize=100",
    ]
    assert queues[2].state is QueueState.PAUSED
    assert (queues[0].name, queues[0].category, queues[0].bucket) == (
        "queue-doc-process-1",
        "DocProcessing",
        "b",
    )
    assert (queues[0].max_size, queues[0].max_concurrent) == (10000, 10)
    assert queues[0].created_at == datetime(2023, 11, 15, 6, 13, 20, tzinfo=CHINA)
    assert queues[0].notify == NotifyConfig("http://cb.example.com/x", event="")
    assert queues[0].raw["NotifyConfig"]["Url"] == "http://cb.example.com/x"


def test_queues_by_id_and_state(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(
        reply(f"<Response>{QUEUE.format(id='p1', state='Active')}<NonExistPIDs>p2</NonExistPIDs></Response>")
    )
    assert len(ci.list_pic_queues(state=QueueState.ACTIVE, queue_ids=["p1", "p2"])) == 1
    assert wire.last.target == "/picqueue?queueIds=p1%2Cp2&state=Active&pageNumber=1&pageSize=100"
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("Odd", "Deleted", "state"),
        ("<MaxSize>10000<", "<MaxSize>-<", "max_size"),
        ("<State>Odd</State>", "", "state"),
    ],
)
def test_what_cannot_be_read_of_a_queue_is_none(
    old: str, new: str, field: str, ci: CIClient, wire: Any, reply: Any
) -> None:
    odd = QUEUE.format(id="p1", state="Odd").replace(old, new)
    wire.will(reply(f"<Response>{odd}{QUEUE.format(id='p2', state='Active')}</Response>"))
    queues = ci.list_doc_queues()
    assert [queue.queue_id for queue in queues] == ["p1", "p2"]
    assert getattr(queues[0], field) is None


KINDS = {"doc": "/docqueue", "pic": "/picqueue", "media": "/queue"}
NOTIFY = NotifyConfig("http://cb.example.com/x", format="JSON")


def call(ci: CIClient, verb: str, kind: str) -> Callable[..., Any]:
    """``list_doc_queues``, ``pause_pic_queue`` and so on."""
    found: Callable[..., Any] = getattr(ci, verb.format(kind))
    return found


def queue_answer(
    reply: Any, node: str = "Queue", name: str = "q", state: str = "Paused", notify: str = ""
) -> Any:
    config = notify or "<Url>http://cb.example.com/x</Url><State>On</State><Type>Url</Type><MqMode/>"
    return reply(
        f"<Response><RequestId>NWRl</RequestId><{node}><QueueId>p1</QueueId><Name>{name}</Name><State>{state}</State>"
        f"<NotifyConfig>{config}</NotifyConfig></{node}></Response>"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_queues(kind: str, ci: CIClient, wire: Any, reply: Any) -> None:
    one = QUEUE.format(id="p3", state="Active")
    paging = "<TotalCount>3</TotalCount><PageNumber>2</PageNumber><PageSize>2</PageSize>"
    wire.will(reply(f"<Response>{paging}{one}</Response>"))
    page = call(ci, "list_{}_queues_page", kind)(state=QueueState.ACTIVE, page_number=2, page_size=2)
    assert wire.last.target == f"{KINDS[kind]}?state=Active&pageNumber=2&pageSize=2"
    assert [queue.queue_id for queue in page.items] == ["p3"]
    assert (page.total_count, page.missing, page.request_id) == (3, (), "NWRl")
    assert pickle.loads(pickle.dumps(page)) == page


def test_queues_of_all_categories(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response><TotalCount>0</TotalCount></Response>"))
    assert ci.list_pic_queues_page(category="CateAll").items == ()
    assert ci.list_media_queues_page(category="CateAll").items == ()
    assert [each.target for each in wire.requests] == [
        "/picqueue?category=CateAll&pageNumber=1&pageSize=100",
        "/queue?category=CateAll&pageNumber=1&pageSize=100",
    ]
    assert ci.list_media_queues() == []


MISSING = {
    "document page": "<NonExistPIDs><QueueID>p8</QueueID><QueueID>p9</QueueID></NonExistPIDs>",
    "picture page": "<NonExistPIDs>p8</NonExistPIDs><NonExistPIDs>p9</NonExistPIDs>",
    "comma list": "<NonExistPIDs>p8,p9</NonExistPIDs>",
}


@pytest.mark.parametrize("shape", MISSING)
def test_ids_that_no_queue_has_in_each_shape(shape: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(f"<Response>{QUEUE.format(id='p1', state='Active')}{MISSING[shape]}</Response>"))
    page = ci.list_doc_queues_page(queue_ids=["p1", "p8", "p9"])
    assert wire.last.target == "/docqueue?queueIds=p1%2Cp8%2Cp9&pageNumber=1&pageSize=100"
    assert ([queue.queue_id for queue in page.items], page.missing) == (["p1"], ("p8", "p9"))
    assert page.total_count is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_is_changed_in_one_request(kind: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(queue_answer(reply, name="new"))
    queue = call(ci, "update_{}_queue", kind)("p1", name="new", state=QueueState.PAUSED, notify=NOTIFY)
    assert (wire.last.method, wire.last.target) == ("PUT", f"{KINDS[kind]}/p1")
    assert wire.last.headers["content-type"] == "application/xml"
    assert wire.last.body.decode() == (
        "<Request><Name>new</Name><QueueID>p1</QueueID><State>Paused</State><NotifyConfig><Type>Url</Type>"
        "<Url>http://cb.example.com/x</Url><Event>TaskFinish</Event><State>On</State>"
        "<ResultFormat>JSON</ResultFormat></NotifyConfig></Request>"
    )
    assert len(wire.requests) == 1
    assert (queue.queue_id, queue.name, queue.state) == ("p1", "new", QueueState.PAUSED)


CHANGES: dict[str, tuple[Callable[[CIClient], Queue], str]] = {
    "pause doc": (lambda ci: ci.pause_doc_queue("p1"), "/docqueue Paused"),
    "resume doc": (lambda ci: ci.resume_doc_queue("p1"), "/docqueue Active"),
    "pause pic": (lambda ci: ci.pause_pic_queue("p1"), "/picqueue Paused"),
    "resume pic": (lambda ci: ci.resume_pic_queue("p1"), "/picqueue Active"),
    "pause media": (lambda ci: ci.pause_media_queue("p1"), "/queue Paused"),
    "resume media": (lambda ci: ci.resume_media_queue("p1"), "/queue Active"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_to_change_is_read_first(name: str, ci: CIClient, wire: Any, reply: Any) -> None:
    """An update must contain name, state and callback, so unchanged ones are read and sent back unchanged."""
    change, expected = CHANGES[name]
    path, state = expected.split()
    kafka = "<Type>Kafka</Type><State>On</State><KafkaTopic>t</KafkaTopic><Url/>"
    wire.will(
        queue_answer(reply, "QueueList", name="表", notify=kafka), queue_answer(reply, name="表", state=state)
    )
    assert change(ci).state == state
    read, write = wire.requests
    assert (read.method, read.target) == ("GET", f"{path}?queueIds=p1&pageNumber=1&pageSize=100")
    assert (write.method, write.target) == ("PUT", f"{path}/p1")
    assert write.body.decode() == (
        f"<Request><Name>表</Name><QueueID>p1</QueueID><State>{state}</State><NotifyConfig><Type>Kafka</Type>"
        "<State>On</State><KafkaTopic>t</KafkaTopic></NotifyConfig></Request>"
    )


def test_a_name_and_a_callback_change_alone(ci: CIClient, wire: Any, reply: Any) -> None:
    mq = MqConfig(region="sh", name="ended")
    wire.will(queue_answer(reply, "QueueList", name="old", state="Active"), queue_answer(reply))
    ci.update_doc_queue("p1", notify=NotifyConfig(is_on=False, type="TDMQ", mq=mq))
    assert wire.last.body.decode() == (
        "<Request><Name>old</Name><QueueID>p1</QueueID><State>Active</State><NotifyConfig><Type>TDMQ</Type>"
        "<Event>TaskFinish</Event><State>Off</State><ResultFormat>XML</ResultFormat><MqRegion>sh</MqRegion>"
        "<MqMode>Queue</MqMode><MqName>ended</MqName></NotifyConfig></Request>"
    )
    wire.will(queue_answer(reply, "QueueList", name="old", state="Active"), queue_answer(reply))
    ci.update_doc_queue("p1", name="new")
    assert wire.last.body.decode() == (
        "<Request><Name>new</Name><QueueID>p1</QueueID><State>Active</State><NotifyConfig>"
        "<Url>http://cb.example.com/x</Url><State>On</State><Type>Url</Type></NotifyConfig></Request>"
    )


def test_a_queue_that_is_not_there(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response><NonExistPIDs>p9</NonExistPIDs></Response>"))
    with pytest.raises(NotFoundError, match="no queue p9 at /docqueue") as caught:
        ci.pause_doc_queue("p9")
    assert (caught.value.code, caught.value.request_id) == ("NonExistPIDs", "NWRl")
    assert [each.method for each in wire.requests] == ["GET"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "nothing to change"),
        ({"name": ""}, "name must be a queue's name, not empty"),
        ({"state": "Stopped"}, "'Stopped' is not a valid QueueState"),
        ({"queue_id": "p1/p2", "name": "n"}, "queue_id must be an id"),
    ],
)
def test_a_change_refuses_what_the_service_would(
    arguments: dict[str, Any], complaint: str, ci: CIClient, wire: Any
) -> None:
    with pytest.raises(ValueError, match=complaint):
        ci.update_pic_queue(**{"queue_id": "p1", **arguments})
    assert not wire.requests


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"page_number": 0}, "page_number must be at least 1"),
        ({"page_size": 101}, "page_size must be from 1 to 100, not 101"),
        ({"queue_ids": ["p 1"]}, "queue_id must be an id"),
        ({"state": "All"}, "'All' is not a valid QueueState"),
    ],
)
def test_a_page_refuses_what_the_service_would(
    arguments: dict[str, Any], complaint: str, ci: CIClient, wire: Any
) -> None:
    with pytest.raises(ValueError, match=complaint):
        ci.list_doc_queues_page(**arguments)
    assert not wire.requests


def test_an_answer_without_the_queue(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response><RequestId>NWRl</RequestId></Response>"))
    with pytest.raises(CIResponseError, match=r"lacks <Queue>.*NWRl"):
        ci.update_doc_queue("p1", name="n", state=QueueState.ACTIVE, notify=NOTIFY)


def test_callbacks_of_queues_as_they_are_read(ci: CIClient, wire: Any, reply: Any) -> None:
    """A callback of an undocumented type is left out; the rest of the queue is still read."""
    mq = "<Type>TDMQ</Type><State>Off</State><MqMode>Topic</MqMode><MqRegion>gz</MqRegion><MqName>n</MqName>"
    found = []
    for notify in (mq, "<Type>Pigeon</Type>", "<Url/><State>Off</State>"):
        wire.will(queue_answer(reply, "QueueList", notify=notify))
        found.append(ci.list_pic_queues()[0].notify)
    topic = MqConfig(region="gz", mode="Topic", name="n")
    assert found[0] == NotifyConfig(is_on=False, event="", type="TDMQ", mq=topic)
    assert found[1] is None
    assert found[2] == NotifyConfig(is_on=False, event="")
