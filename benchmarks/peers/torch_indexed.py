"""PyTorch without a DataLoader: minibatches are taken by index from the tensor."""

from collections.abc import Iterator

import torch

from . import torch_eager


class Fit(torch_eager.Fit):
    def loader(self, x: torch.Tensor, y: torch.Tensor, batch: int, shuffle: bool) -> object:
        return _Batches(x, y, batch, shuffle)


class _Batches:
    def __init__(self, x: torch.Tensor, y: torch.Tensor, batch: int, shuffle: bool):
        self.x, self.y, self.batch, self.shuffle = x, y, batch, shuffle

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self.shuffle:
            for rows in torch.randperm(len(self.x)).split(self.batch):
                yield self.x[rows], self.y[rows]
        else:
            yield from zip(self.x.split(self.batch), self.y.split(self.batch))


PROGRAMS = {"fit": Fit}
