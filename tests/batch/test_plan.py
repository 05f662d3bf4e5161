from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from airflow_provider_ci.batch.plan import PlannedJob, Skip, first_output, plan_jobs
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.batch import ObjectKeys, ObjectSelection, OutputTemplate, OutputTemplateError
from airflow_provider_ci.batch.planning.fingerprint import Fingerprints, work_fingerprint
from airflow_provider_ci.client import CIClient, DocProcess, ObjectInfo, PicProcess
from airflow_provider_ci.local import LocalCI

Fill = Callable[..., None]

PDF = DocProcess(target="pdf")
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
LATER = 1_900_000_000


def plan(
    client: CIClient,
    text: str = "out/{stem}.pdf",
    *,
    prefix: str = "in/",
    operation: DocProcess | PicProcess = PDF,
    **options: Any,
) -> list[PlannedJob]:
    selection = ObjectSelection(prefix=prefix)
    template = OutputTemplate(text=text, prefix=prefix)
    return list(plan_jobs(client, selection.objects(client), template, operation, **options))


def fresh(jobs: list[PlannedJob]) -> list[str]:
    return [job.key for job in jobs if job.is_fresh]


def found(*keys: str) -> Iterator[ObjectInfo]:
    return (ObjectInfo(key, 1, "e", NOON) for key in keys)


def planned_keys(client: CIClient, text: str, *keys: str) -> list[str]:
    """The keys as they are planned; nothing is asked of the service."""
    jobs = plan_jobs(client, found(*keys), OutputTemplate(text=text), PDF, skip="never")
    return [job.key for job in jobs]


def test_jobs_come_in_the_order_of_the_objects(client: CIClient) -> None:
    keys = [f"in/{number * 7919 % 2500}.docx" for number in range(2500)]
    jobs = plan_jobs(client, found(*keys), OutputTemplate(text="out/{stem}.pdf"), PDF, skip="never")
    assert [(job.index, job.key) for job in jobs] == list(enumerate(keys))


def test_a_job_says_what_is_needed_to_submit_it(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/表.docx", content=b"1234")
    (job,) = plan(client, "out/{stem}/${Number}.png")
    (listed,) = client.list_objects("in/")
    assert (job.index, job.key, job.size, job.etag) == (0, "in/表.docx", 4, listed.etag)
    assert (job.output_key, job.is_fresh) == ("out/表/${Number}.png", False)
    assert job.fingerprint == Fingerprints(PDF).of(job.key, job.etag, job.output_key)


# What is fresh


def test_an_output_that_is_not_older_than_its_object_is_fresh(
    client: CIClient, fill_bucket: Fill, bucket: Path
) -> None:
    fill_bucket("in/new.docx", "in/old.docx", "in/none.docx", "out/new.pdf", "out/old.pdf")
    os.utime(bucket / "in/old.docx", (LATER, LATER))
    assert fresh(plan(client)) == fresh(plan(client, skip="exists")) == ["in/new.docx"]


def test_the_first_page_tells_whether_pages_are_fresh(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "in/b.docx", "out/a/1.png")
    assert fresh(plan(client, "out/{stem}/${Number}.png")) == ["in/a.docx"]


def test_what_is_unchanged_since_the_last_run_is_fresh_whatever_the_times_say(
    client: CIClient, fill_bucket: Fill, bucket: Path
) -> None:
    fill_bucket("in/a.docx", "in/gone.docx", "out/a.pdf")
    previous = [(job.key, job.fingerprint) for job in plan(client)]
    os.utime(bucket / "in/a.docx", (LATER, LATER))
    assert fresh(plan(client, previous=previous)) == ["in/a.docx"]
    assert fresh(plan(client, previous=previous, skip="exists")) == []


def test_what_has_changed_since_the_last_run_is_not_fresh_whatever_the_times_say(
    client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx", "in/b.docx")
    previous = [(job.key, job.fingerprint) for job in plan(client)]
    fill_bucket("in/a.docx", content=b"Other text.\n")
    fill_bucket("out/a.pdf", "out/b.pdf")
    assert fresh(plan(client, previous=previous)) == ["in/b.docx"]
    assert fresh(plan(client, previous=previous, skip="exists")) == ["in/a.docx", "in/b.docx"]


@pytest.mark.parametrize("change", [{"operation": DocProcess(password="p")}, {"text": "out/{stem}{suffix}"}])
def test_another_operation_or_output_makes_all_anew(
    change: dict[str, Any], client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("in/a.docx", "out/a.pdf", "out/a.docx")
    previous = [(job.key, job.fingerprint) for job in plan(client)]
    assert fresh(plan(client, **change)) == ["in/a.docx"], "without the previous run the times decide"
    assert fresh(plan(client, **change, previous=previous)) == []


def test_of_many_earlier_runs_the_last_counts(client: CIClient, fill_bucket: Fill) -> None:
    fill_bucket("in/a.docx", "out/a.pdf")
    ((key, fingerprint),) = [(job.key, job.fingerprint) for job in plan(client)]
    others = [(f"in/{number}", "0" * 16) for number in range(2000)]
    assert fresh(plan(client, previous=[(key, "0" * 16), *others, (key, fingerprint)])) == [key]
    assert fresh(plan(client, previous=[(key, fingerprint), *others, (key, "0" * 16)])) == []


def test_skip_never_takes_everything_and_asks_nothing(
    client: CIClient, fill_bucket: Fill, local_ci: LocalCI
) -> None:
    fill_bucket("in/a.docx", "out/a.pdf")
    objects = list(client.list_objects("in/"))
    local_ci.faults.add("error", code="AccessDenied")
    template = OutputTemplate(text="out/{stem}.pdf")
    (job,) = plan_jobs(client, objects, template, PDF, skip="never")
    assert not job.is_fresh
    assert local_ci.faults.pending()


@pytest.mark.parametrize("skip", ["fresh", "exists"])
def test_a_named_object_that_is_missing_is_never_fresh(
    skip: Skip, client: CIClient, fill_bucket: Fill
) -> None:
    fill_bucket("out/gone.pdf")
    template = OutputTemplate(text="out/{stem}.pdf")
    mark = Fingerprints(PDF).of("in/gone.docx", "", "out/gone.pdf")
    objects = ObjectKeys(keys=["in/gone.docx"]).objects(client)
    (job,) = plan_jobs(client, objects, template, PDF, skip=skip, previous=[("in/gone.docx", mark)])
    assert not job.is_fresh


# What is refused


@pytest.mark.parametrize("distance", [0, 2500])
def test_two_objects_with_one_output_are_refused(distance: int, client: CIClient) -> None:
    between = (f"in/{number}" for number in range(distance))
    with pytest.raises(
        OutputTemplateError, match=r"'in/a\.doc' and 'in/a\.docx' would both write 'out/a\.pdf'; use \{dir\}"
    ):
        planned_keys(client, "out/{stem}.pdf", "in/a.doc", *between, "in/a.docx")


def test_a_name_that_the_service_would_fill_in_is_the_same_output(client: CIClient) -> None:
    with pytest.raises(OutputTemplateError, match="would both write"):
        planned_keys(client, "out/{stem}/${Number}.png", "in/1.docx", "in/${Number}.docx")


def test_an_object_is_never_its_own_output(client: CIClient) -> None:
    with pytest.raises(OutputTemplateError, match=r"'in/a\.pdf' would overwrite itself; name another folder"):
        planned_keys(client, "{key}", "in/a.pdf")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("{key}.pdf", ("in/a.docx", "in/a.docx.pdf")),
        ("in/{stem}-${Number}.png", ("in/a.docx", "in/a-1.png")),
    ],
)
@pytest.mark.parametrize("distance", [0, 2500])
def test_an_object_is_never_the_output_of_another(
    distance: int, text: str, keys: tuple[str, str], client: CIClient
) -> None:
    """In which order the two jobs run is the service's business."""
    between = (f"x/{number}" for number in range(distance))
    with pytest.raises(OutputTemplateError, match=f"'{keys[0]}' would overwrite '{keys[1]}', which is one"):
        planned_keys(client, text, keys[1], *between, keys[0])


NAMES = st.lists(
    st.text(st.sampled_from("ab.1{}$é表\U0001f600"), min_size=1, max_size=4) | st.sampled_from(["${a}", "1"]),
    unique=True,
    max_size=8,
)


@given(
    names=NAMES,
    text=st.sampled_from(["in/{stem}", "{dir}{stem}.1", "{name}", "out/{stem}{suffix}", "{key}b"]),
)
@settings(max_examples=300, deadline=None)
def test_a_plan_is_made_exactly_when_no_output_is_in_the_way_of_anything(names: list[str], text: str) -> None:
    keys = [f"in/{name}" for name in names]
    template = OutputTemplate(text=text)
    written = {first_output(template.output_key(key)) for key in keys}  # a key may hold ${a}, too
    is_possible = len(written) == len(keys) and not written & set(keys)
    jobs = plan_jobs(None, found(*keys), template, PDF, skip="never")  # type: ignore[arg-type] # not asked
    if is_possible:
        assert [job.key for job in jobs] == keys
    else:
        with pytest.raises(OutputTemplateError):
            list(jobs)


# Size


def test_what_the_check_raises_ends_the_planning_before_all_is_listed(client: CIClient) -> None:
    taken = count()
    objects = (ObjectInfo(f"in/{next(taken)}", 1, "e", NOON) for _ in range(10_000))
    checks = iter([None, None])
    jobs = plan_jobs(
        client, objects, OutputTemplate(text="out/{name}"), PDF, check=lambda: next(checks), skip="never"
    )
    with pytest.raises(RuntimeError):  # what a generator makes of StopIteration
        next(jobs)
    assert next(taken) == 3000


PLAN_IN_A_CHILD = """
import resource, sys
from datetime import datetime, timezone
from airflow_provider_ci.batch.plan import OutputTemplate, plan_jobs
from airflow_provider_ci.client import DocProcess, ObjectInfo

number, room = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
now = datetime.now(timezone.utc)
objects = (ObjectInfo(f"inbox/2026/{n:09}.docx", n, f"{n:032}", now) for n in range(number))
template = OutputTemplate(text="pdf/{dir}{stem}.pdf")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
total = sum(1 for _ in plan_jobs(None, objects, template, DocProcess(), skip="never"))
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


def test_a_plan_is_made_on_the_disk_of_which_nothing_is_left(tmp_path: Path) -> None:
    """Two hundred thousand objects in memory would be a hundred mebibytes."""
    child = plan_in_a_child(200_000, room=-1, folder=tmp_path)
    total, grown_mebibytes = map(int, child.stdout.split())
    assert total == 200_000
    assert grown_mebibytes < 40
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_said_so(tmp_path: Path) -> None:
    child = plan_in_a_child(200_000, room=1_000_000, folder=tmp_path)
    assert (
        "OSError: planning a batch takes a temporary file of some 300 bytes per object: disk" in child.stderr
    )
    assert "make room in the folder that TMPDIR names" in child.stderr
    assert list(tmp_path.iterdir()) == []


# Fingerprints


def test_a_fingerprint_changes_with_whatever_makes_the_work_another() -> None:
    works = [
        Fingerprints(operation).of(*parts)
        for operation in (PDF, DocProcess(target="png"), DocProcess(password="a"), DocProcess(password="b"))
        for parts in (("a", "b", "c"), ("ab", "", "c"), ("a", "", "bc"), ("", "ab", "c"), ("a", "b", "d"))
    ]
    works.append(Fingerprints(PicProcess("imageMogr2/rotate/90")).of("a", "b", "c"))
    assert len(set(works)) == len(works)
    assert all(len(work) == 16 and int(work, 16) >= 0 for work in works)


def test_the_order_of_an_operations_extra_nodes_does_not_matter() -> None:
    one, other = (DocProcess(extra=dict(items)) for items in ([("A", 1), ("B", 2)], [("B", 2), ("A", 1)]))
    assert Fingerprints(one).of("a", "b", "c") == Fingerprints(other).of("a", "b", "c")


def test_the_work_of_a_batch_is_its_source_operation_and_output() -> None:
    works = [
        work_fingerprint(source, operation, output)
        for source in (
            ObjectSelection(prefix="in/"),
            ObjectSelection(prefix="in/", suffixes=(".docx",)),
            ObjectSelection(prefix="in/", modified_after=NOON),
            ObjectKeys(keys=["in/"]),
            ObjectKeys(keys=["in/", "a"]),
        )
        for operation in (PDF, PicProcess("imageMogr2/rotate/90"))
        for output in ("a{key}", "b{key}")
    ]
    assert len(set(works)) == len(works)
    assert work_fingerprint(ObjectKeys(keys=["a", "b"]), PDF, "o") == work_fingerprint(
        ObjectKeys(keys=("a", "b")), PDF, "o"
    )
