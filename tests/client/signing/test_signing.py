"""The signature: published and recomputed examples, step by step, and requests of the official SDK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.client import Credentials, signing

DATA = json.loads((Path(__file__).parents[1] / "data" / "signature-vectors.json").read_text("utf-8"))
CREDENTIALS = Credentials(secret_id=DATA["secret_id"], secret_key=DATA["secret_key"])
BUCKET = "examplebucket-1250000000"


def ids(case: dict[str, Any]) -> str:
    return f"{case['id']} {case.get('title', '')}".strip()


def test_sign_key_is_the_hmac_of_the_key_time() -> None:
    assert signing.key_time(1700000000, 1700003600) == DATA["key_time"]
    assert signing.sign_key(DATA["secret_key"], DATA["key_time"]) == DATA["sign_key"]


@pytest.mark.parametrize("case", DATA["vectors"], ids=ids)
def test_each_step_of_a_signature(case: dict[str, Any]) -> None:
    params = signing.canonical([(name, value) for name, value in case["params"]])
    headers = signing.canonical([(name, value) for name, value in case["headers"]])

    http_string = signing.http_string(case["method"], case["path_decoded"], params.pairs, headers.pairs)
    assert http_string == case["http_string"]
    to_sign = signing.string_to_sign(DATA["key_time"], http_string)
    assert to_sign == case["string_to_sign"]
    assert signing.signature(DATA["sign_key"], to_sign) == case["signature"]


@pytest.mark.parametrize("case", DATA["vectors"], ids=ids)
def test_the_whole_authorization_header(case: dict[str, Any]) -> None:
    authorization = signing.authorization(
        CREDENTIALS,
        case["method"],
        case["path_decoded"],
        case["params"] and [tuple(pair) for pair in case["params"]],
        [tuple(pair) for pair in case["headers"]],
        key_time=DATA["key_time"],
    )
    assert authorization == case["authorization"]


@pytest.mark.parametrize("case", DATA["presigned"], ids=ids)
def test_presigned_urls_carry_the_same_signature(case: dict[str, Any]) -> None:
    host = case.get("host", f"{BUCKET}.cos.ap-guangzhou.myqcloud.com")
    headers = [("Host", host), *(tuple(pair) for pair in case.get("headers", []))]
    params = [(name, value) for name, value in case["params"]]
    authorization = signing.authorization(
        CREDENTIALS, case["method"], case["path_decoded"], params, headers, key_time=DATA["key_time"]
    )
    assert authorization.endswith(f"&q-signature={case['signature']}")


@pytest.mark.parametrize("case", DATA["documented"], ids=ids)
def test_the_documents_own_examples(case: dict[str, Any]) -> None:
    """The vendor's documents mask the last four digits of each signature."""
    params = signing.canonical([(name, value) for name, value in case["params"]])
    headers = signing.canonical([(name, value) for name, value in case["headers"]])
    http_string = signing.http_string(case["method"], case["path_decoded"], params.pairs, headers.pairs)
    to_sign = signing.string_to_sign(case["key_time"], http_string)

    assert to_sign.split("\n")[2] == case["sha1_of_http_string"]
    found = signing.signature(case["sign_key"], to_sign)
    assert found == case["signature_recomputed"]
    assert found[:-4] == case["signature_printed_in_document"][:-4]


SDK_CALLS: dict[str, Callable[[Any], Any]] = {
    "submit": lambda sdk: sdk.ci_create_doc_job(
        Bucket=BUCKET,
        InputObject="in/表 1&2.xlsx",
        OutputBucket=BUCKET,
        OutputRegion="ap-guangzhou",
        OutputObject="out/${Number}.png",
        TgtType="png",
    ),
    "get job": lambda sdk: sdk.ci_get_doc_job(Bucket=BUCKET, JobID="d1"),
    "list jobs": lambda sdk: sdk.ci_list_doc_jobs(
        Bucket=BUCKET, States="Success,Failed", StartCreationTime="2023-11-14T00:00:00+0800"
    ),
    "get pic jobs": lambda sdk: sdk.ci_get_media_pic_jobs(Bucket=BUCKET, JobIDs="c1,c2"),
    "cancel": lambda sdk: sdk.ci_cancel_jobs(Bucket=BUCKET, JobID="j1"),
    "list": lambda sdk: sdk.list_objects(Bucket=BUCKET, Prefix="in/ä b+c/", Delimiter="/", Marker="in/a"),
    "put": lambda sdk: sdk.put_object(
        Bucket=BUCKET,
        Key="a b+c~d%41/(表).txt",
        Body=b"abc",
        EnableMD5=True,
        Metadata={"x-cos-meta-owner": "é/+"},
    ),
    "get": lambda sdk: sdk.get_object(Bucket=BUCKET, Key="a//b/./c/../d.txt", Range="bytes=0-1"),
    "delete": lambda sdk: sdk.delete_object(Bucket=BUCKET, Key="a.bin"),
    "token": lambda sdk: sdk.head_bucket(Bucket=BUCKET),
}


@pytest.mark.parametrize("name", SDK_CALLS)
def test_what_the_official_sdk_sends_verifies(name: str, wire: Any, reply: Any) -> None:
    """The signature is recomputed from the received headers, parameters and decoded path."""
    wire.will(reply("<Response><JobsDetail/></Response>", Content_Type="application/xml"))
    token = "tok/en+1==" if name == "token" else None
    config = CosConfig(
        Region="ap-guangzhou",
        SecretId=DATA["secret_id"],
        SecretKey=DATA["secret_key"],
        Token=token,
        Scheme="http",
        IP="127.0.0.1",
        Port=wire.port,
    )
    SDK_CALLS[name](CosS3Client(config, retry=0))

    request, said = wire.last, wire.last.signed
    url = urlsplit(request.target)
    params = {key.lower(): value for key, value in parse_qsl(url.query, keep_blank_values=True)}
    signed_params = [(key, params[unquote(key)]) for key in said["q-url-param-list"].split(";") if key]
    headers = [(key, request.headers[key]) for key in said["q-header-list"].split(";") if key]
    assert "host" in dict(headers)

    assert request.headers["authorization"] == signing.authorization(
        CREDENTIALS, request.method, unquote(url.path), signed_params, headers, key_time=said["q-key-time"]
    )


def test_a_repr_of_credentials_shows_no_secret() -> None:
    text = repr(Credentials(secret_id="AKID1", secret_key="topsecret", token="alsosecret"))
    assert "AKID1" in text
    assert "topsecret" not in text
    assert "alsosecret" not in text


@pytest.mark.parametrize("secret_key", ["", " key", "key\n"])
def test_credentials_refuse_what_was_pasted_badly_without_showing_it(secret_key: str) -> None:
    with pytest.raises(ValueError, match=r"Credentials\.secret_key") as caught:
        Credentials(secret_id="AKID1", secret_key=secret_key)
    assert "key\n" not in str(caught.value)
