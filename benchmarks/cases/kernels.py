"""Large kernels that a device should run as fast as it can copy: their traffic is what they must
read and write once.

add         a + b
chain       sqrt(a^2 + b^2) sigmoid(a) - 0.1 a
softmax     of every row of a
layer-norm  of every row of a, with scale and shift
transpose   a + b^T, for square arrays: whichever way the result lies, one is read across
column-sum  of a
"""

from typing import NamedTuple

import numpy as np

from . import chain, rows

PARTS = 4  # of a result along each axis, compared one by one


class Data(NamedTuple):
    """a and b float32 (rows, columns), scale and shift (columns,)."""

    a: np.ndarray
    b: np.ndarray
    scale: np.ndarray
    shift: np.ndarray


class Program:
    """Common part of the peers' programs of this family; they define `launch`, `finish` and
    `value`."""

    against = "values"

    def __init__(self, kind: str, rows: int, columns: int):
        self.kind, self.data = kind, data(rows, columns)

    def launch(self) -> None:
        """Have the kernel run on the device; it need not be done on return."""
        raise NotImplementedError

    def finish(self) -> None:
        """Wait for the device."""
        raise NotImplementedError

    def value(self) -> np.ndarray:
        """The result."""
        raise NotImplementedError

    def check(self) -> list[float]:
        self.launch()
        return summary(self.value())

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.launch()
        self.finish()


def data(rows: int, columns: int, **_: object) -> Data:
    """Numbers whose size depends on their place, so that none can be taken for another's."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((rows, columns), dtype=np.float32) for _ in range(2))
    slope = np.linspace(0.5, 1.5, columns, dtype=np.float32)
    a += slope
    b *= 2 * slope
    b += np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    scale, shift = (rng.uniform(0.5, 1.5, columns).astype(np.float32) for _ in range(2))
    return Data(a, b, scale, shift)


def compute(kind: str, d: Data) -> np.ndarray:
    """In NumPy, in the precision of the data."""
    if kind == "add":
        return d.a + d.b
    if kind == "chain":
        return chain.array(d.a, d.b)
    if kind == "softmax":
        return rows.softmax(d.a)
    if kind == "layer-norm":
        (result,) = rows.compute(kind, rows.Data(d.a, d.b, d.scale, d.shift, np.empty(0)))
        return result
    if kind == "transpose":
        return d.a + d.b.T
    return d.a.sum(0)


def summary(result: np.ndarray) -> list[float]:
    """Mean magnitude and mean square of every part, in float64. (Rows of softmax have the same sum,
    whatever is in them; their squares do not.)"""
    blocks = [result]
    for axis in range(result.ndim):
        blocks = [part for block in blocks for part in np.array_split(block, PARTS, axis)]
    wide = [block.astype(np.float64) for block in blocks]
    return [float(v) for w in wide for v in (np.abs(w).mean(), np.square(w).mean())]


def values(kind: str, rows: int, columns: int) -> list[float]:
    """Summary of the result in float64."""
    return summary(compute(kind, Data(*(v.astype(np.float64) for v in data(rows, columns)))))


def traffic(kind: str, rows: int, columns: int, **_: object) -> int:
    """Bytes that the kernel has to read or to write: operands and result, each once."""
    arrays = {"softmax": 2, "layer-norm": 2, "column-sum": 1}.get(kind, 3)
    vectors = {"layer-norm": 2, "column-sum": 1}.get(kind, 0)
    return 4 * columns * (arrays * rows + vectors)


def pattern(size: int) -> np.ndarray:
    """So many bytes, for the copy."""
    return np.resize(np.arange(1, 252, dtype=np.uint8), size)


def copied(**parameters: object) -> list[float]:
    """Summary of what the copy has to have copied."""
    return summary(pattern(traffic(**parameters) // 2))


REFERENCES = {"values": values, "copied": copied}
