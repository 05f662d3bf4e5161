"""Signed URLs: the published vectors, the URLs of the official SDK, and what a server receives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import urllib3
from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.client import CIClient, Credentials, DocPreview, signing
from airflow_provider_ci.client.http.address import addresses
from airflow_provider_ci.client.http.request import Request, signed_url

DATA = json.loads((Path(__file__).parents[1] / "data" / "signature-vectors.json").read_text("utf-8"))
CREDENTIALS = Credentials(secret_id=DATA["secret_id"], secret_key=DATA["secret_key"])
BUCKET = "examplebucket-1250000000"
COS = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
NOW = 1700000060
KEY = "dir/a b+c~d%41,e=f&g;表#?.docx"


def parts(url: str) -> tuple[str, str, dict[str, str]]:
    """Scheme and host, path, and decoded parameters of a URL."""
    split = urlsplit(url)
    return (
        f"{split.scheme}://{split.netloc}",
        split.path,
        dict(parse_qsl(split.query, keep_blank_values=True)),
    )


def target(url: str) -> str:
    return "/" + url.split("/", 3)[3]


@pytest.fixture
def client(clock: Any) -> CIClient:
    """A client with the addresses of the real service; it needs no network to make URLs."""
    return CIClient(CREDENTIALS, "ap-guangzhou", BUCKET, _clock=clock)


@pytest.mark.parametrize("case", DATA["presigned"], ids=lambda case: f"{case['id']} {case['title']}")
def test_the_vectors(case: dict[str, Any]) -> None:
    places = addresses(BUCKET, "ap-guangzhou", None)
    address = places["ci" if case.get("host", COS) == places["ci"].host else "cos"]
    request = Request(
        method=case["method"],
        service="cos",
        path=case["path_decoded"],
        params=tuple((name, value) for name, value in case["params"]),
        headers=dict(case.get("headers", [])),
    )
    url = signed_url(CREDENTIALS, address, request, key_time=DATA["key_time"])
    base, _, params = parts(url)
    assert base == f"https://{case.get('host', COS)}"
    assert params["q-signature"] == case["signature"]
    assert params["q-header-list"] == case.get("q_header_list", "host")
    for sdk in ("python_sdk_url", "node_sdk_url"):
        assert sdk not in case or parts(case[sdk]) == parts(url)


def test_the_official_sdk_makes_the_same_url(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcloud_cos.cos_auth.time", SimpleNamespace(time=lambda: NOW))
    config = CosConfig(Region="ap-guangzhou", SecretId=DATA["secret_id"], SecretKey=DATA["secret_key"])
    params, headers = {"response-content-type": "text/plain; a=b", "x": ""}, {"x-cos-acl": "private"}
    theirs = CosS3Client(config).get_presigned_url(
        Bucket=BUCKET, Key=KEY, Method="PUT", Expired=600, Params=params, Headers=dict(headers)
    )
    ours = client.object_url(KEY, method="PUT", params=params, headers=headers, valid_seconds=600)
    assert parts(ours) == parts(theirs)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_a_url_is_good_for_one_method_for_its_time(
    method: str, client: CIClient, judge: Callable[..., str]
) -> None:
    url = client.object_url(KEY, method=method, valid_seconds=600)
    line, headers = target(url), {"Host": COS}
    assert url.startswith(f"https://{COS}/dir/a%20b%2Bc~d%2541")
    for now in (NOW - 60, NOW, NOW + 600):
        assert judge(method, line, headers, now=now) == ""
    for now in (NOW - 61, NOW + 601):
        assert judge(method, line, headers, now=now) == "not in its time window"
    other = "PUT" if method == "GET" else "GET"
    assert judge(other, line, headers) == "signature differs"


def test_parameters_and_headers_are_signed(client: CIClient, judge: Callable[..., str]) -> None:
    headers = {"Content-Type": "text/plain", "x-cos-meta-Owner": "a b"}
    url = client.object_url(
        KEY, method="PUT", params={"versionId": "v/1 +", "Acl": ""}, headers=headers, valid_seconds=60
    )
    params = parts(url)[2]
    assert (params["versionId"], params["Acl"]) == ("v/1 +", "")
    assert params["q-url-param-list"] == "acl;versionid"
    assert params["q-header-list"] == "content-type;host;x-cos-meta-owner"
    sent = {"Host": COS, **headers}
    assert judge("PUT", target(url), sent) == ""
    assert judge("PUT", target(url).replace("v%2F1", "v%2F2"), sent) == "signature differs"
    assert judge("PUT", target(url), sent | {"Content-Type": "text/html"}) == "signature differs"


def test_a_token_travels_in_the_url_and_the_secret_key_does_not(
    clock: Any, judge: Callable[..., str]
) -> None:
    keys = Credentials(secret_id=DATA["secret_id"], secret_key=DATA["secret_key"], token="tok/en+1==")
    client = CIClient(keys, "ap-guangzhou", BUCKET, _clock=clock)
    for url in (
        client.object_url(KEY),
        client.doc_preview_url(KEY, DocPreview("html")),
        client.picture_url(KEY, "imageInfo"),
    ):
        params = parts(url)[2]
        assert params["x-cos-security-token"] == "tok/en+1=="
        assert "x-cos-security-token" not in params["q-url-param-list"]
        assert DATA["secret_key"] not in url
        assert signing.sign_key(keys.secret_key, params["q-key-time"]) not in url
        assert judge("GET", target(url), {"Host": COS}) == ""


def test_a_url_for_the_ci_host_has_its_own_name_for_the_token() -> None:
    keys = Credentials(secret_id="AKID1", secret_key="k", token="t")
    address = addresses(BUCKET, "ap-guangzhou", None)["ci"]
    request = Request(method="GET", service="ci", path="/doc_jobs/d1")
    assert parts(signed_url(keys, address, request, key_time="1;2"))[2]["x-ci-security-token"] == "t"


def test_a_url_follows_the_services_time(ci: CIClient, wire: Any, reply: Any, clock: Any) -> None:
    clock.time -= 1200
    wire.ahead_seconds = 1200
    wire.will(reply(status=403), reply())
    ci.head_object("a")
    assert parts(ci.object_url("a", valid_seconds=100))[2]["q-key-time"] == f"{NOW - 60};{NOW + 100}"


def test_a_url_for_an_endpoint_on_this_machine_names_the_bucket(
    ci: CIClient, wire: Any, reply: Any, judge: Callable[..., str]
) -> None:
    """The URL alone must be enough for a browser, which takes any name below localhost for this machine."""
    wire.will(reply(b"abc"))
    url = ci.object_url(KEY)
    base, _, _ = parts(url)
    host = f"{BUCKET}.cos.ap-guangzhou.localhost:{wire.port}"
    assert base == f"http://{host}"
    with urllib3.HTTPConnectionPool("127.0.0.1", wire.port) as pool:
        assert pool.request("GET", target(url), headers={"Host": host}).data == b"abc"
    assert judge("GET", wire.last.target, wire.last.headers, now=NOW) == ""


def test_a_url_for_an_endpoint_elsewhere_wants_the_services_host(
    connect: Callable[..., CIClient], judge: Callable[..., str]
) -> None:
    url = connect(endpoint="http://gateway.example.test:81").object_url(KEY)
    assert url.startswith("http://gateway.example.test:81/dir/")
    assert judge("GET", target(url), {"Host": COS}) == ""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_each_name_of_this_machine_is_known(host: str, connect: Callable[..., CIClient]) -> None:
    url = connect(endpoint=f"https://{host}").object_url("a")
    assert url.startswith(f"https://{BUCKET}.cos.ap-guangzhou.localhost/a?")


RULES = [
    "imageMogr2/thumbnail/!50p|watermark/2/text/5pWw5o2u/fill/I0ZGRkZGRg==",
    "imageMogr2/thumbnail/300x300>",
    "imageInfo",
    "imageAve",
    "exif",
    "style/a b",
]


@pytest.mark.parametrize("rule", RULES)
def test_a_picture_rule_is_a_signed_parameter_without_a_value(
    rule: str, client: CIClient, judge: Callable[..., str]
) -> None:
    url = client.picture_url("in/a.jpg", rule)
    assert parts(url)[2][rule] == ""
    assert "+" not in url
    assert judge("GET", target(url), {"Host": COS}) == ""
    encoded = quote(rule, "")
    assert judge("GET", target(url).replace(f"?{encoded}&", f"?{encoded}x&"), {"Host": COS}) != ""


def test_the_vector_of_a_rule(client: CIClient) -> None:
    """Vector v06 signs the same rule as a query parameter; its signature is in a header."""
    case = next(each for each in DATA["vectors"] if each["id"] == "v06")
    rule = case["params"][0][0]
    request = Request(method="GET", service="cos", path=case["path_decoded"], params=((rule, ""),))
    url = signed_url(
        CREDENTIALS, addresses(BUCKET, "ap-guangzhou", None)["cos"], request, key_time=DATA["key_time"]
    )
    assert parts(url)[2]["q-signature"] == case["signature"]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda ci: ci.object_url(""), "key must be a non-empty object key"),
        (lambda ci: ci.object_url("a", method="PATCH"), "method must be one of GET, HEAD, PUT"),
        (lambda ci: ci.object_url("a", valid_seconds=0), "valid_seconds must be at least 1"),
        (lambda ci: ci.object_url("a", headers={"HOST": "b"}), "headers must not hold Host"),
        (lambda ci: ci.object_url("a", headers={"x-cos-a": "ä"}), "x-cos-a must be printable ASCII"),
        (
            lambda ci: ci.object_url("a", params={"Q-Ak": "b"}),
            "parameter 'Q-Ak' is set by the signature",
        ),
        (
            lambda ci: ci.object_url("a", params={"x-cos-security-token": "b"}),
            "is set by the signature itself",
        ),
        (lambda ci: ci.picture_url("a", " "), "rule must be a processing rule"),
        (lambda ci: ci.picture_url("a", "|".join("x" * 11)), "rule has 11 steps"),
    ],
)
def test_a_url_refuses_what_would_not_work(
    call: Callable[[CIClient], Any], complaint: str, client: CIClient
) -> None:
    with pytest.raises(ValueError, match=complaint):
        call(client)
