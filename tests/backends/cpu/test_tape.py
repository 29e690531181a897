"""The shape program against Python, and calls of tapes: slabs, failures, keys, repetition."""

import itertools
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tape_frames import Frame, Step

from symnet.backends.cpu import compile, tape
from symnet.backends.cpu import tape_layout as layout

LIMIT = 10**9


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYMNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def call(frame):
    return tape.calls().call(frame.address)


# ---- the shape program ----


def wrapped(value):
    return (int(value) + 2**63) % 2**64 - 2**63


PYTHON = {
    "ADD": lambda a, b: a + b,
    "SUB": lambda a, b: a - b,
    "MUL": lambda a, b: a * b,
    "FLOORDIV": lambda a, b: a // b,
    "MOD": lambda a, b: a % b,
    "MIN": min,
    "MAX": max,
    "EQ": lambda a, b: a == b,
    "NE": lambda a, b: a != b,
    "LT": lambda a, b: a < b,
    "LE": lambda a, b: a <= b,
    "GT": lambda a, b: a > b,
    "GE": lambda a, b: a >= b,
    "AND": lambda a, b: bool(a and b),
    "OR": lambda a, b: bool(a or b),
    "NEG": lambda a: -a,
    "ABS": abs,
    "NOT": lambda a: not a,
}


def interpret(program, memory):
    """The shape program in Python, for instructions without objects: (status, registers, error)."""
    r = [0] * program.registers
    names = {value: name[3:] for name, value in vars(layout).items() if name.startswith("OP_")}
    for op, dst, a, b, c, imm in program.code.tolist():
        name = names[op]
        if name == "CONST":
            r[dst] = imm
        elif name == "RAW":
            r[dst] = memory[imm]
        elif name == "STORE":
            memory[imm] = r[a]
        elif name == "SELECT":
            r[dst] = r[a] if r[c] else r[b]
        elif name == "CHECK_TRUE":
            if not r[a]:
                return layout.CHECK, r, (imm, r[b], r[c])
        elif name in ("FLOORDIV", "MOD") and r[b] == 0:
            return layout.CHECK, r, (imm, r[a], 0)
        else:
            operands = (r[a],) if name in ("NEG", "ABS", "NOT") else (r[a], r[b])
            r[dst] = wrapped(PYTHON[name](*operands))
    return layout.OK, r, (0,)


WORDS = st.one_of(st.integers(-4, 4), st.integers(-(2**63), 2**63 - 1))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_shape_programs_compute_as_python_does(data):
    cells = np.array(data.draw(st.lists(WORDS, min_size=4, max_size=4)), np.int64)
    program = tape.ShapeProgram()
    address = lambda: cells.ctypes.data + 8 * data.draw(st.integers(0, 3))
    registers = [program.constant(data.draw(WORDS)), program.raw(address())]
    any_register = lambda: data.draw(st.sampled_from(registers))
    for _ in range(data.draw(st.integers(0, 25))):
        op = data.draw(st.sampled_from([*PYTHON, "SELECT", "STORE", "RAW", "CHECK", "CONST"]))
        if op == "STORE":
            program.store(address(), any_register())
        elif op == "RAW":
            registers.append(program.raw(address()))
        elif op == "CONST":
            registers.append(program.constant(data.draw(WORDS)))
        elif op == "CHECK":
            program.check(any_register(), 9, any_register(), any_register())
        elif op == "SELECT":
            registers.append(program.select(any_register(), any_register(), any_register()))
        elif op in ("FLOORDIV", "MOD"):
            registers.append(program.divide(op, any_register(), any_register(), 7))
        elif op in ("NEG", "ABS", "NOT"):
            registers.append(program.unary(op, any_register()))
        else:
            registers.append(program.binary(op, any_register(), any_register()))
    memory = {cells.ctypes.data + 8 * i: int(cells[i]) for i in range(4)}
    status, values, error = interpret(program, memory)
    frame = Frame(program, [])
    assert call(frame) == status
    assert frame.error[: len(error)] == error
    assert cells.tolist() == list(memory.values())
    if status == layout.OK:
        assert frame.registers.tolist() == values


def test_listing_shows_every_instruction():
    program = tape.ShapeProgram()
    program.check_object(0, np.dtype("float32"), 2, writeable=True)
    rows, three = program.size(0, 0), program.constant(3)
    program.store(16, program.binary("MUL", rows, three))
    program.check(program.binary("EQ", rows, three), 5, rows, three)
    program.load(program.data(0), "int16", 8)
    program.select(rows, three, rows)
    program.divide("MOD", rows, three, 6)
    lines = str(program).splitlines()
    assert len(lines) == len(program) == 11
    assert lines[3] == "r2 = MUL r0 r1" and lines[5:7] == ["r3 = EQ r0 r1", "check 5: r3 (r0, r1)"]


def test_arrays_are_read_as_they_are():
    program = tape.ShapeProgram()
    program.check_object(0, np.dtype("float64"), 3)
    program.check_object(1, np.dtype("int64"), 0, writeable=True)
    wanted = [program.size(0, axis) for axis in range(3)]
    wanted += [program.data(0), program.load(program.data(1), "int64")]
    frame = Frame(program, [], objects=2)
    good = np.zeros((2, 0, 5)), np.array(77)
    assert tape.calls().call_with(frame.address, good) == layout.OK
    found = frame.registers[wanted].tolist()
    assert found == [2, 0, 5, good[0].ctypes.data, 77]

    class Sub(np.ndarray):
        pass

    read_only = np.array(3)
    read_only.flags.writeable = False
    bad = [
        (1.0, good[1]),
        (np.zeros((2, 3, 4)).view(Sub), good[1]),
        (np.zeros((2, 3)), good[1]),
        (np.zeros((2, 3, 4), "f4"), good[1]),
        (np.zeros((2, 3, 4), ">f8"), good[1]),
        (np.zeros((2, 3, 4)).transpose(), good[1]),
        (np.zeros(193, "u1")[1:].view("f8").reshape(2, 3, 4), good[1]),
    ]
    for items in bad:
        assert tape.calls().call_with(frame.address, items) == layout.SLOW, items
        assert frame.error[1] == 0
    for item in (np.array(3, "i4"), read_only, np.zeros(1, int)):
        assert tape.calls().call_with(frame.address, (good[0], item)) == layout.SLOW
        assert frame.error[1] == 1


@pytest.mark.parametrize("dtype", layout.LOADS)
def test_integers_of_every_dtype_load(dtype):
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    array = np.array([low, high], dtype)
    program = tape.ShapeProgram()
    program.check_object(0, array.dtype, 1)
    place = program.data(0)
    registers = [program.load(place, dtype, offset * array.itemsize) for offset in (0, 1)]
    frame = Frame(program, [], objects=1)
    assert tape.calls().call_with(frame.address, (array,)) == layout.OK
    assert frame.registers[registers].tolist() == [int(low), wrapped(high)]


def test_keys_ask_for_another_binding():
    program = tape.ShapeProgram()
    cell = np.array([5], np.int64)
    size = program.raw(cell.ctypes.data)
    frame = Frame(program, [], keys=[(size, 5), (program.constant(1), 1)])
    assert call(frame) == layout.OK
    cell[0] = 6
    assert call(frame) == layout.REBIND == frame.words[layout.STATUS]


# ---- steps ----

KERNELS = """
from symnet.kernels.intrinsics import *

def mark(args, lo, hi, thread):
    hits, log = as_ptr_int64(invariant_word(args, 0)), as_ptr_int64(invariant_word(args, 1))
    at = atomic_add(log, 0, 1)
    log[2 * at + 1], log[2 * at + 2] = lo, hi
    for i in range(lo, hi):
        hits[i] = hits[i] * invariant_word(args, 2) + 1

def fail(args, lo, hi, thread):
    if lo <= invariant_word(args, 1) < hi:
        frame = as_ptr_int64(invariant_word(args, 0))
        frame[1], frame[2], frame[3] = 42, lo, hi
"""


def kernel(name):
    return compile.native_function(KERNELS, name)


class Marks:
    """A step that counts how often each index was visited, and logs its slabs."""

    def __init__(self, extent, factor=1):
        self.hits, self.log = np.zeros(extent, np.int64), np.zeros(4001, np.int64)
        self.args = np.array([self.hits.ctypes.data, self.log.ctypes.data, factor], np.int64)

    def step(self, **options):
        return Step(kernel("mark"), self.args.ctypes.data, len(self.hits), **options)

    def slabs(self):
        count = self.log[0]
        return sorted(map(tuple, self.log[1 : 1 + 2 * count].reshape(-1, 2).tolist()))


@settings(max_examples=60, deadline=None)
@given(
    extent=st.integers(0, 300),
    slabs=st.integers(1, 40),
    align=st.integers(1, 40),
    threads=st.integers(1, 4),
)
def test_slabs_cover_the_extent_once_with_aligned_bounds(extent, slabs, align, threads):
    marks = Marks(extent)
    frame = Frame(tape.ShapeProgram(), [marks.step(slabs=slabs, align=align)], threads=threads)
    assert call(frame) == layout.OK
    assert (marks.hits == 1).all()
    cuts = [Fraction(extent * s, slabs).__floor__() for s in range(slabs + 1)]
    cuts[1:-1] = [cut - cut % align for cut in cuts[1:-1]]
    assert marks.slabs() == sorted(itertools.pairwise(cuts))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=200), st.integers(1, 3))
def test_a_step_sees_the_steps_before_it_complete(slab_counts, threads):
    marks = Marks(257, factor=3)
    steps = [marks.step(slabs=slabs) for slabs in slab_counts]
    for _ in range(3):
        marks.hits[:] = marks.log[:] = 0
        assert call(Frame(tape.ShapeProgram(), steps, threads=threads)) == layout.OK
        assert (marks.hits == wrapped((3 ** len(steps) - 1) // 2)).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("slabs", [1, 3])
def test_a_failing_step_ends_the_call(threads, slabs):
    before, after = Marks(10), Marks(10)
    args = np.zeros(2, np.int64)
    failing = Step(kernel("fail"), args.ctypes.data, 9, slabs=slabs, can_fail=True)
    steps = [before.step(slabs=2), failing, after.step(slabs=2)]
    frame = Frame(tape.ShapeProgram(), steps, threads=threads)
    args[:] = frame.address, 5
    assert call(frame) == layout.KERNEL_ERROR
    assert frame.error == ((42, 0, 9) if slabs == 1 else (42, 3, 6))
    assert (before.hits == 1).all() and (after.hits == 0).all()
    args[1] = 100  # the next call is not tainted
    assert call(frame) == layout.OK
    assert (before.hits == 2).all() and (after.hits == 1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_profile_counts_every_step(threads):
    first, second = Marks(1000), Marks(1000)
    profile = np.zeros((4, 2), np.int64)
    steps = [first.step(slabs=2, index=1), second.step(index=3)]
    frame = Frame(tape.ShapeProgram(), steps, threads=threads, profile=profile)
    for _ in range(5):
        call(frame)
    assert profile[:, 1].tolist() == [0, 5, 0, 5]
    assert (profile[[1, 3], 0] > 0).all() and (profile[[0, 2], 0] == 0).all()


# ---- many calls ----


def repeated(threads=1, slabs=1):
    """A tape that adds 1 to a row of a matrix; the row's address is in a cell."""
    rows = np.zeros((6, 8), np.int64)
    log, args = np.zeros(4001, np.int64), np.zeros(3, np.int64)
    cell = np.array([rows.ctypes.data, 0], np.int64)
    args[1:] = log.ctypes.data, 1
    program = tape.ShapeProgram()
    program.store(args.ctypes.data, program.raw(cell.ctypes.data))
    index, end = program.raw(cell.ctypes.data + 8), program.constant(4)
    program.check(program.binary("NE", index, end), 8, index, end)
    step = Step(kernel("mark"), args.ctypes.data, 8, slabs=slabs)
    frame = Frame(program, [step], threads=threads, keep=(rows, log, args, cell))
    table = np.array([[cell.ctypes.data, 64], [cell.ctypes.data + 8, 1]], np.int64)
    return frame, rows, cell, table


@pytest.mark.parametrize("threads, slabs", [(1, 1), (2, 2)])
def test_many_calls_walk_through_stacked_arrays(threads, slabs):
    frame, rows, cell, table = repeated(threads, slabs)
    many = tape.calls().call_many
    assert many(frame.address, 3, table.ctypes.data, 2, LIMIT) == 3
    assert rows[:, 0].tolist() == [1, 1, 1, 0, 0, 0] and cell[1] == 3
    assert frame.words[layout.STATUS] == layout.OK
    assert many(frame.address, 3, table.ctypes.data, 2, LIMIT) == 1  # stops where a check fails
    assert frame.words[layout.STATUS] == layout.CHECK and frame.error == (8, 4, 4)
    assert rows[:, 0].tolist() == [1, 1, 1, 1, 0, 0]
    cell[1] = -1000
    assert many(frame.address, 0, table.ctypes.data, 2, LIMIT) == 0


def test_many_calls_stop_when_time_is_up():
    frame, rows, cell, table = repeated()
    table[:] = 0
    table[:, 0] = cell.ctypes.data
    many = tape.calls().call_many
    assert many(frame.address, 2**40, table.ctypes.data, 2, 0) == 1
    done = many(frame.address, 400, table.ctypes.data, 2, LIMIT)
    assert rows[0, 0] == 1 + done


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_calls_keep_no_references():
    program = tape.ShapeProgram()
    program.check_object(0, np.dtype("float32"), 1)
    frame = Frame(program, [], objects=1)
    items = (np.zeros(3, "f4"),)
    before = sys.getrefcount(items), sys.getrefcount(items[0])
    for _ in range(10):
        tape.calls().call_with(frame.address, items)
    assert (sys.getrefcount(items), sys.getrefcount(items[0])) == before
