"""Jobs on the wire: the requests, and how responses of every documented shape are read."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ci.client import (
    CIClient,
    CIResponseError,
    DocProcess,
    JobCancelledError,
    JobFailedError,
    JobState,
    NotFoundError,
    PicProcess,
)

CHINA = timezone(timedelta(hours=8))
BUCKET = "examplebucket-1250000000"


def test_a_document_job_as_it_is_submitted(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(output_key="out/p-${Number}.pdf"))
    ci.submit_doc_job("in/a.docx", "out/p-${Number}.pdf", DocProcess())
    assert (wire.last.method, wire.last.target) == ("POST", "/doc_jobs")
    assert wire.last.headers["content-type"] == "application/xml"
    assert wire.last.body.decode() == (
        "<Request><Tag>DocProcess</Tag><Input><Object>in/a.docx</Object></Input><Operation>"
        "<DocProcess><TgtType>pdf</TgtType></DocProcess><Output><Region>ap-guangzhou</Region>"
        f"<Bucket>{BUCKET}</Bucket><Object>out/p-${{Number}}.pdf</Object></Output></Operation></Request>"
    )


def test_every_option_of_a_document_job_is_sent(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(input_key="in/表 1&2.xlsx", output_key="out/${SheetID}/p.png"))
    operation = DocProcess(
        "png",
        source_type="xlsx",
        start_page=2,
        end_page=-1,
        page_ranges="1,2-4,7",
        sheet_id=0,
        paper_direction=1,
        paper_size=2,
        image_params="imageMogr2/thumbnail/!50p",
        password="p<w>&\"d'é",
        comments=0,
        quality=90,
        zoom=150,
        image_dpi=200,
        pic_pagination=1,
        extra={"New": {"Deep": 1}},
    )
    ci.submit_doc_job(
        "in/表 1&2.xlsx",
        "out/${SheetID}/p.png",
        operation,
        output_bucket="b-1",
        output_region="ap-beijing",
        queue_id="p1",
        user_data="u<1>",
        job_level=2,
        extra={"CallBack": "http://cb.example.com/?a=1&b=2"},
    )
    assert wire.last.body.decode() == (
        "<Request><Tag>DocProcess</Tag><QueueId>p1</QueueId>"
        "<Input><Object>in/表 1&amp;2.xlsx</Object></Input>"
        "<Operation><DocProcess><SrcType>xlsx</SrcType><TgtType>png</TgtType><StartPage>2</StartPage>"
        "<EndPage>-1</EndPage><PageRanges>1,2-4,7</PageRanges><SheetId>0</SheetId>"
        "<PaperDirection>1</PaperDirection><PaperSize>2</PaperSize>"
        "<ImageParams>imageMogr2/thumbnail/!50p</ImageParams><DocPassword>p&lt;w&gt;&amp;\"d'é</DocPassword>"
        "<Comments>0</Comments><Quality>90</Quality><Zoom>150</Zoom><ImageDpi>200</ImageDpi>"
        "<PicPagination>1</PicPagination><New><Deep>1</Deep></New></DocProcess><Output><Region>ap-beijing</Region>"
        "<Bucket>b-1</Bucket><Object>out/${SheetID}/p.png</Object></Output><UserData>u&lt;1&gt;</UserData>"
        "<JobLevel>2</JobLevel></Operation><CallBack>http://cb.example.com/?a=1&amp;b=2</CallBack></Request>"
    )


def test_a_picture_job_as_it_is_submitted(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(tag="PicProcess", input_key="in/a.jpg", output_key="out/a.png"))
    job = ci.submit_pic_job(
        "in/a.jpg", "out/a.png", PicProcess("imageMogr2/thumbnail/300x300>", is_pic_info=True)
    )
    assert wire.last.target == "/pic_jobs"
    assert (
        "<Operation><PicProcess><IsPicInfo>true</IsPicInfo>"
        "<ProcessRule>imageMogr2/thumbnail/300x300&gt;</ProcessRule></PicProcess>"
    ) in wire.last.body.decode()
    assert job.tag == "PicProcess"


def test_a_job_as_it_is_read(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply())
    job = ci.get_doc_job("d1")
    assert wire.last.target == "/doc_jobs/d1"
    assert (job.job_id, job.tag, job.state) == ("d1", "DocProcess", JobState.SUBMITTED)
    assert job.created_at == datetime(2023, 11, 15, 6, 13, 20, tzinfo=CHINA)
    assert (job.started_at, job.ended_at, job.result) == (None, None, None)
    assert (job.input_key, job.output_key) == ("in/a.docx", "out/a.pdf")
    assert (job.output_bucket, job.output_region) == ("outbucket-1250000000", "ap-beijing")
    assert (job.queue_id, job.user_data, job.request_id) == ("p1", "u1", "NWRl")
    assert job.raw["Operation"]["JobLevel"] == "0"
    assert pickle.loads(pickle.dumps(job)) == job


def test_the_pages_of_a_document(ci: CIClient, wire: Any, job_reply: Any) -> None:
    result = (
        "<DocProcessResult><FailPageCount>1</FailPageCount>"
        "<PageInfo><PageNo>1</PageNo><TgtUri>/out/a_1.jpg</TgtUri></PageInfo>"
        "<PageInfo><PageNo>2</PageNo><PicIndex>3</PicIndex><PicNum>1</PicNum><TgtUri>out/b</TgtUri>"
        "<X-SheetPics>4</X-SheetPics></PageInfo><SuccPageCount>2</SuccPageCount><TaskId/><TgtType/>"
        "<TotalPageCount>7</TotalPageCount><TotalSheetCount>2</TotalSheetCount></DocProcessResult>"
    )
    wire.will(job_reply(state="Success", result=result))
    found: Any = ci.get_doc_job("d1").result
    counts = (found.total_page_count, found.succ_page_count, found.fail_page_count, found.total_sheet_count)
    assert counts == (7, 2, 1, 2)
    assert [(page.page_no, page.key) for page in found.pages] == [(1, "/out/a_1.jpg"), (2, "out/b")]
    assert (found.pages[0].pic_index, found.pages[0].sheet_pics) == (None, None)
    assert (found.pages[1].pic_index, found.pages[1].pic_num, found.pages[1].sheet_pics) == (3, 1, 4)


def test_a_single_page_is_a_page_too(ci: CIClient, wire: Any, job_reply: Any) -> None:
    result = (
        "<DocProcessResult><PageInfo><PageNo>1</PageNo><TgtUri>a.pdf</TgtUri></PageInfo></DocProcessResult>"
    )
    wire.will(job_reply(state="Success", result=result))
    found: Any = ci.get_doc_job("d1").result
    assert [page.key for page in found.pages] == ["a.pdf"]


MADE = "<Format>png</Format><Width>100</Width><Height>50</Height><Quality>80</Quality><Size>1234</Size>"
IMAGE = (
    "<ImageInfo><Format>JPEG</Format><Width>200</Width><Height>90</Height><Quality>90</Quality><Ave>0xa1a2a3</Ave>"
    "<Orientation>6</Orientation></ImageInfo>"
)
PICTURE_RESULTS = {
    "callback page": (
        f"<ObjectName>out/a.png</ObjectName><OriginalInfo><Etag>&quot;e1&quot;</Etag>{IMAGE}</OriginalInfo>"
        f"<ProcessResult>{MADE}<Etag>&quot;e2&quot;</Etag></ProcessResult>"
    ),
    "job page": (
        f"<OriginalInfo><Key>in/a</Key><ETag>e1</ETag>{IMAGE}</OriginalInfo><ProcessResults><Object><Key>out/a.png</Key>"
        f"<Location>x</Location>{MADE}<ETag>e2</ETag></Object></ProcessResults>"
    ),
    "go sdk": (
        f"<UploadResult><OriginalInfo><Etag>e1</Etag>{IMAGE}</OriginalInfo><ProcessResults><Object>"
        f"<Key>out/a.png</Key>{MADE}<Etag>e2</Etag></Object></ProcessResults></UploadResult>"
    ),
}


@pytest.mark.parametrize("shape", PICTURE_RESULTS)
def test_a_picture_result_in_each_of_its_shapes(shape: str, ci: CIClient, wire: Any, job_reply: Any) -> None:
    result = f"<PicProcessResult>{PICTURE_RESULTS[shape]}</PicProcessResult>"
    wire.will(job_reply(tag="PicProcess", state="Success", result=result))
    found: Any = ci.get_pic_job("d1").result
    assert (found.key, found.format, found.etag) == ("out/a.png", "png", "e2")
    assert (found.width, found.height, found.quality, found.size) == (100, 50, 80, 1234)
    original = found.original
    assert (original.format, original.width, original.height, original.quality) == ("JPEG", 200, 90, 90)
    assert (original.ave, original.orientation, original.etag) == ("0xa1a2a3", 6, "e1")


def test_a_picture_result_without_the_original(ci: CIClient, wire: Any, job_reply: Any) -> None:
    made = f"<ProcessResult>{MADE}</ProcessResult>"
    result = f"<PicProcessResult><ObjectName>o</ObjectName>{made}</PicProcessResult>"
    wire.will(job_reply(tag="PicProcess", state="Success", result=result))
    found: Any = ci.get_pic_job("d1").result
    assert (found.key, found.original) == ("o", None)


@pytest.mark.parametrize("missing", ["JobId", "State", "CreationTime", "Tag"])
def test_an_answer_without_what_the_page_promises(
    missing: str, ci: CIClient, wire: Any, job_xml: Any, reply: Any
) -> None:
    body = job_xml().replace(f"<{missing}>", "<Other>").replace(f"</{missing}>", "</Other>")
    wire.will(reply(f"<Response>{body}</Response>"))
    with pytest.raises(CIResponseError, match=f"lacks <{missing}>.*NWRl"):
        ci.get_doc_job("d1")
    assert len(wire.requests) == 1


def test_an_unknown_state_is_named(ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(state="Dreaming"))
    with pytest.raises(CIResponseError, match="<State> is 'Dreaming', none of Submitted, Running"):
        ci.get_doc_job("d1")


@pytest.mark.parametrize("read", [lambda ci: ci.get_doc_job("d9"), lambda ci: ci.get_pic_job("d9")])
@pytest.mark.parametrize("body", ["<NonExistJobIds>d9</NonExistJobIds>", "", "<JobsDetail/>"])
def test_an_unknown_job(
    body: str, read: Callable[[CIClient], Any], ci: CIClient, wire: Any, reply: Any
) -> None:
    wire.will(reply(f"<Response>{body}</Response>"))
    with pytest.raises(NotFoundError, match="no job d9"):
        read(ci)


def test_many_picture_jobs_take_a_request_for_ten(ci: CIClient, wire: Any, job_xml: Any, reply: Any) -> None:
    ids = [f"c{number}" for number in range(23)]
    pages = [ids[:10], ids[10:20], ids[20:]]

    def answer(page: list[str]) -> Any:
        jobs = "".join(job_xml(job_id=each, tag="PicProcess") for each in reversed(page) if each != "c7")
        return reply(f"<Response>{jobs}<NonExistJobIds>c7</NonExistJobIds></Response>")

    wire.will(*map(answer, pages))
    assert [job.job_id for job in ci.get_pic_jobs(ids)] == [each for each in ids if each != "c7"]
    assert [request.target for request in wire.requests] == [
        f"/pic_jobs/{'%2C'.join(page)}" for page in pages
    ]
    assert ci.get_pic_jobs([]) == []


def test_jobs_are_listed_page_by_page(ci: CIClient, wire: Any, job_xml: Any, reply: Any) -> None:
    wire.will(
        reply(
            f"<Response>{job_xml(job_id='d1')}{job_xml(job_id='d2')}<NextToken>19193</NextToken></Response>"
        ),
        reply(f"<Response>{job_xml(job_id='d3')}<NextToken></NextToken></Response>"),
    )
    jobs = ci.list_doc_jobs()
    assert next(jobs).job_id == "d1"
    assert len(wire.requests) == 1
    assert [job.job_id for job in jobs] == ["d2", "d3"]
    assert wire.requests[0].target == "/doc_jobs?tag=DocProcess&orderByTime=Desc&size=100"
    assert wire.requests[1].target == "/doc_jobs?tag=DocProcess&orderByTime=Desc&size=100&nextToken=19193"


@pytest.mark.parametrize("body", ["", "<JobsDetail/>", "<NextToken/>"])
def test_a_page_without_a_token_is_the_last(body: str, ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply(f"<Response>{body}</Response>"))
    assert list(ci.list_pic_jobs()) == []
    assert ci.list_doc_jobs_page().next_token is None
    assert len(wire.requests) == 2


def test_a_listing_goes_on_over_empty_pages(ci: CIClient, wire: Any, job_xml: Any, reply: Any) -> None:
    def page(body: str, token: str) -> Any:
        return reply(f"<Response>{body}<NextToken>{token}</NextToken></Response>")

    wire.will(page("", "a"), page(job_xml("d1"), "b"), page("", "c"), page("", "d"), page(job_xml("d2"), ""))
    assert [job.job_id for job in ci.list_doc_jobs()] == ["d1", "d2"]
    wire.will(page("", "a"))
    empty = ci.list_pic_jobs_page()
    assert (empty.jobs, empty.next_token) == ((), "a")


def test_a_listing_ends_where_a_token_comes_again(
    ci: CIClient, wire: Any, job_xml: Any, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [reply(f"<Response>{job_xml()}<NextToken>{token}</NextToken></Response>") for token in "aba"]
    wire.will(*pages)
    assert len(list(ci.list_doc_jobs())) == 3
    assert "page 'a', which was already read" in caplog.text


def test_a_listing_that_invents_tokens_without_end_is_an_error(
    ci: CIClient, wire: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.client.jobs.calls.MAX_EMPTY_PAGES", 20)
    wire.will(*[reply(f"<Response><NextToken>{number}</NextToken></Response>") for number in range(100)])
    with pytest.raises(CIResponseError, match="does not end: 21 pages"):
        list(ci.list_doc_jobs())


@pytest.mark.parametrize(
    ("old", "new", "field", "expected"),
    [
        ("<State>Submitted<", "<State>Dreaming<", "state", JobState.UNKNOWN),
        ("<State>Submitted</State>", "", "state", JobState.UNKNOWN),
        ("2023-11-15T06:13:20+0800", "-", "created_at", None),
        ("2023-11-15T06:13:20+0800", "soon", "created_at", None),
        ("<StartTime>-<", "<StartTime>later<", "started_at", None),
        ("<Tag>DocProcess</Tag>", "", "tag", ""),
        ("<Object>in/a.docx</Object>", "<Url>https://x</Url>", "input_key", ""),
    ],
)
def test_jobs_of_others_are_read_as_far_as_they_can_be(
    old: str, new: str, field: str, expected: object, ci: CIClient, wire: Any, job_xml: Any, reply: Any
) -> None:
    odd = job_xml("d1").replace(old, new)
    assert odd != job_xml("d1")
    nameless = "<JobsDetail><State>Success</State></JobsDetail>"
    wire.will(reply(f"<Response>{odd}{nameless}{job_xml('d2')}</Response>"))
    jobs = ci.list_doc_jobs_page().jobs
    assert [job.job_id for job in jobs] == ["d1", "d2"]
    assert getattr(jobs[0], field) == expected
    assert not jobs[0].state.is_final


def test_a_page_of_a_job_that_names_no_object_is_there_without_its_key(
    ci: CIClient, wire: Any, job_reply: Any
) -> None:
    first = "<PageInfo><PageNo>1</PageNo><TgtUri/></PageInfo>"
    pages = f"{first}<PageInfo><PageNo>-</PageNo><TgtUri>b</TgtUri></PageInfo>"
    result = f"<DocProcessResult><TotalPageCount>2</TotalPageCount>{pages}</DocProcessResult>"
    wire.will(job_reply(state="Success", result=result))
    found: Any = ci.get_doc_job("d1").result
    assert [page.key for page in found.pages] == [None, "b"]
    assert found.total_page_count == 2


def test_every_filter_of_a_listing(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply("<Response/>"))
    page = ci.list_pic_jobs_page(
        states=[JobState.SUCCESS, JobState.FAILED],
        queue_id="p1",
        order="Asc",
        page_size=7,
        next_token="a/b",
        created_after=datetime(2023, 11, 13, 16, tzinfo=timezone.utc),
        created_before=datetime(2023, 11, 16, tzinfo=CHINA),
    )
    assert wire.last.target == (
        "/pic_jobs?tag=PicProcess&orderByTime=Asc&size=7&states=Success%2CFailed&queueId=p1"
        "&startCreationTime=2023-11-14T00%3A00%3A00%2B0800&endCreationTime=2023-11-16T00%3A00%3A00%2B0800&nextToken=a%2Fb"
    )
    assert (page.jobs, page.next_token, page.request_id) == ((), None, "NWRl")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"created_after": datetime(2023, 11, 14)}, "no time zone"),
        ({"order": "asc"}, "order must be one of Desc, Asc, not 'asc'"),
        ({"page_size": 101}, "page_size must be from 1 to 100, not 101"),
        ({"page_size": 0}, "page_size must be from 1 to 100"),
        ({"states": ["Done"]}, "Done"),
    ],
)
def test_a_listing_refuses_what_the_service_would(
    arguments: dict[str, Any], complaint: str, ci: CIClient, wire: Any, reply: Any
) -> None:
    wire.will(reply("<Response/>"))
    with pytest.raises(ValueError, match=complaint):
        ci.list_doc_jobs_page(**arguments)
    assert not wire.requests


def test_cancelling(ci: CIClient, wire: Any, reply: Any) -> None:
    wire.will(reply())
    ci.cancel_doc_job("d1")
    ci.cancel_pic_job("c1")
    assert [(each.method, each.target) for each in wire.requests] == [
        ("PUT", "/doc_jobs/d1?cancel"),
        ("PUT", "/jobs/c1?cancel"),
    ]
    assert all(each.headers["content-length"] == "0" for each in wire.requests)
    assert all(each.signed["q-url-param-list"] == "cancel" for each in wire.requests)


@pytest.mark.parametrize("job_id", ["", "a/b", "d1,d2", "../x", "{{ x }}"])
def test_an_id_is_an_id(job_id: str, ci: CIClient) -> None:
    for call in (ci.get_doc_job, ci.get_pic_job, ci.cancel_doc_job, ci.cancel_pic_job):
        with pytest.raises(ValueError, match="job_id"):
            call(job_id)


@pytest.mark.parametrize("body", ["<Response/>", "<Response><JobsDetail/></Response>"])
def test_a_submission_without_a_job_in_its_response_is_unconfirmed(
    body: str, ci: CIClient, wire: Any, reply: Any
) -> None:
    wire.will(reply(body))
    with pytest.raises(Exception, match="the response describes 0"):
        ci.submit_doc_job("a", "b", DocProcess())
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"input_key": ""}, "input_key must be a non-empty object key"),
        ({"output_key": "x" * 851}, "output_key has 851 bytes"),
        ({"input_key": "表" * 284}, "input_key has 852 bytes"),
        ({"input_key": "a\x1ab"}, "input_key 'a.x1ab' holds a control character"),
        ({"job_level": 3}, "job_level must be from 0 to 2"),
        ({"user_data": "ä"}, "user_data must be printable ASCII"),
        ({"user_data": "x" * 1025}, "user_data must be printable ASCII of at most 1024"),
        ({"input_key": "a\x01b"}, r"Object holds U\+0001"),
    ],
)
def test_a_submission_refuses_what_the_service_would(
    arguments: dict[str, Any], complaint: str, ci: CIClient, wire: Any
) -> None:
    keys: dict[str, Any] = {"input_key": "a", "output_key": "b"} | arguments
    with pytest.raises(ValueError, match=complaint):
        ci.submit_pic_job(operation=PicProcess("imageMogr2/format/png"), **keys)
    assert not wire.requests


def test_states_know_whether_they_are_final() -> None:
    final = {state for state in JobState if state.is_final}
    assert final == {JobState.SUCCESS, JobState.FAILED, JobState.CANCEL}
    assert f"{JobState.RUNNING}" == "Running"
    assert JobState("Running") is JobState.RUNNING


@pytest.mark.parametrize(("state", "error"), [("Failed", JobFailedError), ("Cancel", JobCancelledError)])
def test_a_bad_end_is_raised(
    state: str, error: type[Exception], ci: CIClient, wire: Any, job_reply: Any
) -> None:
    wire.will(job_reply(state=state))
    with pytest.raises(error, match=r"in/a\.docx"):
        ci.get_doc_job("d1").raise_for_state()


@pytest.mark.parametrize("state", ["Submitted", "Running", "Success", "Pause"])
def test_no_other_state_is_raised(state: str, ci: CIClient, wire: Any, job_reply: Any) -> None:
    wire.will(job_reply(state=state))
    ci.get_doc_job("d1").raise_for_state()
