"""One round: the batch is started again and again until it completes, while the scenario's events happen."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from airflow_provider_ci.batch import ObjectState, read_report
from airflow_provider_ci.client import CIClient, Job
from tests.soak import judge
from tests.soak.child import Child, Ending, Work
from tests.soak.diary import Diary
from tests.soak.relay import Relay
from tests.soak.scenario import Phase, Scenario
from tests.soak.server import FLAKY, Server
from tests.soak.trouble import Trouble

_MOST_TRIES = 40
_TRY_SECONDS = 180
_MOST_PROBLEMS = 3
_AGAIN_SECONDS = 0.2
_SECOND = 1.1
_HIDDEN_SLACK_SECONDS = 1.2
"""Extra time to wait for hidden jobs, because the local CI may hide a job for up to one second longer."""
_THREADS = 8
_GOOD_ENDINGS = (Ending.DONE, Ending.KILLED, Ending.RUNNING)
_PLAIN_TRAITS: Mapping[str, object] = {
    "forget_jobs_seconds": None,
    "hide_jobs_seconds": 0,
    "foreign_jobs": False,
    "empty_pages": 0,
    "endless_tokens": "",
    "require_queue_id": False,
}
"""Traits with which the service shows its whole job table."""


class Round:
    """Plays a scenario in a folder of its own.

    :param amnesia: delete the outputs and all records before every try but the first.
    """

    def __init__(self, scenario: Scenario, folder: Path, *, amnesia: bool = False) -> None:
        self._scenario = scenario
        self._folder = folder
        self._amnesia = amnesia
        self._diary = Diary(scenario=scenario)
        self._server = Server(folder, scenario.server)
        self._trouble = Trouble(
            self._server, self._diary, start_rival=self._start_rival, start_other=self._start_other
        )
        self._threads = ThreadPoolExecutor(_THREADS, "rival")
        self._phase = scenario.phases[0]
        self._rivals: list[Future[None]] = []
        self._others: list[Future[str]] = []
        self._is_ended = threading.Event()
        self._expected = {
            output: 0 for key in scenario.contents for output in self._phase.work.outputs_of(key)
        }

    def play(self) -> Diary:
        """Play the round to its end; delete its folder if there were no problems."""
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
        self._phase, self._rivals, self._others = phase, [], []
        self._is_ended.clear()
        if phase.changed:
            if self._scenario.deletes:
                time.sleep(_SECOND)  # without records, modification times decide; they are whole seconds
            self._server.fill((key, f"{phase.name} {key}".encode()) for key in phase.changed)
            time.sleep(self._scenario.server.listing_delay_seconds)  # listings do not show the objects sooner
        before = self._trouble.plans(phase.work.batch_id)
        self._diary.note(f"phase {phase.name}")
        self._trouble.begin(phase.events)
        report_key = self._persist()
        self._calm_down()
        if not judge.is_finished(self._server.bucket, self._phase.work.batch_id):
            report_key = self._persist()  # a rival planned the batch again and was killed
        if report_key:
            self._judge(report_key, self._trouble.plans(phase.work.batch_id) - before)

    def _persist(self) -> str:
        """Start tries until the batch completes; return the report's key, or ``""`` if it never completes."""
        for number in range(1, _MOST_TRIES + 1):
            if number > 1 and self._amnesia:
                for folder in ("_ci_batches", "_ci_batches.registry", "out"):
                    shutil.rmtree(self._server.bucket / folder, ignore_errors=True)
            if number > 1 and self._scenario.deletes:
                self._delete_records()
            ending, text = self._try(f"try {number}")
            if ending is Ending.DONE:
                return text
            if len(self._diary.problems) > _MOST_PROBLEMS:
                return ""
            if ending is Ending.RUNNING:
                time.sleep(_AGAIN_SECONDS)
        self._diary.note_problem(f"not done after {_MOST_TRIES} tries")
        return ""

    def _delete_records(self) -> None:
        """Delete records after all requests have arrived, and wait until the listings show everything.

        Only the records name a submission in flight, or a job or an output that no listing shows yet.
        """
        self._relay.drain()
        self._trouble.delete_records()
        server = self._scenario.server
        hidden = server.traits.get("hide_jobs_seconds", 0.0)
        time.sleep(server.listing_delay_seconds + (hidden + _HIDDEN_SLACK_SECONDS if hidden else 0.0))

    def _calm_down(self) -> None:
        """Wait for all other batches and all requests in flight, and let no more events happen."""
        self._is_ended.set()
        for rival in self._rivals:
            rival.result()
        for other in self._others:
            other.result()
        self._relay.drain()
        self._trouble.begin(())
        self._server.clear_faults()

    def _try(self, name: str, work: Work | None = None) -> tuple[Ending, str]:
        work, child = work or self._phase.work, Child(name)
        child.start(work, self._relay.listen(child), self._folder / f"{self._phase.name}-{name}.log")
        self._diary.tries += 1
        ending, text = child.wait(_TRY_SECONDS)
        self._diary.note(f"{name}: {ending} {text}")
        is_excused = (work.is_hasty and ending is Ending.GAVE_UP) or (
            bool(self._scenario.deletes) and ending is Ending.FAILED  # the error names deleted results
        )
        if ending not in _GOOD_ENDINGS and not is_excused:
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

    def _start_other(self) -> None:
        assert self._phase.other is not None
        self._others.append(self._threads.submit(self._run_other, self._phase.other))

    def _run_other(self, work: Work) -> str:
        for _ in range(_MOST_TRIES):
            ending, text = self._try("other", work)
            if ending is Ending.DONE:
                return text
        self._diary.note_problem(f"the other batch is not done after {_MOST_TRIES} tries")
        return ""

    def _judge(self, report_key: str, plannings: int) -> None:
        phase = self._phase
        for key in phase.changed or self._scenario.contents:
            for output in phase.work.outputs_of(key):
                self._expected[output] += _JOBS[phase.name](plannings)
        self._server.set_traits(**_PLAIN_TRAITS)
        with judge.connect(self._server.endpoint) as client:
            jobs = judge.jobs_by_output(client)
            verdict = judge.judge_jobs(jobs, self._expected, self._may_fail())
            states = self._states(plannings)
            verdict.problems += self._judge_report(client, phase.work, report_key, jobs, states)
            for other in self._others:
                assert phase.other is not None
                wanted = dict.fromkeys(self._keys_of(phase.other), _MADE_OR_SHARED)
                verdict.problems += self._judge_report(client, phase.other, other.result(), jobs, wanted)
        self._server.set_traits(
            **{name: self._scenario.server.traits.get(name, plain) for name, plain in _PLAIN_TRAITS.items()}
        )
        self._diary.lost += verdict.lost
        self._diary.doubled += verdict.doubled
        for problem in verdict.problems:
            self._diary.note_problem(f"phase {phase.name}: {problem}")

    def _judge_report(
        self,
        client: CIClient,
        work: Work,
        report_key: str,
        jobs: Mapping[str, list[Job]],
        states: Mapping[str, frozenset[ObjectState]],
    ) -> list[str]:
        if not report_key:
            return []
        results = list(read_report(client, report_key))
        return [
            *judge.judge_report(results, jobs, states),
            *judge.judge_outputs(results, self._server.bucket),
            *judge.judge_summary(client, work.batch_id, results),
        ]

    def _keys_of(self, work: Work) -> tuple[str, ...]:
        if work.keys is not None:
            return work.keys
        return tuple(key for key in self._scenario.contents if key.startswith(work.folder))

    def _may_fail(self) -> dict[str, int]:
        """The number of jobs that may fail for each output."""
        contents, work = self._scenario.contents.items(), self._phase.work
        return {
            output: int(content.split()[1])
            for key, content in contents
            if content.startswith(FLAKY)
            for output in work.outputs_of(key)
        }

    def _states(self, plannings: int) -> dict[str, frozenset[ObjectState]]:
        """The states that each object may have in the report.

        A batch that was killed after its end is planned again and finds every output up to date. A batch that
        runs beside another one skips the outputs that the other one made.
        """
        name = self._phase.name
        may_skip = (plannings > 1 and name != "never") or bool(self._others)
        done = _MADE_OR_SHARED if may_skip else frozenset({ObjectState.SUCCEEDED})
        keys = self._scenario.contents
        redone = self._phase.changed or (() if name == "again" else keys)
        return {key: done if key in redone else frozenset({ObjectState.SKIPPED}) for key in keys}


_MADE_OR_SHARED = frozenset({ObjectState.SUCCEEDED, ObjectState.SKIPPED})

_JOBS: Mapping[str, Callable[[int], int]] = {
    "first": lambda plannings: 1,
    "again": lambda plannings: 0,
    "changed": lambda plannings: 1,
    "operation": lambda plannings: 1,
    "never": lambda plannings: max(1, plannings),
}
"""Name of a phase -> the number of jobs each output gets in it, given how often the batch was planned."""
