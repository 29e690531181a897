import numpy as np

import symnet
import symnet.tensor as T
from symnet.backends.cpu.inspection import Machine, read_assembly

LOOP = """\
\t.text
symnet_x:
\tvmovups\t(%rdi), %zmm1
\tvaddps\t64(%rdi), %zmm1, %zmm0
\tvfmadd231ps\t(%rcx,%rdx), %zmm0, %zmm2
\tvaddss\t(%rcx), %xmm0, %xmm0
\tvextractf128\t$1, %ymm0, %xmm1
\taddq\t$8, %rsp
\tretq
"""


def test_instructions_are_counted():
    assert read_assembly(LOOP) == Machine(7, 512, 2, "float32")
    assert str(read_assembly(LOOP)).startswith("SIMD with 512 bits: 16 float32 at a time")


def test_scalar_code_is_no_simd():
    scalar = "\tvaddss\t%xmm0, %xmm1, %xmm0\n\tmulsd\t%xmm0, %xmm1\n\tretq\n"
    assert read_assembly(scalar).bits == 0
    assert "no SIMD" in str(read_assembly(scalar))


def test_other_widths_and_processors():
    assert read_assembly("\tpaddq\t%xmm0, %xmm1\n").short == "4 integers at a time"
    assert read_assembly("\tvmulpd\t%ymm0, %ymm1, %ymm2\n").short == "4 float64 at a time"
    assert read_assembly("\tfmla\tv0.4s, v1.4s, v2.4s\n").short == "4 float32 at a time"


def test_a_real_kernel_is_vectorised():
    x = T.vector("x")
    found = symnet.function([x], T.exp(x) * 2).explain(np.ones(3, "float32"))
    assert found.kernels[0].machine.bits >= 128
