"""XML: documents that we build are read back unchanged, and hostile or damaged responses do no harm."""

from __future__ import annotations

import re
import threading
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ci.client import CIResponseError
from airflow_provider_ci.client.wire import nodes, xml

NOT_IN_XML = "".join(map(chr, [*range(32), 0xFFFE, 0xFFFF]))
ALLOWED = st.text(
    st.characters(codec="utf-8", exclude_characters=NOT_IN_XML) | st.sampled_from("\t\n\r&<>\"'")
)


def test_a_request_is_built_in_order_and_without_what_is_none() -> None:
    tree = {"A": 1, "B": None, "C": {"D": True, "E": False, "F": {}}, "G": ["x", "y"], "H": ""}
    assert (
        xml.build("R", tree) == b"<R><A>1</A><C><D>true</D><E>false</E><F></F></C><G>x</G><G>y</G><H></H></R>"
    )


@given(ALLOWED)
def test_any_text_reads_back_by_another_parser(text: str) -> None:
    found = ElementTree.fromstring(xml.build("R", {"T": text})).findtext("T")
    assert found == text


@pytest.mark.parametrize("character", ["\0", "\x08", "\x0b", "\x1f", "\ufffe", "\ud800"])
def test_what_xml_cannot_carry_is_refused_by_name_and_without_the_value(character: str) -> None:
    expected = re.escape(f"DocPassword holds U+{ord(character):04X} at position 2, which XML cannot carry")
    with pytest.raises(ValueError, match=f"^{expected}$"):
        xml.build("R", {"DocPassword": f"ab{character}"})


def test_an_answer_reads_as_dictionaries() -> None:
    body = b"""<?xml version="1.0" encoding="UTF-8"?>
    <R><!-- c --><?pi x?><A>1</A><B/><C><D>&amp;\xc3\xa4</D></C><E>1</E><E>1</E><E><F/></E></R>"""
    assert xml.parse(body, expected="R") == {"A": "1", "B": "", "C": {"D": "&ä"}, "E": ["1", "1", {"F": ""}]}
    assert xml.parse(b"<R/>", expected="R") == {}


def test_a_namespace_makes_no_difference() -> None:
    body = b'<R xmlns="http://www.qcloud.com/document/product/436/7751"><A>1</A></R>'
    assert xml.parse(body, expected="R") == {"A": "1"}


@pytest.mark.parametrize(
    "body", [b"", b"oops", b"<R><A>", b"<R></S>", b"<R>&nbsp;</R>", b"\xff", b"<R>\x01</R>"]
)
def test_what_is_no_xml_is_a_damaged_answer(body: bytes) -> None:
    with pytest.raises(CIResponseError, match=r"not well-formed XML.*request id NWRl") as caught:
        xml.parse(body, expected="R", request_id="NWRl")
    assert caught.value.is_retryable


BOMB = '<!DOCTYPE R [<!ENTITY a "aaaaaaaaaa">%s]><R>&%s;</R>' % (  # noqa: UP031
    "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "i",
)
HOSTILE = {
    "entities in entities": BOMB.encode(),
    "a file": b'<!DOCTYPE R [<!ENTITY e SYSTEM "file:///etc/passwd">]><R>&e;</R>',
    "a network address": b'<!DOCTYPE R SYSTEM "http://127.0.0.1:1/x.dtd"><R>a</R>',
    "a harmless document type": b"<!DOCTYPE R><R/>",
    "great depth": b"<R>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</R>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_refused(name: str) -> None:
    with pytest.raises(CIResponseError) as caught:
        xml.parse(HOSTILE[name], expected="R")
    assert "root:" not in str(caught.value)


def test_threads_parse_at_once() -> None:
    body = b"<R>" + b"".join(b"<A><B>%d</B></A>" % number for number in range(2000)) + b"</R>"
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(xml.parse(body, expected="R"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == {"A": [{"B": str(number)} for number in range(2000)]} for each in found)
    assert len(found) == 8


def test_readers_tell_what_is_wrong() -> None:
    with pytest.raises(CIResponseError, match=r"lacks <JobId> \(request id NWRl\)"):
        nodes.required({"JobId": ""}, "JobId", "NWRl")


@pytest.mark.parametrize("text", ["many", "-", "", "68.5", "²", "1_000", "9" * 5000])
def test_what_is_no_number_is_none(text: str) -> None:
    assert nodes.integer({"Size": text}, "Size") is None


@pytest.mark.parametrize("text", ["later", "-", "", "2023-99-99T00:00:00Z", "+0800", "Z"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert nodes.moment({"EndTime": text}, "EndTime") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-15T06:13:20+0800", "2023-11-15T06:13:20+08:00"),
        ("2020-12-10T03:37:30.000Z", "2020-12-10T03:37:30+00:00"),
        ("2020-12-10T03:37:30Z", "2020-12-10T03:37:30+00:00"),
        ("2023-11-15T06:13:20-0530", "2023-11-15T06:13:20-05:30"),
        ("2023-11-15T06:13:20+08:00", "2023-11-15T06:13:20+08:00"),
        ("2023-11-15 06:13:20", "2023-11-15T06:13:20+08:00"),
    ],
)
def test_times_keep_their_zone(text: str, expected: str) -> None:
    assert nodes.parse_time(text).isoformat() == expected
