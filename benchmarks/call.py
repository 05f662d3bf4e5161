"""CPU cost of a signed call: our client compared with the official SDK, on the same fixed responses.

Both sign, send, read and parse; our client parses into typed objects, the SDK into dictionaries. Batches of
calls alternate between the two, so that other load on the machine affects both; the median batch counts.
"""

from __future__ import annotations

import gc
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

from qcloud_cos import CosConfig, CosS3Client

from airflow_provider_ci.client import CIClient, Credentials, DocProcess
from benchmarks import canned

SECRET_ID = "AKIDEXAMPLEexample0123456789abcdefgh"
SECRET_KEY = "ExampleSecretKey0123456789abcdef"
REGION = "ap-guangzhou"
JOB_ID = "d00000000000000000000000000000001"
BATCHES = 15

Call = Callable[[], Any]


def calls(port: int) -> dict[str, tuple[Call, Call, int]]:
    """For each line of the output: our call, the peer's call, and the number of calls in a batch."""
    ours = CIClient(
        Credentials(secret_id=SECRET_ID, secret_key=SECRET_KEY),
        REGION,
        canned.BUCKET,
        endpoint=f"http://127.0.0.1:{port}",
    )
    peer = _peer(port)
    names = {"Bucket": canned.BUCKET, "OutputBucket": canned.BUCKET, "OutputRegion": REGION}
    return {
        "doc-job submit": (
            lambda: ours.submit_doc_job("in/a.docx", "out/p-${Number}.png", DocProcess(target="png")),
            lambda: peer.ci_create_doc_job(
                **names, InputObject="in/a.docx", OutputObject="out/p-${Number}.png", TgtType="png"
            ),
            200,
        ),
        "doc-job get": (
            lambda: ours.get_doc_job(JOB_ID),
            lambda: peer.ci_get_doc_job(Bucket=canned.BUCKET, JobID=JOB_ID),
            200,
        ),
        "listing page": (
            lambda: ours.list_objects_page(),
            lambda: peer.list_objects(Bucket=canned.BUCKET, MaxKeys=1000),
            8,
        ),
    }


def _peer(port: int) -> CosS3Client:
    """The SDK as in its documentation, with the server's address and as little logging as our client."""
    logging.getLogger("qcloud_cos").setLevel(logging.WARNING)
    config = CosConfig(
        Region=REGION, SecretId=SECRET_ID, SecretKey=SECRET_KEY, Scheme="http", IP="127.0.0.1", Port=port
    )
    return CosS3Client(config)


def cpu_ms(call: Call, times: int) -> float:
    """CPU milliseconds of this process per call."""
    gc.collect()
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) * 1000 / times


def compare(ours: Call, peer: Call, times: int) -> tuple[float, float]:
    """CPU milliseconds per call in the median batch of each client."""
    ours(), peer()  # opens connections and fills caches
    pairs = [(cpu_ms(ours, times), cpu_ms(peer, times)) for _ in range(BATCHES)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def main() -> None:
    with canned.running() as port:
        for name, (ours, peer, times) in calls(port).items():
            a, b = compare(ours, peer, times)
            print(
                f"bench call {name}: ours {a:.2f} ms CPU, peer {b:.2f} ms CPU, ratio {a / b:.2f}", flush=True
            )


if __name__ == "__main__":
    main()
