"""PyTorch through `torch.compile(mode="reduce-overhead")`: compiled steps as CUDA graphs.

What stays in its place is marked so, or the graphs would copy it in every step.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch._dynamo.utils import counters

from ..cases import fit
from . import torch_compiled, torch_device

torch._dynamo.config.recompile_limit = 64  # minibatches of `fit` have few sizes, but more than 8


def compiled(f: Callable) -> Callable:
    return torch.compile(f, mode="reduce-overhead", dynamic=False)


def fixed(*tensors: torch.Tensor) -> None:
    """These tensors keep their addresses."""
    for tensor in tensors:
        torch._dynamo.mark_static_address(tensor)


class _Graphs:
    def facts(self) -> dict[str, float]:
        """How many compiled functions of this process go without a graph."""
        return {"compiled without a graph": counters["inductor"]["cudagraph_skips"]}


class Mlp(_Graphs, torch_device.Mlp):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.parameters = [p.detach() for p in self.parameters]
        fixed(*self.parameters)
        self.whole = compiled(torch_compiled.Mlp._whole)

    def step(self) -> torch.Tensor:
        with torch.no_grad():
            return self.whole(self.parameters, *self.minibatch(), self.rate, self.loss)


class Chain(_Graphs, torch_device.Chain):
    compiled = staticmethod(compiled)

    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        fixed(self.x, self.z)


class Fit(_Graphs, torch_device.Fit):
    """A step is one compiled function, from the rows of its minibatch to the sums."""

    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.step, self.evaluate = compiled(_step), compiled(_evaluate)
        fixed(self.sums)

    def place(self, d: fit.Data) -> list[torch.Tensor]:
        placed = super().place(d)
        fixed(*placed)
        return placed

    def model(self) -> list[torch.Tensor]:
        parameters = [torch.from_numpy(v.copy()).to(self.device) for v in self.data.parameters]
        fixed(*parameters)
        return parameters

    def train(self, model: list[torch.Tensor], x, y, rows) -> None:
        with torch.no_grad():
            self.step(model, x, y, rows, self.sums)

    def validate(self, model: list[torch.Tensor], x, y, rows) -> None:
        self.evaluate(model, x, y, rows, self.sums)


def _scores(parameters: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    w1, b1, w2, b2 = parameters
    return torch.addmm(b2, torch.relu(torch.addmm(b1, x, w1)), w2)


def _step(parameters, x, y, rows, sums) -> None:
    x, y = x[rows], y[rows]

    def cost(parameters: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        scores = _scores(parameters, x)
        return F.cross_entropy(scores, y), scores

    gradients, (value, scores) = torch.func.grad_and_value(cost, has_aux=True)(parameters)
    for p, g in zip(parameters, gradients):
        p.sub_(g, alpha=fit.RATE)
    torch_device.add(sums[:2], value, scores, y)


def _evaluate(parameters, x, y, rows, sums) -> None:
    x, y = x[rows], y[rows]
    scores = _scores(parameters, x)
    torch_device.add(sums[2:], F.cross_entropy(scores, y), scores, y)


PROGRAMS = {"mlp": Mlp, "chain": Chain, "fit": Fit}
