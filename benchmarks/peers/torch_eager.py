"""PyTorch, eager: autograd and the update in place under `no_grad`."""

import os

import torch
import torch.nn.functional as F

from ..cases import call, chain, mlp

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def cost(
    parameters: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, loss: str = "labels"
) -> torch.Tensor:
    h = x
    for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
        h = torch.relu(torch.addmm(b, h, w))
    o = torch.addmm(parameters[-1], h, parameters[-2])
    if loss == "pixels":
        return F.binary_cross_entropy_with_logits(o, x)
    return F.cross_entropy(o, y)


class Mlp(mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        d = self.data
        self.x, self.y = torch.from_numpy(d.x), torch.from_numpy(d.y)
        self.parameters = [torch.from_numpy(v).requires_grad_() for v in d.parameters]

    def minibatch(self) -> tuple[torch.Tensor, torch.Tensor]:
        k, b = self.advance(), self.batch
        return self.x[k * b : (k + 1) * b], self.y[k * b : (k + 1) * b]

    def step(self) -> torch.Tensor:
        value = cost(self.parameters, *self.minibatch(), self.loss)
        value.backward()
        with torch.no_grad():
            for p in self.parameters:
                p.sub_(p.grad, alpha=self.rate)
                p.grad = None
        return value.detach()


class Chain:
    against = "total"

    def __init__(self, size: int, **_: object):
        self.x, self.z = (torch.from_numpy(v) for v in chain.data(size))

    @staticmethod
    def value(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(x * z + 0.5) * torch.exp(-x * x) + torch.log1p(z)).sum()

    def check(self) -> list[float]:
        return [float(self.value(self.x, self.z))]

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.value(self.x, self.z)


class Call:
    against = "values"

    def __init__(self, **_: object):
        self.x = torch.from_numpy(call.data())

    @staticmethod
    def f(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    def check(self) -> list[float]:
        return self.f(self.x).tolist()

    def run(self, iterations: int) -> None:
        f, x = self.f, self.x
        for _ in range(iterations):
            f(x)


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call}
