from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_ci.client import (
    CIClient,
    CIConnectionError,
    CIError,
    ServerError,
    SubmissionUnknownError,
)
from airflow_provider_ci.jobs import retry_while_unavailable
from airflow_provider_ci.jobs.outage import Outage


class Step:
    """A call that raises these errors in turn and then succeeds."""

    def __init__(self, *errors: CIError) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def away() -> CIError:
    return CIConnectionError("no route", was_sent=False)


def test_a_step_is_repeated_until_it_works() -> None:
    step, waits = Step(away(), away()), list[float]()
    assert retry_while_unavailable(step, limit_seconds=60, wait=waits.append) == "done"
    assert step.tries == 3
    assert len(waits) == 2 and all(1 <= seconds <= 1.1 for seconds in waits)


def test_after_the_limit_the_last_error_is_raised() -> None:
    step = Step(*[away() for _ in range(100)])
    with pytest.raises(CIConnectionError, match="no route"):
        retry_while_unavailable(step, limit_seconds=-1, wait=lambda _: None)
    assert step.tries == 1


@pytest.mark.parametrize(
    "error",
    [
        ServerError(status=501, code="NotImplemented"),
        SubmissionUnknownError(input_key="a", output_key="b", reason="cut"),
    ],
)
def test_what_must_not_be_repeated_is_raised_at_once(error: CIError) -> None:
    step = Step(error)
    with pytest.raises(type(error)):
        retry_while_unavailable(step, limit_seconds=60, wait=lambda _: None)
    assert step.tries == 1


def test_who_waits_may_be_stopped() -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry_while_unavailable(Step(away()), limit_seconds=60, wait=stop)


def test_a_call_of_the_client_waits_out_an_outage(
    client: CIClient, local_ci: object, fill_bucket: Callable[..., None]
) -> None:
    faults = getattr(local_ci, "faults")  # noqa: B009
    faults.add("error", status=503, method="GET", count=1, retry_after=10_000)
    assert retry_while_unavailable(client.list_doc_queues, limit_seconds=60, wait=lambda _: None)


def test_a_batch_that_waits_says_so_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("airflow_provider_ci.jobs.outage.time.monotonic", lambda: now)
    outage = Outage("daily", limit_seconds=600)
    for _ in range(1210):
        outage.note(away(), moved=0)
        now += 0.1
    warnings = [record.getMessage() for record in caplog.records]
    assert [warning.partition("(")[2].partition(" so")[0] for warning in warnings] == ["0 s", "60 s", "120 s"]
    outage.note(None, moved=0)
    outage.note(away(), moved=0)
    assert len(caplog.records) == 4, "another outage is named at once"
