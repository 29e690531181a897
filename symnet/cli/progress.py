"""How `symnet mnist` shows that it gets on: a bar on a terminal, else a line per epoch."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from symnet.nn.training.interrupt import Interrupts
from symnet.nn.training.progress import Bar, Lines, Progress


class Watched(Progress):
    """Shows what another one does, in the words of this command, and lets Ctrl-C through between
    two steps.

    opening  called when everything is compiled, before the first epoch
    """

    def __init__(self, opening: Callable[[], None], interrupts: Interrupts):
        self.opening, self.interrupts = opening, interrupts
        self.inner = _Bar() if sys.stdout.isatty() else _Lines()

    def start(self, epochs: int, batches: int, count: int) -> None:
        self.interrupts.defer()
        self.opening()
        self.inner.start(epochs, batches, count)

    def begin(self, epoch: int) -> None:
        self.interrupts.check()
        self.inner.begin(epoch)

    def between(self, steps: int, loss: float) -> None:
        self.interrupts.check()
        self.inner.between(steps, loss)

    def finish(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> None:
        self.inner.finish(epoch, logs, seconds)

    def close(self) -> None:
        self.inner.close()


class _Words(Progress):
    def line(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> str:
        return (
            f"epoch {epoch:{len(str(self.epochs))}}/{self.epochs}  loss {logs['loss']:.4f}  "
            f"validation accuracy {100 * logs['val_accuracy']:.2f}%  "
            f"{self.count / seconds:.0f} images/s"
        )


class _Lines(_Words, Lines):
    pass


class _Bar(_Words, Bar):
    accuracy = ""  # of the epoch before

    def between(self, steps: int, loss: float) -> None:
        seconds = max(time.perf_counter() - self.since, 1e-9)
        self.drawn.update(
            self.task,
            completed=steps,
            loss=f"{loss:.4f}{self.accuracy}",
            speed=f"{steps / self.batches * self.count / seconds:.0f} images/s",
        )
        self.drawn.refresh()

    def finish(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> None:
        super().finish(epoch, logs, seconds)
        self.accuracy = f"  validation accuracy {100 * logs['val_accuracy']:.2f}%"
