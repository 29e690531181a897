"""A small data folder, and the command run in this process."""

import struct

import numpy as np
import pytest

from symnet.cli import main
from symnet.data import synthetic

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(scope="session")
def digits():
    return synthetic(660, 200)


@pytest.fixture(scope="session")
def data(digits, tmp_path_factory):
    """A folder with 660 training and 200 test images in files like MNIST's."""
    folder = tmp_path_factory.mktemp("digits")
    for name, array in zip(NAMES, digits):
        head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (folder / name).write_bytes(head + np.ascontiguousarray(array).tobytes())
    return str(folder)


@pytest.fixture
def run(capsys):
    """`run("mnist", "--epochs", 3)` gives exit status, standard output and error."""

    def command(*arguments):
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return command
