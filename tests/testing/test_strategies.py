import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from symnet.graph.types import DTYPES
from symnet.testing import strategies


@given(st.data(), strategies.dtypes(), strategies.shapes(max_ndim=2))
def test_arrays_are_what_was_asked_for(data, dtype, shape):
    array = data.draw(strategies.arrays(dtype, shape, layouts=True))
    assert array.shape == shape
    assert array.dtype.newbyteorder("=") == np.dtype(dtype) and dtype in DTYPES
    values = array.astype("float64")
    assert ((values >= -10) & (values <= 10)).all()


@given(strategies.broadcast_shapes(3))
def test_shapes_broadcast(shapes):
    np.broadcast_shapes(*shapes)


def test_every_layout_occurs():
    """The layouts are not the same C array under several names."""
    array = np.arange(6.0).reshape(2, 3)
    flags = set()
    for layout in strategies.LAYOUTS:
        laid = strategies._laid_out(array.copy(), layout)
        assert np.array_equal(laid, array)
        flags.add((laid.flags.writeable, laid.flags.aligned, laid.strides, laid.dtype.isnative))
    assert len(flags) == len(strategies.LAYOUTS)
