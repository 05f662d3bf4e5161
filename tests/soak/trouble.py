"""What happens at the requests of a phase: kills, faults and rivals."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from tests.soak.child import Child
from tests.soak.diary import Diary
from tests.soak.relay import HEAD_END, Request
from tests.soak.scenario import Event
from tests.soak.server import Server

_HEARD_LATE_SECONDS = 0.3
_FROZEN_LEASES = 2
_OVERTAKING_SECONDS = 0.7
_PART_OF_A_REQUEST = 0.05
_USER_DATA = re.compile(rb"<UserData>[^<]*</UserData>")
_PLAN = re.compile(rb'"batch_id": "[^"]*", "token": "([0-9a-f]+)"')
_LENGTH = re.compile(rb"(?<=\r\nContent-Length: )\d+")


class Trouble:
    """Passes the requests of all tries on to the server, and makes the events of the phase happen."""

    def __init__(
        self, server: Server, diary: Diary, start_rival: Callable[[], None], *, echoes_user_data: bool
    ) -> None:
        self._server = server
        self._diary = diary
        self._echoes_user_data = echoes_user_data
        self._start_rival = start_rival
        self._restarting = threading.Lock()
        self._counts: dict[Event, int] = {}
        self._plans: set[bytes] = set()

    def begin(self, events: Iterable[Event]) -> None:
        """Count the requests from now on."""
        self._counts = dict.fromkeys(events, 0)

    async def pass_on(self, request: Request[Child]) -> bytes | None:
        """The answer for the sender, ``None`` to leave it without one."""
        event = self._due(request)
        number = self._diary.note_request(f"{request.sender}: {request.method} {request.target}", event)
        answer = await self._happen(event, request) if event else await self._forward(request)
        status = answer.split(b" ", 2)[1].decode() if answer else "no answer"
        self._diary.note(f"{number} -> {status}")
        return answer if self._echoes_user_data or not answer else _without_user_data(answer)

    async def _forward(self, request: Request[Child]) -> bytes | None:
        if request.method == "PUT" and request.target.endswith("/plan.json"):
            self._plans |= set(_PLAN.findall(request.content))
        return await request.forward()

    @property
    def plans(self) -> int:
        """How many plans were frozen so far."""
        return len(self._plans)

    async def _happen(self, event: Event, request: Request[Child]) -> bytes | None:
        try:
            return await _ACTIONS[event.action](self, request, event)
        except Exception as error:
            self._diary.note_problem(f"{event} did not happen: {error!r}")
            raise

    def _due(self, request: Request[Child]) -> Event | None:
        """What happens at this request: at most one thing; others wait for the next that they match."""
        matching = [event for event in self._counts if event.matches(request.method, request.target)]
        for event in matching:
            self._counts[event] += 1
        due = next((event for event in matching if self._counts[event] >= event.number), None)
        if due:
            del self._counts[due]
        return due

    async def _kill_before(self, request: Request[Child], event: Event) -> bytes | None:
        request.sender.kill()
        return None

    async def _kill_after(self, request: Request[Child], event: Event) -> bytes | None:
        await self._forward(request)
        request.sender.kill()
        return None

    async def _kill_soon_after(self, request: Request[Child], event: Event) -> bytes | None:
        answer = await self._forward(request)
        asyncio.get_running_loop().call_later(event.seconds, request.sender.kill)
        return answer

    async def _kill_and_be_late(self, request: Request[Child], event: Event) -> bytes | None:
        request.sender.kill()
        await asyncio.sleep(_HEARD_LATE_SECONDS)
        await self._forward(request)
        return None

    async def _restart_before(self, request: Request[Child], event: Event) -> bytes | None:
        await asyncio.to_thread(self._restart)
        return None

    async def _restart_while(self, request: Request[Child], event: Event) -> bytes | None:
        under_way = asyncio.create_task(self._forward(request))
        await asyncio.sleep(event.seconds * _PART_OF_A_REQUEST)
        await asyncio.to_thread(self._restart)
        return await under_way

    async def _restart_after(self, request: Request[Child], event: Event) -> bytes | None:
        await self._forward(request)
        await asyncio.to_thread(self._restart)
        return None

    def _restart(self) -> None:
        with self._restarting:
            self._server.kill()
            self._server.start()

    async def _set_fault(self, request: Request[Child], event: Event) -> bytes | None:
        with suppress(ConnectionError):  # the server is being started again
            await asyncio.to_thread(self._server.add_fault, event.fault or {})
        return await self._forward(request)

    async def _let_a_rival_start(self, request: Request[Child], event: Event) -> bytes | None:
        self._start_rival()
        return await self._forward(request)

    async def _let_a_rival_overtake(self, request: Request[Child], event: Event) -> bytes | None:
        self._start_rival()
        await asyncio.sleep(_OVERTAKING_SECONDS)
        return await self._forward(request)

    async def _freeze(self, request: Request[Child], event: Event) -> bytes | None:
        answer = await self._forward(request)
        request.sender.freeze()
        asyncio.get_running_loop().call_later(self._frozen_seconds, request.sender.thaw)
        self._start_rival()
        return answer

    async def _freeze_and_be_late(self, request: Request[Child], event: Event) -> bytes | None:
        request.sender.freeze()
        self._start_rival()
        await asyncio.sleep(self._frozen_seconds)
        answer = await self._forward(request)
        request.sender.thaw()
        return answer

    @property
    def _frozen_seconds(self) -> float:
        """So long that the rival has taken over before."""
        return _FROZEN_LEASES * self._diary.scenario.lease_seconds


def _without_user_data(answer: bytes) -> bytes:
    """The answer, as if the service kept the UserData of jobs to itself."""
    head, end, body = answer.partition(HEAD_END)
    shortened = _USER_DATA.sub(b"", body)
    less = len(body) - len(shortened)
    return _LENGTH.sub(lambda found: b"%d" % (int(found[0]) - less), head) + end + shortened


_Action = Callable[[Trouble, Request[Child], Event], Awaitable["bytes | None"]]
_ACTIONS: Mapping[str, _Action] = {
    "kill the batch before": Trouble._kill_before,
    "kill the batch after": Trouble._kill_after,
    "kill the batch soon after": Trouble._kill_soon_after,
    "kill the batch, which is heard late": Trouble._kill_and_be_late,
    "kill the server before": Trouble._restart_before,
    "kill the server while": Trouble._restart_while,
    "kill the server after": Trouble._restart_after,
    "fault": Trouble._set_fault,
    "start a rival": Trouble._let_a_rival_start,
    "let a rival overtake": Trouble._let_a_rival_overtake,
    "freeze the batch": Trouble._freeze,
    "freeze the batch, which is heard late": Trouble._freeze_and_be_late,
}
