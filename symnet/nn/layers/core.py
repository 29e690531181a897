"""Layers without randomness over one input: Dense, Activation, shapes and scales."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from symnet import tensor as T
from symnet.config import config
from symnet.errors import ConfigError, ShapeError, TypeMismatchError
from symnet.graph.types import FLOATS, NUMPY_DTYPES, TensorType, largest, sizes_text
from symnet.graph.variables import Variable
from symnet.nn import names
from symnet.nn.layers.base import Forward, Layer, Shape


def Input(
    shape: int | Sequence[int | None], dtype: str | None = None, name: str | None = None
) -> Any:
    """A symbolic input for batches of examples of this shape: (None, *shape).

    dtype  None: floatX

    Errors: ShapeError, TypeMismatchError.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    return TensorType(dtype or config.floatX, (None, *sizes))(name)


class Dense(Layer):
    """activation(x @ kernel + bias): units that see all of the last dimension of their input.

    units               how many
    activation          a name or a function; None: linear
    use_bias            whether there is a bias
    kernel_initializer, bias_initializer   names or functions, see `nn.init`
    kernel_regularizer, bias_regularizer   names or functions, see `nn.penalties`

    kernel is (inputs, units), bias (units,). Input (batch, ..., inputs), output
    (batch, ..., units). Errors: ShapeError where the number of inputs is unknown or another;
    ConfigError.
    """

    kernel: Any
    bias: Any

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        name: str | None = None,
        seed: Any = None,
    ):
        super().__init__(name, seed)
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units < 1:
            raise ConfigError(f"Dense: units={units!r} is no number of units, at least 1")
        self.units = int(units)
        self.use_bias = bool(use_bias)
        self.activation = found("activation", activation)
        self.kernel_initializer = found("initializer", kernel_initializer)
        self.bias_initializer = found("initializer", bias_initializer)
        self.kernel_regularizer = found("penalty", kernel_regularizer)
        self.bias_regularizer = found("penalty", bias_regularizer)
        self.bias = None

    def build(self, shape: Shape) -> None:  # type: ignore[override]
        inputs = last_size(shape, self)
        self.kernel = self.parameter(
            "kernel", (inputs, self.units), self.kernel_initializer, self.kernel_regularizer
        )
        if self.use_bias:
            self.bias = self.parameter(
                "bias", (self.units,), self.bias_initializer, self.bias_regularizer
            )

    def output(self, x: Any, *, forward: Forward) -> Variable:  # type: ignore[override]
        sums: Any = T.dot(x, self.kernel)
        if self.use_bias:
            sums = sums + self.bias
        return sums if self.activation is None else self.activation(sums)

    def config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "activation": names.describe("activation", self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": names.describe("initializer", self.kernel_initializer),
            "bias_initializer": names.describe("initializer", self.bias_initializer),
            "kernel_regularizer": names.describe("penalty", self.kernel_regularizer),
            "bias_regularizer": names.describe("penalty", self.bias_regularizer),
        }

    def flops(self, inputs: Sequence[Shape], output: Shape) -> int:
        """A multiplication and an addition per weight, an operation per bias and activation."""
        per_unit = 2 * (inputs[0][-1] or 0) + self.use_bias + (self.activation is not None)
        return elements(output) * per_unit


class Activation(Layer):
    """A function applied to the input: a name of `nn.activations`, or your own."""

    def __init__(self, function: Any, name: str | None = None):
        super().__init__(name)
        self.function: Callable[[Any], Variable] = names.lookup("activation", function)

    def output(self, x: Any, *, forward: Forward) -> Variable:  # type: ignore[override]
        return self.function(x)

    def config(self) -> dict[str, Any]:
        return {"function": names.describe("activation", self.function)}

    def flops(self, inputs: Sequence[Shape], output: Shape) -> int:
        return elements(output)


class Flatten(Layer):
    """(batch, a, b, ...) as (batch, a * b * ...); (batch,) as (batch, 1)."""

    def output(self, x: Any, *, forward: Forward) -> Variable:  # type: ignore[override]
        sizes = x.type.shape[1:]
        if None in sizes:
            return T.flatten(x, 2)
        return T.reshape(x, (x.shape[0], math.prod(sizes)))


class Reshape(Layer):
    """(batch, *anything) as (batch, *shape); one size of `shape` may be -1: whatever is left."""

    def __init__(self, shape: int | Sequence[int], name: str | None = None):
        super().__init__(name)
        self.shape = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        if self.shape.count(-1) > 1 or any(n < -1 for n in self.shape):
            raise ShapeError(f"Reshape: {self.shape}: sizes are not negative, but for one -1")

    def output(self, x: Any, *, forward: Forward) -> Variable:  # type: ignore[override]
        given, wanted = x.type.shape[1:], self.shape
        if None not in given:
            wanted = _without_minus_one(given, wanted)
        return T.reshape(x, (x.shape[0], *wanted))


class Rescaling(Layer):
    """x * scale + offset, in floatX where x holds integers.

    scale, offset  numbers, or lists of numbers along the last dimensions
    """

    def __init__(self, scale: Any, offset: Any = 0, name: str | None = None):
        super().__init__(name)
        self.scale, self.offset = _factors(scale, "scale"), _factors(offset, "offset")

    def output(self, x: Any, *, forward: Forward) -> Variable:  # type: ignore[override]
        out = as_float(x)
        if isinstance(self.scale, list) or self.scale != 1:
            out = out * _like(self.scale, out)
        if isinstance(self.offset, list) or self.offset != 0:
            out = out + _like(self.offset, out)
        return out

    def config(self) -> dict[str, Any]:
        return {"scale": self.scale, "offset": self.offset}

    def flops(self, inputs: Sequence[Shape], output: Shape) -> int:
        return elements(output) * (1 + (self.offset != 0))


class Lambda(Layer):
    """Your own function of the inputs as a layer; it makes symbolic expressions.

    Models with it cannot be saved, for a file holds no code: write a subclass of `nn.Layer`.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        super().__init__(name)
        if not callable(function):
            raise TypeMismatchError(f"Lambda: {function!r:.60} is not a function")
        self.function = function

    def output(self, *inputs: Any, forward: Forward) -> Any:
        return self.function(*inputs)

    def config(self) -> dict[str, Any]:
        raise ConfigError(
            f"{self.described()} is a function, which no file can hold: make it a subclass of "
            "nn.Layer and pass that to nn.load(path, layers=[...])"
        )

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Self:
        raise ConfigError("a Lambda layer cannot be read from a file")


# ---- what layers have in common


def found(kind: str, given: Any) -> Any:
    """`names.lookup`, where None stays None."""
    return None if given is None else names.lookup(kind, given)


def as_float(x: Any) -> Any:
    """Integers and booleans in floatX, floats as they are."""
    return x if x.type.dtype in FLOATS else T.cast(x, config.floatX)


def elements(shape: Shape) -> int:
    """Numbers per example; unknown sizes count as 1."""
    return math.prod(1 if n is None else n for n in shape[1:])


def last_size(shape: Shape, layer: Layer) -> int:
    """The size of the last dimension. Errors: ShapeError where there is none, or none known."""
    if len(shape) < 2:
        raise ShapeError(
            f"{type(layer).__name__} wants (batch, ..., features), not shape {written(shape)}"
        )
    if shape[-1] is None:
        raise ShapeError(
            f"{type(layer).__name__}: the number of features is not known in shape "
            f"{written(shape)}; give it with nn.Input or T.matrix(shape=(None, n))"
        )
    return shape[-1]


def written(shape: Shape) -> str:
    """A static shape as text: (?, 784)."""
    return f"({sizes_text(shape)}{',' if len(shape) == 1 else ''})"


def _without_minus_one(given: Sequence[int], wanted: tuple[int, ...]) -> tuple[int, ...]:
    total, known = math.prod(given), math.prod(n for n in wanted if n != -1)
    fits = total == known if -1 not in wanted else known > 0 and total % known == 0
    if not fits:
        raise ShapeError(f"Reshape: examples of shape {tuple(given)} do not fit into {wanted}")
    return tuple(total // known if n == -1 else n for n in wanted)


def _factors(value: Any, name: str) -> Any:
    """A number, or nested lists of numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeMismatchError(f"Rescaling: {name}={value!r:.60} is neither a number nor numbers")
    numbers = array.astype("float64")
    if not np.isfinite(numbers).all():
        raise ConfigError(f"Rescaling: {name}={value!r:.60} is not finite")
    return numbers.tolist()


def _like(value: Any, x: Any) -> Any:
    """Factors as numbers of the dtype of `x`. Errors: ConfigError where they are too large."""
    if np.abs(value).max(initial=0) > largest(x.type.dtype):
        raise ConfigError(f"Rescaling: {value!r:.60} is too large for {x.type.dtype}")
    return np.asarray(value, NUMPY_DTYPES[x.type.dtype]) if isinstance(value, list) else value
