"""A browser on this machine sees the pages at the server's address; API clients see no difference."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from lxml import html

from airflow_provider_ci.local import LocalCI

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


def ask(call: Any, path: str = "/", method: str = "GET", **headers: str) -> Any:
    return call.raw(method, path, {"Host": call.server.endpoint.partition("//")[2], **headers})


def test_a_browser_at_the_address_sees_the_first_page(call: Any) -> None:
    reply = ask(call, Accept=HTML)
    tree = html.fromstring(reply.body)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert tree.xpath("//form[@enctype='multipart/form-data']/@action") == ["_local/convert"]
    for place in tree.xpath("//link/@href | //script/@src"):
        assert ask(call, f"/{place}").status == 200, place
    assert ask(call, "/", "HEAD", Accept=HTML).status == 200


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/", "GET", {}),
        ("/", "GET", {"Accept": "*/*"}),
        ("/", "GET", {"Accept": "application/xml"}),
        ("/", "GET", {"Accept": HTML, "Authorization": "q-sign-algorithm=sha1&q-ak=x"}),
        ("/?sign=q-sign-algorithm%3Dsha1", "GET", {"Accept": HTML}),
        ("/?q-sign-algorithm=sha1&q-signature=x", "GET", {"Accept": HTML}),
        ("/", "POST", {"Accept": HTML}),
        ("/", "PUT", {"Accept": HTML}),
        ("/docbucket", "GET", {"Accept": HTML}),
        ("/favicon.ico", "GET", {"Accept": HTML}),
    ],
)
def test_a_client_of_the_api_sees_the_xml_of_the_api(
    call: Any, path: str, method: str, headers: dict[str, str]
) -> None:
    reply = ask(call, path, method, **headers)
    assert (reply.headers["content-type"], reply.xml.tag) == ("application/xml", "Error")
    assert "x-ci-request-id" in reply.headers


def test_a_bucket_in_the_host_is_never_a_page(call: Any) -> None:
    for host in (call.host("cos"), call.host("ci"), "ci.ap-guangzhou.myqcloud.com"):
        assert ask(call, "/", Host=host, Accept=HTML).xml.tag == "Error"


def test_requests_of_the_pages_meet_no_fault_and_are_not_counted(call: Any, server: LocalCI) -> None:
    server.faults.add("error", code="SlowDown")
    before = server.request_counts()
    assert ask(call, Accept=HTML).status == 200
    assert (len(server.faults.pending()), server.request_counts()) == (1, before)


@pytest.mark.parametrize(
    "path", ["/", "/_local/jobs", "/_local/static/page.js", "/_local/preview?bucket=b&key=a.png"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.com:9000"},
        {"Host": "127.0.0.1.evil.example.com"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_pages_elsewhere_can_neither_read_nor_embed(call: Any, path: str, headers: dict[str, str]) -> None:
    reply = ask(call, path, Accept=HTML, **headers)
    assert reply.status in (400, 403)
    assert b'name="token"' not in reply.body


def test_a_link_from_another_page_is_followed(call: Any) -> None:
    headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask(call, "/_local/jobs", **headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example.com"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "OWN", "Sec-Fetch-Site": "same-site"},
        {"Origin": "OWN", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_only_a_form_of_these_pages_changes_something(
    visitor: Any, server: LocalCI, headers: dict[str, str]
) -> None:
    sent = {name: value.replace("OWN", server.endpoint) for name, value in headers.items()}
    body = f"token={visitor.token()}&do=busy".encode()
    form = {"Host": visitor.host, "Content-Type": "application/x-www-form-urlencoded", **sent}
    assert visitor.call.raw("POST", "/_local/simulate", form, body).status == 403
    assert server.faults.pending() == []


@pytest.mark.parametrize("token", ["", "x", "\udcff", "ä"])
def test_a_form_needs_the_token_of_this_start(visitor: Any, server: LocalCI, token: str) -> None:
    fields = {"token": token.encode(errors="replace").decode(), "do": "busy"}
    assert visitor.post("/_local/simulate", fields).status == 403
    assert server.faults.pending() == []
    assert visitor.post("/_local/simulate", {"do": "busy"}).status == 303
    assert len(server.faults.pending()) == 1


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"host": "0.0.0.0"}, 403),
        ({"host": "0.0.0.0", "pages": True}, 200),
        ({"pages": False}, 403),
    ],
    ids=str,
)
def test_pages_are_off_where_other_machines_reach_the_server(
    serve: Callable[..., LocalCI], caller: Any, options: dict[str, Any], status: int
) -> None:
    call = caller(serve(**options))
    for path in ("/", "/_local/jobs", "/_local/static/style.css"):
        assert ask(call, path, Accept=HTML, Host="127.0.0.1").status == status
    assert ask(call, "/", Host="127.0.0.1").xml.tag == "Error"
    assert ask(call, "/_local/faults", Host="127.0.0.1").status == 200


def test_the_command_names_the_address_of_the_page(tmp_path: Path) -> None:
    serve = [sys.executable, "-m", "airflow_provider_ci.local", "serve", "--root", str(tmp_path)]
    command = [*serve, "--port", "0", "--convert", "instant", "--host", "0.0.0.0", "--pages"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        line = process.stdout.readline()
        assert re.fullmatch(r"ci-local: open http://127\.0\.0\.1:\d+/ in a browser\n", line)
        assert requests.get(line.split()[2], headers={"Accept": HTML}, timeout=30).status_code == 200
        process.terminate()


def test_the_pages_work_under_tls(serve: Callable[..., LocalCI], folder: Path, tmp_path: Path) -> None:
    server = serve(tls=True)
    trusted = str(server.certificate)
    first = requests.get(server.page, headers={"Accept": HTML}, verify=trusted, timeout=30).text
    assert f"<code>{server.endpoint}</code>" in first
    (folder / "a.docx").write_text("content")
    fields = {
        "token": html.fromstring(first).xpath("//input[@name='token']/@value")[0],
        "bucket": folder.name,
        "key": "a.docx",
    }
    address, own = f"{server.page}_local/convert", {"Origin": server.endpoint}
    job = requests.post(address, fields, headers=own, verify=trusted, timeout=30).text
    copied = html.fromstring(job).xpath("//details[@id='code-curl']//pre")[0].text_content()
    done = subprocess.run(["bash", "-c", copied], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert "<JobId>" in done.stdout, done
