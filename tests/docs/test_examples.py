"""The Theano program in docs/examples: what was changed, and that it learns what it should."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "logistic_sgd.py"
BATCH, RATE = 20, 0.13


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("logistic_sgd", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def clusters(count, seed):
    """Ten overlapping clusters in 12 dimensions: (points, labels)."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(10, 12))
    labels = rng.integers(0, 10, count).astype(np.uint8)
    return centres[labels] + 0.7 * rng.normal(size=(count, 12)), labels


def errors_by_numpy(datasets, epochs):
    """The same training by hand, in float64; the mean validation error after each epoch."""
    (train_x, train_y), (valid_x, valid_y), _ = datasets
    W, b = np.zeros((train_x.shape[1], 10)), np.zeros(10)
    found = []
    for _ in range(epochs):
        for k in range(len(train_x) // BATCH):
            rows = slice(k * BATCH, (k + 1) * BATCH)
            x, y = train_x[rows], train_y[rows]
            z = x @ W + b
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            p[np.arange(BATCH), y] -= 1
            W -= RATE * x.T @ p / BATCH
            b -= RATE * p.sum(0) / BATCH
        found.append(np.mean((valid_x @ W + b).argmax(1) != valid_y))
    return found


def test_only_the_imports_differ_from_theano():
    changed = [line for line in PROGRAM.read_text().splitlines() if "symnet" in line]
    assert changed == [
        "import symnet as theano  # import theano",
        "import symnet.tensor as T  # import theano.tensor as T",
    ]


def test_it_learns_what_numpy_learns(program):
    datasets = [clusters(400, 1), clusters(200, 2), clusters(200, 3)]
    best, test, epochs = program.sgd_optimization(
        datasets, RATE, n_epochs=6, batch_size=BATCH, verbose=False
    )
    expected = errors_by_numpy(datasets, 6)
    assert epochs == 6
    assert best == pytest.approx(min(expected), abs=0.006)  # one point may tip over in float32
    assert best < 0.2 and test < 0.25


def test_it_stops_when_the_validation_error_stays(program):
    points = np.zeros((100, 12))
    data = (points, np.zeros(100, np.uint8))  # solved at once: nothing to gain after epoch 1
    best, test, epochs = program.sgd_optimization([data] * 3, RATE, 10_000, 20, verbose=False)
    assert (best, test) == (0, 0)
    assert (
        epochs == 1001
    )  # 5000 minibatches of patience, five to an epoch, and the one that ends it


def test_without_a_folder_it_says_how_to_call_it():
    for arguments in ([], ["/no/such/folder"]):
        done = subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("usage: python logistic_sgd.py FOLDER")


@pytest.mark.skipif("SYMNET_DATA" not in os.environ, reason="SYMNET_DATA names no MNIST")
def test_mnist_ends_where_theano_ended(program):
    folder = Path(os.environ["SYMNET_DATA"])
    folder = folder / "mnist" if (folder / "mnist").is_dir() else folder
    if not (folder / "train-images-idx3-ubyte.gz").exists():
        pytest.skip("the MNIST files are not there, or not compressed")
    best, test, epochs = program.sgd_optimization(program.load_data(folder), verbose=False)
    assert best == pytest.approx(0.0750, abs=0.0005)
    assert test == pytest.approx(0.0749, abs=0.0005)
    assert 60 <= epochs <= 90
