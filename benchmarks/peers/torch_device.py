"""PyTorch, eager, on a device: what `torch_eager` does there, without waiting in between."""

import torch
import torch.nn.functional as F

from ..cases import digest, fit
from . import Unavailable, torch_eager


class Device:
    """Common part of the programs: where they run, and how one waits for them."""

    def __init__(self, device: str, precision: str = "highest", **parameters: object):
        if device == "cuda" and not torch.cuda.is_available():
            raise Unavailable(f"PyTorch {torch.__version__} finds no GPU")
        torch.backends.cuda.matmul.allow_tf32 = precision == "high"
        self.device = torch.device(device)
        super().__init__(**parameters)

    def finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def run(self, iterations: int) -> None:
        super().run(iterations)
        self.finish()


class Mlp(Device, torch_eager.Mlp):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.x, self.y = self.x.to(self.device), self.y.to(self.device)
        self.parameters = [
            p.detach().clone().to(self.device).requires_grad_() for p in self.parameters
        ]


class Chain(Device, torch_eager.Chain):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.x, self.z = self.x.to(self.device), self.z.to(self.device)

    def check(self) -> list[float]:
        return digest.digest(self.call().cpu())


class Fit(Device, torch_eager.Fit):
    """Data, order of the examples and sums of the metrics on the device; the host waits once an
    epoch, for what it would print."""

    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.placed: dict[int, list[torch.Tensor]] = {}
        self.sums = torch.zeros(4, device=self.device)

    def place(self, d: fit.Data) -> list[torch.Tensor]:
        """The examples on the device, once for all calls."""
        if len(d.x) not in self.placed:
            self.placed[len(d.x)] = [torch.from_numpy(v).to(self.device) for v in d[:4]]
        return self.placed[len(d.x)]

    def model(self) -> torch.nn.Module:
        model = super().model().to(self.device)
        self.optimizer = torch.optim.SGD(model.parameters(), fit.RATE, fused=True)
        return model

    def fit(self, model: torch.nn.Module, d: fit.Data, epochs: int, shuffle: bool) -> list[float]:
        x, y, held_x, held_y = self.place(d)
        results: list[float] = []
        order = torch.randperm if shuffle else torch.arange
        for _ in range(epochs):
            self.sums.zero_()
            for rows in order(len(x), device=self.device).split(self.batch):
                self.train(model, x, y, rows)
            with torch.no_grad():
                for rows in torch.arange(len(held_x), device=self.device).split(2 * self.batch):
                    self.validate(model, held_x, held_y, rows)
            loss, right, held_loss, held_right = self.sums.tolist()
            n, m = len(x), len(held_x)
            results = [loss / n, right / n, held_loss / m, held_right / m]
        return results

    def train(self, model: torch.nn.Module, x, y, rows) -> None:
        """A step with the examples in `rows`; its loss and its hits are added to `sums`."""
        y = y[rows]
        scores = model(x[rows])
        value = F.cross_entropy(scores, y)
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        add(self.sums[:2], value.detach(), scores.detach(), y)

    def validate(self, model: torch.nn.Module, x, y, rows) -> None:
        """Likewise, without training."""
        y = y[rows]
        scores = model(x[rows])
        add(self.sums[2:], F.cross_entropy(scores, y), scores, y)


def add(sums: torch.Tensor, loss: torch.Tensor, scores: torch.Tensor, y: torch.Tensor) -> None:
    """Add the loss of a minibatch and the number of right guesses."""
    sums.add_(torch.stack([loss * len(y), (scores.argmax(1) == y).sum()]))


PROGRAMS = {"mlp": Mlp, "chain": Chain, "fit": Fit}
