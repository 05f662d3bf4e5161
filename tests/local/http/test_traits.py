"""Traits of real buckets: each can be turned on at the start or at run time, also combined with others."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from airflow_provider_ci.local import LocalCI

LIST = [("tag", "DocProcess")]


def control(call: Any, method: str, body: object = None) -> Any:
    headers = {"Host": "localhost", "Content-Type": "application/json"}
    return call.raw(method, "/_local/traits", headers, None if body is None else json.dumps(body))


def job_ids(reply: Any) -> list[str]:
    return list(reply.texts("JobsDetail/JobId"))


def submit_finished(call: Any, more: str = "", parameters: str = "<TgtType>pdf</TgtType>") -> str:
    call.put("a.docx")
    job_id: str = call.submit(call.doc_job("a.docx", parameters=parameters, more=more))
    call.finished(job_id)
    return job_id


def test_traits_are_read_changed_and_reset_over_http(serve: Any, caller: Any) -> None:
    call = caller(serve(empty_pages=2))
    assert json.loads(control(call, "GET").body)["traits"]["empty_pages"] == 2
    reply = control(call, "POST", {"require_queue_id": True, "empty_pages": 0})
    changed = json.loads(reply.body)["traits"]
    assert (changed["require_queue_id"], changed["empty_pages"]) == (True, 0)
    assert call.server.traits.now_on.require_queue_id
    reset = json.loads(control(call, "DELETE").body)["traits"]
    assert (reset["require_queue_id"], reset["empty_pages"]) == (False, 2)


@pytest.mark.parametrize(
    "traits",
    [
        {"colour": "red"},
        {"strict_signature": 1},
        {"hide_jobs_seconds": -1},
        {"clock_offset_seconds": "1"},
        {"forget_jobs_seconds": True},
        {"user_data_limit": 1.5},
        {"empty_pages": -1},
        {"endless_tokens": "often"},
        {"echoes": {"EndPage": "5001"}},
        {"fail_jobs": {"*": 5}},
        {"refuse_submissions": None},
        [],
    ],
)
def test_a_trait_that_makes_no_sense_is_refused(call: Any, server: LocalCI, traits: Any) -> None:
    before = server.traits.now_on
    assert control(call, "POST", traits).status == 400
    assert server.traits.now_on == before
    if traits:
        with pytest.raises(ValueError, match="trait"):
            server.traits.set(**traits)


def test_a_job_is_forgotten_some_time_after_its_end(call: Any, server: LocalCI) -> None:
    job_id = submit_finished(call)
    server.traits.set(forget_jobs_seconds=3600)
    assert call.state(job_id) == "Success"
    server.traits.set(forget_jobs_seconds=0)
    assert call.job(job_id).texts("NonExistJobIds") == [job_id]
    assert job_ids(call("GET", "ci", "/doc_jobs", LIST)) == []
    assert call("PUT", "ci", f"/doc_jobs/{job_id}", [("cancel", "")]).code == "ResourceNotFound"


def test_a_job_that_has_not_ended_is_never_forgotten(serve: Any, caller: Any, gate: Any) -> None:
    call = caller(serve(convert=gate, forget_jobs_seconds=0))
    call.put("a.docx")
    job_id = call.submit(call.doc_job("a.docx"))
    assert job_ids(call.job(job_id)) == job_ids(call("GET", "ci", "/doc_jobs", LIST)) == [job_id]


def test_a_submitted_job_does_not_exist_at_once(serve: Any, caller: Any) -> None:
    call = caller(serve(hide_jobs_seconds=3600))
    call.put("a.docx")
    job_id = call.submit(call.doc_job("a.docx"))
    assert call.job(job_id).texts("NonExistJobIds") == [job_id]
    assert job_ids(call("GET", "ci", "/doc_jobs", LIST)) == []
    call.server.traits.set(hide_jobs_seconds=0)
    assert job_ids(call.job(job_id)) == job_ids(call("GET", "ci", "/doc_jobs", LIST)) == [job_id]


def test_echoes_change_what_a_job_shows(call: Any, server: LocalCI) -> None:
    server.traits.set(echoes={"EndPage:-1": "5001", "Comments:0": "1"})
    parameters = "<TgtType>pdf</TgtType><EndPage>-1</EndPage><Comments>0</Comments><StartPage>1</StartPage>"
    job_id = submit_finished(call, parameters=parameters)
    for reply in (call.job(job_id), call("GET", "ci", "/doc_jobs", LIST)):
        shown = {node.tag: node.text for node in reply.xml.find("JobsDetail/Operation/DocProcess")}
        assert (shown["EndPage"], shown["Comments"], shown["StartPage"]) == ("5001", "1", "1")


@pytest.mark.parametrize(("limit", "shown"), [(None, ["abcdef"]), (3, ["abc"]), (0, [])])
def test_user_data_is_cut_or_left_out(
    call: Any, server: LocalCI, limit: int | None, shown: list[str]
) -> None:
    server.traits.set(user_data_limit=limit)
    job_id = submit_finished(call, more="<UserData>abcdef</UserData>")
    assert call.job(job_id).texts("JobsDetail/Operation/UserData") == shown


def pages(call: Any, most: int = 20, size: str = "2") -> list[tuple[list[str], str]]:
    """Job ids and next token of each page of the listing, up to the last page or ``most`` pages."""
    found: list[tuple[list[str], str]] = []
    token = ""
    while len(found) < most:
        reply = call("GET", "ci", "/doc_jobs", [*LIST, ("size", size), ("nextToken", token)])
        token = reply.text("NextToken")
        found.append((job_ids(reply), token))
        if not token:
            break
    return found


def test_empty_pages_have_a_new_token_and_hide_no_job(call: Any, server: LocalCI) -> None:
    made = [submit_finished(call) for _ in range(3)]
    server.traits.set(empty_pages=2)
    found = pages(call)
    assert [len(ids) for ids, _ in found] == [0, 0, 2, 0, 0, 1]
    assert [job_id for ids, _ in found for job_id in ids] == made[::-1]
    assert len({token for _, token in found}) == len(found)


@pytest.mark.parametrize("jobs", [0, 3])
@pytest.mark.parametrize("kind", ["same", "new"])
def test_tokens_may_be_endless(call: Any, server: LocalCI, jobs: int, kind: str) -> None:
    made = [submit_finished(call) for _ in range(jobs)]
    server.traits.set(endless_tokens=kind)
    found = pages(call)
    assert [job_id for ids, _ in found for job_id in ids] == made[::-1]
    assert len(found) == 20
    tail = {token for _, token in found[10:]}
    assert len(tail) == (1 if kind == "same" else 10)


def test_a_listing_may_hold_jobs_that_cannot_be_read(call: Any, server: LocalCI) -> None:
    made = [submit_finished(call) for _ in range(3)]
    server.traits.set(foreign_jobs=True)
    reply = call("GET", "ci", "/doc_jobs", LIST)
    odd, own = job_ids(reply)[:3], job_ids(reply)[3:]
    assert (own, len(set(odd) - set(made))) == (made[::-1], 3)
    assert "Archived" in reply.texts("JobsDetail/State")
    assert "-" in reply.texts("JobsDetail/CreationTime")
    page = reply.xml.find("JobsDetail/Operation/DocProcessResult/PageInfo")
    assert page is not None and page.find("TgtUri") is None
    assert [job_id for ids, _ in pages(call, size="4") for job_id in ids if job_id in made] == made[::-1]


@pytest.mark.parametrize(
    "code", ["DocBucketUnBinded", "PicBucketUnBinded", "WriteTargetBucketDenied", "NoSuchQueue", "Unheard"]
)
def test_every_submission_is_refused(call: Any, server: LocalCI, code: str) -> None:
    server.traits.set(refuse_submissions=code)
    for path, body in (("/doc_jobs", call.doc_job("a.docx")), ("/pic_jobs", call.pic_job("a.png", "b.png"))):
        reply = call("POST", "ci", path, body=body)
        assert (reply.status, reply.code) == (400, code)
    assert call("GET", "ci", "/docqueue").status == 200
    server.traits.set(refuse_submissions="")
    assert call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx")).status == 200


@pytest.mark.parametrize("convert", ["instant", "none"])
def test_jobs_of_some_keys_fail_as_told(serve: Any, caller: Any, convert: str) -> None:
    call = caller(serve(convert=convert, fail_jobs={"*.bad": "DamagedFile:cannot be read", "x/*": "Locked"}))
    for key in ("a.bad", "x/a.docx", "a.docx"):
        call.put(key)
    replies = [
        call.finished(
            call.submit(call.doc_job(key, parameters="<TgtType>pdf</TgtType><SrcType>doc</SrcType>"))
        )
        for key in ("a.bad", "x/a.docx", "a.docx")
    ]
    assert [reply.text("JobsDetail/State") for reply in replies] == ["Failed", "Failed", "Success"]
    assert [reply.text("JobsDetail/Code") for reply in replies] == ["DamagedFile", "Locked", "Success"]
    assert replies[0].text("JobsDetail/Message") == "cannot be read"


@pytest.mark.parametrize("offset", [-3600, 3600])
def test_the_clock_of_the_service_may_differ(call: Any, server: LocalCI, folder: Any, offset: int) -> None:
    (folder / "by-hand.txt").write_text("x")
    server.traits.set(clock_offset_seconds=offset)
    now = time.time() + offset

    def is_near(text: str) -> bool:
        return abs(parsedate_to_datetime(text).timestamp() - now) < 60

    assert call.get("by-hand.txt").status == 403  # signed with the time of the machine's clock
    assert is_near(call.get("by-hand.txt").headers["date"])
    reply = call("GET", "cos", "/by-hand.txt", now=now)
    assert is_near(reply.headers["last-modified"])
    listed = call("GET", "cos", "/", now=now).text("Contents/LastModified")
    assert time.strftime("%Y-%m-%dT%H", time.gmtime(now))[:13] == listed[:13]
    since = {"If-Modified-Since": reply.headers["last-modified"]}
    assert call("GET", "cos", "/by-hand.txt", now=now, headers=since).status == 304
    server.traits.set(clock_offset_seconds=0)
    assert call.get("by-hand.txt").status == 200


def test_times_of_jobs_are_those_of_the_clock_of_the_service(serve: Any, caller: Any) -> None:
    call = caller(serve(clock_offset_seconds=7200))
    now = time.time() + 7200
    call("PUT", "cos", "/a.docx", body=b"x", now=now)
    job_id = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"), now=now).text("JobsDetail/JobId")
    call.server.traits.set(clock_offset_seconds=0)
    call.finished(job_id)
    call.server.traits.set(clock_offset_seconds=7200)
    shown = call("GET", "ci", f"/doc_jobs/{job_id}", now=now).text("JobsDetail/CreationTime")
    assert shown[:13] == time.strftime("%Y-%m-%dT%H", time.gmtime(now + 8 * 3600))


def test_a_bucket_may_be_in_strict_signature_mode(serve: Any, caller: Any) -> None:
    server = serve(strict_signature=True)
    call = caller(server)
    signed = {"Content-Type": "text/plain", "Content-Length": "1", "x-cos-meta-a": "b"}
    assert call("PUT", "cos", "/a", body=b"x", headers=signed).status == 200
    reply = call("PUT", "cos", "/a", body=b"x", headers={"Content-Type": "text/plain"})
    assert (reply.status, reply.code, b"content-length" in reply.body) == (403, "AccessDenied", True)
    given = {"Host": call.host("cos")}
    authorization = call.sign("PUT", "/a", [], given)
    reply = call.raw("PUT", "/a", {**given, **signed, "Authorization": authorization}, b"x")
    assert (reply.status, b"content-length, content-type, x-cos-meta-a" in reply.body) == (403, True)
    reply = call("POST", "ci", "/doc_jobs", body=call.doc_job("a.docx"))
    assert (reply.status, reply.code) == (403, "AccessDenied")
    assert call.get("a").status == 200
    server.traits.set(strict_signature=False)
    assert call.put("a").status == 200


def test_a_listing_of_jobs_may_require_the_queue(serve: Any, caller: Any) -> None:
    call = caller(serve(require_queue_id=True))
    reply = call("GET", "ci", "/doc_jobs", LIST)
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    queue_id = call("GET", "ci", "/docqueue").text("QueueList/QueueId")
    assert call("GET", "ci", "/doc_jobs", [*LIST, ("queueId", queue_id)]).status == 200


def test_traits_are_combined(serve: Any, caller: Any) -> None:
    call = caller(
        serve(
            empty_pages=1,
            foreign_jobs=True,
            user_data_limit=1,
            echoes={"EndPage:-1": "5001"},
            endless_tokens="new",
        )
    )
    job_id = submit_finished(call, more="<UserData>abc</UserData>")
    found = pages(call, size="10")
    assert [job_id in ids for ids, _ in found[:2]] == [False, True]
    assert (len(found[1][0]), len(found)) == (4, 20)
    assert call.job(job_id).text("JobsDetail/Operation/UserData") == "a"
    assert call.job(job_id).text("JobsDetail/Operation/DocProcess/EndPage") == "5001"


def test_requests_are_counted_by_kind(call: Any, server: LocalCI) -> None:
    server.reset_request_counts()
    submit_finished(call)
    call("GET", "cos", "/", [("prefix", "a")])
    server.faults.add("error", code="SlowDown")
    call("GET", "ci", "/docqueue")
    counts = server.request_counts()
    assert counts.pop("GET ci /doc_jobs/{id}") >= 1
    assert counts == {"PUT cos /{key}": 1, "POST ci /doc_jobs": 1, "GET cos /": 1, "GET ci /docqueue": 1}
    reply = call.raw("GET", "/_local/requests", {"Host": "localhost"})
    assert json.loads(reply.body)["requests"]["PUT cos /{key}"] == 1
    assert json.loads(call.raw("DELETE", "/_local/requests", {"Host": "localhost"}).body) == {"requests": {}}
    assert call.raw("POST", "/_local/requests", {"Host": "localhost"}, b"{}").status == 405
