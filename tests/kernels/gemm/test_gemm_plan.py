"""Plans share work evenly, on bounds that the kernel likes, by shape alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.kernels import gemm

sizes = st.integers(0, 5000)


@given(
    m=sizes, n=sizes, k=sizes, dtype=st.sampled_from(["float32", "float64"]),
    threads=st.integers(1, 16), batch=st.integers(1, 40), tb=st.booleans(),
    core=st.sampled_from(["", "Haswell", "SkylakeX"]),
)  # fmt: skip
def test_every_plan_is_sound(m, n, k, dtype, threads, batch, tb, core):
    plan = gemm.plan(m, n, k, dtype, threads, batch=batch, tb=tb, blas_core=core)
    extent = {gemm.BY_ROWS: m, gemm.BY_COLUMNS: n, gemm.BY_MATRICES: batch}[plan.axis]
    assert 1 <= plan.slabs <= 4 * threads
    assert plan.slabs == 1 or plan.slabs * plan.align <= extent
    assert threads > 1 or plan.slabs == 1
    if plan.slabs > 1:
        assert plan.align == gemm.alignment(plan.axis, dtype)


def test_small_gemms_stay_on_one_thread():
    assert gemm.plan(16, 10, 100, "float32", 2).slabs == 1


def test_the_axis_depends_on_the_shape():
    assert gemm.plan(20000, 20, 25, "float32", 2).axis == gemm.BY_ROWS
    assert gemm.plan(20, 20000, 25, "float32", 2).axis == gemm.BY_COLUMNS
    assert gemm.plan(50, 50, 50, "float32", 2, batch=64).axis == gemm.BY_MATRICES


def test_large_gemms_get_slabs_to_spare():
    plan = gemm.plan(128, 1000, 784, "float32", 2)
    assert plan.axis == gemm.BY_COLUMNS and plan.slabs > 2


@pytest.mark.parametrize("core, own", [("SkylakeX", False), ("Haswell", True)])
def test_huge_gemms_go_to_a_blas_for_the_same_vectors_only(core, own, monkeypatch):
    monkeypatch.setattr(gemm, "vector_bytes", lambda: 64)
    assert gemm.plan(2048, 2048, 2048, "float32", 2, blas_core=core).own is own


def test_without_avx2_the_blas_does_everything(monkeypatch):
    monkeypatch.setattr(gemm, "vector_bytes", lambda: 16)
    assert not gemm.plan(64, 64, 64, "float32", 2).own


def test_arguments_of_views_and_stacks():
    c = np.zeros((3, 8, 10), "f4")[:, ::2, 2:9]
    words = gemm.arguments(np.zeros((4, 5), "f4"), np.zeros((3, 5, 7), "f4"), c)
    assert words[[gemm.M, gemm.N, gemm.K]].tolist() == [4, 7, 5]
    assert words[[gemm.LDA, gemm.LDB, gemm.LDC]].tolist() == [5, 7, 20]
    strides = words[[gemm.BATCH, gemm.STRIDE_A, gemm.STRIDE_B, gemm.STRIDE_C]]
    assert strides.tolist() == [3, 0, 35, 80]
    assert words[gemm.C] == c.ctypes.data
