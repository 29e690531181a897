"""How `symnet mnist` shows that it gets on: a bar on a terminal, else a line per epoch."""

import sys
from collections.abc import Callable
from typing import Any

from symnet.cli.network import Epoch


def line(epoch: Epoch, epochs: int) -> str:
    """One epoch in words and numbers."""
    return (
        f"epoch {epoch.number:{len(str(epochs))}}/{epochs}  loss {epoch.loss:.4f}  "
        f"validation accuracy {100 * epoch.validation_accuracy:.2f}%  "
        f"{epoch.images_per_second:.0f} images/s"
    )


class Lines:
    """A line per epoch."""

    def __init__(self, epochs: int, images: int, batches: int):
        self.epochs = epochs

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def watch(self, number: int, loss_so_far: Callable[[], float]) -> Callable[[int], bool] | None:
        """What the epoch calls between steps."""
        return None

    def finished(self, epoch: Epoch) -> None:
        print(line(epoch, self.epochs), flush=True)


class Bar(Lines):
    """A bar through the epoch that runs, and a line for each that has run."""

    def __init__(self, epochs: int, images: int, batches: int):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__(epochs, images, batches)
        self.images, self.batches = images, batches
        self.accuracy = ""
        # drawn between steps only: a thread that draws would wait for the native loop anyway
        self.progress: Any = Progress(
            TextColumn("epoch {task.fields[number]}/" + str(epochs)),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}{task.fields[accuracy]}  {task.fields[speed]}"),
            console=Console(file=sys.stdout, highlight=False),
            auto_refresh=False,
            transient=True,
        )
        self.task = self.progress.add_task(
            "", total=batches, number=1, loss="...", accuracy="", speed=""
        )

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def watch(self, number: int, loss_so_far: Callable[[], float]) -> Callable[[int], bool] | None:
        clock = self.progress.get_time
        start = clock()

        def between(steps: int) -> bool:
            if not steps:  # the sizes are being bound
                return False
            speed = steps / self.batches * self.images / (clock() - start)
            self.progress.update(
                self.task, completed=steps, number=number, accuracy=self.accuracy,
                loss=f"{loss_so_far() / steps:.4f}", speed=f"{speed:.0f} images/s",
            )  # fmt: skip
            self.progress.refresh()
            return False

        return between

    def finished(self, epoch: Epoch) -> None:
        self.accuracy = f"  validation accuracy {100 * epoch.validation_accuracy:.2f}%"
        self.progress.console.print(line(epoch, self.epochs))


def progress(epochs: int, images: int, batches: int) -> Lines:
    """What fits standard output."""
    return (Bar if sys.stdout.isatty() else Lines)(epochs, images, batches)
