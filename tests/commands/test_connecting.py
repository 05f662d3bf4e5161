"""Both commands connect in the same ways: by options, by the environment, or by an Airflow connection."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient
from airflow_provider_ci.commands import check, main
from airflow_provider_ci.commands.connecting import add_options, connect, trusted_certificates
from airflow_provider_ci.local import LocalCI

BUCKET, REGION = "examplebucket-1250000000", "ap-guangzhou"
BY_CONNECTION = ("--conn-id", "tencent_ci_default")


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(given)


@pytest.fixture
def environ(local_ci: LocalCI) -> dict[str, str]:
    return {
        "TENCENTCLOUD_SECRET_ID": local_ci.secret_id,
        "TENCENTCLOUD_SECRET_KEY": local_ci.secret_key,
        "CI_ENDPOINT": local_ci.endpoint,
        "CI_BUCKET": BUCKET,
        "CI_REGION": REGION,
    }


def reached(client: CIClient) -> tuple[str, str]:
    """Check that the client gets a response; return its bucket and region."""
    with client:
        client.list_objects_page(page_size=1)
        return client.bucket, client.region


def test_an_option_precedes_its_variable(environ: dict[str, str]) -> None:
    wrong = {"CI_BUCKET": "x-1", "CI_REGION": "nowhere", "CI_ENDPOINT": "http://127.0.0.1:1"}
    given = ("--bucket", BUCKET, "--region", REGION, "--endpoint", environ["CI_ENDPOINT"])
    assert reached(connect(options(), environ)) == (BUCKET, REGION)
    assert reached(connect(options(*given), environ | wrong)) == (BUCKET, REGION)


def test_the_vendors_variable_for_the_region_is_read_last(environ: dict[str, str]) -> None:
    environ["TENCENTCLOUD_REGION"] = "ap-beijing"
    assert connect(options(), environ).region == REGION
    del environ["CI_REGION"]
    assert connect(options(), environ).region == "ap-beijing"


def test_a_connection_takes_the_place_of_the_environment(connection: dict[str, Any]) -> None:
    wrong = {"CI_BUCKET": "x-1", "CI_REGION": "nowhere", "CI_ENDPOINT": "http://127.0.0.1:1"}
    assert reached(connect(options(*BY_CONNECTION), wrong)) == (BUCKET, REGION)


def test_an_option_precedes_what_the_connection_says(
    local_ci: LocalCI, set_connection: Callable[..., None]
) -> None:
    set_connection({"bucket": "x-1", "region": "nowhere", "endpoint": "http://127.0.0.1:1"})
    given = ("--bucket", BUCKET, "--region", REGION, "--endpoint", local_ci.endpoint)
    assert reached(connect(options(*BY_CONNECTION, *given))) == (BUCKET, REGION)


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ((), True),
        (("--verify", "false"), False),
        (BY_CONNECTION, False),
        ((*BY_CONNECTION, "--verify", "TRUE"), True),
        ((*BY_CONNECTION, "--verify", "/ca.pem"), "/ca.pem"),
    ],
)
def test_signed_urls_trust_what_the_client_trusts(
    given: tuple[str, ...], trusted: bool | str, set_connection: Callable[..., None]
) -> None:
    set_connection({"verify": False})
    assert trusted_certificates(options(*given)) == trusted


@pytest.mark.parametrize(
    ("conn_id", "reason"), [("no_such", "no_such"), ("tencent_ci_default", "extra 'region' is missing")]
)
@pytest.mark.parametrize(
    ("name", "command", "arguments"), [("ci-batch", main.main, ["list"]), ("ci-check", check.main, ["--yes"])]
)
def test_a_connection_that_cannot_be_used_is_named(
    name: str,
    command: Callable[[list[str]], int],
    arguments: list[str],
    conn_id: str,
    reason: str,
    set_connection: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_connection({"region": ""})
    assert command([*arguments, "--conn-id", conn_id]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: --conn-id {conn_id}: ")
    assert reason in line
