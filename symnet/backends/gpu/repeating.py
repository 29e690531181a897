"""`map`: many calls, which the device counts, with the host waiting now and then.

The packets and long inputs of some calls are sent at once, to the stage. A call has a head, which
copies its own from there, and a tail, which collects its outputs there and counts (moves.py).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from symnet.backends.arena import rounded
from symnet.backends.gpu import moves
from symnet.backends.gpu.bind import BoundKernel
from symnet.backends.gpu.binding import Binding
from symnet.backends.gpu.bindings import Bindings
from symnet.backends.gpu.loaded import Loaded
from symnet.backends.gpu.memory import ALIGN, Arena, Wish
from symnet.backends.gpu.orders import Orders
from symnet.backends.gpu.pending import STATE, unsettled
from symnet.backends.gpu.whole import Whole
from symnet.backends.words import itemsize
from symnet.errors import OutOfMemoryError, ShapeError
from symnet.schedule.program import Program

STAGE = 64 << 20  # bytes of the sequences of `map` that are on the device at a time
GROWTH = 4  # times as many calls of `map` between two looks at the clock as before, at most


class Repeating:
    """Repeats a program.

    stage  memory for what the next calls take and give; none but during `map`
    """

    def __init__(self, loaded: Loaded, bindings: Bindings, orders: Orders, stage: Arena):
        self._loaded = loaded
        self._device = loaded.device
        self._bindings = bindings
        self._orders = orders
        self._unsettled = unsettled(loaded.device)
        self._stage = stage

    def map(
        self,
        sequences: Sequence[np.ndarray],
        count: int,
        kept: set[int],
        between: Callable[[int], bool] | None,
        limit_ns: int,
    ) -> list[Any]:
        """`GpuRunner.map` of a program that replaces no shared variables, and where no call decides
        about the next. kept: positions of outputs that stay on the device."""
        sequences = [np.ascontiguousarray(s) for s in sequences]
        stacked: list[Any] = []
        shapes: list[tuple[int, ...]] | None = None
        done = 0
        try:
            while done < count:
                with self._device.lock:
                    self._unsettled.settle(but=self._bindings.pending)
                    binding = self._bindings.find([s[done, ...] for s in sequences])
                    found = [shape for _, shape, _, _ in binding.outputs]
                    if shapes is None:
                        shapes = found
                        stacked = self._stacks(binding, count, kept)
                    elif shapes != found:
                        raise _unlike(done, found, shapes)
                    done += self._part(binding, sequences, done, count, stacked, limit_ns)
                if between is not None and between(done):
                    break
        finally:
            self._stage.release()
        if shapes is None:
            return [
                np.empty((0, *(0 for _ in o.shape)), o.dtype) for o in self._loaded.program.outputs
            ]
        return [self._stack(s, done) for s in stacked]

    def _stacks(self, binding: Binding, count: int, kept: set[int]) -> list[Any]:
        """Where the outputs of all calls go: NumPy arrays, or for those that are kept memory."""
        found: list[Any] = []
        for k, (_, shape, dtype, _) in enumerate(binding.outputs):
            if k in kept:
                memory = self._device.allocate(count * prod(shape) * itemsize(dtype))
                found.append((memory, shape, dtype))
            else:
                found.append(np.empty((count, *shape), dtype))
        return found

    def _stack(self, stack: Any, done: int) -> Any:
        if isinstance(stack, np.ndarray):
            return stack[:done]
        memory, shape, dtype = stack
        with self._device.lock:
            self._device.hand_over()
            return self._device.array(memory, (done, *shape), dtype)

    def _part(
        self,
        binding: Binding,
        sequences: Sequence[np.ndarray],
        done: int,
        count: int,
        stacked: list[Any],
        limit_ns: int,
    ) -> int:
        """Some calls from number `done` on, and the wait for them; how many there were."""
        device, pending, stage = self._device, binding.pending, self._stage
        begin = time.perf_counter_ns()
        many = 1
        if binding.pace is not None:
            many = int(min(limit_ns / max(binding.pace, 1.0), GROWTH * binding.many)) or 1
        sizes = [
            len(binding.packet),
            *(sequences[k][0].nbytes for k in binding.large),
            *(prod(shape) * itemsize(dtype) for _, shape, dtype, _ in binding.outputs),
        ]
        many = min(many, count - done, max(1, STAGE // max(sum(sizes), 1)))
        while True:
            starts = _starts(many, sizes)
            if stage.memory is not None and stage.size >= starts[-1]:
                break
            try:
                stage.grow(starts[-1])
            except OutOfMemoryError as error:
                if many > 1:
                    many //= 2
                    continue
                wish = Wish(starts[-1], 0, 0, lambda: "what a call of map takes and gives")
                raise self._loaded.too_large(error, [wish]) from None
        many, rows = self._rows(binding, sequences, done, many)
        base = stage.address
        table: list[moves.Move] = [(base, sizes[0], binding.packet_at, 0, sizes[0])]
        if rows.size:
            device.put(base, rows)
        for k, start, size in zip(binding.large, starts[1:], sizes[1:]):
            if size:
                device.put(base + start, sequences[k][done : done + many])
            table.append((base + start, size, binding.targets[k][0], 0, size))
        heads = len(table)
        for (address, _, _, _), start, size in zip(binding.outputs, starts[heads:], sizes[heads:]):
            table.append((address, 0, base + start, size, size))
        device.put(binding.table, np.array(table, np.int64))
        device.clear(pending.state, STATE)
        ends = self._ends(binding, table, heads)
        self._loaded.writes()
        binding.sent = None
        device.load([ends[0].source])
        earlier = pending.calls
        try:
            self._repeat(binding, ends, many)
            pending.read()
        except BaseException:  # an interrupt, in the middle of it
            pending.called(())
            raise
        completed = pending.completed
        for stack, start, size in zip(stacked, starts[heads:], sizes[heads:]):
            if isinstance(stack, np.ndarray):
                if stack.size:
                    device.get(stack[done : done + completed], base + start)
            elif completed * size:
                device.copy(stack[0].address + done * size, base + start, completed * size)
        failed = min(done + completed, count - 1)
        pending.check(() if earlier else [s[failed, ...] for s in sequences])
        binding.pace = (time.perf_counter_ns() - begin) / many
        binding.many = many
        return many

    def _repeat(self, binding: Binding, ends: tuple[BoundKernel, BoundKernel], many: int) -> None:
        """Order that many calls of `map`."""
        with Whole() as interrupts:
            if not binding.calls:
                self._mapped(binding, ends)
                binding.calls += 1
                many -= 1
            if many and binding.mapping is None:
                binding.mapping = self._orders.record(binding, partial(self._mapped, binding, ends))
            for _ in range(many):
                interrupts.check()
                if binding.mapping is not None:
                    binding.mapping.replay()
                else:
                    self._mapped(binding, ends)

    def _rows(
        self, binding: Binding, sequences: Sequence[np.ndarray], done: int, many: int
    ) -> tuple[int, np.ndarray]:
        """Packets of the next calls, as many as this binding is good for."""
        moving = self._loaded.moving
        parts = [s[done : done + many] for s in sequences]
        values: Sequence[Any] = binding.values
        if moving.numbers:

            def value(number: int) -> np.ndarray:
                o = self._loaded.program.objects[number]
                if o.role == "input":
                    return parts[o.position]
                host = self._loaded.object(number)
                array = host.peek() if o.role == "shared" else host
                return np.broadcast_to(array, (many,))

            values = moving.many(binding.values, value)
            good = np.ones(many, bool)
            for k in moving.sizes:
                good &= np.asarray(values[k]) == binding.values[k]
            for k in moving.conditions:
                good &= np.asarray(values[k]) != 0
            if not good.all():
                many = max(1, int(np.argmin(good)))  # the first one was looked at by binding
        rows = np.zeros((many, len(binding.packet)), np.uint8)
        if binding.bound.moving:
            words = rows[:, : 8 * len(binding.bound.moving)].view(np.int64)
            for k, rule in enumerate(binding.bound.moving):
                found = rule(values)
                words[:, k] = found[:many] if isinstance(found, np.ndarray) else found
        for k, at, view in binding.pieces:
            if view.size:
                piece = rows[:, at : at + view.nbytes].view(view.dtype)
                piece[...] = parts[k][:many].reshape(many, view.size)
        return many, rows

    def _ends(
        self, binding: Binding, table: Sequence[moves.Move], heads: int
    ) -> tuple[BoundKernel, BoundKernel]:
        """Head and tail of a step of `map`."""
        state, geometry = binding.pending.state, self._device.geometry
        behind = binding.table + 8 * moves.WORDS * heads
        return (
            moves.end(binding.table, table[:heads], state, False, geometry),
            moves.end(behind, table[heads:], state, True, geometry),
        )

    def _mapped(self, binding: Binding, ends: tuple[BoundKernel, BoundKernel]) -> None:
        """Order one call of `map`."""
        head, tail = ends
        self._device.launch(head, binding.packet_at, binding.pending.error)
        self._orders.launch(binding)
        self._device.launch(tail, binding.packet_at, binding.pending.error)


def one_by_one(
    run: Callable[[Sequence[Any]], list[Any]],
    program: Program,
    sequences: Sequence[np.ndarray],
    count: int,
    between: Callable[[int], bool] | None,
) -> list[Any]:
    """`GpuRunner.map` of any program: calls of `run`."""
    results = []
    for done in range(count):
        results.append(run([s[done, ...] for s in sequences]))
        if between is not None and between(done + 1):
            break
    outputs = program.outputs[len(program.rebinds) :]
    if not results:
        return [np.empty((0, *(0 for _ in o.shape)), o.dtype) for o in outputs]
    for done, arrays in enumerate(results):
        found, before = [a.shape for a in arrays], [a.shape for a in results[0]]
        if found != before:
            raise _unlike(done, found, before)
    return [np.stack([np.asarray(a) for a in r]) for r in zip(*results)]


def _starts(many: int, sizes: Sequence[int]) -> list[int]:
    """Offsets of `many` rows of each size, one after the other; last the bytes of all."""
    found = [0]
    for size in sizes:
        found.append(found[-1] + rounded(many * size, ALIGN))
    return found


def _unlike(call: int, shapes: Sequence[Any], before: Sequence[Any]) -> ShapeError:
    return ShapeError(
        f"map: outputs of call {call} have shapes {shapes}, those before had {before}; they cannot "
        "be stacked"
    )
