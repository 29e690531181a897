"""Arrays of other libraries go in and out, without copies where memory can be shared."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import TypeMismatchError
from symnet.graph.foreign import device_of

A = np.arange(6, dtype="float32").reshape(2, 3)


class Tensor:
    """Somebody's array that speaks DLPack and nothing else."""

    def __init__(self, array, device=(1, 0), refusal=None):
        self.array, self.device, self.refusal = array, device, refusal

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **wishes):
        if self.refusal is not None:
            raise self.refusal
        return self.array.__dlpack__(**wishes)


class WithArray(Tensor):
    """... and NumPy's protocol as well."""

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


def addresses(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(scope="module")
def double():
    x = T.matrix("x")
    return symnet.function([x], 2 * x)


def test_arguments(double):
    assert double(Tensor(A)).tolist() == (2 * A).tolist()
    assert double(x=Tensor(A.T)).tolist() == (2 * A.T).tolist()
    assert double(Tensor(A.astype("int16"))).dtype == "float32"  # nothing is lost
    assert double.map(Tensor(A[None])).tolist() == [(2 * A).tolist()]


def test_an_argument_is_not_copied():
    x = T.fmatrix("x")
    assert addresses(x.type.filter(Tensor(A))) == addresses(A)


def test_a_foreign_dtype_counts_as_an_arrays(double):
    with pytest.raises(TypeMismatchError, match=r"dtype float64, .* lose digits"):
        double(Tensor(A.astype("float64")))
    assert symnet.shared(Tensor(A.astype("float64"))).dtype == "float64"


def test_shared_values_are_copied_or_borrowed():
    array = A.copy()
    if not np.from_dlpack(Tensor(array)).flags.writeable:
        pytest.skip("this NumPy takes DLPack's arrays as read-only")
    copied, borrowed = symnet.shared(Tensor(array)), symnet.shared(Tensor(array), borrow=True)
    array[0, 0] = 7
    assert copied.get_value()[0, 0] == 0
    assert borrowed.get_value()[0, 0] == 7
    again = symnet.shared(Tensor(array), borrow=True)  # never two variables in one memory
    assert not np.shares_memory(again.storage, array)
    copied.set_value(Tensor(array[:1]))
    assert copied.get_value().tolist() == array[:1].tolist()


def test_memory_that_may_not_be_written_is_copied():
    array = A.copy()
    array.flags.writeable = False
    shared = symnet.shared(WithArray(array, refusal=BufferError("read-only")), borrow=True)
    assert not np.shares_memory(shared.storage, array)


def test_where_dlpack_fails_numpys_protocol_is_asked(double):
    for tensor in [WithArray(A, device=(2, 0)), WithArray(A, refusal=BufferError("no"))]:
        assert double(tensor).tolist() == (2 * A).tolist()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Tensor(A, device=(2, 0)), "another device .*number 2"),
        (Tensor(A, refusal=BufferError("requires grad")), "Tensor.*requires grad"),
        (Tensor(A.astype("complex64")), "complex64"),
        (Tensor(A[0]), "1 dimensions"),
        (np.array([["a", "b"]]), "holds text, as 'a'"),
        (np.array([[1, "b"]], dtype=object), "dtype object and holds text, as 'b'"),
        ([[1], [2, 3]], "is not an array"),
    ],
)
def test_what_is_refused(double, value, message):
    with pytest.raises(TypeMismatchError, match=message):
        double(value)
    shared = symnet.shared(A)
    with pytest.raises(TypeMismatchError, match=message):
        shared.set_value(value)
    assert shared.get_value().tolist() == A.tolist()
    if "dimensions" not in message:
        with pytest.raises(TypeMismatchError, match=message):
            symnet.shared(value)


def test_a_symbolic_value_is_refused():
    shared, other = symnet.shared(A), symnet.shared(A)
    with pytest.raises(TypeMismatchError, match="symbolic"):
        shared.set_value(other)


# ---- out


def test_a_shared_variable_is_seen_without_a_copy():
    shared = symnet.shared(A, name="w")
    step = symnet.function([], updates=[(shared, shared + 1)])
    seen = np.from_dlpack(shared)
    step()
    assert seen.tolist() == (A + 1).tolist()
    assert shared.__dlpack_device__() == (1, 0)
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        assert not np.shares_memory(np.from_dlpack(shared, copy=True), seen)


def test_what_was_seen_stays_when_the_value_gets_another_shape():
    shared = symnet.shared(A)
    seen = np.from_dlpack(shared)
    shared.set_value(A[:1])
    del shared
    assert seen.tolist() == A.tolist()


def test_memory_that_was_lent_gets_into_no_second_variable():
    shared = symnet.shared(A)
    other = symnet.shared(np.from_dlpack(shared), borrow=True)
    assert not np.shares_memory(other.storage, shared.storage)
    swap = symnet.function([], updates=[(shared, 2 * other), (other, 3 * shared)])
    swap()
    assert shared.get_value().tolist() == (2 * A).tolist()
    assert other.get_value().tolist() == (3 * A).tolist()


def test_results_are_numpys_arrays(double):
    assert np.from_dlpack(double(A)).tolist() == (2 * A).tolist()


# ---- pandas


def test_frames_and_series(double):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(A, columns=["a", "b", "c"])
    assert double(frame).tolist() == (2 * A).tolist()
    mixed = pandas.DataFrame({"a": np.float32([1, 2]), "b": np.int8([3, 4])})
    assert double(mixed).tolist() == [[2, 6], [4, 8]]
    y = T.lvector("y")
    count = symnet.function([y], y.sum())
    assert count(pandas.Series([1, 2, 3], dtype="int16")) == 6
    assert count(pandas.Series([1, 2, 3], dtype="Int64")) == 6
    assert symnet.shared(frame).dtype == "float32"
    assert symnet.shared(pandas.Series([0.5])).dtype == "float64"
    shared = symnet.shared(A)
    shared.set_value(frame * 2)
    assert shared.get_value().tolist() == (2 * A).tolist()
    with pytest.raises(TypeMismatchError, match=r"dtype float64, .* lose digits"):
        double(frame.astype("float64"))


def test_a_frame_names_its_columns(double):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"weight": [1.0, 2.0], "name": ["x", "y"], "k": ["a", "b"]})
    frame["k"] = frame["k"].astype("category")
    for use in [double, symnet.shared, symnet.shared(A).set_value]:
        with pytest.raises(TypeMismatchError, match=r"columns that are not numbers: 'name' .*'k'"):
            use(frame)


# ---- the libraries themselves, where they are installed


def test_pytorch(double):
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    assert torch.equal(torch.from_dlpack(double(tensor)), 2 * tensor)
    assert double(tensor.T).tolist() == (2 * A.T).tolist()
    shared = symnet.shared(tensor, borrow=True)
    tensor[0, 0] = 5
    assert shared.get_value()[0, 0] == 5
    torch.from_dlpack(shared).zero_()
    assert not shared.get_value().any()
    with pytest.raises(TypeMismatchError, match="detach"):
        double(torch.ones((1, 1), requires_grad=True))
    with pytest.raises(TypeMismatchError, match=r"DLTensor|BFloat16"):
        double(torch.ones((1, 1), dtype=torch.bfloat16))


def test_jax(double):
    jnp = pytest.importorskip("jax.numpy")
    array = jnp.arange(6, dtype="float32").reshape(2, 3)
    assert jnp.array_equal(jnp.from_dlpack(double(array)), 2 * array)
    shared = symnet.shared(array, borrow=True)  # JAX's arrays do not change
    symnet.function([], updates=[(shared, shared + 1)])()
    assert array.tolist() == A.tolist()
    assert jnp.from_dlpack(shared).tolist() == (A + 1).tolist()
    with pytest.raises(TypeMismatchError, match="bfloat16"):
        double(jnp.ones((1, 1), "bfloat16"))


# ---- devices


@pytest.mark.parametrize(
    ("value", "device"),
    [
        (A, None),
        ([1.0], None),
        (A[0, 0], None),
        (Tensor(A), None),
        (Tensor(A, device=(2, 0)), "cuda"),
        (Tensor(A, device=(3, 0)), None),  # the host's memory, pinned
        (Tensor(A, device=(13, 0)), "cuda"),
        (Tensor(A, device=(7, 0)), "device 7"),
        (type("Named", (), {"symnet_device": "emulated"})(), "emulated"),
    ],
)
def test_the_device_of_an_array(value, device):
    assert device_of(value) == device


def test_an_array_that_does_not_say_where_it_lies():
    class Silent(Tensor):
        def __dlpack_device__(self):
            raise RuntimeError("freed")

    assert device_of(Silent(A)) is None
