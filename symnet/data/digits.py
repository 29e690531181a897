"""`mnist()`: the MNIST database of handwritten digits, from the nearest place that has it.

The places, in order: a folder the caller or the environment names (`SYMNET_DATA`, or its `mnist/`),
the cache folder, the mirrors, and last the synthetic digits. A bad file in a named folder is an
error; a bad file in the cache is ours and is fetched again.
"""

import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from symnet.config import cache_folder
from symnet.data.download import DownloadError, check_content, fetch, store
from symnet.data.idx import parse_idx, read_content, read_idx
from symnet.data.strokes import synthetic_digits
from symnet.errors import DataError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://raw.githubusercontent.com/fgnt/mnist/master",
)


class _File(NamedTuple):
    """A file of the distribution; size and digest are those of the uncompressed content."""

    name: str
    ndim: int
    size: int
    sha256: str


_FILES = (
    _File(
        "train-images-idx3-ubyte", 3, 47040016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    _File(
        "train-labels-idx1-ubyte", 1, 60008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    _File(
        "t10k-images-idx3-ubyte", 3, 7840016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    _File(
        "t10k-labels-idx1-ubyte", 1, 10008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)  # fmt: skip


class FlatDigits(NamedTuple):
    """What a dense network takes: images as rows in [0, 1], labels as int64."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


class Digits(NamedTuple):
    """Handwritten digits: images uint8 (n, 28, 28), 0 is paper; labels uint8 (n,), 0 to 9.

    `source` is "idx" for the real files and "synthetic" for the drawn ones.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str

    def flat(self, dtype: str = "float32") -> FlatDigits:
        """Images as (n, 784) of `dtype` divided by 255, labels as int64."""

        def rows(images: np.ndarray) -> np.ndarray:
            # Dividing in `dtype` rounds correctly; times 1/255 would not.
            size = int(np.prod(images.shape[1:]))
            return np.divide(images, np.dtype(dtype).type(255), dtype=dtype).reshape(-1, size)

        return FlatDigits(
            rows(self.train_images),
            self.train_labels.astype(np.int64),
            rows(self.test_images),
            self.test_labels.astype(np.int64),
        )


def mnist(
    folder: str | os.PathLike | None = None,
    *,
    download: bool = True,
    mirrors: Sequence[str] = MIRRORS,
    synthetic_sizes: tuple[int, int] = (60000, 10000),
) -> Digits:
    """MNIST: 60,000 training and 10,000 test images of handwritten digits.

    With `folder`, the four idx files (plain or .gz) are read there and nowhere else. Without it
    they are looked for in `SYMNET_DATA` (the folder itself or its `mnist/`), in the cache folder,
    and on the `mirrors` unless `download` is False or `SYMNET_OFFLINE=1` is set. If that fails,
    the result is `synthetic(*synthetic_sizes)`, and a warning on standard error says so.

    Raises `DataError` for a file in a named folder that is missing, truncated, swapped or not ours.
    """
    if folder is not None:
        if found := _find(Path(folder)):
            return _read(found)
        raise DataError(f"{folder}: no MNIST files; expected {_FILES[0].name} or .gz, and so on")
    if (named := os.environ.get("SYMNET_DATA")) and (found := _find(Path(named).expanduser())):
        return _read(found)
    if os.environ.get("SYMNET_OFFLINE", "0") not in ("", "0"):
        download = False
    try:
        contents = [_cached_or_fetched(file, mirrors if download else None) for file in _FILES]
    except DataError as error:
        searched = [f"SYMNET_DATA={named} holds no MNIST files"] if named else []
        _warn_synthetic("; ".join([*searched, str(error)]))
        return synthetic(*synthetic_sizes)
    a, b, c, d = (parse_idx(content, file.name) for content, file in zip(contents, _FILES))
    return Digits(a, b, c, d, source="idx")


def synthetic(train: int = 60000, test: int = 10000, *, seed: int = 0) -> Digits:
    """Digits drawn from strokes (`symnet.data.strokes`), in the form of MNIST."""
    return Digits(
        *synthetic_digits(train, seed=2 * seed),
        *synthetic_digits(test, seed=2 * seed + 1),
        source="synthetic",
    )


def _find(folder: Path) -> list[Path] | None:
    """The four files, in `folder` or its `mnist/`; None if there is none of them."""
    for place in (folder, folder / "mnist"):
        candidates = [[place / file.name, place / f"{file.name}.gz"] for file in _FILES]
        found = [next((p for p in pair if p.exists()), None) for pair in candidates]
        if any(found):
            missing = [pair[0].name for pair, path in zip(candidates, found) if path is None]
            if missing:
                raise DataError(f"{place}: incomplete: {', '.join(missing)} (or .gz) is missing")
            return [path for path in found if path is not None]
    return None


def _read(paths: Sequence[Path]) -> Digits:
    """Read and compare the four files; any number of images, so that relatives of MNIST work."""
    arrays = [read_idx(path, dtype="uint8", ndim=file.ndim) for path, file in zip(paths, _FILES)]
    for path, array in zip(paths, arrays):
        if array.ndim == 3 and array.shape[1:] != (28, 28):
            raise DataError(f"{path}: images of {array.shape[1:]} pixels, expected (28, 28)")
        if array.ndim == 1 and array.size and array.max() > 9:
            where = int(np.argmax(array > 9))
            raise DataError(
                f"{path}: label {array[where]} at position {where}, expected labels from 0 to 9"
            )
    train, train_labels, test, test_labels = arrays
    for k in (0, 2):
        if len(arrays[k]) != len(arrays[k + 1]):
            raise DataError(
                f"{paths[k]} holds {len(arrays[k])} images but {paths[k + 1]} holds "
                f"{len(arrays[k + 1])} labels"
            )
    if len(train) == 10000 and len(test) == 60000:
        raise DataError(
            f"{paths[0]} holds 10000 images and {paths[2]} holds 60000, expected 60000 and 10000: "
            "training and test files are swapped"
        )
    return Digits(train, train_labels, test, test_labels, source="idx")


def _cached_or_fetched(file: _File, mirrors: Sequence[str] | None) -> bytes:
    """Content of a file from the cache, else (if `mirrors` is not None) from the network."""
    folder = cache_folder() / "data" / "mnist"
    problem = f"{folder / file.name} does not exist"
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        if not path.exists():
            continue
        try:
            content = read_content(path)
            check_content(content, path, size=file.size, sha256=file.sha256)
        except DataError as error:
            problem = str(error)
        else:
            return content
    if mirrors is None:
        raise DownloadError(f"{problem}, and downloads are switched off")
    content = fetch(file.name, mirrors, size=file.size, sha256=file.sha256)
    store(folder / file.name, content)  # a cache that cannot be written only costs the next run
    return content


def _warn_synthetic(reason: str) -> None:
    line = "*" * 78
    text = (
        "WARNING: this is NOT MNIST. The MNIST files were not found, and symnet uses synthetic "
        "digits drawn by a program instead. Accuracies on them cannot be compared with MNIST's.",
        f"Reason: {reason}",
        "To use MNIST: put its four idx files in a folder and set SYMNET_DATA to it.",
    )
    # names of files and addresses stay in one piece
    fill = textwrap.TextWrapper(len(line), break_long_words=False, break_on_hyphens=False).fill
    print(line, *map(fill, text), line, sep="\n", file=sys.stderr, flush=True)
