import pytest

import symnet
import symnet.tensor as T
from symnet.function.explain.wording import brief, bytes_text, equation, table, time_text

x, y = T.matrix("x"), T.matrix("y")


def nobody(variable):
    return None


def test_short_expressions_are_written_out():
    assert brief(T.exp(x) + y * 2, nobody) == "exp(x) + y * 2."


def test_long_ones_are_cut_to_the_width():
    deep = x
    for _ in range(50):
        deep = T.tanh(deep) + y
    text = brief(deep, nobody, 60)
    assert "…" in text and len(text) <= 60
    assert len(text) > 40  # room is used


def test_names_stand_for_what_is_behind_them():
    inner = T.exp(x)
    assert brief(inner * y, {inner: "buf0"}.get) == "buf0 * y"
    assert brief(inner, {inner: "buf0"}.get) == "exp(x)"  # what is asked for is written out


def test_loose_texts_use_the_notation_of_numpy():
    b = T.vector("b")
    assert brief(T.dot(x.T, y) + b, nobody, loose=True) == "x.T @ y + b"
    assert brief(T.dot((x + y).T, y), nobody, loose=True) == "(x + y).T @ y"
    assert "dimshuffle" in brief(T.dot(x.T, y), nobody)
    labels = T.lvector("labels")
    assert brief(x[T.arange(3), labels], nobody, loose=True) == "x[arange(3), labels]"


def test_equations_share_letters():
    long = T.tanh(T.exp(x) * T.sin(y) + T.cos(x)) * T.sqrt(y) + T.exp(y)
    before, after, legend = equation(T.log(T.exp(long)), long)
    assert (before, after) == ("log(exp(a))", "a")
    assert legend == ["a = tanh(exp(x) * sin(y) + cos(x)) * sqrt(y) + exp(y)"]
    assert equation(x + 0, x) == ("x + 0.", "x", [])


def test_letters_avoid_the_names_of_the_graph():
    a = T.matrix("a")
    inner = T.exp(a) * T.sin(a) + T.cos(a)
    before, _, legend = equation(T.log(T.exp(inner)), inner)
    assert before == "log(exp(b))" and legend == ["b = exp(a) * sin(a) + cos(a)"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "?"), (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"),
     (1023 * 1024, "1023 KiB"), (3 * 2**20, "3 MiB"), (5 * 2**30, "5 GiB")],
)  # fmt: skip
def test_bytes(count, text):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (1.234e-6, "1.23 µs"), (9.96e-6, "10.0 µs"), (123e-6, "123 µs"),
     (1.5e-3, "1.50 ms"), (2.0, "2.00 s")],
)  # fmt: skip
def test_times(seconds, text):
    assert time_text(seconds) == text


def test_tables_are_aligned():
    assert table([["a", "10", "x"], ["bcd", "2", ""]], ".r") == ["a    10  x", "bcd   2"]


def test_shared_sizes_are_named():
    w = symnet.shared([[1.0]], name="w")
    f = symnet.function([x], T.tanh(T.dot(x, w)))
    assert f.explain().steps[0].shape == "(x.shape[0] × w.shape[0]) @ (w.shape[0] × w.shape[1])"
