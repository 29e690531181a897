"""Pictures of single digits, brought into the form of MNIST's images.

As the page of the MNIST database (LeCun, Cortes, Burges) describes it: the digit, light on black,
is scaled to fit a box of 20 x 20 pixels, its proportions kept, and placed in 28 x 28 pixels so that
its centre of mass lies in the centre. Before that comes what pictures from elsewhere need: colours
and transparency become brightness, dark on light is turned round, paper becomes 0 and ink 255.
An image of MNIST itself comes out as it went in, but for its faintest edge.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import DataError

SIZE, BOX = 28, 20
CENTRE = SIZE / 2  # where MNIST's centres of mass lie, up to half a pixel
LARGEST = 400  # pixels of the longer side that are looked at; larger pictures are made smaller
LEAST_CONTRAST = 0.06  # of the whole range of brightness
FAINT = 0.1  # ink below this part of the darkest is no part of the digit when its box is taken
SPECK = 0.02  # so is a spot with less than this part of the largest spot's ink


def read_digit(path: str | os.PathLike) -> np.ndarray:
    """The digit in a picture, as uint8 (28, 28), ink 255 on paper 0.

    Errors: DataError for a file that is missing or no image, one too large to be decoded safely,
    and a picture with nothing on it.
    """
    try:
        return centred(ink(_brightness(Path(path))))
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from None


def ink(brightness: np.ndarray) -> np.ndarray:
    """How much ink is where: (h, w) from 0 to 1, of the brightness, 0 to 1, of a picture that is
    dark on light or light on dark. What covers most of the edge is taken for paper."""
    low, high = float(brightness.min()), float(brightness.max())
    if high - low < LEAST_CONTRAST:
        raise DataError("there is nothing on this picture: it has one brightness throughout")
    bright = brightness > _threshold(brightness)
    edge = np.concatenate([bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1]])
    if edge.mean() > 0.5 or (edge.mean() == 0.5 and bright.mean() > 0.5):
        brightness, bright = -brightness, ~bright
    brightness = brightness - _paper(brightness, ~bright)
    noise = 3 * 1.4826 * float(np.median(np.abs(brightness[~bright])))
    darkest = float(np.quantile(brightness[bright], 0.95 if noise else 1))
    return np.clip((brightness - noise) / max(darkest - noise, 1e-6), 0, 1)


def centred(ink: np.ndarray) -> np.ndarray:
    """Cut out, scaled to the box, put with its centre of mass into the centre: uint8 (28, 28)."""
    ink = _without_specks(ink)
    rows, columns = (np.flatnonzero((ink > FAINT).any(axis)) for axis in (1, 0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(digit.shape)
    height, width = (max(1, round(scale * side)) for side in digit.shape)
    if digit.shape != (height, width):
        digit = _resized(digit, width, height)
        digit = np.clip(digit / digit.max(), 0, 1)  # thin strokes become faint when made smaller
    mass = digit.sum()
    middle = (np.arange(height) @ digit.sum(1) / mass, np.arange(width) @ digit.sum(0) / mass)
    top, left = (
        int(np.clip(np.floor(CENTRE - at + 0.5), 0, SIZE - side))
        for at, side in zip(middle, (height, width))
    )
    result = np.zeros((SIZE, SIZE), np.uint8)
    result[top : top + height, left : left + width] = np.rint(255 * digit)
    return result


# ---- from files to brightness


def _brightness(path: Path) -> np.ndarray:
    """(h, w), from 0 to 1. Of several pictures in a file the first, turned as its EXIF data say."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            # a small file can hold billions of pixels; Pillow warns of half of what it refuses
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                size = opened.size
                picture = ImageOps.exif_transpose(opened)
                picture.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise DataError(f"too large: {problem}") from None
    except FileNotFoundError:
        raise DataError("no such file") from None
    except Image.UnidentifiedImageError:
        raise DataError("not an image, or of a format that Pillow cannot read") from None
    except Exception as problem:  # decoders of damaged files raise whatever they meet
        reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        raise DataError(f"cannot be read as an image: {reason}") from None
    if not all(size):
        raise DataError("an image without pixels")
    grey = _grey(picture)
    longer = max(grey.shape)
    if longer > LARGEST:
        height, width = (max(1, round(side * LARGEST / longer)) for side in grey.shape)
        grey = _resized(grey, width, height)
    return grey


def _grey(picture: Any) -> np.ndarray:
    """Brightness of any of Pillow's modes."""
    if picture.mode.startswith(("I", "F")):  # 16 or 32 bits of grey, or real numbers
        values = np.asarray(picture).astype(np.float64)
        values[~np.isfinite(values)] = 0
        depth = 65535.0 if picture.mode.startswith("I") else 0.0
        low, high = values.min(), values.max()
        if low >= 0 and high <= depth:
            return values / depth
        return (values - low) / max(high - low, 1e-300)
    if "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBa", "RGBA"):
        return _on_paper(np.asarray(picture.convert("RGBA")) / 255.0)
    if picture.mode not in ("1", "L"):
        picture = picture.convert("RGB").convert("L")
    return np.asarray(picture.convert("L")) / 255.0


def _on_paper(colours: np.ndarray) -> np.ndarray:
    """Transparent parts take the brightness that differs most from what is drawn."""
    grey, alpha = colours[..., :3] @ (0.299, 0.587, 0.114), colours[..., 3]
    drawn = float((grey * alpha).sum() / max(alpha.sum(), 1e-9))
    paper = 1.0 if drawn < 0.5 else 0.0
    return grey * alpha + paper * (1 - alpha)


def _resized(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Averaged where it becomes smaller, interpolated where it becomes larger."""
    from PIL import Image

    smaller = height * width < values.size
    how = Image.Resampling.HAMMING if smaller else Image.Resampling.BICUBIC
    picture = Image.fromarray(values.astype(np.float32))
    return np.clip(np.asarray(picture.resize((width, height), how), np.float64), 0, 1)


# ---- from brightness to ink


def _threshold(values: np.ndarray) -> float:
    """What divides values, 0 to 1, into two classes that lie furthest apart.

    Otsu, A threshold selection method from gray-level histograms, IEEE Transactions on Systems,
    Man, and Cybernetics 9(1), 1979.
    """
    counts, edges = np.histogram(values, bins=256, range=(0, 1))
    below = np.cumsum(counts)[:-1]
    levels = (edges[:-1] + edges[1:]) / 2
    sums = np.cumsum(counts * levels)
    above = values.size - below
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2
    best = np.flatnonzero(between == between.max())  # a gap is cut in its middle
    return float(edges[1:-1][best].mean())


def _paper(brightness: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """The brightness of the paper everywhere: a plane, since light often falls from one side."""
    values = brightness[paper]
    level = float(np.median(values))
    spread = float(np.median(np.abs(values - level)))
    sure = paper & (np.abs(brightness - level) <= 4 * spread)
    y, x = np.mgrid[-1 : 1 : 1j * brightness.shape[0], -1 : 1 : 1j * brightness.shape[1]]
    if not spread:
        return np.full(brightness.shape, level)
    terms = np.stack([np.ones_like(x), x, y], -1)
    plane, *_ = np.linalg.lstsq(terms[sure], brightness[sure], rcond=None)
    return terms @ plane


def _without_specks(ink: np.ndarray) -> np.ndarray:
    """Spots of dust, far smaller than the digit, would make its box larger."""
    spots = _spots(ink > FAINT)
    mass = np.bincount(spots.ravel(), ink.ravel())
    mass[0] = 0
    return np.where((mass >= SPECK * mass.max())[spots] | (spots == 0), ink, 0)


def _spots(mask: np.ndarray) -> np.ndarray:
    """Numbers, from 1, of the connected parts of a mask, corners included; 0 elsewhere.

    Runs of each row are joined with those they touch in the row above, by union-find.
    """
    parent = [0]
    numbers = np.zeros(mask.shape, np.int64)

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = k = parent[parent[k]]
        return k

    above: list[tuple[int, int, int]] = []
    for row, line in zip(numbers, mask):
        here = []
        for start, stop in _runs(line):
            number = len(parent)
            parent.append(number)
            for first, last, other in above:
                if first <= stop and start <= last:
                    parent[root(other)] = root(number)
            row[start:stop] = number
            here.append((start, stop, number))
        above = here
    return np.array([root(k) for k in range(len(parent))])[numbers]


def _runs(line: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and one past the last position of each run of True."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
    yield from zip(changes[::2].tolist(), changes[1::2].tolist())
