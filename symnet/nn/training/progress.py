"""How training shows that it gets on: a bar on a terminal and in a notebook, else a line per epoch.

A bar is drawn between steps only: a thread that draws would wait for the native loop anyway.
"""

import html
import sys
import time
from collections.abc import Mapping
from typing import Any

from symnet.errors import ConfigError
from symnet.nn.training.history import shown


class Progress:
    """Shows nothing; the base of the others, and of one's own: give it to `fit(verbose=...)`.

    epochs   how many there will be
    batches  steps of an epoch
    count    examples of an epoch
    """

    epochs = batches = count = 0

    def start(self, epochs: int, batches: int, count: int) -> None:
        """Training begins."""
        self.epochs, self.batches, self.count = epochs, batches, count

    def begin(self, epoch: int) -> None:
        """An epoch, counted from 1, begins."""

    def between(self, steps: int, loss: float) -> None:
        """So many steps of the epoch are done, with this mean loss; called every 50 ms or so."""

    def finish(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> None:
        """An epoch is done, whose steps took `seconds`."""

    def close(self) -> None:
        """Training has ended, in one way or another."""

    def line(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> str:
        """One epoch in words and numbers."""
        values = "  ".join(
            f"{name} {shown(value)}"
            for name, value in logs.items()
            if isinstance(value, float) and name != "learning_rate"
        )
        width = len(str(self.epochs))
        return (
            f"epoch {epoch:{width}}/{self.epochs}  {values}  {self.count / seconds:.0f} examples/s"
        )


class Lines(Progress):
    """A line per epoch."""

    def finish(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> None:
        print(self.line(epoch, logs, seconds), flush=True)


class Bar(Progress):
    """A bar through the epoch that runs, and a line for each that has run."""

    def start(self, epochs: int, batches: int, count: int) -> None:
        from rich.console import Console  # noqa: PLC0415  takes time, and is an extra
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as Drawn  # noqa: PLC0415

        super().start(epochs, batches, count)
        self.drawn: Any = Drawn(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[speed]}"),
            console=Console(file=sys.stdout, highlight=False, soft_wrap=True),
            auto_refresh=False,
            transient=True,
        )
        self.task = self.drawn.add_task("", total=batches, epoch=1, loss="...", speed="")
        self.drawn.start()

    def begin(self, epoch: int) -> None:
        self.since = time.perf_counter()
        self.drawn.update(self.task, completed=0, epoch=epoch, loss="...", speed="")
        self.drawn.refresh()

    def between(self, steps: int, loss: float) -> None:
        speed = _speed(steps, self.batches, self.count, self.since)
        self.drawn.update(self.task, completed=steps, loss=shown(loss), speed=speed)
        self.drawn.refresh()

    def finish(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> None:
        self.drawn.console.print(self.line(epoch, logs, seconds), markup=False)

    def close(self) -> None:
        self.drawn.stop()


class Notebook(Progress):
    """The same in a notebook, as one output that changes."""

    def start(self, epochs: int, batches: int, count: int) -> None:
        super().start(epochs, batches, count)
        self.lines: list[str] = []
        self.since = self.drawn = time.perf_counter()
        self.handle = _displayed(self._html(""))

    def begin(self, epoch: int) -> None:
        self.epoch, self.since = epoch, time.perf_counter()

    def between(self, steps: int, loss: float) -> None:
        now = time.perf_counter()
        if now - self.drawn < 0.2:  # every change is a message to the browser
            return
        self.drawn = now
        speed = _speed(steps, self.batches, self.count, self.since)
        self._show(
            f'epoch {self.epoch}/{self.epochs} <progress max="{self.batches}" value="{steps}">'
            f"</progress> loss {shown(loss)}  {speed}"
        )

    def finish(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> None:
        self.lines.append(html.escape(self.line(epoch, logs, seconds)))
        self._show("")

    def close(self) -> None:
        self._show("")

    def _show(self, running: str) -> None:
        self.handle.update(_html_object(self._html(running)))

    def _html(self, running: str) -> str:
        lines = [*self.lines, running] if running else self.lines
        return f"<pre>{'<br>'.join(lines)}</pre>"


def _speed(steps: int, batches: int, count: int, since: float) -> str:
    return f"{steps / batches * count / max(time.perf_counter() - since, 1e-9):.0f} examples/s"


def _displayed(text: str) -> Any:
    from IPython.display import display  # noqa: PLC0415  it is there, we are in a notebook

    return display(_html_object(text), display_id=True)


def _html_object(text: str) -> Any:
    from IPython.display import HTML  # noqa: PLC0415

    return HTML(text)


def progress(verbose: Any) -> Progress:
    """What `fit(verbose=...)` means: "auto", 0 or False (nothing), 1 or True (a bar where there
    can be one), 2 (lines), or an object of `Progress`. Errors: ConfigError."""
    if isinstance(verbose, Progress):
        return verbose
    if verbose == 0:
        return Progress()
    if verbose == 2:
        return Lines()
    if verbose == 1 or verbose == "auto":
        if _in_notebook():
            return Notebook()
        return Bar() if sys.stdout.isatty() and _has_rich() else Lines()
    raise ConfigError(f'verbose={verbose!r:.40}: "auto", 0, 1, 2 or a Progress is wanted')


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def _has_rich() -> bool:
    try:
        import rich  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True
