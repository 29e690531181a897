"""`symnet predict`: which digits are on some pictures."""

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from symnet import nn
from symnet.cli.devices import add_device, require_device
from symnet.cli.extra import require
from symnet.cli.images import SIZE, read_digit
from symnet.config import config
from symnet.errors import DataError

SHADES = " .:-=+*#%@"


def main(argv: Sequence[str]) -> int:
    """Print a line per picture. Returns 2 if one of them could not be read, else 0.

    Errors: DataError for a file that is no model, or a model that does not take digits.
    """
    arguments = _parser().parse_args(argv)
    require("symnet predict", "PIL", "safetensors")
    require_device(arguments.device)
    with config.change(device=arguments.device):
        return _tell(arguments)


def _tell(arguments: argparse.Namespace) -> int:
    model = _model(arguments.model)
    width = max(map(len, arguments.images))
    status = 0
    for path in arguments.images:
        try:
            digit = read_digit(path)
        except DataError as problem:
            print(f"symnet: {problem}", file=sys.stderr, flush=True)
            status = 2
            continue
        if arguments.show:
            print("\n".join(drawing(digit)))
        print(f"{path:{width}}  {answer(outputs(model, digit, arguments.model))}", flush=True)
    return status


def _model(path: str) -> nn.Sequential | nn.Model:
    """The model of a file. Errors: DataError, which says what file is wanted."""
    try:
        return nn.load(path)
    except OSError as problem:
        reason = f"{path}: {problem.strerror or problem}"
    except DataError as problem:
        reason = str(problem)
    raise DataError(f"{reason}; MODEL is a file like the model.safetensors of `symnet mnist`")


def outputs(model: nn.Sequential | nn.Model, digit: np.ndarray, name: str) -> np.ndarray:
    """What a model says of one digit, uint8 (28, 28): a vector, one number per class.

    Models take images (28, 28), with or without an axis of 1 for the colours, or rows of 784
    pixels, valued from 0 to 255 as those of `symnet.data.mnist` are.
    """
    shapes = [tuple(x.type.shape) for x in model.inputs]
    if len(shapes) != 1 or shapes[0][1:] not in ((SIZE, SIZE), (SIZE, SIZE, 1), (SIZE * SIZE,)):
        raise DataError(f"{name}: a model of inputs {shapes}, not of images of {SIZE} x {SIZE}")
    found = model.predict(digit.reshape(1, *shapes[0][1:]))
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] < 2:
        raise DataError(f"{name}: its output is no vector with one number per class")
    if np.isnan(found).any():
        raise DataError(f"{name}: its output is NaN; are its parameters numbers?")
    return found[0]


def answer(scores: np.ndarray) -> str:
    """The likeliest class and the next, with their probabilities if the scores are some."""
    first, second = np.argsort(-scores, kind="stable")[:2]
    if (scores < 0).any() or abs(scores.sum() - 1) > 1e-3:
        return str(first)
    p = 100 * scores
    return f"{first}  ({p[first]:.1f}%; {second}: {p[second]:.1f}%)"


def drawing(digit: np.ndarray) -> list[str]:
    """The digit in letters, two to a pixel, as the model gets it."""
    level = digit.astype(int) * (len(SHADES) - 1) // 255
    return ["".join(2 * SHADES[k] for k in row).rstrip() for row in level]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="symnet predict",
        description="Tell which digits are on pictures, one to each. Pictures may be of any size, "
        "grey or coloured,\ndark on light or light on dark; the digit is cut out, scaled and "
        "centred as MNIST's are.",
        epilog="example:\n  symnet mnist\n"
        "  symnet predict runs/mnist/model.safetensors seven.png photo.jpg\n\n"
        "Ends with status 2 if a picture could not be read; the others are told all the same.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a file written by `symnet mnist` or "
                        "`model.save`")  # fmt: skip
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="PNG, JPEG, or what else Pillow "
                        "reads")  # fmt: skip
    parser.add_argument("--show", action="store_true", help="draw each digit as the model gets it")
    add_device(parser)
    return parser
