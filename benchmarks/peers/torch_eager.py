"""PyTorch, eager: autograd and the update in place under `no_grad`."""

import os
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from ..cases import call, chain, fit, mlp, optimizers, rows

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


class _Eager:
    """`torch_compiled` compiles the functions of these programs; here they stay as they are."""

    @staticmethod
    def compiled(f: Callable) -> Callable:
        return f


def total(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return (torch.tanh(x * z + 0.5) * torch.exp(-x * x) + torch.log1p(z)).sum()


def array(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(x * x + z * z) * torch.sigmoid(x) - 0.1 * x


class Chain(_Eager, chain.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.x, self.z = (torch.from_numpy(v) for v in self.inputs)
        if self.kind == "gradient":
            self.x.requires_grad_(), self.z.requires_grad_()
        self.f = self.compiled(array if self.kind == "array" else total)

    def call(self) -> object:
        value = self.f(self.x, self.z)
        if self.kind != "gradient":
            return value
        return value.detach(), *torch.autograd.grad(value, (self.x, self.z))


def softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, 1)


def layer_norm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, (x.shape[1],), scale, shift, rows.EPSILON)


class Rows(_Eager, rows.Program):
    """Gradients by autograd, the forward pass included, as in every training."""

    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        x, self.upstream, scale, shift, labels = (torch.from_numpy(v) for v in self.data)
        f, self.arguments, self.wrt = {
            "softmax": (softmax, [x], 0),
            "cross-entropy": (F.cross_entropy, [x, labels], 1),
            "layer-norm": (layer_norm, [x, scale, shift], 0),
            "layer-norm-gradient": (layer_norm, [x, scale, shift], 3),
        }[self.kind]
        for v in self.arguments[: self.wrt]:
            v.requires_grad_()
        self.f = self.compiled(f)

    def call(self) -> object:
        value = self.f(*self.arguments)
        if not self.wrt:
            return value
        upstream = self.upstream if value.ndim else None
        return torch.autograd.grad(value, self.arguments[: self.wrt], upstream)


class Optimizers(_Eager, optimizers.Program):
    """`fused=True` where `torch.optim` has it for the CPU."""

    fused: bool | None = True

    def __init__(self, rule: str):
        super().__init__(rule)
        self.parameters = [torch.from_numpy(p).requires_grad_() for p in self.parameters]
        for p, g in zip(self.parameters, self.gradients):
            p.grad = torch.from_numpy(g)
        self.advance = self.compiled(self.optimizer().step)

    def optimizer(self) -> torch.optim.Optimizer:
        s, fused = self.settings, self.fused
        p, rate, epsilon = self.parameters, s["rate"], s.get("epsilon")
        betas = s.get("beta1"), s.get("beta2")
        optim = torch.optim
        return {
            "sgd": lambda: optim.SGD(p, rate, fused=fused),
            "momentum": lambda: optim.SGD(p, rate, s["momentum"], fused=fused),
            "nesterov": lambda: optim.SGD(p, rate, s["momentum"], nesterov=True, fused=fused),
            "adagrad": lambda: optim.Adagrad(p, rate, eps=epsilon, fused=fused),
            "adadelta": lambda: optim.Adadelta(p, rate, s["rho"], epsilon),
            "rmsprop": lambda: optim.RMSprop(p, rate, s["rho"], epsilon),
            "adam": lambda: optim.Adam(p, rate, betas, epsilon, fused=fused),
            "adamw": lambda: optim.AdamW(p, rate, betas, epsilon, s["decay"], fused=fused),
        }[self.rule]()

    def values(self) -> list[np.ndarray]:
        return [p.detach().numpy() for p in self.parameters]


class Fit(fit.Program):
    """The usual loop, with a DataLoader of default settings."""

    def model(self) -> torch.nn.Module:
        inputs, hidden, classes = self.sizes
        model = torch.nn.Sequential(
            torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)
        )
        with torch.no_grad():
            for own, given in zip(model.parameters(), self.data.parameters):
                own.copy_(torch.from_numpy(given.T))
        return model

    def loader(self, x: torch.Tensor, y: torch.Tensor, batch: int, shuffle: bool) -> Iterable:
        return DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=shuffle)

    def fit(self, model: torch.nn.Module, d: fit.Data, epochs: int, shuffle: bool) -> list[float]:
        x, y, held_x, held_y = (torch.from_numpy(v) for v in d[:4])
        train = self.loader(x, y, self.batch, shuffle)
        held = self.loader(held_x, held_y, 2 * self.batch, False)
        optimizer = torch.optim.SGD(model.parameters(), fit.RATE)
        for _ in range(epochs):
            model.train()
            results = self.epoch(model, train, optimizer)
            model.eval()
            with torch.no_grad():
                results += self.epoch(model, held, None)
        return results

    def epoch(
        self, model: torch.nn.Module, batches: Iterable, optimizer: torch.optim.Optimizer | None
    ) -> list[float]:
        """Loss and accuracy."""
        loss, right, n = 0.0, 0, 0
        for x, y in batches:
            scores = model(x)
            value = F.cross_entropy(scores, y)
            if optimizer is not None:
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            loss += value.item() * len(y)
            right += (scores.argmax(1) == y).sum().item()
            n += len(y)
        return [loss / n, right / n]


class Call(call.Program):
    def __init__(self, **_: object):
        self.x = torch.from_numpy(call.data())

    @staticmethod
    def f(x: torch.Tensor) -> torch.Tensor:
        return x + 1


PROGRAMS = {
    "mlp": Mlp,
    "chain": Chain,
    "call": Call,
    "optimizers": Optimizers,
    "rows": Rows,
    "fit": Fit,
}
