"""Pictures of digits become what MNIST's images are."""

import numpy as np
import pytest

from symnet.cli import images
from symnet.cli.images import centred, ink, read_digit
from symnet.errors import DataError

Image = pytest.importorskip("PIL.Image")

HOOK = np.zeros((40, 30), np.uint8)  # a 1 with a foot: lopsided, so that turning is seen
HOOK[:, 12:18] = 255
HOOK[34:, 12:30] = 255


def on(canvas, at=(30, 50), shape=HOOK):
    """The hook, ink 255, on a larger canvas."""
    picture = np.zeros(canvas, np.uint8)
    picture[at[0] : at[0] + shape.shape[0], at[1] : at[1] + shape.shape[1]] = shape
    return picture


def span(picture, axis):
    """How many rows (axis 0) or columns (axis 1) lie between the first and the last with ink."""
    places = np.flatnonzero(picture.any(axis=1 - axis))
    return places[-1] - places[0] + 1


EXPECTED = centred(HOOK / 255)


def close(found, expected=EXPECTED, share=0.02):
    return np.abs(found.astype(int) - expected).mean() <= 255 * share


@pytest.fixture
def file(tmp_path):
    """`file(picture, "a.png")` saves a Pillow image, or an array, and gives its path."""

    def save(picture, name="a.png", **how):
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture)
        picture.save(tmp_path / name, **how)
        return tmp_path / name

    return save


# ---- the form of MNIST


def test_the_box_the_proportions_and_the_centre():
    assert span(EXPECTED, 0) == 20 and span(EXPECTED, 1) == 9  # of 40 and 18
    for axis in (0, 1):
        mass = EXPECTED.sum(1 - axis, dtype=float)
        assert abs(mass @ np.arange(28) / mass.sum() - 14) <= 0.5
    assert EXPECTED.max() == 255 and EXPECTED.dtype == np.uint8


@pytest.mark.parametrize("dark", [False, True])
def test_images_like_those_of_mnist_stay_what_they_are(digits, dark):
    filled = 0
    for digit in digits.test_images[:50]:
        once = centred(ink(digit / 255))
        if max(span(once > 26, axis) for axis in (0, 1)) < 20:
            continue  # a faint edge, which MNIST's images do not have
        filled += 1
        brightness = (255 - once if dark else once) / 255
        again = centred(ink(brightness))
        faint = once < 40  # the box is taken without the faintest ink
        assert np.abs(again.astype(int) - once)[~faint].max() <= 1
        assert again[faint].max() <= 40
    assert filled > 20


@pytest.mark.parametrize("scale", [1, 3, 17])
@pytest.mark.parametrize("place", [(0, 0), (70, 3), (100, 130)])
def test_size_and_place_do_not_matter(file, scale, place):
    canvas = on((140, 160), place)
    found = read_digit(file(np.kron(canvas, np.ones((scale, scale), np.uint8))))
    assert close(found)


def test_small_pictures_are_made_larger(file):
    found = read_digit(file(on((14, 12), (2, 2), HOOK[::4, ::4][:, :8])))
    assert close(found, share=0.08)


def test_a_single_row_of_ink():
    found = centred(np.ones((1, 300)))
    assert found.any(axis=1).sum() == 1 and (found == 255).sum() == 20


def test_lopsided_digits_stay_inside():
    lever = np.zeros((60, 60))
    lever[:, 0:2] = 0.11
    lever[50:, 50:] = 1.0
    found = centred(lever)
    assert span(found, 0) == span(found, 1) == 20


# ---- brightness


@pytest.mark.parametrize("low, high", [(0, 255), (255, 0), (120, 200), (240, 180)])
def test_dark_on_light_and_light_on_dark(file, low, high):
    canvas = on((140, 160)) / 255
    assert close(read_digit(file((low + (high - low) * canvas).astype(np.uint8))))


def test_a_digit_cut_out_to_its_edge():
    ring = np.hypot(*np.mgrid[-1:1:40j, -1:1:40j])
    ring = ((ring < 1) & (ring > 0.7)).astype(float)
    found = centred(ink(1 - ring))
    assert found[14, 14] == 0 and found[14, 5] > 128


def test_light_from_one_side_noise_and_dust():
    rng = np.random.default_rng(0)
    canvas = on((140, 160)) / 255
    canvas[5:7, 5:7] = canvas[100:102, 120:122] = 1
    light = 0.6 + 0.35 * np.linspace(0, 1, 160) * np.ones((140, 1))
    photo = np.clip(light * (1 - 0.6 * canvas) + rng.normal(0, 0.015, canvas.shape), 0, 1)
    assert close(centred(ink(photo)), share=0.04)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_nothing_on_it(file, level):
    path = file(np.full((30, 30), round(255 * level), np.uint8))
    with pytest.raises(DataError, match=r"a\.png: there is nothing on this picture"):
        read_digit(path)


def test_the_threshold_lies_between_two_levels():
    values = np.where(HOOK, 0.8, 0.3)
    assert 0.5 < images._threshold(values) < 0.6


# ---- files


def variants():
    """The same picture, dark on light, in the forms that files take."""
    grey = 255 - on((140, 160))
    coloured = np.stack([grey, grey // 2 + 100, np.full_like(grey, 255)], -1)
    alpha = np.dstack([np.zeros_like(coloured), 255 - grey])
    white = np.dstack([np.full_like(coloured, 255), 255 - grey])
    yield "grey", Image.fromarray(grey), "png"
    yield "bits", Image.fromarray(grey).convert("1"), "png"
    yield "rgb", Image.fromarray(coloured), "png"
    yield "palette", Image.fromarray(coloured).quantize(8), "png"
    yield "gif", Image.fromarray(coloured).quantize(8), "gif"
    yield "black on nothing", Image.fromarray(alpha), "png"
    yield "white on nothing", Image.fromarray(white), "png"
    yield "grey and alpha", Image.fromarray(alpha).convert("LA"), "png"
    yield "16 bits", Image.fromarray(grey.astype(np.uint16) * 257), "png"
    yield "16 bits, weak", Image.fromarray(grey.astype(np.uint16) * 20), "png"
    yield "32 bits", Image.fromarray(grey.astype(np.int32) * 257), "tiff"
    yield "real", Image.fromarray(grey.astype(np.float32) / 7 - 3), "tiff"
    yield "cmyk", Image.fromarray(coloured).convert("CMYK"), "tiff"
    yield "jpeg", Image.fromarray(grey), "jpg"
    yield "bmp", Image.fromarray(grey), "bmp"


@pytest.mark.parametrize(
    "name, picture, ending", list(variants()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_kind_of_file(file, name, picture, ending):
    assert close(read_digit(file(picture, f"a.{ending}")), share=0.03)


def test_a_palette_with_transparency(file):
    picture = Image.fromarray(on((140, 160)) // 255).convert("P")
    picture.putpalette([0, 0, 0, 10, 10, 10])
    assert close(read_digit(file(picture, transparency=0)))


def test_cameras_that_were_turned(file):
    picture = Image.fromarray(255 - on((140, 160)))
    data = picture.getexif()
    data[0x0112] = 6  # the top of the scene is at the right
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    assert close(read_digit(file(turned, "a.jpg", exif=data)), share=0.03)


def test_what_is_no_image(tmp_path, file):
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = file(255 - on((140, 160)), "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ("text.png", "not an image"),
        ("empty.png", "not an image"),
        ("cut.png", "cannot be read as an image"),
        ("none.png", "no such file"),
        (".", "cannot be read as an image"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read_digit(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_bombs_are_not_unpacked(tmp_path, file, monkeypatch):
    path = file(np.zeros((100, 100), np.uint8))
    for limit in (9000, 4000):  # Pillow warns of the first, and refuses the second
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match="too large"):
            read_digit(path)


def test_damaged_files_are_errors_or_images(file):
    """Never another exception, whatever bytes are wrong."""
    rng = np.random.default_rng(1)
    for ending in ("png", "gif", "jpg", "bmp", "tiff"):
        path = file(255 - on((140, 160)), f"a.{ending}")
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            content = whole.copy()
            content[rng.integers(0, min(len(content), 300), 3)] = rng.integers(0, 256, 3)
            path.write_bytes(content.tobytes())
            try:
                assert read_digit(path).shape == (28, 28)
            except DataError as problem:
                assert str(path) in str(problem)


def test_spots_are_numbered_by_connection():
    mask = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], bool)
    spots = images._spots(mask)
    assert (spots > 0).tolist() == mask.tolist()
    assert spots[0, 0] == spots[2, 1] == spots[0, 2]
    assert len(np.unique(spots)) == 4  # the paper, the V, and two at the right
