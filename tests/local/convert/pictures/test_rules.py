"""A picture rule that makes no sense is refused, and the message says where the mistake is."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ci.local.convert import ConversionError
from airflow_provider_ci.local.convert.pictures.geometry import Bounds
from airflow_provider_ci.local.convert.pictures.rules import operations as op
from airflow_provider_ci.local.convert.pictures.rules.parsing import (
    output_format,
    parse_rule,
    tolerates_errors,
)


def test_a_rule_becomes_its_steps_in_order() -> None:
    steps = parse_rule("imageMogr2/auto-orient/thumbnail/300x200>/strip|imageView2/1/w/80/format/png")
    assert [step.operations for step in steps] == [
        (op.AutoOrient(), op.Thumbnail("only_shrink", Bounds(300, 200)), op.Strip()),
        (op.View(1, Bounds(80, 0)), op.Format("PNG")),
    ]
    assert output_format(steps) == "PNG"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("", "'' is no picture operation"),
        ("thumbnail/200x", "'thumbnail' is no picture operation"),
        ("imageMogr2", "no operation is given"),
        ("imageMogr2/shrink/1", "'shrink' is no operation of imageMogr2"),
        ("imageMogr2/thumbnail", "thumbnail needs a value"),
        ("imageMogr2/thumbnail/abc", "thumbnail 'abc' has none of its forms"),
        ("imageMogr2/thumbnail/0x10", "thumbnail is '0'; allowed: 1 to 9999"),
        ("imageMogr2/thumbnail/10000x", "allowed: 1 to 9999"),
        ("imageMogr2/thumbnail/!2000p", "allowed: 1 to 1000"),
        ("imageMogr2/thumbnail/300x/pad/1", "pad needs a thumbnail of width and height"),
        ("imageMogr2/pad/1", "pad has nothing before it"),
        ("imageMogr2/thumbnail/30x30/pad/1/color/!!", "is not URL-safe Base64"),
        ("imageMogr2/thumbnail/30x30/pad/1/color/cmVk", "color 'red' is not of the form #RRGGBB"),
        ("imageMogr2/crop/x", "crop 'x' is not of the form"),
        ("imageMogr2/crop/10x10/gravity/up", "gravity 'up' is none of northwest"),
        ("imageMogr2/cut/10x10", "cut '10x10' is not of the form"),
        ("imageMogr2/rotate/361", "rotate is '361'; allowed: 0 to 360"),
        ("imageMogr2/flip/both", "allowed: vertical, horizontal"),
        ("imageMogr2/format/tiff", "format is 'tiff'; allowed: jpg"),
        ("imageMogr2/quality/101", "quality is '101'; allowed: 0 to 100"),
        ("imageMogr2/quality/a!", "quality is 'a'"),
        ("imageMogr2/blur/5", "blur '5' is not of the form RADIUSxSIGMA"),
        ("imageMogr2/blur/51x1", "blur radius is '51'"),
        ("imageMogr2/blur/5x0", "sigma over 0"),
        ("imageMogr2/sharpen/5", "sharpen is '5'; allowed: 10 to 300"),
        ("imageMogr2/bright/101", "bright is '101'; allowed: -100 to 100"),
        ("imageMogr2/interlace/2", "interlace is '2'; allowed: 0 to 1"),
        ("imageMogr2/iradius/0", "iradius is '0'"),
        ("imageMogr2/rradius/2.5", "rradius is '2.5'"),
        ("imageMogr2/cgif/101", "cgif is '101'; allowed: 1 to 100"),
        ("imageMogr2/size-limit/15", "size-limit '15' is not of the form 15k, 15k! or 2m"),
        ("imageMogr2/size-limit/0k", "size-limit '0k' is not of the form"),
        ("imageMogr2/indexcrop/index/1", "indexcrop needs width or height"),
        ("imageMogr2/width/10", "width has nothing before it"),
        ("imageMogr2/rotate/٣", "rotate is '٣'; allowed: 0 to 360"),
        ("watermark", "the type of a watermark is ''; allowed: 1 (image), 2 (text)"),
        ("watermark/4/text/eA", "the type of a watermark is '4'"),
        ("watermark/1", "image is missing"),
        ("watermark/2/gravity/north", "text is missing"),
        ("watermark/2/text", "text needs a value"),
        ("watermark/2/text/eA/size/5", "'size' is no parameter of this watermark"),
        ("watermark/2/text/IA", "text ' ' has nothing to be seen"),
        ("watermark/2/text/gA", "text 'gA' is not URL-safe Base64 of a text"),
        ("watermark/2/text/eA/fill/cmVk", "fill 'red' is not of the form #RRGGBB"),
        ("watermark/2/text/eA/dissolve/0", "dissolve is '0'; allowed: 1 to 100"),
        ("watermark/2/text/eA/degree/361", "degree is '361'; allowed: 0 to 360"),
        ("watermark/2/text/eA/shadow/101", "shadow is '101'; allowed: 0 to 100"),
        ("watermark/2/text/eA/gravity/up", "gravity 'up' is none of northwest"),
        ("watermark/1/image/aHR0cDovL2IvYQ/blogo/3", "blogo is '3'; allowed: 1 to 2"),
        ("watermark/1/image/aHR0cDovL2IvYQ/spcent/10", "scatype and spcent need each other"),
        ("watermark/1/image/aHR0cDovL2IvYQ/scatype/3/spcent/251", "spcent of an area is '251'"),
        ("imageView2/6/w/10", "the mode of imageView2 is '6'; allowed: 1 to 5"),
        ("imageView2/1", "imageView2 needs w or h"),
        ("imageView2/1/w", "w needs a value"),
        ("imageView2/1/x/10", "'x' is no parameter of imageView2"),
    ],
)
def test_nonsense_is_refused_with_its_place(rule: str, reason: str) -> None:
    with pytest.raises(ConversionError) as caught:
        parse_rule(f"imageMogr2/strip|{rule}")
    assert caught.value.code == "InvalidRule"
    assert caught.value.message.startswith(f"step 2 {rule!r}: ")
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("rule", "name", "reason"),
    [
        ("imageMogr2/scrop/10x10", "scrop", "it finds no faces"),
        ("imageMogr2/format/avif", "format avif", "it has no encoder for it"),
        ("watermark/3/type/1/image/aHR0cDovL2Ev", "watermark/3 (blind)", "how the service hides a watermark"),
        ("style/mine", "style", "it keeps no styles"),
        ("imageInfo", "imageInfo", "it answers a GET"),
        ("exif", "exif", "it answers a GET"),
        ("imageAve", "imageAve", "it answers a GET"),
    ],
)
def test_what_only_the_service_does_is_refused_by_name_and_reason(rule: str, name: str, reason: str) -> None:
    with pytest.raises(ConversionError) as caught:
        parse_rule(rule)
    assert caught.value.code == "UnsupportedRule"
    assert caught.value.message.startswith(f"step 1 {rule!r}: {name} is not done by the local CI: {reason}")


def test_a_text_watermark_becomes_its_values_and_defaults() -> None:
    [step] = parse_rule("watermark/2/text/5rC05Y2w/fill/I0ZGMDAwMA==/gravity/NorthWest/dx/5/batch/1")
    placement = op.Placement(gravity="northwest", dx=5, batch=True)
    assert step.operations == (op.TextWatermark(text="水印", fill="#FF0000", placement=placement),)
    assert (placement.dissolve, placement.degree, placement.dy) == (90, 0, 0)
    [plain] = parse_rule("watermark/2/text/eA")
    assert plain.operations == (op.TextWatermark(text="x", placement=op.Placement()),)
    assert (plain.operations[0].font, plain.operations[0].fontsize) == ("tahoma.ttf", 13)


def test_an_image_watermark_becomes_its_values() -> None:
    [step] = parse_rule("watermark/1/image/aHR0cDovL2IvYS5wbmc=/scatype/3/spcent/250/blogo/2/dissolve/100")
    image = op.ImageWatermark(
        url="http://b/a.png", placement=op.Placement(dissolve=100), scatype=3, spcent=250, blogo=2
    )
    assert step.operations == (image,)


def test_a_block_of_an_index_crop_is_amended_by_its_words() -> None:
    [step] = parse_rule("imageMogr2/indexcrop/width/100/height/50/index/3/strip")
    assert step.operations == (op.IndexCrop(Bounds(100, 50), 3), op.Strip())


@pytest.mark.parametrize(
    ("rule", "is_tolerated"),
    [
        ("imageMogr2/rotate/361/ignore-error/1", True),
        ("imageMogr2/ignore-error/1/rotate/361|imageMogr2/strip", True),
        ("imageMogr2/rotate/361/ignore-error/0", False),
        ("imageMogr2/rotate/361", False),
        ("watermark/2/text/ignore-error/10", False),
    ],
)
def test_a_rule_that_cannot_be_read_still_says_whether_it_tolerates_errors(
    rule: str, is_tolerated: bool
) -> None:
    assert tolerates_errors(rule) is is_tolerated


def test_ten_steps_are_the_limit() -> None:
    assert len(parse_rule("|".join(["imageMogr2/strip"] * 10))) == 10
    with pytest.raises(ConversionError, match="11 steps; the limit is 10"):
        parse_rule("|".join(["imageMogr2/strip"] * 11))


_VOCABULARY = (
    "imageMogr2 imageView2 watermark style thumbnail crop cut rotate format size-limit cgif iradius rradius "
    "indexcrop width height index pad color gravity image text font fontsize fill dissolve dx dy batch "
    "degree shadow blogo scatype spcent ignore-error 1 2 3 0 -1 300x200 !50p x100> 15k! 2m jpg center "
    "aHR0cDovL2IvYQ eA I0ZGMDAwMA== 99999999999999999999 | // % \u0664 ² !"
)
_WORDS = st.sampled_from(_VOCABULARY.split())
_ENCODED = st.binary(max_size=12).map(lambda content: base64.urlsafe_b64encode(content).decode())
_RULES = st.text(max_size=60) | st.lists(_WORDS | _ENCODED | st.text(max_size=6), max_size=14).map("/".join)


@settings(max_examples=600, deadline=None, database=None)
@given(st.sampled_from(["", "imageMogr2/", "imageView2/1/", "watermark/1/", "watermark/2/"]), _RULES)
def test_any_text_is_read_or_refused_with_a_conversion_error(start: str, rest: str) -> None:
    rule = start + rest
    try:
        steps = parse_rule(rule)
    except ConversionError as error:
        assert error.code in ("InvalidRule", "UnsupportedRule")
        assert error.message.startswith(("step ", "the rule has "))
    else:
        assert [step.text for step in steps] == [text.strip() for text in rule.split("|")]
        assert all(step.operations for step in steps)


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(min_size=1, max_size=40).filter(str.strip))
def test_any_text_survives_its_base64_with_and_without_padding(text: str) -> None:
    encoded = base64.urlsafe_b64encode(text.encode()).decode()
    for argument in (encoded, encoded.rstrip("=")):
        [step] = parse_rule(f"watermark/2/text/{argument}")
        assert step.operations == (op.TextWatermark(text=text, placement=op.Placement()),)
