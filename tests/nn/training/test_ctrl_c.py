"""Ctrl-C while a model is trained."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from symnet import nn
from symnet.nn.training import checkpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2000, 20)).astype("float32")
Y = RNG.integers(0, 3, 2000)
SIZE, BATCHES = 64, 32


def network():
    model = nn.Sequential([nn.Dense(30, activation="relu"), nn.Dense(3, activation="softmax")], 0)
    model.compile("adam", "categorical_crossentropy")
    model.build([(None, 20)])
    return model


class Arm(nn.Callback):
    """Presses Ctrl-C some time after the first epoch."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_epoch_end(self, epoch, logs):
        if epoch == 1:
            press = threading.Timer(self.seconds, os.kill, (os.getpid(), signal.SIGINT))
            press.start()


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.21])
def test_the_completed_steps_are_kept(tmp_path, seconds):
    model, path = network(), tmp_path / "a"
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            X, Y, batch_size=SIZE, epochs=20_000, shuffle=False, verbose=0,
            callbacks=[nn.Checkpoint(path, every=7), Arm(seconds)],
        )  # fmt: skip
    (count,) = (v for v in model._program[1].optimizer_state if v.name == "adam_step")
    done = int(count.get_value())
    assert done >= BATCHES
    other = network()
    other.fit(X, Y, batch_size=SIZE, epochs=done // BATCHES, shuffle=False, verbose=0)
    for k in range(done % BATCHES):
        rows = slice(k * SIZE, k * SIZE + SIZE)
        other.train_on_batch(X[rows], Y[rows])
    for a, b in zip(model.get_weights(), other.get_weights()):
        assert np.array_equal(a, b)
    # epochs that were counted are whole, and so is the checkpoint of one of them
    epochs = len(model.history)
    assert epochs in (done // BATCHES, done // BATCHES - 1)
    if path.exists():  # the interrupt may have come while it was written
        due = epochs // 7 * 7
        assert checkpoint.read(path).history.epochs[-1] in (due, due - 7)
    model.fit(X, Y, verbose=0)  # it can go on


def test_a_process_ends_soon_and_as_processes_do():
    """Pressed once, in the middle of an epoch that would take minutes."""
    program = (
        "import numpy as np\n"
        "from symnet import nn\n"
        "x = np.zeros((200_000, 100), 'float32'); y = np.zeros(200_000, 'int64')\n"
        "model = nn.Sequential([nn.Dense(1000), nn.Dense(1000), nn.Dense(3)], 0)\n"
        "model.compile('sgd', 'categorical_crossentropy_from_logits')\n"
        "class Say(nn.Callback):\n"
        "    def on_epoch_begin(self, epoch): print('training', flush=True)\n"
        "model.fit(x, y, batch_size=1, epochs=3, verbose=0, callbacks=[Say()])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "training\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT and errors.endswith("KeyboardInterrupt\n")
