"""Output names and batch ids: which objects a batch takes, and which settings it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ci.batch import (
    Batch,
    BatchFailedError,
    ObjectResult,
    ObjectSelection,
    OutputTemplate,
    OutputTemplateError,
)
from airflow_provider_ci.batch.reports.folder import batch_folder, is_ledger_key
from airflow_provider_ci.client import CIClient, DocProcess

Fill = Callable[..., None]
Make = Callable[..., Batch]
Results = Callable[..., dict[str, ObjectResult]]

PAGES = DocProcess(target="png")

# Batch ids


@pytest.mark.parametrize(
    "ids",
    [
        ("run 1", "run-1"),
        ("x:1", "x+1"),
        ("a/b", "a//b"),
        ("a", "a/"),
        ("a", "/a"),
        ("A", "a"),
        ("a", "a "),
        ("é", "e\u0301"),
        ("a..b", "a-b"),
        ("dag/t/1", "dag/t/1.ci-batch"),
        ("\ud800", "\ud801"),
    ],
)
def test_different_ids_never_share_a_folder(ids: tuple[str, str]) -> None:
    first, second = (batch_folder("p/", each) for each in ids)
    assert first.lower() != second.lower()
    assert not first.startswith(second)
    assert not second.startswith(first)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_folders_of_any_two_ids_do_not_nest(one: str, other: str) -> None:
    try:
        folders = [batch_folder("p/", each) for each in (one, other)]
    except ValueError:
        return
    for folder in folders:
        assert folder.startswith("p/")
        assert is_ledger_key(f"{folder}plan.json")
        assert "//" not in folder
        assert "/../" not in folder
        assert "/./" not in folder
    assert (folders[0] == folders[1]) is (one == other)
    assert one == other or not folders[0].startswith(folders[1])


@pytest.mark.parametrize("batch_id", ["x/lease", "x/runs/1", "x/plan.json", "x/report.jsonl", "x/0001"])
def test_ids_that_nest_do_not_collide(
    batch_id: str, client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    first = batch(client, ["in/a.docx"], batch_id="x").run()
    second = batch(client, ["in/b.docx"], batch_id=batch_id).run()
    assert (first.succeeded, second.succeeded) == (1, 1)
    assert batch(client, ["in/a.docx"], batch_id="x").run().skipped == 1
    assert results(client, first.report_key).keys() == {"in/a.docx"}
    assert results(client, second.report_key).keys() == {"in/b.docx"}


@pytest.mark.parametrize("batch_id", ["run 1", "a:b+c", "转换/合同", "a\nb", "50%", "x?y#z", "a\\b", "'\""])
def test_ids_may_hold_odd_characters(batch_id: str, client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/a.docx")
    summary = batch(client, batch_id=batch_id).run()
    assert (summary.batch_id, summary.succeeded) == (batch_id, 1)
    assert batch(client, batch_id=batch_id).run().skipped == 1


@pytest.mark.parametrize("batch_id", ["", "/", "x" * 850, "合" * 300])
def test_an_id_that_cannot_name_a_folder_is_refused(batch_id: str, client: CIClient, batch: Make) -> None:
    with pytest.raises(ValueError, match="batch_id"):
        batch(client, batch_id=batch_id)


# Outputs inside the selection


def test_outputs_inside_the_selection_never_become_inputs(
    client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch runs on four days; its outputs lie below the prefix that it selects from."""
    source = ObjectSelection(prefix="in/", suffixes=(".docx", ".pdf"))
    for day in range(4):
        fill_bucket(f"in/{day}.docx", f"in/sub/{day}.pdf")
        made = batch(client, source, output="in/pdf/{dir}{stem}.pdf", batch_id=f"day {day}").run()
        assert (made.total, made.succeeded) == (2 * day + 2, 2)
    assert not (bucket / "in/pdf/pdf").exists()
    assert "lie where this batch writes its outputs" in caplog.text


def test_whole_bucket_selections_leave_their_outputs_out(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("a.docx", "x/b.docx")
    for batch_id in ("one", "two"):
        assert batch(client, ObjectSelection(), output="made/{key}.pdf", batch_id=batch_id).run().total == 2


@pytest.mark.parametrize(
    ("prefix", "output", "suffixes"),
    [
        ("in/", "in/{stem}.pdf", ()),
        ("in/", "in/{dir}{stem}.pdf", (".docx", ".pdf")),
        ("in/", "in/{dir}{stem}.pdf", (".DOCX", ".PDF")),
        ("", "{dir}{stem}.pdf", ()),
        ("in", "in/{stem}.pdf", ()),
        ("in/", "in/new-{stem}.pdf", (".pdf",)),
    ],
)
def test_outputs_that_the_next_run_would_take_are_refused(
    prefix: str, output: str, suffixes: tuple[str, ...], client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.pdf")
    source = ObjectSelection(prefix=prefix, suffixes=suffixes)
    with pytest.raises(OutputTemplateError, match="name another folder, or suffixes"):
        batch(client, source, output=output).run()
    assert not list(client.list_doc_jobs())


def test_suffixes_that_leave_the_outputs_out_allow_one_folder(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    source = ObjectSelection(prefix="in/", suffixes=(".docx",))
    for batch_id in ("one", "two"):
        assert batch(client, source, output="in/{dir}{stem}.pdf", batch_id=batch_id).run().total == 2


def test_keys_named_one_by_one_may_lie_anywhere(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("out/a.docx")
    assert batch(client, ["out/a.docx"], output="out/{stem}.pdf").run().succeeded == 1


# Ledgers are not objects of a batch


@pytest.mark.parametrize("report_prefix", ["_ci_batches/", "logs/ci/", "", "in/reports/", "a-"])
def test_ledgers_of_any_prefix_are_left_out(
    report_prefix: str, client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    fill_bucket("in/a.docx")
    batch(client, batch_id="other", report_prefix=report_prefix).run()
    for batch_id in ("all", "again"):
        everything = batch(client, ObjectSelection(), output="made/{key}.pdf", batch_id=batch_id)
        summary = everything.run()
        found = results(client, summary.report_key).keys()
        assert found == {"in/a.docx", "out/a.pdf"}


def test_objects_beside_a_ledger_are_taken(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    """A ledger's folder is left out; other objects below the same ``report_prefix`` are not."""
    fill_bucket("logs/a.docx", "logs/x.ci-batch.docx")
    batch(client, ["logs/a.docx"], report_prefix="logs/", batch_id="other").run()
    assert batch(client, ObjectSelection(prefix="logs/")).run().total == 2


# Placeholders


SERVICE = ("${Number}", "${Page}", "${SheetID}")
OWN = ("{stem}", "{name}", "{key}", "{dir}", "{suffix}")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *itertools.product(OWN, SERVICE),
        *itertools.product(SERVICE, OWN),
        *(pair for pair in itertools.permutations(SERVICE, 2)),
    ],
)
@pytest.mark.parametrize("between", ["", "0", "11"])
def test_a_page_number_needs_a_separator(left: str, right: str, between: str) -> None:
    with pytest.raises(OutputTemplateError, match="need a separator between them"):
        OutputTemplate(text=f"out/{left}{between}{right}.png")


@pytest.mark.parametrize("between", ["-", "/", "_", " ", "p", "0-", ".png/"])
def test_with_a_separator_each_order_is_fine(between: str) -> None:
    for left, right in ((*pair,) for pair in itertools.product(("{stem}", "${SheetID}"), ("${Number}",))):
        template = OutputTemplate(text=f"out/{left}{between}{right}.png")
        assert template.first_output("in/a.docx").endswith(f"{between}1.png")


def test_eleven_pages_and_a_name_with_a_digit_are_refused(
    client: CIClient, fill_bucket: Fill, batch: Make
) -> None:
    fill_bucket("in/a.docx", "in/a1.docx")
    with pytest.raises(OutputTemplateError):
        batch(client, operation=PAGES, output="out/{stem}${Number}.png").run()
    assert not list(client.list_doc_jobs())


@pytest.mark.parametrize("name", ["${date}", "{stem}", "${", "$Number", "{}", "${number}", "${Date}x"])
def test_a_key_that_looks_like_a_placeholder_is_just_a_key(
    name: str, client: CIClient, fill_bucket: Fill, bucket: Path, batch: Make
) -> None:
    fill_bucket(f"in/{name}.docx")
    assert batch(client, output="out/{stem}.pdf").run().succeeded == 1
    assert (bucket / f"out/{name}.pdf").is_file()
    assert batch(client, output="out/{stem}.pdf", batch_id="later").run().skipped == 1
    assert len(list(client.list_doc_jobs())) == 1


@pytest.mark.parametrize("name", ["${Number}", "a${Page}", "${SheetID}", "${InventoryTriggerJobId}"])
@pytest.mark.parametrize("output", ["out/{stem}.pdf", "out/{stem}/${Number}.png"])
def test_a_key_with_a_placeholder_of_the_service_fails_alone(
    name: str, output: str, client: CIClient, fill_bucket: Fill, batch: Make, results: Results
) -> None:
    """The service would replace the placeholder in the output key, even if the object's name contains it."""
    fill_bucket(f"in/{name}.docx", "in/good.docx")
    operation = PAGES if output.endswith("png") else DocProcess(target="pdf")
    with pytest.raises(BatchFailedError, match="rename the object") as failed:
        batch(client, operation=operation, output=output).run()
    assert (failed.value.summary.succeeded, failed.value.summary.failed) == (1, 1)
    assert results(client)[f"in/{name}.docx"].code == "InvalidObjectName"


def test_unknown_placeholders_of_the_service_stay_text() -> None:
    template = OutputTemplate(text="out/${date}/{stem}.pdf")
    assert template.output_key("in/a.docx") == "out/${date}/a.pdf"
    assert not template.has_pages


@given(
    names=st.lists(st.text("a1-", min_size=1, max_size=3), min_size=2, max_size=4, unique=True),
    template=st.lists(st.sampled_from(["{stem}", "${Number}", "-", "1", "/"]), min_size=1, max_size=5),
)
def test_accepted_templates_give_no_two_objects_one_page(names: list[str], template: list[str]) -> None:
    """Pages 1 to 12 of any two objects have different names, unless even the first pages collide."""
    text = "out/" + "".join(template)
    if "{stem}" not in text or "${Number}" not in text:
        return
    try:
        made = OutputTemplate(text=text)
    except OutputTemplateError:
        return
    owners: dict[str, str] = {}
    for name in names:
        for page in range(1, 13):
            key = made.output_key(f"in/{name}.docx").replace("${Number}", str(page))
            other = owners.setdefault(key, name)
            assert other == name or "-" in f"{name}{other}", (text, name, other, key)


@pytest.mark.parametrize("text", ["", "out/{sten}.pdf", "out/{}.pdf", "{Key}", "{stem }"])
def test_unknown_placeholders_are_refused_by_name(text: str, client: CIClient, batch: Make) -> None:
    with pytest.raises(OutputTemplateError, match=r"use \{key\}"):
        batch(client, output=text).run()


def test_two_objects_with_one_output_are_refused(client: CIClient, fill_bucket: Fill, batch: Make) -> None:
    fill_bucket("in/a.doc", "in/a.docx")
    with pytest.raises(OutputTemplateError, match=r"would both write 'out/a\.pdf'"):
        batch(client, output="out/{stem}.pdf").run()
    assert not list(client.list_doc_jobs())
    assert not any("claims" in text and '"folder"' in text for text in registry(client))


def registry(client: CIClient) -> list[Any]:
    newest = list(client.list_objects("_ci_batches.registry/0"))[-1:]
    return [client.read_object(found.key).decode() for found in newest]
