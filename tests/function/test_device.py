"""Functions choose where they run."""

import subprocess
import sys

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import ConfigError, TypeMismatchError

A = np.arange(6, dtype="float32").reshape(2, 3)

ON_THE_CPU = """
import sys
import numpy as np
import symnet
import symnet.tensor as T

x, y = T.matrix("x"), T.lvector("y")
w = symnet.shared(np.ones((3, 2), "float32"), name="w")
cost = T.nnet.categorical_crossentropy(T.nnet.softmax(x @ w), y).mean()
f = symnet.function([x, y], cost, updates=[(w, w - T.grad(cost, w))], profile=True)
f(np.ones((4, 3), "float32"), np.zeros(4, "int64"))
str(f.explain()), str(f.profile)
f.copy().free()
symnet.transfer(np.ones(3), "cpu")
w.get_value(borrow=True, return_internal_type=True)
found = [m for m in sys.modules if m.split(".")[0] == "cupy" or m.startswith("symnet.backends.gpu")]
print(found)
"""


def test_who_computes_on_the_cpu_imports_nothing_of_others():
    done = subprocess.run(
        [sys.executable, "-c", ON_THE_CPU], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_names_of_devices():
    x = T.matrix("x")
    with pytest.raises(ConfigError, match="cpu, cuda, emulated"):
        symnet.function([x], x, device="gpu0")
    with pytest.raises(ConfigError, match="cpu, cuda, emulated"):
        symnet.config.device = "gpu"
    with pytest.raises(ConfigError, match="cpu, cuda, emulated"):
        symnet.transfer(A, "gpu")
    assert symnet.function([x], x).device == "cpu"


class OnDevice:
    """An array of a device that nobody else can read."""

    symnet_device = "emulated"
    dtype, shape = np.dtype("float32"), (2, 3)


def test_a_function_on_the_cpu_takes_no_device_array():
    x = T.matrix("x")
    f = symnet.function([x], 2 * x)
    for call in (f, lambda a: f.map([a]), lambda a: f(x=a)):
        with pytest.raises(TypeMismatchError):
            call(OnDevice())
    with pytest.raises(TypeMismatchError, match=r"symnet.transfer\(array, 'cpu'\)"):
        f(OnDevice())


def test_transfer_on_the_host():
    assert symnet.transfer(A) is A
    assert symnet.transfer([[1.0]], "cpu").tolist() == [[1.0]]
    w = symnet.shared(A)
    assert symnet.transfer(w, "cpu") is w
    with pytest.raises(TypeMismatchError, match="symbolic"):
        symnet.transfer(T.matrix("x"), "cpu")
    with pytest.raises(TypeMismatchError, match="not an array"):
        symnet.transfer([[1], [2, 3]], "cpu")


def test_on_device_means_nothing_on_the_cpu():
    x = T.matrix("x")
    f = symnet.function([x], {"a": symnet.Out(2 * x, on_device=True), "b": x + 1})
    found = f(A)
    assert type(found["a"]) is np.ndarray
    assert found["a"].tolist() == (2 * A).tolist()
