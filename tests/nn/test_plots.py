"""Pictures from arrays: what is drawn, where it goes, what is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest

from symnet.errors import ConfigError, ShapeError
from symnet.nn import plots

pytest.importorskip("matplotlib")

LOGS = {
    "loss": [0.5, 0.2, 0.1],
    "val_loss": [0.4, 0.3, 0.25],
    "accuracy": [0.8, 0.9, 0.95],
    "val_accuracy": [0.7, 0.8, 0.85],
    "learning_rate": [0.3, 0.2, 0.1],
    "confusion_matrix": [[[1, 2], [3, 4]]] * 3,
}


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


# ---- curves


def test_curves_hold_the_values_and_say_what_they_are():
    loss, accuracy = plots.curves(LOGS, title="a run").axes
    assert loss.get_title() == "a run"
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy in %")
    assert accuracy.get_xlabel() == "epoch"
    drawn = lines(loss)
    assert list(drawn) == ["training", "validation"]
    np.testing.assert_array_equal(drawn["training"].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(drawn["validation"].get_ydata(), LOGS["val_loss"])
    np.testing.assert_allclose(lines(accuracy)["validation"].get_ydata(), [70, 80, 85])
    for axes in (loss, accuracy):
        low, high = axes.get_ylim()
        for line in lines(axes).values():
            assert low < line.get_ydata().min() and line.get_ydata().max() < high


def test_what_is_drawn_can_be_chosen():
    (axes,) = plots.curves(LOGS, names=["learning_rate"], epochs=[5, 6, 7]).axes
    assert axes.get_ylabel() == "learning rate"
    np.testing.assert_array_equal(lines(axes)["training"].get_xdata(), [5, 6, 7])


def test_steps_end_above_their_epochs():
    steps = np.linspace(2, 0.1, 30)
    axes = plots.curves({"loss": [0.5, 0.2, 0.1]}, epochs=[4, 5, 6], steps=steps).axes[0]
    x, y = lines(axes)["single steps"].get_data()
    np.testing.assert_allclose(x[[9, 19, 29]], [4, 5, 6])
    np.testing.assert_array_equal(y, steps)


@pytest.mark.parametrize("loss", [[0.5], [0.0, 0.0], [1.0, -1.0], [0.3, float("nan"), None]])
def test_odd_losses_are_drawn(tmp_path, loss):
    plots.curves({"loss": loss}, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 2000


@pytest.mark.parametrize("first", [1e3, 1e6, 1e8, 1e12, 1e30])
def test_losses_of_many_magnitudes_have_numbers_at_their_ticks(first):
    figure = plots.curves({"loss": np.geomspace(first, 1e-2, 5).tolist()})
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert 3 <= sum(low <= tick <= high for tick in axes.get_yticks()) <= 18


def test_small_differences_have_numbers_at_their_ticks():
    figure = plots.curves({"loss": [0.5, 0.48], "val_loss": [0.6, 0.61]})
    figure.canvas.draw()
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    shown = [
        label.get_text()
        for label in (*axes.yaxis.get_ticklabels(), *axes.yaxis.get_ticklabels(minor=True))
        if label.get_text() and low <= label.get_position()[1] <= high
    ]
    assert len(shown) >= 2


@pytest.mark.parametrize(
    "logs, how, message",
    [
        ({}, {}, "no epoch"),
        ({"loss": []}, {}, "no epoch"),
        ({"loss": [1, 2], "val_loss": [1]}, {}, "val_loss has 1 values for 2 epochs"),
        ({"loss": [1, 2]}, {"epochs": [1]}, "loss has 2 values for 1 epochs"),
        ({"loss": [1, 2]}, {"names": ["cost"]}, "'cost'.*loss"),
    ],
)
def test_curves_that_cannot_be_drawn(logs, how, message):
    with pytest.raises(ShapeError, match=message):
        plots.curves(logs, **how)


# ---- confusion

MATRIX = np.array([[8, 2, 0], [0, 5, 0], [1, 0, 9]])


def texts(axes):
    return {tuple(np.round(t.get_position())): t.get_text() for t in axes.texts}


def test_confusion_has_counts_recall_and_precision():
    (axes,) = plots.confusion(MATRIX, labels=["a", "b", "c"], title="test").axes
    written = texts(axes)
    for (row, column), count in np.ndenumerate(MATRIX):
        assert written.get((column, row)) == (str(count) if count else None)
    assert [written[3, k] for k in range(3)] == ["80.0", "100.0", "90.0"]
    assert [written[k, 3] for k in range(3)] == ["88.9", "71.4", "100.0"]
    assert written[3, 3] == "88.0%"
    assert axes.get_xlabel() == "predicted class" and axes.get_ylabel() == "true class"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b", "c", "precision %"]


def test_confusion_colours_mistakes_by_their_number():
    axes = plots.confusion(MATRIX).axes[0]
    shade = np.asarray(axes.get_images()[0].get_array())[..., :3].sum(-1)
    assert shade[1, 0] == 3  # white where nothing is
    assert shade[0, 1] < shade[2, 0] < 3
    assert axes.get_images()[0].get_array()[0, 0, 2] > 0.7  # right ones are blue


def test_classes_that_never_come(tmp_path):
    written = texts(plots.confusion([[0, 0], [0, 3]], tmp_path / "a.png").axes[0])
    assert written[2, 0] == written[0, 2] == "-"


def test_many_classes_are_a_picture_without_numbers(tmp_path):
    axes = plots.confusion(np.eye(100, dtype=int), tmp_path / "a.png").axes[0]
    assert not axes.texts
    assert len(axes.get_xticks()) == 50


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.zeros(4), np.zeros((0, 0))])
def test_a_confusion_matrix_is_square(matrix):
    with pytest.raises(ShapeError, match="square"):
        plots.confusion(matrix)
    with pytest.raises(ShapeError, match=r"2 labels for .* 3 classes"):
        plots.confusion(MATRIX, labels="ab")


# ---- mistakes


def answers(rng, n=40, classes=4):
    labels = rng.integers(0, classes, n)
    return labels, rng.dirichlet(np.ones(classes), n)


@pytest.mark.parametrize("shape", [(6, 6), (36,), (6, 6, 1), (6, 6, 3)])
def test_mistakes_are_the_worst_in_order(shape):
    rng = np.random.default_rng(0)
    labels, p = answers(rng)
    images = rng.integers(0, 255, (40, *shape)).astype("uint8")
    figure = plots.mistakes(images, labels, p, count=5)
    shown = [axes for axes in figure.axes if axes.get_images()]
    wrong = [k for k in range(40) if p[k].argmax() != labels[k]]
    wrong.sort(key=lambda k: p[k, labels[k]])
    assert f"{len(wrong)} mistakes in 40 examples, the worst 5" in figure.get_suptitle()
    for axes, k in zip(shown, wrong[:5], strict=True):
        guess = p[k].argmax()
        assert axes.get_title() == f"{labels[k]} → {guess} ({100 * p[k, guess]:.0f}%)"
        picture = images[k].reshape(6, 6, -1).squeeze()
        np.testing.assert_array_equal(axes.get_images()[0].get_array(), picture)


def test_names_and_no_mistakes(tmp_path):
    images = np.zeros((2, 3, 3))
    figure = plots.mistakes(images, [0, 1], [[0.9, 0.1], [0.8, 0.2]], names=["cat", "dog"])
    assert [axes.get_title() for axes in figure.axes] == ["dog → cat (80%)"]
    figure = plots.mistakes(images, [0, 1], np.eye(2), tmp_path / "none.png")
    assert figure.get_suptitle() == "no mistake in 2 examples"
    assert (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    "images, labels, p, message",
    [
        (np.zeros((3, 4, 4)), [0, 1], np.ones((3, 2)), "do not fit"),
        (np.zeros((2, 4, 4)), [0, 1, 1], np.ones((3, 2)), "do not fit"),
        (np.zeros((3, 5)), [0, 1, 1], np.ones((3, 2)), "5 inputs are no square"),
        (np.zeros(3), [0, 1, 1], np.ones((3, 2)), "neither"),
    ],
)
def test_mistakes_that_do_not_fit(images, labels, p, message):
    with pytest.raises(ShapeError, match=message):
        plots.mistakes(images, labels, p)


# ---- filters


def test_filters_are_the_strongest_units():
    weights = np.zeros((6, 5))
    weights[:, 3] = np.arange(6)
    weights[2, 1] = -3
    figure = plots.filters(weights, shape=(2, 3), count=2)
    sheet = np.ma.filled(figure.axes[0].get_images()[0].get_array().astype(float), np.nan)
    assert sheet.shape == (2, 7)
    np.testing.assert_array_equal(sheet[:, :3], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(sheet[:, 4:], [[0, 0, -3], [0, 0, 0]])
    assert np.isnan(sheet[:, 3]).all()
    low, high = figure.axes[0].get_images()[0].get_clim()
    assert low == -high < 0
    assert figure.axes[0].get_title() == "2 of 5 units"


@pytest.mark.parametrize("units, size", [(10, (7, 19)), (9, (11, 11)), (1, (3, 3)), (7, (7, 15))])
def test_filters_fill_their_places(units, size):
    figure = plots.filters(np.ones((9, units)))
    assert figure.axes[0].get_images()[0].get_array().shape == size


def test_filters_that_are_all_zero(tmp_path):
    plots.filters(np.zeros((16, 3)), tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "shape, given", [((5, 2), None), ((6, 2), (2, 2)), ((4,), None), ((0, 3), None)]
)
def test_weights_that_are_no_pictures(shape, given):
    with pytest.raises(ShapeError):
        plots.filters(np.zeros(shape), shape=given)


# ---- files


def test_files_are_of_the_kind_named_and_whole(tmp_path, monkeypatch):
    for name, start in (
        ("a.png", b"\x89PNG"),
        ("a.svg", b"<?xml"),
        ("a.pdf", b"%PDF"),
        ("a", b"\x89PNG"),
    ):
        plots.curves(LOGS, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(ConfigError, match="'doc'"):
        plots.curves(LOGS, tmp_path / "a.doc")
    before = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match=r"full.*a\.png"):
        plots.curves({"loss": [1]}, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 4


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'symnet\[viz\]'"):
        plots.curves(LOGS)


def test_no_window_and_no_pyplot(tmp_path):
    program = (
        "import sys; from symnet.nn import plots; "
        f"plots.curves({{'loss': [1, 2]}}, {str(tmp_path / 'a.png')!r}); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("False\n", 0)
