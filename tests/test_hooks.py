from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from airflow_provider_ci import get_provider_info
from airflow_provider_ci.hooks import CIHook, ConnectionConfigError
from airflow_provider_ci.local import LocalCI

SetConnection = Callable[..., None]


@pytest.fixture
def set_connection(connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> SetConnection:
    """Changes the default connection; the extra's values are merged into those that lead to the local CI."""

    def change(extra: dict[str, Any] | None = None, **values: Any) -> None:
        changed = {**connection, **values, "extra": {**connection["extra"], **(extra or {})}}
        monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps(changed))

    return change


def test_the_client_has_what_the_connection_says(set_connection: SetConnection) -> None:
    set_connection({"requests_per_second": "50", "timeout": 5, "verify": "false", "token": ""})
    client = CIHook().client
    assert (client.bucket, client.region) == ("examplebucket-1250000000", "ap-guangzhou")
    client.head_bucket()


def test_a_connection_may_be_a_uri(local_ci: LocalCI, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "region": "ap-guangzhou",
        "bucket": "examplebucket-1250000000",
        "endpoint": local_ci.endpoint,
        "timeout": "5",
        "verify": "true",
    }
    user = f"{quote(local_ci.secret_id)}:{quote(local_ci.secret_key)}"
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", f"tencent-ci://{user}@/?{urlencode(extra)}")
    assert CIHook().test_connection()[0]


def test_an_extra_that_is_no_object_is_named(
    connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {**connection, "extra": json.dumps(["ap-guangzhou"])}
    monkeypatch.setenv("AIRFLOW_CONN_TENCENT_CI_DEFAULT", json.dumps(values))
    with pytest.raises(ConnectionConfigError, match="tencent_ci_default"):
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


def test_a_connection_that_works_is_tested_as_such(set_connection: SetConnection) -> None:
    set_connection()
    assert CIHook().test_connection() == (
        True,
        "bucket examplebucket-1250000000 and its document queues can be read",
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"password": "wrong"}, "SignatureDoesNotMatch"),
        ({"login": "AKIDunknown"}, "InvalidAccessKeyId"),
        ({"extra": {"bucket": "nosuch-1250000000"}}, "nosuch-1250000000"),
        ({"extra": {"endpoint": "http://127.0.0.1:9"}}, "127.0.0.1:9"),
        ({"extra": {"region": ""}}, "region"),
    ],
    ids=["key", "id", "bucket", "nobody listens", "no region"],
)
def test_a_connection_that_does_not_work_says_why(
    set_connection: SetConnection, change: dict[str, Any], word: str
) -> None:
    set_connection(**change)
    works, message = CIHook().test_connection()
    assert not works
    assert word in message


def test_a_refused_document_service_is_told_apart_from_the_bucket(
    set_connection: SetConnection, local_ci: LocalCI
) -> None:
    set_connection()
    local_ci.faults.add("error", status=403, code="AccessDenied", host="ci", count=5)
    works, message = CIHook().test_connection()
    assert not works
    assert "document queues" in message
    assert "AccessDenied" in message


def test_the_form_has_a_field_for_every_extra_and_hides_the_token() -> None:
    (kind,) = get_provider_info()["connection-types"]
    assert kind["connection-type"] == CIHook.conn_type
    assert kind["hook-class-name"] == f"{CIHook.__module__}.{CIHook.__qualname__}"
    assert kind["conn-fields"]["token"]["schema"]["format"] == "password"
    assert {"region", "bucket", "endpoint", "timeout", "verify"} <= kind["conn-fields"].keys()


def test_airflow_knows_the_provider() -> None:
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    manager: Any = ProvidersManager
    runtime: Any = ProvidersManagerTaskRuntime
    assert "airflow-provider-ci" in manager().providers
    hook = runtime().hooks["tencent_ci"]
    assert hook is not None
    assert hook.hook_name == "Tencent Cloud Infinite"
    assert hook.connection_testable
