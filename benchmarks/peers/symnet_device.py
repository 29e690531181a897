"""symnet on a device: arguments are arrays of the device, results stay there."""

from typing import Any

import numpy as np

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.backends.gpu import devices

from ..cases import digest, fit, kernels, mlp
from . import symnet_tape
from .watch import Watch, beside_one_replay, stops

STEPS = 5  # that are watched
BESIDE, WAITS = "launches beside one graph", "waits"  # per step


class _Device:
    """Common part of the programs: where they run, and how one waits for them."""

    def __init__(self, device: str, precision: str = "highest", **parameters: Any):
        symnet.config.float32_matmul_precision = precision
        self.where, self.device = device, devices.device(device)
        self.given = {"device": device, "precision": precision, **parameters}
        super().__init__(**parameters)

    def function(self, inputs, outputs, **rest: object):
        """Compiled for the device, where the output stays."""
        kept = symnet.Out(outputs, on_device=True)
        return symnet.function(inputs, kept, device=self.where, **rest)

    def host(self, value: Any) -> np.ndarray:
        return np.asarray(symnet.transfer(value, "cpu"))

    def finish(self) -> None:
        self.device.wait()

    def run(self, iterations: int) -> None:
        super().run(iterations)
        self.finish()

    def facts(self) -> dict[str, float]:
        """What an iteration orders once everything has been recorded. Of a program of its own:
        one that was watched would be slower ever after."""
        program = type(self)(**self.given)
        with Watch(self.device) as seen:
            program.run(STEPS)
            seen.forget()
            for _ in range(STEPS):
                program.once()
        return {
            BESIDE: beside_one_replay(seen.events, STEPS),
            WAITS: seen.count("wait") / STEPS,
            "copies": seen.count("copy") / STEPS,
            "puts": seen.count("put") / STEPS,
        }

    def once(self) -> object:
        """An iteration."""
        raise NotImplementedError


class Mlp(_Device, symnet_tape.Mlp):
    def check(self) -> list[float]:
        return [float(self.host(self.step())) for _ in range(mlp.STEPS)]

    def once(self) -> object:
        return self.step()


class Chain(_Device, symnet_tape.Chain):
    def __init__(self, **parameters: Any):
        super().__init__(**parameters)
        self.inputs = [symnet.transfer(v, self.where) for v in self.inputs]

    def check(self) -> list[float]:
        return digest.digest(self.host(self.call()))

    def once(self) -> object:
        return self.call()


class Kernels(_Device, kernels.Program):
    """Everything in shared variables, so that a launch is all there is to an iteration."""

    def __init__(self, **parameters: Any):
        super().__init__(**parameters)
        # shapes that are known, so that the new value goes where the old one lies
        a, b, scale, shift = (symnet.shared(v, shape=v.shape) for v in self.data)
        value = {
            "add": lambda: a + b,
            "chain": lambda: T.sqrt(a * a + b * b) * T.nnet.sigmoid(a) - 0.1 * a,
            "softmax": lambda: T.nnet.softmax(a),
            "layer-norm": lambda: symnet_tape.layer_norm(a, scale, shift),
            "transpose": lambda: a + b.T,
            "column-sum": lambda: a.sum(axis=0),
        }[self.kind]()
        shape = self.data.a.shape if value.ndim == 2 else self.data.scale.shape
        self.out = symnet.shared(np.zeros(shape, "float32"), shape=shape)
        updates = [(self.out, value)]
        self.launch = symnet.function([], [], updates=updates, device=self.where)

    def value(self) -> np.ndarray:
        return self.out.get_value()

    def once(self) -> object:
        return self.launch()


class Fit(_Device, symnet_tape.Fit):
    def fit(self, model: nn.Sequential, d: fit.Data, epochs: int, shuffle: bool) -> list[float]:
        with symnet.config.change(device=self.where):
            return super().fit(model, d, epochs, shuffle)

    def facts(self) -> dict[str, float]:
        """Of an epoch's steps over few examples; the epoch before it records the graph."""
        d, batch = self.data.few, 32
        with Watch(self.device) as seen, symnet.config.change(device=self.where):
            self.model().fit(d.x, d.y, batch, epochs=2, verbose=_Reports(seen))
        steps = -(-len(d.x) // batch)
        return {
            BESIDE: beside_one_replay(seen.events, steps - 1),  # the last is a smaller one
            WAITS: stops(seen.events, "report") / steps,
        }


class _Reports(nn.Progress):
    """Writes into a watch when `fit` has something to report; forgets the epoch before."""

    def __init__(self, seen: Watch):
        self.seen = seen

    def begin(self, epoch: int) -> None:
        self.seen.forget()

    def between(self, steps: int, loss: float) -> None:
        self.seen.note("report")


PROGRAMS = {"mlp": Mlp, "chain": Chain, "kernels": Kernels, "fit": Fit}
