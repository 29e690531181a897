"""Devices that tell what they were asked for, and a step of training to watch."""

import numpy as np
from emulating import values

import symnet
import symnet.tensor as T
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.errors import RecordingError

i = T.lscalar("i")


class Watched(EmulatedDevice):
    """A device that keeps a list of what it was asked for."""

    def __init__(self, **circumstances):
        super().__init__(**circumstances)
        self.asked = []

    def put(self, address, array):
        self.asked.append(("put", array.nbytes))
        super().put(address, array)

    def get(self, array, address):
        self.asked.append(("get", array.nbytes))
        super().get(array, address)

    def allocate(self, size):
        self.asked.append(("allocate", size))
        return super().allocate(size)

    def record(self, orders):
        self.asked.append(("record",))
        found = super().record(orders)
        replay = found.replay
        found.replay = lambda: (self.asked.append(("replay",)), replay())
        return found

    def taken(self):
        found, self.asked = self.asked, []
        return found


class Unwilling(EmulatedDevice):
    """A device that records nothing."""

    def record(self, orders):
        raise RecordingError("step 3 cannot be recorded")


def training(seed=0, rows=48, size=8):
    """A step of training on the minibatch with number `i`."""
    X = symnet.shared(values(rows, 12, seed=seed), name="X")
    truth = symnet.shared(np.random.default_rng(seed).integers(0, 5, rows), name="truth")
    W = symnet.shared(values(12, 5, seed=seed + 1), name="W")
    V = symnet.shared(np.zeros((12, 5), "float32"), name="V")
    here = slice(i * size, (i + 1) * size)
    p = T.nnet.softmax(T.dot(X[here], W))
    cost = T.nnet.categorical_crossentropy(p, truth[here]).mean()
    step = 0.9 * V - 0.1 * symnet.grad(cost, W)
    return [i], [cost, p.max(axis=1)], [(W, W + step), (V, step)]


def state(updates):
    return [s.get_value().tobytes() for s, _ in updates]
