"""Callbacks: which receivers are called, which must not be, with which content, and how often."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.jobs.receivers import is_private


class Receiver(ThreadingHTTPServer):
    """Records the callbacks that it receives; responds with ``statuses`` in order, then with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bytes]] = []
        self.statuses: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/cb?a=1&b=2"

    @property
    def jobs(self) -> list[str]:
        """The ids of the jobs in the XML callbacks that it received."""
        return [etree.fromstring(body).findtext("JobsDetail/JobId") or "" for _, _, body in self.told]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.gate.wait(60)
        self.server.told.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ci.local.jobs.callbacks.PAUSES_SECONDS", (0.01, 0.01))


def escaped(text: str) -> str:
    return text.replace("&", "&amp;")


def with_callback(body: str, url: str, more: str = "") -> str:
    return body.replace("</Request>", f"<CallBack>{escaped(url)}</CallBack>{more}</Request>")


def set_notify(call: Any, path: str, receiver: str, state: str = "On", more: str = "") -> Any:
    queue_id = call("GET", "ci", path).text("QueueList/QueueId")
    notify = f"<Url>{escaped(receiver)}</Url><State>{state}</State>{more}"
    body = (
        f"<Request><Name>n</Name><QueueID>{queue_id}</QueueID><State>Active</State>"
        f"<NotifyConfig>{notify}</NotifyConfig></Request>"
    )
    return call("PUT", "ci", f"{path}/{queue_id}", body=body)


def test_the_end_of_a_job_is_told_in_xml(call: Any, receiver: Receiver, until: Callable[..., None]) -> None:
    call.put("a.docx")
    job_id = call.submit(with_callback(call.doc_job("a.docx", "out.pdf"), receiver.url))
    shown: Any = call.finished(job_id).xml.find("JobsDetail")
    until(lambda: len(receiver.told) == 1)
    path, content_type, body = receiver.told[0]
    assert (path, content_type) == ("/cb?a=1&b=2", "application/xml")
    said: Any = etree.fromstring(body)
    assert (said.tag, [node.tag for node in said]) == ("Response", ["EventName", "JobsDetail"])
    assert said.findtext("EventName") == "TaskFinish"
    assert etree.tostring(said.find("JobsDetail")) == etree.tostring(shown)
    assert shown.find("Operation/CallBack") is None


def test_json_has_a_list_of_jobs_a_number_as_level_and_no_empty_nodes(
    call: Any, receiver: Receiver, until: Callable[..., None]
) -> None:
    call.put("表.jpg")
    body = call.pic_job("表.jpg", "out.png", more="<JobLevel>2</JobLevel>")
    form = "<CallBackFormat>JSON</CallBackFormat><CallBackType>Url</CallBackType>"
    job_id = call.submit(with_callback(body, receiver.url, form), "/pic_jobs")
    until(lambda: len(receiver.told) == 1)
    _, content_type, told = receiver.told[0]
    said = json.loads(told)
    job = said["JobsDetail"][0]
    assert (content_type, set(said), said["EventName"]) == (
        "application/json",
        {"EventName", "JobsDetail"},
        "TaskFinish",
    )
    assert (len(said["JobsDetail"]), job["JobId"], job["State"]) == (1, job_id, "Success")
    assert (job["Operation"]["JobLevel"], job["Input"]["Object"]) == (2, "表.jpg")
    assert "Message" not in job
    assert isinstance(job["Operation"]["PicProcessResult"]["ProcessResult"]["Width"], str)


def test_failed_and_cancelled_jobs_are_told_too(
    serve: Callable[..., LocalCI], caller: Any, gate: Any, receiver: Receiver, until: Callable[..., None]
) -> None:
    call = caller(serve(convert=gate, workers=1))
    call.put("a.docx")
    running = call.submit(with_callback(call.doc_job("a.docx"), receiver.url))
    until(lambda: call.state(running) == "Running")
    cancelled, failing = [
        call.submit(with_callback(call.doc_job(key), receiver.url)) for key in ("a.docx", "none.docx")
    ]
    assert call("PUT", "ci", f"/doc_jobs/{running}", [("cancel", "")]).status == 400
    assert call("PUT", "ci", f"/doc_jobs/{cancelled}", [("cancel", "")]).status == 200
    until(lambda: receiver.jobs == [cancelled])
    gate.open.set()
    until(lambda: len(receiver.told) == 3)
    ends = {
        said.findtext("JobsDetail/JobId"): said.findtext("JobsDetail/State")
        for said in (etree.fromstring(body) for _, _, body in receiver.told)
    }
    assert ends == {cancelled: "Cancel", running: "Success", failing: "Failed"}


def test_the_job_goes_before_its_queue(
    call: Any, receiver: Receiver, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    call.put("a.docx")
    quiet = call.submit(call.doc_job("a.docx"))
    call.finished(quiet)
    queue_url = receiver.url.replace("/cb", "/queue")
    json_format = "<ResultFormat>JSON</ResultFormat>"
    assert set_notify(call, "/docqueue", queue_url, more=json_format).status == 200
    bodies = {
        "suppressed": with_callback(call.doc_job("a.docx"), "no"),
        "own address": with_callback(call.doc_job("a.docx"), receiver.url),
        "own format": call.doc_job("a.docx").replace(
            "</Request>", "<CallBackFormat>XML</CallBackFormat></Request>"
        ),
        "queue's": call.doc_job("a.docx"),
    }
    for number, body in enumerate(bodies.values()):
        call.finished(call.submit(body))
        until(partial(lambda count: len(receiver.told) == count, number))
    assert [(path.partition("?")[0], content_type) for path, content_type, _ in receiver.told] == [
        ("/cb", "application/xml"),
        ("/queue", "application/xml"),
        ("/queue", "application/json"),
    ]
    set_notify(call, "/docqueue", queue_url, state="Off")
    call.finished(call.submit(call.doc_job("a.docx")))
    call.finished(call.submit(with_callback(call.doc_job("a.docx"), receiver.url)))
    until(lambda: len(receiver.told) == 4)
    assert receiver.told[3][0].startswith("/cb")
    assert "could not deliver" not in caplog.text


def test_the_end_of_a_job_and_its_callback_are_noted_both_or_neither(
    serve: Callable[..., LocalCI],
    caller: Any,
    gate: Any,
    receiver: Receiver,
    until: Callable[..., None],
    root: Path,
) -> None:
    call = caller(serve(convert=gate, workers=1))
    call.put("a.docx")
    running = call.submit(call.doc_job("a.docx"))
    until(lambda: call.state(running) == "Running")
    waiting = call.submit(with_callback(call.doc_job("a.docx"), receiver.url))
    with closing(sqlite3.connect(root / ".ci-local" / "state.sqlite", isolation_level=None)) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON callbacks BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        assert call("PUT", "ci", f"/doc_jobs/{waiting}", [("cancel", "")]).status == 500
        assert call.state(waiting) == "Submitted"
        database.execute("DROP TRIGGER full")
    gate.open.set()
    assert call.finished(waiting).text("JobsDetail/State") == "Success"
    until(lambda: receiver.jobs == [waiting])


def test_a_queue_that_waits_for_workflows_only_is_told_nothing(
    call: Any, receiver: Receiver, until: Callable[..., None]
) -> None:
    call.put("a.jpg")
    set_notify(call, "/picqueue", receiver.url, more="<Event>WorkflowFinish</Event>")
    call.finished(call.submit(call.pic_job("a.jpg", "b.png"), "/jobs"), "/jobs")
    set_notify(call, "/picqueue", receiver.url, more="<Event>TaskFinish,WorkflowFinish</Event>")
    told = call.submit(call.pic_job("a.jpg", "b.png"), "/jobs")
    until(lambda: receiver.jobs == [told])


@pytest.mark.parametrize("refusals", [[500, 307], [404]])
def test_a_receiver_that_refuses_is_told_again_and_redirects_are_not_followed(
    call: Any, receiver: Receiver, until: Callable[..., None], refusals: list[int]
) -> None:
    receiver.statuses = list(refusals)
    call.put("a.docx")
    job_id = call.submit(with_callback(call.doc_job("a.docx"), receiver.url))
    until(lambda: len(receiver.told) == len(refusals) + 1)
    other = call.submit(with_callback(call.doc_job("a.docx"), receiver.url))
    until(lambda: len(receiver.told) == len(refusals) + 2)
    assert receiver.jobs == [job_id] * (len(refusals) + 1) + [other]
    assert {path for path, _, _ in receiver.told} == {"/cb?a=1&b=2"}


def test_a_receiver_that_refuses_every_time_is_given_up_after_three_attempts(
    call: Any, receiver: Receiver, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [204, 500, 503]
    call.put("a.docx")
    job_id = call.submit(with_callback(call.doc_job("a.docx"), receiver.url))
    until(lambda: f"could not deliver the callback of job {job_id}" in caplog.text)
    assert "the receiver responded with 503, not 200" in caplog.text
    assert receiver.jobs == [job_id] * 3


def test_a_receiver_that_hangs_holds_up_neither_jobs_nor_the_end_and_is_told_after_the_next_start(
    serve: Callable[..., LocalCI],
    caller: Any,
    receiver: Receiver,
    until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("airflow_provider_ci.local.jobs.callbacks.TIMEOUT_SECONDS", 3600)
    receiver.gate.clear()
    server = serve()
    call = caller(server)
    call.put("a.docx")
    ids = [call.submit(with_callback(call.doc_job("a.docx"), receiver.url)) for _ in range(20)]
    assert {call.finished(job_id).text("JobsDetail/State") for job_id in ids} == {"Success"}
    server.stop()
    assert receiver.told == []
    receiver.gate.set()
    serve()
    until(lambda: set(receiver.jobs) == set(ids))


def test_a_receiver_that_is_not_there_costs_nothing_but_a_warning(
    call: Any, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    caplog.set_level(logging.WARNING)
    call.put("a.docx")
    job_id = call.submit(with_callback(call.doc_job("a.docx"), f"http://127.0.0.1:{port}/"))
    assert call.finished(job_id).text("JobsDetail/State") == "Success"
    until(lambda: "could not deliver the callback" in caplog.text)


def test_a_password_is_not_told_and_is_forgotten_on_disk(
    call: Any, receiver: Receiver, until: Callable[..., None], root: Path
) -> None:
    call.put("a.docx")
    body = call.doc_job("a.docx", parameters="<TgtType>pdf</TgtType><DocPassword>s3cr3t-word</DocPassword>")
    call.submit(with_callback(body, receiver.url))
    until(lambda: len(receiver.told) == 1)
    assert b"s3cr3t-word" not in receiver.told[0][2]
    assert b"******" in receiver.told[0][2]
    state = [path for path in (root / ".ci-local").rglob("*") if path.is_file()]
    assert not any(b"s3cr3t-word" in path.read_bytes() for path in state)


REFUSED = {
    "public address": "http://8.8.8.8/x",
    "public address as a number": "http://134744072/x",
    "public address in disguise": "http://[::ffff:8.8.8.8]/x",
    "metadata service": "http://169.254.169.254/latest",
    "any address": "http://0.0.0.0/x",
    "name without an address": "http://cb.invalid/x",
    "other scheme": "ftp://127.0.0.1/x",
    "no host": "http:///x",
    "port that is none": "http://127.0.0.1:99999/x",
    "blank": "http://127.0.0.1/a b",
    "no address at all": "yes",
}


@pytest.mark.parametrize("case", REFUSED)
def test_addresses_beyond_the_private_network_are_refused_by_jobs_and_queues(call: Any, case: str) -> None:
    call.put("a.docx")
    for reply in (
        call("POST", "ci", "/doc_jobs", body=with_callback(call.doc_job("a.docx"), REFUSED[case])),
        set_notify(call, "/docqueue", REFUSED[case]),
    ):
        assert (reply.status, reply.code) == (400, "InvalidArgument")
        assert REFUSED[case] in reply.text("Message")
    assert call("GET", "ci", "/doc_jobs", [("tag", "DocProcess")]).texts("JobsDetail") == []
    assert call("GET", "ci", "/docqueue").text("QueueList/NotifyConfig/State") == "Off"


def test_a_name_is_resolved_anew_and_checked_before_each_call(
    call: Any, receiver: Receiver, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    answers = {"moving.test": "127.0.0.1"}
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: resolve(answers.get(host, host), *rest, **more)
    )
    call.put("a.docx")
    url = receiver.url.replace("127.0.0.1", "moving.test")
    call.submit(with_callback(call.doc_job("a.docx"), url))
    until(lambda: len(receiver.told) == 1)
    receiver.statuses = [500]
    receiver.gate.clear()
    call.submit(with_callback(call.doc_job("a.docx"), url))
    answers["moving.test"] = "8.8.8.8"
    receiver.gate.set()
    until(lambda: "'moving.test' is at 8.8.8.8, which is neither loopback nor private" in caplog.text)
    assert len(receiver.told) <= 2


@pytest.mark.parametrize(
    ("node", "code"),
    [
        ("<CallBackType>TDMQ</CallBackType>", "NotImplemented"),
        ("<CallBackType>Kafka</CallBackType>", "NotImplemented"),
        ("<CallBackMqConfig><MqName>q</MqName></CallBackMqConfig>", "NotImplemented"),
        ("<CallBackKafkaConfig/>", "NotImplemented"),
        ("<CallBackType>Mail</CallBackType>", "InvalidArgument"),
        ("<CallBackFormat>YAML</CallBackFormat>", "InvalidArgument"),
    ],
)
def test_other_ways_to_be_told_are_refused(call: Any, node: str, code: str) -> None:
    body = with_callback(call.doc_job("a.docx"), "http://127.0.0.1/", node)
    assert call("POST", "ci", "/doc_jobs", body=body).code == code


@pytest.mark.parametrize(
    ("url", "more", "code"),
    [
        ("http://127.0.0.1/", "<Type>TDMQ</Type><MqName>q</MqName>", "NotImplemented"),
        ("http://127.0.0.1/", "<ResultFormat>YAML</ResultFormat>", "InvalidArgument"),
        ("http://127.0.0.1/", "<Event>Anything</Event>", "InvalidArgument"),
        ("http://127.0.0.1/", "<State>Perhaps</State>", "InvalidArgument"),
        ("", "", "InvalidArgument"),
    ],
)
def test_settings_of_a_queue_that_make_no_sense_are_refused(
    call: Any, url: str, more: str, code: str
) -> None:
    assert set_notify(call, "/docqueue", url, more=more).code == code
    assert call("GET", "ci", "/docqueue").text("QueueList/NotifyConfig/Url") == ""


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("127.255.255.255", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("172.31.255.255", True),
        ("192.168.0.1", True),
        ("::1", True),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("172.32.0.1", False),
        ("11.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("fe80::1%eth0", False),
        ("2001:db8::1", False),
        ("::", False),
        ("224.0.0.1", False),
    ],
)
def test_which_addresses_are_private(address: str, private: bool) -> None:
    assert is_private(address) is private
