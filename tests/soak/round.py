"""One round: the batch is started until it ends well, while its scenario happens to it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from airflow_provider_ci.batch import ObjectState, read_report
from tests.soak import judge
from tests.soak.child import Child, Ending
from tests.soak.diary import Diary
from tests.soak.relay import Relay
from tests.soak.scenario import Phase, Scenario
from tests.soak.server import FLAKY, Server
from tests.soak.trouble import Trouble

_MOST_TRIES = 40
_TRY_SECONDS = 120
_MOST_PROBLEMS = 3
_AGAIN_SECONDS = 0.2
_THREADS = 8
_GOOD_ENDINGS = (Ending.DONE, Ending.KILLED, Ending.RUNNING)


class Round:
    """Plays a scenario in a folder of its own.

    :param amnesia: forget the ledger before every try but the first.
    """

    def __init__(self, scenario: Scenario, folder: Path, *, amnesia: bool = False) -> None:
        self._scenario = scenario
        self._folder = folder
        self._amnesia = amnesia
        self._diary = Diary(scenario=scenario)
        self._server = Server(folder, scenario.server)
        self._trouble = Trouble(
            self._server, self._diary, self._start_rival, echoes_user_data=scenario.echoes_user_data
        )
        self._threads = ThreadPoolExecutor(_THREADS, "rival")
        self._phase = scenario.phases[0]
        self._rivals: list[Future[None]] = []
        self._is_ended = threading.Event()
        self._expected = dict.fromkeys(scenario.contents, 0)

    def play(self) -> Diary:
        """Play it to its end; a round without problems leaves nothing behind."""
        started = time.monotonic()
        try:
            self._play_phases()
        except Exception as error:
            self._diary.note_problem(f"the round itself failed: {error!r}")
        self._diary.seconds = time.monotonic() - started
        if self._diary.problems:
            self._diary.save(self._folder / "round.log")
        else:
            shutil.rmtree(self._folder)
        return self._diary

    def _play_phases(self) -> None:
        with self._server, Relay(self._server.port, self._trouble.pass_on) as self._relay, self._threads:
            self._server.fill(self._scenario.contents.items(), self._scenario.server.listing_delay_seconds)
            for phase in self._scenario.phases:
                self._play_phase(phase)

    def _play_phase(self, phase: Phase) -> None:
        self._phase, self._rivals = phase, []
        self._is_ended.clear()
        if phase.changed:
            self._server.fill((key, f"{phase.name} {key}".encode()) for key in phase.changed)
            time.sleep(self._scenario.server.listing_delay_seconds)  # no batch can list them sooner
        before = self._trouble.plans
        self._diary.note(f"phase {phase.name}")
        self._trouble.begin(phase.events)
        report_key = self._persist()
        self._calm_down()
        if not judge.is_finished(self._server.bucket, self._phase.work.batch_id):
            report_key = self._persist()  # a rival planned the batch once more, and was killed
        if report_key:
            self._judge(report_key, self._trouble.plans - before)

    def _persist(self) -> str:
        """Try until it ends well, and return the report's key."""
        for number in range(1, _MOST_TRIES + 1):
            if number > 1 and self._amnesia:
                for folder in ("_ci_batches", "_ci_batches.registry"):
                    shutil.rmtree(self._server.bucket / folder, ignore_errors=True)
            ending, text = self._try(f"try {number}")
            if ending is Ending.DONE:
                return text
            if len(self._diary.problems) > _MOST_PROBLEMS:
                return ""
            if ending is Ending.RUNNING:
                time.sleep(_AGAIN_SECONDS)
        self._diary.note_problem(f"not done after {_MOST_TRIES} tries")
        return ""

    def _calm_down(self) -> None:
        """Let all end that is under way, and nothing more happen."""
        self._is_ended.set()
        for rival in self._rivals:
            rival.result()
        self._relay.drain()
        self._trouble.begin(())
        self._server.clear_faults()

    def _try(self, name: str) -> tuple[Ending, str]:
        work, child = self._phase.work, Child(name)
        child.start(work, self._relay.listen(child), self._folder / f"{self._phase.name}-{name}.log")
        self._diary.tries += 1
        ending, text = child.wait(_TRY_SECONDS)
        self._diary.note(f"{name}: {ending} {text}")
        if ending not in _GOOD_ENDINGS and not (work.is_hasty and ending is Ending.GAVE_UP):
            self._diary.note_problem(f"{name} {ending}: {text}")
        return ending, text

    def _start_rival(self) -> None:
        self._rivals.append(self._threads.submit(self._rival))

    def _rival(self) -> None:
        while not self._is_ended.is_set():
            ending, _ = self._try("rival")
            if ending is Ending.DONE:
                return
            self._is_ended.wait(_AGAIN_SECONDS)

    def _judge(self, report_key: str, plannings: int) -> None:
        phase = self._phase
        for key in phase.changed or self._expected:
            self._expected[key] += _JOBS[phase.name](plannings)
        with judge.connect(self._server.endpoint) as client:
            jobs = judge.jobs_by_key(client)
            report = list(read_report(client, report_key))
        verdict = judge.judge_jobs(jobs, self._expected, self._may_fail())
        verdict.problems += judge.judge_report(report, jobs, self._states(plannings))
        verdict.problems += judge.judge_outputs(report, self._server.bucket)
        self._diary.lost += verdict.lost
        self._diary.doubled += verdict.doubled
        for problem in verdict.problems:
            self._diary.note_problem(f"phase {phase.name}: {problem}")

    def _may_fail(self) -> dict[str, int]:
        """How often the jobs of each object fail."""
        contents = self._scenario.contents.items()
        return {key: int(content.split()[1]) for key, content in contents if content.startswith(FLAKY)}

    def _states(self, plannings: int) -> dict[str, frozenset[ObjectState]]:
        """The states that the report may give.

        A batch that was killed after its end is planned once more, and finds all done.
        """
        name = self._phase.name
        is_replanned = plannings > 1 and name != "never"
        done = frozenset({ObjectState.SUCCEEDED, *([ObjectState.SKIPPED] if is_replanned else [])})
        redone = self._phase.changed or (() if name == "again" else self._expected)
        return {key: done if key in redone else frozenset({ObjectState.SKIPPED}) for key in self._expected}


_JOBS: Mapping[str, Callable[[int], int]] = {
    "first": lambda plannings: 1,
    "again": lambda plannings: 0,
    "changed": lambda plannings: 1,
    "never": lambda plannings: max(1, plannings),
}
"""How many more jobs an object gets in a phase in which the batch was planned so often."""
