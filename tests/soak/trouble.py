"""Makes events happen at requests: kills, faults, other processes, deletions, jumps of the clock."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from random import Random

from tests.soak.child import Child
from tests.soak.deletion import delete_records
from tests.soak.diary import Diary
from tests.soak.relay import Request
from tests.soak.scenario import Event
from tests.soak.server import Server

_ARRIVES_LATE_SECONDS = 0.3
_FROZEN_LEASES = 2
_OVERTAKING_SECONDS = 0.7
_PART_OF_A_REQUEST = 0.05
_PLAN = re.compile(rb'"batch_id": "([^"]*)", "token": "([0-9a-f]+)"')


class Trouble:
    """Passes the requests of all tries on to the server and makes the events of the phase happen."""

    def __init__(
        self,
        server: Server,
        diary: Diary,
        *,
        start_rival: Callable[[], None],
        start_other: Callable[[], None],
    ) -> None:
        self._server = server
        self._diary = diary
        self._start_rival = start_rival
        self._start_other = start_other
        self._dice = Random(diary.scenario.seed)
        self._restarting = threading.Lock()
        self._counts: dict[Event, int] = {}
        self._plans: set[tuple[bytes, bytes]] = set()

    def begin(self, events: Iterable[Event]) -> None:
        """Begin a phase with these events: count requests from zero."""
        self._counts = dict.fromkeys(events, 0)

    async def pass_on(self, request: Request[Child]) -> bytes | None:
        """Return the response for the sender, or None if the sender gets no response."""
        event = self._due(request)
        number = self._diary.note_request(f"{request.sender}: {request.method} {request.target}", event)
        response = await self._happen(event, request) if event else await self._forward(request)
        status = response.split(b" ", 2)[1].decode() if response else "no response"
        self._diary.note(f"{number} -> {status}")
        return response

    async def _forward(self, request: Request[Child]) -> bytes | None:
        if request.method == "PUT" and request.target.endswith("/plan.json"):
            self._plans |= set(_PLAN.findall(request.content))
        return await request.forward()

    def plans(self, batch_id: str) -> int:
        """The number of plans of a batch that were frozen so far."""
        return sum(batch_id.encode() == each for each, _ in self._plans)

    async def _happen(self, event: Event, request: Request[Child]) -> bytes | None:
        try:
            return await _ACTIONS[event.action](self, request, event)
        except Exception as error:
            self._diary.note_problem(f"{event} did not happen: {error!r}")
            raise

    def _due(self, request: Request[Child]) -> Event | None:
        """The event due at this request, if any; further events wait for the next request that they match."""
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
        response = await self._forward(request)
        asyncio.get_running_loop().call_later(event.seconds, request.sender.kill)
        return response

    async def _kill_and_arrive_late(self, request: Request[Child], event: Event) -> bytes | None:
        request.sender.kill()
        await asyncio.sleep(_ARRIVES_LATE_SECONDS)
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

    async def _let_another_batch_start(self, request: Request[Child], event: Event) -> bytes | None:
        self._start_other()
        return await self._forward(request)

    async def _delete(self, request: Request[Child], event: Event) -> bytes | None:
        self.delete_records()
        return await self._forward(request)

    def delete_records(self) -> None:
        """Delete the records that the scenario chose."""
        scenario = self._diary.scenario
        deleted = delete_records(self._server.bucket, scenario.deletes, self._dice)
        self._diary.note(f"deleted {len(deleted)} records: {', '.join(deleted)}")

    async def _jump(self, request: Request[Child], event: Event) -> bytes | None:
        with suppress(ConnectionError):  # the server is being started again
            await asyncio.to_thread(self._server.jump_clock, event.seconds)
        return await self._forward(request)

    async def _freeze(self, request: Request[Child], event: Event) -> bytes | None:
        response = await self._forward(request)
        request.sender.freeze()
        asyncio.get_running_loop().call_later(self._frozen_seconds, request.sender.thaw)
        self._start_rival()
        return response

    async def _freeze_and_arrive_late(self, request: Request[Child], event: Event) -> bytes | None:
        request.sender.freeze()
        self._start_rival()
        await asyncio.sleep(self._frozen_seconds)
        response = await self._forward(request)
        request.sender.thaw()
        return response

    @property
    def _frozen_seconds(self) -> float:
        """Duration of a freeze, long enough for the rival to take over."""
        return _FROZEN_LEASES * self._diary.scenario.lease_seconds


_Action = Callable[[Trouble, Request[Child], Event], Awaitable["bytes | None"]]
_ACTIONS: Mapping[str, _Action] = {
    "kill the batch before": Trouble._kill_before,
    "kill the batch after": Trouble._kill_after,
    "kill the batch soon after": Trouble._kill_soon_after,
    "kill the batch, request arrives late": Trouble._kill_and_arrive_late,
    "kill the server before": Trouble._restart_before,
    "kill the server while": Trouble._restart_while,
    "kill the server after": Trouble._restart_after,
    "fault": Trouble._set_fault,
    "start a rival": Trouble._let_a_rival_start,
    "let a rival overtake": Trouble._let_a_rival_overtake,
    "freeze the batch": Trouble._freeze,
    "freeze the batch, request arrives late": Trouble._freeze_and_arrive_late,
    "start another batch": Trouble._let_another_batch_start,
    "delete records": Trouble._delete,
    "let the service's clock jump": Trouble._jump,
}
