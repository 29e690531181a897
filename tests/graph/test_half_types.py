"""The half types: what they are called, what fits into them, what they meet in."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import TypeMismatchError
from symnet.graph.types import HALVES, NUMPY_DTYPES, TensorType, largest
from symnet.ops.conversion import as_variable, common_dtype

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("given", ["bfloat16", BFLOAT16, ml_dtypes.bfloat16])
def test_names_of_bfloat16(given):
    assert T.matrix(dtype=given).type is TensorType("bfloat16", (None, None))
    assert T.tensor(given, (3, None)).type.numpy_dtype == BFLOAT16
    assert T.cast(T.vector(), given).dtype == "bfloat16"


@pytest.mark.parametrize("given", ["float16", np.float16, np.dtype("float16")])
def test_names_of_float16(given):
    assert T.vector(dtype=given).type is TensorType("float16", (None,))
    assert T.cast(T.vector(), given).dtype == "float16"


def test_importing_symnet_does_not_import_ml_dtypes():
    code = "import sys, symnet, symnet.tensor, symnet.nn; sys.exit('ml_dtypes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_ml_dtypes_it_is_said_what_is_missing():
    code = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "import symnet, symnet.tensor as T\n"
        "f = symnet.function([x := T.vector(dtype='float16')], x * 2)\n"
        "assert f([1, 2]).dtype == 'float16'\n"
        "for make in (lambda: T.matrix(dtype='bfloat16'), lambda: x.astype('bfloat16')):\n"
        "    try:\n"
        "        make()\n"
        "    except symnet.errors.TypeMismatchError as error:\n"
        "        assert 'ml_dtypes' in str(error) and \"'symnet[half]'\" in str(error), error\n"
        "    else:\n"
        "        raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("half", sorted(HALVES))
@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (1, True), (0.1, True), ([0.1, 2], True), (np.float64(0.1), True), (True, True),
        (np.zeros(2, "int8"), True), (np.zeros(2, "float32"), False), (np.zeros(2), False),
        (np.zeros(2, "int64"), False),
    ],
)  # fmt: skip
def test_what_fits(half, value, fits):
    kind = TensorType(half, (None,) * np.ndim(value))
    if fits:
        array = kind.filter(value)
        assert array.dtype == NUMPY_DTYPES[half] and array.shape == np.shape(value)
    else:
        with pytest.raises(TypeMismatchError, match=half):
            kind.filter(value)
        assert kind.filter(value, allow_downcast=True).dtype == NUMPY_DTYPES[half]


@pytest.mark.parametrize("half", sorted(HALVES))
def test_halves_fit_into_wider_floats_only(half):
    array = np.ones(2, NUMPY_DTYPES[half])
    for dtype in ("float32", "float64"):
        assert TensorType(dtype, (None,)).filter(array).dtype == dtype
    for dtype in {"int64", *HALVES} - {half}:
        with pytest.raises(TypeMismatchError):
            TensorType(dtype, (None,)).filter(array)
    scalar = TensorType("float32").filter(array[0])
    assert scalar.dtype == "float32" and scalar == 1


@pytest.mark.parametrize(
    ("build", "dtype"),
    [
        (lambda x, y: x * 2, "float16"),
        (lambda x, y: x + 0.1, "float16"),
        (lambda x, y: y * np.float64(0.1), "bfloat16"),
        (lambda x, y: x + y, "float32"),
        (lambda x, y: x + T.fvector(), "float32"),
        (lambda x, y: y + T.dvector(), "float64"),
        (lambda x, y: x + T.lvector(), "float16"),
        (lambda x, y: y / T.bvector(), "bfloat16"),
        (lambda x, y: x < y, "bool"),
        (lambda x, y: T.exp(x), "float16"),
        (lambda x, y: T.where(x < 0, y, 0), "bfloat16"),
        (lambda x, y: T.sum(x), "float16"),
        (lambda x, y: T.sum(x, dtype="float32"), "float32"),
        (lambda x, y: T.mean(y), "bfloat16"),
        (lambda x, y: T.std(x), "float16"),
        (lambda x, y: T.dot(x, y), "float32"),
        (lambda x, y: T.dot(y, y), "bfloat16"),
        (lambda x, y: T.nnet.softmax(x), "float16"),
        (lambda x, y: T.zeros_like(y), "bfloat16"),
        (lambda x, y: T.argmax(x), "int64"),
        (lambda x, y: symnet.grad(T.sum(T.sqr(x)), x), "float16"),
        (lambda x, y: symnet.grad(T.sum(x * T.fvector()), x), "float16"),
    ],
)
def test_dtypes_of_results(build, dtype):
    assert build(T.vector(dtype="float16"), T.vector(dtype="bfloat16")).dtype == dtype


def test_the_two_halves_meet_in_float32():
    assert common_dtype(["float16", "bfloat16"]) == "float32"
    assert common_dtype(["bfloat16", "float16", "int64"]) == "float32"
    assert common_dtype(["bfloat16", "float64"]) == "float64"
    assert common_dtype(["bfloat16", "bool", "bfloat16"]) == "bfloat16"


def test_constants_and_shared_variables():
    array = np.array([0.1, 3], BFLOAT16)
    assert as_variable(array).dtype == "bfloat16"
    assert T.constant(0.1, dtype="bfloat16").data == array[0]
    shared = symnet.shared(array, name="w")
    assert shared.dtype == "bfloat16" and shared.get_value().dtype == BFLOAT16
    shared.set_value(np.array([1, 2], BFLOAT16))
    assert shared.get_value().tolist() == [1, 2]


@pytest.mark.parametrize("half", sorted(HALVES))
def test_largest(half):
    assert largest(half) == float(ml_dtypes.finfo(NUMPY_DTYPES[half]).max)
    x = T.vector(dtype=half)
    f = symnet.function([x], T.nan_to_num(x))
    given = np.array([np.inf, -np.inf, np.nan, 1]).astype(NUMPY_DTYPES[half])
    assert f(given).tolist() == [largest(half), -largest(half), 0, 1]
