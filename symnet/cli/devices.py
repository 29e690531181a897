"""The option `--device`, and whether there is such a device."""

import argparse

from symnet.backends import choice
from symnet.config import DEVICES, config

_SAID = {
    "cpu": "all cores",
    "cuda": "an NVIDIA GPU",
    "emulated": "a GPU's programs on the host, slowly, to try them",
}


def add_device(parser: argparse.ArgumentParser) -> None:
    """Give a parser the option; its default is the setting."""
    said = "; ".join(f"{name}: {_SAID[name]}" for name in DEVICES)
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=config.device,
        help=f"where to compute (default {config.device}). {said}",
    )


def require_device(name: str) -> None:
    """Raise DeviceError, with what is missing and how to install it, unless the device is there.
    Of a GPU nothing is loaded for the CPU."""
    if name != "cpu":
        choice.back_end(name)
