"""Pictures of every mode and format in every target format keep dark, light and transparent parts."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from airflow_provider_ci.local.convert import ConversionError
from airflow_provider_ci.local.convert.pictures.picture import process_picture
from tests.local.convert import picture_sources as sources
from tests.local.convert.picture_sources import DARK, LIGHT, SIDE, SOURCES

TARGETS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP"}
Apply = Callable[[bytes, str], Image.Image]


@pytest.fixture
def apply(tmp_path: Path) -> Apply:
    """Applies a rule to the bytes of a picture and opens the result."""

    def call(content: bytes, rule: str) -> Image.Image:
        (tmp_path / "source").write_bytes(content)
        process_picture(tmp_path / "source", rule, tmp_path / "target")
        made = Image.open(io.BytesIO((tmp_path / "target").read_bytes()))
        made.load()
        return made

    return call


def _pixels(made: Image.Image) -> list[tuple[int, ...]]:
    shown = made.convert("RGBA")
    return [shown.getpixel((part * SIDE + SIDE // 2, SIDE // 2)) for part in range(3)]  # type: ignore[misc]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_picture_keeps_its_look(source: str, target: str, apply: Apply) -> None:
    make, is_transparent = SOURCES[source]
    made = apply(make(), f"imageMogr2/format/{target}")
    assert made.format == TARGETS[target]
    assert made.size == (3 * SIDE, SIDE)
    assert not getattr(made, "is_animated", False)
    dark, light, third = _pixels(made)
    assert (dark[3], light[3]) == (255, 255)
    assert max(dark[:3]) <= DARK + 12
    assert min(light[:3]) >= LIGHT - 12
    if is_transparent:
        assert third[3] == 0 if target in ("png", "gif", "webp") else min(third[:3]) >= 250
    elif not source.endswith(" 1"):
        assert third[3] == 255
        assert 90 <= min(third[:3]) <= max(third[:3]) <= 190


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_inks_are_converted_by_their_profile(form: str, target: str, apply: Apply) -> None:
    made = apply(
        sources.saved("CMYK", form, icc_profile=sources.cmyk_profile()),
        f"imageMogr2/format/{target}",
    )
    assert "icc_profile" not in made.info
    red, green, blue, _ = _pixels(made)[0]
    assert green > max(red, blue) + 30


def _red() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3 * SIDE, SIDE), (220, 30, 30)).save(file, "PNG", icc_profile=sources.swapped_profile())
    return file.getvalue()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rule", ["", "/strip"])
def test_colours_keep_their_profile_or_are_converted_by_it(rule: str, target: str, apply: Apply) -> None:
    """The profile says that red is blue, so a viewer sees blue."""
    made = apply(_red(), f"imageMogr2{rule}/format/{target}")
    profile = made.info.get("icc_profile")
    if not rule and target in ("jpg", "png", "webp"):
        assert profile == sources.swapped_profile()
        made = ImageCms.profileToProfile(made, io.BytesIO(profile), ImageCms.createProfile("sRGB"))  # type: ignore[assignment]
    else:
        assert profile is None
    red, _, blue, _ = _pixels(made)[0]
    assert blue > 180 > 80 > red


@pytest.mark.parametrize("operation", ["watermark/2/text/QQ", "imageMogr2/thumbnail/90x90/pad/1"])
def test_what_is_laid_over_has_its_own_colours(operation: str, apply: Apply) -> None:
    made = apply(_red(), operation)
    assert "icc_profile" not in made.info


def test_greys_keep_their_profile_or_are_converted_by_it(apply: Apply) -> None:
    profile = sources.grey_profile()
    content = sources.png(8, 0, (DARK, LIGHT, 128), profile=profile)
    assert apply(content, "imageMogr2/format/png").info["icc_profile"] == profile
    made = apply(content, "imageMogr2/format/bmp")
    assert _pixels(made)[2][0] < 80


_GREYS: dict[str, Callable[[bytes], bytes]] = {
    "8": lambda profile: sources.png(8, 0, (DARK, LIGHT, 128), profile=profile),
    "16": lambda profile: sources.png(16, 0, (DARK * 257, LIGHT * 257, 128 * 257), profile=profile),
    "8 trns": lambda profile: sources.png(8, 0, (DARK, LIGHT, 128), profile=profile, transparent=b"\0\1"),
    "LA": lambda profile: sources.saved("LA", "PNG", icc_profile=profile),
    "tiff": lambda profile: sources.saved("L", "TIFF", icc_profile=profile),
    "jpg": lambda profile: sources.saved("L", "JPEG", icc_profile=profile),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", _GREYS)
def test_greys_of_every_kind_are_shown_by_their_profile(source: str, target: str, apply: Apply) -> None:
    made = apply(_GREYS[source](sources.grey_profile()), f"imageMogr2/format/{target}")
    light = _pixels(made)[1][0]
    if "icc_profile" in made.info:
        assert made.mode == "L"
        assert (made.format, light) in (("PNG", LIGHT), ("JPEG", LIGHT))
    else:
        assert light < LIGHT - 15


def test_grey_is_made_of_the_colours_that_a_viewer_sees(apply: Apply) -> None:
    """The profile says that red is blue, so a viewer sees blue, which gives a darker grey."""
    made = apply(_red(), "imageMogr2/grayscale/1")
    assert "icc_profile" not in made.info
    assert _pixels(made)[0][0] < 60


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_floats_that_are_no_numbers_are_refused(value: float, apply: Apply) -> None:
    file, picture = io.BytesIO(), Image.new("F", (48, 16), 0.5)
    picture.putpixel((3, 3), value)
    picture.save(file, "TIFF")
    with pytest.raises(ConversionError, match="not finite"):
        apply(file.getvalue(), "imageMogr2/format/png")


@pytest.mark.parametrize("target", ["gif", "webp"])
def test_the_picture_before_an_animation_is_not_of_it(target: str, apply: Apply) -> None:
    file, frames = io.BytesIO(), [Image.new("RGB", (48, 16), colour) for colour in ("red", "green", "blue")]
    frames[0].save(
        file, "PNG", save_all=True, append_images=frames[1:], default_image=True, duration=[70, 90]
    )
    made = apply(file.getvalue(), f"imageMogr2/format/{target}")
    assert made.n_frames == 2  # type: ignore[attr-defined]  # of an animation
    assert _pixels(made)[0][1] > 100


@pytest.mark.parametrize("target", ["gif", "bmp"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("rule", ["", "/auto-orient"])
def test_a_target_without_exif_is_turned(rule: str, form: str, target: str, apply: Apply) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    made = apply(sources.saved("RGB", form, exif=tags), f"imageMogr2{rule}/thumbnail/8x/format/{target}")
    assert made.size == (8, 24)
    top, bottom = (made.convert("L").getpixel((4, y)) for y in (4, 12))
    assert top < 70 < 180 < bottom  # type: ignore[operator]  # of one band


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "a heic that"),
        (b"8BPS" + bytes(40), "a psd that"),
        (b"<svg/>", "a svg that"),
        (sources.grey_tiff(depth=16).replace(b"\3\1\3\0\1\0\0\0\1", b"\3\1\3\0\1\0\0\0\x63"), "a tiff that"),
        (b"text", "none that can be read (jpg"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(content: bytes, words: str, apply: Apply) -> None:
    with pytest.raises(ConversionError) as caught:
        apply(content, "imageMogr2/format/png")
    assert words in caught.value.message


def test_a_damaged_profile_is_left_out(apply: Apply) -> None:
    content = sources.saved("CMYK", "JPEG", icc_profile=sources.cmyk_profile()[:140])
    assert "icc_profile" not in apply(content, "imageMogr2/format/png").info


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_strip_leaves_nothing(form: str, target: str, apply: Apply) -> None:
    tags = Image.Exif()
    tags[0x010E] = "a description"
    options: dict[str, Any] = {"exif": tags, "icc_profile": sources.swapped_profile()}
    content = sources.saved("RGB", form, **options, **({"comment": b"a comment"} if form == "JPEG" else {}))
    made = apply(content, f"imageMogr2/strip/format/{target}")
    assert {"exif", "icc_profile", "comment", "xmp"}.isdisjoint(made.info)


def test_a_comment_stays_without_strip(apply: Apply) -> None:
    content = sources.saved("RGB", "JPEG", comment=b"a comment")
    assert apply(content, "imageMogr2/rotate/90").info["comment"] == b"a comment"


@pytest.mark.parametrize("target", ["jpg", "png", "webp"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_is_kept(form: str, target: str, apply: Apply) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    made = apply(sources.saved("RGB", form, exif=tags), f"imageMogr2/format/{target}")
    assert made.size == (3 * SIDE, SIDE)
    assert made.getexif()[0x0112] == 6
    turned = apply(sources.saved("RGB", form, exif=tags), f"imageMogr2/auto-orient/format/{target}")
    assert turned.size == (SIDE, 3 * SIDE)
    assert turned.getexif().get(0x0112, 1) == 1


def test_exif_that_a_jpg_cannot_hold_leaves_the_orientation(apply: Apply) -> None:
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = 6, "x" * 70_000
    made = apply(sources.saved("RGB", "PNG", exif=tags), "imageMogr2/format/jpg")
    assert dict(made.getexif()) == {0x0112: 6}


@pytest.mark.parametrize("target", TARGETS)
def test_of_a_tiff_the_first_page_is_taken(target: str, apply: Apply) -> None:
    file, pages = io.BytesIO(), [Image.new("RGB", (48, 16), colour) for colour in ("red", "blue")]
    pages[0].save(file, "TIFF", save_all=True, append_images=[pages[1].resize((20, 20))])
    made = apply(file.getvalue(), f"imageMogr2/format/{target}")
    assert (made.size, getattr(made, "n_frames", 1)) == ((48, 16), 1)
    red, _, blue, _ = _pixels(made)[0]
    assert red > 200 > 60 > blue


def test_a_later_page_that_is_damaged_does_no_harm(apply: Apply) -> None:
    file, page = io.BytesIO(), Image.new("L", (48, 16), 200)
    page.save(file, "TIFF", save_all=True, append_images=[page])
    assert apply(file.getvalue()[:-150], "imageMogr2/format/webp").size == (48, 16)


def _floats(low: float, high: float) -> bytes:
    file = io.BytesIO()
    made = Image.new("F", (3 * SIDE, SIDE), low)
    made.paste(high, (SIDE, 0, 2 * SIDE, SIDE))
    made.paste((low + high) / 2, (2 * SIDE, 0, 3 * SIDE, SIDE))
    made.save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize(("low", "high"), [(-3.5, 12.0), (1e-9, 1e9), (1000.0, 1001.0)])
def test_numbers_of_any_range_are_spread_over_the_greys(low: float, high: float, apply: Apply) -> None:
    dark, light, third = (pixel[0] for pixel in _pixels(apply(_floats(low, high), "imageMogr2/format/png")))
    assert (dark, light) == (0, 255)
    assert third == pytest.approx(128, abs=2)


def test_values_that_are_no_numbers_are_refused(apply: Apply) -> None:
    with pytest.raises(ConversionError, match="not finite numbers"):
        apply(_floats(float("nan"), 1.0), "imageMogr2/format/png")


def test_integers_of_32_bits_are_spread_over_the_greys(apply: Apply) -> None:
    file = io.BytesIO()
    made = Image.frombytes("I", (3, 1), struct.pack("<3i", -2_000_000_000, 2_000_000_000, 0))
    made.resize((3 * SIDE, SIDE), Image.Resampling.NEAREST).save(file, "TIFF")
    assert [pixel[0] for pixel in _pixels(apply(file.getvalue(), "imageMogr2/format/png"))] == [0, 255, 128]
