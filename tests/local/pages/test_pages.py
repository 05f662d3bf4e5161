"""Pages for a browser: they show jobs, queues and reports only to this machine, and run no scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from lxml import html

from airflow_provider_ci.local import LocalCI
from airflow_provider_ci.local.http.request import Request
from airflow_provider_ci.local.pages.guard import Guard, RefusedError

ATTACK = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


def page(call: Any, path: str, method: str = "GET", **headers: str) -> Any:
    """Request a page like a browser, without a signature; the path is sent unchanged."""
    return call.raw(method, path, {"Host": call.server.endpoint.partition("//")[2], **headers})


def cells(reply: Any) -> dict[str, str]:
    """The cells of the collapsed table of all fields, by the names of their rows."""
    rows = html.fromstring(reply.body).xpath("//table[@class='fields']//tr[th and td]")
    return {row.findtext("th"): row.find("td").text_content() for row in rows}


def facts(reply: Any) -> dict[str, str]:
    """The facts shown beside the verdict, by their names."""
    pairs = html.fromstring(reply.body).xpath("//dl[contains(@class, 'facts')]/div")
    return {pair.findtext("dt"): pair.find("dd").text_content() for pair in pairs}


def moments(reply: Any) -> list[str]:
    return [str(found) for found in html.fromstring(reply.body).xpath("//dl//time/@datetime")]


def text(reply: Any) -> str:
    return str(html.fromstring(reply.body).text_content())


def test_a_job_is_shown_with_its_state_times_input_outputs_and_parameters(call: Any) -> None:
    call.put("in/a.docx")
    job_id = call.submit(call.doc_job("in/a.docx", "out/a.pdf", more="<UserData>u 1</UserData>"))
    done = call.finished(job_id)
    reply = page(call, f"/_local/jobs/{job_id}")
    shown = cells(reply)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert re.fullmatch(r"Made a PDF of 1 page from a\.docx in .*\.", heading(reply))
    assert (shown["State"], shown["Input.Object"]) == ("Success", "in/a.docx")
    assert shown["CreationTime"] == done.text("JobsDetail/CreationTime")
    assert len(moments(reply)) == 3, "it was submitted, began and ended"
    assert shown["Operation.DocProcessResult.PageInfo.TgtUri"] == "out/a.pdf"
    assert (shown["Operation.DocProcess.TgtType"], shown["Operation.UserData"]) == ("pdf", "u 1")
    assert f'href="../queues/{shown["QueueId"]}"' in reply.body.decode()


def heading(reply: Any) -> str:
    return str(html.fromstring(reply.body).xpath("//h1")[0].text_content())


def test_a_failed_job_says_why(call: Any) -> None:
    job_id = call.submit(call.doc_job("none.docx"))
    call.finished(job_id)
    reply = page(call, f"/_local/jobs/{job_id}")
    assert (cells(reply)["State"], facts(reply)["Error"]) == ("Failed", "ResourceNotFound")
    assert heading(reply).startswith("Could not make a PDF from none.docx: ")
    assert "'none.docx' does not exist" in heading(reply)


def test_a_queue_is_shown_with_its_numbers_and_its_newest_jobs(call: Any) -> None:
    call.put("a.docx")
    ids = [call.submit(call.doc_job("a.docx" if n % 2 else "none.docx")) for n in range(60)]
    for job_id in ids:
        call.finished(job_id)
    queue = call("GET", "ci", "/docqueue")
    reply = page(call, f"/_local/queues/{queue.text('QueueList/QueueId')}")
    shown = cells(reply)
    assert (shown["State"], shown["MaxSize"], shown["Callbacks"]) == ("Active", "10000", "Off")
    assert (shown["Jobs Success"], shown["Jobs Failed"]) == ("30", "30")
    links = html.fromstring(reply.body).xpath("//a[@class='told']/@href")
    assert links == [f"../jobs/{job_id}" for job_id in reversed(ids[10:])]


def test_a_report_is_shown_as_text(call: Any) -> None:
    call.put("_ci_batches/b c/report.jsonl", '{"key": "表.docx"}\n{"key": "b"}\n'.encode())
    reply = page(call, "/_local/objects/examplebucket-1250000000/_ci_batches/b%20c/report.jsonl")
    assert reply.status == 200
    assert html.fromstring(reply.body).findtext(".//pre") == '{"key": "表.docx"}\n{"key": "b"}\n'
    call.put("big.json", b"[" + b"1," * 1_000_000 + b"1]")
    shown = html.fromstring(page(call, "/_local/objects/examplebucket-1250000000/big.json").body)
    assert len(shown.findtext(".//pre") or "") == 1024 * 1024
    assert "The first 1,048,576 of 2,000,003 bytes:" in shown.text_content()


def test_nothing_that_users_wrote_becomes_markup(call: Any) -> None:
    key = f"in/{ATTACK}.json"
    call.put(key, ATTACK.encode())
    user_data = f"<UserData>{escape(ATTACK)}</UserData>"
    job_id = call.submit(call.doc_job(escape(key), f"out/{escape(ATTACK)}", more=user_data))
    call.finished(job_id)
    queue_id = call.job(job_id).text("JobsDetail/QueueId")
    queue = f"<Name>{escape(ATTACK)}</Name><QueueID>{queue_id}</QueueID><State>Active</State><NotifyConfig/>"
    assert call("PUT", "ci", f"/docqueue/{queue_id}", body=f"<Request>{queue}</Request>").status == 200
    for path in (
        f"/_local/jobs/{job_id}",
        f"/_local/queues/{queue_id}",
        f"/_local/objects/examplebucket-1250000000/{quote(key)}",
        f"/_local/jobs/{quote(key)}",
        f"/_local/{quote(ATTACK)}",
    ):
        reply = page(call, path)
        assert "<script>alert(1)<" in unescape(reply.body.decode()), path
        assert is_harmless(reply), path


def is_harmless(reply: Any) -> bool:
    """Whether all markup is ours: only our script file and pictures, no inline handlers or styles."""
    tree = html.fromstring(reply.body)
    scripts = tree.xpath("//script[not(@src) or not(contains(@src, 'static/page.js'))]")
    pictures = tree.xpath("//img[not(contains(@src, 'static/') or contains(@src, 'preview?'))]")
    inline = tree.xpath("//@*[starts-with(name(), 'on') or name() = 'style']")
    return not (scripts or pictures or inline) and b"<script>alert" not in reply.body


def test_no_page_runs_or_loads_anything_or_stands_in_another(call: Any) -> None:
    call.put("a.json", b"{}")
    for path in ("jobs/none", "queues/none", "objects/examplebucket-1250000000/a.json", "", "nothing"):
        reply = page(call, f"/_local/{path}")
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ") and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert (reply.headers["referrer-policy"], is_harmless(reply)) == ("same-origin", True)
        assert (reply.headers["x-content-type-options"], reply.headers["cache-control"]) == (
            "nosniff",
            "no-store",
        )


def test_passwords_and_addresses_of_receivers_are_not_shown(
    serve: Callable[..., LocalCI], caller: Any, gate: Any
) -> None:
    call = caller(serve(convert=gate, secret_key="a-key-of-their-own"))
    call.put("a.docx")
    secret = "s3cr3t-word"
    call_back = f"http://127.0.0.1:1/{secret}"
    body = call.doc_job("a.docx", "p${Number}", f"<DocPassword>{secret}</DocPassword>")
    job_id = call.submit(body.replace("</Request>", f"<CallBack>{call_back}</CallBack></Request>"))
    queue_id = call.job(job_id).text("JobsDetail/QueueId")
    notify = f"<Url>{call_back}</Url><State>On</State><Type>Url</Type><Event>TaskFinish</Event>"
    body = (
        f"<Request><Name>q</Name><QueueID>{queue_id}</QueueID><State>Active</State>"
        f"<NotifyConfig>{notify}<ResultFormat>XML</ResultFormat></NotifyConfig></Request>"
    )
    assert call("PUT", "ci", f"/docqueue/{queue_id}", body=body).status == 200
    job, queue = (page(call, f"/_local/{path}") for path in (f"jobs/{job_id}", f"queues/{queue_id}"))
    assert (cells(job)["Operation.DocProcess.DocPassword"], cells(queue)["Callbacks"]) == ("******", "On")
    for reply in (job, queue):
        assert reply.status == 200
        assert secret not in reply.body.decode() and call.server.secret_key not in reply.body.decode()


@pytest.mark.parametrize(
    "path",
    [
        "examplebucket-1250000000/../../secret.json",
        "examplebucket-1250000000/..%2f..%2fsecret.json",
        "examplebucket-1250000000/%2e%2e/%2e%2e/secret.json",
        "examplebucket-1250000000//secret.json",
        "examplebucket-1250000000/link/secret.json",
        "examplebucket-1250000000/link.json",
        "../secret.json",
        "..%2fsecret.json",
        "%2e%2e/secret.json",
        ".ci-local/secret.json",
        "/secret.json",
        "examplebucket-1250000000",
        "examplebucket-1250000000/",
    ],
)
def test_no_path_leads_out_of_a_bucket(call: Any, root: Path, folder: Path, path: str) -> None:
    for place in (root, root.parent, root / ".ci-local"):
        (place / "secret.json").write_text("the-secret")
    (folder / "link").symlink_to(root)
    (folder / "link.json").symlink_to(root / "secret.json")
    reply = page(call, f"/_local/objects/{path}")
    assert reply.status == 404
    assert b"the-secret" not in reply.body


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.none", "a"])
def test_html_and_svg_are_shown_as_text(call: Any, name: str) -> None:
    call.put(name, b"<svg onload='alert(1)'><script>alert(2)</script></svg>")
    reply = page(call, f"/_local/objects/examplebucket-1250000000/{name}")
    assert (html.fromstring(reply.body).findtext(".//pre") or "").startswith("<svg onload='alert(1)'>")
    assert is_harmless(reply)


def test_bytes_that_are_no_text_are_replaced(call: Any) -> None:
    call.put("a.json", b"\xff\x00ok")
    reply = page(call, "/_local/objects/examplebucket-1250000000/a.json")
    assert reply.status == 200
    assert "ok" in text(reply)


@pytest.mark.parametrize(
    "path", ["jobs/d1", "queues/p1", "objects/none-1250000000/a.json", "faults/x", "none", "static/x"]
)
def test_what_does_not_exist_is_said_so(call: Any, path: str) -> None:
    reply = page(call, f"/_local/{path}")
    assert (reply.status, "no" in text(reply).lower()) == (404, True)


def test_objects_are_only_read(call: Any) -> None:
    call.put("a.json", b"{}")
    path = "/_local/objects/examplebucket-1250000000/a.json"
    for method, status in (("POST", 403), ("PUT", 405), ("DELETE", 405)):
        assert page(call, path, method).status == status
    assert page(call, path, "POST", Origin=call.server.endpoint).status == 405
    assert (page(call, path, "HEAD").status, page(call, path, "HEAD").body) == (200, b"")
    assert call.get("a.json").body == b"{}"


def test_only_requests_that_name_this_machine_are_answered(call: Any) -> None:
    call.put("a.json", b"mine")
    path = "/_local/objects/examplebucket-1250000000/a.json"
    for host in ("evil.example.com", call.host("ci"), call.host("cos"), "127.0.0.1.example.com"):
        reply = page(call, path, Host=host)
        assert (reply.status != 200, b"mine" in reply.body) == (True, False)
    for host in ("localhost", "localhost:1", "[::1]:9000", "127.0.0.1"):
        assert page(call, path, Host=host).status == 200
    assert call.put("_local/jobs/x", b"an object").status == 200
    assert call.get("_local/jobs/x").body == b"an object"


def test_only_callers_on_this_machine_are_answered() -> None:
    def status(remote: str | None) -> int:
        request = Request(
            method="GET", host="localhost", path="/_local/jobs/d1", query=[], request_id="", now=0,
            http=cast(web.BaseRequest, SimpleNamespace(remote=remote, headers={})),
        )  # fmt: skip
        try:
            Guard().check(request)
        except RefusedError as error:
            return error.status
        return 200

    assert [status(remote) for remote in ("127.0.0.1", "127.1.2.3", "::1")] == [200, 200, 200]
    assert [status(remote) for remote in ("10.0.0.8", "fe80::1", "", None)] == [403, 403, 403, 403]
