"""Two runs of one batch at the same time: the second one waits, fails, or is deferred."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, BatchRunningError
from airflow_provider_ci.batch.reports.folder import batch_folder
from airflow_provider_ci.client import CIClient
from airflow_provider_ci.local import LocalCI
from tests.batch.conftest import in_threads, pause
from tests.batch.overlap.conftest import keys, outputs, total_of

Fill = Callable[..., None]
Make = Callable[..., Batch]
Connect = Callable[..., CIClient]
Count = Callable[[CIClient], "Counter[str]"]


@pytest.mark.parametrize("local_ci", [0.05], indirect=True)
def test_the_same_batch_id_twice_at_once_waits(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    fill_bucket(*keys(6))
    with client_of(local_ci) as other:
        made = in_threads(batch(client).run, batch(other).run)
    assert [total_of(summary) for summary in made] == [(6, 6)] * 2
    assert sorted(summary.jobs for summary in made) == [0, 6]
    assert live_outputs(client) == outputs(*keys(6))


def test_a_batch_that_is_being_run_can_be_refused(
    client: CIClient,
    local_ci: LocalCI,
    client_of: Connect,
    fill_bucket: Fill,
    batch: Make,
    live_outputs: Count,
) -> None:
    fill_bucket(*keys(4))
    refused: list[str] = []

    def run_again(_: Any) -> None:
        if not refused:
            with client_of(local_ci) as other, pytest.raises(BatchRunningError) as error:
                batch(other, on_running="fail").run()
            refused.append(str(error.value))

    assert batch(client, max_in_flight=1, progress=run_again).run().succeeded == 4
    assert f"process {os.getpid()}" in refused[0]
    assert live_outputs(client) == outputs(*keys(4))


def test_a_parked_batch_is_not_being_run(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket(*keys(2))
    resume = pause(client)
    assert batch(client).advance(patience=0, deadline=time.time() + 60) is None
    resume()
    assert batch(client, on_running="fail").run().succeeded == 2


def test_a_second_run_that_is_deferrable_comes_back_later(
    client: CIClient, local_ci: LocalCI, client_of: Connect, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket(*keys(2))
    found: list[Any] = []

    def look(_: Any) -> None:
        if not found:
            with client_of(local_ci) as other:
                second = batch(other)
                found.append(second.advance(patience=0, deadline=time.time() + 60))
                found.append(second.parked["folder"])

    assert batch(client, progress=look).run().succeeded == 2
    assert found == [None, batch_folder("_ci_batches/", "test")]
