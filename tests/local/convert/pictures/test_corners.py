"""Rules that cut a picture: round corners, a circle out of the middle, a block by its index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_ci.local.convert import ConversionError
from airflow_provider_ci.local.convert.pictures.picture import process_picture

BLUE, WHITE = (0, 0, 255), (255, 255, 255)
Apply = Callable[..., Any]


@pytest.fixture
def apply(tmp_path: Path) -> Apply:
    """Applies a rule to a picture and opens the result; the default picture is blue, 400 x 200."""

    def call(rule: str, picture: Image.Image | None = None, form: str = "PNG") -> Image.Image:
        (picture or Image.new("RGB", (400, 200), BLUE)).save(tmp_path / "in", form)
        process_picture(tmp_path / "in", rule, tmp_path / "out")
        with Image.open(tmp_path / "out") as result:
            result.load()
            return result

    return call


def _alphas(picture: Image.Image, *points: tuple[int, int]) -> list[int]:
    alpha = picture.convert("RGBA").getchannel("A")
    return [int(alpha.getpixel(point)) for point in points]  # type: ignore[arg-type]  # one channel


@pytest.mark.parametrize("form", ["png", "webp"])
def test_round_corners_are_transparent(form: str, apply: Apply) -> None:
    picture = apply(f"imageMogr2/rradius/50/format/{form}")
    assert picture.size == (400, 200)
    assert _alphas(picture, (0, 0), (399, 0), (399, 199), (0, 199), (10, 10), (390, 190)) == [0] * 6
    assert _alphas(picture, (50, 0), (0, 50), (16, 16), (383, 183), (200, 100), (349, 199)) == [255] * 6


@pytest.mark.parametrize("form", ["jpg", "bmp"])
def test_round_corners_are_white_where_there_is_no_transparency(form: str, apply: Apply) -> None:
    picture = apply(f"imageMogr2/rradius/50/format/{form}").convert("RGB")
    corners = [picture.getpixel(point) for point in ((1, 1), (398, 1), (398, 198), (1, 198))]
    assert min(value for corner in corners for value in corner) > 240
    assert max(picture.getpixel((200, 100))[:2]) < 5


def test_a_circle_is_cut_out_of_the_middle(apply: Apply) -> None:
    middle = Image.new("RGB", (400, 200), WHITE)
    middle.paste(BLUE, (150, 50, 250, 150))
    picture = apply("imageMogr2/iradius/50", middle)
    assert picture.size == (100, 100)
    assert _alphas(picture, (0, 0), (99, 0), (99, 99), (0, 99), (14, 13)) == [0] * 5
    assert _alphas(picture, (50, 1), (1, 50), (98, 50), (50, 98), (17, 17)) == [255] * 5
    assert picture.convert("RGB").getpixel((50, 1)) == BLUE
    assert sum(picture.getchannel("A").tobytes()) / 255 == pytest.approx(3.14159 * 50 * 50, rel=0.01)


def test_what_was_transparent_stays_so(apply: Apply) -> None:
    half = Image.new("RGBA", (200, 200), (0, 0, 255, 100))
    picture = apply("imageMogr2/rradius/20", half)
    assert _alphas(picture, (0, 0), (100, 100)) == [0, 100]


def test_a_huge_circle_has_its_corners_cut_too(apply: Apply) -> None:
    picture = apply("imageMogr2/iradius/1100", Image.new("L", (2300, 2300)))
    assert picture.size == (2200, 2200)
    assert _alphas(picture, (0, 0), (2199, 2199), (1100, 0), (1100, 1100)) == [0, 0, 255, 255]


@pytest.mark.parametrize("name", ["iradius", "rradius"])
def test_a_radius_stays_under_half_the_shorter_side(name: str, apply: Apply, tmp_path: Path) -> None:
    apply(f"imageMogr2/{name}/99")
    (tmp_path / "out").unlink()
    with pytest.raises(ConversionError) as caught:
        apply(f"imageMogr2/strip|imageMogr2/{name}/100")
    assert caught.value.code == "InvalidRule"
    assert caught.value.message.startswith(
        f"step 2 'imageMogr2/{name}/100': the radius 100 is not under half"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["iradius", "rradius"])
def test_a_gif_keeps_its_corners(name: str, apply: Apply) -> None:
    for rule, form in (
        (f"imageMogr2/{name}/20/format/gif", "PNG"),
        (f"imageMogr2/{name}/20/format/png", "GIF"),
    ):
        with pytest.raises(ConversionError, match="corners cannot be cut off a gif"):
            apply(rule, form=form)


def _grid() -> Image.Image:
    """A picture of 250 x 120; its blocks of 100 x 50 have the grey values 10, 20, ... row by row."""
    picture = Image.new("L", (250, 120))
    for index in range(9):
        left, top = index % 3 * 100, index // 3 * 50
        picture.paste((index + 1) * 10, (left, top, left + 100, top + 50))
    return picture


@pytest.mark.parametrize(
    ("words", "size", "value"),
    [
        ("width/100/height/50", (100, 50), 10),
        ("width/100/height/50/index/1", (100, 50), 20),
        ("width/100/height/50/index/2", (50, 50), 30),
        ("width/100/height/50/index/4", (100, 50), 50),
        ("width/100/height/50/index/8", (50, 20), 90),
        ("width/100/index/2", (50, 120), 30),
        ("height/50/index/1", (250, 50), 40),
        ("index/1/height/50/width/500", (250, 50), 40),
    ],
)
def test_a_block_is_cut_out_by_its_index(words: str, size: tuple[int, int], value: int, apply: Apply) -> None:
    picture = apply(f"imageMogr2/indexcrop/{words}", _grid())
    assert picture.size == size
    assert picture.getpixel((5, 5)) == value


def test_a_block_that_is_not_there_is_refused(apply: Apply) -> None:
    with pytest.raises(ConversionError, match=r"step 1 .*there is no block 9: they are numbered 0 to 8"):
        apply("imageMogr2/indexcrop/width/100/height/50/index/9", _grid())
