"""The decision of a plan about each object, and the plans that are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.batch import Batch, ObjectKeys, ObjectSelection, OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.planning.adoption import Adoption
from airflow_provider_ci.batch.planning.draft import OtherOperationError, new_draft
from airflow_provider_ci.batch.planning.outputs.existing import ExistingOutputs
from airflow_provider_ci.batch.planning.outputs.fingerprint import Fingerprints, operation_fingerprint
from airflow_provider_ci.batch.planning.planned import Decision, PlannedObject
from airflow_provider_ci.batch.planning.planner import ClaimedOutput, Planner, Skip
from airflow_provider_ci.batch.registry.index_state import Entry
from airflow_provider_ci.client import CIClient, DocProcess, Job, JobState, ObjectInfo, PicProcess
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]

PDF = DocProcess(target="pdf")
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
LATER = 1_900_000_000


class Index:
    """A replacement for the index of outputs, with fixed entries."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = {entry.output: entry for entry in entries}

    def find(self, keys: Iterable[str]) -> dict[str, Entry]:
        return {key: self._entries[key] for key in keys if key in self._entries}


NOTHING: Any = Index()


@pytest.fixture
def planner_of() -> Iterator[Callable[..., Planner]]:
    """Makes a planner with an empty draft."""
    with ExitStack() as stack:

        def make(text: str = "out/{stem}.pdf", operation: Any = PDF, **options: Any) -> Planner:
            template = OutputTemplate(text=text, prefix="in/")
            return Planner.of_one_operation(stack.enter_context(new_draft()), template, operation, **options)

        yield make


Plan = Callable[..., list[PlannedObject]]


@pytest.fixture
def plan(client: CIClient, planner_of: Callable[..., Planner]) -> Plan:
    """Plans the objects in ``in/``."""

    def make(text: str = "out/{stem}.pdf", *, index: Any = None, **options: Any) -> list[PlannedObject]:
        planner = planner_of(text, **options)
        planner.take(ObjectSelection(prefix="in/").objects(client))
        planner.look_up(index or NOTHING, ExistingOutputs(client, "out/", threads=4))
        return list(planner.objects())

    return make


def skipped(objects: list[PlannedObject]) -> list[str]:
    up_to_date = (Decision.UP_TO_DATE, Decision.UP_TO_DATE_BY_TIME)
    return [each.key for each in objects if each.decision in up_to_date]


def found(*keys: str) -> Iterator[ObjectInfo]:
    return (ObjectInfo(key, 1, "e", NOON) for key in keys)


def planned_keys(planner: Planner, *keys: str) -> list[str]:
    """Plan these keys without any request to the service, and return them in the order of the plan."""
    planner.take(found(*keys))
    return [each.key for each in planner.objects()]


def known(objects: list[PlannedObject], **values: Any) -> Index:
    return Index(*(Entry(each.output, each.fingerprint, **values) for each in objects))


def test_objects_come_in_the_order_of_the_source(planner_of: Callable[..., Planner]) -> None:
    keys = [f"in/{number * 7919 % 2500}.docx" for number in range(2500)]
    planner = planner_of()
    planner.take(found(*keys))
    assert [(each.index, each.key) for each in planner.objects()] == list(enumerate(keys))


def test_a_planned_object_says_what_is_needed_to_submit_it(
    client: CIClient, fill_bucket: Fill, plan: Plan
) -> None:
    fill_bucket("in/表.docx", content=b"1234")
    (one,) = plan("out/{stem}/${Number}.png")
    (listed,) = client.list_objects("in/")
    assert (one.index, one.key, one.size, one.etag) == (0, "in/表.docx", 4, listed.etag)
    assert (one.output_key, one.output) == ("out/表/${Number}.png", "out/表/1.png")
    assert one.decision is Decision.SUBMIT
    assert one.fingerprint == Fingerprints(PDF).of(one.key, one.etag, one.output_key)


# Outputs that are up to date


def test_unknown_outputs_are_judged_by_their_time(fill_bucket: Fill, bucket: Path, plan: Plan) -> None:
    fill_bucket("in/new.docx", "in/old.docx", "in/none.docx", "out/new.pdf", "out/old.pdf")
    os.utime(bucket / "in/old.docx", (LATER, LATER))
    assert skipped(plan()) == skipped(plan(skip="exists")) == ["in/new.docx"]


def test_the_first_page_tells_whether_pages_are_up_to_date(fill_bucket: Fill, plan: Plan) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "out/a/1.png")
    assert skipped(plan("out/{stem}/${Number}.png")) == ["in/a.docx"]


def test_known_content_is_up_to_date_whatever_the_times_say(
    fill_bucket: Fill, bucket: Path, plan: Plan
) -> None:
    fill_bucket("in/a.docx", "in/gone.docx", "out/a.pdf")
    index = known(plan())
    os.utime(bucket / "in/a.docx", (LATER, LATER))
    assert skipped(plan(index=index)) == ["in/a.docx"]
    assert skipped(plan(index=index, skip="exists")) == []


def test_changed_content_is_made_again_whatever_the_times_say(fill_bucket: Fill, plan: Plan) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    index = known(plan())
    fill_bucket("in/a.docx", content=b"Other text.\n")
    fill_bucket("out/a.pdf", "out/b.pdf")
    assert skipped(plan(index=index)) == ["in/b.docx"]
    assert skipped(plan(index=index, skip="exists")) == ["in/a.docx", "in/b.docx"]


def test_another_operation_makes_all_again(fill_bucket: Fill, plan: Plan) -> None:
    fill_bucket("in/a.docx", "out/a.pdf")
    index = known(plan())
    change = {"operation": DocProcess(password="p")}
    assert skipped(plan(**change)) == ["in/a.docx"], "without a record the times decide"
    assert skipped(plan(**change, index=index)) == []


def test_what_failed_before_is_submitted_only_on_request(fill_bucket: Fill, plan: Plan) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    index = known(plan()[:1], made=False, details={"code": "Broken"})
    first, second = plan(index=index)
    assert (first.decision, first.details) == (Decision.FAILED_BEFORE, {"code": "Broken"})
    assert second.decision is Decision.SUBMIT
    assert plan(index=index, retry_failed=True)[0].decision is Decision.SUBMIT
    fill_bucket("in/a.docx", content=b"repaired")
    assert plan(index=index)[0].decision is Decision.SUBMIT


def test_skip_never_takes_everything_and_asks_nothing(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI, planner_of: Callable[..., Planner]
) -> None:
    fill_bucket("in/a.docx", "out/a.pdf")
    objects = list(client.list_objects("in/"))
    local_ci.faults.add("error", code="AccessDenied")
    planner = planner_of(skip="never")
    planner.take(objects)
    planner.look_up(NOTHING, ExistingOutputs(client, "out/", threads=4))
    assert [each.decision for each in planner.objects()] == [Decision.SUBMIT]
    assert local_ci.faults.pending()


@pytest.mark.parametrize("skip", ["fresh", "exists"])
def test_a_missing_object_is_never_up_to_date(
    skip: Skip, client: CIClient, fill_bucket: Fill, planner_of: Callable[..., Planner]
) -> None:
    fill_bucket("out/gone.pdf")
    planner = planner_of(skip=skip)
    planner.take(ObjectKeys(keys=["in/gone.docx"]).objects(client))
    planner.look_up(NOTHING, ExistingOutputs(client, "out/", threads=4))
    (one,) = planner.objects()
    assert (one.key, one.decision, one.details["code"]) == ("in/gone.docx", Decision.UNUSABLE, "NoSuchKey")


# Other batches, jobs in flight


def claimed(*objects: PlannedObject) -> list[ClaimedOutput]:
    own = operation_fingerprint(PDF)
    return [
        ClaimedOutput(output=each.output, fingerprint=each.fingerprint, index=each.index, operation=own)
        for each in objects
    ]


def by_another_operation(*objects: PlannedObject) -> list[ClaimedOutput]:
    return [replace(each, operation="another") for each in claimed(*objects)]


def test_shared_objects_come_last(planner_of: Callable[..., Planner]) -> None:
    planner = planner_of()
    planner.take(found(*(f"in/{number}.docx" for number in range(6))))
    theirs = claimed(*planner.objects())[:2]
    assert planner.share(theirs, {"batch": "x"}) == 2
    made = list(planner.objects())
    assert [each.key for each in made] == [f"in/{number}.docx" for number in (2, 3, 4, 5, 0, 1)]
    assert [each.index for each in made] == list(range(6))
    assert made[-1].details == {"batch": "x", "their_index": 1, "is_same_content": True}


def test_the_last_of_several_batches_is_waited_for(planner_of: Callable[..., Planner]) -> None:
    planner = planner_of()
    planner.take(found("in/a.docx"))
    theirs = claimed(*planner.objects())
    for batch in ("x", "y"):
        planner.share(theirs, {"batch": batch})
    assert [each.details["batch"] for each in planner.objects()] == ["y"]


def test_another_operation_for_an_output_is_refused(planner_of: Callable[..., Planner]) -> None:
    planner = planner_of()
    planner.take(found("in/a.docx", "in/b.docx"))
    theirs = by_another_operation(*planner.objects())[1:]
    with pytest.raises(OtherOperationError) as no:
        planner.share(theirs, {"batch": "x"})
    assert no.value.output == "out/b.pdf"


def test_outputs_of_a_dead_other_operation_are_made_again(
    client: CIClient, fill_bucket: Fill, planner_of: Callable[..., Planner]
) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "out/a.pdf", "out/b.pdf")
    for skip, kept in (("fresh", ["in/b.docx"]), ("exists", ["in/a.docx", "in/b.docx"])):
        planner = planner_of(skip=skip)
        planner.take(client.list_objects("in/"))
        planner.look_up(NOTHING, ExistingOutputs(client, "out/", threads=4))
        planner.distrust(by_another_operation(*planner.objects())[:1])
        assert skipped(list(planner.objects())) == kept


@pytest.mark.parametrize(
    ("values", "decision"),
    [
        ({}, Decision.ADOPTED),
        ({"input_key": "/in/a.docx"}, Decision.ADOPTED),
        ({"input_key": "in/other.docx"}, Decision.SUBMIT),
        ({"output_key": "out/other.pdf"}, Decision.SUBMIT),
        ({"created_at": datetime(2026, 5, 1, 11, tzinfo=timezone.utc)}, Decision.SUBMIT),
        ({"created_at": None}, Decision.SUBMIT),
        ({"output_bucket": "another-1250000000"}, Decision.SUBMIT),
    ],
)
def test_jobs_in_flight_are_adopted_if_they_make_our_output(
    values: dict[str, Any], decision: Decision, planner_of: Callable[..., Planner]
) -> None:
    planner = planner_of()
    planner.take(found("in/a.docx"))
    base: dict[str, Any] = {"input_key": "in/a.docx", "output_key": "out/a.pdf", "created_at": NOON}
    job = Job(job_id="d1", tag="DocProcess", state=JobState.RUNNING, **{**base, **values})
    adoption = Adoption(
        draft=planner._draft,
        lines=planner.lines,
        output_of=lambda job: job.output_key,
        matches=lambda *_: True,
        is_here=lambda job: not job.output_bucket,
    )
    adoption.in_flight([job])
    assert [each.decision for each in planner.objects()] == [decision]


# Refused plans


@pytest.mark.parametrize("distance", [0, 2500])
def test_two_objects_with_one_output_are_refused(distance: int, planner_of: Callable[..., Planner]) -> None:
    between = (f"in/{number}" for number in range(distance))
    with pytest.raises(
        OutputTemplateError, match=r"'in/a\.doc' and 'in/a\.docx' would both write 'out/a\.pdf'; use \{dir\}"
    ):
        planned_keys(planner_of(), "in/a.doc", *between, "in/a.docx")


def test_an_object_is_never_its_own_output(planner_of: Callable[..., Planner]) -> None:
    with pytest.raises(OutputTemplateError, match=r"'in/a\.pdf' would overwrite itself; name another folder"):
        planned_keys(planner_of("{key}"), "in/a.pdf")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("{key}.pdf", ("in/a.docx", "in/a.docx.pdf")),
        ("in/{stem}-${Number}.png", ("in/a.docx", "in/a-1.png")),
    ],
)
@pytest.mark.parametrize("distance", [0, 2500])
def test_an_object_is_never_the_output_of_another(
    distance: int, text: str, keys: tuple[str, str], planner_of: Callable[..., Planner]
) -> None:
    """The service may run the two jobs in any order, so such a plan is refused."""
    between = (f"x/{number}" for number in range(distance))
    with pytest.raises(OutputTemplateError, match=f"'{keys[0]}' would overwrite '{keys[1]}', which is one"):
        planned_keys(planner_of(text), keys[1], *between, keys[0])


NAMES = st.lists(
    st.text(st.sampled_from("ab.1{}$é表\U0001f600"), min_size=1, max_size=4) | st.sampled_from(["${a}", "1"]),
    unique=True,
    max_size=8,
)


@given(
    names=NAMES,
    text=st.sampled_from(["in/{stem}", "{dir}{stem}.1", "{name}", "out/{stem}{suffix}", "{key}b"]),
)
@settings(max_examples=200, deadline=None)
def test_a_plan_is_made_exactly_when_no_output_is_in_the_way(names: list[str], text: str) -> None:
    keys = [f"in/{name}" for name in names]
    template = OutputTemplate(text=text)
    written = {template.first_output(key) for key in keys}
    is_possible = len(written) == len(keys) and not written & set(keys)
    with new_draft() as draft:
        planner = Planner.of_one_operation(draft, template, PDF)
        if is_possible:
            assert planned_keys(planner, *keys) == keys
        else:
            with pytest.raises(OutputTemplateError):
                planned_keys(planner, *keys)


# Size


def test_an_error_of_the_check_ends_the_planning(planner_of: Callable[..., Planner]) -> None:
    taken = count()
    objects = (ObjectInfo(f"in/{next(taken)}", 1, "e", NOON) for _ in range(10_000))
    checks = iter([None, None])
    planner = planner_of("out/{name}", check=lambda: next(checks))
    with pytest.raises((RuntimeError, StopIteration)):
        planner.take(objects)
    assert next(taken) == 3000


PLAN_IN_A_CHILD = """
import resource, sys
from datetime import datetime, timezone
from airflow_provider_ci.batch import OutputTemplate
from airflow_provider_ci.batch.planning.draft import new_draft
from airflow_provider_ci.batch.planning.planner import Planner
from airflow_provider_ci.client import DocProcess, ObjectInfo

number, room = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
now = datetime.now(timezone.utc)
objects = (ObjectInfo(f"inbox/2026/{n:09}.docx", n, f"{n:032}", now) for n in range(number))
template = OutputTemplate(text="pdf/{dir}{stem}.pdf")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with new_draft() as draft:
    planner = Planner.of_one_operation(draft, template, DocProcess())
    planner.take(objects)
    total = sum(1 for _ in planner.objects())
print(total, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def plan_in_a_child(number: int, *, room: int, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PLAN_IN_A_CHILD, str(number), str(room)],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_large_plan_is_made_on_the_disk_and_leaves_nothing(tmp_path: Path) -> None:
    """In memory, 200,000 objects would take 100 MiB."""
    child = plan_in_a_child(200_000, room=-1, folder=tmp_path)
    total, grown_mebibytes = map(int, child.stdout.split())
    assert total == 200_000
    assert grown_mebibytes < 40
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    child = plan_in_a_child(200_000, room=1_000_000, folder=tmp_path)
    assert "OSError: planning a batch needs a temporary file of about 300 bytes per object" in child.stderr
    assert "free some space in the folder that TMPDIR names" in child.stderr
    assert list(tmp_path.iterdir()) == []


# Fingerprints


def test_a_fingerprint_changes_with_content_operation_and_output() -> None:
    prints = [
        Fingerprints(operation).of(*parts)
        for operation in (PDF, DocProcess(target="png"), DocProcess(password="a"), DocProcess(password="b"))
        for parts in (("a", "b", "c"), ("a", "", "bc"), ("a", "bc", ""), ("a.b", "b", "c"), ("a", "b", "d"))
    ]
    prints.append(Fingerprints(PicProcess("imageMogr2/rotate/90")).of("a", "b", "c"))
    assert len(set(prints)) == len(prints)
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in prints)


def test_the_name_of_the_object_counts_only_by_its_suffix() -> None:
    """A renamed object is not converted again if its suffix and its output key stay the same."""
    of = Fingerprints(PDF).of
    assert of("in/a.docx", "e", "o") == of("in/b.DOCX", "e", "o") != of("in/a.doc", "e", "o")


def test_the_order_of_an_operations_extra_nodes_does_not_matter() -> None:
    one, other = (DocProcess(extra=dict(items)) for items in ([("A", 1), ("B", 2)], [("B", 2), ("A", 1)]))
    assert operation_fingerprint(one) == operation_fingerprint(other)
    assert Fingerprints(one).of("a", "b", "c") == Fingerprints(other).of("a", "b", "c")


def test_the_definition_is_source_operation_and_output(client: CIClient) -> None:
    names = [
        Batch(client, source, operation, output, batch_id="b").definition_name
        for source in (
            ObjectSelection(prefix="in/"),
            ObjectSelection(prefix="in/", suffixes=(".docx",)),
            ObjectKeys(keys=["in/"]),
            ObjectKeys(keys=["in/", "a"]),
        )
        for operation in (PDF, PicProcess("imageMogr2/rotate/90"))
        for output in ("a{key}", "b{key}")
    ]
    assert len(set(names)) == len(names)


def test_bounds_of_time_and_size_are_no_part_of_the_definition(client: CIClient) -> None:
    bounds: tuple[dict[str, Any], ...] = ({}, {"modified_after": NOON}, {"min_size": 1}, {"max_size": 9})
    sources = [ObjectSelection(prefix="in/", **bound) for bound in bounds]
    names = {Batch(client, source, PDF, "o/{key}", batch_id="b").definition_name for source in sources}
    assert len(names) == 1
