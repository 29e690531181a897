"""Kernels compile once per content, load without Numba, and survive every abuse of the cache."""

import ctypes
import os
import platform
import random
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from symnet.backends.cpu import cache, compile
from symnet.errors import BackendError

HEAD = "from symnet.kernels.intrinsics import *\n"
CALL = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path))
    return tmp_path / "kernels"


def constant(number):
    """A kernel that writes `number` to its argument block."""
    return HEAD + f"def write(args, lo, hi, thread):\n    as_ptr_int64(args)[0] = {number} + lo\n"


def result(address, lo=0):
    block = np.zeros(1, np.int64)
    CALL(address)(block.ctypes.data, lo, 0, 0)
    return block[0]


def python(text, *arguments, **environment):
    """A new process that runs `text`; returns its output."""
    code = textwrap.dedent(text)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_compiles_and_runs():
    address = compile.native_function(constant(41), "write")
    assert result(address) == 41 and result(address, 1) == 42


def test_same_content_is_compiled_once_from_any_thread(folder):
    addresses = []
    work = lambda: addresses.append(compile.native_function(constant(7), "write"))
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(addresses)) == 1 and len(list(folder.iterdir())) == 1


def test_everything_that_matters_is_in_the_key(monkeypatch):
    base = compile.Source(constant(1), "write")
    others = [
        compile.Source(constant(2), "write"),
        compile.Source(constant(1), "write", "void(int64, int64, int64, int32)"),
        compile.Source(constant(1), "write", extra_key="x"),
        compile.Source(constant(1) + "other = write\n", "other"),
    ]
    assert len({s.key for s in [base, *others]}) == 5
    assert compile.Source(constant(1), "write").key == base.key
    monkeypatch.setattr(compile, "fingerprint", lambda: "another machine")
    assert compile.Source(constant(1), "write").key != base.key


def test_fingerprint_sees_settings_of_numba(monkeypatch):
    before = compile._compilers()
    monkeypatch.setenv("NUMBA_OPT", "1")
    assert compile._compilers() != before


def test_a_text_that_does_not_compile_is_an_internal_error():
    with pytest.raises(BackendError, match=r"'write' does not compile(.|\n)*1 .*undefined"):
        compile.native_function("def write(a, b, c, d): undefined(a)\n", "write")


def test_division_by_zero_follows_numpy():
    text = HEAD + (
        "def ratio(args, lo, hi, thread):\n    p = as_ptr_float64(args)\n    p[0] = p[0] / p[1]\n"
    )
    block = np.array([1.0, 0.0])
    CALL(compile.native_function(text, "ratio"))(block.ctypes.data, 0, 0, 0)
    assert block[0] == np.inf


LOOP = (
    HEAD
    + """
def loop(args, lo, hi, thread):
    p, q = as_ptr_float32(invariant_word(args, 0)), as_ptr_float32(invariant_word(args, 1))
    r = as_ptr_float32(invariant_word(args, 2))
    total = load_0(p, lo)
    for i in range(lo, hi):
        {body}
    store_3(r, 0, total)
"""
)
PRODUCT = "store_2(r, i + 1, load_0(p, i) * load_1(q, i))"


def vector_instructions(body, kind):
    """How many instructions of a kind, on whole vectors, the loop got."""
    text = compile.assembly(LOOP.format(body=body), "loop")
    return sum(
        kind + "ps" in line and ("ymm" in line or "zmm" in line) for line in text.split("\n")
    )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86 assembly")
def test_loops_over_disjoint_buffers_are_vectorised():
    assert vector_instructions(PRODUCT, "vmul")
    assert vector_instructions("total = add_reassoc(total, load_0(p, i))", "vadd")
    assert not vector_instructions("total = total + load_0(p, i)", "vadd")


LOAD = """
    import ctypes, sys, numpy as np
    from symnet.backends.cpu import compile
    block = np.zeros(1, np.int64)
    address = compile.native_function(sys.argv[1], "write")
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)(block.ctypes.data, 0, 0, 0)
    print(block[0], "numba" in sys.modules)
"""


def test_a_second_process_does_not_import_numba():
    assert python(LOAD, constant(5)) == ["5", "True"]
    assert python(LOAD, constant(5)) == ["5", "False"]


def test_damaged_entries_are_compiled_anew(folder):
    python(LOAD, constant(6))
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for damage in (b"", whole[:100], whole[:-1], b"something else", whole[:-9] + b"?" + whole[-8:]):
        path.write_bytes(damage)
        assert python(LOAD, constant(6)) == ["6", "True"]
        assert cache.check() == []
    path.unlink()
    path.mkdir()  # not even a file
    assert python(LOAD, constant(6), PYTHONWARNINGS="ignore") == ["6", "True"]


def test_an_entry_with_an_unknown_external_symbol_is_not_linked(folder):
    """LLVM would end the process."""
    python(LOAD, constant(8))
    (path,) = folder.iterdir()
    data = cache.load("kernels", path.name)
    changed = data.replace(b'"externals": []', b'"externals": ["no_such_symbol"]')
    assert changed != data
    cache.store("kernels", path.name, changed)
    assert python(LOAD, constant(8)) == ["8", "True"]


def test_without_a_usable_folder_it_works_and_warns_once(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    text = LOAD + "    compile.native_function(sys.argv[1] + '#', 'write')\n"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), constant(9)],
        env=os.environ | {"SYMNET_CACHE": str(blocked)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == ["9", "True"]
    assert done.stderr.count("RuntimeWarning") == 1


MANY = """
    import ctypes, random, sys, numpy as np
    from symnet.backends.cpu import compile
    numbers = list(range(12))
    random.Random(int(sys.argv[1])).shuffle(numbers)
    block = np.zeros(1, np.int64)
    for number in numbers:
        address = compile.native_function(sys.argv[2].replace("NUMBER", str(number)), "write")
        ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)(block.ctypes.data, 0, 0, 0)
        assert block[0] == number
        print(number, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")
def test_sixteen_processes_on_one_empty_cache_some_killed(folder):
    chance = random.Random(0)
    command = [sys.executable, "-c", textwrap.dedent(MANY)]
    crowd = [
        subprocess.Popen([*command, str(n), constant("NUMBER")], stdout=subprocess.PIPE, text=True)
        for n in range(16)
    ]
    killed = crowd[::4]
    for process in killed:
        for _ in range(chance.randrange(1, 8)):
            process.stdout.readline()
        process.kill()
    survivors = [process for process in crowd if process not in killed]
    for process in survivors:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        assert sorted(map(int, output.split())) == list(range(12))
    for process in killed:
        process.communicate()
    assert cache.check() == []
    assert len(cache.entries()) == 12
    assert python(LOAD, constant(3)) == ["3", "False"]
