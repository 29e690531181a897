"""The CUDA text of kernels."""

import subprocess
import sys

import pytest

import symnet
import symnet.tensor as T
from symnet.backends.gpu.emit import emit
from symnet.backends.gpu.source import Words, module_text
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan
from symnet.schedule.kernel import Kernel, Operand, Stage

x, y = T.matrices("x", "y")
w = T.vector("w")
d = T.dmatrix("d")
b = T.tensor("int8", (None,), name="b")
labels = T.lvector("labels")


def kernels(*outputs):
    results, _ = optimise(list(outputs))
    program, _ = plan([x, y, w, d, b, labels], results)
    return program.kernels


def test_text_of_a_map():
    (kernel,) = kernels(x * w + 1)
    source = emit(kernel)
    assert source.body.splitlines() == [
        'extern "C" __global__ void __launch_bounds__(256, 4)',
        "ENTRY(const symnet_words<7> words, const long long* live, long long* error)",
        "{",
        "    const float* const p0 = (const float*)words.w[0];",
        "    const float* const p1 = (const float*)words.w[1];",
        "    float* const p2 = (float*)words.w[2];",
        "    const long long s0 = words.w[3];",
        "    const long long s1 = words.w[4];",
        "    const long long s2 = words.w[5];",
        "    const bool aligned_ = s2 % 4 == 0 && symnet_aligned(p0, 16) && "
        "symnet_aligned(p1, 16) && symnet_aligned(p2, 16);",
        "    const long long all_ = (long long)gridDim.x * 256;",
        "    const auto fetch_ = [&](auto width_, long long from_, long long items_, long "
        "long start_) {",
        "        constexpr int V = decltype(width_)::value;",
        "        struct symnet_got {",
        "            long long i0, at_;",
        "            symnet_pack<float, V> x1_;",
        "            symnet_pack<float, V> x2_;",
        "        };",
        "        long long rest_ = from_;",
        "        const long long at_ = start_ + symnet_last(rest_, items_) * V;",
        "        const long long i0 = rest_;",
        "        return symnet_got {",
        "            i0,",
        "            at_,",
        "            symnet_read_fixed<V>(p0 + at_),",
        "            symnet_read_fixed<V>(p1 + i0 * s2 + at_),",
        "        };",
        "    };",
        "    const auto points_ = [&](auto width_, const auto& got_) {",
        "        constexpr int V = decltype(width_)::value;",
        "        const long long i0 = got_.i0;",
        "        const long long at_ = got_.at_;",
        "        const float v0 = symnet_float((unsigned int)words.w[6]);",
        "        symnet_pack<float, V> x5_;",
        "        #pragma unroll",
        "        for (int e_ = 0; e_ < V; e_++) {",
        "            const float v1 = got_.x1_.v[e_];",
        "            const float v2 = got_.x2_.v[e_];",
        "            const float v3 = symnet_mul(v2, v1);",
        "            const float v4 = symnet_add(v3, v0);",
        "            x5_.v[e_] = v4;",
        "        }",
        "        symnet_write(p2 + i0 * s2 + at_, x5_);",
        "    };",
        "    const auto sweep_ = [&](auto width_, long long items_, long long start_) {",
        "        const long long end_ = s0 * items_;",
        "        long long from_ = (long long)blockIdx.x * 256 + threadIdx.x;",
        "        for (; from_ + 1 * all_ < end_; from_ += 2 * all_) {",
        "            const auto got0_ = fetch_(width_, from_, items_, start_);",
        "            const auto got1_ = fetch_(width_, from_ + 1 * all_, items_, start_);",
        "            points_(width_, got0_);",
        "            points_(width_, got1_);",
        "        }",
        "        for (; from_ < end_; from_ += all_) {",
        "            points_(width_, fetch_(width_, from_, items_, start_));",
        "        }",
        "    };",
        "    const long long packs_ = aligned_ ? s1 / 4 : 0;",
        "    sweep_(symnet_width<4>{}, packs_, 0);",
        "    sweep_(symnet_width<1>{}, s1 - packs_ * 4, packs_ * 4);",
        "}",
    ]
    assert source.functions == (
        ("add", "float32", "float32"),
        ("mul", "float32", "float32"),
    )
    assert not source.meets and source.width == 4 and source.unroll == 2


@pytest.mark.parametrize(
    "expression, width",
    [
        (x + y, 4),  # 16 bytes of float32
        (d * 2, 2),
        (T.cast(d, "float32"), 2),  # by the widest element
        (b + b, 8),
        (T.cast(T.exp(b), "int8"), 4),  # exp is long enough as it is
        (x[:, ::2] * 1, 4),  # single reads, but packs are written
        (x.T + 1, 1),  # by tiles
        (x[labels] + y, 4),  # rows are gathered, along them are packs
        (w[labels] * 2, 2),  # elements are gathered, after packs of indices
        (T.tanh(x).sum(axis=1), 4),
        (x.sum(axis=0), 1),  # neighbouring threads read neighbouring columns
    ],
)
def test_widths_of_packs(expression, width):
    *_, kernel = kernels(expression)
    assert emit(kernel).width == width


def test_a_row_wise_chain_is_one_kernel():
    p = T.nnet.softmax(x)
    cost = T.nnet.categorical_crossentropy(p, labels).sum()
    found = kernels(symnet.grad(cost, x), p)
    assert [k.form for k in found if k.kept] == ["rows"]


def test_words_that_move_come_from_device_memory():
    (kernel,) = kernels(x * w)
    text = emit(kernel, live=(1, 4)).body
    assert "p1 = (const float*)live[0];" in text and "s1 = live[1];" in text
    assert "words.w[1]" not in text and "words.w[4]" not in text


def test_guarded_kernels_look_first():
    (kernel,) = kernels(x * w)
    assert "if (*error != 0) return;" in emit(kernel, guarded=True).body
    assert "error != 0" not in emit(kernel).body


def test_entries_are_named_by_content():
    (one,), (two,), (same,) = kernels(x * w), kernels(x - w), kernels(y - w)
    assert emit(one).entry != emit(two).entry == emit(same).entry
    assert emit(one).entry != emit(one, guarded=True).entry
    text = module_text([emit(one), emit(two)])
    assert text.count('extern "C" __global__') == 2 and "ENTRY" not in text


def test_a_module_has_each_scalar_function_once():
    found = kernels(T.exp(x), T.exp(y).sum(axis=0))
    assert len(found) > 1
    text = module_text(map(emit, found))
    assert text.count("symnet_exp(float x0)") == 1


def test_words():
    operands = (Operand("float32", 0, False), Operand("float32", 1, True, per_thread=True))
    words = Words(Kernel("rows", 1, 1, operands, ("int64",), 3, (Stage(),), can_fail=True))
    assert (words.slot, words.scalar, words.check, words.scratch) == (2, 5, 6, 7)
    assert (words.in_shared, words.lanes, words.count, words.block) == (8, 9, 12, -1)
    blocks = Words(Kernel("blocks", 0, 1, operands[:1], (), 1, (Stage(),)))
    assert (blocks.block, blocks.count, blocks.lanes, blocks.check) == (2, 4, -1, -1)


def test_who_uses_the_cpu_only_reads_nothing_of_this():
    text = (
        "import sys, symnet, symnet.tensor as T\n"
        "x = T.matrix('x')\n"
        "symnet.function([x], T.exp(x).sum())([[1.0]])\n"
        "print([m for m in sys.modules if m.startswith('symnet.backends.gpu')])\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
