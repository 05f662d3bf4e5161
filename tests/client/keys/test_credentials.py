"""Keys from the environment, from the machine's role, and from an assumed role, and their renewal."""

from __future__ import annotations

import json
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.client import (
    AccessDeniedError,
    AssumedRole,
    AuthenticationError,
    CIClient,
    Credentials,
    CredentialsError,
    DocProcess,
    MachineRole,
    RenewingCredentials,
    RetryPolicy,
    environment_credentials,
)
from airflow_provider_ci.client.keys.roles import METADATA_PATH
from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"
ROLE_ARN = "qcs::cam::uin/100000000001:roleName/converter"
FIRST = ("AKIDfirst", "first-secret-key", "first-token")
SECOND = ("AKIDsecond", "second-secret-key", "second-token")


@dataclass
class Giver:
    """What the stand-in for the metadata address and STS responds, and the requests it received."""

    url: str = ""
    keys: list[tuple[str, str, str]] = field(default_factory=lambda: [FIRST])
    """Keys to give out in order; the last one is given out again and again."""
    lifetimes: list[float] = field(default_factory=lambda: [7200.0])
    role: str = "converter"
    now: Callable[[], float] = time.time
    answer: tuple[int, str] | None = None
    """Status and text to send instead of every other response."""
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    """Path, headers and body of each request for a key."""
    gate: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def key(self) -> dict[str, str]:
        key = self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]
        return dict(zip(("TmpSecretId", "TmpSecretKey", "Token"), key, strict=True))

    def expires(self) -> float:
        return self.now() + (self.lifetimes.pop(0) if len(self.lifetimes) > 1 else self.lifetimes[0])


class Handler(BaseHTTPRequestHandler):
    giver: Giver

    def do_GET(self) -> None:
        name = self.path.removeprefix(METADATA_PATH)
        if not name:
            self.send(200, self.giver.role)
            return
        self.note("")
        self.send(
            200, json.dumps({"Code": "Success", "ExpiredTime": self.giver.expires(), **self.giver.key()})
        )

    def do_POST(self) -> None:
        self.note(self.rfile.read(int(self.headers["Content-Length"])).decode())
        body = {"Credentials": self.giver.key(), "ExpiredTime": self.giver.expires(), "RequestId": "r1"}
        self.send(200, json.dumps({"Response": body}))

    def note(self, body: str) -> None:
        self.giver.asked.append((self.path, dict(self.headers), body))
        self.giver.arrived.set()
        assert self.giver.gate.wait(30)

    def send(self, status: int, text: str) -> None:
        status, text = self.giver.answer or (status, text)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def giver() -> Iterator[Giver]:
    """A stand-in for the machine's metadata address (GET) and for STS (POST) on a free port."""
    giver = Giver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ForThisTest", (Handler,), {"giver": giver}))
    giver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield giver
    giver.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def of_machine(giver: Giver, clock: Any) -> RenewingCredentials:
    """The credentials of the machine's role, with a clock that the test sets."""
    giver.now = clock.now
    return RenewingCredentials(MachineRole(url=giver.url), _clock=clock)


@pytest.fixture
def ci_with(tmp_path: Path) -> Iterator[Callable[[tuple[str, str, str]], LocalCI]]:
    """Starts a local CI that accepts only the given key."""
    started: list[LocalCI] = []

    def start(key: tuple[str, str, str]) -> LocalCI:
        secret_id, secret_key, token = key
        root = tmp_path / "buckets"
        (root / BUCKET).mkdir(parents=True, exist_ok=True)
        server = LocalCI(root, secret_id=secret_id, secret_key=secret_key, token=token, convert="instant")
        started.append(server.__enter__())
        return server

    yield start
    for server in started:
        server.__exit__(None, None, None)


def client_of(source: Any, server: LocalCI, attempts: int = 1) -> CIClient:
    policy = RetryPolicy(max_attempts=attempts, first_wait_seconds=0)
    return CIClient(source, REGION, BUCKET, endpoint=server.endpoint, retry=policy)


def key_of(source: RenewingCredentials) -> tuple[str, str, str | None]:
    key = source.current()
    return key.secret_id, key.secret_key, key.token


def test_a_client_signs_with_the_machines_role(
    giver: Giver, ci_with: Callable[..., LocalCI], of_machine: RenewingCredentials
) -> None:
    with client_of(of_machine, ci_with(FIRST)) as client:
        client.put_object("a.txt", b"text")
        assert client.list_doc_queues()
    assert [path for path, _, _ in giver.asked] == [f"{METADATA_PATH}converter"]


def test_the_role_may_be_named(giver: Giver) -> None:
    giver.role = "another"
    MachineRole(role_name="data team", url=giver.url).fetch()
    assert giver.asked[0][0] == f"{METADATA_PATH}data%20team"


def test_a_key_is_renewed_five_minutes_before_it_expires(
    giver: Giver, clock: Any, of_machine: RenewingCredentials
) -> None:
    giver.keys = [FIRST, SECOND]
    assert key_of(of_machine) == FIRST
    clock.sleep(7200 - 301)
    assert key_of(of_machine) == FIRST
    clock.sleep(1)
    assert key_of(of_machine) == SECOND
    assert len(giver.asked) == 2


def test_a_short_lived_key_is_not_asked_for_on_every_request(
    giver: Giver, clock: Any, of_machine: RenewingCredentials
) -> None:
    giver.keys, giver.lifetimes = [FIRST, SECOND], [100.0]
    assert key_of(of_machine) == key_of(of_machine) == FIRST
    clock.sleep(50)
    assert key_of(of_machine) == SECOND


def test_a_key_that_this_clock_calls_expired_is_tried(giver: Giver, of_machine: RenewingCredentials) -> None:
    giver.lifetimes = [-3600.0]
    assert key_of(of_machine) == key_of(of_machine) == FIRST
    assert len(giver.asked) == 1


def test_one_thread_renews_and_the_others_go_on_with_the_old_key(
    giver: Giver, clock: Any, of_machine: RenewingCredentials
) -> None:
    giver.keys = [FIRST, SECOND]
    of_machine.current()
    clock.sleep(7000)
    giver.arrived.clear()
    giver.gate.clear()
    renewed: list[Any] = []
    renewing = threading.Thread(target=lambda: renewed.append(key_of(of_machine)))
    renewing.start()
    assert giver.arrived.wait(30)
    others = [key_of(of_machine) for _ in range(20)]  # would block for ever if it waited for the renewal
    giver.gate.set()
    renewing.join()
    assert others == [FIRST] * 20
    assert renewed == [SECOND]
    assert len(giver.asked) == 2


def test_many_threads_that_need_the_first_key_ask_once(giver: Giver, of_machine: RenewingCredentials) -> None:
    giver.gate.clear()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(key_of(of_machine))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert giver.arrived.wait(30)
    giver.gate.set()
    for thread in threads:
        thread.join()
    assert found == [FIRST] * 8
    assert len(giver.asked) == 1


def test_a_renewal_that_fails_matters_only_when_the_old_key_has_expired(
    giver: Giver, clock: Any, of_machine: RenewingCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    of_machine.current()
    giver.answer = (500, "broken")
    clock.sleep(7000)
    assert key_of(of_machine) == key_of(of_machine) == FIRST
    assert len([each for each in caplog.records if "could not be renewed yet" in each.message]) == 1
    clock.sleep(200)
    with pytest.raises(CredentialsError, match="500"):
        of_machine.current()
    giver.answer = None
    giver.keys = [SECOND]
    assert key_of(of_machine) == SECOND


def test_a_refused_key_is_renewed_once_and_the_request_repeated(
    giver: Giver, ci_with: Callable[..., LocalCI], of_machine: RenewingCredentials
) -> None:
    giver.keys = [FIRST, SECOND]
    with client_of(of_machine, ci_with(SECOND)) as client:
        client.put_object("a.txt", b"text")
    assert len(giver.asked) == 2


def test_a_stale_token_is_renewed_and_a_job_submitted_once(
    giver: Giver, ci_with: Callable[..., LocalCI], of_machine: RenewingCredentials
) -> None:
    server = ci_with(FIRST)
    (Path(server.root) / BUCKET / "a.txt").write_text("text")
    giver.keys = [(*FIRST[:2], "a-token-of-before"), FIRST]
    with client_of(of_machine, server) as client:
        job = client.submit_doc_job("a.txt", "a.pdf", DocProcess(target="pdf"))
        assert [each.job_id for each in client.list_doc_jobs()] == [job.job_id]
    assert len(giver.asked) == 2


def test_an_expired_token_is_an_error_where_the_role_has_no_other(
    giver: Giver, ci_with: Callable[..., LocalCI], of_machine: RenewingCredentials
) -> None:
    server = ci_with(FIRST)
    server.faults.add("error", status=400, code="ExpiredToken")
    with client_of(of_machine, server) as client, pytest.raises(AuthenticationError, match="ExpiredToken"):
        client.list_doc_queues()
    assert len(giver.asked) == 2


def test_a_key_that_stays_refused_is_asked_for_only_once_in_a_while(
    giver: Giver, clock: Any, ci_with: Callable[..., LocalCI], of_machine: RenewingCredentials
) -> None:
    with client_of(of_machine, ci_with(SECOND)) as client:
        for _ in range(5):
            with pytest.raises(AuthenticationError):
                client.list_objects_page(page_size=1)
        assert len(giver.asked) == 2
        clock.sleep(60)
        with pytest.raises(AuthenticationError):
            client.list_objects_page(page_size=1)
    assert len(giver.asked) == 3


def test_another_refusal_renews_nothing(
    giver: Giver, ci_with: Callable[..., LocalCI], of_machine: RenewingCredentials
) -> None:
    server = ci_with(FIRST)
    server.faults.add("error", code="CIRoleNotExist", host="ci")
    with client_of(of_machine, server) as client, pytest.raises(AccessDeniedError):
        client.list_doc_queues()
    assert len(giver.asked) == 1


def test_a_static_key_that_is_refused_is_not_tried_again(ci_with: Callable[..., LocalCI]) -> None:
    key = Credentials(secret_id=FIRST[0], secret_key=FIRST[1], token=FIRST[2])
    with client_of(key, ci_with(SECOND)) as client, pytest.raises(AuthenticationError):
        client.list_objects_page(page_size=1)


def test_a_role_is_assumed_with_the_vendors_package(giver: Giver, ci_with: Callable[..., LocalCI]) -> None:
    own = Credentials(secret_id="AKIDown", secret_key="own-secret-key", token="own-token")
    role = AssumedRole(
        role_arn=ROLE_ARN, source=own, session_name="nightly", duration_seconds=900, url=giver.url
    )
    with client_of(RenewingCredentials(role), ci_with(FIRST)) as client:
        client.put_object("a.txt", b"text")
    ((_, headers, body),) = giver.asked
    assert json.loads(body) == {
        "RoleArn": ROLE_ARN,
        "RoleSessionName": "nightly",
        "DurationSeconds": 900,
    }
    assert headers["X-TC-Action"] == "AssumeRole"
    assert headers["X-TC-Token"] == "own-token"
    assert "Credential=AKIDown/" in headers["Authorization"]


def test_the_machines_role_may_assume_another_one(giver: Giver) -> None:
    giver.keys = [FIRST, SECOND]
    machine = RenewingCredentials(MachineRole(url=giver.url))
    assumed = RenewingCredentials(AssumedRole(role_arn=ROLE_ARN, source=machine, url=giver.url))
    assert key_of(assumed) == SECOND
    assert "Credential=AKIDfirst/" in giver.asked[1][1]["Authorization"]


def test_a_refusal_of_sts_says_which_role_and_why(giver: Giver) -> None:
    refusal = {
        "Error": {"Code": "InternalError.RoleNotExist", "Message": "role not exist"},
        "RequestId": "r7",
    }
    giver.answer = (200, json.dumps({"Response": refusal}))
    source = Credentials(secret_id="AKIDown", secret_key="own-secret-key")
    with pytest.raises(CredentialsError) as refused:
        AssumedRole(role_arn=ROLE_ARN, source=source, url=giver.url).fetch()
    for word in (ROLE_ARN, giver.url, "RoleNotExist", "r7"):
        assert word in str(refused.value)
    assert not refused.value.is_retryable


def test_without_the_vendors_package_the_extra_is_named(
    giver: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "tencentcloud"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tencentcloud", None)
    source = Credentials(secret_id="AKIDown", secret_key="own-secret-key")
    with pytest.raises(CredentialsError, match=r"airflow-provider-ci\[role\]"):
        AssumedRole(role_arn=ROLE_ARN, source=source, url=giver.url).fetch()


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((404, "no"), "404"),
        ((200, ""), "returns no role name"),
        ((200, "not json"), "holds no key"),
        ((200, '{"Code": "Success"}'), "holds no key"),
        ((200, "[]"), "holds no key"),
    ],
    ids=["no role", "empty", "no JSON", "no key", "no object"],
)
def test_a_metadata_address_without_a_key_says_so(giver: Giver, answer: tuple[int, str], word: str) -> None:
    giver.answer = answer
    with pytest.raises(CredentialsError, match=word) as missing:
        MachineRole(url=giver.url).fetch()
    assert giver.url in str(missing.value)


def test_a_machine_without_metadata_says_so_and_nothing_was_sent() -> None:
    with pytest.raises(CredentialsError, match=r"127\.0\.0\.1:9.*Bind a role") as missing:
        MachineRole(url="http://127.0.0.1:9").fetch()
    assert not missing.value.was_sent
    assert missing.value.is_retryable


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://metadata.tencentyun.com", "http://u:p@127.0.0.1", "127.0.0.1"]
)
def test_no_other_host_is_asked_for_the_machines_key(url: str) -> None:
    with pytest.raises(ValueError, match="metadata_url"):
        MachineRole(url=url)


@pytest.mark.parametrize("host", ["metadata.tencentyun.com", "169.254.0.23", "127.0.0.1:8080", "localhost"])
def test_the_metadata_address_may_be(host: str) -> None:
    assert MachineRole(url=f"http://{host}").url.endswith(host)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("role_arn", "converter"),
        ("duration_seconds", 0),
        ("duration_seconds", 50_000),
        ("url", "http://sts.example.com"),
        ("url", "https://user:word@sts.example.com"),
    ],
)
def test_an_assumed_role_is_checked_when_it_is_made(argument: str, value: Any) -> None:
    source = Credentials(secret_id="AKIDown", secret_key="own-secret-key")
    with pytest.raises(ValueError):
        AssumedRole(**{"role_arn": ROLE_ARN, "source": source, argument: value})


@pytest.mark.parametrize("name", ["TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"])
def test_a_key_may_come_from_the_environment(name: str) -> None:
    environ = {"TENCENTCLOUD_SECRET_ID": "AKIDx", "TENCENTCLOUD_SECRET_KEY": "k", name: "t"}
    key = environment_credentials(environ)
    assert (key.secret_id, key.secret_key, key.token) == ("AKIDx", "k", "t")


def test_a_key_of_the_environment_that_is_incomplete_is_named() -> None:
    with pytest.raises(ValueError, match="TENCENTCLOUD_SECRET_KEY") as missing:
        environment_credentials({"TENCENTCLOUD_SECRET_ID": "AKIDx", "TENCENTCLOUD_SECRET_KEY": ""})
    assert "TENCENTCLOUD_SECRET_ID" not in str(missing.value)


def test_no_repr_no_error_and_no_log_holds_a_secret(giver: Giver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    own = Credentials(secret_id="AKIDown", secret_key="own-secret-key", token="own-token")
    source = RenewingCredentials(AssumedRole(role_arn=ROLE_ARN, source=own, url=giver.url))
    key = source.current()
    giver.answer = (200, json.dumps({"Response": {"Credentials": {"Token": "half-a-token"}}}))
    with pytest.raises(CredentialsError) as broken:
        AssumedRole(role_arn=ROLE_ARN, source=own, url=giver.url).fetch()
    said = f"{source!r} {own!r} {key!r} {vars(source)!r} {broken.value!r} {caplog.text}"
    for secret in ("own-secret-key", "own-token", FIRST[1], FIRST[2], "half-a-token"):
        assert secret not in said
    assert str(pickle.loads(pickle.dumps(broken.value))) == str(broken.value)
