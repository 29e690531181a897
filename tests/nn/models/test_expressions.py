"""Ops and constants in terms of JSON: round trips, and that nothing else gets through."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import symnet.tensor as T
from symnet.errors import ConfigError, DataError, SymnetError
from symnet.graph.types import DTYPES
from symnet.graph.variables import make_constant
from symnet.nn.models.expressions import applied, constant, described_constant, described_op
from symnet.ops.elementwise import ELEMENTWISE
from symnet.testing.strategies import arrays

M = T.matrix("m", shape=(None, 4))
B = T.tensor3("b")
NODES = [
    T.dot(M, M.T), M.T, M.reshape((2, -1)), M[1:, 0], M[::-1], M[-1], M[: M.shape[0] - 1],
    M.sum(axis=0), M.max(), T.all(M > 0, axis=1), T.prod(M, axis=(0, 1)), T.argmin(M, axis=1),
    T.concatenate([M, M]), T.nnet.softmax(M), T.nnet.log_softmax(M, axis=0), T.logsumexp(M, axis=1),
    T.batched_dot(B, B), T.broadcast_to(M, (2, 3, 4)), M.shape[0], T.shape(M),
]  # fmt: skip


@pytest.mark.parametrize("variable", NODES, ids=str)
def test_ops_come_back_equal(variable):
    node = variable.owner
    description = json.loads(json.dumps(described_op(node.op)))
    (again,) = applied(description, node.inputs)
    assert again.owner.op == node.op
    assert again.type == node.outputs[0].type


def test_every_elementwise_op_comes_back():
    for name, op in ELEMENTWISE.items():
        dtype = "bool" if name.startswith(("logical", "bit")) else "float32"
        inputs = [T.matrix(dtype=dtype) for _ in range(op.nargs)]
        try:
            wanted = op.make_node(*inputs)
        except SymnetError:
            inputs = [T.matrix(dtype="int64") for _ in range(op.nargs)]
            wanted = op.make_node(*inputs)
        (again,) = applied(described_op(op), inputs)
        assert again.owner.op is op and again.type == wanted.out.type


@given(
    hnp.arrays(
        st.sampled_from([d for d in DTYPES if d != "bfloat16"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
    | arrays("bfloat16", special=True)
)
def test_constants_come_back_to_the_bit(value):
    c = make_constant(value)
    again = constant(json.loads(json.dumps(described_constant(c))))
    assert again.type == c.type and again.data.tobytes() == c.data.tobytes()
    assert not again.data.flags.writeable


def test_other_ops_are_not_written():
    for variable in (T.disconnected_grad(M), T.arange(M.shape[0]), M[[0, 1]]):
        with pytest.raises(ConfigError, match="no file can hold"):
            described_op(variable.owner.op)


@pytest.mark.parametrize(
    "description",
    [
        {"op": "Generate", "name": "x", "ndim": 1, "dtype": "int64", "expression": "x", "nargs": 0},
        {"op": "elementwise", "name": "system"},
        {"op": "elementwise", "name": "add"},  # of one input
        {"op": "Reduce", "function": "eval", "axes": [0], "acc_dtype": "float32", "of_none": False},
        {"op": "Reduce", "function": "sum", "axes": [0], "acc_dtype": "x", "of_none": False},
        {"op": "Reduce", "function": "sum", "axes": [-1], "acc_dtype": "int8", "of_none": False},
        {"op": "Reduce", "function": "sum", "axes": [0], "acc_dtype": "float32"},
        {"op": "Softmax", "axis": "0"},
        {"op": "Softmax", "axis": True},
        {"op": "Softmax", "axis": 7},
        {"op": "Softmax", "axis": 10**9},
        {"op": "DimShuffle", "order": ["y"]},
        {"op": "DimShuffle", "order": [0, 0]},
        {"op": "Subtensor", "spec": [["slice", None, None, 0]]},
        {"op": "Subtensor", "spec": [["index", None]]},
        {"op": "Subtensor", "spec": [["first", None, 1, 1]]},
        {"op": "Subtensor", "spec": [["slice", "x", None, 1]]},
        {"op": "Subtensor", "spec": [["index", "in"]]},  # which is missing
        {"op": "Dot", "axis": 1},
        {"op": "Op"},
        {"op": None},
    ],
)
def test_what_is_no_op_is_not_made(description):
    with pytest.raises(SymnetError):
        applied(description, [T.matrix()])


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object"}, {"dtype": None}, {"shape": [-1]}, {"shape": "x"}, {"shape": [3]},
        {"bytes": "%%%%"}, {"bytes": "AAAA"},
    ],
)  # fmt: skip
def test_what_is_no_constant_is_not_made(change):
    whole = described_constant(make_constant(np.ones(2, "float32")))
    assert constant(whole).data.sum() == 2
    with pytest.raises(DataError):
        constant({**whole, **change})
