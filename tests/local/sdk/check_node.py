"""Checks the local CI with the official Node SDK; ``make sdk-matrix`` installs the SDK and runs this.

The file's name does not start with ``test_``, so that ``make test`` needs no Node.
"""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"
BUCKET = "examplebucket-1250000000"
PNG = b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000004000000040802000000269309290000001049444154789c63fccf8000"
        "4c0c44710033d101073a843eb80000000049454e44ae426082"
    )
)


def call_all(server: Any, protocol: str) -> dict[str, str | None]:
    """The error of each call of the program, by name; None if the call succeeded."""
    port = server.endpoint.rpartition(":")[2]
    environment = {
        **os.environ,
        "BUCKET": BUCKET,
        "PROTOCOL": protocol,
        "PROXY": f"http://127.0.0.1:{port}",
        "SECRET_ID": server.secret_id,
        "SECRET_KEY": server.secret_key,
        "PNG": PNG.decode(),
        **({"NODE_EXTRA_CA_CERTS": str(server.certificate)} if server.certificate else {}),
    }
    done = subprocess.run(
        ["node", "calls.js"], cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["name"]: line["error"] for line in lines}


@pytest.mark.parametrize(
    ("protocol", "options"),
    [("http:", {}), ("https:", {"tls": True}), ("http:", {"strict_signature": True})],
    ids=["http", "https by CONNECT", "strict signatures"],
)
def test_every_call_of_the_node_sdk_works(serve: Any, protocol: str, options: dict[str, Any]) -> None:
    found = call_all(serve(**options), protocol)
    assert {name: error for name, error in found.items() if error} == {}
    assert len(found) == 26
