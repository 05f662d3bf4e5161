"""Watermarks have the place, colour and strength that their rule says, and change nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from airflow_provider_ci.local.convert import ConversionError, RealConverters
from airflow_provider_ci.local.convert.pictures.picture import fetch_watermarks, process_picture

GROUND, RED, GREEN = (200, 200, 200), (255, 0, 0), (0, 128, 0)
SIZE = (400, 300)
ADDRESS = "http://examplebucket-1250000000.cos.ap-guangzhou.myqcloud.com/"
Box = tuple[int, int, int, int]


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _text_rule(text: str = "Mark", /, **parameters: object) -> str:
    return f"watermark/2/text/{_base64(text)}" + "".join(f"/{name}/{v}" for name, v in parameters.items())


def _image_rule(key: str = "stamp.png", /, **parameters: object) -> str:
    address = _base64(ADDRESS + key)
    return f"watermark/1/image/{address}" + "".join(f"/{name}/{v}" for name, v in parameters.items())


class Studio:
    """Applies rules to a grey picture and finds the changes; its folder also has the watermark images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        self.save("source.png", Image.new("RGB", SIZE, GROUND))

    def save(self, name: str, picture: Image.Image) -> None:
        picture.save(self.folder / name)

    def save_animation(self, name: str, *frames: Image.Image) -> None:
        frames[0].save(self.folder / name, save_all=True, append_images=frames[1:], duration=100)

    def fetch(self, url: str) -> Path:
        if not url.startswith(ADDRESS):
            raise ConversionError("InvalidRule", f"{url!r} is not in this bucket")
        self.fetched.append(url)
        return self.folder / url.removeprefix(ADDRESS)

    def __call__(self, rule: str, source: str = "source.png") -> Image.Image:
        process_picture(self.folder / source, rule, self.folder / "out", fetch=self.fetch)
        with Image.open(self.folder / "out") as picture:
            picture.load()
            return picture

    def changed(self, rule: str) -> Box:
        """The smallest box that holds all changed pixels."""
        box = ImageChops.difference(self(rule).convert("RGB"), Image.new("RGB", SIZE, GROUND)).getbbox()
        assert box, f"{rule} changed nothing"
        return box

    def refusal(self, rule: str) -> ConversionError:
        with pytest.raises(ConversionError) as caught:
            self(rule)
        assert not (self.folder / "out").exists()
        return caught.value


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    studio = Studio(tmp_path)
    stamp = Image.new("RGB", (40, 20), RED)
    stamp.paste(GREEN, (20, 0, 40, 20))
    studio.save("stamp.png", stamp)
    studio.save("wall.png", Image.new("RGB", (800, 300), RED))
    return studio


def _rgb(picture: Image.Image, point: tuple[int, int]) -> tuple[int, ...]:
    pixel = picture.convert("RGB").getpixel(point)
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def _near(colour: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(one - other) <= 3 for one, other in zip(colour, wanted, strict=True))


# gravity -> upper left corner of a 40 x 20 stamp on a 400 x 300 picture with dx 30 and dy 50
PLACES = {
    "northwest": (30, 50),
    "north": (180, 50),
    "northeast": (330, 50),
    "west": (30, 140),
    "center": (180, 140),
    "east": (330, 140),
    "southwest": (30, 230),
    "south": (180, 230),
    "southeast": (330, 230),
}


@pytest.mark.parametrize("gravity", PLACES)
def test_an_image_lies_at_its_gravity_and_margins(gravity: str, studio: Studio) -> None:
    left, top = PLACES[gravity]
    assert studio.changed(_image_rule(gravity=gravity, dx=30, dy=50)) == (left, top, left + 40, top + 20)


@pytest.mark.parametrize("gravity", PLACES)
def test_a_text_lies_at_its_gravity_and_margins(gravity: str, studio: Studio) -> None:
    box = studio.changed(_text_rule(gravity=gravity, dx=30, dy=50, fontsize=30))
    width, height = box[2] - box[0], box[3] - box[1]
    wanted = {
        "west": 30, "east": 400 - 30 - width, "": (400 - width) // 2,
        "north": 50, "south": 300 - 50 - height, "middle": (300 - height) // 2,
    }  # fmt: skip
    side = next((side for side in ("west", "east") if gravity.endswith(side)), "")
    edge = next((edge for edge in ("north", "south") if gravity.startswith(edge)), "middle")
    assert abs(box[0] - wanted[side]) <= 1
    assert abs(box[1] - wanted[edge]) <= 1


def test_watermarks_lie_at_the_lower_right_by_default(studio: Studio) -> None:
    assert studio.changed(_image_rule()) == (360, 280, 400, 300)
    assert studio.changed(_text_rule())[2:] == SIZE


def test_the_font_size_is_the_height_of_a_line(studio: Studio) -> None:
    def height(**parameters: object) -> int:
        _, top, _, bottom = studio.changed(_text_rule("Hg", **parameters))
        return bottom - top

    # From the top of an H to the bottom of a g: 0.85 to 1 times the font size, depending on the font.
    assert 10 <= height() <= 14
    assert 80 <= height(fontsize=100) <= 105
    assert height(fontsize=100) == pytest.approx(2 * height(fontsize=50), abs=3)


@pytest.mark.parametrize("font", ["tahoma.ttf", "simhei黑体.ttf", "Liberation Serif", "no such font at all"])
def test_chinese_is_drawn_with_any_font_name(font: str, studio: Studio) -> None:
    def shape(text: str) -> bytes:
        return studio(_text_rule(text, fontsize=40, font=_base64(font))).tobytes()

    left, top, right, bottom = studio.changed(_text_rule("水印", fontsize=40, font=_base64(font)))
    assert 70 <= right - left <= 80
    assert 32 <= bottom - top <= 42
    assert len({shape("水印"), shape("文字"), shape("\U00100001\U00100001")}) == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_a_text_of_two_lines_is_twice_as_high(end: str, studio: Studio) -> None:
    def height(text: str) -> int:
        _, top, _, bottom = studio.changed(_text_rule(text, fontsize=40))
        return bottom - top

    assert height(f"HH{end}HH") > 2 * height("HH")


def test_any_text_and_font_name_is_drawn(studio: Studio) -> None:
    texts = ["a\0b", "\u202e-\u05d0", "e\u0301\u200d", "\U0001f600\u0e33", "\x1ba\t"]
    for text, font in zip(texts, ["a:b=c,d", "-x", "{}%\\", "。", "\0"], strict=True):
        assert studio.changed(_text_rule(text, font=_base64(font)))


def test_the_font_name_chooses_the_font(studio: Studio) -> None:
    def width(font: str) -> int:
        left, _, right, _ = studio.changed(_text_rule("iiiiiiii", fontsize=40, font=_base64(font)))
        return right - left

    assert width("DejaVu Sans Mono") > 2 * width("DejaVu Sans")


def test_a_text_has_its_colour_and_strength(studio: Studio) -> None:
    def darkest(**parameters: object) -> tuple[int, ...]:
        left, top, right, bottom = studio.changed(_text_rule("█", fontsize=40, **parameters))
        return _rgb(
            studio(_text_rule("█", fontsize=40, **parameters)), ((left + right) // 2, (top + bottom) // 2)
        )

    assert _near(darkest(dissolve=100), (0x3D, 0x3D, 0x3D))
    assert _near(darkest(dissolve=100, fill=_base64("#FF8000")), (255, 128, 0))
    assert _near(darkest(dissolve=50, fill=_base64("#000000")), (100, 100, 100))
    assert _near(darkest(fill=_base64("#000000")), (20, 20, 20))


def test_a_shadow_is_dark_and_lies_to_the_lower_right(studio: Studio) -> None:
    plain = studio.changed(_text_rule(fontsize=60, gravity="northwest", fill=_base64("#FFFFFF")))
    rule = _text_rule(fontsize=60, gravity="northwest", fill=_base64("#FFFFFF"), shadow=100, dissolve=100)
    assert studio.changed(rule) == (0, 0, plain[2] + 5, plain[3] + 5)
    assert min(studio(rule).convert("L").tobytes()) < 20
    weak = studio(rule.replace("shadow/100", "shadow/20")).convert("L")
    assert 150 < min(weak.tobytes()) < 170


def test_a_tiled_text_fills_the_picture(studio: Studio) -> None:
    once = sum(1 for value in studio(_text_rule("tile", fontsize=20)).convert("L").tobytes() if value < 190)
    tiled = studio(_text_rule("tile", fontsize=20, batch=1))
    assert sum(1 for value in tiled.convert("L").tobytes() if value < 190) > 20 * once
    quarters = [(x, y, x + 200, y + 150) for x in (0, 200) for y in (0, 150)]
    assert all(min(tiled.crop(box).convert("L").tobytes()) < 190 for box in quarters)


def test_tiles_repeat_at_their_gaps(studio: Studio) -> None:
    tiled = studio(_image_rule(batch=1, dx=10, dy=5, dissolve=100))
    assert [_rgb(tiled, (x, 2)) for x in (2, 22, 45, 52, 72)] == [RED, GREEN, GROUND, RED, GREEN]
    assert [_rgb(tiled, (2, y)) for y in (2, 19, 22, 27, 277)] == [RED, RED, GROUND, RED, RED]
    assert _rgb(tiled, (352, 2)) == RED


def test_degree_turns_clockwise_what_is_tiled_alone(studio: Studio) -> None:
    tiled = studio(_image_rule(batch=1, degree=90, dissolve=100))
    assert [_rgb(tiled, point) for point in ((5, 5), (5, 30), (25, 5))] == [RED, GREEN, RED]
    assert studio.changed(_image_rule(degree=90)) == (360, 280, 400, 300)


def test_dissolve_is_the_opacity(studio: Studio) -> None:
    for parameters, wanted in (
        ({"dissolve": 100}, RED),
        ({}, (250, 20, 20)),
        ({"dissolve": 50}, (228, 100, 100)),
    ):
        assert _near(_rgb(studio(_image_rule(**parameters)), (365, 285)), wanted)


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({"scatype": 1, "spcent": 500}, (200, 100)),
        ({"scatype": 1, "spcent": 50}, (20, 10)),
        ({"scatype": 2, "spcent": 500}, (300, 150)),
        ({"scatype": 3, "spcent": 150}, (190, 95)),
    ],
)
def test_a_watermark_scales_with_the_picture(
    parameters: dict[str, int], size: tuple[int, int], studio: Studio
) -> None:
    assert studio.changed(_image_rule(**parameters)) == (400 - size[0], 300 - size[1], 400, 300)


def test_blogo_fits_what_is_larger_than_the_picture(studio: Studio) -> None:
    assert studio.changed(_image_rule("wall.png", blogo=1, gravity="center")) == (0, 75, 400, 225)
    assert studio.changed(_image_rule("wall.png", blogo=2, gravity="center")) == (0, 0, 400, 300)
    assert studio.changed(_image_rule(blogo=1)) == (360, 280, 400, 300)


def test_transparent_parts_of_a_watermark_leave_the_picture_alone(studio: Studio) -> None:
    ring = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    ring.paste((255, 0, 0, 255), (10, 10, 30, 30))
    studio.save("ring.png", ring)
    assert studio.changed(_image_rule("ring.png", gravity="northwest")) == (10, 10, 30, 30)


def test_a_watermark_keeps_the_transparency_below(studio: Studio) -> None:
    studio.save("clear.png", Image.new("RGBA", SIZE, (0, 0, 0, 0)))
    marked = studio(_image_rule(dissolve=50), source="clear.png")
    assert (marked.mode, marked.getpixel((10, 10)), marked.getpixel((365, 285))) == (
        "RGBA", (0, 0, 0, 0), (255, 0, 0, 128),
    )  # fmt: skip


def test_a_grey_picture_takes_a_coloured_watermark(studio: Studio) -> None:
    studio.save("grey.png", Image.new("L", SIZE, 200))
    assert _near(_rgb(studio(_image_rule(dissolve=100), source="grey.png"), (365, 285)), RED)


def test_every_frame_of_an_animation_is_marked(studio: Studio) -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in (GROUND, GREEN, (0, 0, 255))]
    studio.save_animation("frames.gif", *frames)
    studio(_image_rule(dissolve=100), source="frames.gif")
    with Image.open(studio.folder / "out") as picture:
        assert picture.n_frames == 3  # type: ignore[attr-defined]  # a GIF has it
        for index in range(3):
            picture.seek(index)
            assert _near(_rgb(picture, (365, 285)), RED)


def test_ten_watermarks_lie_over_each_other(studio: Studio) -> None:
    rule = "|".join(_image_rule(gravity="northwest", dx=40 * number, dy=5) for number in range(10))
    assert studio.changed(rule) == (0, 5, 400, 25)
    with pytest.raises(ConversionError, match="11 steps; the limit is 10"):
        studio(f"{rule}|{_image_rule()}")


def test_a_watermark_follows_the_steps_before_it(studio: Studio) -> None:
    marked = studio(f"imageMogr2/thumbnail/200x|{_image_rule()}|imageMogr2/rotate/90")
    assert marked.size == (150, 200)
    assert _near(_rgb(marked, (5, 165)), (250, 20, 20))


@pytest.mark.parametrize(
    "url", ["https://b.cos/a.png", "ftp://b.cos/a.png", "b.cos/a.png", "http://b.cos/", "http://"]
)
def test_an_address_that_is_no_plain_http_is_refused(url: str, studio: Studio) -> None:
    error = studio.refusal(f"imageMogr2/strip|watermark/1/image/{_base64(url)}")
    assert error.code == "InvalidRule"
    assert error.message.startswith("step 2 ")
    assert "http://HOST/KEY" in error.message
    assert studio.fetched == []


def test_the_refusal_of_another_bucket_names_the_step(studio: Studio) -> None:
    error = studio.refusal(f"watermark/1/image/{_base64('http://elsewhere.example/a.png')}")
    assert error.message.startswith("step 1 ")
    assert "is not in this bucket" in error.message


def test_without_a_bucket_image_watermarks_are_refused(studio: Studio) -> None:
    with pytest.raises(ConversionError, match=r"step 1 .* there is no bucket") as caught:
        process_picture(studio.folder / "source.png", _image_rule(), studio.folder / "out")
    assert caught.value.code == "UnsupportedRule"


def test_an_animated_watermark_is_refused(studio: Studio) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, GREEN)]
    studio.save_animation("moving.gif", *frames)
    error = studio.refusal(_image_rule("moving.gif"))
    assert (error.code, error.message.split(": ")[-1]) == (
        "InvalidRule",
        "an animated picture cannot be a watermark",
    )


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "EmptyFile"), (b"no picture", "DamagedFile"), (None, "DamagedFile")]
)
def test_a_watermark_that_cannot_be_read_is_named_with_its_step(
    content: bytes | None, code: str, studio: Studio
) -> None:
    cut = (studio.folder / "wall.png").read_bytes()[:200]
    (studio.folder / "bad.png").write_bytes(cut if content is None else content)
    error = studio.refusal(f"imageMogr2/strip|{_image_rule('bad.png')}")
    assert error.code == code
    assert error.message.startswith("step 2 ")


def test_a_watermark_that_grows_past_all_limits_is_refused(studio: Studio) -> None:
    studio.save("pole.png", Image.new("RGB", (1, 2000), RED))
    error = studio.refusal(_image_rule("pole.png", scatype=1, spcent=1000))
    assert error.code == "ImageTooLarge"
    assert "the watermark would be 400 x 800000 px" in error.message
    assert studio.refusal(_text_rule("W" * 1000, fontsize=1000)).code == "ImageTooLarge"


def test_the_images_of_a_rule_are_fetched_beforehand(studio: Studio) -> None:
    rule = f"{_image_rule()}|{_text_rule()}|{_image_rule('wall.png')}|{_image_rule()}"
    files = fetch_watermarks(rule, studio.fetch)
    assert files == {ADDRESS + name: studio.folder / name for name in ("stamp.png", "wall.png")}
    with pytest.raises(ConversionError, match=r"step 2 .* is not in this bucket"):
        fetch_watermarks(f"{_image_rule()}|watermark/1/image/{_base64('http://other/x')}", studio.fetch)


def test_a_worker_draws_text(real: RealConverters, studio: Studio, tmp_path: Path) -> None:
    result = real.picture(tmp_path / "source.png", _text_rule("水印", fontsize=40), tmp_path / "made")
    assert result.output.width == 400
    with Image.open(tmp_path / "made") as picture:
        assert ImageChops.difference(picture, Image.new("RGB", SIZE, GROUND)).getbbox() is not None
