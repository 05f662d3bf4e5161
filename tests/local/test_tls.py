"""With ``tls``, one port serves TLS, plain HTTP, and clients that use it as their HTTPS proxy."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.local import LocalCI

BUCKET = "examplebucket-1250000000"
REGION = "ap-guangzhou"


@pytest.fixture
def tls(serve: Any) -> Iterator[LocalCI]:
    return serve(tls=True)  # type: ignore[no-any-return]


def port(server: LocalCI) -> int:
    return int(urlsplit(server.endpoint).port or 0)


def handshake(server: LocalCI, connection: socket.socket, name: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(server.certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context.wrap_socket(connection, server_hostname=name)


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", f"{BUCKET}.ci.ap-jakarta.myqcloud.com", "a.example"]
)
def test_every_host_name_has_a_certificate_that_the_printed_one_vouches_for(tls: LocalCI, name: str) -> None:
    assert tls.endpoint.startswith("https://127.0.0.1:")
    plain = socket.create_connection(("127.0.0.1", port(tls)), timeout=30)
    with handshake(tls, plain, name) as connection:
        assert connection.version() == "TLSv1.3"


def test_a_client_that_does_not_trust_the_certificate_harms_nobody(tls: LocalCI) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(tls.endpoint, timeout=30)
    assert (
        requests.get(f"{tls.endpoint}/_local/faults", verify=str(tls.certificate), timeout=30).status_code
        == 200
    )


def test_half_a_first_line_and_silence_hold_up_nobody(tls: LocalCI) -> None:
    address = ("127.0.0.1", port(tls))
    with socket.create_connection(address, timeout=30) as silent, socket.create_connection(address) as half:
        half.sendall(b"CONN")
        assert requests.get(f"{tls.endpoint}/_local/faults", verify=str(tls.certificate), timeout=30).ok
        half.sendall(b"ECT a.cos.b:443 HTTP/1.1\r\n")
        half.sendall(b"Host: a.cos.b\r\n\r\n")
        assert half.recv(1000).startswith(b"HTTP/1.1 200 ")
        silent.close()
        with handshake(tls, half, "a.cos.b") as connection:
            connection.sendall(b"GET /_local/requests HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_plain_http_is_answered_on_the_same_port(tls: LocalCI) -> None:
    assert requests.get(f"http://127.0.0.1:{port(tls)}/_local/faults", timeout=30).json() == {"faults": []}


def test_an_sdk_that_insists_on_https_works_by_way_of_the_proxy(tls: LocalCI, monkeypatch: Any) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.certificate))
    config = CosConfig(
        Region=REGION,
        SecretId=tls.secret_id,
        SecretKey=tls.secret_key,
        Scheme="https",
        Proxies={"https": f"http://127.0.0.1:{port(tls)}"},
    )
    sdk = CosS3Client(config, retry=0)
    sdk.put_object(Bucket=BUCKET, Key="a", Body=b"abc")
    assert sdk.get_object(Bucket=BUCKET, Key="a")["Body"].get_raw_stream().read() == b"abc"
    assert sdk.ci_get_doc_queue(Bucket=BUCKET)["QueueList"]
    assert tls.request_counts()["GET ci /docqueue"] == 1


def test_without_tls_a_client_that_wants_it_is_told_how(call: Any, server: LocalCI) -> None:
    reply = call.raw("CONNECT", f"{BUCKET}.ci.{REGION}.myqcloud.com:443", {"Host": "a.ci.b:443"})
    assert (reply.status, reply.code, b"--tls" in reply.body) == (501, "NotImplemented", True)
    assert server.certificate is None


def test_no_key_is_left_on_the_disk(tls: LocalCI, root: Path) -> None:
    requests.get(f"{tls.endpoint}/_local/faults", verify=str(tls.certificate), timeout=30)
    files = [path for path in root.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert files == []


def test_a_port_that_is_taken_is_named(tls: LocalCI, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=f"port {port(tls)} on 127.0.0.1 is in use"):
        LocalCI(tmp_path / "other", convert="instant", tls=True, port=port(tls)).start()


def test_a_stopped_server_answers_no_more_and_can_start_again(tls: LocalCI) -> None:
    tls.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"http://127.0.0.1:{port(tls)}/", timeout=5)
    tls.start()
    assert requests.get(f"{tls.endpoint}/_local/faults", verify=str(tls.certificate), timeout=30).ok
