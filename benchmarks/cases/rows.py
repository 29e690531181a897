"""Functions of the rows of a matrix: softmax, layer normalisation, and their gradients.

softmax             every row's exponentials over their sum
cross-entropy       the gradient of the mean cross-entropy of softmax with labels
layer-norm          (x - mean) / sqrt(variance + EPSILON) * scale + shift
layer-norm-gradient of sum(layer-norm * upstream): for x, scale and shift

Ba, Kiros and Hinton, Layer normalization, arXiv:1607.06450, 2016.
"""

from typing import NamedTuple

import numpy as np

from . import digest

EPSILON = 1e-5


class Data(NamedTuple):
    """x and upstream float32 (rows, columns), scale and shift (columns,), labels int64 (rows,)."""

    x: np.ndarray
    upstream: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    labels: np.ndarray


class Program(digest.Program):
    """Common part of the peers' programs of this family; they define `call`."""

    against = "values"

    def __init__(self, kind: str, rows: int, columns: int):
        self.kind, self.data = kind, data(rows, columns)


def data(rows: int, columns: int, **_: object) -> Data:
    rng = np.random.default_rng(0)
    x, upstream = (rng.standard_normal((rows, columns), dtype=np.float32) for _ in range(2))
    scale, shift = (rng.uniform(0.5, 1.5, columns).astype(np.float32) for _ in range(2))
    return Data(x + 0.1, upstream, scale, shift, rng.integers(0, columns, rows))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    e /= e.sum(1, keepdims=True)
    return e


def compute(kind: str, d: Data) -> list[np.ndarray]:
    """In NumPy, in the precision of the data."""
    if kind == "softmax":
        return [softmax(d.x)]
    if kind == "cross-entropy":
        p = softmax(d.x)
        p[np.arange(len(p)), d.labels] -= 1
        p /= len(p)
        return [p]
    centred = d.x - d.x.mean(1, keepdims=True)
    root = np.sqrt((centred * centred).mean(1, keepdims=True) + d.x.dtype.type(EPSILON))
    centred /= root  # now normalised
    if kind == "layer-norm":
        return [centred * d.scale + d.shift]
    g = d.upstream * d.scale
    inner = g - g.mean(1, keepdims=True) - centred * (g * centred).mean(1, keepdims=True)
    return [inner / root, (d.upstream * centred).sum(0), d.upstream.sum(0)]


def values(kind: str, rows: int, columns: int) -> list[float]:
    """Digest of the results in float64."""
    d = data(rows, columns)
    wide = Data(*(v.astype(np.float64) for v in d[:4]), d.labels)
    return digest.digest(*compute(kind, wide))


REFERENCES = {"values": values}
