"""PyTorch through `torch.compile`: forward, backward and update in one compiled function.

Compiling the cost alone and updating eagerly, or with a second compiled function, was slower.
"""

import os
import shutil

from . import Unavailable

if not any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++")):
    raise Unavailable("torch.compile needs a C++ compiler and there is none on the PATH")

import torch

from . import torch_eager


class Mlp(torch_eager.Mlp):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.parameters = [p.detach() for p in self.parameters]
        self.whole = torch.compile(self._whole)

    @staticmethod
    def _whole(parameters, x, y, rate, loss) -> torch.Tensor:
        gradients, cost = torch.func.grad_and_value(torch_eager.cost)(parameters, x, y, loss)
        for p, g in zip(parameters, gradients):
            p.sub_(g, alpha=rate)
        return cost

    def step(self) -> torch.Tensor:
        with torch.no_grad():
            return self.whole(self.parameters, *self.minibatch(), self.rate, self.loss)


class Chain(torch_eager.Chain):
    compiled = staticmethod(torch.compile)


class Rows(torch_eager.Rows):
    compiled = staticmethod(torch.compile)


class Optimizers(torch_eager.Optimizers):
    fused = None
    compiled = staticmethod(torch.compile)


class Call(torch_eager.Call):
    f = staticmethod(torch.compile(torch_eager.Call.f))


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call, "optimizers": Optimizers, "rows": Rows}
