"""Deep, narrow MLPs: how compile time grows with the number of layers."""

import numpy as np

RATE = 0.01


def data(
    layers: int, batch: int, width: int, **_: object
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """x (batch, width), and per layer a weight (width, width) and a bias (width,); float32."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, width)).astype(np.float32)
    scale = 1 / np.sqrt(width)
    weights = [
        (rng.standard_normal((width, width)) * scale).astype(np.float32) for _ in range(layers)
    ]
    biases = [np.full(width, 0.1 * (-1) ** k, np.float32) for k in range(layers)]
    return x, weights, biases


def costs(layers: int, batch: int, width: int, **_: object) -> list[float]:
    """The mean square of the last layer before and after one SGD step, in float64."""
    x, weights, biases = data(layers, batch, width)
    w, b = ([v.astype(np.float64) for v in group] for group in (weights, biases))
    result = []
    for _ in range(2):
        h = [x.astype(np.float64)]
        for k in range(layers):
            h.append(np.tanh(h[-1] @ w[k] + b[k]))
        result.append(float((h[-1] ** 2).mean()))
        d = 2 * h[-1] / h[-1].size
        for k in reversed(range(layers)):
            d = d * (1 - h[k + 1] ** 2)
            d, gw, gb = d @ w[k].T, h[k].T @ d, d.sum(0)
            w[k] -= RATE * gw
            b[k] -= RATE * gb
    return result


REFERENCES = {"costs": costs}
