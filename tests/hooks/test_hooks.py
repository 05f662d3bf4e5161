from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import pytest
from airflow.providers_manager import ProvidersManager

from airflow_provider_ci.compat import AirflowException
from airflow_provider_ci.hooks import CIHook, ConnectionConfigError
from airflow_provider_ci.hooks.connection import EXTRAS
from airflow_provider_ci.local import LocalCI

try:
    from airflow.sdk._shared.secrets_masker import redact
except ImportError:  # Airflow 3.0
    from airflow.sdk.execution_time.secrets_masker import redact  # type: ignore[no-redef]
try:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as WorkerProviders
except ImportError:  # Airflow 3.0 and 3.1
    WorkerProviders = ProvidersManager  # type: ignore[misc, assignment]

SetConnection = Callable[..., None]
DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "connection.md").read_text()


def test_the_client_has_what_the_connection_says(set_connection: SetConnection) -> None:
    set_connection({"requests_per_second": "50", "timeout": 5, "verify": "false", "token": ""})
    client = CIHook().client
    assert (client.bucket, client.region) == ("examplebucket-1250000000", "ap-guangzhou")
    client.head_bucket()


@pytest.mark.parametrize("as_one", [False, True], ids=["a parameter each", "__extra__"])
def test_a_connection_may_be_a_uri(own_buckets: Path, monkeypatch: pytest.MonkeyPatch, as_one: bool) -> None:
    """A secret key may contain slashes and plus signs, which are quoted in a URI."""
    secret_key = "a/secret+key=="
    with LocalCI(own_buckets, secret_id="AKID/x", secret_key=secret_key, convert="instant") as server:
        extra = {
            "region": "ap-guangzhou",
            "bucket": "examplebucket-1250000000",
            "endpoint": server.endpoint,
            "timeout": "5",
            "verify": "true",
        }
        user = f"{quote('AKID/x', '')}:{quote(secret_key, '')}"
        query = urlencode({"__extra__": json.dumps(extra)} if as_one else extra)
        monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", f"tencent-ci://{user}@/?{query}")
        assert CIHook().test_connection() == (
            True,
            "bucket examplebucket-1250000000 and its document queues can be read",
        )


def test_an_extra_that_is_no_object_is_named(
    connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {**connection, "extra": json.dumps(["ap-guangzhou"])}
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps(values))
    # Airflow 3.0 and 3.1 raise their own error for such a connection.
    with pytest.raises((ConnectionConfigError, AirflowException), match="tencent_ci_default"):
        _ = CIHook().client


def test_no_message_holds_the_secret_key(set_connection: SetConnection) -> None:
    set_connection({"region": "", "timeout": "x"}, password="a-very-secret-key")
    assert "a-very-secret-key" not in str(CIHook().test_connection())
    set_connection({"timeout": "x"}, password="a-very-secret-key")
    assert "a-very-secret-key" not in str(CIHook().test_connection())


def test_bucket_and_region_can_be_replaced(set_connection: SetConnection) -> None:
    set_connection()
    client = CIHook(bucket="other-1250000000", region="eu-frankfurt").client
    assert (client.bucket, client.region) == ("other-1250000000", "eu-frankfurt")


def test_get_conn_is_the_client(set_connection: SetConnection) -> None:
    set_connection()
    hook = CIHook()
    assert hook.get_conn() is hook.client


def test_the_client_for_a_trigger_is_made_without_blocking(set_connection: SetConnection) -> None:
    set_connection()
    assert asyncio.run(CIHook().async_client()).bucket == "examplebucket-1250000000"


def test_everything_that_is_missing_is_named_at_once(set_connection: SetConnection) -> None:
    set_connection({"region": "", "bucket": None, "reigon": "x"}, login="", password="")
    with pytest.raises(ConnectionConfigError) as wrong:
        _ = CIHook().client
    for word in (
        "tencent_ci_default",
        "SecretId",
        "SecretKey",
        "'region'",
        "'bucket'",
        "'reigon' is not known",
    ):
        assert word in str(wrong.value)


@pytest.mark.parametrize(
    "extra",
    [{"timeout": "soon"}, {"requests_per_second": -1}, {"endpoint": "127.0.0.1:9000"}, {"timeout": -1}],
)
def test_values_that_cannot_be_used_name_the_connection(
    set_connection: SetConnection, extra: dict[str, Any]
) -> None:
    set_connection(extra)
    with pytest.raises(ConnectionConfigError, match="tencent_ci_default"):
        _ = CIHook().client


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": {"credentials": "instance"}}, ["static, environment, role", "'instance'"]),
        ({"extra": {"credentials": "environment"}}, ["login and password must be empty"]),
        ({"login": "", "extra": {"credentials": "role", "token": "t"}}, ["'token' belongs to"]),
        ({"extra": {"role_name": "converter"}}, ["'role_name' belongs to credentials 'role', not 'static'"]),
        ({"extra": {"metadata_url": "http://127.0.0.1:1"}}, ["'metadata_url' belongs to"]),
        (
            {"extra": {"duration_seconds": 900, "sts_url": "https://x"}},
            ["'duration_seconds'", "'sts_url' needs"],
        ),
        ({"extra": {"role_arn": "converter"}}, ["role_arn must look like", "'converter'"]),
        (
            {"extra": {"max_connections": "many", "timeout": "soon"}},
            ["'max_connections'", "'timeout'", "soon"],
        ),
        (
            {
                "login": "",
                "password": "",
                "extra": {"credentials": "role", "metadata_url": "http://x.example"},
            },
            ["metadata_url must be", "x.example"],
        ),
        ({"login": "", "password": "", "extra": {"credentials": "environment"}}, ["TENCENTCLOUD_SECRET_ID"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else None,
)
def test_contradictions_are_named(
    set_connection: SetConnection, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: list[str]
) -> None:
    monkeypatch.delenv("TENCENTCLOUD_SECRET_ID", raising=False)
    set_connection(**change)
    with pytest.raises(ConnectionConfigError) as wrong:
        _ = CIHook().client
    assert [word for word in words if word not in str(wrong.value)] == []


def test_the_key_may_come_from_the_environment(
    set_connection: SetConnection, local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", local_ci.secret_id)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_KEY", local_ci.secret_key)
    set_connection({"credentials": "environment"}, login="", password="")
    assert CIHook().test_connection()[0]


class Metadata(BaseHTTPRequestHandler):
    """A stand-in for a machine's metadata address; it gives the role ``converter`` the local CI's key."""

    key: ClassVar[dict[str, object]] = {}

    def do_GET(self) -> None:
        role = self.path.removeprefix("/latest/meta-data/cam/security-credentials/")
        answer = json.dumps({"Code": "Success", **self.key}) if role else "converter"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def metadata_url(local_ci: LocalCI) -> Iterator[str]:
    key = {"TmpSecretId": local_ci.secret_id, "TmpSecretKey": local_ci.secret_key, "Token": "a-token"}
    handler = type("OfLocalCI", (Metadata,), {"key": {**key, "ExpiredTime": time.time() + 7200}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_key_may_be_that_of_the_machines_role(set_connection: SetConnection, metadata_url: str) -> None:
    set_connection({"credentials": "role", "metadata_url": metadata_url}, login="", password="")
    assert CIHook().test_connection()[0]
    set_connection({"credentials": "role", "metadata_url": "http://127.0.0.1:9"}, login="", password="")
    works, message = CIHook().test_connection()
    assert not works
    assert "http://127.0.0.1:9" in message
    assert "Bind a role" in message


def test_every_extra_has_its_line_in_the_documentation() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\|.*\|$", DOCUMENTATION, re.MULTILINE)
    assert set(rows) >= EXTRAS


DOCUMENTED = re.findall(r"AIRFLOW_CONN_TENCENT_CI_DEFAULT='(.*)'", DOCUMENTATION)


@pytest.mark.parametrize("form", DOCUMENTED, ids=range(len(DOCUMENTED)))
def test_what_the_documentation_exports_leads_to_its_bucket(
    monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", form)
    client = CIHook().client
    assert (client.bucket, client.region) == ("examplebucket-1250000000", "ap-guangzhou")


def test_password_and_token_are_masked_in_logs(set_connection: SetConnection) -> None:
    set_connection({"token": "a-token-to-be-masked"}, password="a-password-to-be-masked")
    _ = CIHook().client
    said = redact("it is a-password-to-be-masked with a-token-to-be-masked")
    assert said == "it is *** with ***"


def test_airflow_knows_the_provider() -> None:
    manager: Any = ProvidersManager
    runtime: Any = WorkerProviders
    assert "airflow-provider-ci" in manager().providers
    hook = runtime().hooks["tencent_ci"]
    assert hook is not None
    assert hook.hook_name == "Tencent Cloud Infinite"
    assert hook.connection_testable


def test_a_uri_that_spells_the_type_with_an_underscore_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow reads neither login nor password from a URI with such a scheme."""
    uri = "://SECRET_ID:SECRET_KEY@/?region=ap-guangzhou&bucket=examplebucket-1250000000"
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", f"tencent_ci{uri}")
    with pytest.raises(ConnectionConfigError, match="spells the type with a hyphen, tencent-ci://"):
        _ = CIHook("by_uri").client
    is_good, message = CIHook("by_uri").test_connection()
    assert not is_good
    assert "tencent-ci://" in message
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", f"tencent-ci{uri}")
    assert CIHook("by_uri").client.bucket == "examplebucket-1250000000"


def test_the_old_name_of_the_connection_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="conn_id is now called tencent_ci_conn_id"):
        hook = CIHook(conn_id="mine")
    assert hook.tencent_ci_conn_id == "mine"
    with pytest.warns(DeprecationWarning):
        assert hook.conn_id == "mine"


@pytest.mark.parametrize(
    ("reference", "secret"), [("conn:docs", "of-conn"), ("var:docs", "of-var"), ("env:DOCS", "of-env")]
)
def test_secrets_are_looked_up_where_their_reference_says(
    reference: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DOCS", json.dumps({"conn_type": "generic", "password": "of-conn"}))
    monkeypatch.setenv("AIRFLOW_VAR_DOCS", "of-var")
    monkeypatch.setenv("DOCS", "of-env")
    assert CIHook.secret(reference) == secret


@pytest.mark.parametrize("reference", ["conn:nowhere", "var:nowhere", "env:NOWHERE_AT_ALL", "secret:mine"])
def test_a_secret_that_is_missing_is_named(reference: str) -> None:
    with pytest.raises(Exception, match=reference.partition(":")[2] if reference[0] != "s" else "secret:"):
        CIHook.secret(reference)
