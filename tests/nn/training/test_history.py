"""Histories: JSON and back, pictures, tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet import nn
from symnet.errors import DataError, ShapeError
from symnet.nn.training.history import shown


def history(epochs=3):
    made = nn.History()
    for k in range(epochs):
        logs = {
            "loss": 1 / (k + 1),
            "val_loss": 1.5 / (k + 1),
            "matrix": np.full((2, 2), k),
            "<b>": 0.5,
        }
        made.append(k + 1, logs, 0.1 * k, np.linspace(2, 1, 5, dtype="float32"))
    return made


@given(
    values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=5),
    matrix=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=3),
)
def test_json_and_back(values, matrix):
    made = nn.History()
    for k, value in enumerate(values):
        made.append(k + 1, {"loss": value, "matrix": np.array(matrix)}, value, np.zeros(0))
    again = nn.History.from_json(made.to_json())
    assert (again.epochs, again.seconds) == (made.epochs, made.seconds)
    assert again.logs["loss"] == values
    assert all(np.array_equal(m, matrix) for m in again.logs["matrix"])
    assert again.to_json() == made.to_json()


def test_nan_survives():
    made = nn.History()
    made.append(1, {"loss": float("nan")}, 0.0, np.zeros(0))
    assert np.isnan(nn.History.from_json(made.to_json()).logs["loss"][0])


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "3", '{"format": "symnet.model"}', '{"format": "symnet.history"}',
     '{"format": "symnet.history", "epochs": [1], "seconds": [1], "logs": {"loss": [1, 2]}}'],
)  # fmt: skip
def test_what_is_no_history(text):
    with pytest.raises(DataError, match="no history of symnet"):
        nn.History.from_json(text)


def test_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    figure = history().plot(tmp_path / "curves.png", title="three epochs")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert figure.axes[0].get_title() == "three epochs"
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert "single steps" in labels
    with pytest.raises(ShapeError, match="no epoch"):
        nn.History().plot()


def test_in_words_and_as_a_table():
    made = history()
    assert repr(made) == (
        "<history of 3 epochs, the last: loss 0.3333, val_loss 0.5000, <b> 0.5000>"
    )
    assert repr(nn.History()) == "<history of no epoch>"
    table = made._repr_html_()
    assert "<th>&lt;b&gt;</th>" in table and "<b>" not in table and "matrix" not in table
    assert table.count("<tr>") == 4 and "<td>0.3333</td>" in table
    assert made.last()["val_loss"] == 0.5


@pytest.mark.parametrize(
    "value, text",
    [(0.0, "0.0000"), (0.25, "0.2500"), (1e-5, "1.000e-05"), (-2e7, "-2.000e+07"),
     (float("nan"), "nan"), (float("inf"), "inf")],
)  # fmt: skip
def test_numbers(value, text):
    assert shown(value) == text
