"""What `function` takes: inputs and defaults, outputs, updates, givens, conversions."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import symnet
import symnet.tensor as T
from symnet.errors import TypeMismatchError

MODES = ("compiled", "reference")
every_mode = pytest.mark.parametrize("mode", MODES)

x = T.matrix("x")
v = T.vector("v")
s = T.scalar("s")
i = T.lscalar("i")
A = np.arange(6, dtype="float32").reshape(2, 3)


# ---- inputs


@every_mode
def test_defaults_and_names(mode):
    row = np.ones(3, "float32")
    inputs = [x, symnet.In(v, value=row), symnet.In(s, name="scale", value=2)]
    f = symnet.function(inputs, (x + v) * s, mode=mode)
    row[:] = 100  # the default was copied
    for _ in range(2):
        assert np.array_equal(f(A), (A + 1) * 2)
        assert np.array_equal(f(A, scale=3), (A + 1) * 3)
        assert np.array_equal(f(x=A, v=[0, 1, 2]), (A + [0, 1, 2]) * 2)
        assert np.array_equal(f(A, [0, 1, 2], 0.5), (A + [0, 1, 2]) / 2)
        assert np.array_equal(f(scale=1, v=np.zeros(3, "float32"), x=A), A)
    assert [given.name for given in f.inputs] == ["x", "v", "scale"]


@every_mode
def test_default_before_a_required_input(mode):
    f = symnet.function([symnet.In(s, value=2.0), x], x * s, mode=mode)
    assert np.array_equal(f(x=A), 2 * A)
    assert np.array_equal(f(3, A), 3 * A)


@every_mode
def test_shared_variable_as_default(mode):
    rate = symnet.shared(np.float32(2))
    f = symnet.function([x, symnet.In(s, value=rate)], x * s, mode=mode)
    assert np.array_equal(f(A), 2 * A)
    rate.set_value(3)
    assert np.array_equal(f(A), 3 * A) and np.array_equal(f(A, 1), A)


def test_in_is_not_changed_by_the_functions_that_take_it():
    given = symnet.In(s)
    loose = symnet.function([given], s * 2, allow_input_downcast=True)
    strict = symnet.function([given], s * 2, allow_input_downcast=False)
    assert loose(np.array(0.1)) == np.float32(0.2)
    with pytest.raises(TypeMismatchError):
        strict(np.array(0.1))
    assert given.allow_downcast is None


def test_mutable_and_borrow_change_nothing():
    f = symnet.function([symnet.In(x, mutable=True, borrow=True)], symnet.Out(x * 2, borrow=True))
    given = A.copy()
    assert np.array_equal(f(given), 2 * A) and np.array_equal(given, A)


def test_strict_input():
    f = symnet.function([symnet.In(s, strict=True), symnet.In(v, strict=True)], s + v)
    good = np.float32(1), np.ones(2, "float32")
    for _ in range(2):  # the second call takes the short way
        assert np.array_equal(f(*good), [2, 2])
        for bad in [(1.0, good[1]), (np.float64(1), good[1]), (good[0], [1.0, 2.0])]:
            with pytest.raises(TypeMismatchError, match="strict"):
                f(*bad)


@every_mode
def test_intermediate_variable_as_input(mode):
    inner = x * 2
    f = symnet.function([inner], inner + 1, mode=mode)
    assert np.array_equal(f(A), A + 1)


# ---- conversions


@every_mode
@pytest.mark.parametrize("value", [
    0.1, np.float32(0.1), np.float64(0.1), 3, True, np.int64(3), np.uint8(3), np.bool_(True),
    np.array(0.1, "float32"), np.array(3, "int16"), 1e300,
], ids=repr)  # fmt: skip
def test_numbers_for_a_float_scalar(mode, value):
    f = symnet.function([s], [s, s * 2], mode=mode)
    for _ in range(2):
        same, twice = f(value)
        with np.errstate(over="ignore"):
            wanted = np.float32(value)
        assert same.dtype == twice.dtype == np.float32 and same.shape == ()
        assert same == wanted and (twice == wanted * 2 or np.isinf(wanted))


@every_mode
@pytest.mark.parametrize("value", [3, np.int64(3), np.int8(3), np.uint64(3), True, np.array(3)])
def test_numbers_for_an_integer_scalar(mode, value):
    f = symnet.function([i], i + 1, mode=mode)
    for _ in range(2):
        assert f(value) == int(value) + 1


@every_mode
def test_downcast(mode):
    wide = A.astype("float64") + 0.1
    make = lambda flag: symnet.function([x], x, mode=mode, allow_input_downcast=flag)
    assert np.array_equal(make(True)(wide), wide.astype("float32"))
    for flag in (None, False):
        with pytest.raises(TypeMismatchError, match="float64"):
            make(flag)(wide)
    assert np.array_equal(make(None)([[0.1]]), np.array([[0.1]], "float32"))
    with pytest.raises(TypeMismatchError, match="float64"):
        make(False)([[0.1]])
    scalar = symnet.function([s], s, mode=mode, allow_input_downcast=False)
    for _ in range(2):
        with pytest.raises(TypeMismatchError, match="float64"):
            scalar(0.1)
        scalar(np.float32(0.1))
    whole = symnet.function([i], i, mode=mode, allow_input_downcast=True)
    assert whole(2.7) == 2


LAYOUTS = {
    "plain": lambda a: a,
    "fortran": np.asfortranarray,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": lambda a: (
        np.frombuffer(b"\0" + a.tobytes(), "u1")[1:].view(a.dtype).reshape(a.shape)
    ),
    "list": lambda a: a.tolist() if a.size else a,
    "buffer": lambda a: np.asarray(memoryview(a.copy())),
    "subclass": lambda a: a.view(_Subclass),
    "unpickled": lambda a: pickle.loads(pickle.dumps(a)),
    "integers": lambda a: a.astype("int16"),
}


class _Subclass(np.ndarray):
    pass


def read_only(array):
    if isinstance(array, np.ndarray):
        array.flags.writeable = False
    return array


W = symnet.shared(np.ones((3, 2), "float32"), name="W")
_functions = {
    mode: symnet.function([x], [x * 2, T.dot(x, W), x.sum(axis=0), x.T, x[:, :2]], mode=mode)
    for mode in MODES
}


@settings(max_examples=80, deadline=None)
@given(
    array=hnp.arrays(
        "float32", st.tuples(st.integers(0, 40), st.just(3)), elements=st.integers(-9, 9)
    ),
    layout=st.sampled_from(sorted(LAYOUTS)),
    writeable=st.booleans(),
    mode=st.sampled_from(MODES),
)
def test_layouts_that_just_work(array, layout, writeable, mode):
    given_ = LAYOUTS[layout](array)
    if not writeable:
        given_ = read_only(given_)
    before = np.array(given_, "float32").tobytes()
    found = _functions[mode](given_)
    expected = [array * 2, array @ np.ones((3, 2)), array.sum(axis=0), array.T, array[:, :2]]
    for a, b in zip(found, expected):
        assert type(a) is np.ndarray and a.dtype == np.float32 and a.shape == b.shape
        assert np.array_equal(a, b)
    assert np.array(given_, "float32").tobytes() == before


# ---- outputs


@every_mode
def test_forms_of_outputs(mode):
    def run(outputs):
        return symnet.function([x], outputs, mode=mode, on_unused_input="ignore")(A)

    for form in (list, tuple):
        result = run(form([x, x + 1]))
        assert type(result) is list and np.array_equal(result[1], A + 1)
    assert type(run(x)) is np.ndarray
    (single,) = run([x])
    assert np.array_equal(single, A)
    result = run({"b": x, "a": x + 1})
    assert list(result) == ["b", "a"] and np.array_equal(result["a"], A + 1)
    assert run(None) == [] and run([]) == [] and run({}) == {}
    three, half, ones = run([3, 2.5, np.ones(2)])
    assert (three, half) == (3, 2.5) and np.array_equal(ones, [1, 1])
    assert run(symnet.Out(x + 1))[0, 0] == 1


# ---- updates


@every_mode
def test_forms_of_updates(mode):
    w = symnet.shared(np.zeros(2, "float32"), name="w")
    n = symnet.shared(0, name="n")
    for updates in [
        {w: w + 1, n: n + 1},
        OrderedDict([(w, w + 1), (n, n + 1)]),
        [(w, w + 1), (n, n + 1)],
        [[w, w + 1], [n, n + 1]],
        ((w, w + 1), (n, n + 1)),
        iter([(w, w + 1), (n, n + 1)]),
    ]:
        before = int(n.get_value())
        assert symnet.function([], updates=updates, mode=mode)() == []
        assert n.get_value() == before + 1 and np.array_equal(w.get_value(), [before + 1] * 2)


@every_mode
def test_new_values_that_are_numbers_and_arrays(mode):
    n, w = symnet.shared(3), symnet.shared(np.ones(2, "float32"))
    rate = symnet.shared(0.5)
    f = symnet.function([], [], updates=[(n, 5), (w, np.zeros(2)), (rate, 1)], mode=mode)
    f()
    assert n.get_value() == 5 and rate.get_value() == 1 and not w.get_value().any()
    assert rate.get_value().dtype == np.float32


@every_mode
def test_declared_sizes_survive_updates(mode):
    w = symnet.shared(A, shape=(2, 3))
    f = symnet.function([x], w.sum(), updates=[(w, x * 2)], mode=mode)
    f(A + 1)
    assert np.array_equal(w.get_value(), 2 * (A + 1))


@every_mode
def test_default_updates(mode):
    n = symnet.shared(0, name="n")
    m = symnet.shared(0, name="m")
    n.default_update = n + m + 1
    m.default_update = m + 10
    run = lambda **options: symnet.function([], n * 1, mode=mode, **options)()
    state = lambda: (int(n.get_value()), int(m.get_value()))
    assert run() == 0 and state() == (1, 10)
    assert run() == 1 and state() == (12, 20)
    assert run(no_default_updates=True) == 12 and state() == (12, 20)
    assert run(no_default_updates=[m]) == 12 and state() == (33, 20)
    assert run(updates={n: n * 0}) == 33 and state() == (0, 20)
    n.default_update = n + T.lscalar("nobody")
    with pytest.raises(symnet.errors.MissingInputError, match="nobody"):
        run()


# ---- givens


@every_mode
def test_givens(mode):
    w = symnet.shared(A, name="w")
    inner = x * 2
    out = T.exp(inner).sum()
    run = lambda inputs, outputs, givens, *args: symnet.function(
        inputs, outputs, givens=givens, mode=mode
    )(*args)
    for table in ({w: x}, [(w, x)], [[w, x]]):
        assert np.array_equal(run([x], w * 2, table, A + 1), 2 * (A + 1))
    assert np.array_equal(run([], x + 1, {x: w}), A + 1)
    assert np.array_equal(run([], x + 1, {x: A}), A + 1)
    assert np.array_equal(run([i], x + 1, {x: w[i : i + 1]}, 1), A[1:] + 1)
    assert run([v], out, {inner: v.dimshuffle("x", 0)}, np.zeros(3, "float32")) == 3
    assert run([], s * 2, {s: 1.5}) == 3
    # all at once: w is not replaced in what is given for x
    assert np.array_equal(run([], x + w, {x: w * 10, w: T.ones((2, 3))}), A * 10 + 1)


@every_mode
def test_givens_reach_updates(mode):
    w = symnet.shared(A, name="w")
    f = symnet.function(
        [v], [], updates=[(w, w + x)], givens={x: v.dimshuffle("x", 0) * w}, mode=mode
    )
    f([1, 2, 3])
    assert np.array_equal(w.get_value(), A + A * [1, 2, 3])


@every_mode
def test_givens_below_a_gradient(mode):
    """What is differentiated is the function as written; the exchange comes after."""
    inner = x * 2
    g = symnet.grad(T.log(1 + T.exp(inner)).sum(), x)
    at = lambda value: 2 / (1 + np.exp(-value))
    f = symnet.function([x], g, givens={inner: x * 3}, mode=mode)
    assert np.allclose(f(A), at(3 * A), rtol=1e-5)
    y = T.matrix("y")
    big = symnet.function([y], g, givens={x: y * 100}, mode=mode)
    assert np.allclose(big(A), at(200 * A.astype("float64")), rtol=1e-5)
    square = symnet.grad((inner**2).sum(), inner)
    assert np.array_equal(
        symnet.function([x], square, givens={inner: x + 100}, mode=mode)(A), 2 * (A + 100)
    )


# ---- eval


def test_eval():
    w = symnet.shared(A, name="w")
    assert np.array_equal((w * 2).eval(), 2 * A)
    out = x + v
    assert np.array_equal(out.eval({x: A, v: [1, 2, 3]}), A + [1, 2, 3])
    assert np.array_equal(out.eval({"v": [1, 2, 3], "x": A}), A + [1, 2, 3])
    inner = x * 2
    assert np.array_equal((inner + 1).eval({inner: A}), A + 1)
    assert T.constant(3).eval() == 3 and x.eval({x: A})[1, 2] == 5
    with pytest.raises(symnet.errors.MissingInputError, match=r"v: float32\(\?\)"):
        out.eval({x: A})
    with pytest.raises(symnet.errors.FunctionError, match="no input is called 'z'"):
        out.eval({"z": A})
    with pytest.raises(TypeMismatchError, match="dimensions"):
        out.eval({x: A[0], v: A[0]})


def test_eval_looks_again_when_settings_change():
    out = x * 3
    before = out.eval({x: A})
    with symnet.config.change(mode="reference"):
        assert np.array_equal(out.eval({x: A}), before)
        assert out.tag.evaluator.compiled.mode.backend == "reference"


def test_eval_compiles_once(monkeypatch):
    count = []
    plain = symnet.function.__globals__["Function"]
    counting = lambda *args: count.append(1) or plain(*args)
    monkeypatch.setitem(symnet.function.__globals__, "Function", counting)
    out = x * 3
    for k in range(3):
        assert np.array_equal(out.eval({x: A + k}), 3 * (A + k))
    assert len(count) == 1
