"""``max_jobs`` and the canary hold in processes that are killed with SIGKILL again and again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from airflow_provider_ci.batch import BatchFailedError
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI
from tests.batch.costs.conftest import Make
from tests.batch.costs.test_canary import jobs

PROGRAM = """
import os, signal, sys
from airflow_provider_ci.batch import Batch, ObjectSelection, Pace
from airflow_provider_ci.client import CIClient, Credentials
from tests.batch.costs.work import CHAIN

endpoint, secret_id, secret_key, last, *queues = sys.argv[1:]
key = Credentials(secret_id=secret_id, secret_key=secret_key)
client = CIClient(key, "ap-guangzhou", "examplebucket-1250000000", endpoint=endpoint)
left, attempt = [int(last)], client._transport._attempt

def pass_on(request, *more, **options):
    response = attempt(request, *more, **options)
    left[0] -= request.method == "POST"
    if left[0] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return response

client._transport._attempt = pass_on
Batch(
    client, ObjectSelection(prefix="in/"), operations=CHAIN, batch_id="test",
    pace=Pace(shortest=0.02, longest=0.1), lease_seconds=3,
    max_jobs=11, canary=2, max_in_flight=4, queue_ids=queues,
).run()
"""


def test_a_chain_in_two_queues_that_is_killed_three_times(
    local_ci: LocalCI, make_of: Callable[[str], Make], end_leases: Callable[[], None],
    live_outputs: Callable[[CIClient], Counter[str]],
) -> None:  # fmt: skip
    chain = make_of("chain")
    chain.add(6)
    queues = [each.queue_id for each in (*chain.client.list_doc_queues(), *chain.client.list_pic_queues())]
    for last in (2, 3, 4):
        arguments = (local_ci.endpoint, local_ci.secret_id, local_ci.secret_key, str(last), *queues)
        assert subprocess.run([sys.executable, "-c", PROGRAM, *arguments]).returncode == -signal.SIGKILL
        assert jobs(chain.client) <= 11
        end_leases()
    options = {"canary": 2, "max_in_flight": 4, "lease_seconds": 3, "queue_ids": queues}
    with pytest.raises(BatchFailedError, match="max_jobs is 11"):
        chain(max_jobs=11, **options).run()
    assert jobs(chain.client) == 11
    summary = chain(max_jobs=18, **options).run()
    assert summary.succeeded + summary.skipped == 6
    assert jobs(chain.client) == 18
    assert set(live_outputs(chain.client).values()) == {1}
