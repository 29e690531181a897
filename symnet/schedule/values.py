"""From the expressions of a group to the values of its kernel: what is loaded, computed, reduced.

`Values.read(variable, coordinates)` gives the value of a variable at a place of the iteration
space.
Views become coordinates; stored variables become loads; everything else is computed in place from
its inputs, at the coordinates they are needed at. The walk is iterative.

A value that is a half in the graph is the float32 of the same value here (see kernel.py): what an
op of halves computes is rounded by a let of its own, unless it cannot be anything but a half.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.errors import CompilerError
from symnet.graph.dims import Size
from symnet.graph.origin import Origin
from symnet.graph.types import FLOATS, HALVES, NUMPY_DTYPES, compute_dtype
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops import scalar
from symnet.ops.barrier import Barrier
from symnet.ops.elementwise import Elementwise
from symnet.ops.generate import Generate
from symnet.ops.indexing import CheckedIndex, Take
from symnet.ops.reduction import ArgReduce, Reduce
from symnet.schedule.access import (
    VIEWS,
    Coordinate,
    Coordinates,
    before_reduction,
    behind,
    contiguous_strides,
    counting,
    counts_up,
    project,
    reduces_nothing,
)
from symnet.schedule.joining import split_taken
from symnet.schedule.shapes import Shapes


class Value:
    """A scalar computed in a kernel.

    kind     "let" (function, args), "load" (variable, coordinates), "counter" (coordinates and
             sizes: a linear position), "check" (args[0] in [0, size)), "scalar" (size or constant),
             "reduce" (function, args[0])
    full     depends on the reduced loops; else one per row
    depth    number of reductions that come one after the other behind it
    halves   half types that hold it for certain
    """

    __slots__ = (
        "args",
        "coordinates",
        "cost",
        "depth",
        "detail",
        "dtype",
        "full",
        "function",
        "halves",
        "kind",
        "origin",
    )  # fmt: skip

    def __init__(
        self, kind: str, dtype: str, function: str = "", args: tuple = (), detail: Any = None
    ):
        self.kind = kind
        self.dtype = dtype
        self.function = function
        self.args = args  # Values and scalar.Number with dtype as ("num", value, dtype)
        self.detail = detail
        self.coordinates: Coordinates = ()
        self.full = False
        self.depth = 0
        self.cost = 1
        self.halves: frozenset[str] = _NONE
        self.origin: Origin | None = None
        for a in args:
            if isinstance(a, Value):
                self.full |= a.full
                self.depth = max(self.depth, a.depth)


Number = tuple[str, Any, str]

_NONE: frozenset[str] = frozenset()
_ROUNDED = {f"round_{half}": half for half in HALVES}  # to what functions round
# functions that of halves make halves (arguments that are conditions apart)
_KEEPING = frozenset("neg abs sign maximum minimum floor ceil trunc round_even where".split())


def _holding(number: Any) -> frozenset[str]:
    """The half types that a number is a value of; bfloat16 is float32 less its last 16 bits."""
    with np.errstate(all="ignore"):
        single = np.float32(number)
        found = {"float16"} if np.float16(single) == single else set()
    return frozenset(found | ({"bfloat16"} if not single.view("uint32") & 0xFFFF else set()))


def rounded(number: Any, half: str) -> float:
    """The nearest half of a number."""
    with np.errstate(all="ignore"):
        return float(np.float32(number).astype(NUMPY_DTYPES[half]))


class Values:
    """The values of one kernel.

    stored      variables that are in memory when the kernel runs
    reduced     loop axes that are reduced
    reductions  for each Reduce/ArgReduce output computed in this kernel: the coordinates of its
                input, and those of its result, in loop axes
    """

    def __init__(
        self,
        shapes: Shapes,
        stored: Callable[[Variable], bool],
        reduced: frozenset[int],
        reductions: dict[Variable, tuple[Coordinates, Coordinates]],
    ):
        self.shapes = shapes
        self.stored = stored
        self.reduced = reduced
        self.reductions = reductions
        self._memo: dict[tuple, Value] = {}
        self._lets: dict[tuple, Value] = {}

    # ---- reading a variable

    def read(self, variable: Variable, at: Coordinates) -> Value:
        stack: list[tuple[Variable, Coordinates]] = [(variable, at)]
        while stack:
            key = stack[-1]
            if key in self._memo:
                stack.pop()
                continue
            result = self._step(*key)
            if isinstance(result, Value):
                self._memo[key] = result
                stack.pop()
            else:
                stack.extend(result)
        return self._memo[variable, at]

    def _step(self, variable: Variable, at: Coordinates) -> Value | list[tuple]:
        """The value, or what must be read first."""
        if isinstance(variable, Constant) and variable.data.size == 1:
            return self.constant(variable)
        if self.stored(variable):
            return self._load(variable, at)
        node = variable.owner
        if node is None:
            return self._load(variable, at)
        op = node.op
        if variable.type.ndim == 0 and variable.type.dtype in ("int64", "bool"):
            size = self.shapes.value_or_none(variable)
            if size is not None:
                return self.size(size, variable.type.dtype)
        if isinstance(op, VIEWS):
            return self._through([(node.inputs[0], behind(node, at, self.shapes))])
        if isinstance(op, Barrier):
            return self._through([(node.inputs[0], at)])
        if isinstance(op, Elementwise):
            places = [(v, project(v, at)) for v in node.inputs]
            return self._missing(places) or self._elementwise(node, [self._memo[p] for p in places])
        if isinstance(op, (Reduce, ArgReduce)) and reduces_nothing(node, self.shapes):
            if isinstance(op, ArgReduce):
                return self.size(0)
            place = (node.inputs[0], before_reduction(node, at))
            if place not in self._memo:
                return [place]
            wanted = "bool" if op.function in ("any", "all") else variable.type.dtype
            return self.cast(self.cast(self._memo[place], wanted), variable.type.dtype)
        if isinstance(op, (Reduce, ArgReduce)):
            return self._reduce(node, variable, at)
        if isinstance(op, Take):
            return self._take(node, at)
        if isinstance(op, CheckedIndex):
            places = [(node.inputs[0], at)]
            return self._missing(places) or self._check(node, self._memo[places[0]])
        if isinstance(op, Generate):
            return self._generate(node, at)
        raise CompilerError(f"{op} cannot be computed inside a kernel")

    def _through(self, places: list[tuple]) -> Value | list[tuple]:
        return self._missing(places) or self._memo[places[0]]

    def _missing(self, places: Sequence[tuple]) -> list[tuple]:
        return [p for p in places if p not in self._memo]

    # ---- leaves

    def constant(self, variable: Constant) -> Value:
        data = number(variable)
        dtype = data.dtype.name
        key = ("constant", dtype, data.tobytes())
        if key not in self._lets:
            value = self._lets[key] = Value("scalar", dtype, "constant", (), data)
            value.halves = _holding(data) if dtype == "float32" else _NONE
        return self._lets[key]

    def size(self, size: Size, dtype: str = "int64") -> Value:
        key = ("size", size, dtype)
        if key not in self._lets:
            value = Value("scalar", "int64", "size", (), size)
            if dtype == "bool":
                value = self.let("cast_bool", (value,), "bool")
            self._lets[key] = value
        return self._lets[key]

    def _place(self, value: Value, at: Coordinates) -> Value:
        value.coordinates = at
        for c in at:
            if c.axis is not None and c.axis in self.reduced:
                value.full = True
            if c.value is not None:
                value.full |= c.value.full
                value.depth = max(value.depth, c.value.depth)
        return value

    def _load(self, variable: Variable, at: Coordinates) -> Value:
        dtype = variable.type.dtype
        value = Value("load", compute_dtype(dtype), detail=variable)
        value.halves = frozenset({dtype}) & HALVES
        return self._place(value, at)

    # ---- computing

    def let(self, function: str, args: tuple, dtype: str) -> Value:
        key = (function, args, dtype)
        found = self._lets.get(key)
        if found is None:
            found = self._lets[key] = Value("let", dtype, function, args)
            if dtype == "float32":
                found.halves = _let_halves(function, args)
        return found

    def cast(self, value: Any, dtype: str) -> Any:
        if dtype in HALVES:
            return self._round(value, dtype)
        if not isinstance(value, Value):
            return ("num", value[1], dtype)
        return value if value.dtype == dtype else self.let(f"cast_{dtype}", (value,), dtype)

    def _round(self, value: Any, half: str) -> Any:
        """A value, or number, as the nearest half."""
        if not isinstance(value, Value):
            return ("num", rounded(value[1], half), "float32")
        if value.dtype not in FLOATS:  # by way of float32, as the interpreter
            value = self.cast(value, "float32")
        return value if half in value.halves else self.let(f"round_{half}", (value,), "float32")

    def to_store(self, value: Any, dtype: str) -> Any:
        """What is to be stored into an array of `dtype`. Storing rounds to halves by itself."""
        value = self.cast(value, dtype)
        if isinstance(value, Value) and _ROUNDED.get(value.function) == dtype:
            (before,) = value.args
            return before if before.dtype == "float32" else value
        return value

    def _elementwise(self, node: Apply, args: list[Value]) -> Value:
        op = node.op
        assert isinstance(op, Elementwise)
        wanted = op.compute_dtypes(node)
        result = self.tree(op.tree, [self.cast(a, d) for a, d in zip(args, wanted)])
        return self.cast(result, node.outputs[0].type.dtype)

    def tree(self, tree: scalar.Tree, args: Sequence[Any]) -> Any:
        """A scalar expression over values; literals take the dtype of their neighbours."""
        if isinstance(tree, scalar.Arg):
            return args[tree.position]
        if isinstance(tree, scalar.Number):
            return ("num", tree.value, "")
        parts = [self.tree(a, args) for a in tree.args]
        if half := _ROUNDED.get(tree.function):
            return self._round(parts[0], half)
        if tree.function == "cast_float32" and _is_single(parts[0]):  # of a half
            return parts[0]
        _, rule = scalar.FUNCTIONS[tree.function]
        typed = [p for p in parts[1 if rule == "where" else 0 :] if isinstance(p, Value)]
        if tree.function.startswith("cast_") and not typed:
            return ("num", parts[0][1], rule)
        neighbour = next((p.dtype for p in typed), None)
        if neighbour is None:
            neighbour = next((p[2] for p in parts if isinstance(p, tuple) and p[2]), None)
            if neighbour is None:
                kinds = {type(p[1]) for p in parts if isinstance(p, tuple)}
                neighbour = "float64" if float in kinds else "int64"
        parts = [p if isinstance(p, Value) else ("num", p[1], p[2] or neighbour) for p in parts]
        dtype = neighbour if rule in ("same", "where") else rule
        return self.let(tree.function, tuple(parts), dtype)

    def _reduce(self, node: Apply, variable: Variable, at: Coordinates) -> Value | list[tuple]:
        if variable not in self.reductions:
            raise CompilerError(f"{node.op} is not reduced by this kernel")
        inside, outside = self.reductions[variable]
        if at != outside:
            raise CompilerError(f"{node.op} is read at other coordinates than it is reduced at")
        place = (node.inputs[0], inside)
        if place not in self._memo:
            return [place]
        source = self._memo[place]
        op = node.op
        if isinstance(op, ArgReduce):
            size = self.shapes.of[node.inputs[0]][op.axis]
            position = self.counter((inside[op.axis],), (size,))
            return self._position(op.function.removeprefix("arg"), source, position)
        assert isinstance(op, Reduce)
        dtype = variable.type.dtype
        wanted = "bool" if op.function in ("any", "all") else dtype
        total = self._reduction(op.function, self.cast(source, wanted), compute_dtype(dtype))
        return self.cast(total, dtype)

    def _reduction(self, function: str, source: Value, dtype: str) -> Value:
        key = ("reduce", function, source, dtype)
        value = self._lets.get(key)
        if value is None:
            value = self._lets[key] = Value("reduce", dtype, function, (source,))
            if function in ("max", "min"):
                value.halves = source.halves
            value.full = False
            value.depth = 1 + source.depth
        return value

    def _position(self, function: str, source: Value, position: Value) -> Value:
        """Where the maximum or minimum is: the first place with that value, or the first NaN.

        Two passes that vectorise are much faster than one that has to branch."""
        extreme = self._reduction(function, source, source.dtype)
        hit = self.let("eq", (source, extreme), "bool")
        if source.dtype in FLOATS:
            nan = self.let("isnan", (source,), "bool")
            hit = self.let("logical_or", (hit, nan), "bool")
        nowhere = ("num", 2**63 - 1, "int64")
        return self._reduction("min", self.let("where", (hit, position, nowhere), "int64"), "int64")

    def counter(self, at: Coordinates, sizes: tuple[Size, ...]) -> Value:
        """The linear C-order position of coordinates in an array of these sizes."""
        key = ("counter", at, sizes)
        if key not in self._lets:
            value = Value("counter", "int64", detail=contiguous_strides(sizes))
            self._lets[key] = self._place(value, at)
        return self._lets[key]

    def _check(self, node: Apply, index: Value) -> Value:
        size = self.shapes.size_or_none(node.inputs[1])
        if size is None:
            raise CompilerError("the size of an index check is not a size")
        # a uint64 beyond int64 turns negative when cast, and must not count from the end
        assert isinstance(node.op, CheckedIndex)
        negative = node.op.negative and index.dtype != "uint64"
        key = ("check", index, size, negative)
        if key not in self._lets:
            function = "check_index" if negative else "check_label"
            value = Value("check", "int64", function, (self.cast(index, "int64"),), size)
            value.origin = node.origin
            self._lets[key] = value
        return self._lets[key]

    def _take(self, node: Apply, at: Coordinates) -> Value | list[tuple]:
        op = node.op
        assert isinstance(op, Take)
        x, *indices = node.inputs
        index_at, others = split_taken(op.axes, indices[0].type.ndim, at)
        found: dict[int, Coordinate] = {}
        places = []
        for axis, v in zip(op.axes, indices):
            counted = counting(v, index_at, self.shapes)
            if counted is not None:
                found[axis] = counted
            else:
                places.append((v, project(v, index_at)))
        if missing := self._missing(places):
            return missing
        values = iter(Coordinate(value=self._memo[p]) for p in places)
        rest = iter(others)
        source = tuple(
            (found[axis] if axis in found else next(values)) if axis in op.axes else next(rest)
            for axis in range(x.type.ndim)
        )
        return self._through([(x, source)])

    def _generate(self, node: Apply, at: Coordinates) -> Value | list[tuple]:
        op = node.op
        assert isinstance(op, Generate)
        if counts_up(node):
            counter = self.counter(at, self.shapes.of[node.outputs[0]])
            return self.cast(counter, node.outputs[0].type.dtype)
        args = node.inputs[op.ndim :]
        places = [(v, ()) for v in args]
        if missing := self._missing(places):
            return missing
        sizes = self.shapes.of[node.outputs[0]]
        table: list[Any] = [self.counter((c,), (s,)) for c, s in zip(at, sizes)]
        table += [None] * (4 - len(table))
        table.append(self.counter(at, sizes))
        table += [self._memo[p] for p in places]
        return self.cast(self.tree(op.tree, table), node.outputs[0].type.dtype)


def number(constant: Constant) -> np.generic:
    """The number that a constant of one element holds, in the dtype it is computed with."""
    data = constant.data.reshape(-1)[0]
    if constant.type.dtype in HALVES:
        return np.float32(data)
    return data  # type: ignore[no-any-return]


def _is_single(value: Any) -> bool:
    return isinstance(value, Value) and value.dtype == "float32"


def _let_halves(function: str, args: tuple) -> frozenset[str]:
    """The half types that hold every value of a function of these arguments."""
    if half := _ROUNDED.get(function):
        return frozenset({half})
    if function not in _KEEPING:
        return _NONE
    found = HALVES
    for a in args[1:] if function == "where" else args:
        found = found & (a.halves if isinstance(a, Value) else _holding(a[1]))
    return found
