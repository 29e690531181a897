"""`symnet mnist`: train a network with one hidden layer on the MNIST digits."""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence

from symnet.backends.cpu.pool import thread_count
from symnet.cli.extra import require
from symnet.cli.interrupt import insistent
from symnet.cli.network import LEARNING_RATES, OPTIMIZERS, Settings, Training
from symnet.cli.progress import progress
from symnet.cli.record import PARAMETERS, Record
from symnet.config import config
from symnet.data import mnist
from symnet.errors import DataError


def main(argv: Sequence[str]) -> int:
    """Train, write the results, and end with the line `test accuracy 98.31%`. Returns 130 after
    Ctrl-C, with the parameters of the last whole epoch saved."""
    arguments = _parser().parse_args(argv)
    require("symnet mnist", "matplotlib", "rich", "safetensors")
    rate = arguments.learning_rate
    settings = Settings(
        hidden=arguments.hidden,
        optimizer=arguments.optimizer,
        learning_rate=LEARNING_RATES[arguments.optimizer] if rate is None else rate,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        dropout=arguments.dropout,
        seed=arguments.seed,
    )
    with config.change(threads=arguments.threads or config.threads):
        return _run(settings, arguments.data, arguments.output)


def _run(settings: Settings, data: str | None, output: str) -> int:
    record = Record(output, settings)
    with insistent():
        digits = mnist(data)
        record.source = "MNIST" if digits.source == "idx" else "synthetic digits, not MNIST"
        images, labels, test_images, test_labels, _ = digits
        if len(images) < 2 or not len(test_images):
            raise DataError(
                f"{len(images)} training and {len(test_images)} test images are too few"
            )
        held_back = max(1, len(images) // 12)  # 5000 of MNIST's 60,000
        start = time.perf_counter()
        training = Training(
            settings,
            (images[:-held_back], labels[:-held_back]),
            (images[-held_back:], labels[-held_back:]),
        )
    network = "-".join(map(str, training.layers))
    threads = thread_count()
    try:
        print(
            f"network {network}, {settings.optimizer}, {training.count} images of {record.source}, "
            f"{held_back} for validation; compiled in {time.perf_counter() - start:.1f} s for "
            f"{threads} thread{'s' if threads > 1 else ''}",
            flush=True,
        )
        with progress(settings.epochs, training.count, training.batches) as shown:
            for number in range(1, settings.epochs + 1):
                between = shown.watch(number, lambda: training.loss_so_far)
                epoch = training.epoch(number, between)
                record.add(epoch, training.parameters, training.layers)
                shown.finished(epoch)
        _, accuracy = training.evaluate(test_images, test_labels)
        record.write_history(test_accuracy=accuracy)
        record.draw(f"{network} on {record.source}: test accuracy {100 * accuracy:.2f}%")
    except KeyboardInterrupt:
        return _interrupted(record)
    print(f"parameters, history and loss curves are in {record.folder}")
    note = "" if digits.source == "idx" else f" ({record.source})"
    print(f"test accuracy {100 * accuracy:.2f}%{note}", flush=True)
    return 0


def _interrupted(record: Record) -> int:
    if record.epochs:
        what = f"the parameters of epoch {record.epochs[-1].number} are in"
        text = f"interrupted; {what} {record.folder / PARAMETERS}"
    else:
        text = "interrupted before the first epoch was complete; nothing was saved"
    print(f"symnet: {text}", file=sys.stderr, flush=True)
    return 130


def _whole(least: int) -> Callable[[str], int]:
    """An argparse type: whole numbers from `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return parse


def _real(name: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """An argparse type: finite numbers that `accepts` takes; `name` says which."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (math.isfinite(value) and accepts(value)):
            raise argparse.ArgumentTypeError(f"{text} is not {name}")
        return value

    return parse


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="symnet mnist",
        description="Train a network with one hidden layer on the MNIST digits. The last line of "
        "output is its accuracy on the test images.",
        epilog="example:\n  symnet mnist --hidden 300 --optimizer adam --epochs 5\n\n"
        "Without --data the images are looked for in SYMNET_DATA and the cache folder, then "
        "downloaded.\nThe same seed gives the same numbers, bit for bit, on the same machine with "
        "as many threads.\nCtrl-C stops; the parameters of the last whole epoch are saved.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--hidden", type=_whole(1), default=default.hidden, metavar="N",
        help=f"hidden units (default {default.hidden})")  # fmt: skip
    add("--optimizer", choices=OPTIMIZERS, default=default.optimizer,
        help=f"update rule (default {default.optimizer})")  # fmt: skip
    rates = ", ".join(f"{name} {rate:g}" for name, rate in LEARNING_RATES.items())
    add("--learning-rate", type=_real("above 0", lambda v: v > 0), metavar="RATE",
        help=f"at the start; it falls linearly (default: {rates})")  # fmt: skip
    add("--epochs", type=_whole(1), default=default.epochs, metavar="N",
        help=f"passes over the training images (default {default.epochs})")  # fmt: skip
    add("--batch-size", type=_whole(1), default=default.batch_size, metavar="N",
        help=f"images per step (default {default.batch_size})")  # fmt: skip
    add("--dropout", type=_real("from 0 to below 1", lambda v: 0 <= v < 1),
        default=default.dropout, metavar="SHARE",
        help=f"hidden units left out of each step (default {default.dropout:g})")  # fmt: skip
    add("--seed", type=_whole(0), default=default.seed, metavar="N",
        help=f"of weights, order and dropout (default {default.seed})")  # fmt: skip
    add("--data", metavar="FOLDER", help="the four idx files of MNIST, gzipped or not")
    add("--threads", type=_whole(1), metavar="N", help="default: all that this process may use")
    add("--output", default="runs/mnist", metavar="FOLDER",
        help="for parameters, history and loss curves (default runs/mnist)")  # fmt: skip
    return parser
