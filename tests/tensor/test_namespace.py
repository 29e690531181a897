"""T.* against NumPy: one row per function, values, shapes and static types."""

import numpy as np
import pytest

import symnet.tensor as T
from symnet.backends.reference import evaluate
from symnet.errors import IndexOutOfBoundsError, ShapeError, TypeMismatchError

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 4))
B = RNG.normal(size=(3, 4))
V = RNG.normal(size=4)
C = RNG.normal(size=(2, 3, 4))
I = RNG.integers(-3, 3, size=(3, 4))
K = np.array([2, 0, 1])

a, b = T.dmatrices("a", "b")
v = T.dvector("v")
c = T.dtensor3("c")
i = T.lmatrix("i")
k = T.lvector("k")
n = T.lscalar("n")
VALUES = {a: A, b: B, v: V, c: C, i: I, k: K, n: np.array(2)}

TABLE = {
    # operators
    "add": (lambda: a + b, A + B),
    "weak": (lambda: 2 * a - 1, 2 * A - 1),
    "reflected": (lambda: 1 - a, 1 - A),
    "divide": (lambda: 1 / a, 1 / A),
    "floor": (lambda: i // 2, I // 2),
    "modulo": (lambda: i % 2, I % 2),
    "divmod": (lambda: sum(divmod(i, 2)), sum(divmod(I, 2))),
    "power": (lambda: abs(a) ** 1.5, abs(A) ** 1.5),
    "rpower": (lambda: 2**a, 2**A),
    "negative": (lambda: -a, -A),
    "positive": (lambda: +a, A),
    "compare": (lambda: (a < b) | (a >= 0.5), (A < B) | (A >= 0.5)),
    "bits": (lambda: (i & 3) ^ (i << 1), (I & 3) ^ (I << 1)),
    "invert": (lambda: ~i, ~I),
    "invert bool": (lambda: ~(a < b), ~(A < B)),
    "matmul": (lambda: a @ b.T, A @ B.T),
    "matrix vector": (lambda: a @ v, A @ V),
    "array @ variable": (lambda: A.T @ a, A.T @ A),
    "array + variable": (lambda: A + b, A + B),
    "array * row": (lambda: V * a, V * A),
    # methods
    "T": (lambda: a.T, A.T),
    "dot": (lambda: a.dot(v), A.dot(V)),
    "sum": (lambda: a.sum(axis=0), A.sum(0)),
    "sum keepdims": (lambda: a.sum(axis=1, keepdims=True), A.sum(1, keepdims=True)),
    "mean": (lambda: c.mean(axis=(0, 2)), C.mean((0, 2))),
    "var": (lambda: a.var(axis=1, ddof=1), A.var(1, ddof=1)),
    "std": (lambda: a.std(), A.std()),
    "max": (lambda: a.max(axis=-1), A.max(-1)),
    "min": (lambda: a.min(), A.min()),
    "argmax": (lambda: a.argmax(axis=0), A.argmax(0)),
    "argmin": (lambda: a.argmin(), A.argmin()),
    "prod": (lambda: a.prod(axis=0), A.prod(0)),
    "any": (lambda: (a > 1).any(axis=0), (A > 1).any(0)),
    "all": (lambda: (a > -1).all(), (A > -1).all()),
    "norm": (lambda: a.norm(2, axis=0), np.linalg.norm(A, 2, axis=0)),
    "norm 1": (lambda: a.norm(1), abs(A).sum()),
    "norm 3": (lambda: v.norm(3), np.linalg.norm(V, 3)),
    "norm inf": (lambda: v.norm(np.inf), np.linalg.norm(V, np.inf)),
    "norm 0": (lambda: T.norm(i, 0), np.float32(np.count_nonzero(I))),
    "reshape": (lambda: a.reshape((2, -1)), A.reshape(2, -1)),
    "reshape args": (lambda: a.reshape(n, 6), A.reshape(2, 6)),
    "reshape vector": (lambda: a.reshape(b.shape), A),
    "flatten": (lambda: c.flatten(2), C.reshape(2, 12)),
    "ravel": (lambda: a.ravel(), A.ravel()),
    "dimshuffle": (lambda: a.dimshuffle(1, "x", 0), A.T[:, None]),
    "dimshuffle list": (lambda: a.dimshuffle([1, 0]), A.T),
    "transpose": (lambda: c.transpose(2, 0, 1), C.transpose(2, 0, 1)),
    "transpose tuple": (lambda: c.transpose((2, 0, 1)), C.transpose(2, 0, 1)),
    "astype": (lambda: a.astype("int32"), A.astype("int32")),
    "astype dtype": (lambda: i.astype(A.dtype), I.astype("float64")),
    "shape": (lambda: a.shape, np.array([3, 4])),
    "shape 0": (lambda: a.shape[0] * 2, np.array(6)),
    "size": (lambda: a.size, np.array(12)),
    "clip": (lambda: a.clip(-0.5, 0.5), A.clip(-0.5, 0.5)),
    "round": (lambda: a.round(), A.round()),
    "fill": (lambda: a.fill(2), np.full((3, 4), 2.0)),
    "take": (lambda: a.take(k, axis=0), A[K]),
    "take flat": (lambda: a.take([0, 11]), A.ravel()[[0, 11]]),
    "copy": (lambda: a.copy(), A),
    "repeat": (lambda: v.repeat(2), V.repeat(2)),
    # indexing
    "index": (lambda: a[1], A[1]),
    "negative index": (lambda: a[-1, n], A[-1, 2]),
    "slice": (lambda: a[1:, ::-2], A[1:, ::-2]),
    "symbolic slice": (lambda: a[n - 1 : n + 5], A[1:7]),
    "None": (lambda: a[:, None, 0], A[:, None, 0]),
    "ellipsis": (lambda: c[..., 1], C[..., 1]),
    "rows": (lambda: a[k], A[K]),
    "points": (lambda: a[T.arange(3), k], A[np.arange(3), K]),
    "set": (lambda: T.set_subtensor(a[1:], 0), np.where(np.arange(3)[:, None] > 0, 0, A)),
    "inc": (lambda: T.inc_subtensor(v[T.constant([0, 0])], 1), V + [2, 0, 0, 0]),
    # shapes
    "swapaxes": (lambda: T.swapaxes(c, 0, -1), C.swapaxes(0, -1)),
    "moveaxis": (lambda: T.moveaxis(c, 0, -1), np.moveaxis(C, 0, -1)),
    "moveaxis several": (lambda: T.moveaxis(c, (0, 1), (2, 0)), np.moveaxis(C, (0, 1), (2, 0))),
    "expand_dims": (lambda: T.expand_dims(a, (0, 3)), A[None, :, :, None]),
    "squeeze": (lambda: T.squeeze(a[None, :, None]), A),
    "squeeze axis": (lambda: T.squeeze(a[:1], 0), A[0]),
    "padleft": (lambda: T.shape_padleft(v, 2), V[None, None]),
    "padright": (lambda: T.shape_padright(v), V[:, None]),
    "padaxis": (lambda: T.shape_padaxis(a, 1), A[:, None]),
    "atleast_3d": (lambda: T.atleast_3d(a), A[None]),
    "broadcast_to": (lambda: T.broadcast_to(v, (3, v.shape[0])), np.broadcast_to(V, (3, 4))),
    "tile": (lambda: T.tile(a, (2, 1, 3)), np.tile(A, (2, 1, 3))),
    "tile short": (lambda: T.tile(a, 2), np.tile(A, 2)),
    "repeat axis": (lambda: T.repeat(a, n, axis=0), A.repeat(2, 0)),
    "specify_shape": (lambda: T.specify_shape(a, (3, None)), A),
    "addbroadcast": (lambda: T.addbroadcast(a[:1], 0) + b, A[:1] + B),
    # put together
    "concatenate": (lambda: T.concatenate([a, b], axis=1), np.concatenate([A, B], 1)),
    "join": (lambda: T.join(0, a, b), np.concatenate([A, B])),
    "stack": (lambda: T.stack([a, b], axis=1), np.stack([A, B], 1)),
    "stack args": (lambda: T.stack(v, v), np.stack([V, V])),
    "stack positional": (lambda: T.stack([a, b], 2), np.stack([A, B], 2)),
    "stacklists": (lambda: T.stacklists([[v, 2 * v], [v, v]]), np.array([[V, 2 * V], [V, V]])),
    "hstack": (lambda: T.hstack([a, b]), np.hstack([A, B])),
    "hstack vectors": (lambda: T.hstack([v, v]), np.hstack([V, V])),
    "horizontal_stack": (lambda: T.horizontal_stack(a, b), np.hstack([A, B])),
    "vertical_stack": (lambda: T.vertical_stack(a, b), np.vstack([A, B])),
    "largest": (lambda: T.largest(a, b, 0), np.maximum(np.maximum(A, B), 0)),
    "smallest": (lambda: T.smallest(a, b, v), np.minimum(np.minimum(A, B), V)),
    "vstack": (lambda: T.vstack([a, v]), np.vstack([A, V])),
    "split": (lambda: T.split(v, [1, 3], 2)[1], V[1:]),
    "split equally": (lambda: T.split(T.specify_shape(v, (4,)), 2)[1], V[2:]),
    "as_tensor": (lambda: T.as_tensor([v[0], 1.0, v.sum()]), np.array([V[0], 1, V.sum()])),
    "roll": (lambda: T.roll(a, 1, axis=1), np.roll(A, 1, 1)),
    "roll back": (lambda: T.roll(a, -5), np.roll(A, -5)),
    "flip": (lambda: T.flip(a, 1), A[:, ::-1]),
    "flip all": (lambda: T.flip(a), A[::-1, ::-1]),
    # made
    "arange": (lambda: T.arange(1, n + 5, 2), np.arange(1, 7, 2)),
    "zeros": (lambda: T.zeros((n, 3)), np.zeros((2, 3), "float32")),
    "ones_like": (lambda: T.ones_like(a), np.ones((3, 4))),
    "full": (lambda: T.full((2, n), 7, dtype="int8"), np.full((2, 2), 7, "int8")),
    "alloc": (lambda: T.alloc(v, n, 4), np.array([V, V])),
    "fill function": (lambda: T.fill(a, v), np.broadcast_to(V, (3, 4))),
    "eye": (lambda: T.eye(3, 4, 1), np.eye(3, 4, 1, dtype="float32")),
    "identity_like": (lambda: T.identity_like(a), np.eye(3, 4)),
    "one_hot": (lambda: T.one_hot(k, 3), np.eye(3, dtype="float32")[K]),
    "tril": (lambda: T.tril(a, 1), np.tril(A, 1)),
    "triu": (lambda: T.triu(a), np.triu(A)),
    "diag": (lambda: T.diag(a), np.diag(A)),
    "diagonal below": (lambda: T.diagonal(a, -1), np.diagonal(A, -1)),
    "diag of vector": (lambda: T.diag(v), np.diag(V)),
    "diag above": (lambda: T.diag(v, 1), np.diag(V, 1)),
    "diag below": (lambda: T.diag(v, -2), np.diag(V, -2)),
    "trace": (lambda: T.trace(a), np.trace(A)),
    # matrices
    "outer": (lambda: T.outer(v, v), np.outer(V, V)),
    "tensordot": (lambda: T.tensordot(c, a, 2), np.tensordot(C, A, 2)),
    "batched_dot": (lambda: T.batched_dot(c, c.transpose(0, 2, 1)), C @ C.transpose(0, 2, 1)),
    "matmul batches": (lambda: T.matmul(c, a.T), C @ A.T),
    # element-wise
    "n-ary": (lambda: T.add(a, b, 1) + T.mul(a, b, 2), A + B + 1 + 2 * A * B),
    "switch": (lambda: T.switch(a > 0, 1.5, b), np.where(A > 0, 1.5, B)),
    "switch of numbers": (lambda: T.switch(a, 1, 0), np.ones((3, 4), "int64")),
    "isclose": (lambda: T.isclose(a, a + 1e-9), np.ones((3, 4), bool)),
    "allclose": (lambda: T.allclose(a, b), np.array(False)),
    "nan_to_num": (lambda: T.nan_to_num(0 * (a / 0)), np.zeros((3, 4))),
    "ceil_intdiv": (lambda: T.ceil_intdiv(i, 2), -(-I // 2)),
    "iround": (lambda: T.iround(a), np.rint(A).astype("int64")),
    "ptp": (lambda: T.ptp(a, 0), np.ptp(A, 0)),
    "max_and_argmax": (lambda: T.max_and_argmax(a, 0)[1], A.argmax(0)),
    "count_nonzero": (lambda: T.count_nonzero(i, 1), np.count_nonzero(I, 1)),
    "mean of integers": (lambda: T.mean(i), np.float32(I.mean())),
    "sum dtype": (lambda: T.sum(i, dtype="float64"), I.sum(dtype="float64")),
    # NumPy's functions
    "np.exp": (lambda: np.exp(a), np.exp(A)),
    "np.maximum": (lambda: np.maximum(a, 0), np.maximum(A, 0)),
    "np.sum": (lambda: np.sum(a, axis=0), A.sum(0)),
    "np.concatenate": (lambda: np.concatenate([a, b], axis=1), np.concatenate([A, B], 1)),
    "np.stack": (lambda: np.stack([v, v], axis=1), np.stack([V, V], 1)),
    "np.where": (lambda: np.where(a > 0, a, 0), np.where(A > 0, A, 0)),
    "np.transpose": (lambda: np.transpose(c), C.T),
    "np.reshape": (lambda: np.reshape(a, (4, 3)), A.reshape(4, 3)),
    "np.dot": (lambda: np.dot(a, v), A @ V),
    "np.linalg.norm": (lambda: np.linalg.norm(v), np.linalg.norm(V)),
}


@pytest.mark.parametrize("name", TABLE)
def test_against_numpy(name):
    build, expected = TABLE[name]
    out = build()
    (got,) = evaluate([out], VALUES)
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype == out.type.numpy_dtype
    assert got.shape == expected.shape
    assert all(n in (None, m) for n, m in zip(out.type.shape, expected.shape))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_all_names_exist():
    assert not [name for name in T.__all__ if not hasattr(T, name)]
    assert len(set(T.__all__)) == len(T.__all__)


THEANO = set(
    """
    Lop Rop
    abs_ add alloc all allclose and_ any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh
    argmax argmin as_tensor_variable batched_dot cast ceil clip col concatenate constant cos cosh
    deg2rad diag dmatrix dot dscalar dvector eq erf erfc exp exp2 expm1 eye fill flatten floor
    grad hessian jacobian verify_grad
    fmatrix ftensor4 fvector ge gt horizontal_stack imatrix inc_subtensor int_div inv invert iround
    iscalar isclose isinf isnan ivector join largest le log log10 log1p log2 lscalar lt lvector
    matrices matrix max max_and_argmax maximum mean min minimum mod mul neg neq nnet ones ones_like
    or_ outer patternbroadcast pow prod ptp rad2deg repeat roll round row scalar scalars second
    set_subtensor sgn shape shape_padaxis shape_padleft shape_padright shared_randomstreams sin sinh
    smallest specify_shape split sqr sqrt square squeeze stack stacklists std sub sum switch take
    tan tanh tensor tensor3 tensor4 tensordot tile trace transpose tri tril triu true_div trunc
    unbroadcast var vector vectors vertical_stack where xor zeros zeros_like
    """.split()
)


def test_theanos_names_are_there():
    assert not THEANO - set(T.__all__)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: T.transpose(a, 0), TypeMismatchError, "not a permutation"),
        (lambda: T.dimshuffle(a, 0), ShapeError, "drops dimension 1"),
        (lambda: T.dimshuffle(a, 0, 2), TypeMismatchError, "there are 2 dimensions"),
        (lambda: T.squeeze(T.matrix(shape=(2, 3)), 0), ShapeError, "size 1"),
        (lambda: T.specify_shape(a, (3,)), ShapeError, "1 sizes"),
        (lambda: T.specify_shape(T.matrix(shape=(2, 3)), (3, 3)), ShapeError, "size 3"),
        (lambda: T.moveaxis(a, (0, 0), (0, 1)), TypeMismatchError, "moveaxis"),
        (lambda: T.diag(c), TypeMismatchError, "diag"),
        (lambda: T.round(a, "up"), TypeMismatchError, "mode='up'"),
        (lambda: T.one_hot(v, 3), TypeMismatchError, "labels are integers"),
        (lambda: T.as_tensor(a, ndim=1), TypeMismatchError, "more than 1"),
        (lambda: T.as_tensor("text"), TypeMismatchError, "text"),
        (lambda: T.dot(T.matrix(shape=(2, 3)), T.matrix(shape=(2, 3))), ShapeError, "3 and 2"),
        (lambda: a[0.5], TypeMismatchError, "0.5"),
        (lambda: a[0, 0, 0], TypeMismatchError, "too few"),
    ],
)
def test_errors_when_built(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: T.specify_shape(a, (4, None)), ShapeError),
        (lambda: T.addbroadcast(a, 0), ShapeError),
        (lambda: a[n + 5], IndexOutOfBoundsError),
        (lambda: T.one_hot(k, 2), IndexOutOfBoundsError),
        (lambda: a + b[:2], ShapeError),
        (lambda: a.reshape((n, 5)), ShapeError),
    ],
)
def test_errors_when_run(build, error):
    with pytest.raises(error):
        evaluate([build()], VALUES)
