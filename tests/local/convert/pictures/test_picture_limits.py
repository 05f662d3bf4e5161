"""How large pictures may be, and what happens to larger ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError, PictureResult
from airflow_provider_ci.local.convert.pictures.picture import process_picture

Apply = Callable[[str], PictureResult]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A noisy jpg, so that its size depends on its quality."""
    Image.effect_noise((300, 200), 80).convert("RGB").save(tmp_path / "in", "JPEG", quality=90)
    return tmp_path / "in"


@pytest.fixture
def apply(source: Path, tmp_path: Path) -> Apply:
    """Applies a rule to the source and writes the result to ``tmp_path / "out"``."""
    return lambda rule: process_picture(source, rule, tmp_path / "out")


def _refusal(apply: Apply, rule: str, tmp_path: Path) -> ConversionError:
    with pytest.raises(ConversionError) as caught:
        apply(rule)
    assert not (tmp_path / "out").exists()
    return caught.value


@pytest.mark.parametrize("most", [10, 15, 20])
def test_size_limit_lowers_the_quality_as_far_as_needed(most: int, apply: Apply, tmp_path: Path) -> None:
    result = apply(f"imageMogr2/size-limit/{most}k")
    assert 0.85 * most * 1024 < (tmp_path / "out").stat().st_size <= most * 1024
    assert result.output.size == (tmp_path / "out").stat().st_size
    with Image.open(tmp_path / "out") as picture:
        assert (picture.format, picture.size) == ("JPEG", (300, 200))


def test_size_limit_leaves_what_is_small_enough(apply: Apply, tmp_path: Path) -> None:
    apply("imageMogr2/quality/90")
    plain = (tmp_path / "out").read_bytes()
    apply("imageMogr2/size-limit/2m/quality/90")
    assert (tmp_path / "out").read_bytes() == plain


def test_size_limit_is_for_jpg_alone(apply: Apply, tmp_path: Path) -> None:
    error = _refusal(apply, "imageMogr2/format/png/size-limit/15k", tmp_path)
    assert (error.code, error.message) == (
        "InvalidRule",
        "step 1 'imageMogr2/format/png/size-limit/15k': size-limit is for jpg alone, and the result is png",
    )


def test_size_limit_turns_a_png_into_a_small_jpg(source: Path, apply: Apply, tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 80).save(source, "PNG")
    result = apply("imageMogr2/strip/format/jpg/size-limit/15k!")
    assert (result.output.format, result.output.size <= 15 * 1024) == ("jpeg", True)


def test_an_unreachable_size_limit_is_refused(apply: Apply, tmp_path: Path) -> None:
    error = _refusal(apply, "imageMogr2/size-limit/1k", tmp_path)
    assert error.code == "OutputTooLarge"
    assert "size-limit allows 1024 bytes" in error.message


def test_the_exclamation_mark_prefers_a_smaller_source(source: Path, apply: Apply, tmp_path: Path) -> None:
    before = source.read_bytes()
    result = apply("imageMogr2/quality/100!/size-limit/900k!")
    assert (tmp_path / "out").read_bytes() == before
    assert result.output == result.original
    assert result.output.ave.startswith("0x")
    apply("imageMogr2/quality/100!/size-limit/900k")
    assert (tmp_path / "out").stat().st_size > len(before)
    apply("imageMogr2/quality/20/size-limit/900k!")
    assert (tmp_path / "out").stat().st_size < len(before)


def _animation(path: Path, count: int) -> None:
    frames = [Image.new("L", (20, 10), index) for index in range(count)]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=20, loop=0, optimize=False)


def _frames(path: Path) -> list[tuple[int, int]]:
    """The grey value and the duration (in ms) of every frame."""
    with Image.open(path) as picture:
        found: list[tuple[int, int]] = []
        for index in range(getattr(picture, "n_frames", 1)):
            picture.seek(index)
            value = picture.convert("L").getpixel((5, 5))
            assert isinstance(value, int)
            found.append((value, int(picture.info["duration"])))
        return found


def test_cgif_keeps_the_first_thirty_frames(source: Path, apply: Apply, tmp_path: Path) -> None:
    _animation(source, 40)
    apply("imageMogr2/cgif/1")
    assert _frames(tmp_path / "out") == [(value, 20) for value in range(30)]


def test_cgif_thins_evenly_and_keeps_the_time(source: Path, apply: Apply, tmp_path: Path) -> None:
    _animation(source, 40)
    apply("imageMogr2/cgif/10")
    assert _frames(tmp_path / "out") == [(value, 80) for value in range(0, 40, 4)]
    apply("imageMogr2/cgif/100")
    assert len(_frames(tmp_path / "out")) == 40


def test_three_hundred_frames_are_the_limit(source: Path, apply: Apply, tmp_path: Path) -> None:
    frames = [Image.new("L", (20, 10), index % 256) for index in range(301)]
    for count in (300, 301):
        frames[0].save(source, "GIF", save_all=True, append_images=frames[1:count], duration=20)
        with Image.open(source) as picture:
            assert picture.n_frames == count  # type: ignore[attr-defined]  # a GIF has it
        if count == 300:
            assert apply("imageMogr2/thumbnail/5x").output.width == 5
    (tmp_path / "out").unlink()
    error = _refusal(apply, "imageMogr2/thumbnail/5x", tmp_path)
    assert (error.code, error.message) == (
        "ImageTooLarge", "the picture has 301 frames; the limit is 300",
    )  # fmt: skip


def test_all_frames_together_count_against_the_pixels(source: Path, apply: Apply, tmp_path: Path) -> None:
    _animation(source, 10)
    content = bytearray(source.read_bytes())
    content[6:10] = struct.pack("<HH", 5000, 5100)  # the size of the canvas; the frames cover only a corner
    source.write_bytes(content)
    error = _refusal(apply, "imageMogr2/thumbnail/5x", tmp_path)
    assert error.code == "ImageTooLarge"
    assert "5000 x 5100 px in 10 frames" in error.message


def test_all_frames_of_a_result_count_too(source: Path, apply: Apply, tmp_path: Path) -> None:
    _animation(source, 30)
    error = _refusal(apply, "imageMogr2/strip|imageMogr2/thumbnail/9000x", tmp_path)
    assert error.code == "ImageTooLarge"
    assert error.message.startswith(
        "step 2 'imageMogr2/thumbnail/9000x': the result is 9000 x 4500 px in 30 "
    )


@pytest.mark.parametrize(
    ("size", "is_read"), [((30_000, 1), True), ((30_001, 1), False), ((1, 30_001), False)]
)
def test_thirty_thousand_pixels_a_side_are_read(
    size: tuple[int, int], is_read: bool, source: Path, apply: Apply, tmp_path: Path
) -> None:
    Image.new("L", size).save(source, "PNG")
    if is_read:
        assert apply("imageMogr2/crop/100x").output.width == 100
    else:
        assert _refusal(apply, "imageMogr2/thumbnail/5x", tmp_path).code == "ImageTooLarge"


@pytest.mark.parametrize(
    ("size", "rule", "step"),
    [
        ((10_000, 1), "imageMogr2/strip", 1),
        ((10_000, 1), "imageMogr2/rotate/90|imageMogr2/grayscale/1", 2),
        ((9_900, 1_600), "imageMogr2/rotate/10", 1),
        ((9_000, 1), "imageMogr2/thumbnail/!200px", 1),
    ],
)
def test_a_result_over_the_limit_is_refused_with_its_step(
    size: tuple[int, int], rule: str, step: int, source: Path, apply: Apply, tmp_path: Path
) -> None:
    Image.new("L", size).save(source, "PNG")
    error = _refusal(apply, rule, tmp_path)
    assert error.code == "ImageTooLarge"
    assert error.message.startswith(f"step {step} ")
    assert "the limit is 9999 a side" in error.message


def test_a_wide_picture_may_be_turned_before_it_is_cut(source: Path, apply: Apply) -> None:
    Image.new("L", (12_000, 4)).save(source, "PNG")
    assert apply("imageMogr2/rotate/90|imageMogr2/crop/x100").output.height == 100


@pytest.mark.parametrize(
    "rule",
    [
        "imageMogr2/thumbnail/20000x",
        "imageMogr2/crop/500x",
        "imageMogr2/size-limit/1k",
        "imageMogr2/rotate/361",
    ],
)
def test_ignore_error_gives_the_source_for_what_is_out_of_range(
    rule: str, source: Path, apply: Apply, tmp_path: Path
) -> None:
    result = apply(f"{rule}/ignore-error/1")
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    assert result.output == result.original
    assert (result.output.width, result.output.quality, result.output.ave[:2]) == (300, 90, "0x")


def test_ignore_error_gives_a_source_that_is_too_large(source: Path, apply: Apply, tmp_path: Path) -> None:
    Image.new("1", (30_001, 1)).save(source, "PNG")
    result = apply("imageMogr2/thumbnail/20x/ignore-error/1")
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    assert (result.output.width, result.output.ave) == (30_001, "")
    with source.open("ab") as stream:
        stream.truncate(32 * 1024**2 + 1)
    assert apply("imageMogr2/thumbnail/20x/ignore-error/1").output.size == 32 * 1024**2 + 1


def test_ignore_error_does_not_hide_nonsense(source: Path, apply: Apply, tmp_path: Path) -> None:
    assert _refusal(apply, "imageMogr2/shrink/1/ignore-error/1", tmp_path).code == "InvalidRule"
    assert _refusal(apply, "imageMogr2/scrop/5x5/ignore-error/1", tmp_path).code == "UnsupportedRule"
    source.write_bytes(b"no picture")
    assert _refusal(apply, "imageMogr2/strip/ignore-error/1", tmp_path).code == "DamagedFile"
