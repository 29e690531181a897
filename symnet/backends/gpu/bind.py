"""Binding: a linked program for concrete sizes becomes launches with their argument words.

The words that are fixed are computed here, once; `Bound.live` computes those that move, for each
call. Addresses are whatever the device gives: nothing here runs anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from symnet.backends.gpu.emit import emit, loops_over_rows, phases
from symnet.backends.gpu.launch import Device, Launch, launch
from symnet.backends.gpu.link import Linked, LinkedStep
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.products import BoundMatmul, Helper, Products
from symnet.backends.gpu.source import Source, Words
from symnet.backends.words import itemsize, scalar_bits
from symnet.kernels import permutation
from symnet.schedule.program import KernelStep, MatmulStep, Place, Ref, Reg, ShuffleStep, Storage

Allocate = Callable[[int], int]  # bytes -> address


@dataclass(frozen=True)
class BoundKernel:
    """A launch. `words` are passed by value; `live` is its place among the words that move."""

    source: Source
    launch: Launch
    words: np.ndarray
    live: int


class Bound:
    """A linked program for the sizes in `registers`.

    steps   what to launch, in order
    spans   for each step of the program which of them it is: first, and behind the last
    moving  a function of the registers for each word that moves
    """

    def __init__(
        self,
        linked: Linked,
        registers: Sequence[int],
        addresses: dict[Storage, int],
        device: Device,
        allocate: Allocate,
    ):
        """addresses of all objects and buffers; `allocate` is asked for scratch."""
        self.linked = linked
        self.addresses = addresses
        self.moving: list[Callable[[Sequence[int]], int]] = []
        self.steps: list[BoundKernel | BoundMatmul] = []
        self.spans: list[tuple[int, int]] = []
        self._registers = registers
        self._device = device
        self._allocate = allocate
        self._products = Products(linked, self._number, self._base, self._move, allocate)
        for position, step in enumerate(linked.steps):
            first = len(self.steps)
            if isinstance(step.step, KernelStep):
                self.steps += self._kernel(step)
            elif isinstance(step.step, MatmulStep):
                self.steps += self._matmul(position)
            else:
                self.steps.append(self._shuffle(step))
            self.spans.append((first, len(self.steps)))
        del self._products, self._allocate  # they hold this object, and memory

    def live(self, registers: Sequence[int]) -> np.ndarray:
        """The words that move, for one call."""
        return np.array([rule(registers) for rule in self.moving], np.int64)

    # ---- words

    def _number(self, ref: Ref) -> int:
        return self._registers[ref.number] if isinstance(ref, Reg) else ref

    def _address(self, place: Place, dtype: str) -> int:
        storage, offset = place
        return self.addresses[storage] + self._number(offset) * itemsize(dtype)

    def _base(self, place: Place) -> int:
        return self.addresses[place[0]]

    def _move(self, base: int, offset: Ref, size: int) -> int:
        """A word that moves, base + offset * size; its place."""
        if isinstance(offset, Reg):
            self.moving.append(lambda r: base + r[offset.number] * size)
        else:
            self.moving.append(lambda r: base + offset * size)
        return len(self.moving) - 1

    def _move_address(self, place: Place, dtype: str) -> None:
        self._move(self._base(place), place[1], itemsize(dtype))

    def _move_number(self, ref: Reg) -> None:
        self.moving.append(lambda r: r[ref.number])

    def _kernel(self, linked: LinkedStep) -> list[BoundKernel]:
        step, source = linked.step, linked.source
        kernel = self.linked.program.kernels[step.kernel]
        places = Words(kernel)
        words = np.zeros(places.count, np.int64)
        first = len(self.moving)
        for word in linked.live:
            if word < places.slot:
                self._move_address(step.operands[word], kernel.operands[word].dtype)
            else:
                self._move_number(step.scalars[word - places.scalar])
        slots = [self._number(s) for s in step.slots]
        words[places.slot : places.scalar] = slots
        for k, value in enumerate(step.scalars):
            if places.scalar + k not in linked.live:
                words[places.scalar + k] = self._scalar(value)
        scratch = [
            self._number(place[1])
            for place, o in zip(step.operands, kernel.operands)
            if o.per_thread
        ]
        blocks = 0
        if step.blocks is not None:
            words[places.block] = self._number(step.blocks[0])
            words[places.block + 1] = blocks = self._number(step.blocks[1])
        extents, several = slots[: kernel.loops], phases(kernel)
        how = launch(kernel, source, extents, self._device, blocks, scratch, bool(several))
        if places.lanes >= 0:
            words[places.lanes : places.lanes + 2] = how.lanes, how.parts
        if places.owners >= 0:
            words[places.owners] = how.owners
        if kernel.can_fail:
            words[places.check] = linked.checks
        number = offset = 0
        for k, (place, operand) in enumerate(zip(step.operands, kernel.operands)):
            if not operand.per_thread:
                if k not in linked.live:
                    words[k] = self._address(place, operand.dtype)
                continue
            size = how.scratch[number] if how.scratch else 0
            words[places.scratch + number] = size
            words[k] = offset if how.in_shared else self._allocate(size * how.scratch_rows)
            offset += size * (THREADS // max(how.lanes, 1))
            number += 1
        if number:
            words[places.in_shared] = how.in_shared
        if how.keep is not None:
            source = emit(kernel, linked.live, linked.guarded, keep=how.keep)
        if how.parts == 1:
            return [BoundKernel(source, how, words, first)]
        accumulators = sum(len(stage.accumulators) for stage in kernel.stages)
        results = 8 * accumulators * prod(extents[: kernel.kept]) * how.parts
        words[places.lanes + 2] = self._allocate(results)
        bound = []
        for phase in range(several):
            text = emit(kernel, linked.live, linked.guarded, phase)
            if loops_over_rows(kernel, phase):
                bound.append(BoundKernel(text, how, words, first))
                continue
            combining = words.copy()
            combining[places.lanes] = how.combine
            grid = min(how.grid, how.tiles)
            bound.append(BoundKernel(text, replace(how, grid=grid), combining, first))
        return bound

    def _scalar(self, value: Any) -> int:
        if isinstance(value, tuple) and not isinstance(value, Reg):
            return scalar_bits(value[1], value[2])
        return self._number(value)

    def _matmul(self, position: int) -> list[BoundKernel | BoundMatmul]:
        found: list[BoundKernel | BoundMatmul] = []
        for order in self._products.bind(position):
            if isinstance(order, Helper):
                order = BoundKernel(order.source, Launch(order.grid), order.words, 0)
            found.append(order)
        return found

    def _shuffle(self, linked: LinkedStep) -> BoundKernel:
        step: ShuffleStep = linked.step
        words = np.zeros(permutation.WORDS, np.int64)
        words[permutation.OUT] = self._address(step.out, "int64")
        words[permutation.N] = self._number(step.n)
        first = len(self.moving)
        places = permutation.SEED, permutation.STREAM, permutation.STEP
        for place, value in zip(places, step.words):
            if place in linked.live:
                self._move_number(value)
            elif isinstance(value, tuple) and not isinstance(value, Reg):
                words[place], words[place + 1] = self._address(value, "int64"), 1
            else:
                words[place] = self._number(value)
        assert linked.source is not None
        return BoundKernel(linked.source, Launch(1), words, first)
