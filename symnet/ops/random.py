"""Random draws, counter-based: an element is a function of seed, stream, step and place.

Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC
2011) maps a key of two 32-bit words and a counter of four to four random words. The key is (seed,
stream), the counter (place low, place high, step low, step high). Nothing depends on the order of
evaluation, on the number of threads or on the back end. The NumPy references here are written apart
from the compiled definitions (kernels/scalar), which are tested against them.

`RandomStreams` is what users hold. Its streams are numbered when a draw is built.
"""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.config import config
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import DIGITS, FLOATS, HALVES, TensorType, compute_dtype
from symnet.graph.variables import Apply, SharedVariable, Variable, make_constant, make_shared
from symnet.ops.arithmetic import add, mul, neg, sub, true_div
from symnet.ops.casting import cast, dtype_name
from symnet.ops.conversion import as_variable, floating, is_weak, weak_constant
from symnet.ops.exponential import log1p
from symnet.ops.generate import arange, generator, zeros
from symnet.ops.indexing import index, take
from symnet.ops.joining import stack
from symnet.ops.logic import eq, gt, lt, where
from symnet.ops.movement import broadcast_to, check_sizes, dimshuffle, reshape, size_value
from symnet.ops.reduction import argmin, sum_
from symnet.ops.rounding import floor
from symnet.ops.shape import as_size, as_sizes, multiply, shape_of, sizes_of, static_value

# ---- the reference

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(key: tuple[int, int], counter: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The four words of each counter, as uint32. Counters are four broadcasting arrays."""
    c0, c1, c2, c3 = (np.asarray(c).astype("uint64") & _LOW for c in counter)
    k0, k1 = (int(k) & 0xFFFFFFFF for k in key)
    for _ in range(10):
        left, right = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (right >> _SHIFT) ^ c1 ^ np.uint64(k0),
            right & _LOW,
            (left >> _SHIFT) ^ c3 ^ np.uint64(k1),
            left & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return [c.astype("uint32") for c in np.broadcast_arrays(c0, c1, c2, c3)]


def _words(sizes: Sequence[int], seed: Any, stream: Any, step: Any) -> list[np.ndarray]:
    """The four words of each place of a tensor."""
    place = np.arange(int(np.prod(sizes, dtype="int64")), dtype="uint64").reshape(tuple(sizes))
    time = np.asarray(step).astype("int64").astype("uint64")
    counter = place & _LOW, place >> _SHIFT, time & _LOW, time >> _SHIFT
    return philox((int(seed), int(stream)), counter)


def _fraction(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """The leading 53 bits of two words, as a whole number in float64."""
    return (high >> np.uint32(5)) * 2.0**26 + (low >> np.uint32(6))


def _box_muller(u: np.ndarray, turns: np.ndarray, rest: Any = 0.0) -> np.ndarray:
    """sqrt(-2 log u) cos(2 pi t): Box and Muller (1958), t = (turns + rest) / 2**32.

    The angle is taken from the nearest quarter turn, lest the cosine loses digits near its zeros.
    """
    quarter = np.round(turns.astype("float64") / 2.0**30)
    angle = (turns - quarter * 2.0**30 + rest) * (2 * np.pi / 2.0**32)
    k = quarter.astype("int64") % 4
    cosine = np.choose(k, [np.cos(angle), -np.sin(angle), -np.cos(angle), np.sin(angle)])
    return np.sqrt(np.abs(-2.0 * np.log(u))) * cosine


def _bounded(high: np.ndarray, low: np.ndarray, n: Any) -> np.ndarray:
    """floor(n * (high, low) / 2**64) in exact integers."""
    wide = (high.astype(object) << 32) | low.astype(object)
    return np.asarray((wide * np.asarray(n).astype(object)) >> 64).astype("int64")


_KEY_AND_COUNTER = (
    "cast_uint32(x), cast_uint32(y), cast_uint32(linear), cast_uint32(shift_right(linear, 32)), "
    "cast_uint32(z), cast_uint32(shift_right(z, 32))"
)
_W0, _W1, _W2, _W3 = (f"philox_word{k}({_KEY_AND_COUNTER})" for k in range(4))


@generator("uniform_float32", f"uniform_from_bits_float32({_W0})", 3)
def _uniform_float32(sizes: Sequence[int], *state: Any) -> np.ndarray:
    return ((_words(sizes, *state)[0] >> np.uint32(8)) * 2.0**-24).astype("float32")


@generator("uniform_float64", f"uniform_from_bits_float64({_W0}, {_W1})", 3)
def _uniform_float64(sizes: Sequence[int], *state: Any) -> np.ndarray:
    return _fraction(*_words(sizes, *state)[:2]) * 2.0**-53


@generator("normal_float32", f"normal_from_bits_float32({_W0}, {_W1})", 3)
def _normal_float32(sizes: Sequence[int], *state: Any) -> np.ndarray:
    words = _words(sizes, *state)
    u = (words[0].astype("float32") + np.float32(0.5)) * np.float32(2.0**-32)
    return _box_muller(u.astype("float64"), words[1]).astype("float32")


@generator("normal_float64", f"normal_from_bits_float64({_W0}, {_W1}, {_W2}, {_W3})", 3)
def _normal_float64(sizes: Sequence[int], *state: Any) -> np.ndarray:
    high, low, turns, more = _words(sizes, *state)
    u = (_fraction(high, low) + 1.0) * 2.0**-53
    return _box_muller(u, turns, (more >> np.uint32(1)) * 2.0**-31)


@generator("integers", f"bounded_from_bits({_W0}, {_W1}, w)", 4)
def _integers(sizes: Sequence[int], seed: Any, stream: Any, step: Any, n: Any) -> np.ndarray:
    high, low, _, _ = _words(sizes, seed, stream, step)
    return _bounded(high, low, n)


_DRAWS = {
    ("uniform", "float32"): _uniform_float32,
    ("uniform", "float64"): _uniform_float64,
    ("normal", "float32"): _normal_float32,
    ("normal", "float64"): _normal_float64,
}


@dataclass(frozen=True, slots=True)
class Permutation(Op):
    """A random order of 0 .. n-1, int64: the shuffle of Fisher and Yates, from the front.

    Inputs are n, seed, stream and step, 0-d int64. For i = 1 .. n-1 the element i is exchanged with
    the one at `bounded(word0, word1, i + 1)`, with i as the place in the counter.
    """

    @property
    def ndim(self) -> int:
        return 4  # scalars it takes, all of them int64

    def output_types(self, *inputs: Variable) -> list[TensorType]:
        check_sizes(self, inputs)
        n = static_value(inputs[0])
        if n is not None and n < 0:
            raise ShapeError(f"{self} of {n} elements")
        return [TensorType("int64", (n,))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [(size_value(node.inputs[0], context, "the size of a permutation"),)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        n, *state = inputs
        if n < 0:
            raise ShapeError(f"{self} of {n} elements")
        order = np.arange(int(n), dtype="int64")
        words = _words((int(n),), *state)
        partners = _bounded(words[0], words[1], order + 1)
        for i, j in enumerate(partners.tolist()):
            order[i], order[j] = order[j], order[i]
        return [order]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [None] * 4

    def connected(self, node: Apply) -> list[bool]:
        return [False] * 4

    def __str__(self) -> str:
        return "permutation"


# ---- what users hold


class RandomStreams:
    """A source of random expressions, with Theano's methods.

    Each call of a method builds a draw with a stream of its own: the first, the second ... of this
    object. All draws of one object advance together, by one step with every call of a compiled
    function that reads any of them (`state`, through its default update), unless the function is
    built with `no_default_updates`.

    Two objects with the same seed hand out the same streams, hence the same numbers, in this
    process and in any other; for independent numbers take another seed. Without a seed it is the
    operating system's choice. Seeds are whole numbers; those beyond 32 bits are hashed to 32.
    """

    def __init__(self, seed: int | None = None):
        self.state: SharedVariable = make_shared(
            np.array([_as_key(seed), 0], "int64"), name="random_state", shape=(2,)
        )
        self.state.default_update = add(self.state, make_constant([0, 1], "int64"))
        self._streams = 0

    def seed(self, seed: int | None = None) -> None:
        """Start again, at step 0, from another seed."""
        self.state.set_value(np.array([_as_key(seed), 0], "int64"))

    def updates(self) -> list[tuple[SharedVariable, Variable]]:
        """The update that compiled functions make by default, as a pair for `updates=`."""
        return [(self.state, self.state.default_update)]  # type: ignore[list-item]

    def _next(self) -> list[Variable]:
        """Seed, stream and step for one more draw."""
        stream = make_constant(self._streams, "int64")
        self._streams += 1
        return [index(self.state, 0), stream, index(self.state, 1)]

    def _draw(self, kind: str, sizes: Sequence[Variable], dtype: str) -> Variable:
        if dtype not in FLOATS:
            raise TypeMismatchError(f"{kind}: dtype={dtype!r} is not a float")
        if dtype in HALVES:
            drawn = self._draw(kind, sizes, "float32")
            if kind == "uniform":  # rounding could give 1: cut to the digits that halves have
                steps = 2.0 ** DIGITS[dtype]
                drawn = mul(floor(mul(drawn, steps)), 1 / steps)
            return cast(drawn, dtype)
        return _DRAWS[kind, dtype](sizes, self._next(), dtype)

    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Variable:
        """Uniform in [low, high). `low` and `high` may be tensors that broadcast to `size`.

        size   sizes, or a symbolic vector of `ndim` elements; None: the shape of the parameters
        dtype  a float; None: floatX
        """
        kind = _float_dtype(dtype)
        sizes, (low, high) = _sizes_and_parameters(size, ndim, [low, high], kind)
        u = self._draw("uniform", sizes, kind)
        if _is_number(low, 0) and _is_number(high, 1):
            return u
        return add(mul(u, sub(high, low)), low)

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Variable:
        """Normal with mean `avg` and standard deviation `std`; arguments as for `uniform`."""
        kind = _float_dtype(dtype)
        sizes, (avg, std) = _sizes_and_parameters(size, ndim, [avg, std], kind)
        z = self._draw("normal", sizes, kind)
        if not _is_number(std, 1):
            z = mul(z, std)
        return z if _is_number(avg, 0) else add(z, avg)

    def bernoulli(
        self, size: Any = None, p: Any = 0.5, ndim: int | None = None, dtype: str = "int64"
    ) -> Variable:
        """1 with probability `p`, which may be a tensor, else 0."""
        kind = config.floatX if is_weak(p) else floating(as_variable(p).type.dtype)
        kind = compute_dtype(kind)  # a probability may be smaller than the steps of halves
        sizes, (p,) = _sizes_and_parameters(size, ndim, [p], kind)
        return cast(lt(self._draw("uniform", sizes, kind), p), dtype)

    def binomial(
        self,
        size: Any = None,
        n: int = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """How many of `n` trials (a constant, and best a small one) succeed with probability p."""
        trials = static_value(as_size(n, "n"))
        if trials is None or trials < 0:
            raise TypeMismatchError(f"binomial: n is a constant, not {n}")
        if trials == 1:
            return self.bernoulli(size, p, ndim, dtype)
        p = as_variable(p)
        sizes = sizes_of(p) if size is None else as_sizes(size, ndim)
        count = as_size(trials)
        return cast(sum_(self.bernoulli([count, *sizes], p), axis=0), dtype)

    def randint(
        self,
        size: Any = None,
        low: Any = 0,
        high: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """Whole numbers from `low` to below `high`, scalars; randint(size, n) is 0 .. n-1."""
        if high is None:
            low, high = 0, low
        first, after = as_size(low, "low"), as_size(high, "high")
        known = static_value(first), static_value(after)
        if None not in known and known[0] >= known[1]:  # type: ignore[operator]
            raise ShapeError(f"randint: nothing lies between {known[0]} and {known[1]}")
        span = after if known[0] == 0 else as_size(sub(after, first))
        sizes = [] if size is None else as_sizes(size, ndim)
        drawn = _integers(sizes, [*self._next(), span], "int64")
        return cast(drawn if known[0] == 0 else add(drawn, first), dtype)

    def random_integers(
        self,
        size: Any = None,
        low: Any = 0,
        high: Any = 1,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """Whole numbers from `low` to `high`, both included: Theano's."""
        return self.randint(size, low, add(as_size(high, "high"), 1), ndim, dtype)

    def permutation(
        self, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: str = "int64"
    ) -> Variable:
        """A random order of 0 .. n-1, as a vector; with `size`, known numbers, as many of them:
        size + (n,)."""
        order = Permutation()
        if size is None:
            return cast(order(as_size(n), *self._next()), dtype)
        sizes = [static_value(s) for s in as_sizes(size, ndim)]
        if None in sizes:
            raise TypeMismatchError(f"permutation: size={size} is not known when it is built")
        count = as_size(n)
        drawn = [order(count, *self._next()) for _ in range(math.prod(sizes))]  # type: ignore[arg-type]
        rows = stack(drawn) if drawn else zeros((0, count), "int64")
        return cast(reshape(rows, [*sizes, count]), dtype)

    def shuffle_row_elements(self, x: Any) -> Variable:
        """`x` with the elements of every row, its last dimension, in random order. Of other
        dimensions the sizes must be known."""
        x = as_variable(x)
        if x.type.ndim <= 1:
            return take(x, self.permutation(n=shape_of(x, 0)), axis=0)
        rows = reshape(x, [multiply(sizes_of(x)[:-1]), shape_of(x, -1)])
        orders = self.permutation(sizes_of(rows)[:1], n=shape_of(x, -1))
        places = dimshuffle(arange(shape_of(rows, 0)), (0, "x"))
        return reshape(index(rows, (places, orders)), sizes_of(x))

    def multinomial(
        self,
        size: Any = None,
        n: int = 1,
        pvals: Any = (0.5, 0.5),
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """How often each class is drawn in `n` trials (a constant, and best 1: one-hot).

        pvals  probabilities (or weights) of the classes, along the last dimension
        size   sizes without the classes; None: those of `pvals`. The result has one dimension
               more, the classes
        """
        trials = static_value(as_size(n, "n"))
        if trials is None or trials < 0:
            raise TypeMismatchError(f"multinomial: n is a constant, not {n}")
        p, sizes = _classes("multinomial", pvals, size, ndim)
        chosen = self._category(p, [as_size(trials), *sizes])
        place = dimshuffle(chosen, (*range(chosen.type.ndim), "x"))
        return cast(sum_(eq(place, arange(shape_of(p, -1))), axis=0), dtype)

    def choice(
        self,
        size: Any = (),
        a: Any = 2,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """Elements of the vector `a`, or of 0 .. a-1, with probabilities `p` (None: equal ones).

        Without replacement only for p=None and one size, at most the number of elements.
        """
        pool = as_variable(a)
        if pool.type.ndim > 1:
            raise TypeMismatchError(f"choice: a={a} is a number or a vector")
        count = shape_of(pool, 0) if pool.type.ndim else as_size(pool)
        if not replace:
            sizes = [] if size is None else as_sizes(size, ndim)
            if p is not None or len(sizes) != 1:
                raise TypeMismatchError("choice: replace=False is for p=None and one size")
            order = self.permutation(n=count)
            chosen = index(order, arange(sizes[0]))  # IndexOutOfBoundsError if there are too few
        elif p is None:
            chosen = self.randint(size, count, ndim=ndim)
        else:
            weights, sizes = _classes("choice", p, () if size is None else size, ndim)
            chosen = self._category(broadcast_to(weights, [count]), sizes)
        return cast(take(pool, chosen) if pool.type.ndim else chosen, dtype)

    def _category(self, p: Variable, sizes: Sequence[Variable]) -> Variable:
        """An index into the last dimension of `p`, drawn with these weights: the first of
        exponential waiting times with rates `p`."""
        kind = p.type.dtype
        u = self._draw("uniform", [*sizes, shape_of(p, -1)], kind)
        waiting = where(gt(p, 0), true_div(neg(log1p(neg(u))), p), math.inf)
        return argmin(waiting, axis=-1)


def _as_key(seed: int | None) -> int:
    """A seed as 32 bits."""
    if seed is None:
        return secrets.randbits(32)
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise TypeMismatchError(f"seed={seed!r}: a seed is a whole number")
    if 0 <= seed < 2**32:
        return int(seed)
    words = np.random.SeedSequence([abs(int(seed)), int(seed < 0)]).generate_state(1, np.uint32)
    return int(words[0])


def _float_dtype(dtype: str | None) -> str:
    return config.floatX if dtype is None else dtype_name(dtype)


def _classes(name: str, pvals: Any, size: Any, ndim: int | None) -> tuple[Variable, list[Variable]]:
    """Weights of classes as floats, and the sizes of a draw from them."""
    p = as_variable(pvals)
    p = cast(p, compute_dtype(floating(p.type.dtype)))
    if not p.type.ndim:
        raise TypeMismatchError(f"{name}: {p} ({p.type}) has no dimension of classes")
    sizes = sizes_of(p)[:-1] if size is None else as_sizes(size, ndim)
    if p.type.ndim - 1 > len(sizes):
        raise TypeMismatchError(f"{name}: {p} ({p.type}) does not broadcast to {len(sizes)} sizes")
    return p, sizes


def _is_number(variable: Variable, value: float) -> bool:
    data = getattr(variable, "data", None)
    return data is not None and data.ndim == 0 and float(data) == value


def _sizes_and_parameters(
    size: Any, ndim: int | None, parameters: Sequence[Any], dtype: str
) -> tuple[list[Variable], list[Variable]]:
    """Sizes of a draw, and its parameters in its dtype."""
    made = [weak_constant(p, dtype) if is_weak(p) else as_variable(p) for p in parameters]
    made = [cast(p, dtype) for p in made]
    if size is None:
        together = made[0] if len(made) == 1 else add(*made)
        return sizes_of(together), made
    sizes = as_sizes(size, ndim)
    if any(p.type.ndim > len(sizes) for p in made):
        described = ", ".join(f"{p}: {p.type}" for p in made)
        raise TypeMismatchError(f"parameters ({described}) do not broadcast to {len(sizes)} sizes")
    return sizes, made
