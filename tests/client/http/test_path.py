"""How many of our functions lie between a call and the socket: each costs time and effort to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from traceback import walk_stack
from types import CodeType, FrameType
from typing import Any

import pytest

from airflow_provider_ci.client import CIClient, DocProcess, PicProcess

PACKAGE = str(Path(sys.modules[CIClient.__module__].__file__ or "").parents[1])
MOST_FRAMES = 8

CALLS: dict[str, Callable[[CIClient], Any]] = {
    "submit_doc_job": lambda ci: ci.submit_doc_job("in/a.docx", "out/a.pdf", DocProcess("pdf")),
    "submit_pic_job": lambda ci: ci.submit_pic_job("in/a.jpg", "out/a.png", PicProcess("imageMogr2/strip")),
    "get_doc_job": lambda ci: ci.get_doc_job("d1"),
    "list_doc_jobs_page": lambda ci: ci.list_doc_jobs_page(),
    "list_doc_queues_page": lambda ci: ci.list_doc_queues_page(),
    "put_object": lambda ci: ci.put_object("a", b"content"),
}


def own_functions_at_the_send(call: Callable[[], Any]) -> list[str]:
    """Our functions on the stack when a call first sends bytes to a socket, outermost first."""
    stacks: list[list[CodeType]] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument.__name__ == "sendall":
            stacks.append([each.f_code for each, _ in walk_stack(frame)])

    known = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    except Exception:
        pass  # the response fits only some of the calls; the stack is already recorded by then
    finally:
        sys.setprofile(known)
    return [code.co_name for code in reversed(stacks[0]) if code.co_filename.startswith(PACKAGE)]


@pytest.mark.parametrize("name", CALLS)
def test_few_functions_of_ours_lie_between_a_call_and_the_socket(
    name: str, ci: CIClient, wire: Any, reply: Any
) -> None:
    wire.will(reply("<Response/>"))
    found = own_functions_at_the_send(lambda: CALLS[name](ci))
    assert found[0] == name
    assert len(found) <= MOST_FRAMES, found
