"""NumPy's functions on symbolic variables give what NumPy gives for the values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.errors import ShapeError, TypeMismatchError
from symnet.tensor.numpy_functions import FUNCTIONS
from symnet.tensor.numpy_ufuncs import REDUCTIONS, UFUNCS

RNG = np.random.default_rng(5)
A = RNG.standard_normal((3, 4))
B = RNG.standard_normal((3, 4))
V = RNG.standard_normal(4)
C = RNG.standard_normal((2, 3, 4))
S = RNG.standard_normal((3, 3))
I = RNG.integers(-5, 6, (3, 4))
N = np.array([[0.0, np.nan, np.inf], [-np.inf, 2, -3]])
VALUES = {"a": A, "b": B, "v": V, "c": C, "s": S, "i": I, "n": N}


def symbols(shapes=True):
    return {
        name: T.TensorType(value.dtype.name, value.shape if shapes else (None,) * value.ndim)(name)
        for name, value in VALUES.items()
    }


def flat(result):
    return list(result) if isinstance(result, (list, tuple)) else [result]


def same_as_numpy(use, shapes=True):
    """`use(**arrays)` and the value of `use(**variables)` are equal, dtype and all."""
    variables = symbols(shapes)
    with np.errstate(all="ignore"):
        expected = flat(use(*VALUES.values()))
    built = flat(use(*variables.values()))
    assert len(built) == len(expected)
    symbolic = [T.as_tensor(x) for x in built]
    f = symnet.function(
        list(variables.values()), symbolic, mode="reference", on_unused_input="ignore"
    )
    for ours, theirs in zip(f(*VALUES.values()), expected):
        theirs = np.asarray(theirs)
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


# one or more uses of each function in the table, by NumPy's name; also the table of what is tested
USES = {
    "sum": [
        lambda a, b, v, c, s, i, n: np.sum(a),
        lambda a, b, v, c, s, i, n: np.sum(c, axis=(0, 2), keepdims=True),
        lambda a, b, v, c, s, i, n: np.sum(i, 1, "float64"),
        lambda a, b, v, c, s, i, n: np.sum(a, -1, None, None, True),
    ],
    "prod": [lambda a, b, v, c, s, i, n: np.prod(a, axis=0, keepdims=True)],
    "mean": [
        lambda a, b, v, c, s, i, n: np.mean(c, axis=(1, 2)),
        lambda a, b, v, c, s, i, n: np.mean(i, dtype=np.float64),
    ],
    "max": [lambda a, b, v, c, s, i, n: np.max(a, axis=1)],
    "amax": [lambda a, b, v, c, s, i, n: np.amax(a, 0, keepdims=True)],
    "min": [lambda a, b, v, c, s, i, n: np.min(c, axis=(0, 1))],
    "amin": [lambda a, b, v, c, s, i, n: np.amin(a)],
    "any": [lambda a, b, v, c, s, i, n: np.any(i, axis=1)],
    "all": [lambda a, b, v, c, s, i, n: np.all(i, axis=0, keepdims=True)],
    "argmax": [lambda a, b, v, c, s, i, n: np.argmax(a, axis=1)],
    "argmin": [lambda a, b, v, c, s, i, n: np.argmin(a)],
    "count_nonzero": [lambda a, b, v, c, s, i, n: np.count_nonzero(i, axis=1)],
    "var": [
        lambda a, b, v, c, s, i, n: np.var(a, axis=0, ddof=1),
        lambda a, b, v, c, s, i, n: np.var(i, 1, "float64", None, 1, True),
    ],
    "std": [
        lambda a, b, v, c, s, i, n: np.std(a),
        lambda a, b, v, c, s, i, n: np.std(c, axis=(0, 2), keepdims=True, correction=1),
    ],
    "ptp": [lambda a, b, v, c, s, i, n: np.ptp(a, axis=1, keepdims=True)],
    "average": [
        lambda a, b, v, c, s, i, n: np.average(a, axis=1),
        lambda a, b, v, c, s, i, n: np.average(a, axis=1, weights=v),
        lambda a, b, v, c, s, i, n: np.average(a, weights=b, keepdims=True),
    ],
    "linalg.norm": [
        lambda a, b, v, c, s, i, n: np.linalg.norm(c),
        lambda a, b, v, c, s, i, n: np.linalg.norm(v, 3),
        lambda a, b, v, c, s, i, n: np.linalg.norm(a, axis=1, keepdims=True),
        lambda a, b, v, c, s, i, n: np.linalg.norm(a, 1),
        lambda a, b, v, c, s, i, n: np.linalg.norm(a, -np.inf, keepdims=True),
        lambda a, b, v, c, s, i, n: np.linalg.norm(c, "fro", axis=(0, 2)),
        lambda a, b, v, c, s, i, n: np.linalg.norm(c, -1, axis=(2, 0)),
    ],
    "linalg.vector_norm": [
        lambda a, b, v, c, s, i, n: np.linalg.vector_norm(a, axis=1, ord=1),
        lambda a, b, v, c, s, i, n: np.linalg.vector_norm(a, keepdims=True),
    ],
    "linalg.matrix_norm": [
        lambda a, b, v, c, s, i, n: np.linalg.matrix_norm(c),
        lambda a, b, v, c, s, i, n: np.linalg.matrix_norm(c, ord=np.inf, keepdims=True),
    ],
    "shape": [lambda a, b, v, c, s, i, n: list(np.shape(c))],
    "ndim": [lambda a, b, v, c, s, i, n: np.ndim(c)],
    "size": [
        lambda a, b, v, c, s, i, n: np.size(c),
        lambda a, b, v, c, s, i, n: np.size(c, 1),
    ],
    "ravel": [
        lambda a, b, v, c, s, i, n: np.ravel(c),
        lambda a, b, v, c, s, i, n: np.ravel(c, order="C"),
    ],
    "squeeze": [lambda a, b, v, c, s, i, n: np.squeeze(a[:1], axis=0)],
    "expand_dims": [lambda a, b, v, c, s, i, n: np.expand_dims(a, (0, -1))],
    "swapaxes": [lambda a, b, v, c, s, i, n: np.swapaxes(c, 0, 2)],
    "moveaxis": [lambda a, b, v, c, s, i, n: np.moveaxis(c, 0, -1)],
    "rollaxis": [
        lambda a, b, v, c, s, i, n: np.rollaxis(c, 2),
        lambda a, b, v, c, s, i, n: np.rollaxis(c, 0, 3),
        lambda a, b, v, c, s, i, n: np.rollaxis(c, 1, -1),
    ],
    "transpose": [
        lambda a, b, v, c, s, i, n: np.transpose(c),
        lambda a, b, v, c, s, i, n: np.transpose(c, (1, 2, 0)),
    ],
    "matrix_transpose": [lambda a, b, v, c, s, i, n: np.matrix_transpose(c)],
    "linalg.matrix_transpose": [lambda a, b, v, c, s, i, n: np.linalg.matrix_transpose(c)],
    "broadcast_to": [lambda a, b, v, c, s, i, n: np.broadcast_to(v, (3, 4))],
    "tile": [lambda a, b, v, c, s, i, n: np.tile(a, (2, 1, 2))],
    "repeat": [lambda a, b, v, c, s, i, n: np.repeat(a, 3, axis=1)],
    "reshape": [
        lambda a, b, v, c, s, i, n: np.reshape(c, (4, -1)),
        lambda a, b, v, c, s, i, n: np.reshape(a, 12, order="C"),
    ],
    "atleast_1d": [lambda a, b, v, c, s, i, n: np.atleast_1d(v[0], a)],
    "atleast_2d": [lambda a, b, v, c, s, i, n: np.atleast_2d(v)],
    "atleast_3d": [lambda a, b, v, c, s, i, n: np.atleast_3d(v[1], v, a, c)],
    "concatenate": [
        lambda a, b, v, c, s, i, n: np.concatenate([a, b], axis=1),
        lambda a, b, v, c, s, i, n: np.concatenate((a, v), axis=None),
        lambda a, b, v, c, s, i, n: np.concatenate([i, i], dtype="float64"),
        lambda a, b, v, c, s, i, n: np.concatenate([a, np.ones((2, 4))]),
    ],
    "stack": [
        lambda a, b, v, c, s, i, n: np.stack([a, b], axis=-1),
        lambda a, b, v, c, s, i, n: np.stack([v[0], 2.0]),
    ],
    "hstack": [lambda a, b, v, c, s, i, n: np.hstack([a, b])],
    "vstack": [lambda a, b, v, c, s, i, n: np.vstack([a, v])],
    "dstack": [lambda a, b, v, c, s, i, n: np.dstack([a, b])],
    "column_stack": [lambda a, b, v, c, s, i, n: np.column_stack([v, v, a.T])],
    "append": [lambda a, b, v, c, s, i, n: np.append(a, b, axis=0)],
    "unstack": [lambda a, b, v, c, s, i, n: np.unstack(a, axis=1)],
    "split": [
        lambda a, b, v, c, s, i, n: np.split(a, 2, axis=1),
        lambda a, b, v, c, s, i, n: np.split(a, [1, 3], axis=1),
        lambda a, b, v, c, s, i, n: np.split(v, [3, 1, 9]),
        lambda a, b, v, c, s, i, n: np.split(v, [-1]),
        lambda a, b, v, c, s, i, n: np.split(v, []),
    ],
    "array_split": [
        lambda a, b, v, c, s, i, n: np.array_split(a, 3, axis=1),
        lambda a, b, v, c, s, i, n: np.array_split(v, [1, 2]),
    ],
    "hsplit": [
        lambda a, b, v, c, s, i, n: np.hsplit(a, 2),
        lambda a, b, v, c, s, i, n: np.hsplit(v, [1]),
    ],
    "vsplit": [lambda a, b, v, c, s, i, n: np.vsplit(a, [1])],
    "dsplit": [lambda a, b, v, c, s, i, n: np.dsplit(c, 2)],
    "take": [
        lambda a, b, v, c, s, i, n: np.take(a, [[2, 0]], axis=0),
        lambda a, b, v, c, s, i, n: np.take(a, 7),
    ],
    "roll": [
        lambda a, b, v, c, s, i, n: np.roll(a, 5),
        lambda a, b, v, c, s, i, n: np.roll(a, (1, -1), axis=(0, 1)),
    ],
    "flip": [
        lambda a, b, v, c, s, i, n: np.flip(c),
        lambda a, b, v, c, s, i, n: np.flip(c, axis=(0, 2)),
    ],
    "flipud": [lambda a, b, v, c, s, i, n: np.flipud(a)],
    "fliplr": [lambda a, b, v, c, s, i, n: np.fliplr(a)],
    "rot90": [lambda a, b, v, c, s, i, n: [np.rot90(a, k) for k in range(-1, 4)]],
    "diff": [
        lambda a, b, v, c, s, i, n: np.diff(a),
        lambda a, b, v, c, s, i, n: np.diff(c, 2, axis=1),
        lambda a, b, v, c, s, i, n: np.diff(a > 0),
    ],
    "zeros_like": [lambda a, b, v, c, s, i, n: np.zeros_like(a, dtype="int32")],
    "ones_like": [lambda a, b, v, c, s, i, n: np.ones_like(i)],
    "empty_like": [lambda a, b, v, c, s, i, n: np.empty_like(a) * 0],
    "full_like": [
        lambda a, b, v, c, s, i, n: np.full_like(a, 7),
        lambda a, b, v, c, s, i, n: np.full_like(a, 7, dtype="int8"),
        lambda a, b, v, c, s, i, n: np.full_like(a, v),
    ],
    "copy": [lambda a, b, v, c, s, i, n: np.copy(a)],
    "real": [lambda a, b, v, c, s, i, n: np.real(a)],
    "iscomplexobj": [lambda a, b, v, c, s, i, n: np.iscomplexobj(a)],
    "isrealobj": [lambda a, b, v, c, s, i, n: np.isrealobj(a)],
    "astype": [lambda a, b, v, c, s, i, n: np.astype(i, np.float64)],
    "diagonal": [lambda a, b, v, c, s, i, n: np.diagonal(a, 1, axis1=1, axis2=0)],
    "trace": [lambda a, b, v, c, s, i, n: np.trace(a, offset=-1)],
    "linalg.diagonal": [lambda a, b, v, c, s, i, n: np.linalg.diagonal(a, offset=1)],
    "linalg.trace": [lambda a, b, v, c, s, i, n: np.linalg.trace(s)],
    "diag": [lambda a, b, v, c, s, i, n: [np.diag(v, -1), np.diag(a, 1)]],
    "diagflat": [lambda a, b, v, c, s, i, n: np.diagflat(s, 1)],
    "tril": [lambda a, b, v, c, s, i, n: np.tril(a, 1)],
    "triu": [lambda a, b, v, c, s, i, n: np.triu(a, k=-1)],
    "dot": [
        lambda a, b, v, c, s, i, n: np.dot(a, v),
        lambda a, b, v, c, s, i, n: np.dot(a, np.ones((4, 2))),
        lambda a, b, v, c, s, i, n: np.dot(2.0, v),
    ],
    "tensordot": [lambda a, b, v, c, s, i, n: np.tensordot(c, a, axes=([1, 2], [0, 1]))],
    "linalg.tensordot": [lambda a, b, v, c, s, i, n: np.linalg.tensordot(s, c, axes=(1, 1))],
    "linalg.matmul": [lambda a, b, v, c, s, i, n: np.linalg.matmul(s, a)],
    "linalg.multi_dot": [lambda a, b, v, c, s, i, n: np.linalg.multi_dot([s, a, b.T])],
    "linalg.outer": [lambda a, b, v, c, s, i, n: np.linalg.outer(v, s[0])],
    "linalg.vecdot": [lambda a, b, v, c, s, i, n: np.linalg.vecdot(a, b, axis=0)],
    "vdot": [lambda a, b, v, c, s, i, n: np.vdot(a, b)],
    "outer": [lambda a, b, v, c, s, i, n: np.outer(a, v)],
    "inner": [
        lambda a, b, v, c, s, i, n: np.inner(a, b),
        lambda a, b, v, c, s, i, n: np.inner(c, v),
        lambda a, b, v, c, s, i, n: np.inner(v[0], a),
    ],
    "nan_to_num": [
        lambda a, b, v, c, s, i, n: np.nan_to_num(n),
        lambda a, b, v, c, s, i, n: np.nan_to_num(n, nan=1.0, posinf=5.0, neginf=-7.0),
    ],
    "isclose": [lambda a, b, v, c, s, i, n: np.isclose(n, n, equal_nan=True)],
    "allclose": [lambda a, b, v, c, s, i, n: np.allclose(a, a + 1e-3, atol=1e-2)],
    "fix": [lambda a, b, v, c, s, i, n: np.fix(3 * a)],
    "where": [lambda a, b, v, c, s, i, n: np.where(a > 0, b, v)],
    "select": [lambda a, b, v, c, s, i, n: np.select([a > 1, a > 0], [b, a], 7.0)],
    "clip": [
        lambda a, b, v, c, s, i, n: np.clip(a, -0.5, 0.5),
        lambda a, b, v, c, s, i, n: np.clip(a, None, 0.5),
        lambda a, b, v, c, s, i, n: np.clip(a, v, None),
    ],
    "round": [
        lambda a, b, v, c, s, i, n: np.round(3 * a),
        lambda a, b, v, c, s, i, n: np.round(a, 2),
        lambda a, b, v, c, s, i, n: np.round(100 * a, decimals=-1),
        lambda a, b, v, c, s, i, n: np.round(i, 1),
    ],
    "around": [lambda a, b, v, c, s, i, n: np.around(a)],
}


def by_name(name):
    found = np
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            pytest.skip(f"this NumPy has no {name}")
    return found


def test_the_whole_table_is_tested():
    tested = {by_name(name) for name in USES if hasattr(np, name.split(".")[-1]) or "." in name}
    assert set(FUNCTIONS) == tested


@pytest.mark.parametrize("name", USES)
def test_function(name):
    by_name(name)
    for use in USES[name]:
        same_as_numpy(use)


NEED_SIZES = {
    "squeeze", "broadcast_to", "atleast_1d", "atleast_2d", "atleast_3d", "split", "array_split",
    "hsplit", "dsplit", "unstack", "average", "full_like", "select", "where", "clip",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(USES) - NEED_SIZES))
def test_function_without_known_sizes(name):
    by_name(name)
    for use in USES[name]:
        same_as_numpy(use, shapes=False)


# ---- ufuncs

WHOLE = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"}


def operands(ufunc):
    if ufunc.signature is not None:
        return {
            "matmul": [A, B.T], "vecdot": [A, B], "matvec": [C, V], "vecmat": [V, C.swapaxes(1, 2)],
        }[ufunc.__name__]  # fmt: skip
    values = [A, B][: ufunc.nin]
    if ufunc.__name__ in WHOLE:
        return [np.abs(x) for x in [I, I[::-1]][: ufunc.nin]]
    if ufunc.__name__ in {"log", "log2", "log10", "log1p", "sqrt", "power"}:
        return [np.abs(x) for x in values]
    if ufunc.__name__ == "arccosh":
        return [1 + np.abs(A)]
    if ufunc.__name__ in {"arcsin", "arccos", "arctanh"}:
        return [np.tanh(A)]
    return values


def value(result):
    return [x.eval() for x in flat(result)]


@pytest.fixture
def interpreted():
    with symnet.config.change(mode="reference"):
        yield


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_ufunc(ufunc, interpreted):
    arrays = operands(ufunc)
    variables = [symnet.shared(x, shape=x.shape) for x in arrays]
    for ours, theirs in zip(value(ufunc(*variables)), flat(ufunc(*arrays)), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ufunc", REDUCTIONS, ids=lambda u: u.__name__)
def test_reductions_by_ufuncs(ufunc, interpreted):
    x = symnet.shared(C)
    for keywords in [{}, {"axis": None}, {"axis": (0, 2), "keepdims": True}, {"axis": -1}]:
        (ours,) = value(ufunc.reduce(x, **keywords))
        np.testing.assert_allclose(ours, ufunc.reduce(C, **keywords), rtol=1e-12)
    (ours,) = value(ufunc.reduce(x, 1))
    np.testing.assert_allclose(ours, ufunc.reduce(C, 1), rtol=1e-12)


def test_sum_of_a_ufunc_in_another_dtype(interpreted):
    x = symnet.shared(I)
    (ours,) = value(np.add.reduce(x, axis=1, dtype="float32"))
    assert ours.dtype == "float32"
    assert ours.tolist() == I.sum(1).tolist()


@pytest.mark.parametrize("ufunc", [np.add, np.maximum, np.less, np.hypot])
def test_outer(ufunc, interpreted):
    for x, y in [(V, A), (A, V), (V, 2.0)]:
        (ours,) = value(ufunc.outer(symnet.shared(x), y))
        np.testing.assert_allclose(ours, ufunc.outer(x, y), rtol=1e-12)
        (ours,) = value(ufunc.outer(y, symnet.shared(x)))
        np.testing.assert_allclose(ours, ufunc.outer(y, x), rtol=1e-12)


@given(st.sampled_from(["int8", "int32", "int64", "float32", "float64", "bool"]))
def test_dtype_of_a_ufunc(dtype):
    x, whole = T.fvector("x"), T.ivector("i")
    for array, variable in [(np.zeros(2, "f"), x), (np.zeros(2, "i"), whole)]:
        try:
            expected = np.multiply(array, array, dtype=dtype)
        except TypeError:  # of another kind
            with pytest.raises(TypeMismatchError, match="another kind"):
                np.multiply(variable, variable, dtype=dtype)
        else:
            assert np.multiply(variable, variable, dtype=dtype).dtype == expected.dtype


def test_dtype_is_that_of_the_computation(interpreted):
    x = symnet.shared(np.array([2**24, 1], "float32"))
    (ours,) = value(np.add(x, 1, dtype="float64"))
    assert ours.tolist() == [2**24 + 1, 2]


# ---- what is refused


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: np.linalg.svd(x), r"numpy\.linalg\.svd does not take symbolic variables"),
        (lambda x: np.median(x), r"numpy\.median .*eval"),
        (lambda x: np.sum(x, out=np.zeros(2)), r"numpy\.sum of symbolic.* out=.*it takes a, axis"),
        (lambda x: np.sum(x, where=np.ones(2, bool)), "where="),
        (lambda x: np.max(x, initial=3.0), "initial="),
        (lambda x: np.reshape(x, (3, -1), order="F"), "order='F'"),
        (lambda x: np.nan_to_num(x, copy=False), "copy=False"),
        (lambda x: np.concatenate([x, x], casting="unsafe"), "casting='unsafe'"),
        (lambda x: np.take(x, [0], mode="clip"), "mode='clip'"),
        (lambda x: np.diff(x, prepend=0), "prepend"),
        (lambda x: np.where(x), "number is not known"),
        (lambda x: np.linalg.norm(x, 2), "singular values"),
        (lambda x: np.linalg.norm(x, "nuc"), "singular values"),
        (lambda x: np.trace(np.stack([x, x])), "of matrices"),
        (lambda x: np.exp(x, out=np.zeros((2, 2))), r"numpy\.exp .*with out="),
        (lambda x: np.exp(x, where=np.ones(2, bool)), "with where="),
        (lambda x: np.add.accumulate(x), r"numpy\.add\.accumulate does not"),
        (lambda x: np.add.at(x, [0], 1), r"numpy\.add\.at does not"),
        (lambda x: np.subtract.reduce(x), r"numpy\.subtract\.reduce does not"),
        (lambda x: np.add.reduce(x, where=np.ones(2, bool)), "with where="),
        (lambda x: np.gcd(x, x), r"numpy\.gcd does not"),
        (lambda x: np.less(x, x, dtype="float32"), "gives bool"),
        (lambda x: np.copyto(np.zeros((2, 2)), x), r"numpy\.copyto does not"),
        (lambda x: np.save("nothing", x), r"does not take symbolic"),
    ],
)
def test_what_is_refused(use, message):
    with pytest.raises(TypeMismatchError, match=message):
        use(T.matrix("x"))


def test_memory_arguments_at_their_defaults_are_fine():
    x = T.matrix("x")
    assert np.exp(x, out=None, where=True).type is x.type
    assert np.sum(x, out=None).type.ndim == 0
    assert np.add.reduce(x, out=None, axis=None).type.ndim == 0


def test_pieces_of_an_unknown_size():
    with pytest.raises(ShapeError, match="not known"):
        np.array_split(T.vector("x"), 2)
    first, second = np.split(T.vector("x"), [1])  # cuts need no size
    assert first.type.ndim == second.type.ndim == 1


def test_an_expression_by_numpy_names_your_line():
    x = T.matrix("x")
    y = np.sum(np.exp(x), axis=1)
    assert "np.sum(np.exp(x), axis=1)" in y.origin.text
    assert y.origin.file.endswith("test_numpy_functions.py")


def test_compiled_and_differentiated():
    x = T.dmatrix("x")
    cost = np.mean(np.square(np.clip(x, -1, 1))) + np.linalg.norm(x)
    gradient = symnet.function([x], symnet.grad(cost, x))(A)
    expected = np.where(np.abs(A) <= 1, 2 * A, 0) / A.size + A / np.linalg.norm(A)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10)
