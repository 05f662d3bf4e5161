"""Reading a page or a single result of a report takes a few requests, however long the report is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.batch import BatchReport, NoReportError, ObjectResult, ObjectState, read_report
from airflow_provider_ci.batch.ledger.records import RecordWriter
from airflow_provider_ci.batch.reports import sorting, writing
from airflow_provider_ci.batch.reports.folder import report_key
from airflow_provider_ci.batch.reports.selecting import ReportChangedError
from airflow_provider_ci.batch.reports.summary import BatchSummary
from airflow_provider_ci.batch.reports.writing import write_report
from airflow_provider_ci.client import CIClient

FOLDER = "reports/b/"
STATES = tuple(ObjectState)
CODES = ("", "Broken", "Locked")
SIZES = {"short": (1 << 20, 1 << 20), "long": (20_000, 1_500)}
"""Size of a part and of a block, in bytes; a short report is one object, a long one has some ten parts."""


def of_number(number: int) -> ObjectResult:
    """Makes one of many different results: unsorted keys, every state, several codes, and one odd key."""
    state = STATES[number % 5]
    return ObjectResult(
        key="in/\udc80\n合同" if number == 77 else f"in/{number * 7919 % 1000:03}.docx",
        state=state,
        output_key=f"out/{number}.pdf",
        code=CODES[number % 3] if state is ObjectState.FAILED else "",
        index=number,
    )


RESULTS = [of_number(number) for number in range(1000)]
BY_KEY = sorted(RESULTS, key=lambda result: result.key.encode("utf-8", "surrogatepass"))
FAILED = [
    result
    for state in (ObjectState.FAILED, ObjectState.CANCELLED, ObjectState.UNFINISHED)
    for code in CODES
    for result in BY_KEY
    if (result.state, result.code) == (state, code)
]


def write(client: CIClient, results: list[ObjectResult], plan: str = "token") -> BatchSummary:
    empty: dict[str, Any] = dict.fromkeys(
        ("total", "succeeded", "failed", "skipped", "cancelled", "unfinished"), 0
    )
    return write_report(
        RecordWriter(client=client),
        FOLDER,
        plan=plan,
        is_complete=lambda: True,
        results=results,
        summary=BatchSummary(batch_id="b", seconds=1, report_key="", **empty),
    )


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    part, block = SIZES[request.param]
    monkeypatch.setattr(writing, "PART_BYTES", part)
    monkeypatch.setattr(writing, "BLOCK_BYTES", block)
    return str(request.param)


@pytest.fixture
def report(client: CIClient, size: str) -> BatchReport:
    write(client, RESULTS)
    return BatchReport(client, FOLDER)


@pytest.fixture
def long_report(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> BatchReport:
    monkeypatch.setattr(writing, "PART_BYTES", SIZES["long"][0])
    monkeypatch.setattr(writing, "BLOCK_BYTES", SIZES["long"][1])
    write(client, RESULTS)
    return BatchReport(client, FOLDER)


@pytest.fixture
def requests(client: CIClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Counts requests by their path."""
    sent: Counter[str] = Counter()
    send = client._transport._attempt

    def counting(request: object, *more: object, **options: object) -> object:
        sent[getattr(request, "path", "")] += 1
        return send(request, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(client._transport, "_attempt", counting)
    yield sent


def pages(read: Callable[[int], object]) -> list[ObjectResult]:
    """Read all pages in turn: each page gives the offset of the next one."""
    results: list[ObjectResult] = []
    offset: int | None = 0
    while offset is not None:
        page = read(offset)
        results += page.results  # type: ignore[attr-defined]
        offset = page.next_offset  # type: ignore[attr-defined]
    return results


def test_each_object_is_found_by_its_key(report: BatchReport) -> None:
    for result in RESULTS[::13]:
        assert report.object(result.key) == result
    assert report.object("\udc80") is None
    assert report.object("in/0005.docx") is None
    assert report.object("a") is None


@pytest.mark.parametrize("limit", [7, 150, 5000])
def test_pages_make_up_the_whole(report: BatchReport, limit: int) -> None:
    assert pages(lambda offset: report.objects(offset=offset, limit=limit)) == BY_KEY
    assert pages(lambda offset: report.failures(offset, limit)) == FAILED
    assert report.objects().total == 1000
    assert report.failures().total == len(FAILED)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("code", [None, "", "Broken"])
def test_pages_of_one_state_and_code(report: BatchReport, state: ObjectState, code: str | None) -> None:
    wanted = [each for each in FAILED if each.state is state and code in (None, each.code)]
    assert pages(lambda offset: report.failures(offset, 30, state=state, code=code)) == wanted
    found = pages(lambda offset: report.objects(state=state.value, offset=offset, limit=30))
    assert sorted(each.index for each in found) == [each.index for each in RESULTS if each.state is state]


@pytest.mark.parametrize(
    ("text", "state"), [("9.DOC", None), ("in/1", "failed"), ("合同", None), ("\n", None)]
)
@pytest.mark.parametrize("budget", [1, 1 << 30])
def test_a_text_is_searched_in_the_keys(
    report: BatchReport, text: str, state: str | None, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.batch.reports.selecting.SEARCH_BYTES", budget)
    found = pages(lambda offset: report.objects(text=text, state=state, offset=offset, limit=20))
    wanted = [each for each in BY_KEY if text.lower() in each.key.lower() and state in (None, each.state)]
    assert sorted(each.index for each in found) == sorted(each.index for each in wanted)


def test_everything_is_read_in_order_of_keys(report: BatchReport, size: str, client: CIClient) -> None:
    assert list(report.results()) == (BY_KEY if size == "long" else RESULTS)
    assert Counter(each.index for each in report.results(is_failed=True)) == Counter(
        each.index for each in FAILED
    )
    assert list(read_report(client, f"{FOLDER}failures.jsonl")) == list(report.results(is_failed=True))


def test_the_summary_counts_the_codes(report: BatchReport) -> None:
    assert report.summary.total == 1000
    assert report.is_complete
    assert report.codes == dict(Counter(each.code for each in FAILED).most_common())


def test_a_page_takes_a_few_requests(long_report: BatchReport, requests: Counter[str]) -> None:
    long_report.failures(0, 3)
    assert requests.total() <= 3  # header, index, block
    requests.clear()
    long_report.object(RESULTS[500].key)
    assert requests.total() <= 2
    requests.clear()
    long_report.objects(offset=900, limit=3)
    assert requests.total() <= 2


def test_the_index_describes_the_parts(long_report: BatchReport, bucket: Path) -> None:
    index = json.loads((bucket / long_report.header.index).read_bytes().decode("utf-8", "surrogatepass"))
    assert len(index["parts"]) > 5
    for part in (*index["parts"], *index["failures"]):
        body = (bucket / part["key"]).read_bytes()
        lines = [json.loads(line.decode("utf-8", "surrogatepass")) for line in body.splitlines()]
        assert len(body) == part["bytes"] <= SIZES["long"][0]
        assert len(lines) == part["objects"]
        assert (lines[0]["key"], lines[-1]["key"]) == (part["first"], part["last"])
        assert sum(size for _, size, _, _ in part["blocks"]) == len(body)
        kinds = Counter((line["state"], line.get("code", "")) for line in lines)
        assert kinds == {(s, c): n for s, codes in part["counts"].items() for c, n in codes.items()}


def test_a_new_report_without_failures_hides_the_old_ones(client: CIClient, report: BatchReport) -> None:
    good = [each for each in RESULTS if each.is_good]
    write(client, good, plan="next")
    assert list(read_report(client, f"{FOLDER}failures.jsonl")) == []
    assert BatchReport(client, FOLDER).failures().results == ()


def test_a_report_that_is_replaced_while_it_is_read_is_read_again(
    client: CIClient, long_report: BatchReport, bucket: Path
) -> None:
    assert long_report.failures().total == len(FAILED)
    write(client, RESULTS[:500])
    assert long_report.object(RESULTS[0].key) == RESULTS[0]
    assert long_report.objects().total == 500
    part = bucket / long_report.header.parts[0]
    part.write_bytes(part.read_bytes() + b"\n")
    with pytest.raises(ReportChangedError, match="is replacing the report part"):
        long_report.objects()
    part.unlink()
    with pytest.raises(ReportChangedError, match="was deleted"):
        long_report.objects()


def test_parts_without_an_index_are_read_from_their_beginning(
    client: CIClient, long_report: BatchReport, bucket: Path
) -> None:
    """Version 0.3 wrote reports without an index."""
    path = bucket / report_key(FOLDER)
    header = json.loads(path.read_text())
    del header["index"], header["failures"]
    path.write_text(f"{json.dumps(header)}\n")
    old = BatchReport(client, FOLDER)
    assert pages(lambda offset: old.objects(offset=offset, limit=300)) == BY_KEY
    assert pages(lambda offset: old.failures(offset, 300, code="Broken")) == [
        each for each in FAILED if each.code == "Broken"
    ]
    assert old.object(RESULTS[3].key) == RESULTS[3]


def test_without_temporary_space_a_long_report_is_complete(
    client: CIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PART_BYTES", SIZES["long"][0])
    monkeypatch.setattr(sorting, "_STATEMENTS", (*sorting._STATEMENTS[:-1], "PRAGMA max_page_count = 8"))
    summary = write(client, RESULTS)
    assert summary.total == 1000
    report = BatchReport(client, FOLDER)
    assert list(report.results()) == RESULTS
    assert report.failures(0, 5000).results == tuple(each for each in RESULTS if not each.is_good)


def test_a_batch_without_a_report_says_so(client: CIClient) -> None:
    with pytest.raises(NoReportError, match="no report in '_ci_batches/b-"):
        _ = BatchReport.of_batch(client, "b").summary
