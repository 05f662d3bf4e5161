"""A picture rule that makes no sense is refused, and the message says where."""

from __future__ import annotations

import pytest

from airflow_provider_ci.local.convert import ConversionError
from airflow_provider_ci.local.convert import operations as op
from airflow_provider_ci.local.convert.geometry import Bounds
from airflow_provider_ci.local.convert.rules import output_format, parse_rule


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
    ("rule", "name"),
    [
        ("imageMogr2/iradius/5", "iradius"),
        ("imageMogr2/rradius/5", "rradius"),
        ("imageMogr2/scrop/10x10", "scrop"),
        ("imageMogr2/cgif/3", "cgif"),
        ("imageMogr2/size-limit/10k", "size-limit"),
        ("imageMogr2/format/avif", "format avif"),
        ("watermark/2/text/eA", "watermark"),
        ("style/mine", "style"),
    ],
)
def test_what_only_the_service_does_is_refused_by_name(rule: str, name: str) -> None:
    with pytest.raises(ConversionError, match=f"{name} is not done by the local CI") as caught:
        parse_rule(rule)
    assert caught.value.code == "UnsupportedRule"


def test_ten_steps_are_the_limit() -> None:
    assert len(parse_rule("|".join(["imageMogr2/strip"] * 10))) == 10
    with pytest.raises(ConversionError, match="11 steps; the limit is 10"):
        parse_rule("|".join(["imageMogr2/strip"] * 11))
