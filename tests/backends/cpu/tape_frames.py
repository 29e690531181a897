"""Frames made by hand, for tests of the tape and the pool without a compiled program."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symnet.backends.cpu import tape
from symnet.backends.cpu import tape_layout as layout
from symnet.backends.cpu.pool import pool


@dataclass(frozen=True)
class Step:
    """One step of the tape.

    `function(args, lo, hi, thread)` is called once per slab of [0, extent); interior bounds are
    rounded down to multiples of `align`. A step of one slab is called once with (0, extent).
    `can_fail`: it may set the frame's ERROR word, which then ends the call. `index` is its row in
    the profile.
    """

    function: int
    args: int
    extent: int
    slabs: int = 1
    align: int = 1
    can_fail: bool = False
    index: int = 0

    def words(self) -> tuple[int, ...]:
        flags = layout.CAN_FAIL if self.can_fail else 0
        return (
            self.function, self.args, self.extent, self.slabs, self.align, flags, self.index, 0,
        )  # fmt: skip


class Frame:
    """The memory of one call: its words, registers, objects, keys and steps.

    `keys` are pairs (register, expected value). `objects` is the number of objects that the shape
    program looks at. `profile` is an int64 array (rows, 2) that gathers nanoseconds and calls per
    step index. Argument blocks and arenas are the owner's; `keep` holds references to them.
    """

    def __init__(
        self,
        program: tape.ShapeProgram,
        steps: Sequence[Step],
        *,
        keys: Sequence[tuple[int, int]] = (),
        objects: int = 0,
        threads: int = 1,
        profile: np.ndarray | None = None,
        keep: object = None,
    ) -> None:
        self.code = program.code
        self.registers = np.zeros(max(program.registers, 1), np.int64)
        self.keys = np.array(keys, np.int64).reshape(-1, 2)
        self.objects = np.zeros(max(objects, 1), np.int64)
        rows = [step.words() for step in steps]
        self.steps = np.array(rows, np.int64).reshape(-1, layout.STEP_WORDS)
        self.profile, self.keep = profile, keep
        self.words = words = np.zeros(layout.FRAME_WORDS, np.int64)
        words[layout.CODE], words[layout.N_CODE] = self.code.ctypes.data, len(self.code)
        words[layout.REGISTERS] = self.registers.ctypes.data
        words[layout.KEYS], words[layout.N_KEYS] = self.keys.ctypes.data, len(self.keys)
        words[layout.STEPS], words[layout.N_STEPS] = self.steps.ctypes.data, len(self.steps)
        words[layout.SHARED_STEPS] = sum(step.slabs > 1 for step in steps)
        words[layout.THREADS] = threads
        words[layout.OBJECTS] = self.objects.ctypes.data
        words[layout.POOL] = pool().address
        words[layout.ARRAY_TYPE] = id(np.ndarray)
        words[layout.PROFILE] = 0 if profile is None else profile.ctypes.data
        self.address = words.ctypes.data

    @property
    def error(self) -> tuple[int, int, int]:
        """ERROR, ERROR_A and ERROR_B of the last call."""
        return tuple(self.words[layout.ERROR : layout.ERROR_B + 1].tolist())
