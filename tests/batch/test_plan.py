from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_ci.batch import ObjectKeys, ObjectSelection, OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.plan import plan_jobs
from airflow_provider_ci.client import CIClient


@pytest.mark.parametrize(
    ("text", "key", "output_key"),
    [
        ("pdf/{dir}{stem}.pdf", "inbox/2024/a.docx", "pdf/2024/a.pdf"),
        ("pdf/{dir}{stem}.pdf", "inbox/a.docx", "pdf/a.pdf"),
        ("{key}.pdf", "inbox/a.docx", "inbox/a.docx.pdf"),
        ("out/{name}", "inbox/合同 草案.docx", "out/合同 草案.docx"),
        ("out/{stem}{suffix}", "inbox/noext", "out/noext"),
        ("out/{stem}{suffix}", "inbox/.hidden", "out/.hidden"),
        ("out/{stem}", "inbox/a.b.c", "out/a.b"),
        ("pages/{stem}/${Number}.png", "inbox/a.docx", "pages/a/${Number}.png"),
        ("s/${SheetID}/${Page}-{stem}.png", "inbox/{stem}.xlsx", "s/${SheetID}/${Page}-{stem}.png"),
    ],
)
def test_output_keys(text: str, key: str, output_key: str) -> None:
    assert OutputTemplate(text=text, prefix="inbox/").output_key(key) == output_key


def test_dir_is_relative_to_the_folder_of_the_prefix() -> None:
    template = OutputTemplate(text="out/{dir}{name}", prefix="inbox/re")
    assert template.output_key("inbox/reports/a.docx") == "out/reports/a.docx"


@pytest.mark.parametrize("text", ["", "pdf/{sten}.pdf", "pdf/{}.pdf"])
def test_a_template_that_makes_no_sense_says_what_may_stand_in_it(text: str) -> None:
    with pytest.raises(OutputTemplateError, match=r"use \{key\}, \{dir\}, \{name\}, \{stem\}, \{suffix\}"):
        OutputTemplate(text=text)


def plan(client: CIClient, text: str, *, skip: str = "exists", prefix: str = "in/") -> dict[str, bool]:
    selection = ObjectSelection(prefix=prefix)
    template = OutputTemplate(text=text, prefix=prefix)
    jobs = plan_jobs(client, selection.objects(client), template, skip=skip)  # type: ignore[arg-type] # two words
    return {job.key: job.is_fresh for job in jobs}


def test_two_objects_with_one_output_are_refused_before_anything_is_submitted(
    client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("in/a.doc", "in/a.docx")
    with pytest.raises(
        OutputTemplateError, match=r"'in/a\.doc' and 'in/a\.docx' would both write 'out/a\.pdf'"
    ):
        plan(client, "out/{stem}.pdf")


def test_an_object_is_never_its_own_output(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("in/a.pdf")
    with pytest.raises(OutputTemplateError, match="would overwrite itself"):
        plan(client, "{key}")


def test_an_object_is_never_the_output_of_another(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    """In which order the two jobs run is the service's business."""
    fill_bucket("in/a.docx", "in/a.docx.pdf")
    with pytest.raises(OutputTemplateError, match=r"'in/a\.docx' would overwrite 'in/a\.docx\.pdf'"):
        plan(client, "{key}.pdf")


def test_an_output_that_is_newer_than_its_object_is_fresh(
    client: CIClient, fill_bucket: Callable[..., None], bucket: Path
) -> None:
    fill_bucket("in/new.docx", "in/old.docx", "in/none.docx", "out/new.pdf", "out/old.pdf")
    os.utime(bucket / "in/old.docx", (1_900_000_000, 1_900_000_000))
    assert plan(client, "out/{stem}.pdf") == {
        "in/new.docx": True,
        "in/none.docx": False,
        "in/old.docx": False,
    }


def test_the_first_page_tells_whether_pages_are_fresh(
    client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "out/a/1.png")
    assert plan(client, "out/{stem}/${Number}.png") == {"in/a.docx": True, "in/b.docx": False}


def test_skip_never_takes_everything(client: CIClient, fill_bucket: Callable[..., None]) -> None:
    fill_bucket("in/a.docx", "out/a.pdf")
    assert plan(client, "out/{stem}.pdf", skip="never") == {"in/a.docx": False}


def test_a_named_object_that_is_missing_is_never_fresh(
    client: CIClient, fill_bucket: Callable[..., None]
) -> None:
    fill_bucket("out/gone.pdf")
    template = OutputTemplate(text="out/{stem}.pdf")
    (job,) = plan_jobs(client, ObjectKeys(keys=["in/gone.docx"]).objects(client), template)
    assert not job.is_fresh
