"""Child processes that are forked after the client was used: each has its own connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.client import (
    CIClient,
    CredentialsError,
    DocProcess,
    RenewingCredentials,
    SubmissionUnknownError,
)
from airflow_provider_ci.local import LocalCI

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def in_child(work: Callable[[], bool]) -> int:
    """Fork and run ``work`` in the child, which exits with 0 if it returns True; return the process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = 0 if work() else 2
    finally:
        os._exit(code)


def ended_well(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_two_children_never_take_each_others_responses(
    local_ci: LocalCI, client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    names = [f"{child}-{number}" for child in "ab" for number in range(15)]
    fill_bucket(*(f"in/{name}.docx" for name in names))
    client.head_bucket()
    list(client.list_doc_jobs())

    def submit(child: str) -> bool:
        jobs = [
            client.submit_doc_job(f"in/{child}-{number}.docx", f"out/{child}-{number}.pdf", DocProcess())
            for number in range(15)
        ]
        return all(job.input_key == f"in/{child}-{number}.docx" for number, job in enumerate(jobs))

    children = [in_child(lambda child=child: submit(child)) for child in "ab"]  # type: ignore[misc]
    assert [ended_well(child) for child in children] == [True, True]
    assert sorted(job.input_key for job in client.list_doc_jobs()) == sorted(
        f"in/{name}.docx" for name in names
    )


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_needs_no_lock_that_a_thread_held(client: CIClient) -> None:
    """The threads that hold the locks do not exist in the child, so nothing would release a copied lock."""
    client.head_bucket()
    transport: Any = client._transport
    (pool,) = {id(pool): pool for pool in transport._adapter._pools.values()}.values()
    held = [transport._pace._lock, transport.clock._lock, pool.pool.mutex]
    for lock in held:
        lock.acquire()
    child = in_child(lambda: client.server_time() is not None)
    for lock in held:
        lock.release()
    assert ended_well(child)
    client.head_bucket()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_can_fetch_a_key_while_a_thread_of_its_parent_does() -> None:
    fetching, over = threading.Event(), threading.Event()
    parent = os.getpid()

    class Role:
        def fetch(self) -> Any:
            if os.getpid() == parent:
                fetching.set()
                over.wait()
            raise CredentialsError("none", is_retryable=False)

    source = RenewingCredentials(Role())

    def is_refused() -> bool:
        with pytest.raises(CredentialsError):
            source.current()
        return True

    thread = threading.Thread(target=is_refused)
    thread.start()
    fetching.wait()
    child = in_child(is_refused)
    assert ended_well(child)
    over.set()
    thread.join()


@pytest.mark.parametrize(
    ("input_key", "output_key"), [("in/b.docx", "out/a.pdf"), ("in/a.docx", "out/b.pdf")]
)
def test_a_response_about_another_job_is_not_taken_for_ours(
    input_key: str, output_key: str, ci: CIClient, wire: Any, job_reply: Any
) -> None:
    wire.will(job_reply(input_key=input_key, output_key=output_key))
    with pytest.raises(SubmissionUnknownError, match="describes another job"):
        ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess())
    assert len(wire.requests) == 1


@pytest.mark.parametrize("echoed", ["/in/a b.docx", "in/a%20b.docx", " in/a b.docx"])
def test_a_key_that_is_echoed_in_another_way_is_still_ours(
    echoed: str, ci: CIClient, wire: Any, job_reply: Any
) -> None:
    wire.will(job_reply(input_key=echoed))
    assert ci.submit_doc_job("in/a b.docx", "out/a.pdf", DocProcess()).job_id == "d1"
