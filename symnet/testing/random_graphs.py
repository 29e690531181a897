"""Random programs: valid whole graphs with values, to compare back ends and rewriting on.

A program is a list of lines of Python over `T`. It is built by running the lines, it prints
itself, and it shrinks by leaving lines out. While a program grows every new variable is computed
by the reference interpreter, and only kept if back ends can be expected to agree about it: it is
finite, not large, and no comparison, rounding or choice of a maximum is closer to its border than
rounding errors are.
"""

import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import symnet.tensor as T
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.config import config
from symnet.errors import DisconnectedInputError, ShapeError, TypeMismatchError
from symnet.graph.traversal import ancestors
from symnet.graph.types import DIGITS, FLOATS, HALVES, NUMPY_DTYPES, is_float
from symnet.graph.variables import SharedVariable, Variable, make_shared

LARGEST = 200.0  # magnitude that no value may exceed
GAP = 3e-3  # distance that decisions keep from their border
_NARROW = re.compile(r"\b(?:b?float16|float32)\b")
_EPS = {half: 2.0 ** (1 - DIGITS[half]) for half in HALVES}
_SYMNET = types.SimpleNamespace(grad=grad, shared=make_shared)


@dataclass(frozen=True)
class Built:
    """The graph of a program: variables by name, and what a function of it takes and gives."""

    variables: dict[str, Variable]
    inputs: list[Variable]
    outputs: list[Variable]
    updates: list[tuple[SharedVariable, Variable]]


@dataclass
class RandomProgram:
    """Lines of Python that make a graph, with values for its inputs and shared variables.

    lines    (names made, text) in order
    values   value of each input and initial value of each shared variable, by name
    outputs  names of the outputs
    updates  (name of a shared variable, name of its new value)
    """

    lines: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    updates: list[tuple[str, str]] = field(default_factory=list)

    def build(self, floats: str | None = None) -> Built:
        """Make the graph, with fresh shared variables. `floats` replaces every float32, and halves,
        by it."""
        space: dict[str, Any] = {"np": np, "T": T, "symnet": _SYMNET}
        values = self.input_values(floats)
        space.update({f"value_of_{k}": v for k, v in values.items()})
        with config.change(floatX=floats or "float32"):
            for _, text in self.lines:
                exec(text if floats is None else _NARROW.sub(floats, text), space)
        names = [name for made, _ in self.lines for name in made]
        variables = {name: space[name] for name in names}
        inputs = [variables[n] for n in self.values if not isinstance(variables[n], SharedVariable)]
        return Built(
            variables,
            inputs,
            [variables[n] for n in self.outputs],
            [(variables[a], variables[b]) for a, b in self.updates],
        )

    def input_values(self, floats: str | None = None) -> dict[str, np.ndarray]:
        """A copy of `values`, float32 ones and halves converted to `floats`."""
        return {
            k: v.astype(floats) if floats and _NARROW.fullmatch(v.dtype.name) else v.copy()
            for k, v in self.values.items()
        }

    def expected(self, floats: str | None = None) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Outputs and new shared values by the reference interpreter."""
        built = self.build(floats)
        values = self.input_values(floats)
        given = {v: values[v.name] for v in built.inputs}  # type: ignore[index]
        results = evaluate(built.outputs + [new for _, new in built.updates], given)
        return results[: len(built.outputs)], results[len(built.outputs) :]

    def tolerances(self) -> tuple[list[float], list[float]]:
        """How far each output and new shared value may be off, in absolute terms.

        Derived from the program itself: its rounding error in float32, measured against the same
        program in float64, is what another order of the same operations may show again. That is a
        matter of luck where few elements are rounded, so there is a share of the largest value and
        of 1, the size of what may have cancelled: as for float32 if anything is float32, and as
        for halves if anything is one.
        """
        results = [a for part in self.expected() for a in part]
        better = [a for part in self.expected("float64") for a in part]
        kinds = self._narrow_dtypes()
        share, least, times = 1e-10, 1e-9, 30.0
        if halves := kinds & HALVES:
            share = least = 16 * max(map(_EPS.__getitem__, halves))
            times = 8.0
        elif "float32" in kinds:
            share, least = 1e-5, 1e-6
        bounds = []
        for result, exact in zip(results, better):
            if not is_float(result) or not result.size:
                bounds.append(0.0)
                continue
            error = float(np.abs(result.astype("float64") - exact.astype("float64")).max())
            scale = float(np.abs(exact).max())
            bounds.append(times * error + scale * share + least)
        return bounds[: len(self.outputs)], bounds[len(self.outputs) :]

    def _narrow_dtypes(self) -> set[str]:
        """The floating-point dtypes below float64 that occur."""
        texts = [text for _, text in self.lines] + [v.dtype.name for v in self.values.values()]
        return {name for text in texts for name in _NARROW.findall(text)}

    def prefix(self, count: int) -> "RandomProgram":
        """The program of the first `count` lines; its last line's variables become outputs."""
        lines = self.lines[:count]
        made = {name for names, _ in lines for name in names}
        outputs = [n for n in self.outputs if n in made]
        outputs += [n for n in (lines[-1][0] if lines else ()) if n not in outputs]
        values = {k: v for k, v in self.values.items() if k in made}
        updates = [(a, b) for a, b in self.updates if a in made and b in made]
        return RandomProgram(lines, values, outputs, updates)

    def without_unused(self) -> "RandomProgram":
        """The lines that outputs and updates need."""
        needed = {*self.outputs, *(n for pair in self.updates for n in pair)}
        kept = []
        for made, text in reversed(self.lines):
            if needed & set(made):
                needed |= set(re.findall(r"\b[a-z]\d+\b", text))
                kept.append((made, text))
        values = {k: v for k, v in self.values.items() if k in needed}
        return RandomProgram(kept[::-1], values, list(self.outputs), list(self.updates))

    def shrink(self, fails: Callable[["RandomProgram"], bool]) -> "RandomProgram":
        """A small program that still fails: the shortest failing prefix, one output, no more
        lines, outputs or updates than needed. `fails` must not raise."""
        smallest = self
        for count in range(1, len(self.lines) + 1):
            candidate = self.prefix(count)
            if fails(candidate):
                smallest = candidate
                break
        for name in smallest.outputs:
            candidate = RandomProgram(smallest.lines, smallest.values, [name], [])
            if len(smallest.outputs) + len(smallest.updates) > 1 and fails(candidate):
                smallest = candidate
                break
        candidate = smallest.without_unused()
        return candidate if fails(candidate) else smallest

    def source(self) -> str:
        """A Python program that builds, compiles and runs the graph."""
        lines = ["import numpy as np", "import symnet", "import symnet.tensor as T", ""]
        if "bfloat16" in self._narrow_dtypes():
            lines.insert(0, "import ml_dtypes")
        for name, value in self.values.items():
            shown = ", ".join(map(str, value.ravel()))
            array = f"np.array([{shown}], {value.dtype.name!r})"
            lines.append(f"value_of_{name} = {array}.reshape({value.shape})")
        lines += [text for _, text in self.lines]
        updates = ", ".join(f"({a}, {b})" for a, b in self.updates)
        inputs = [n for n in self.values if n[0] != "w"]
        lines += [
            "",
            f"f = symnet.function([{', '.join(inputs)}], [{', '.join(self.outputs)}], "
            f"updates=[{updates}], on_unused_input='ignore')",
            f"print(f({', '.join(f'value_of_{n}' for n in inputs)}))",
        ]
        lines += [f"print({a}.get_value())" for a, _ in self.updates]
        return "\n".join(lines) + "\n"


def random_graph(
    rng: Any, size: int = 20, gradients: bool = True, half: str | None = None
) -> RandomProgram:
    """A random program of about `size` operations.

    rng        numpy.random.Generator or a seed: equal seeds give equal programs
    gradients  whether gradients of random scalars take part
    half       "float16" or "bfloat16": what most of the numbers are
    """
    generator = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)
    return _Grower(generator, gradients, half).grow(size)


class _Rejected(Exception):
    """The operation tried does not fit the values at hand."""


class _Grower:
    """A program while it grows, with its variables and their values."""

    def __init__(self, rng: np.random.Generator, gradients: bool, half: str | None = None):
        self.rng = rng
        self.half = half
        self.gradients = gradients
        self.program = RandomProgram()
        self.space: dict[str, Any] = {"np": np, "T": T, "symnet": _SYMNET}
        self.known: dict[Variable, np.ndarray] = {}
        self.named: dict[str, Variable] = {}
        pool = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]
        self.sizes = [int(n) for n in rng.choice(pool, 3, replace=False)]
        if rng.random() < 0.04:
            self.sizes[0] = 0
        self.float = "float32" if rng.random() < 0.75 else "float64"
        if half is not None:
            self.float = half
            self.sizes = [min(n, 9) for n in self.sizes]  # errors grow with the number of terms

    # ---- growing

    def grow(self, size: int) -> RandomProgram:
        for _ in range(int(self.rng.integers(2, 5))):
            self.add_source("x")
        for _ in range(int(self.rng.integers(1, 4))):
            self.add_source("w")
        made, tries = 0, 0
        while made < size and tries < 20 * size:
            tries += 1
            made += self.attempt(_OPERATIONS[int(self.rng.integers(len(_OPERATIONS)))])
        if self.gradients and self.rng.random() < 0.7:
            for _ in range(10):
                if self.attempt(_gradient):
                    break
        self.choose_results()
        return self.program.without_unused()

    def add_source(self, kind: str) -> None:
        """A new input (x) or shared variable (w)."""
        rng = self.rng
        name = f"{kind}{len(self.named)}"
        ndim = int(rng.choice([0, 1, 2, 2, 2, 3]))
        shape = tuple(int(rng.choice(self.sizes)) for _ in range(ndim))
        if ndim >= 2 and rng.random() < 0.2:
            shape = (1, *shape[1:]) if rng.random() < 0.5 else (*shape[:-1], 1)
        dtype = self.float if rng.random() < 0.8 else str(rng.choice(["float64", "int64", "int32"]))
        if dtype in FLOATS:
            value = np.round(rng.uniform(-2, 2, shape), 3).astype(NUMPY_DTYPES[dtype])
        else:
            value = np.asarray(rng.integers(-5, 6, shape)).astype(dtype)
        static = tuple(n if n == 1 or rng.random() < 0.3 else None for n in shape)
        if kind == "x":
            text = f"{name} = T.tensor({dtype!r}, shape={static}, name={name!r})"
        else:
            text = f"{name} = symnet.shared(value_of_{name}, name={name!r}, shape={static})"
        self.program.values[name] = self.space[f"value_of_{name}"] = value
        exec(text, self.space)
        self.program.lines.append(((name,), text))
        self.named[name] = self.space[name]
        self.known[self.space[name]] = value

    def attempt(self, operation: Callable[["_Grower"], Any]) -> bool:
        """Try to add the line whose text `operation` returns (with the number of its results, if
        it is a list); False if it does not fit."""
        try:
            made = operation(self)
            expression, count = made if isinstance(made, tuple) else (made, 1)
            names = tuple(f"v{len(self.named) + k}" for k in range(count))
            comma = "," if isinstance(made, tuple) else ""
            text = f"{', '.join(names)}{comma} = {expression}"
            with config.change(floatX="float32"):
                exec(text, self.space)
            new = [self.space[n] for n in names]
            results = evaluate(new, self._given(new))
        except (_Rejected, ShapeError, TypeMismatchError, DisconnectedInputError):
            return False
        for value in results:
            if is_float(value) and not np.all(np.abs(value) <= LARGEST):
                return False
            if value.dtype.kind in "iu" and value.size and np.abs(value.astype(float)).max() > 1e6:
                return False
            if value.size > 5000:
                return False
        for name, variable, value in zip(names, new, results):
            self.named[name] = variable
            self.known[variable] = value
        self.program.lines.append((names, text))
        return True

    def _given(self, outputs: Sequence[Variable]) -> dict[Variable, np.ndarray]:
        needed = ancestors(outputs, stop=self.known)
        return {v: a for v, a in self.known.items() if v in needed}

    def choose_results(self) -> None:
        rng, program = self.rng, self.program
        made = [n for n in self.named if n[0] == "v"] or list(self.named)
        count = min(len(made), int(rng.integers(1, 5)))
        late = made[len(made) // 2 :]
        picked = {str(rng.choice(late if rng.random() < 0.7 else made)) for _ in range(count)}
        program.outputs = sorted(picked, key=made.index)
        for name, shared in self.named.items():
            if name[0] != "w":
                continue
            fitting = [
                n
                for n, v in self.named.items()
                if n[0] == "v"
                and v.type.dtype == shared.type.dtype
                and self.known[v].shape == self.known[shared].shape
                and shared.type.accepts(v.type)
            ]
            if fitting and rng.random() < 0.7:
                program.updates.append((name, str(rng.choice(fitting))))

    # ---- picking arguments

    def pick(self, fits: Callable[[np.ndarray, Variable], bool]) -> tuple[str, np.ndarray]:
        """A random known variable whose value is fit, late ones more often."""
        names = list(self.named)
        for _ in range(8):
            place = int(len(names) * self.rng.random() ** 0.6)
            name = names[min(place, len(names) - 1)]
            value = self.known[self.named[name]]
            if fits(value, self.named[name]):
                return name, value
        raise _Rejected

    def floating(self, ndim: int = 0) -> tuple[str, np.ndarray]:
        return self.pick(lambda a, v: is_float(a) and a.ndim >= ndim)

    def axis(self, value: np.ndarray) -> int:
        if not value.ndim:
            raise _Rejected
        return int(self.rng.integers(-value.ndim, value.ndim))

    def choose(self, *texts: str) -> str:
        return str(self.rng.choice(texts))


def _need(condition: Any) -> None:
    if not condition:
        raise _Rejected


def _is_real(value: np.ndarray) -> bool:
    return is_float(value) or value.dtype.kind == "i"


def _gap(g: _Grower, value: np.ndarray) -> Any:
    """The distance that decisions about a value keep: halves may be several steps apart."""
    if g.half is None or not value.size:
        return GAP
    return 16 * _EPS[g.half] * (1 + float(np.abs(value.astype("float64")).max()))


def _far_from(g: _Grower, value: np.ndarray, border: Any) -> None:
    """Require that no element is near the border, except exactly equal integers."""
    if is_float(value) or is_float(np.asarray(border)):
        near = _gap(g, value)
        _need(np.all(np.abs(value.astype("float64") - np.asarray(border, "float64")) > near))


def _border(g: _Grower, value: np.ndarray) -> float:
    """A number that no element is near, if possible with elements on both sides."""
    _need(value.size)
    ordered = np.sort(value.astype("float64"), axis=None)
    middles = (ordered[1:] + ordered[:-1])[np.diff(ordered) > 3 * _gap(g, value)] / 2
    if not middles.size:
        return float(np.round(ordered[-1] + max(1, 2 * _gap(g, value)), 3))
    return float(np.round(g.rng.choice(middles), 6))


def _kept_apart(g: _Grower, value: np.ndarray, axis: int | None, largest: bool) -> None:
    """Require that the extreme along an axis is unique by far."""
    flat = value.reshape(-1) if axis is None else np.moveaxis(value, axis, -1)
    _need(flat.size and is_float(flat))
    if flat.shape[-1] > 1:
        ordered = np.sort(flat.astype("float64"), axis=-1)
        gap = ordered[..., -1] - ordered[..., -2] if largest else ordered[..., 1] - ordered[..., 0]
        _need(np.all(gap > _gap(g, flat)))


# ---- operations: from what is known to the text of a new expression


def _smooth(g: _Grower) -> str:
    a, value = g.floating()
    function = g.choose(
        "tanh", "sigmoid", "sin", "cos", "square", "neg", "softplus", "arctan", "erf", "exp",
        "expm1", "sinh",
    )  # fmt: skip
    if function in ("exp", "expm1", "sinh"):
        _need(value.size == 0 or value.max() < 5)
    return f"T.{function}({a})"


def _positive(g: _Grower) -> str:
    a, value = g.floating()
    function = g.choose("log", "sqrt", "log1p", "log2", "reciprocal")
    if value.size and value.min() > 0.1:
        return f"T.{function}({a})"
    return f"T.{function}(T.square({a}) + {g.choose('0.5', '1', '2.0')})"


def _with_corner(g: _Grower) -> str:
    a, value = g.floating()
    shift = _border(g, value)
    return f"T.{g.choose('abs', 'nnet.relu', 'sign')}({a} - {shift})"


def _arithmetic(g: _Grower) -> str:
    a, _ = g.pick(lambda v, x: _is_real(v))
    b, value = g.pick(lambda v, x: _is_real(v))
    sign = g.choose("+", "-", "*", "*", "/")
    if sign == "/":
        _need(np.all(np.abs(value) > 0.2))
    return f"{a} {sign} {b}"


def _with_number(g: _Grower) -> str:
    a, _ = g.pick(lambda v, x: _is_real(v))
    number = g.choose("2", "-1", "0.5", "3.0", "1", "0", "-0.25", "1.5")
    return g.choose(f"{a} + {number}", f"{number} - {a}", f"{a} * {number}", f"{a} - {number}")


def _power(g: _Grower) -> str:
    a, value = g.floating()
    _need(value.size == 0 or np.abs(value).max() < 5)
    if value.size and value.min() > 0.1 and g.rng.random() < 0.5:
        return f"{a} ** {g.choose('0.5', '1.5', '-1')}"
    return f"{a} ** {g.choose('2', '3', '1')}"


def _extremum(g: _Grower) -> str:
    a, x = g.floating()
    function = g.choose("maximum", "minimum")
    if g.rng.random() < 0.5:
        return f"T.{function}({a}, {_border(g, x)})"
    b, y = g.pick(lambda v, _: is_float(v) and v.shape == x.shape)
    _far_from(g, x, y)
    return f"T.{function}({a}, {b})"


def _clip(g: _Grower) -> str:
    a, value = g.floating()
    low, high = sorted((_border(g, value), _border(g, value)))
    return f"T.clip({a}, {low}, {high})"


def _compare(g: _Grower) -> str:
    a, x = g.pick(lambda v, _: _is_real(v))
    function = g.choose("lt", "le", "gt", "ge", "eq", "neq")
    if g.rng.random() < 0.5:
        return f"T.{function}({a}, {_border(g, x) if is_float(x) else 0})"
    b, y = g.pick(lambda v, _: _is_real(v) and v.shape == x.shape)
    _far_from(g, x, y)
    return f"T.{function}({a}, {b})"


def _where(g: _Grower) -> str:
    a, x = g.floating()
    if g.rng.random() < 0.5:
        condition, _ = g.pick(lambda v, _: v.dtype.kind == "b")
    else:
        condition = f"{a} > {_border(g, x)}"
    b = g.floating()[0] if g.rng.random() < 0.7 else "0"
    return f"T.where({condition}, {a}, {b})"


def _logic(g: _Grower) -> str:
    a, _ = g.pick(lambda v, _: v.dtype.kind == "b")
    b, _ = g.pick(lambda v, _: v.dtype.kind == "b")
    return g.choose(f"T.and_({a}, {b})", f"T.or_({a}, {b})", f"T.invert({a})")


def _cast(g: _Grower) -> str:
    a, value = g.pick(lambda v, _: True)
    if is_float(value) and g.rng.random() < 0.3:
        _far_from(g, value, np.round(value))
        return f"T.cast({a}, 'int64')"
    return f"T.cast({a}, {g.choose('float32', 'float64', g.half or 'float32')!r})"


def _rounding(g: _Grower) -> str:
    a, value = g.floating()
    function = g.choose("floor", "ceil", "round")
    shifted = value if function != "round" else value + 0.5
    _far_from(g, shifted, np.round(shifted))
    return f"T.{function}({a})"


def _integers(g: _Grower) -> str:
    a, _ = g.pick(lambda v, _: v.dtype.kind == "i")
    b, value = g.pick(lambda v, _: v.dtype.kind == "i")
    sign = g.choose("+", "-", "*", "//", "%")
    if sign in "//%":
        _need(np.all(value != 0))
    return f"{a} {sign} {b}"


def _reduction(g: _Grower) -> str:
    a, value = g.pick(lambda v, _: v.ndim >= 1)
    axis = None if g.rng.random() < 0.3 else g.axis(value)
    keep = g.choose("True", "False")
    if value.dtype.kind == "b":
        return f"T.{g.choose('any', 'all', 'sum')}({a}, axis={axis})"
    function = g.choose("sum", "sum", "mean", "max", "min", "prod", "argmax", "var")
    if function in ("max", "min", "argmax"):
        _kept_apart(g, value, axis, function != "min")
        if function == "argmax":
            return f"T.argmax({a}, axis={axis})"
    if function == "prod":
        _need(value.size < 200)
    if function in ("mean", "var"):
        _need(value.size and is_float(value))
    return f"T.{function}({a}, axis={axis}, keepdims={keep})"


def _row_wise(g: _Grower) -> str:
    a, value = g.floating(1)
    _need(value.size)
    return g.choose(
        f"T.nnet.softmax({a}, axis={g.axis(value)})",
        f"T.nnet.log_softmax({a}, axis={g.axis(value)})",
        f"T.logsumexp({a}, axis={g.axis(value)})",
    )


def _dot(g: _Grower) -> str:
    a, x = g.floating(1)
    b, y = g.floating(1)
    _need(x.ndim <= 2 and y.ndim <= 2)
    for left, rows in ((a, x), (f"{a}.T", x.T)):
        for right, columns in ((b, y), (f"{b}.T", y.T)):
            if rows.shape[-1] == columns.shape[0]:
                return f"T.dot({left}, {right})"
    raise _Rejected


def _matmul(g: _Grower) -> str:
    a, x = g.floating(3)
    b, y = g.floating(2)
    _need(x.shape[-1] == y.shape[-1])
    order = "0, 2, 1" if y.ndim == 3 else "1, 0"
    return f"T.matmul({a}, {b}.dimshuffle({order}))"


def _dimshuffle(g: _Grower) -> str:
    a, value = g.pick(lambda v, _: v.ndim <= 2)
    order: list[Any] = list(g.rng.permutation(value.ndim))
    if value.ndim < 3 and g.rng.random() < 0.6:
        order.insert(int(g.rng.integers(len(order) + 1)), "x")
    return f"{a}.dimshuffle({', '.join(repr(o) if o == 'x' else str(o) for o in order)})"


def _reshape(g: _Grower) -> str:
    a, value = g.pick(lambda v, _: v.ndim >= 1)
    if g.rng.random() < 0.3:
        return f"{a}.flatten()"
    if g.rng.random() < 0.3:
        return f"{a}.reshape(({a}.shape[0], -1))" if value.size else f"{a}.flatten()"
    size = value.size
    divisors = [d for d in range(1, size + 1) if size % d == 0] or [1]
    d = int(g.rng.choice(divisors))
    _need(size)
    return f"{a}.reshape(({d}, {g.choose('-1', str(size // d))}))"


def _slice(g: _Grower) -> str:
    a, value = g.pick(lambda v, _: v.ndim >= 1)
    keys = []
    for size in value.shape[: int(g.rng.integers(1, value.ndim + 1))]:
        kind = g.rng.random()
        if kind < 0.3 and size:
            keys.append(str(int(g.rng.integers(-size, size))))
        elif kind < 0.5:
            keys.append(g.choose("::-1", "::2", ":"))
        else:
            start, stop = (int(n) for n in g.rng.integers(-size - 1, size + 2, 2))
            keys.append(f"{start}:{stop}" if g.rng.random() < 0.7 else f"{start}:")
    return f"{a}[{', '.join(keys)}]"


def _indices(g: _Grower, size: int) -> str:
    """Integer indices into an axis of this size, as text; duplicates and negatives occur."""
    _need(size)
    names = [
        n
        for n, v in g.named.items()
        if v.type.dtype in ("int64", "int32")
        and v.type.ndim == 1
        and np.all((g.known[v] >= -size) & (g.known[v] < size))
    ]
    if names and g.rng.random() < 0.5:
        return str(g.rng.choice(names))
    count = int(g.rng.integers(1, 6))
    return f"np.array({g.rng.integers(-size, size, count).tolist()})"


def _take(g: _Grower) -> str:
    a, value = g.pick(lambda v, _: v.ndim >= 1)
    if value.ndim >= 2 and g.rng.random() < 0.3:
        return f"{a}[:, {_indices(g, value.shape[1])}]"
    return f"{a}[{_indices(g, value.shape[0])}]"


def _set(g: _Grower) -> str:
    a, value = g.floating(1)
    _need(value.shape[0])
    key = g.choose("0", "-1", "1:", ":-1", "::2", "::-1", _indices(g, value.shape[0]))
    function = g.choose("set_subtensor", "inc_subtensor")
    new = g.choose("0.5", f"T.tanh({a})[{key}]")
    if key.startswith("np.array") and function == "set_subtensor":
        key, new = "0", "1.5"  # duplicates would make the gradient depend on the order
    return f"T.{function}({a}[{key}], {new})"


def _concatenate(g: _Grower) -> str:
    a, x = g.pick(lambda v, _: v.ndim >= 1 and is_float(v))
    axis = g.axis(x)
    b, y = g.pick(lambda v, _: v.ndim == x.ndim and is_float(v))
    if g.rng.random() < 0.3:
        _need(x.shape == y.shape)
        return f"T.stack([{a}, {b}], axis=0)"
    return f"T.concatenate([{a}, {b}], axis={axis})"


def _made(g: _Grower) -> str:
    a, value = g.pick(lambda v, _: v.ndim >= 1)
    return g.choose(
        f"T.arange({a}.shape[0])",
        f"T.cast(T.arange({a}.shape[0]), {g.float!r}) / 8",
        f"T.zeros_like({a})",
        f"T.ones_like({a}) * 0.5" if is_float(value) else f"T.zeros_like({a})",
        f"T.alloc(np.array(0.75, {g.float!r}), {a}.shape[0], 2)",
    )


def _loss(g: _Grower) -> str:
    a, value = g.floating(2)
    _need(value.ndim == 2 and value.size)
    rows, columns = value.shape
    if g.rng.random() < 0.3:
        _need(np.abs(value).max() < 10)  # beyond, 1 - sigmoid has no digits left as written
        return f"T.nnet.binary_crossentropy(T.nnet.sigmoid({a}), 0.25)"
    labels = f"np.array({g.rng.integers(0, columns, rows).tolist()})"
    return f"T.nnet.categorical_crossentropy(T.nnet.softmax({a}), T.constant({labels})).mean()"


def _gradient(g: _Grower) -> tuple[str, int]:
    a, value = g.floating()
    _need(value.size and a[0] == "v")
    cost = g.choose(f"T.tanh({a}).sum()", f"T.mean({a})", f"T.sum(T.square({a}))")
    graph = ancestors([g.named[a]])
    wrt = [n for n, v in g.named.items() if v in graph and v.type.dtype in FLOATS and n != a]
    wrt = [n for n in wrt if n[0] in "xw"] or wrt
    _need(wrt)
    count = min(len(wrt), int(g.rng.integers(1, 4)))
    chosen = [str(n) for n in g.rng.choice(wrt, count, replace=False)]
    return f"symnet.grad({cost}, [{', '.join(chosen)}])", count


_OPERATIONS: list[Callable[[_Grower], str]] = [
    _smooth, _smooth, _smooth, _positive, _with_corner, _arithmetic, _arithmetic, _arithmetic,
    _with_number, _with_number, _power, _extremum, _clip, _compare, _compare, _where, _where,
    _logic, _cast, _rounding, _integers, _reduction, _reduction, _reduction, _row_wise, _dot, _dot,
    _dot, _matmul, _dimshuffle, _reshape, _slice, _slice, _take, _set, _concatenate, _made, _loss,
]  # fmt: skip
