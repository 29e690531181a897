"""Tensors of bfloat16 in the host's memory, which NumPy's reader of DLPack refuses."""

import ctypes
import gc
import weakref

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import TypeMismatchError
from symnet.graph import capsule
from symnet.graph.foreign import as_array

ml_dtypes = pytest.importorskip("ml_dtypes")
VALUES = np.arange(12, dtype="float32").reshape(3, 4)


class Base(np.ndarray):
    """An array that can be referenced weakly."""


class Tensor:
    """What a tensor of PyTorch says: words of 16 bits, of DLPack's kind `code`."""

    def __init__(self, words, code=4):
        self.words, self.code = words, code

    def __dlpack__(self, **_):
        found = self.words.__dlpack__()
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
        capsule._Tensor.from_address(get(found, b"dltensor")).code = self.code
        return found

    def __dlpack_device__(self):
        return 1, 0


def words(values):
    return np.asarray(values, ml_dtypes.bfloat16).view(np.uint16)


@pytest.mark.parametrize(
    "part", [np.s_[:], np.s_[:, 1:3], np.s_[::-1], np.s_[:0], np.s_[1, ::2], np.s_[1, 2]], ids=str
)
def test_they_are_read_where_they_lie(part):
    whole = words(VALUES)
    found = as_array(Tensor(whole[part] if whole[part].shape else whole[part][...]))
    np.testing.assert_array_equal(found.astype("float32"), VALUES[part])
    assert found.dtype == ml_dtypes.bfloat16
    assert not found.size or np.may_share_memory(found, whole) or found.shape == ()


def test_the_memory_lives_as_long_as_the_array():
    base = words(VALUES).view(Base)
    alive = weakref.ref(base)
    found = as_array(Tensor(base))
    del base
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(found.astype("float32"), VALUES)
    del found
    gc.collect()
    assert alive() is None


def test_functions_and_shared_variables_take_them():
    x = T.matrix("x", dtype="bfloat16")
    double = symnet.function([x], 2 * x)
    np.testing.assert_array_equal(double(Tensor(words(VALUES))).astype("float32"), 2 * VALUES)
    lent = words(VALUES)
    s = symnet.shared(Tensor(lent), borrow=True)
    symnet.function([], [], updates=[(s, s + 1)])()
    np.testing.assert_array_equal(lent, words(VALUES + 1))


def test_other_elements_are_named():
    with pytest.raises(TypeMismatchError, match=r"Unsupported dtype.*DLPack's kind 9 with 16 bits"):
        as_array(Tensor(words(VALUES), code=9), "the argument")
