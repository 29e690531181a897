"""`symnet mnist`: train a network on the MNIST digits, and draw what it does."""

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from symnet import nn
from symnet.backends.cpu.pool import thread_count
from symnet.cli.devices import add_device, require_device
from symnet.cli.extra import require
from symnet.cli.progress import Watched
from symnet.cli.record import (
    ANEW,
    CHECKPOINT,
    MODEL,
    Record,
    check_folder,
    draw,
    earlier_settings,
)
from symnet.cli.settings import (
    DROPOUT_RATES,
    LEARNING_RATES,
    MODELS,
    Settings,
    build,
    usual_rate,
)
from symnet.config import config
from symnet.data import mnist
from symnet.errors import ConfigError, DataError, TrainingError
from symnet.nn.training.interrupt import Interrupts


def main(argv: Sequence[str]) -> int:
    """Train, write the results, and end with the line `test accuracy 98.31%`. Returns 130 after
    Ctrl-C, with the model of the last whole epoch saved."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    require("symnet mnist", "matplotlib", "rich", "safetensors")
    folder = Path(arguments.output)
    earlier: dict[str, Any] = {}
    if arguments.resume:  # what is not given is as it was
        earlier = earlier_settings(folder)
        parser.set_defaults(**{name: str(value) for name, value in earlier.items()})
        arguments = parser.parse_args(argv)
    settings = _settings(parser, arguments)
    if arguments.resume and (folder / CHECKPOINT).exists():
        _same_run(settings, earlier, folder)
    require_device(settings.device)
    check_folder(folder)
    with config.change(threads=arguments.threads or config.threads, device=settings.device):
        return _run(settings, arguments.data, folder, arguments.resume)


def _run(settings: Settings, data: str | None, folder: Path, resume: bool) -> int:
    record = Record(folder, settings, "MNIST")
    with Interrupts() as interrupts:
        try:
            return _train(record, data, resume, interrupts)
        except KeyboardInterrupt:
            interrupts.close()
            return _interrupted(record, resume)
        except TrainingError as problem:
            what = str(problem).partition(":")[0]
            if not what.startswith("the loss became"):
                what = f"numbers were no longer finite in epoch {problem.epoch}"
            rate = f"the learning rate {settings.learning_rate:g} is too high"
            raise ConfigError(f"{what}: {rate}{_kept(record)}") from None
        except DataError as problem:
            if resume and str(problem).startswith(str(record.folder / CHECKPOINT)):
                raise DataError(f"{problem}; {ANEW}") from None
            raise


def _train(record: Record, data: str | None, resume: bool, interrupts: Interrupts) -> int:
    settings, folder = record.settings, record.folder
    digits = mnist(data)
    real = digits.source == "idx"
    record.source = source = "MNIST" if real else "synthetic digits, not MNIST"
    images, labels = digits.train_images, digits.train_labels
    if len(images) < 2 or not len(digits.test_images):
        raise DataError(
            f"{len(images)} training and {len(digits.test_images)} test images are too few"
        )
    held_back = max(1, len(images) // 12)  # 5000 of MNIST's 60,000
    count = len(images) - held_back
    if settings.batch_size > count:
        raise ConfigError(
            f"batch size {settings.batch_size}: there are only {count} images to train on"
        )
    start = time.perf_counter()
    model = build(settings, images.shape[1:])
    network = settings.network(images[0].size)

    def opening() -> None:
        where = "the emulated device" if settings.device == "emulated" else settings.device
        if settings.device == "cpu":
            threads = thread_count()
            where = f"{threads} thread{'s' if threads > 1 else ''}"
        print(
            f"network {network}, {settings.optimizer}, {count} images of {source}, "
            f"{held_back} for validation; compiled in {time.perf_counter() - start:.1f} s for "
            f"{where}",
            flush=True,
        )

    checkpoint = folder / CHECKPOINT
    model.fit(
        images[:-held_back],
        labels[:-held_back],
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        verbose=Watched(opening, interrupts),
        callbacks=[record, nn.Checkpoint(checkpoint)],
        validation_data=(images[-held_back:], labels[-held_back:]),
        seed=settings.seed,
        resume=checkpoint if resume else None,
    )
    interrupts.check()
    accuracy = model.evaluate(digits.test_images, digits.test_labels)["accuracy"]
    record.write_history(test_accuracy=accuracy)
    dropout = f", dropout {settings.dropout:g}," if settings.dropout else ""
    title = f"{network}{dropout} on {source}: test accuracy {100 * accuracy:.2f}%"
    for _ in draw(model, settings, digits, folder, title):
        interrupts.check()
    print(f"model, history and pictures are in {folder}")
    print(f"test accuracy {100 * accuracy:.2f}%{'' if real else f' ({source})'}", flush=True)
    return 0


def _interrupted(record: Record, resume: bool) -> int:
    nothing = " before the first epoch was complete; nothing was saved"
    if resume and (record.folder / CHECKPOINT).exists():
        nothing = f"; what was saved before is in {record.folder} as it was"
    print(f"symnet: interrupted{_kept(record) or nothing}", file=sys.stderr, flush=True)
    return 130


def _kept(record: Record) -> str:
    """Where the last whole epoch is, or nothing if there is none."""
    if record.saved is None:
        return ""
    return f"; the parameters of epoch {record.saved} are in {record.folder / MODEL}"


def _settings(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Settings:
    """The settings that were asked for; what does not go together is an error of usage."""
    values: dict[str, Any] = {
        field.name: getattr(arguments, field.name) for field in dataclasses.fields(Settings)
    }
    if values["learning_rate"] is None:
        values["learning_rate"] = usual_rate(values["optimizer"], values["dropout"])
    if values["model"] == "logistic" and values["dropout"]:
        parser.error("--dropout: logistic regression has no hidden units to leave out")
    return Settings(**values)


def _same_run(settings: Settings, earlier: dict[str, Any], folder: Path) -> None:
    """Raise ConfigError where options differ from those of the run that is to go on. On another
    device it may: parameters are rounded otherwise there, and no more."""
    now = dataclasses.asdict(settings)
    different = [name for name in earlier if now[name] != earlier[name] and name != "device"]
    if different:
        what = ", ".join(
            f"--{name.replace('_', '-')} {earlier[name]}, not {now[name]}" for name in different
        )
        raise ConfigError(
            f"--resume: the run in {folder} has {what}; it can only go on as it was started: "
            "leave the option out, or start another run with another --output"
        )


def _folder(text: str) -> str:
    """An argparse type: names of folders. An empty one is a variable of the shell without value."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a folder is empty")
    return text


def _whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    """An argparse type: whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{value} is more than {most}")
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
        description="Train a network on the MNIST digits. The last line of output is its accuracy "
        "on the test images;\nmodel, history and pictures go to a folder.",
        epilog="examples:\n  symnet mnist --hidden 300 --optimizer adam --epochs 5\n"
        "  symnet mnist --dropout 0.5 --epochs 25\n"
        "  symnet mnist --model logistic --output runs/logistic\n\n"
        "Without --data the images are looked for in SYMNET_DATA and the cache folder, then "
        "downloaded.\nThe same seed gives the same numbers, bit for bit, on the same machine with "
        "as many threads.\nCtrl-C stops; the parameters of the last whole epoch are saved, and "
        "--resume goes on from there\nas if nothing had happened, also after a crash, and with "
        "--device on another device.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", choices=MODELS, default=default.model,
        help="mlp (default): a hidden layer of rectified linear units; logistic: none")  # fmt: skip
    add("--hidden", type=_whole(1, 2**31 - 1), default=default.hidden, metavar="N",
        help=f"hidden units of mlp (default {default.hidden})")  # fmt: skip
    add("--optimizer", choices=LEARNING_RATES, default=default.optimizer,
        help=f"update rule (default {default.optimizer})")  # fmt: skip
    rates = ", ".join(
        f"{name} {rate:g}"
        + (f" ({DROPOUT_RATES[name]:g} with dropout)" if name in DROPOUT_RATES else "")
        for name, rate in LEARNING_RATES.items()
    )
    add("--learning-rate", type=_real("above 0", lambda v: v > 0), metavar="RATE",
        help=f"at the start; it falls linearly (default: {rates})")  # fmt: skip
    add("--epochs", type=_whole(1), default=default.epochs, metavar="N",
        help=f"passes over the training images (default {default.epochs})")  # fmt: skip
    add("--batch-size", type=_whole(1), default=default.batch_size, metavar="N",
        help=f"images per step (default {default.batch_size})")  # fmt: skip
    add("--dropout", type=_real("from 0 to below 1", lambda v: 0 <= v < 1),
        default=default.dropout, metavar="SHARE",
        help="hidden units left out of each step, and 0.4 times as many of the pixels "
        f"(default {default.dropout:g})")  # fmt: skip
    add("--seed", type=_whole(0), default=default.seed, metavar="N",
        help=f"of weights, order and dropout (default {default.seed})")  # fmt: skip
    add(
        "--resume",
        action="store_true",
        help="go on with the run in the output folder; start one if there is none",
    )
    add(
        "--data", type=_folder, metavar="FOLDER", help="the four idx files of MNIST, gzipped or not"
    )
    add_device(parser)
    add("--threads", type=_whole(1), metavar="N", help="default: all that this process may use")
    add("--output", type=_folder, default="runs/mnist", metavar="FOLDER",
        help="for model, history and pictures (default runs/mnist)")  # fmt: skip
    return parser
