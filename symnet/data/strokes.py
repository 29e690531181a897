"""Digits drawn by the computer, for machines without MNIST and without a network.

A digit is a few strokes, given once per way of writing it as curves in the unit square. A sample
bends the strokes by a smooth random displacement (a few plane waves of low frequency, the elastic
distortion), then slants, stretches and turns them (the affine one), fits them into 20x20 pixels
and puts their centre of mass in the middle of 28x28, as NIST's digits were prepared for MNIST.

The pen is a Gaussian dot moved along the stroke. A Gaussian is the product of one in x and one in
y, so the ink of all the dots of a sample is one product of two small matrices, which is what makes
60,000 samples a matter of seconds in NumPy.
"""

import functools

import numpy as np

SIZE = 28
_BOX = 20.0  # pixels the digit is fitted into, as in MNIST
_MARGIN = 2.5  # from the pen's path to the outermost pixel centres: more than its radius
_DOTS = 72  # pen positions of a sample
_WAVES = 3  # plane waves of the elastic distortion
_CHUNK = 1000  # samples drawn from one random stream

Curve = np.ndarray  # (points, 2): x to the right, y down


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, stop: float) -> Curve:
    """Part of an ellipse; degrees, 0 to the right, 90 down (clockwise on the screen)."""
    angle = np.radians(np.linspace(start, stop, 33))
    return np.stack([cx + rx * np.cos(angle), cy + ry * np.sin(angle)], 1)


def _line(*points: tuple[float, float]) -> Curve:
    return np.array(points, float)


def _join(*curves: Curve) -> Curve:
    return np.concatenate(curves)


# The ways of writing each digit: lists of strokes.
_FORMS: list[list[list[Curve]]] = [
    [  # 0: closed, narrow, open at the top
        [_arc(0.5, 0.5, 0.34, 0.48, -90, 270)],
        [_arc(0.5, 0.5, 0.26, 0.48, -110, 250)],
        [_arc(0.5, 0.5, 0.32, 0.46, -60, 285)],
    ],
    [  # 1: a bar, with a flag, with a flag and a base
        [_line((0.5, 0.02), (0.5, 0.98))],
        [_line((0.5, 0.02), (0.5, 0.98))],
        [_line((0.34, 0.2), (0.52, 0.02), (0.52, 0.98))],
        [_line((0.34, 0.2), (0.52, 0.02), (0.52, 0.98)), _line((0.3, 0.98), (0.74, 0.98))],
    ],
    [  # 2: with a sharp foot, with a loop in the foot
        [_join(_arc(0.48, 0.28, 0.3, 0.26, -170, 35), _line((0.14, 0.96), (0.88, 0.96)))],
        [
            _join(
                _arc(0.46, 0.27, 0.3, 0.25, -160, 40),
                _line((0.42, 0.74), (0.26, 0.9)),
                _arc(0.24, 0.84, 0.11, 0.09, 90, 330),
                _line((0.5, 0.9), (0.68, 0.97), (0.92, 0.88)),
            )
        ],
    ],
    [  # 3: two bows, a flat top
        [_join(_arc(0.46, 0.26, 0.28, 0.24, -160, 80), _arc(0.46, 0.73, 0.32, 0.25, -80, 155))],
        [
            _join(
                _line((0.18, 0.04), (0.76, 0.04), (0.46, 0.38)),
                _arc(0.44, 0.68, 0.34, 0.29, -75, 150),
            )
        ],
    ],
    [  # 4: open, closed
        [_line((0.24, 0.04), (0.16, 0.54), (0.84, 0.5)), _line((0.74, 0.06), (0.66, 0.98))],
        [_line((0.9, 0.64), (0.1, 0.64), (0.64, 0.02), (0.64, 0.98))],
        [
            _join(_line((0.2, 0.06)), _arc(0.46, 0.36, 0.27, 0.2, 180, 20)),
            _line((0.76, 0.04), (0.7, 0.98)),
        ],
    ],
    [  # 5: in one stroke, with the hat drawn last
        [
            _join(
                _line((0.82, 0.04), (0.28, 0.04), (0.24, 0.44)),
                _arc(0.46, 0.68, 0.32, 0.28, -115, 150),
            )
        ],
        [
            _join(_line((0.34, 0.1), (0.26, 0.46)), _arc(0.42, 0.7, 0.28, 0.27, -110, 140)),
            _line((0.34, 0.08), (0.9, 0.02)),
        ],
    ],
    [  # 6: straight back, round back
        [_join(_line((0.62, 0.02), (0.3, 0.42)), _arc(0.48, 0.72, 0.27, 0.25, 190, 540))],
        [_join(_arc(0.72, 0.62, 0.52, 0.6, -105, -170), _arc(0.5, 0.72, 0.3, 0.25, 180, 530))],
    ],
    [  # 7: plain, bent, crossed
        [_line((0.14, 0.05), (0.84, 0.05), (0.42, 0.98))],
        [_join(_line((0.12, 0.12), (0.16, 0.05)), _line((0.82, 0.06), (0.58, 0.48), (0.46, 0.98)))],
        [_line((0.14, 0.05), (0.84, 0.05), (0.4, 0.98)), _line((0.32, 0.52), (0.8, 0.5))],
    ],
    [  # 8: two rings, one winding stroke
        [_arc(0.5, 0.25, 0.24, 0.23, 90, 450), _arc(0.5, 0.73, 0.29, 0.25, -90, 270)],
        [
            _join(
                _arc(0.52, 0.24, 0.25, 0.21, -20, -230),
                _line((0.5, 0.48)),
                _arc(0.5, 0.76, 0.26, 0.21, -50, 230),
                _line((0.5, 0.5), (0.74, 0.3)),
            )
        ],
    ],
    [  # 9: straight stem, curved stem
        [_arc(0.46, 0.28, 0.27, 0.25, 0, -345), _line((0.74, 0.1), (0.68, 0.98))],
        [
            _join(
                _arc(0.46, 0.28, 0.29, 0.25, -10, -360),
                _line((0.75, 0.6)),
                _arc(0.46, 0.7, 0.29, 0.27, 10, 130),
            )
        ],
    ],
]


@functools.cache
def _pen_positions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All forms as dots: (forms, dots, 2), and per digit its first form and number of forms."""
    forms = [_sample(strokes) for ways in _FORMS for strokes in ways]
    count = np.array([len(ways) for ways in _FORMS])
    return np.stack(forms), np.cumsum(count) - count, count


def _sample(strokes: list[Curve]) -> np.ndarray:
    """`_DOTS` positions evenly spaced along the strokes, every stroke with its share."""
    lengths = [np.hypot(*np.diff(stroke, axis=0).T).sum() for stroke in strokes]
    ends = np.round(np.cumsum(lengths) / sum(lengths) * _DOTS).astype(int)
    dots = []
    for stroke, number in zip(strokes, np.diff(ends, prepend=0)):
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
        at = np.linspace(0.0, along[-1], number)
        dots.append(np.stack([np.interp(at, along, axis) for axis in stroke.T], 1))
    return np.concatenate(dots)


def synthetic_digits(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`n` images, uint8 of shape (n, 28, 28), white on black, and their labels, uint8 (n,).

    The same `n` and `seed` give the same digits, and a smaller `n` the first of them. (Another
    processor may round a grey level differently by one.)
    """
    images = np.empty((n, SIZE, SIZE), np.uint8)
    labels = np.empty(n, np.uint8)
    for start in range(0, n, _CHUNK):
        rng = np.random.default_rng([seed, start // _CHUNK])
        drawn, digits = _draw_chunk(rng)
        stop = min(start + _CHUNK, n)
        images[start:stop], labels[start:stop] = drawn[: stop - start], digits[: stop - start]
    return images, labels


def _draw_chunk(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`_CHUNK` images and labels."""
    forms, first, count = _pen_positions()
    digits = (rng.random(_CHUNK) * 10).astype(np.int64)
    form = first[digits] + (rng.random(_CHUNK) * count[digits]).astype(np.int64)
    dots = _affine(_elastic(forms[form] - 0.5, rng), rng)
    dots, ink = _fit(dots)
    return _render(dots, ink, rng), digits.astype(np.uint8)


def _uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> np.ndarray:
    return low + (high - low) * rng.random((_CHUNK, *shape))


def _bell(rng: np.random.Generator, scale: float, *shape: int) -> np.ndarray:
    """About normal: the sum of four uniform draws, so with bounded tails."""
    return (rng.random((4, _CHUNK, *shape)).sum(0) - 2.0) * (np.sqrt(3.0) * scale)


def _elastic(dots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move every dot (chunk, dots, 2) by a smooth random field: a few slow plane waves."""
    frequency = _uniform(rng, -1.1, 1.1, _WAVES, 2)
    phase = _uniform(rng, 0.0, 2 * np.pi, _WAVES, 1)
    shift = _bell(rng, 0.052, _WAVES, 2)
    wave = np.sin(2 * np.pi * (frequency @ dots.transpose(0, 2, 1)) + phase)
    return dots + wave.transpose(0, 2, 1) @ shift


def _affine(dots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Slant, stretch and turn."""
    slant, turn = _bell(rng, 0.2) + 0.12, _bell(rng, 0.11)
    wide, tall = np.exp(_bell(rng, 0.17)), np.exp(_bell(rng, 0.1))
    x, y = dots[..., 0] * wide[:, None], dots[..., 1] * tall[:, None]
    x = x - slant[:, None] * y
    c, s = np.cos(turn)[:, None], np.sin(turn)[:, None]
    return np.stack([c * x - s * y, s * x + c * y], -1)


def _fit(dots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale into the box, centre the mass; also each dot's ink: the length it stands for."""
    low, high = dots.min(1), dots.max(1)
    scale = (_BOX - 2.0) / (high - low).max(1)  # the pen's own width takes the rest
    dots = dots * scale[:, None, None]
    step = np.hypot(*np.moveaxis(np.diff(dots, axis=1), -1, 0))
    step = np.minimum(step, 2.0)  # a jump of the pen to the next stroke leaves no ink
    ink = np.pad(step, ((0, 0), (0, 1))) + np.pad(step, ((0, 0), (1, 0)))
    ink *= 0.5
    centre = (dots * ink[..., None]).sum(1) / ink.sum(1)[:, None]
    dots = dots - centre[:, None] + (SIZE - 1) / 2
    # a lopsided digit would stick out of the picture: move it back
    dots += np.maximum(_MARGIN - dots.min(1), 0)[:, None]
    dots -= np.maximum(dots.max(1) - (SIZE - 1 - _MARGIN), 0)[:, None]
    return dots.astype(np.float32), ink.astype(np.float32)


def _render(dots: np.ndarray, ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink on paper: uint8 (chunk, 28, 28)."""
    width = _uniform(rng, 0.62, 1.2).astype(np.float32)[:, None, None]
    grid = np.arange(SIZE, dtype=np.float32)
    x, y = (np.exp((dots[..., axis, None] - grid) ** 2 * (-0.5 / width**2)) for axis in (0, 1))
    # along a straight stroke the dots add up to this times the profile exp(-d^2/2w^2)
    ink = ink[..., None] / (np.sqrt(2 * np.pi).astype(np.float32) * width)
    dark = (y * ink).transpose(0, 2, 1) @ x
    gain = _uniform(rng, 1.15, 1.8).astype(np.float32)[:, None, None]
    return np.rint(np.clip((dark - 0.12) * gain, 0.0, 1.0) * 255).astype(np.uint8)
