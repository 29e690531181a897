"""Training that is killed at random moments, again and again, and resumed each time.

    python tests/nn/training/kill_and_resume.py 20

trains once undisturbed, then in processes that get SIGKILL until so many have been killed, and
compares the parameters, the history and the CSV log bit for bit.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def train(folder: str, epochs: int) -> None:
    """What the killed processes run; ends with digests on standard output."""
    import numpy as np

    from symnet import nn
    from symnet.data import synthetic

    digits = synthetic(3000, 10)
    model = nn.Sequential(
        [
            nn.Rescaling(1 / 255),
            nn.Flatten(),
            nn.Dense(100, activation="relu", kernel_regularizer=nn.l2(1e-5)),
            nn.Dropout(0.3),
            nn.Dense(10, activation="softmax"),
        ],
        seed=0,
    )
    model.compile("adam", "categorical_crossentropy", ["accuracy"], learning_rate=0.002)
    place = Path(folder)
    print("ready", flush=True)
    history = model.fit(
        digits.train_images,
        digits.train_labels,
        batch_size=64,
        epochs=epochs,
        validation_split=0.1,
        verbose=0,
        seed=7,
        resume=True,
        callbacks=[
            nn.EarlyStopping(patience=50, restore_best=True),
            nn.ReduceOnPlateau(patience=1, factor=0.5),
            nn.CSVLog(place / "log.csv"),
            nn.Checkpoint(place / "run.ckpt"),
        ],
    )
    weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
    state = np.concatenate([v.storage.ravel() for v in model._program[1].optimizer_state])
    found = {
        "weights": weights,
        "optimizer": hashlib.sha256(state.tobytes()).hexdigest(),
        "logs": history.logs,
        "epochs": history.epochs,
        "steps": hashlib.sha256(np.concatenate(history.steps).tobytes()).hexdigest(),
        "csv": (place / "log.csv").read_text(),
    }
    print(json.dumps(found), flush=True)


def start(folder: str, epochs: int) -> subprocess.Popen:
    command = [sys.executable, os.path.abspath(__file__), "--train", folder, str(epochs)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def run(kills: int, seed: int = 0, say=lambda text: None) -> tuple[dict, dict]:
    """What an undisturbed run found, and one that was killed so many times while it ran."""
    draw = random.Random(seed)
    epochs = 6 + 4 * kills
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as killed:
        start(whole, 1).communicate()  # so that no time is spent on compiling
        clear(whole)
        process, before = start(whole, epochs), time.perf_counter()
        while not os.path.exists(os.path.join(whole, "run.ckpt")):
            time.sleep(0.002)
        first = time.perf_counter() - before
        undisturbed = json.loads(process.communicate()[0])
        rest = time.perf_counter() - before - first
        struck = 0
        while struck < kills:
            process = start(killed, epochs)
            # on average each process makes its share of the epochs
            time.sleep(draw.uniform(0, first + 1.5 * rest / kills))
            if process.poll() is not None:
                say("finished before it was killed; starting over")
                process.communicate()
                clear(killed)
                continue
            process.send_signal(signal.SIGKILL)
            process.communicate()
            struck += 1
            log = Path(killed, "log.csv")
            done = len(log.read_text().splitlines()) - 1 if log.exists() else 0
            say(f"kill {struck} after epoch {done}; files: {sorted(os.listdir(killed))}")
        resumed = json.loads(start(killed, epochs).communicate()[0])
    return undisturbed, resumed


def clear(folder: str) -> None:
    for file in os.listdir(folder):
        os.unlink(os.path.join(folder, file))


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    undisturbed, resumed = run(kills, seed=int(time.time()), say=print)
    differing = [name for name in undisturbed if undisturbed[name] != resumed[name]]
    print(f"killed {kills} times; {'equal bits' if not differing else f'DIFFERENT: {differing}'}")
    return bool(differing)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
