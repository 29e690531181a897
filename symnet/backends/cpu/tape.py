"""The tape of a compiled function: a shape program, and steps run by one native call (D15, D16).

`call(frame)` does, without Python: the shape program (checks the arguments, computes extents and
addresses, patches argument blocks), a comparison of the sizes with those that the steps were bound
for, then the steps. A frame belongs to one call at a time.

Status of a call (tape_layout): OK; SLOW, an argument needs Python's help (ERROR_A: its number);
REBIND, other sizes than bound; KERNEL_ERROR, a step set ERROR; CHECK, a check of the shape program
failed (ERROR: its id, ERROR_A and ERROR_B: the two numbers compared).
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symnet.backends.cpu import tape_layout as layout
from symnet.backends.cpu.pool import pool

_OPS = {value: name[3:] for name, value in vars(layout).items() if name.startswith("OP_")}
_UNARY = ("NEG", "ABS", "NOT")
_BINARY = ("ADD", "SUB", "MUL", "MIN", "MAX", "EQ", "NE", "LT", "LE", "GT", "GE", "AND", "OR")


class ShapeProgram:
    """An assembler for the integer arithmetic that a call does before its steps.

    Methods append an instruction and return the register with its result. Equal instructions are
    shared. Integers are int64 and wrap; truth is 0 or 1. `code` is the finished array, and `str()`
    lists the instructions.
    """

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int, int, int]] = []
        self._known: dict[tuple[int, ...], int] = {}
        self.registers = 0

    @property
    def code(self) -> np.ndarray:
        return np.array(self._code, np.int64).reshape(-1, layout.INSTRUCTION)

    def constant(self, value: int) -> int:
        return self._result(layout.OP_CONST, imm=int(value))

    def check_object(
        self, number: int, dtype: np.dtype, ndim: int, writeable: bool = False
    ) -> None:
        """Object `number` is a C-contiguous, aligned ndarray of exactly this dtype; else SLOW.

        Its address is kept: it must be one that lives for ever, as those of `NUMPY_DTYPES` do."""
        flags = layout.C_CONTIGUOUS | layout.ALIGNED | (layout.WRITEABLE if writeable else 0)
        self._append(layout.OP_OBJ_CHECK, number, id(dtype), ndim, flags)

    def size(self, number: int, axis: int) -> int:
        """The size of an axis of object `number`."""
        return self._result(layout.OP_DIM, number, axis)

    def data(self, number: int) -> int:
        """The address of the first element of object `number`."""
        return self._result(layout.OP_DATA, number)

    def load(self, address: int, dtype: str, offset: int = 0) -> int:
        """The bool or integer at the address in a register, plus `offset` bytes."""
        return self._result(layout.OP_LOAD, address, layout.LOADS.index(dtype), imm=offset)

    def raw(self, address: int) -> int:
        """The int64 at an absolute address."""
        return self._result(layout.OP_RAW, imm=address)

    def store(self, address: int, register: int) -> None:
        """Write a register to the int64 at an absolute address, as a rule an argument."""
        self._append(layout.OP_STORE, 0, register, imm=address)

    def unary(self, op: str, a: int) -> int:
        """NEG, ABS or NOT."""
        return self._result(_number(op, _UNARY), a)

    def binary(self, op: str, a: int, b: int) -> int:
        """ADD SUB MUL MIN MAX, EQ NE LT LE GT GE, AND OR."""
        return self._result(_number(op, _BINARY), a, b)

    def divide(self, op: str, a: int, b: int, check: int) -> int:
        """FLOORDIV or MOD as in Python; division by zero fails the check with this id."""
        return self._result(_number(op, ("FLOORDIV", "MOD")), a, b, imm=check)

    def select(self, condition: int, a: int, b: int) -> int:
        return self._result(layout.OP_SELECT, a, b, condition)

    def check(self, condition: int, number: int, a: int = 0, b: int = 0) -> None:
        """Unless the register is true: CHECK with ERROR = number and the registers a and b."""
        self._append(layout.OP_CHECK_TRUE, 0, condition, a, b, number)

    def __len__(self) -> int:
        return len(self._code)

    def __str__(self) -> str:
        return "\n".join(_listing(instruction) for instruction in self._code)

    def _append(self, op: int, dst: int, a: int = 0, b: int = 0, c: int = 0, imm: int = 0) -> None:
        self._code.append((op, dst, a, b, c, imm))

    def _result(self, op: int, a: int = 0, b: int = 0, c: int = 0, imm: int = 0) -> int:
        # memory may change between two loads, so these are not shared
        key = (op, a, b, c, imm)
        if key in self._known and op not in (layout.OP_RAW, layout.OP_LOAD):
            return self._known[key]
        register = self._known[key] = self.registers
        self.registers += 1
        self._append(op, register, a, b, c, imm)
        return register


def _number(op: str, allowed: Sequence[str]) -> int:
    if op not in allowed:
        raise KeyError(f"{op} is not one of {', '.join(allowed)}")
    return getattr(layout, f"OP_{op}")


def _listing(instruction: Sequence[int]) -> str:
    op, dst, a, b, c, imm = instruction
    name = _OPS[op]
    match name:
        case "CONST":
            return f"r{dst} = {imm}"
        case "OBJ_CHECK":
            return f"check object {dst}: dtype at {a:#x}, {b} dimensions, flags {c:#x}"
        case "DIM":
            return f"r{dst} = object {a}.shape[{b}]"
        case "DATA":
            return f"r{dst} = object {a}.data"
        case "LOAD":
            return f"r{dst} = {layout.LOADS[b]} at r{a} + {imm}"
        case "RAW":
            return f"r{dst} = int64 at {imm:#x}"
        case "STORE":
            return f"int64 at {imm:#x} = r{a}"
        case "CHECK_TRUE":
            return f"check {imm}: r{a} (r{b}, r{c})"
        case "SELECT":
            return f"r{dst} = r{a} if r{c} else r{b}"
        case "NEG" | "ABS" | "NOT":
            return f"r{dst} = {name} r{a}"
        case _:
            return f"r{dst} = {name} r{a} r{b}"


@dataclass(frozen=True)
class Calls:
    """The tape's entries as ctypes functions, which release the GIL.

    call(frame) -> status
    call_with(frame, tuple) -> status: the tuple's items become the objects
    call_many(frame, count, table, rows, limit_ns) -> calls completed: after each call, every row
        (address, amount) of the int64 table adds its amount to the int64 at the address; stops
        early at a status other than OK or once limit_ns have passed
    """

    call: object
    call_with: object
    call_many: object


_calls: Calls | None = None


def calls() -> Calls:
    """The entries; compiled or loaded when first asked for."""
    global _calls
    if _calls is None:
        word, functions = ctypes.c_int64, pool().functions
        _calls = Calls(
            ctypes.CFUNCTYPE(word, word)(functions["call"]),
            ctypes.CFUNCTYPE(word, word, ctypes.py_object)(functions["call_with"]),
            ctypes.CFUNCTYPE(word, *[word] * 5)(functions["call_many"]),
        )
    return _calls
