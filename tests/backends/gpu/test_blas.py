"""Products through the calls of cuBLAS, by the stand-in on host memory."""

import ctypes
import functools
import importlib.util
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from unittest import mock

import emulating
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.gpu import compile as cuda
from symnet.backends.gpu import host, host_blas, products
from symnet.backends.gpu.bind import Bound, BoundKernel
from symnet.backends.gpu.blas import Blas
from symnet.backends.gpu.launch import Device
from symnet.backends.gpu.link import Linked, LinkedStep, link, registers
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.products import (
    COPIED,
    ENTRIES,
    LIVE,
    BoundMatmul,
    Helper,
    Products,
    helper,
)
from symnet.config import config
from symnet.errors import DeviceError, IndexOutOfBoundsError
from symnet.graph.types import NUMPY_DTYPES
from symnet.schedule.kernel import Kernel, Stage
from symnet.schedule.program import KernelStep, MatmulStep, Matrix, Object, Program, Reg

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")

DTYPES = ("float32", "float64", "float16", "bfloat16")
TOLERANCE = {"float32": 1e-6, "float64": 1e-14, "float16": 2e-3, "bfloat16": 1e-2}
END = 512  # bytes behind memory that nobody may write
WELL, FAILED = np.zeros(3, np.int64), np.array([1, 0, 0])


# ---- numbers of every dtype, bfloat16 as its bits


def packed(values, dtype):
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = values.astype("float32").view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def unpacked(array):
    if array.dtype != np.uint16:
        return array.astype("float64")
    return (array.astype(np.uint32) << 16).view("float32").astype("float64")


# ---- a device of a few lines


def place_for(size, alignment=256, filled=0):
    block = np.full(size + 2 * alignment, filled, np.uint8)
    start = -block.ctypes.data % alignment
    return block[start : start + size]


class Machine:
    """Memory and a handle; it counts the calls of cuBLAS by name."""

    def __init__(self):
        self.kept, self.ends = [place_for(4096)], []
        self.blas = Blas(host_blas.library(), 0, (self.kept[0].ctypes.data, 4096))
        self.calls = []
        call = self.blas._call
        self.blas._call = lambda name, *rest: (self.calls.append(name), call(name, *rest))

    def allocate(self, size):
        block = place_for(size + END, filled=0xFF)  # NaN in every dtype, behind it too
        self.kept.append(block)
        self.ends.append(block[size:])
        return block.ctypes.data

    def run(self, bound, registers, error=WELL):
        live = bound.live(registers)
        host.prepare(s.source for s in bound.steps if isinstance(s, BoundKernel))
        for s in bound.steps:
            if isinstance(s, BoundMatmul):
                self.blas.multiply(s, live.ctypes.data)
            elif s.launch.grid:
                words, moving = s.words.ctypes.data, live.ctypes.data + 8 * s.live
                status = host.launchers[s.source](
                    words, moving, error.ctypes.data, s.launch.grid, THREADS, 0, 0
                )
                assert status == 0, host.complaint()
        assert all((end == 0xFF).all() for end in self.ends), "written behind a buffer"


class Case:
    """A product over arrays of its own: `a`, `b`, `out` and perhaps `alpha` are views of them.

    moving  offsets of the three matrices are multiples, by these factors, of a register that values
            decide
    """

    def __init__(
        self,
        dtype,
        m,
        n,
        k,
        batch=1,
        alpha=None,
        alpha_const=1.0,
        beta=0.0,
        layouts=("rows", "rows", "rows"),
        moving=(0, 0, 0),
        guarded=False,
    ):
        self.machine = Machine()
        self.dtype, self.batch, self.guarded = dtype, batch, guarded
        self.alpha, self.alpha_const, self.beta = alpha, alpha_const, beta
        self.random = np.random.default_rng(0)
        shapes = ((m, k), (k, n), (m, n))
        self.matrices, self.storages, matrices = [], [], []
        for number, (shape, layout, factor) in enumerate(zip(shapes, layouts, moving, strict=True)):
            strides, size = lay(layout, batch, *shape)
            start = min(sum((e - 1) * s for e, s in zip((batch, *shape), strides) if s < 0), 0)
            room = size + 3 * factor + 8
            values = packed(self.random.normal(size=room), dtype)
            block = place_for(values.nbytes).view(values.dtype)
            block[:] = values
            self.storages.append(block)
            idle = alpha == 0 or alpha_const == 0
            if beta == 0 if number == 2 else idle:
                block[:] = packed(np.array([np.nan]), dtype)  # nobody may look at it
            self.matrices.append((shape, strides, -start, factor))
            offset = Reg(2 + 2 * number) if factor else -start
            matrices.append(Matrix((("object", number), offset), *strides[1:], strides[0]))
        scalars = place_for(16).view(self.storages[0].dtype)
        if alpha is not None:
            scalars[:1] = packed(np.array([alpha]), dtype)
        self.storages.append(scalars)
        step = MatmulStep(dtype, m, n, k, batch, *matrices, self._place(), alpha_const, beta, 0)
        rules = [("value", 0)]
        for number, (*_, start, factor) in enumerate(self.matrices):
            rules += [("mul", Reg(0), factor), ("add", Reg(1 + 2 * number), start)]
        roles = ["input", "input", "shared", "input"]
        objects = [Object(role, k, dtype, (None,)) for k, role in enumerate(roles)]
        program = Program(tuple(objects), tuple(rules), (), (), (), (step,), (), ())
        self.linked = link(program)
        self.linked.steps = tuple(replace(s, guarded=guarded) for s in self.linked.steps)
        addresses = {("object", k): s.ctypes.data for k, s in enumerate(self.storages)}
        self.bound = Bound(
            self.linked, self.registers(0), addresses, Device(2), self.machine.allocate
        )
        assert len(self.bound.moving) <= LIVE

    def _place(self):
        return None if self.alpha is None else (("object", 3), 0)

    def registers(self, step):
        return registers(self.linked.program, [], lambda number: step)

    def view(self, number, step):
        (rows, columns), strides, start, factor = self.matrices[number]
        block = self.storages[number]
        return np.lib.stride_tricks.as_strided(
            block[start + step * factor :],
            (self.batch, rows, columns),
            [s * block.itemsize for s in strides],
        )

    def check(self, step=0, error=WELL):
        """Run it and compare all that it may have changed."""
        a, b, out = (unpacked(self.view(k, step)) for k in range(3))
        scale = self.alpha_const
        if self.alpha is not None:
            scale = scale * unpacked(self.storages[3])[0]
        if self.guarded and error[0]:
            self.storages[0][:] = packed(np.array([np.nan]), self.dtype)
        before = [s.copy() for s in self.storages]
        self.machine.calls.clear()
        self.machine.run(self.bound, self.registers(step), error)
        after = [s.copy() for s in self.storages]
        for k in (0, 1, 3):
            assert before[k].tobytes() == after[k].tobytes()
        if self.guarded and error[0]:
            assert before[2].tobytes() == after[2].tobytes()
            return
        with np.errstate(all="ignore"):
            wanted = np.zeros_like(out) if self.beta == 0 else self.beta * out
            if scale != 0 and a.shape[2]:
                wanted = wanted + scale * (a @ b)
        found = unpacked(self.view(2, step))
        bound = TOLERANCE[self.dtype]
        np.testing.assert_allclose(found, wanted, rtol=bound, atol=bound * (1 + a.shape[2]))
        # what is around it is as it was
        changed = self.view(2, step).copy()
        self.view(2, step)[...] = 0
        around = self.storages[2].copy()
        self.storages[2][...] = before[2]
        self.view(2, step)[...] = 0
        assert around.tobytes() == self.storages[2].tobytes()
        self.view(2, step)[...] = changed


def lay(layout, batch, rows, columns):
    """Strides (batch, row, column) in elements, and how many elements that takes."""
    if layout == "rows":
        strides = rows * columns, columns, 1
    elif layout == "columns":
        strides = rows * columns, 1, rows
    elif layout == "padded":
        strides = rows * (columns + 3), columns + 3, 1
    elif layout == "padded columns":
        strides = columns * (rows + 5), 1, rows + 5
    elif layout == "both":
        strides = 6 * rows * columns, 3 * columns, 2
    elif layout == "backwards":
        strides = rows * columns, -columns, 1
    elif layout == "once":
        strides = 0, columns, 1
    else:
        strides = 0, 0, 1  # one row
    extent = sum((max(n, 1) - 1) * abs(s) for n, s in zip((batch, rows, columns), strides))
    return strides, extent + 1


READ = ("rows", "columns", "padded", "padded columns", "both", "backwards", "once", "one row")
WRITTEN = ("rows", "columns", "padded", "padded columns", "both")
size = st.integers(0, 9)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(DTYPES), size, size, size, st.integers(0, 4),
    st.sampled_from([None, 0.0, 0.5, -3.0]), st.sampled_from([1.0, -0.25, 0.0]),
    st.sampled_from([0.0, 1.0, -0.5]),
    st.tuples(st.sampled_from(READ), st.sampled_from(READ), st.sampled_from(WRITTEN)),
    st.tuples(*[st.sampled_from([0, 0, 1, 8])] * 3), st.booleans(), st.booleans(),
    st.sampled_from([0, 100, products.FIXED]),
)  # fmt: skip
def test_products(
    dtype, m, n, k, batch, alpha, const, beta, layouts, moving, guarded, failed, copied
):
    with mock.patch.object(products, "FIXED", copied):
        case = Case(dtype, m, n, k, batch, alpha, const, beta, layouts, moving, guarded)
    for step in (0, 2, 3):
        case.check(step, FAILED if failed else WELL)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16 - 1), st.sampled_from(["float16", "bfloat16"]))
def test_scalars_of_half_types(bits, dtype):
    """Any half that is finite multiplies as what it is."""
    case = Case(dtype, 1, 1, 1, alpha=1.0, beta=1.0)
    alpha = case.storages[3]
    alpha[:1].view(np.uint16)[0] = bits
    (value,) = unpacked(alpha[:1])
    prepared = [s for s in case.bound.steps if isinstance(s, BoundKernel)]
    product = case.bound.steps[-1]
    case.machine.run(case.bound, case.registers(0))
    assert len(prepared) == 1
    found = (ctypes.c_float * 3).from_address(product.scalars)
    assert np.array_equal([found[0], found[2]], [value, 1.0], equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layouts",
    [("rows", "rows", "rows"), ("both", "columns", "both"), ("columns", "both", "columns")],
    ids=" ".join,
)
def test_larger_products(dtype, layouts):
    case = Case(dtype, 310, 130, 450, alpha=0.5, beta=1.0, layouts=layouts)
    case.check()


@pytest.mark.parametrize("layout", ["padded", "padded columns"])
def test_spare_memory_is_as_large_as_what_is_not_written(layout):
    case = Case("float32", 6, 7, 5, layouts=("rows", "rows", layout), guarded=True)
    case.check(error=FAILED)
    case.check(error=WELL)


@pytest.mark.parametrize("m, n", [(1, 50), (50, 1), (3, 40)])
def test_scaling(m, n):
    Case("float32", m, n, 0, beta=-0.5).check()


# ---- which call it is


def names(case):
    case.check(2)
    kernels = sum(isinstance(s, BoundKernel) for s in case.bound.steps)
    return kernels, [n for n in case.machine.calls if n.startswith("cublasGemm")]


def test_what_does_not_move_is_called_with_addresses():
    assert names(Case("float32", 3, 4, 5, beta=1.0)) == (0, ["cublasGemmEx"])
    assert names(Case("float16", 3, 4, 5)) == (0, ["cublasGemmEx"])
    assert names(Case("float32", 3, 4, 5, batch=3)) == (0, ["cublasGemmStridedBatchedEx"])


def test_live_words_are_the_pointers_to_one_matrix(monkeypatch):
    monkeypatch.setattr(products, "FIXED", 3 * 5 * 4 - 1)
    case = Case("float32", 3, 4, 5, moving=(3, 0, 0))
    assert names(case) == (0, ["cublasGemmBatchedEx"])
    assert case.bound.steps[0].by == "live"


def test_factors_that_move_are_copied_so_that_addresses_are_known(monkeypatch):
    """Up to so many bytes together; not where it is the result that moves."""
    monkeypatch.setattr(products, "FIXED", (3 * 5 + 5 * 4) * 4)
    assert names(Case("float32", 3, 4, 5, moving=(3, 0, 0))) == (1, ["cublasGemmEx"])
    assert names(Case("float32", 3, 4, 5, moving=(0, 8, 0))) == (1, ["cublasGemmEx"])
    assert names(Case("float32", 3, 4, 5, moving=(3, 8, 0))) == (2, ["cublasGemmEx"])
    assert names(Case("float32", 3, 4, 6, moving=(3, 8, 0))) == (0, ["cublasGemmBatchedEx"])
    assert names(Case("float32", 3, 4, 5, moving=(0, 0, 3))) == (0, ["cublasGemmBatchedEx"])
    assert names(Case("float32", 3, 4, 5, moving=(3, 0, 3))) == (0, ["cublasGemmBatchedEx"])


@pytest.mark.parametrize(
    "kind", [{"guarded": True}, {"alpha": 0.5}, {"batch": 2, "moving": (0, 3, 0)}], ids=str
)
def test_a_kernel_writes_pointers(kind):
    case = Case("float32", 3, 4, 5, beta=1.0, **kind)
    assert names(case) == (1, ["cublasGemmBatchedEx"])


@pytest.mark.parametrize("layout", ["padded", "columns", "padded columns"])
def test_what_cublas_can_read_is_not_copied(layout):
    case = Case("float32", 3, 4, 5, layouts=(layout, layout, layout))
    assert names(case) == (0, ["cublasGemmEx"])


def test_vectors_are_not_copied_whatever_their_strides():
    assert names(Case("float32", 1, 1, 5, layouts=("both", "both", "both")))[0] == 0
    assert names(Case("float32", 5, 1, 4, layouts=("rows", "both", "both")))[0] == 0


def test_a_result_that_is_copied_is_guarded_when_it_is_put_in_place():
    case = Case("float32", 3, 4, 5, beta=1.0, guarded=True, layouts=("rows", "rows", "both"))
    assert names(case) == (2, ["cublasGemmEx"])


def test_scalars_on_the_device_are_announced():
    machine, said = Machine(), []
    call = machine.blas._call
    machine.blas._call = lambda name, *rest: (said.append((name, rest[1])), call(name, *rest))
    constant, placed = Case("float32", 3, 4, 5), Case("float32", 3, 4, 5, alpha=0.5, beta=1.0)
    for case in (constant, placed, placed, constant):
        case.machine = machine
        case.check()
    assert [rest for name, rest in said if name == "cublasSetPointerMode_v2"] == [1, 0]
    assert [n for n, _ in said][1:3] == ["cublasSetPointerMode_v2", "cublasGemmBatchedEx"]


def test_only_aligned_halves_are_taken_where_addresses_are_hidden(monkeypatch):
    """8 halves are 16 bytes; cuBLAS would load them at once."""
    monkeypatch.setattr(products, "FIXED", 0)
    assert names(Case("float16", 3, 4, 5, moving=(8, 0, 0)))[0] == 0
    assert names(Case("float16", 3, 4, 5, moving=(4, 0, 0))) == (1, ["cublasGemmEx"])
    assert names(Case("float32", 3, 4, 5, moving=(4, 0, 0)))[0] == 0


def test_sizes_beyond_32_bits_have_functions_of_their_own():
    case = Case("float32", 1, 4, 5)
    (product,) = case.bound.steps
    out = replace(product.out, ld=2**31)  # of one row: nothing lies there
    case.bound.steps[0] = replace(product, out=out)
    assert names(case) == (0, ["cublasGemmEx_64"])


def test_tf32_on_request():
    exact = np.float32(1 + 2.0**-20)
    for precision, dtype, wanted in (
        ("highest", "float32", exact),
        ("high", "float32", np.float32(1)),
        ("high", "float64", np.float64(1 + 2.0**-20)),
    ):
        with config.change(float32_matmul_precision=precision):
            case = Case(dtype, 1, 1, 1)
        case.storages[0][:], case.storages[1][:] = 1 + 2.0**-20, 1
        case.machine.run(case.bound, case.registers(0))
        assert case.storages[2][0] == wanted


# ---- several products


def square(out, alpha=None):
    """out += alpha * a b, of four elements each; objects 0 and 1 are a and b."""
    matrices = [Matrix((("object", k), 0), 2, 1, 4) for k in (0, 1, out)]
    scale = None if alpha is None else (("object", alpha), 0)
    return MatmulStep("float32", 2, 2, 2, 1, *matrices, scale, 1.0, 1.0, 0)


def prepared(*steps):
    """The number of preparing launches ahead of each product; a step that is None checks an index.
    Products that write object 2 are guarded."""
    check = KernelStep(0, (), (), (), ((0, 5),), None, 0)
    kernels = (Kernel("map", 0, 0, (), (), 0, (Stage(),)),)
    program = Program((), (), (), (), kernels, tuple(s or check for s in steps), (), ())
    linked = [
        LinkedStep(s or check, None, (), s is not None and s.out.place[0] == ("object", 2), 0)
        for s in steps
    ]
    machine = Machine()
    products = Products(
        Linked(program, (), tuple(linked), ()),
        lambda ref: ref,
        lambda place: 4096 * place[0][1],
        lambda base, offset, size: 0,
        machine.allocate,
    )
    orders = [products.bind(k) for k, s in enumerate(steps) if s is not None]
    return [sum(isinstance(o, Helper) for o in several) for several in orders]


def test_divisors_of_offsets():
    rules = (
        ("value", 0), ("mul", Reg(0), 48), ("add", Reg(1), 40), ("sub", Reg(2), 4),
        ("min", Reg(1), Reg(2)), ("select", Reg(0), Reg(1), 16), ("floordiv", Reg(1), 2),
        ("max", Reg(1), 0), ("mul", Reg(3), Reg(2)), ("dim", 0, 0),
    )  # fmt: skip
    program = Program((), rules, (), (), (), (), (), ())
    linked = Linked(program, (9,), (), ())
    number = lambda ref: 24 if isinstance(ref, Reg) else ref
    products = Products(linked, number, None, None, None)
    found = [products.divisor(Reg(k)) for k in range(len(rules))]
    assert found == [1, 48, 8, 4, 8, 16, 1, 48, 32, 24]


def test_one_launch_prepares_many_products():
    guarded = square(2)
    assert prepared(*[guarded] * 9) == [1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert prepared(square(3), guarded, square(3), guarded) == [0, 1, 0, 0]
    assert prepared(square(3, alpha=4), guarded) == [1, 0]


def test_what_is_prepared_ahead_is_still_true_when_it_is_used():
    scaled, guarded = square(2, alpha=4), square(2)
    assert prepared(guarded, scaled) == [1, 0]
    assert prepared(guarded, square(4), scaled) == [1, 0, 1]  # alpha changes in between
    assert prepared(square(3, alpha=4), None, guarded) == [1, 1]  # a check may fail in between
    assert prepared(square(3, alpha=4), None, square(3, alpha=5)) == [1, 0]


# ---- a training step


@pytest.mark.parametrize("copied", [0, products.FIXED])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_product_replays(dtype, copied, monkeypatch):
    """A minibatch that moves, a rate on the device, updates that a failed check forbids: what was
    bound and recorded once does for all."""
    monkeypatch.setattr(products, "FIXED", copied)
    X = symnet.shared(normal(dtype, 40, 6), name="X")
    labels = symnet.shared(np.arange(40) % 3, name="labels")
    W = symnet.shared(normal(dtype, 6, 3), name="W")
    rate, i = T.scalar("rate", dtype=dtype), T.lscalar("i")
    x, y = X[i * 8 : (i + 1) * 8], labels[i * 8 : (i + 1) * 8]
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(x, W)), y).mean()
    new = W - rate * symnet.grad(cost, W)
    step = symnet.function([i, rate], [cost, new])
    one = emulating.runner([i, rate], [cost], [(W, new)])
    for number, scale in ((0, 0.5), (3, -1.0), (1, 0.0), (4, 0.25)):
        wanted = step(number, scale)
        (found,) = one.run([np.array(number), np.array(scale, dtype)])
        np.testing.assert_allclose(found, wanted[0], rtol=1e-5)
        np.testing.assert_allclose(W.get_value(), wanted[1], rtol=1e-5, atol=1e-6)
    assert one.recorded
    kinds = {s.by for s in one.last.bound.steps if isinstance(s, BoundMatmul)}
    assert kinds == {"address" if copied else "live", "pointers"}

    labels.set_value(np.where(np.arange(40) == 35, 3, labels.get_value()))
    X.set_value(np.where(np.arange(40)[:, None] == 36, np.nan, X.get_value()).astype(dtype))
    before = W.get_value()
    with pytest.raises(IndexOutOfBoundsError):
        one.run([np.array(4), np.array(0.5, dtype)])
    assert before.tobytes() == W.get_value().tobytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("offset", [0, 8])
def test_halves_are_multiplied_as_they_are(dtype, offset, monkeypatch):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    native = functools.partial(emulating.optimise, native_half_products=True)
    monkeypatch.setattr(emulating, "optimise", native)
    monkeypatch.setattr(products, "FIXED", 0)
    half = NUMPY_DTYPES[dtype]
    X = symnet.shared(normal("float32", 40, 8).astype(half), name="X")
    W = symnet.shared(normal("float32", 8, 5).astype(half), name="W")
    i = T.lscalar("i")
    x = X[i * 8 : (i + 1) * 8]
    outputs = [T.dot(x, W), T.batched_dot(T.stack([x, x]), T.stack([W, W + 1]))]
    one = emulating.runner([i], outputs, offset=offset)
    wanted = symnet.function([i], [v.astype("float32") for v in outputs])
    for number in (0, 3, 1):
        for found, near in zip(one.run([np.array(number)]), wanted(number), strict=True):
            np.testing.assert_allclose(found.astype("float32"), near, rtol=1e-2, atol=5e-2)
    calls = [s for s in one.last.bound.steps if isinstance(s, BoundMatmul)]
    assert [c.step.dtype for c in calls] == [dtype] * 2
    assert calls[0].by == ("address" if offset else "live")


def normal(dtype, *shape):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


# ---- the library


def test_errors_say_what_was_called():
    machine = Machine()
    case = Case("float32", 3, 4, 5)
    (product,) = case.bound.steps
    with pytest.raises(DeviceError, match="cublasGemmEx: an argument that is not valid"):
        machine.blas.multiply(replace(product, out=replace(product.out, ld=3)), 0)
    with pytest.raises(DeviceError, match="cublasSetWorkspace_v2: not supported"):
        Blas(host_blas.library(), 0, (machine.kept[0].ctypes.data + 8, 64))


def test_a_library_without_a_function():
    with pytest.raises(DeviceError, match="this cuBLAS has no cublasCreate_v2"):
        Blas(ctypes.CDLL(None), 0, (0, 0))


def header_folders():
    """Where headers of CUDA may be, besides those that the compiler knows of (CPATH)."""
    spec = importlib.util.find_spec("nvidia")
    wheels = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    found = [folder for wheel in wheels for folder in wheel.glob("*/include")]
    home = os.environ.get("CUDA_PATH") or os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    return [*found, Path(home) / "include"]


def compiled(text, folder):
    source = folder / "text.cpp"
    source.write_text(text)
    options = ["-std=c++17", "-fsyntax-only", *(f"-I{p}" for p in header_folders())]
    return subprocess.run([host.compiler(), *options, source], capture_output=True, text=True)


def test_prototypes_and_constants_are_those_of_cublas(tmp_path):
    header = "#include <cublas_v2.h>\n"
    if compiled(header, tmp_path).returncode:
        pytest.skip("the headers of cuBLAS are not installed")
    done = compiled(header + host_blas.TEXT, tmp_path)
    assert done.returncode == 0, done.stderr
    for right, wrong in (
        ("static_assert(CUBLAS_COMPUTE_32F == 68", "static_assert(CUBLAS_COMPUTE_32F == 69"),
        ("cublasSetWorkspace_v2(cublasHandle_t, void*, size_t)",
         "cublasSetWorkspace_v2(cublasHandle_t, void*, int)"),
    ):  # fmt: skip
        assert right in host_blas.TEXT
        assert compiled(header + host_blas.TEXT.replace(right, wrong), tmp_path).returncode


@pytest.mark.skipif(not cuda.available(), reason="NVRTC is not installed")
@pytest.mark.parametrize("position", [0, -1], ids=["oldest", "newest"])
def test_nvrtc_takes_the_helpers(position):
    sources = helper_sources()
    module = cuda.compile_module(sources, cuda.nvrtc().architectures[position])
    assert module.resources.keys() == {s.entry for s in sources}
    assert not any(r.stores or r.loads for r in module.resources.values())


def helper_sources():
    return [helper("prepare", str(ENTRIES)), *(helper("copy", kind) for kind in COPIED.values())]
