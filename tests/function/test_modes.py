"""Modes, debug mode's comparison, profiles, copies and pickles of compiled functions."""

import copy
import pickle
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import AssertionFailedError, ConfigError, UpdateError
from symnet.graph import Op
from symnet.ops.exponential import exp
from symnet.tensor.shared_randomstreams import RandomStreams

x = T.matrix("x")
v = T.vector("v")
A = np.arange(6, dtype="float32").reshape(2, 3) / 6


@dataclass(frozen=True)
class Doubled(Op):
    """A user's op without lowering: it runs in Python."""

    def output_types(self, given):
        return [given.type]

    def infer_shape(self, node, shapes, context):
        return shapes

    def perform(self, node, inputs):
        return [inputs[0] * 2]


def step(mode=None, **options):
    """A training step over new shared variables."""
    W = symnet.shared(np.ones((3, 2), "float32"), name="W")
    out = T.tanh(T.dot(x, W))  # the hidden units
    cost = (out**2).sum()
    updates = [(W, W - 0.1 * symnet.grad(cost, W))]
    return symnet.function([x], cost, updates=updates, mode=mode, **options), W


# ---- modes


def test_modes_agree():
    found = []
    for mode in ("compiled", "reference", "debug", "FAST_RUN", "FAST_COMPILE", "DebugMode"):
        f, W = step(mode)
        found.append([f(A), f(A), W.get_value()])
    for option in ({"rewrite": "none"}, {"reuse": False}, {"fuse": False}):
        f, W = step(symnet.Mode().with_options(**option))
        found.append([f(A), f(A), W.get_value()])
    for values in found[1:]:
        for a, b in zip(values, found[0]):
            assert np.allclose(a, b, rtol=1e-5)


def test_mode_from_the_settings():
    with symnet.config.change(mode="reference"):
        f, _ = step()
        assert f.mode.backend == "reference" and f.program is None
    assert step()[0].program is not None


@pytest.mark.parametrize("make", [
    lambda: symnet.function([x], x, mode="fastest"),
    lambda: symnet.function([x], x, mode=3),
    lambda: symnet.Mode(backend="gpu"),
    lambda: symnet.Mode(rewrite="some"),
    lambda: symnet.Mode().with_options(speed=3),
], ids=range(5))  # fmt: skip
def test_modes_that_do_not_exist(make):
    with pytest.raises(ConfigError):
        make()


def test_the_program_follows_the_mode():
    out = T.exp(x) * 2 + 1
    steps = lambda mode: len(symnet.function([x], out, mode=mode).program.steps)
    assert steps("compiled") == 1 and steps(symnet.Mode(fuse=False)) == 3


# ---- debug mode


def test_debug_mode_names_the_first_node_that_differs(monkeypatch):
    before = T.dot(x, x.T)
    wrong = T.exp(before)  # where it goes wrong
    after = T.tanh(wrong + 1).sum()
    W = symnet.shared(np.zeros((), "float32"), name="W")
    f = symnet.function([x], after, updates=[(W, W + after)], mode="debug")
    assert np.isclose(f(A), np.tanh(np.exp(A @ A.T) + 1).sum())
    kept = W.get_value()
    right = exp.numpy
    object.__setattr__(exp, "numpy", lambda a: right(a) + np.float32(0.01))
    try:
        with pytest.raises(AssertionFailedError) as caught:
            f(A)
    finally:
        object.__setattr__(exp, "numpy", right)
    message = str(caught.value)
    for part in ("debug mode: exp", "where it goes wrong", "float32(2, 2)", "compiled", "input 0"):
        assert part in message
    assert "tanh" not in message and W.get_value() == kept
    f(A)
    assert W.get_value() != kept


def test_debug_mode_compares_draws_and_python_ops():
    u = RandomStreams(3).normal((4,))
    f = symnet.function([x], Doubled()(T.dot(x, x.T)).sum() + u, mode="debug")
    a, b = f(A), f(A)
    assert a.shape == (4,) and not np.array_equal(a, b)
    g = symnet.function([x], T.log(x), mode="debug")  # infinities and NaN compare as equal
    assert np.isneginf(g(A)[0, 0]) and np.isnan(g(-A)[0, 1])


# ---- profiles


def test_profile_counts_steps_by_kernel_and_line():
    f, _ = step(profile=True, name="train")
    for _ in range(3):
        f(A)
    rows = f.profile.rows()
    assert len(rows) == len(f.program.steps) and all(row.calls == 3 for row in rows)
    assert all(row.seconds > 0 for row in rows)
    assert any("gemm" in row.step for row in rows)
    assert any(row.step.startswith("kernel 0 (") for row in rows)
    assert any("test_modes.py" in row.line and "the hidden units" in row.line for row in rows)
    table = str(f.profile)
    assert table.startswith("profile of train") and len(table.splitlines()) == len(rows) + 3
    shares = [float(line.split("%")[0]) for line in table.splitlines()[2:-1]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=1)
    assert "def " in f.profile.source(0)
    f.profile.reset()
    assert all(row.calls == 0 == row.seconds for row in f.profile.rows())
    assert "not called yet" in str(f.profile)
    assert step()[0].profile is None


def test_profile_of_a_function_with_python_in_it():
    out = Doubled()(T.exp(x))  # runs in Python
    f = symnet.function([x], T.exp(out).sum(), profile=True)
    f(A)
    f(A)
    rows = f.profile.rows()
    (python,) = [row for row in rows if row.step == "Python -> doubled"]
    assert python.calls == 2 and python.seconds > 0 and "runs in Python" in python.line
    assert len(rows) >= 3 and all(row.calls == 2 for row in rows)
    f.profile.reset()
    assert all(row.calls == 0 for row in f.profile.rows())


@pytest.mark.parametrize("mode", ["reference", "debug"])
def test_a_profile_of_what_is_not_compiled_is_refused_aloud(mode):
    with pytest.warns(RuntimeWarning, match=f"mode '{mode}' is not measured") as found:
        f, _ = step(mode=mode, profile=True)
    assert f.profile is None and f(A) is not None
    assert found[0].filename == __file__


# ---- pickles and copies


def test_pickles_hold_the_graph_and_the_values():
    f, W = step(name="train")
    f(A)
    stored = pickle.dumps((f, W))
    g, other = pickle.loads(stored)
    assert g.name == "train" and repr(g) == repr(f)
    assert other is not W and np.array_equal(other.get_value(), W.get_value())
    for _ in range(2):
        assert f(A) == g(x=A)
        assert np.array_equal(other.get_value(), W.get_value())  # still the one that g updates
    assert not np.shares_memory(other.storage, W.storage)


def test_pickled_functions_go_on_sharing():
    W = symnet.shared(np.zeros(3, "float32"), name="W")
    add = symnet.function([v], [], updates=[(W, W + v)])
    read = symnet.function([], {"W": W, "twice": W * 2})
    add2, read2 = pickle.loads(pickle.dumps([add, read]))
    add2([1, 2, 3])
    assert np.array_equal(read2()["twice"], [2, 4, 6]) and not read()["W"].any()


def test_pickle_of_everything_a_signature_holds():
    u = RandomStreams(3).uniform((2,))
    inputs = [symnet.In(x, name="rows", value=A), symnet.In(v, strict=True)]
    f = symnet.function(inputs, [u, x + v], allow_input_downcast=True, mode=symnet.Mode(fuse=False))
    row = np.ones(3, "float32")
    f(v=row)
    g = pickle.loads(pickle.dumps(f))
    for a, b in zip(f(v=row), g(v=row)):
        assert np.array_equal(a, b)
    assert np.array_equal(g(A.astype("float64"), row)[1], A + 1)
    assert g.mode == f.mode
    with pytest.raises(symnet.errors.TypeMismatchError, match="strict"):
        g(A, [1.0, 2.0, 3.0])


def test_pickle_of_a_long_chain():
    out = x
    for k in range(5000):
        out = out * 1.0001 + k
    f = symnet.function([x], out, mode="reference")
    assert np.array_equal(pickle.loads(pickle.dumps(f))(A), f(A))


def test_pickle_of_a_function_that_hangs_on_its_own_graph():
    y = T.exp(x)
    y.tag.function = symnet.function([x], y)
    for again in (pickle.loads(pickle.dumps(y)), copy.deepcopy(y)):
        assert again.tag.function is not y.tag.function
        np.testing.assert_allclose(again.tag.function(A), np.exp(A), rtol=1e-5)


def test_unpickled_in_another_process(tmp_path):
    f, _ = step()
    (tmp_path / "f").write_bytes(pickle.dumps(f))
    code = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    print(pickle.load(file)([[1, 2, 3]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "f")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == pytest.approx(float(f([[1, 2, 3]])), rel=1e-5)


def test_copies():
    f, W = step()
    other = symnet.shared(np.zeros((3, 2), "float32"), name="other")
    swapped = f.copy(swap={W: other}, name="swapped")
    assert swapped(A) == 0 and swapped.name == "swapped" and not other.get_value().any()
    other.set_value(np.ones((3, 2)).astype("float32"))
    assert swapped(A) == f(A) and np.array_equal(other.get_value(), W.get_value())
    still = f.copy(delete_updates=True)
    before = W.get_value()
    assert still(A) == still(A) and np.array_equal(W.get_value(), before)
    same = copy.copy(f)
    assert same(A) == still.copy()(A) or not np.array_equal(W.get_value(), before)
    deep = copy.deepcopy(f)
    before = W.get_value()
    deep(A)
    assert np.array_equal(W.get_value(), before) and deep(A) < deep.copy(swap={})(A) * 2
    for swap in ({W: x}, {W: symnet.shared(1.0)}, {x: W}):
        with pytest.raises(UpdateError):
            f.copy(swap=swap)


# ---- looking at a function


def test_looking_at_a_function():
    f, W = step(name="train")
    assert repr(f) == str(f) == "<symnet function train(x)>"
    assert f.get_shared() == [W]
    text = symnet.debugprint(f, file="str")
    assert "tanh" in text and "sub" in text
    unnamed = symnet.function([T.matrix(), x], x, on_unused_input="ignore")
    assert repr(unnamed) == "<symnet function (input 0, x)>"
