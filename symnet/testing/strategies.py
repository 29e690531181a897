"""Hypothesis strategies for shapes, dtypes and arrays as users have them.

Needs the package hypothesis (extra "test").
"""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from symnet.graph.types import DTYPES, FLOATS, HALVES, NUMPY_DTYPES

# Sizes where code that works in blocks and vectors has its seams.
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65)

SPECIAL = (
    0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 0.5, -0.5, 2.0, 88.7, -87.4,
    104.0, 709.8, -745.2, 1e-30, -1e-30, 1e-45, 5e-324, 3.4e38, -3.4e38, 1e300, 1e-300, 1e-7,
)  # fmt: skip


def shapes(min_ndim: int = 0, max_ndim: int = 3, max_size: int = 17) -> SearchStrategy:
    """Shapes with sizes 0, 1, odd ones and powers of two; shrinks to small ones."""
    sizes = st.sampled_from([s for s in SIZES if s <= max_size])
    return st.lists(sizes, min_size=min_ndim, max_size=max_ndim).map(tuple)


def dtypes(kinds: str = "biuf", halves: bool = False) -> SearchStrategy:
    """Names of dtypes of the given NumPy kinds; among the floats float16 and bfloat16 if asked
    for (the latter needs the package ml_dtypes)."""
    wanted = [d for d in DTYPES if halves or d not in HALVES]
    return st.sampled_from([d for d in wanted if _kind(d) in kinds])


def _kind(dtype: str) -> str:
    return "f" if dtype in FLOATS else "b" if dtype == "bool" else dtype[0]


@st.composite
def broadcast_shapes(draw: DrawFn, count: int = 2, max_ndim: int = 3) -> list[tuple[int, ...]]:
    """Shapes that broadcast: of one shape some dimensions are 1, or leading ones are missing."""
    full = draw(shapes(max_ndim=max_ndim))
    result = []
    for _ in range(count):
        ones = draw(st.lists(st.booleans(), min_size=len(full), max_size=len(full)))
        shape = tuple(1 if one else size for one, size in zip(ones, full))
        result.append(shape[draw(st.integers(0, len(full))) :])
    return result


@st.composite
def arrays(
    draw: DrawFn,
    dtype: str = "float64",
    shape: Sequence[int] | None = None,
    low: float = -10.0,
    high: float = 10.0,
    special: bool = False,
    layouts: bool = False,
) -> np.ndarray:
    """Arrays filled with numbers from [low, high].

    special   sprinkle in zeros of both signs, infinities, NaN, huge and tiny numbers
    layouts   also read-only, transposed, strided, reversed and byte-swapped memory
    """
    shape = tuple(draw(shapes())) if shape is None else tuple(shape)
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype in FLOATS:
        kind = NUMPY_DTYPES[dtype]
        array = np.asarray(generator.uniform(low, high, shape)).astype(kind)
        if special and array.size:
            count = draw(st.integers(0, min(array.size, 8)))
            values = draw(st.lists(st.sampled_from(SPECIAL), min_size=count, max_size=count))
            places = generator.integers(0, array.size, count)
            with np.errstate(over="ignore", under="ignore"):
                array.reshape(-1)[places] = np.array(values, "float64").astype(kind)
    elif dtype == "bool":
        array = np.asarray(generator.integers(0, 2, shape)).astype(dtype)
    else:
        bounds = np.iinfo(dtype)
        least, most = max(bounds.min, int(low)), min(bounds.max, int(high))
        array = np.asarray(generator.integers(least, most + 1, shape)).astype(dtype)
        if special and array.size:
            array.reshape(-1)[0] = draw(st.sampled_from([bounds.min, bounds.max, 0, 1]))
    if layouts:
        array = _laid_out(array, draw(st.sampled_from(LAYOUTS)))
    return array


LAYOUTS = ("C", "read-only", "transposed", "strided", "reversed", "swapped", "unaligned")


def _laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same values in another kind of memory."""
    if layout == "read-only":
        array.flags.writeable = False
    elif layout == "transposed":
        return np.array(array.T, order="C").T
    elif layout == "strided" and array.ndim:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    elif layout == "reversed" and array.ndim:
        return np.array(array[::-1], order="C")[::-1]
    elif layout == "swapped" and array.dtype.name != "bfloat16":  # which has no other order
        return array.astype(array.dtype.newbyteorder())
    elif layout == "unaligned":
        raw = np.zeros(array.nbytes + 1, "uint8")
        view = raw[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        return view
    return array
