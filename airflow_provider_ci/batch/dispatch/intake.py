"""Takes the lines of the plan in order, and puts each line into its first place in the batch's state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from airflow_provider_ci.batch.dispatch.outcomes import Outcomes
from airflow_provider_ci.batch.ledger.plan_store import StoredPlan
from airflow_provider_ci.batch.ledger.state import Attempt, BatchState
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.results import result_of_decision
from airflow_provider_ci.client import CIError

_PASSED_OVER = 10_000
"""Maximum number of lines without a job that one round passes over."""
_FOLLOW_WINDOW = 10_000
"""Maximum number of outputs of other batches that are followed at the same time."""


class Intake:
    """Reads the plan from the line at which the previous run stopped.

    To touch a line is to put it into its first place in the batch's state.

    :param is_held: returns whether no further line may be touched for now.
    """

    def __init__(
        self,
        plan: StoredPlan,
        state: BatchState,
        outcomes: Outcomes,
        *,
        is_held: Callable[[BatchState], bool] = lambda state: False,
    ) -> None:
        self._plan = plan
        self._state = state
        self._outcomes = outcomes
        self._is_held = is_held
        self._steps = len(plan.header.all_steps)
        self._planned = plan.objects(state.next_index)
        self.is_exhausted = state.next_index >= plan.header.total
        self.newly_blocked: list[PlannedObject] = []
        """Lines that began to wait for an earlier step after the last block; the next block records them."""
        self._open: set[int] = set()
        """Lines of the current object that were touched and have no result."""
        # The previous run may have stopped between the lines of an object. Then only the records show how the
        # earlier lines of this object ended.
        self._resumed_within = state.next_index if state.next_index % self._steps else -1

    @property
    def can_go_on(self) -> bool:
        """Whether more lines may be touched now."""
        is_full = len(self._state.followed) >= _FOLLOW_WINDOW
        return not (self.is_exhausted or is_full or self._is_held(self._state))

    def take(self, room: int) -> list[Attempt]:
        """The next submissions: first from the waiting lines, then from the plan.

        Lines that need no job are passed over. All lines of an object are touched together, because each line
        depends on the outcome of its earlier step.
        """
        waiting, passed_over = self._state.waiting, 0
        # The limit keeps a round short: between rounds, the loop reads states of jobs and writes results.
        while (len(waiting) < room and passed_over < _PASSED_OVER) or self.is_within_object:
            if not self.can_go_on and not self.is_within_object:
                break
            planned = self.next_planned()
            if planned is None:
                break
            self.touch(planned)
            passed_over += planned.decision is not Decision.SUBMIT
        return [waiting.popleft() for _ in range(min(room, len(waiting)))]

    @property
    def is_within_object(self) -> bool:
        """Whether some lines of an object were touched, and others not."""
        return not self.is_exhausted and self._state.next_index % self._steps > 0

    def next_planned(self) -> PlannedObject | None:
        """The next line of the plan; None at the end. After an error, the next call reads the same line."""
        try:
            for planned in self._planned:
                self._state.next_index = planned.index + 1
                if planned.index not in self._state.done_ahead:
                    return planned
                self._state.done_ahead.remove(planned.index)
        except CIError:
            # A generator that has raised an error is finished. A new one continues at the same line.
            self._planned = self._plan.objects(self._state.next_index)
            raise
        self.is_exhausted = True
        return None

    def touch(self, planned: PlannedObject) -> None:
        """Put a line into its first place in the batch's state."""
        if self._steps > 1:
            self._touch_step(planned)
        else:
            self._place(planned)

    def note_open(self, planned: PlannedObject) -> None:
        """Note that a line already has a place, because its job was found."""
        self._open.add(planned.index)

    def _touch_step(self, planned: PlannedObject) -> None:
        first = planned.index - planned.index % self._steps
        self._forget_before(first)
        parent, state = planned.parent, self._state
        # With any other decision, the line already has its result or its job, so the earlier step does not
        # matter.
        needs_parent = planned.decision in (Decision.SUBMIT, Decision.SHARED)
        if parent is None or not needs_parent:
            self._place(planned)
        elif parent in state.resolved:
            self._outcomes.fail_after(planned, state.resolved[parent])
            return
        # A shared line does not wait here: the batch that makes its output waits for the earlier step.
        elif planned.decision is Decision.SUBMIT and (parent in self._open or self._was_left_open(parent)):
            state.block(planned)
            self.newly_blocked.append(planned)
        else:
            self._place(planned)
        if state.resolved.get(planned.index) is None and result_of_decision(planned) is None:
            self._open.add(planned.index)

    def _was_left_open(self, parent: int) -> bool:
        """Whether the previous run left this line without a result when it stopped within an object."""
        return parent < self._resumed_within and parent in self._state.open_lines()

    def _forget_before(self, first: int) -> None:
        # Later objects do not need these lines. Without them, the sets stay as small as one object.
        self._open = {index for index in self._open if index >= first}
        resolved = self._state.resolved
        for index in [index for index in resolved if index < first and index not in self._state.blocked]:
            del resolved[index]

    def _place(self, planned: PlannedObject) -> None:
        result = result_of_decision(planned)
        if result is not None:
            self._outcomes.pass_over(result)
        elif planned.decision is Decision.SHARED:
            self._state.followed[planned.index] = planned
        elif planned.decision is Decision.ADOPTED:
            details = planned.details
            created_at = datetime.fromisoformat(details["created_at"])
            queue_id = details.get("queue_id", "")
            self._state.add_job(Attempt(planned=planned), details["job_id"], created_at, queue_id)
        else:
            self._state.waiting.append(Attempt(planned=planned))

    def rest(self) -> Iterator[PlannedObject]:
        """The lines that are untouched and have no result."""
        for planned in self._plan.objects(self._state.next_index):
            if planned.index not in self._state.done_ahead:
                yield planned
