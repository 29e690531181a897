"""Pictures from arrays: learning curves, confusion matrix, worst mistakes, filters.

    figure = plots.curves(history.logs, "curves.png", title="784-1000-10 on MNIST")

Each function takes plain arrays, writes a picture to `path` if one is given (the ending says which
format; the file is written whole or not at all), and returns the matplotlib `Figure`, which a
notebook shows. Nothing here touches `pyplot`, so no window opens and no state is left behind.

Errors: ShapeError for arrays that do not fit each other; ConfigError for an unknown format;
OSError where the file cannot be written; ImportError without matplotlib (extra `[viz]`).
"""

import contextlib
import io
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import ConfigError, ShapeError
from symnet.nn.parameters import write_whole

__all__ = ["confusion", "curves", "filters", "mistakes"]

TRAINING, VALIDATION = "tab:blue", "tab:orange"
NOT_DRAWN = {"epoch", "learning_rate", "seconds", "images_per_second"}
_VALIDATION = "val_"
_TEXTS = 20  # classes up to which a confusion matrix is written out

PathLike = str | os.PathLike


def curves(
    logs: Mapping[str, Sequence[Any]],
    path: PathLike | None = None,
    *,
    epochs: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    steps: Any = None,
    title: str = "",
) -> Any:
    """Learning curves over epochs: the loss above, one panel per metric below.

    logs    values per epoch by name; `val_` before a name means the same on validation data
    epochs  their numbers; 1, 2, ... by default
    names   what to draw, without `val_`; by default all that is one number per epoch, except times
            and learning rates
    steps   losses of the single steps of all these epochs, drawn thinly behind
    """
    series = {name: values for name in logs if (values := _numbers(logs[name])) is not None}
    drawn = list(names) if names is not None else _bases(series)
    if not drawn or not any(len(values) for values in series.values()):
        raise ShapeError("there is no epoch to draw yet")
    for name in drawn:
        if name not in series and _VALIDATION + name not in series:
            raise ShapeError(f"no series of numbers is called {name!r}; there are {list(series)}")
    length = max(len(values) for values in series.values())
    numbers = np.arange(1, length + 1) if epochs is None else np.asarray(epochs)
    for name, values in series.items():
        if len(values) != len(numbers):
            raise ShapeError(f"{name} has {len(values)} values for {len(numbers)} epochs")
    with _figure(path, (7, 2.6 + 2.2 * len(drawn))) as figure:
        heights = [3.2 if name == "loss" else 2.2 for name in drawn]
        panels = figure.subplots(len(drawn), 1, sharex=True, height_ratios=heights, squeeze=False)
        for name, axes in zip(drawn, panels[:, 0]):
            if name == "loss" and steps is not None and len(steps):
                _steps(axes, np.asarray(steps, float), numbers)
            _curve(axes, name, numbers, series)
        panels[0, 0].set_title(title)
        panels[-1, 0].set_xlabel("epoch")
        panels[-1, 0].xaxis.get_major_locator().set_params(integer=True)
        panels[-1, 0].set_xlim(numbers[0] - 1, numbers[-1] + 0.03 * (numbers[-1] - numbers[0] + 1))
    return figure


def confusion(
    matrix: Any,
    path: PathLike | None = None,
    *,
    labels: Sequence[Any] | None = None,
    title: str = "",
) -> Any:
    """A confusion matrix: counts, right answers in blue, mistakes in orange by their number.

    matrix  (classes, classes): how many examples of the row's class were taken for the column's;
            at the right the share of each class that was found (recall), below the share of each
            answer that was right (precision)
    labels  names of the classes; their numbers by default
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError(f"a confusion matrix is square, not of shape {counts.shape}")
    classes = len(counts)
    shown = [str(label) for label in (range(classes) if labels is None else labels)]
    if len(shown) != classes:
        raise ShapeError(f"{len(shown)} labels for a confusion matrix of {classes} classes")
    side = 3.0 + 0.5 * min(max(classes, 6), 24)
    with _figure(path, (side, side)) as figure:
        axes = figure.subplots()
        axes.imshow(_colours(counts))
        axes.set(xlabel="predicted class", ylabel="true class")
        figure.suptitle(title)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        step = -(-classes // 50)  # labels of very many classes would run into each other
        across = dict(zip(range(0, classes, step), shown[::step]))
        down, long = dict(across), max(map(len, shown)) > 3
        if classes <= _TEXTS:
            _write_counts(axes, counts)
            _write_shares(axes, counts)
            across[classes], down[classes] = "recall\n%", "precision %"
        turned = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"}
        axes.set_xticks([*across], [*across.values()], **(turned if long else {}))
        axes.set_yticks([*down], [*down.values()])
    return figure


def mistakes(
    images: Any,
    labels: Any,
    probabilities: Any,
    path: PathLike | None = None,
    *,
    count: int = 25,
    names: Sequence[Any] | None = None,
    title: str = "",
) -> Any:
    """The worst mistakes: images whose true class was given the least probability.

    images         (n, height, width), with or without colours (n, height, width, 3), or rows
                   (n, pixels) of square ones
    labels         (n,) the true classes, as numbers
    probabilities  (n, classes)
    """
    pictures, y, p = _pictures(images), np.asarray(labels), np.asarray(probabilities)
    if p.ndim != 2 or y.shape != (len(p),) or len(pictures) != len(p):
        raise ShapeError(
            f"images {np.shape(images)}, labels {y.shape} and probabilities {p.shape} do not fit: "
            "one label and one row of probabilities per image"
        )
    called = [str(name) for name in (range(p.shape[1]) if names is None else names)]
    guesses = p.argmax(1) if len(p) else y
    wrong = np.flatnonzero(guesses != y)
    worst = wrong[np.argsort(p[wrong, y[wrong]], kind="stable")][:count]
    columns = max(1, min(len(worst), math.ceil(math.sqrt(max(count, 1)))))
    rows = max(1, -(-len(worst) // columns))
    with _figure(path, (max(1.35 * columns, 5.5), 1.55 * rows + 0.7)) as figure:
        figure.suptitle(title or _how_many(len(wrong), len(p), len(worst)))
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for k, axes in zip(worst, panels):
            _picture(axes, pictures[k])
            share = f"{100 * p[k, guesses[k]]:.0f}%"
            axes.set_title(
                f"{called[y[k]]} \N{RIGHTWARDS ARROW} {called[guesses[k]]} ({share})", fontsize=9
            )
    return figure


def filters(
    weights: Any,
    path: PathLike | None = None,
    *,
    shape: Sequence[int] | None = None,
    count: int = 100,
    title: str = "",
) -> Any:
    """What the units of a first layer look for: their weights as pictures.

    weights  (inputs, units); blue is negative, white 0, red positive, one scale for all
    shape    (height, width) of an input; a square by default
    count    so many units at most; of more, those with the largest sums of squares, in their order
    """
    w = np.asarray(weights, dtype=float)
    if w.ndim != 2 or not w.size:
        raise ShapeError(f"weights are (inputs, units), not of shape {w.shape}")
    height, width = _square(w.shape[0]) if shape is None else tuple(shape)
    if height * width != w.shape[0]:
        raise ShapeError(f"{w.shape[0]} inputs are no picture of shape ({height}, {width})")
    strongest = np.arange(w.shape[1])
    if count < w.shape[1]:
        strongest = np.argsort(-(w**2).sum(0), kind="stable")[:count]
    columns = _columns(len(strongest))
    rows = -(-len(strongest) // columns)
    # single extreme weights shall not wash out all others
    limit = float(np.quantile(np.abs(w[:, strongest]), 0.995)) or 1.0
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for place, unit in enumerate(strongest):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        sheet[top : top + height, left : left + width] = w[:, unit].reshape(height, width)
    with _figure(path, (7.6, 0.4 + 6.35 * sheet.shape[0] / sheet.shape[1])) as figure:
        axes = figure.subplots()
        colours = _colormaps()["RdBu_r"].with_extremes(bad="0.75")
        shown = axes.imshow(
            sheet, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest"
        )  # fmt: skip
        axes.set_axis_off()
        units = f"{len(strongest)} of {w.shape[1]} units" if len(strongest) < w.shape[1] else ""
        axes.set_title(title or units or f"{w.shape[1]} units")
        figure.colorbar(shown, ax=axes, shrink=0.6, label="weight", extend="both")
    return figure


# ---- curves


def _numbers(values: Sequence[Any]) -> np.ndarray | None:
    """One number per epoch, else None: per-class metrics are no curve."""
    try:
        found = np.asarray([math.nan if v is None else v for v in values], dtype=float)
    except (TypeError, ValueError):
        return None
    return found if found.ndim == 1 else None


def _bases(series: Mapping[str, np.ndarray]) -> list[str]:
    """Names without `val_`, each once, the loss first."""
    names = dict.fromkeys(name.removeprefix(_VALIDATION) for name in series)
    return sorted((n for n in names if n not in NOT_DRAWN), key=lambda n: n != "loss")


def _curve(axes: Any, name: str, numbers: np.ndarray, series: Mapping[str, np.ndarray]) -> None:
    found = [series[n] for n in (name, _VALIDATION + name) if n in series]
    share = name != "loss" and _share(name) and all(_between(v, 0, 1) for v in found)
    scale = 100 if share else 1
    few = len(numbers) <= 40  # more marks hide the line
    for given, label, colour, mark in (
        (name, "training", TRAINING, "o"),
        (_VALIDATION + name, "validation", VALIDATION, "s"),
    ):
        if given in series:
            axes.plot(
                numbers, scale * series[given], f"{mark if few else ''}-", color=colour,
                markersize=4, label=label,
            )  # fmt: skip
    axes.margins(y=0.08)
    if name == "loss":
        lowest = min((float(v[v > 0].min()) for v in found if (v > 0).any()), default=0.0)
        if lowest > 0 and all(_between(v, 1e-300, math.inf) for v in found):
            axes.set_yscale("log")
            # single steps may be fitted perfectly; they shall not squeeze the curves
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, 0.5 * lowest), high)
            _plain_ticks(axes)
    axes.set_ylabel(name.replace("_", " ") + (" in %" if share else ""))
    axes.legend(loc="best")
    axes.grid(alpha=0.3)


def _steps(axes: Any, losses: np.ndarray, numbers: np.ndarray) -> None:
    """Losses of single steps, the last of an epoch above its number."""
    at = numbers[0] - 1 + (np.arange(len(losses)) + 1) * len(numbers) / len(losses)
    axes.plot(at, losses, color=TRAINING, alpha=0.35, linewidth=0.5, label="single steps")


def _share(name: str) -> bool:
    words = ("accuracy", "precision", "recall", "f1", "top")
    return any(word in name for word in words)


def _between(values: np.ndarray, low: float, high: float) -> bool:
    finite = values[np.isfinite(values)]
    return bool(((finite >= low) & (finite <= high)).all())


def _plain_ticks(axes: Any) -> None:
    """0.05, not 5 x 10^-2; a loss often stays within one decade, where ticks need numbers most."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter  # noqa: PLC0415

    low, high = axes.get_ylim()
    wide = math.log10(high) - math.log10(low) > 5  # 2 and 5 would crowd, or Matplotlib drop all
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


# ---- confusion


def _colours(counts: np.ndarray) -> np.ndarray:
    """Blue by recall on the diagonal, orange beside it, which mistakes alone scale."""
    right = np.eye(len(counts), dtype=bool)
    wrong = np.where(right, 0, counts)
    most = max(wrong.max(), 1)
    shares = np.diag(counts) / np.maximum(counts.sum(1), 1)
    picture = _colormaps()["Oranges"](0.75 * np.sqrt(wrong / most))
    picture[wrong == 0] = 1.0
    picture[right] = _colormaps()["Blues"](0.1 + 0.35 * shares)
    return picture


def _write_counts(axes: Any, counts: np.ndarray) -> None:
    size = 9 if len(counts) <= 12 else 6
    for (row, column), value in np.ndenumerate(counts):
        if value:
            bold = "bold" if row == column else "normal"
            axes.text(
                column, row, f"{value:g}", ha="center", va="center", fontsize=size, weight=bold
            )


def _write_shares(axes: Any, counts: np.ndarray) -> None:
    """Recall at the right, precision below, and the share of all that is right in the corner."""
    classes = len(counts)
    right, of_class, of_answer = np.diag(counts), counts.sum(1), counts.sum(0)
    axes.set_xlim(-0.5, classes + 0.5)
    axes.set_ylim(classes + 0.5, -0.5)
    size = 8 if classes <= 12 else 6
    for k in range(classes):
        for x, y, all_of_it in ((classes, k, of_class[k]), (k, classes, of_answer[k])):
            text = f"{100 * right[k] / all_of_it:.1f}" if all_of_it else "-"
            axes.text(x, y, text, ha="center", va="center", fontsize=size, color="0.35")
    total = 100 * right.sum() / max(counts.sum(), 1)
    axes.text(
        classes, classes, f"{total:.1f}%", ha="center", va="center", fontsize=size,
        weight="bold",
    )  # fmt: skip
    for edge in axes.spines.values():
        edge.set_visible(False)
    axes.tick_params(length=0)


# ---- pictures


def _how_many(wrong: int, examples: int, shown: int) -> str:
    if not wrong:
        return f"no mistake in {examples} examples"
    rest = "all" if shown == wrong else f"the worst {shown}"
    return f"{wrong} mistakes in {examples} examples, {rest}: true \N{RIGHTWARDS ARROW} predicted"


def _pictures(images: Any) -> np.ndarray:
    found = np.asarray(images)
    if found.ndim == 2:
        return found.reshape(len(found), *_square(found.shape[1]))
    if found.ndim == 4 and found.shape[3] == 1:
        return found[..., 0]
    if found.ndim == 3 or (found.ndim == 4 and found.shape[3] in (3, 4)):
        return found
    raise ShapeError(f"images of shape {found.shape} are neither (n, h, w) nor (n, h, w, colours)")


def _square(pixels: int) -> tuple[int, int]:
    side = math.isqrt(pixels)
    if side * side != pixels:
        raise ShapeError(f"{pixels} inputs are no square picture; give their shape")
    return side, side


def _columns(count: int) -> int:
    """A nearly square arrangement, a little wider where that leaves fewer places empty."""
    least = math.ceil(math.sqrt(count))
    return min(range(least, least + least // 2 + 1), key=lambda n: (-count % n, n))


def _picture(axes: Any, picture: np.ndarray) -> None:
    """Black on white: what is 0 is paper."""
    axes.imshow(picture, cmap="gray_r" if picture.ndim == 2 else None, interpolation="nearest")


# ---- figures and files


@contextlib.contextmanager
def _figure(path: PathLike | None, size: tuple[float, float]) -> Iterator[Any]:
    """A figure to draw on; afterwards it is written."""
    with _matplotlib_at_home():
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
            from matplotlib.figure import Figure  # noqa: PLC0415
        except ImportError as problem:
            text = f"pictures need matplotlib ({problem}): pip install 'symnet[viz]'"
            raise ImportError(text, name=problem.name) from None
        figure = Figure(figsize=size, dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        if path is not None:
            _write(figure, Path(path))


def _colormaps() -> Any:
    from matplotlib import colormaps  # noqa: PLC0415

    return colormaps


def _write(figure: Any, path: Path) -> None:
    kind = path.suffix[1:].lower() or "png"
    known = sorted(figure.canvas.get_supported_filetypes())
    if kind not in known:
        raise ConfigError(f"{path}: no picture format is called {kind!r}; there are {known}")
    content = io.BytesIO()
    figure.savefig(content, format=kind)
    write_whole(path, content.getvalue())


@contextlib.contextmanager
def _matplotlib_at_home() -> Iterator[None]:
    """Where the folders in which matplotlib keeps its settings and its list of fonts cannot be
    written, it is given a temporary one; it would complain on standard error."""
    if "MPLCONFIGDIR" in os.environ or all(map(_writable, _matplotlib_folders())):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="symnet-matplotlib-") as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            yield
        finally:
            del os.environ["MPLCONFIGDIR"]


def _matplotlib_folders() -> list[Path]:
    if not sys.platform.startswith(("linux", "freebsd")):
        return [Path(os.path.expanduser("~"), ".matplotlib")]
    homes = (("XDG_CONFIG_HOME", "~/.config"), ("XDG_CACHE_HOME", "~/.cache"))
    return [
        Path(os.environ.get(name) or os.path.expanduser(usual), "matplotlib")
        for name, usual in homes
    ]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
