"""Element-wise ops: the kind, and the constructor by which each op is one record.

To add an op, write one `elementwise(...)` statement in the topic file it belongs to
(arithmetic.py, exponential.py, ...). Tests run over the registry: it is tested by existing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.errors import CompilerError, ShapeError, TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import FLOATS, NUMPY_DTYPES, TensorType, to_compute
from symnet.graph.variables import Apply, Variable
from symnet.ops import scalar
from symnet.ops.conversion import as_variables, common_dtype, floating
from symnet.ops.movement import pad_left

ELEMENTWISE: dict[str, "Elementwise"] = {}

# dtype rules: from input dtypes to (dtype each argument is cast to, dtype of the result)
Rule = Callable[[Sequence[str]], tuple[tuple[str, ...], str]]


def same(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Arguments meet in their common dtype, which is the result's."""
    meet = common_dtype(dtypes)
    return (meet,) * len(dtypes), meet


def numeric(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """As `same`, but booleans count as int8: arithmetic on masks counts."""
    meet = common_dtype(dtypes)
    meet = "int8" if meet == "bool" else meet
    return (meet,) * len(dtypes), meet


def to_float(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Integers become floatX, the result is floating."""
    meet = floating(common_dtype(dtypes))
    return (meet,) * len(dtypes), meet


def compare(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Arguments meet in their common dtype, the result is bool."""
    return (common_dtype(dtypes),) * len(dtypes), "bool"


def logic(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Arguments are truth values (nonzero), the result is bool."""
    return ("bool",) * len(dtypes), "bool"


def choose(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """A condition, then alternatives that meet in their common dtype."""
    meet = common_dtype(dtypes[1:])
    return ("bool",) + (meet,) * (len(dtypes) - 1), meet


def integral(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Integers or booleans only."""
    meet = common_dtype(dtypes)
    if meet in FLOATS:
        raise TypeMismatchError(f"integers or booleans are wanted, not {', '.join(dtypes)}")
    return (meet,) * len(dtypes), meet


class Elementwise(Op):
    """An op that computes each output element from the input elements at the same place.

    Inputs have equal numbers of dimensions, or none (a scalar); size-1 dimensions broadcast.
    Halves are computed with in float32, and the result is rounded.
    """

    __slots__ = (
        "commutative", "cost", "domain", "dtype_rule", "expression", "gradient", "name", "nargs",
        "numpy", "tree",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        expression: str,
        numpy: Callable[..., Any],
        gradient: Callable[..., Sequence[Variable | None]] | None,
        dtype_rule: Rule,
        domain: tuple[float, float] | None,
        commutative: bool,
    ):
        names = ("x", "y", "z", "w")
        self.tree = scalar.parse(expression, names)
        self.name = name
        self.expression = expression
        self.nargs = 1 + max(_positions(self.tree))
        self.numpy = numpy
        self.gradient = gradient
        self.dtype_rule = dtype_rule
        self.domain = domain
        self.commutative = commutative
        self.cost = tree_cost(self.tree)

    def __call__(self, *args: Any) -> Any:
        if len(args) != self.nargs:
            raise TypeMismatchError(f"{self.name} takes {self.nargs} arguments, not {len(args)}")
        return self.make_node(*pad_left(as_variables(args))).outputs[0]

    def output_types(self, *inputs: Variable) -> list[TensorType]:
        if len(inputs) == 1:
            (only,) = inputs
            _, dtype = self.rule([only.type.dtype])
            return [TensorType(dtype, only.type.shape)]
        shapes = [v.type.shape for v in inputs]
        _, dtype = self.rule([v.type.dtype for v in inputs])
        sizes: list[int | None] = []
        ndim = max(map(len, shapes))
        for axis in range(ndim):
            found: int | None = 1
            for shape in shapes:
                if len(shape) != ndim or shape[axis] == 1:
                    continue
                size = shape[axis]
                if found == 1 or found is None:
                    found = size
                elif size is not None and size != found:
                    described = ", ".join(f"{v}: {v.type}" for v in inputs)
                    raise ShapeError(
                        f"{self.name}: sizes {found} and {size} in dimension {axis} do not fit "
                        f"({described})"
                    )
            sizes.append(found)
        return [TensorType(dtype, tuple(sizes))]

    def rule(self, dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """(dtype each argument is cast to, dtype of the result)."""
        try:
            return self.dtype_rule(dtypes)
        except TypeMismatchError as error:
            raise TypeMismatchError(f"{self.name}: {error}") from None

    def compute_dtypes(self, node: Apply) -> tuple[str, ...]:
        """The dtypes in which the arguments of `node` are taken, as decided when it was built."""
        dtypes = [v.type.dtype for v in node.inputs]
        if self.dtype_rule is to_float:  # floatX may have changed since
            return (node.outputs[0].type.dtype,) * len(dtypes)
        return self.dtype_rule(dtypes)[0]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        out = node.outputs[0].type.shape
        sizes: list[Size] = []
        for axis, static in enumerate(out):
            found: Size | None = None
            for variable, shape in zip(node.inputs, shapes):
                if variable.type.ndim == 0 or variable.type.shape[axis] == 1:
                    continue
                size = shape[axis]
                if found is None:
                    found = size
                elif found is not size and found != size:
                    context.require(found, size, f"sizes in dimension {axis} of {self.name}")
                    if not isinstance(found, int):
                        found = size
            sizes.append(1 if found is None else static if static is not None else found)
        return [tuple(sizes)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        wanted = self.compute_dtypes(node)
        with np.errstate(all="ignore"):
            args = [a.astype(NUMPY_DTYPES[d], copy=False) for a, d in zip(inputs, wanted)]
            result = self.numpy(*map(to_compute, args))
            return [np.asarray(result, dtype=node.outputs[0].type.numpy_dtype)]

    def grad(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        output_grads: Sequence[Variable],
    ) -> Sequence[Variable | None]:
        if self.gradient is None:
            return [None] * len(inputs)
        return self.gradient(output_grads[0], outputs[0], *inputs)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<element-wise {self.name}: {self.expression}>"

    def __reduce__(self) -> Any:
        return _by_name, (self.name,)


def elementwise(
    name: str,
    expression: str,
    numpy: Callable[..., Any],
    *,
    gradient: Callable[..., Sequence[Variable | None]] | None = None,
    dtypes: Rule = same,
    domain: tuple[float, float] | None = None,
    commutative: bool = False,
) -> Elementwise:
    """Define an element-wise op.

    name        what it is called, in T and in printouts
    expression  scalar expression over x, y, z, w (grammar in ops/scalar.py)
    numpy       the reference
    gradient    gradient(g, out, x, ...) -> one expression (or None: zero) per argument;
                None: zero everywhere
    dtypes      dtype rule
    domain      (low, high): where samples for tests of values and gradients are drawn from
    commutative whether the two arguments may be exchanged
    """
    if name in ELEMENTWISE:
        raise CompilerError(f"element-wise op {name!r} is defined twice")
    op = Elementwise(name, expression, numpy, gradient, dtypes, domain, commutative)
    ELEMENTWISE[name] = op
    return op


def _by_name(name: str) -> Elementwise:
    return ELEMENTWISE[name]


def _positions(tree: scalar.Tree) -> set[int]:
    if isinstance(tree, scalar.Arg):
        return {tree.position}
    if isinstance(tree, scalar.Call):
        return set().union(*map(_positions, tree.args))
    return set()


# functions of several machine operations; in ops.scalar.FUNCTIONS
DEAR = frozenset(
    (
        "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan arctan2 sinh cosh "
        "tanh arcsinh arccosh arctanh sigmoid softplus erf erfc power floor_mod floor_div "
        "philox_word0 philox_word1 philox_word2 philox_word3 normal_from_bits_float32 "
        "normal_from_bits_float64"
    ).split()
)


def tree_cost(tree: scalar.Tree) -> int:
    """Rough number of machine operations, for decisions about recomputing."""
    if not isinstance(tree, scalar.Call):
        return 0
    return (20 if tree.function in DEAR else 1) + sum(map(tree_cost, tree.args))
