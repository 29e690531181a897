"""`symnet predict`: pictures in, digits out."""

import sys

import numpy as np
import pytest

from symnet import nn
from symnet.cli.images import read_digit
from symnet.cli.predict import answer, drawing, outputs
from symnet.cli.settings import Settings, build
from symnet.errors import DataError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def model(digits):
    network = build(Settings(hidden=30, epochs=6, batch_size=32, learning_rate=0.05), (28, 28))
    network.fit(
        digits.train_images, digits.train_labels, batch_size=32, epochs=6, verbose=0, seed=0
    )
    return network


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def pictures(digits, tmp_path_factory):
    """Test digits as people have them: larger, dark on light."""
    folder = tmp_path_factory.mktemp("pictures")
    for k in range(30):
        large = Image.fromarray(255 - digits.test_images[k]).resize((140, 140))
        large.save(folder / f"{k:02}.png")
    return sorted(folder.iterdir())


def test_pictures_are_told_by_the_model(run, model, file, pictures, digits):
    status, out, err = run("predict", file, *pictures)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    p = model.predict(np.stack([read_digit(path) for path in pictures]))
    for line, path, row in zip(lines, pictures, p, strict=True):
        first, second = np.argsort(-row)[:2]
        wanted = f"({100 * row[first]:.1f}%; {second}: {100 * row[second]:.1f}%)"
        assert line == f"{path}  {first}  {wanted}"
    assert (p.argmax(1) == digits.test_labels[:30]).sum() >= 24


def test_bad_pictures_do_not_keep_others_from_being_told(run, file, pictures, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    status, out, err = run("predict", file, pictures[0], tmp_path / "text.png", pictures[1])
    assert status == 2
    assert len(out.splitlines()) == 2
    text = "not an image, or of a format that Pillow cannot read"
    assert err == f"symnet: {tmp_path / 'text.png'}: {text}\n"


def test_show_draws_what_the_model_gets(run, file, pictures):
    _, out, _ = run("predict", "--show", file, pictures[0])
    lines = out.splitlines()
    assert len(lines) == 29
    assert lines[:28] == drawing(read_digit(pictures[0]))
    assert "@@" in out


def test_drawing_is_two_letters_to_a_pixel():
    digit = np.zeros((28, 28), np.uint8)
    digit[3, 4], digit[5, 0] = 255, 128
    lines = drawing(digit)
    assert lines[3] == "        @@" and lines[5] == "==" and lines[0] == ""


@pytest.mark.parametrize(
    "scores, text",
    [
        ([0.1, 0.7, 0.2], "1  (70.0%; 2: 20.0%)"),
        ([0.5, 0.5], "0  (50.0%; 1: 50.0%)"),
        ([-3.0, 2.0, 9.0], "2"),  # no probabilities
        ([0.2, 0.2, 0.1], "0"),
    ],
)
def test_answers(scores, text):
    assert answer(np.array(scores, "float32")) == text


@pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 1), (None, None)])
def test_models_of_several_input_shapes(digits, shape):
    layers = [nn.Flatten(), nn.Dense(10, kernel_initializer="glorot_uniform")]
    digit = digits.test_images[0]
    if None in shape:
        with pytest.raises(DataError, match=r"m: a model of inputs .*, not of images of 28 x 28"):
            outputs(nn.Sequential([nn.Input(shape), nn.GaussianNoise(1.0)]), digit, "m")
        return
    model = nn.Sequential([nn.Input(shape), *layers], seed=0)
    expected = model.predict(digit.reshape(1, *shape))[0]
    np.testing.assert_array_equal(outputs(model, digit, "m"), expected)


def test_models_that_are_not_of_digits():
    digit = np.zeros((28, 28), np.uint8)
    iris = nn.Sequential([nn.Input((4,)), nn.Dense(3)], seed=0)
    with pytest.raises(DataError, match="not of images of 28 x 28"):
        outputs(iris, digit, "iris")
    for layers in ([nn.Rescaling(1.0)], [nn.Flatten(), nn.Dense(1)]):
        with pytest.raises(DataError, match="one number per class"):
            outputs(nn.Sequential([nn.Input((28, 28)), *layers], seed=0), digit, "odd")


def test_a_model_of_nan_tells_nothing(run, pictures, tmp_path):
    model = nn.Sequential([nn.Input((28, 28)), nn.Flatten(), nn.Dense(10, "softmax")], seed=0)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    model.save(tmp_path / "m")
    status, out, err = run("predict", tmp_path / "m", pictures[0])
    assert (status, out) == (2, "")
    assert err.startswith(f"symnet: {tmp_path / 'm'}: its output is NaN")


def test_files_that_are_no_models(run, pictures, tmp_path):
    for content in (b"", b"hello", b"\xff" * 100):
        (tmp_path / "m").write_bytes(content)
        status, out, err = run("predict", tmp_path / "m", pictures[0])
        assert (status, out) == (2, "")
        assert err.startswith(f"symnet: {tmp_path / 'm'}") and err.count("\n") == 1
        assert err.endswith("; MODEL is a file like the model.safetensors of `symnet mnist`\n")
    status, _, err = run("predict", tmp_path / "none", pictures[0])
    assert status == 2 and "none: No such file or directory; MODEL is a file" in err
    assert err.count("\n") == 1


def test_help_and_usage(run):
    status, out, _ = run("predict", "--help")
    assert status == 0 and "example:\n  symnet mnist\n  symnet predict" in out
    assert run("predict", "model")[0] == 2


def test_without_pillow_the_extra_is_named(run, file, pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert run("predict", file, pictures[0]) == (
        2, "", "symnet: symnet predict needs pillow: pip install 'symnet[cli]'\n",
    )  # fmt: skip
