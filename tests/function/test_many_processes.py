"""Many processes compile the same functions on one empty cache while some are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

PROGRAM = """
import json, sys
import numpy as np
import symnet, symnet.tensor as T
x = T.matrix("x")
w = symnet.shared(np.ones((4, 3), "float32"), name="w")
cost = T.sqr(T.tanh(T.dot(x, w))).mean()
f = symnet.function([x], cost, updates=[(w, w - 0.5 * symnet.grad(cost, w))])
g = symnet.function([x], T.nnet.softmax(x))
data = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)
costs = [float(f(data)) for _ in range(3)]
print(json.dumps([costs, g(data).tolist(), "numba" in sys.modules]))
"""


def test_survivors_are_right_and_the_cache_is_whole(tmp_path):
    environment = {**os.environ, "SYMNET_CACHE": str(tmp_path), "SYMNET_FLAGS": ""}

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    chance = random.Random(0)
    processes = [start() for _ in range(16)]
    doomed = processes[::3]
    for process in doomed:
        time.sleep(chance.uniform(0.1, 0.8))
        process.send_signal(signal.SIGKILL)
    outputs = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        if process not in doomed:
            assert process.returncode == 0, err
            outputs.append(json.loads(out)[:2])
    assert all(output == outputs[0] for output in outputs)
    assert outputs[0][0] == sorted(outputs[0][0], reverse=True)  # the cost falls

    check = "from symnet.backends.cpu import cache; print(len(cache.entries()), cache.check())"
    found = subprocess.run(
        [sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True
    )
    count, broken = found.stdout.split(maxsplit=1)
    assert int(count) > 0 and broken.strip() == "[]"

    last = start()  # everything is stored now: no compiler is imported
    out, err = last.communicate(timeout=300)
    assert json.loads(out) == [*outputs[0], False], err
