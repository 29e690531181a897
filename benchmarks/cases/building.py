"""A wrapper that makes the building of a training step what is measured."""

from collections.abc import Callable

from . import mlp


class Building:
    """An iteration builds a program of the family `mlp`, compiles it and makes its first step; the
    data are there already. `check` comes after `run`."""

    against = "trajectory"

    def __init__(self, build: Callable, **parameters: object):
        self.build, self.parameters = build, parameters
        self.given = mlp.data(**parameters)

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.program = self.build(**self.parameters, given=self.given)
            self.costs = [float(self.program.step())]

    def check(self) -> list[float]:
        return [*self.costs, *(float(self.program.step()) for _ in range(mlp.STEPS - 1))]
