"""What a function has a device do: orders are counted on their way to it.

    with Watch(device) as seen:
        f()
    seen.count("replay"), seen.count("wait")

Orders are "launch" (also of products), "copy" (also of zeros), "put", "replay" and "wait"; what is
recorded, or done by a replay, is not counted again. `note` writes other things between them.
"""

from collections.abc import Callable
from typing import Any

# methods of GpuDevice, and what they count as
_ORDERS = {
    "launch": "launch",
    "multiply": "launch",
    "copy": "copy",
    "clear": "copy",
    "put": "put",
    "get": "wait",
    "wait": "wait",
}


class Watch:
    """A context in which a `GpuDevice` is watched. Only recordings that are made in it are seen, so
    begin before a function's first call.

    events  what happened in order: names, for a replay with the recording's number
    """

    def __init__(self, device: Any):
        self.device = device
        self.events: list[tuple[str, int]] = []
        self.silent = 1  # in how many orders we are, or outside the context

    def __enter__(self) -> "Watch":
        for name, kind in _ORDERS.items():
            setattr(self.device, name, self._counted(getattr(self.device, name), kind))
        self.device.record = self._recorded(self.device.record)
        self.silent -= 1
        return self

    def __exit__(self, *exception: object) -> None:
        self.silent += 1
        for name in (*_ORDERS, "record"):
            delattr(self.device, name)  # the class's shows again

    def note(self, name: str) -> None:
        self.events.append((name, 0))

    def count(self, *kinds: str) -> int:
        return sum(kind in kinds for kind, _ in self.events)

    def forget(self) -> None:
        """Begin to count anew."""
        self.events.clear()

    def _counted(self, order: Callable, kind: str) -> Callable:
        def counted(*args: object, **named: object) -> object:
            if not self.silent:
                self.events.append((kind, 0))
            return self.quietly(order, *args, **named)

        return counted

    def _recorded(self, record: Callable) -> Callable:
        def recorded(orders: Callable[[], None]) -> "_Recording":
            made = self.quietly(record, orders)
            return _Recording(self, made)

        return recorded

    def quietly(self, order: Callable, *args: object, **named: object) -> Any:
        """Carry out an order; orders that it gives itself do not count."""
        self.silent += 1
        try:
            return order(*args, **named)
        finally:
            self.silent -= 1


class _Recording:
    """A recording whose replays are counted."""

    def __init__(self, watch: Watch, made: Any):
        self.watch, self.made = watch, made

    def replay(self) -> None:
        if not self.watch.silent:
            self.watch.events.append(("replay", id(self)))
        self.watch.quietly(self.made.replay)


def beside_one_replay(events: list[tuple[str, int]], steps: int) -> float:
    """Launches per step other than the replay of one and the same recording: 0 is one graph per
    step. Looked at is what happened from its first replay to its last. (Puts and copies are not
    counted: that is the way of the minibatch's number, and of the result to the user.)"""
    main, span = _main(events)
    own = span.count(("replay", main))
    others = sum(kind in ("launch", "replay") for kind, _ in span) - own
    return (abs(own - steps) + others) / steps


def stops(events: list[tuple[str, int]], reported: str) -> int:
    """How often the host waited between two replays of one and the same recording without having
    something to report: no event of that name was noted before the next replay."""
    main, span = _main(events)
    result, waited, told = 0, False, False
    for event in span:
        if event == ("replay", main):
            result += waited and not told
            waited = told = False
        waited |= event[0] == "wait"
        told |= event[0] == reported
    return result


def _main(events: list[tuple[str, int]]) -> tuple[int, list[tuple[str, int]]]:
    """The recording that was replayed most, and what happened from its first replay to its last."""
    replays = [which for kind, which in events if kind == "replay"]
    if not replays:
        return 0, []
    main = max(replays, key=replays.count)
    places = [k for k, event in enumerate(events) if event == ("replay", main)]
    return main, events[places[0] : places[-1] + 1]
