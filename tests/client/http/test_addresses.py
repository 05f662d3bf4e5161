"""Where requests go: separate endpoints for CI and COS, other domains of the service, proxies."""

from __future__ import annotations

import base64
import importlib.util
import socket
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, CIConnectionError, Credentials, RetryPolicy
from airflow_provider_ci.client.http.adapter import proxies_for
from airflow_provider_ci.client.http.address import addresses, endpoint_for

CREDENTIALS = Credentials(
    secret_id="AKIDEXAMPLEexample0123456789abcdefgh", secret_key="ExampleSecretKey0123456789abcdef"
)
BUCKET = "examplebucket-1250000000"
OTHER_BUCKET = "otherbucket-1250000000"
ONCE = RetryPolicy(max_attempts=1)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client(endpoint: str, **arguments: Any) -> CIClient:
    return CIClient(CREDENTIALS, "ap-guangzhou", BUCKET, endpoint=endpoint, retry=ONCE, **arguments)


def test_ci_and_cos_may_be_in_two_places(
    connect: Callable[..., CIClient], wire: Any, reply: Any, job_reply: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    wire.will(job_reply())
    apart = connect(endpoint=nowhere, ci_endpoint=wire.endpoint, retry=ONCE)
    assert apart.get_doc_job("d1").job_id == "d1"
    with pytest.raises(CIConnectionError, match=nowhere):
        apart.head_bucket()
    wire.will(reply())
    other = connect(endpoint=wire.endpoint, ci_endpoint=nowhere, retry=ONCE)
    other.head_bucket()
    with pytest.raises(CIConnectionError, match=nowhere):
        other.list_doc_buckets()


def test_an_endpoint_of_ci_alone_leaves_objects_where_they_are() -> None:
    found = addresses(BUCKET, "ap-guangzhou", None, "http://127.0.0.1:9000")
    assert found["cos"].base == f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com"
    assert {found["ci"].base, found["region"].base} == {"http://127.0.0.1:9000"}


@pytest.mark.parametrize(
    "domain",
    [
        f"{BUCKET}.cos-internal.ap-guangzhou.tencentcos.cn",
        f"{BUCKET}.cos.accelerate.myqcloud.com",
        f"{BUCKET}.cos.ap-guangzhou.tencentcos.cn",
    ],
)
def test_another_domain_of_the_service_is_what_a_request_names(domain: str) -> None:
    found = addresses(BUCKET, "ap-guangzhou", f"https://{domain}", "http://127.0.0.1:9000")
    assert found["cos"].host == domain
    assert found["ci"].host == f"{BUCKET}.ci.ap-guangzhou.myqcloud.com"


def test_a_client_of_another_bucket_connects_to_the_same_addresses(
    connect: Callable[..., CIClient], wire: Any, job_reply: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    this = connect(endpoint=nowhere, ci_endpoint=wire.endpoint, retry=ONCE)
    wire.will(job_reply())
    with this.for_bucket(OTHER_BUCKET, "ap-beijing") as other:
        assert other.get_doc_job("d1").job_id == "d1"
        assert wire.last.headers["host"] == f"{OTHER_BUCKET}.ci.ap-beijing.myqcloud.com"
        with pytest.raises(CIConnectionError, match=nowhere):
            other.head_bucket()


@pytest.mark.parametrize(
    "name",
    [
        "{bucket}.ci.{region}.myqcloud.com",
        "{bucket}.ci.{region}.myqcloud.com:443",
        "ci.{region}.myqcloud.com",
        "{bucket}.cos.accelerate.myqcloud.com",
        "{bucket}.cos-internal.{region}.tencentcos.cn",
        "127.0.0.1:9000",
        "gateway.example.test",
    ],
)
def test_another_bucket_has_its_own_host_names_of_the_service(name: str) -> None:
    here, there = (BUCKET, "ap-guangzhou"), (OTHER_BUCKET, "ap-beijing")
    endpoint, expected = (f"https://{name.format(bucket=at[0], region=at[1])}" for at in (here, there))
    assert endpoint_for(endpoint, here, there) == expected
    objects = client(endpoint).for_bucket(*there).object_url("a")
    assert BUCKET not in objects
    assert endpoint_for(None, here, there) is None


@pytest.mark.parametrize("endpoint", ["http://u:secret@x:1", "x", "http://", "ftp://x", "http://x/path"])
def test_an_endpoint_that_is_none_is_refused_without_its_password(endpoint: str) -> None:
    for name, arguments in (("ci_endpoint", (None, endpoint)), ("endpoint", (endpoint, "http://x:1"))):
        with pytest.raises(ValueError, match=f"^{name} must look like") as caught:
            addresses(BUCKET, "ap-guangzhou", *arguments)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize("password", ["plain", "pa#ss", "a/b?c@d#e", "pa%23ss", ""])
def test_any_proxy_and_any_password_of_it_work(
    name: str, password: str, wire: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://user:{password}@127.0.0.1:{wire.port}")
    wire.will(reply(b"abc"))
    with client("http://ci.example.test:81") as ci:
        assert ci.read_object("a b") == b"abc"
    assert wire.last.target == "http://ci.example.test:81/a%20b"
    scheme, _, login = wire.last.headers["proxy-authorization"].partition(" ")
    assert (scheme, base64.b64decode(login).decode()) == ("Basic", f"user:{password.replace('%23', '#')}")


@pytest.mark.parametrize(
    "proxy",
    ["http://someone:pa#ss@127.0.0.1:{}", "someone:pa#ss@127.0.0.1:{}", "odd://someone:pa#ss@127.0.0.1:{}"],
)
def test_nothing_of_a_proxys_password_is_told(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("all_proxy", proxy.format(port))
    with client("http://ci.example.test:81") as ci, pytest.raises(CIConnectionError) as caught:
        ci.head_bucket()
    assert f"127.0.0.1:{port}" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "pa#ss" not in str(error) and "pa%23ss" not in str(error) and "someone:" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h", "SOCKS5"])
def test_a_socks_proxy_works_or_says_what_is_missing(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:pass@127.0.0.1:{port}")
    with client("http://ci.example.test:81") as ci, pytest.raises(CIConnectionError) as caught:
        ci.head_bucket()
    assert "user:pass" not in str(caught.value)
    if importlib.util.find_spec("socks") is None:
        assert "install requests[socks]" in str(caught.value)
        assert not caught.value.is_retryable


def test_a_proxy_for_the_others_is_none_for_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert proxies_for("http://ci.example.test") == {}
    assert proxies_for("https://ci.example.test") == {"https": "http://127.0.0.1:1"}
    monkeypatch.setenv("no_proxy", "example.test")
    assert proxies_for("https://ci.example.test") == {}
