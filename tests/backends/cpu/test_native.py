"""Word programs mean what Python means by the same text, with int64 for numbers."""

import ctypes

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symnet.backends.cpu.native import word_functions
from symnet.errors import CompilerError


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYMNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def native(text, name, **constants):
    address = word_functions(text, constants)[name]
    count = text.split(f"def {name}(")[1].split(")")[0].count(",") + 1
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * count)(address)


def wrapped(value):
    return (int(value) + 2**63) % 2**64 - 2**63


ARITHMETIC = """
def mixed(a, b, c, d, which):
    if which == 0:
        return a + b * c - d
    elif which == 1:
        return (a & b | c ^ d)
    elif which == 2:
        return -a if not b else (a << (c & 7)) + (a >> (d & 7))
    elif which == 3:
        return (a < b) + 2 * (a <= b) + 4 * (a == b) + 8 * (a != b) + 16 * (a > b) + 32 * (a >= b)
    elif which == 4:
        return min(a, b) - max(c, d)
    elif which == 5:
        return (a < b and c < d) + 2 * (a < b or c < d) + 4 * (not (a < b and (c < d or a < d)))
    return a // (b | 1) + a % (d | 1) * 3
"""

WORDS = st.one_of(st.integers(-9, 9), st.integers(-(2**63), 2**63 - 1))


@settings(deadline=None)
@given(WORDS, WORDS, WORDS, WORDS, st.integers(0, 6))
def test_arithmetic_is_pythons(a, b, c, d, which):
    scope = {}
    exec(ARITHMETIC, scope)
    if which == 6 and a == -(2**63):
        a += 1  # the one quotient that does not fit
    expected = wrapped(scope["mixed"](a, b, c, d, which))
    assert native(ARITHMETIC, "mixed")(a, b, c, d, which) == expected


CONTROL = """
def collatz(n, limit):
    steps = 0
    while 1:
        if n <= 1:
            break
        if steps == limit:
            return -1
        steps += 1
        if n % 2 == 0:
            n //= 2
            continue
        n = 3 * n + 1
    return steps

def primes(n):
    found = 0
    for i in range(2, n):
        prime = True
        for j in range(2, i):
            if i % j == 0:
                prime = False
                break
        found += prime
    return found

def last(n, m):
    i = 77
    for i in range(n):
        n = 0
        if i == m:
            continue
        m += SEVEN
    return i * 1000 + m

def swap(a, b):
    a, b = b, a
    return 10 * a + b

def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

def nothing(n):
    n += 1
"""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(-3, 40), st.integers(-3, 40))
def test_control_flow_is_pythons(n, m):
    scope = {"SEVEN": 7}
    exec(CONTROL, scope)
    for name in ("collatz", "last", "swap"):
        assert native(CONTROL, name, SEVEN=7)(n, m) == scope[name](n, m)
    assert native(CONTROL, "primes", SEVEN=7)(n) == scope["primes"](n)
    small = min(n, 15)
    assert native(CONTROL, "fibonacci", SEVEN=7)(small) == scope["fibonacci"](small)
    assert native(CONTROL, "nothing", SEVEN=7)(n) == 0


MEMORY = """
def sort(p, n):
    for i in range(1, n):
        x, j = p[i], i
        while j > 0 and p[j - 1] > x:
            p[j] = p[j - 1]
            j -= 1
        p[j] = x

def callbacks(f, p):
    p[0] = call_c(f, -5)
    p[1] = call_int(f, -6)
    p[2] = call_c(square, 12)
    call_void(sort, p, 3)

def square(x):
    y = stack(3)
    y[2] = x
    return y[2] * x

def narrow(p, q):
    q[0], q[1], q[2] = load_int8(p), load_int16(p), load_int32(p)
    q[3], q[4], q[5] = load_uint8(p), load_uint16(p), load_uint32(p)

def atomics(p):
    p[1] = atomic_add(p, 0, 5)
    p[2] = atomic_cas(p, 0, 12, 1)
    p[3] = atomic_cas(p, 0, 12, 2)
    p[4] = atomic_exchange(p, 0, 9)
    atomic_store(p, 5, atomic_load(p, 0) + 1)
    pause()

def clock(f):
    first = clock_ns(f, 1)
    return clock_ns(f, 1) - first >= 0 and first > 0
"""


@settings(deadline=None)
@given(st.lists(WORDS))
def test_memory_is_words(values):
    data = np.array(values, np.int64)
    native(MEMORY, "sort")(data.ctypes.data, len(data))
    assert data.tolist() == sorted(values)


def test_calls_by_address_and_stack():
    labs = ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value
    out = np.zeros(3, np.int64)
    native(MEMORY, "callbacks")(labs, out.ctypes.data)
    assert out.tolist() == [5, 6, 144]


@given(st.integers(0, 2**32 - 1))
def test_narrow_loads(bits):
    source, out = np.array([bits], np.uint32), np.zeros(6, np.int64)
    native(MEMORY, "narrow")(source.ctypes.data, out.ctypes.data)
    kinds = ("i1", "i2", "i4", "u1", "u2", "u4")
    assert out.tolist() == [int(source.view(kind)[0]) for kind in kinds]


def test_atomics():
    data = np.array([7, 0, 0, 0, 0, 0], np.int64)
    native(MEMORY, "atomics")(data.ctypes.data)
    assert data.tolist() == [9, 7, 12, 1, 1, 10]


def test_clock():
    function = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value
    assert native(MEMORY, "clock")(function) == 1


@pytest.mark.parametrize(
    "line",
    [
        "x = 1.5",
        "f(1, key=2)",
        "x = [1]",
        "with f: pass",
        "KNOWN = 3",
        "unknown(1)",
        "x = y",
        "f()",
    ],
)
def test_anything_else_is_refused_by_line(line):
    with pytest.raises(CompilerError, match="line 2"):
        word_functions(f"def f(a):\n    {line}\n", {"KNOWN": 1})
