"""CUDA text to compiled modules, by NVRTC."""

import re

import pytest

import symnet.tensor as T
from symnet.backends.gpu import compile as cuda
from symnet.backends.gpu import shuffle
from symnet.backends.gpu.compile import assembly, compile_module, nvrtc, resources
from symnet.backends.gpu.emit import emit
from symnet.backends.gpu.source import Source
from symnet.config import cache_folder
from symnet.errors import BackendError
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan

pytestmark = pytest.mark.skipif(not cuda.available(), reason="NVRTC is not installed")
x, d, w, labels = T.matrix("x"), T.dmatrix("d"), T.vector("w"), T.lvector("labels")


def sources(expression):
    results, _ = optimise([expression])
    return [emit(k) for k in plan([x, d, w, labels], results)[0].kernels]


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path))


def test_a_module_and_what_it_takes(empty_cache):
    found = sources(T.nnet.softmax(x).sum(axis=0))
    module = compile_module(found)
    assert module.code[:4] == b"\x7fELF"
    assert module.resources.keys() == {s.entry for s in found}
    for used in module.resources.values():
        assert 8 <= used.registers <= 255 and used.shared == 2048
    for source in found:
        assert source.entry.encode() in module.code


def test_modules_are_kept(empty_cache, monkeypatch):
    found = sources(T.exp(x))
    module = compile_module(found)
    assert len(list((cache_folder() / "kernels").iterdir())) == 1
    monkeypatch.setattr(cuda.Nvrtc, "compile", None)
    assert compile_module(found) == module
    with pytest.raises(TypeError):
        compile_module(found, nvrtc().architectures[0])  # another one is another module


CENTRED = x - x.mean(axis=1, keepdims=True)
HOT = {
    "map": T.maximum(x + w, 0) * x,
    "map of dear functions": T.tanh(x * 0.5) * T.exp(-x * x),
    "map of doubles": T.exp(d) * 2,
    "rows": T.max(x, axis=1),
    "rows of row values": CENTRED / T.sqrt(T.sqr(CENTRED).mean(axis=1, keepdims=True)),
    "softmax": T.nnet.softmax(x),
    "blocks": T.sqr(x).sum(),
    "gathered rows": x[labels] + x,
}


@pytest.mark.parametrize("name", HOT)
def test_hot_loops_move_sixteen_bytes_at_once(name):
    """Of what is known to be global memory; and nothing lies in memory of a thread's own."""
    kernels = sources(HOT[name])
    text = assembly(kernels)
    assert re.search(r"\bld\.global(\.nc)?\.(v4\.[fub]32|v2\.[fub]64)", text)
    if name not in ("rows", "blocks"):
        assert re.search(r"\bst\.global\.v4\.[fub]32|\bst\.global\.v2\.[fub]64", text)
    assert ".local" not in text
    assert "call" not in text


def test_the_permutation_compiles_with_and_without_moving_words():
    for live in ((), (6,), (2, 4, 6)):
        assert compile_module([shuffle.source(live)]).code


def test_a_text_that_is_wrong():
    with pytest.raises(BackendError, match=r"(?s)COMPILATION.*nonsense"):
        compile_module([Source("nonsense;", (), 1, 1, False)])


def test_warnings_are_errors():
    text = 'extern "C" __global__ void ENTRY(int n) { int unused = n; }'
    with pytest.raises(BackendError, match="never referenced"):
        compile_module([Source(text, (), 1, 1, False)])


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(cuda, "_places", lambda: ["/nowhere/libnvrtc.so"])
    with pytest.raises(BackendError, match="pip install nvidia-cuda-nvrtc"):
        nvrtc.__wrapped__()


def test_what_ptxas_says():
    log = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_90'
ptxas info    : Function properties for one
ptxas         .     0 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 2048 bytes smem
ptxas info    : Function properties for two
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 24 registers, used 0 barriers, 368 bytes cmem[0]
"""
    assert resources(log) == {
        "one": cuda.Resources(32, 2048, 8, 12),
        "two": cuda.Resources(24, 0, 0, 0),
    }
