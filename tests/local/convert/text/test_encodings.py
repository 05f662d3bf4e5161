"""A text is read correctly or refused: a wrong guess of its encoding never gives wrong characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ci.local.convert import ConversionError, DocumentResult
from airflow_provider_ci.local.convert.text import source as texts
from tests.local.convert.text.languages import SENTENCES

# Texts from one word to a paragraph, with the encodings used in their countries.
_TEXTS = {
    "chinese name": ("张三,深圳", ["gb18030", "gbk"]),
    "chinese table": ("姓名,城市\n张三,深圳\n李四,北京\n", ["gb18030"]),
    "chinese form": ("客户订单表", ["gb18030"]),
    "chinese mixed": ("订单号 A-1023, 数量 12, 单价 ¥30.00\n备注：请于周五前发货", ["gb18030"]),
    "chinese": (
        "本合同由双方签字盖章后生效，一式两份，具有同等法律效力。文档转换成图片，表格也可以。",
        ["gb18030"],
    ),
    "taiwanese name": ("王小明,台北", ["big5"]),
    "taiwanese": ("這份文件說明如何使用系統，請依照步驟操作。如有問題，請聯絡我們的客戶服務中心。", ["big5"]),
    "japanese": (
        "この文書は、システムの使い方を説明しています。カタカナも含みます。",
        ["shift_jis", "euc_jp", "iso2022_jp"],
    ),
    "japanese word": ("こんにちは", ["shift_jis", "euc_jp", "iso2022_jp"]),
    "japanese table": ("氏名,住所\n山田太郎,東京都港区\n", ["shift_jis", "euc_jp"]),
    "korean": ("이 문서는 시스템 사용 방법을 설명합니다. 문의 사항은 고객 센터로 연락 주십시오.", ["euc_kr"]),
    "korean name": ("김철수,서울", ["euc_kr"]),
    "korean word": ("안녕하세요", ["euc_kr"]),
    "russian": (
        "Этот документ описывает порядок работы с системой.",
        ["cp1251", "koi8_r", "cp866", "iso8859_5"],
    ),
    "russian table": ("Имя;Город\nИванов;Москва\n", ["cp1251", "koi8_r"]),
    "russian words": ("Привет, мир", ["cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic"]),
    "french name": ("François", ["latin-1", "cp1252"]),
    "french": ("Le café est fermé; à bientôt, garçon — l’été", ["cp1252"]),
    "german": ("name;Straße\nMüller;Große Gasse 5\n", ["latin-1"]),
    "german name": ("Müller", ["latin-1"]),
    "spanish": ("El niño comió piñas en España, ¿verdad?", ["latin-1"]),
    "polish": ("Zażółć gęślą jaźń, Łódź", ["cp1250", "iso8859_2"]),
    "polish name": ("Wałęsa", ["cp1250"]),
    "czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy", ["cp1250", "iso8859_2"]),
    "hungarian": ("Erdő", ["cp1250"]),
    "turkish": ("Şişli, İstanbul, ığdır", ["cp1254"]),
    "greek": ("Καλημέρα κόσμε, αυτό είναι ένα έγγραφο", ["cp1253", "iso8859_7"]),
    "hebrew": ("שלום עולם, זה מסמך", ["cp1255"]),
    "hebrew page": ("שלום עולם, זה מסמך\n" * 6, ["cp1255"]),
    "arabic": ("مرحبا بالعالم هذا مستند", ["cp1256", "iso8859_6"]),
    "thai": ("สวัสดีชาวโลก นี่คือเอกสาร", ["cp874"]),
    "degrees": ("20 °C", ["latin-1"]),
    "euro": ("Preis: 5 €", ["cp1252"]),
}
_CASES = [(name, encoding) for name, (_, encodings) in _TEXTS.items() for encoding in encodings]
# These are rightly refused: the text is too short to be certain, or the encodings are too similar.
_REFUSED = {
    ("japanese table", "euc_jp"), ("turkish", "cp1254"), ("hebrew", "cp1255"), ("arabic", "iso8859_6"),
    ("hungarian", "cp1250"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "encoding"), _CASES)
def test_a_text_is_read_right_or_refused(name: str, encoding: str, tmp_path: Path) -> None:
    text = _TEXTS[name][0]
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(text.encode(encoding))
    try:
        texts.copy_as_utf8(source, target)
    except ConversionError as error:
        assert "save it as UTF-8" in error.message
        assert (name, encoding) in _REFUSED
    else:
        assert target.read_text("utf-8") == text


def _read(content: bytes, folder: Path) -> str | None:
    """The text that is read from bytes, or None if they are refused."""
    (folder / "source").write_bytes(content)
    try:
        texts.copy_as_utf8(folder / "source", folder / "target")
    except ConversionError as error:
        assert "save it as UTF-8" in error.message
        return None
    return (folder / "target").read_text("utf-8")


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_read_right_in_the_encodings_of_its_country(language: str, tmp_path: Path) -> None:
    sentence, common, seldom = SENTENCES[language]
    table = sentence.replace(" ", ";")
    for encoding in (*common, *seldom):
        for text in (sentence, table):
            content = text.encode(encoding, "ignore")
            expected = content.decode(encoding)
            assert _read(content, tmp_path) in ([expected] if encoding in common else [expected, None])


@pytest.mark.parametrize("language", SENTENCES)
def test_a_few_words_are_read_right_or_refused(language: str, tmp_path: Path) -> None:
    sentence, encodings, _ = SENTENCES[language]
    words = sentence.split()
    for number in range(len(words) - 2):
        text = " ".join(words[number : number + 3])
        for encoding in encodings:
            content = text.encode(encoding, "ignore")
            assert _read(content, tmp_path) in (content.decode(encoding), None)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "Москва, Кремль",
        "名,b\n1,2\n",
        "名称\n上海\n",
        "François",
        "שלום\n",
        "안녕하세요\n",
        "あいう\n",
    ],
)
def test_wide_characters_without_a_mark_are_read(text: str, encoding: str, tmp_path: Path) -> None:
    assert _read(text.encode(encoding), tmp_path) == text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"a\x01\x02b cde", "a\ufffd\ufffdb cde"),
        (b"\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        (b"line\r\n\x1a", "line\n"),
        (b"page\x0cpage", "page\x0cpage"),
    ],
)
def test_control_characters_are_shown_as_such(content: bytes, shown: str, tmp_path: Path) -> None:
    assert _read(content, tmp_path) == shown


@pytest.mark.parametrize("content", [b"\x01\x02\x03\x04abc", b"abc\0def", b"4\x040\x04"])
def test_what_consists_of_control_characters_is_no_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(ConversionError, match="the content is not text: it holds"):
        texts.encoding_of(tmp_path / "source")


@pytest.mark.parametrize("suffix", ["txt", "csv", "xml"])
@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("french name", "latin-1"),
        ("russian words", "cp1251"),
        ("korean word", "euc_kr"),
        ("japanese word", "shift_jis"),
        ("taiwanese name", "big5"),
    ],
)
def test_the_pdf_has_the_right_characters(
    suffix: str, name: str, encoding: str, make: Any, convert: Callable[..., DocumentResult], page_texts: Any
) -> None:
    text = _TEXTS[name][0]
    source = make.file(f"a.{suffix}", text.encode(encoding))
    shown = "".join(page_texts(convert(source).pages[0].path)[0].split())
    assert shown.replace(",", "") == text.replace(" ", "").replace(",", "")


@pytest.mark.parametrize("text", ["Zürich und Köln", "文档转换成图片", "a é", "Grüße 😀"])
def test_utf8_that_is_cut_or_damaged_stays_utf8(text: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    content = text.encode()
    for damaged, shown in [
        (content + "é".encode()[:1], text + "\ufffd"),
        (content + "文".encode()[:2], text + "\ufffd"),
        *([(content * 3 + b"\xff" + content, text * 3 + "\ufffd" + text)] if len(text) > 5 else []),
    ]:
        source.write_bytes(damaged)
        texts.copy_as_utf8(source, target)
        assert target.read_text("utf-8") == shown


@pytest.mark.parametrize("content", [b"\x81\x8d\x8f", bytes(range(128, 256)), b"a\x80b\x81"])
def test_what_is_no_text_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(ConversionError, match="encoding of the text is not certain"):
        texts.encoding_of(tmp_path / "source")


@pytest.mark.parametrize("encoding", ["iso-8859-2", "windows-1251", "Shift_JIS", "EUC-KR"])
def test_the_encoding_that_xml_declares_is_believed(encoding: str, tmp_path: Path) -> None:
    text = {"iso-8859-2": "Erdő", "windows-1251": "щит", "Shift_JIS": "東京", "EUC-KR": "서울"}[encoding]
    source, target = tmp_path / "source", tmp_path / "target"
    content = f"<?xml version='1.0' encoding='{encoding}'?>\n<a>{text}</a>"
    source.write_bytes(content.encode(encoding))
    texts.copy_as_utf8(source, target)
    assert target.read_text("utf-8") == content


def test_a_page_in_utf8_that_declares_something_else_is_utf8(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text('<meta charset="gb2312"><p>Zürich 文档</p>', "utf-8")
    texts.copy_html_as_utf8(source, target)
    assert target.read_text("utf-8") == '<meta charset="utf-8"><p>Zürich 文档</p>'


def test_a_byte_behind_a_long_plain_start_tells_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"plain line\n" * 300_000 + b"Fran\xe7ois\n")
    assert texts.encoding_of(tmp_path / "source") == "cp1252"
