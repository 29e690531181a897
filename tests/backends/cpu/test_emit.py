"""The text of kernels, and what LLVM makes of it: hot loops must work on vectors."""

import platform
import re

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.backends.cpu.compile import assembly
from symnet.backends.cpu.emit import CHUNK, SCOPES, emit, initial, literal, words
from symnet.schedule.kernel import Accumulator, Kernel, Literal, Operand, Stage

x, y = T.matrices("x", "y")
w = T.vector("w")
labels = T.lvector("labels")


def kernels(outputs, **more):
    inputs = [x, y, w, labels]
    f = symnet.function(inputs, outputs, on_unused_input="ignore", **more)
    return f.program.kernels


CENTRED = x - x.mean(axis=1, keepdims=True)
HOT = {
    "map": (T.maximum(x + w, 0), "add|max"),
    "map of dear functions": (T.tanh(x * y + 0.5) * T.exp(-x * x), "mul|fma"),
    "map of a transposed array": (x.T * 2 + 1, "mul|fma"),
    "rows": (x.sum(axis=1), "add"),
    "rows with a maximum": (T.max(x, axis=1), "max|cmp"),
    "rows twice": (T.nnet.softmax(x), "add|fma"),
    "rows of row values": (CENTRED / T.sqrt(T.sqr(CENTRED).mean(axis=1, keepdims=True)), "fma|mul"),
    "rows with positions": (T.argmax(x, axis=1), "max|cmp"),
    "columns": (x.sum(axis=0), "add"),
    "columns twice": (T.nnet.softmax(x, axis=0), "add|fma"),
    "columns with positions": (T.argmax(x, axis=0), "max|cmp"),
    "blocks": ((x * y).sum(), "add|fma"),
    "serial": (T.inc_subtensor(x[labels], y), "add"),
    "gathered rows": (x[labels] + y, "add"),
    "several outputs": ([T.exp(x), x * y, x - y], "mul|sub"),
}


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="looks for the instructions of x86"
)
@pytest.mark.parametrize("name", HOT)
def test_hot_loops_are_vectorised(name):
    """Packed arithmetic, and no function is called but for those that move whole arrays."""
    outputs, operations = HOT[name]
    texts = [assembly(emit(k), "kernel") for k in kernels(outputs)]
    packed = re.compile(
        rf"\bv?\w*({operations})\w*p[sd]\b.*%[xyz]mm|\bvp\w*({operations})\w*\b.*%[yz]mm"
    )
    assert any(packed.search(text) for text in texts), texts[-1]
    for text in texts:
        called = set(re.findall(r"movabsq\s+\$([a-zA-Z_]\w*),", text))
        assert called <= {"memcpy", "memset", "memmove"}
        assert called or not re.search(r"\bcallq?\b", text)


def test_text_of_a_kernel():
    (kernel,) = kernels(CENTRED)
    assert emit(kernel).splitlines() == [
        "import numpy as np",
        "from symnet.kernels.intrinsics import "
        "add_reassoc, as_ptr_float32, invariant_word, load_0, store_1",
        "from symnet.kernels.scalar.cpu import cast_float32, cast_int64, sub, true_div",
        "",
        "",
        "def kernel(args, lo, hi, thread):",
        "    p0 = as_ptr_float32(invariant_word(args, 2))",
        "    p1 = as_ptr_float32(invariant_word(args, 3))",
        "    s0 = invariant_word(args, 4)",
        "    s1 = invariant_word(args, 5)",
        "    s2 = invariant_word(args, 6)",
        "    for i0 in range(lo, hi):",
        "        v1 = np.float32(0)",
        "        v1_wide = np.float64(0)",
        "        for from_ in range(0, s1, 2048):",
        "            v1 = np.float32(0)",
        "            to_ = min(from_ + 2048, s1)",
        "            for i1 in range(from_, to_):",
        "                v0 = load_0(p0, i0 * s2 + i1)",
        "                v1 = add_reassoc(v1, v0)",
        "            v1_wide += np.float64(v1)",
        "        v1 = np.float32(v1_wide)",
        "        v2 = cast_int64(invariant_word(args, 7))",
        "        v3 = cast_float32(v2)",
        "        v4 = true_div(v1, v3)",
        "        for i1 in range(0, s1):",
        "            v5 = load_0(p0, i0 * s2 + i1)",
        "            v6 = sub(v5, v4)",
        "            store_1(p1, i0 * s2 + i1, v6)",
    ]


def test_forms_of_typical_reductions():
    forms = {
        "rows": [x.sum(axis=1), T.argmax(x, axis=1), T.argmax(x)],
        "columns": [x.sum(axis=0), T.argmax(x, axis=0), x.T.sum(axis=1)],
        "blocks": [x.sum()],
        "serial": [T.inc_subtensor(w[labels], 1.0)],
        "map": [x + 1, x.T],
    }
    for form, expressions in forms.items():
        for expression in expressions:
            assert form in [k.form for k in kernels(expression)], expression


def test_numbers_in_columns_are_no_arrays():
    (kernel,) = kernels((x * 0.5 + 3).sum(axis=0))
    text = emit(kernel)
    assert text.count("stack_float32(") == 1  # the sums
    assert text.count(f"({CHUNK})") == 2  # and their float64 halves


@pytest.mark.parametrize(
    "order, outputs",
    [
        (("i1 in range(s1)", "i0 in range(lo, hi)"), T.inc_subtensor(x[labels], y)),
        (("i0 in range(lo, hi)", "i1 in range(s1)"), T.inc_subtensor(x[:, labels], y)),
    ],
)
def test_scattered_parts_are_written_along_memory(order, outputs):
    """Slabs never share an element; the loop that steps through memory is the inner one."""
    (kernel,) = [k for k in kernels(outputs) if k.form == "serial"]
    assert kernel.outer == 1
    loops = re.findall(r"for (.*):", emit(kernel))
    assert tuple(loops) == order


def test_accesses_beyond_the_scopes_may_overlap_all():
    (kernel,) = kernels([x * (k + 0.5) for k in range(SCOPES + 4)])
    text = emit(kernel)
    assert f"store_{SCOPES - 1}(" in text
    assert f"store_{SCOPES}(" not in text
    assert re.search(r"\bstore\(p", text)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int8", "uint8", "int64", "uint64", "bool"]
)
@pytest.mark.parametrize("function", ["sum", "prod", "max", "min", "any", "all"])
def test_neutral_elements(function, dtype):
    if function in ("any", "all"):
        dtype = "bool"
    start = eval(initial(Accumulator("a", function, "v", dtype)), {"np": np})
    combine = {
        "sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum,
        "any": np.logical_or, "all": np.logical_and,
    }[function]  # fmt: skip
    values = np.array([0, 1], dtype)
    if dtype != "bool":
        limits = np.finfo(dtype) if dtype.startswith("f") else np.iinfo(dtype)
        values = np.array([limits.min, 0, 3, limits.max], dtype)
    for value in values:
        found = combine(np.array(start, dtype), value)
        assert found == value and np.asarray(found).dtype == dtype


@pytest.mark.parametrize(
    "value, dtype",
    [
        (0.1, "float32"), (-0.0, "float64"), (float("inf"), "float32"), (float("nan"), "float64"),
        (-float("inf"), "float64"), (2**63 - 1, "int64"), (2**64 - 1, "uint64"), (True, "bool"),
        (3, "float32"), (1e-310, "float64"),
    ],
)  # fmt: skip
def test_literals(value, dtype):
    found = np.asarray(eval(literal(Literal(value, dtype)), {"np": np}))
    assert found.dtype == dtype
    assert found.tobytes() == np.array(value, dtype).tobytes()


def test_length_of_the_argument_block():
    operands = (Operand("float32", 0, False), Operand("float32", 1, True, per_thread=True))
    kernel = Kernel("rows", 1, 1, operands, ("int64",), 3, (Stage(),))
    # error, first check, two operands, three slots, a scalar, the scratch row's bytes
    assert words(kernel) == 2 + 2 + 3 + 1 + 1
    blocks = Kernel("blocks", 0, 1, operands[:1], (), 1, (Stage(),))
    assert words(blocks) == 2 + 1 + 1 + 1
