"""``python -m tests.soak``: play rounds and say whether any job was lost or doubled."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.soak.diary import Diary
from tests.soak.drawing import draw
from tests.soak.round import Round

_SHOWN = 9
"""Maximum number of problems printed for a round; the round's folder has all of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the rounds; return exit status 0 if every round was good, and 1 otherwise."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="ci-soak-"))

    def play(seed: int) -> Diary:
        diary = Round(draw(seed), folder / str(seed), amnesia=options.amnesia).play()
        print("\n".join([str(diary), *(f"    {problem}" for problem in diary.problems[:_SHOWN])]), flush=True)
        return diary

    with ThreadPoolExecutor(options.jobs) as executor:
        seeds = options.seeds or range(options.seed, options.seed + options.rounds)
        rounds = list(executor.map(play, seeds))
    bad = [diary.scenario.seed for diary in rounds if diary.problems]
    for seed in bad:
        again = f"python -m tests.soak --rounds 1 --seed {seed}"
        print(f"soak: seed {seed} failed; its log is in {folder / str(seed)}; again: {again}")
    if not (bad or options.folder):
        folder.rmdir()
    lost, doubled = sum(diary.lost for diary in rounds), sum(diary.doubled for diary in rounds)
    print(f"soak: {len(rounds)} rounds, {lost} lost, {doubled} doubled")
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Kill batches at every turn.")
    parser.add_argument("--rounds", type=int, default=600, help="how many; %(default)s")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first round; the seeds count up; %(default)s"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="these seeds only")
    parser.add_argument(
        "--jobs", type=int, default=4, help="rounds at the same time; they mostly wait; %(default)s"
    )
    parser.add_argument(
        "--folder", help="for the rounds; failed rounds stay there; by default a new one in /tmp"
    )
    parser.add_argument(
        "--amnesia",
        action="store_true",
        help="delete outputs and records before every new try: must fail",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
