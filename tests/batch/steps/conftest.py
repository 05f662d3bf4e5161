"""Batches that make several outputs of each object: two independent ones, or three in a chain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ci.batch import Batch, ObjectResult, Step
from airflow_provider_ci.client import CIClient, DocProcess, PicProcess
from tests.batch.conftest import INBOX

Make = Callable[..., Batch]

KEYS = [f"in/{number}.docx" for number in range(4)]
PDF = DocProcess(target="pdf")
THUMB = DocProcess(target="jpg", start_page=1, end_page=1)
SMALL = PicProcess("imageMogr2/thumbnail/!50p")
TWO = {"pdf": (PDF, "pdf/{dir}{stem}.pdf"), "thumb": (THUMB, "thumbs/{dir}{stem}.jpg")}
CHAIN = {
    "small": Step(SMALL, "small/{stem}.jpg", after="thumb"),  # listed before the step that it depends on
    "thumb": (DocProcess(target="jpg", start_page=1, end_page=1), "thumbs/{stem}.jpg", "pdf"),
    "pdf": (PDF, "pdf/{stem}.pdf"),
}


@pytest.fixture
def steps(batch: Make) -> Make:
    """Makes a batch with several steps."""

    def make(client: CIClient, operations: Any = TWO, **options: Any) -> Batch:
        source = options.pop("source", INBOX)
        return batch(client, source, None, output="", operations=operations, **options)

    return make


def outputs(
    *keys: str, of: tuple[str, ...] = ("pdf/{}.pdf", "thumbs/{}.jpg", "small/{}.jpg")
) -> Counter[str]:
    return Counter(name.format(key[3:-5]) for key in keys for name in of)


ALL_OF_CHAIN = outputs(*KEYS)
BOTH = ("pdf/{}.pdf", "thumbs/{}.jpg")


def states(result: ObjectResult) -> dict[str, str]:
    return {step.step: str(step.state) for step in result.steps}
