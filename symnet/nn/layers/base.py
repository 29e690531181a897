"""What a layer is: parameters with names, and an expression over its inputs.

::

    class Scale(nn.Layer):
        def build(self, shape):
            self.factor = self.parameter("factor", shape[-1:], "ones")

        def output(self, x, forward):
            return x * self.factor

    y = Scale()(x)        # builds the layer on its first call

Layers that a layer holds as attributes, alone, in a list or in a dict, are parts of it: their
parameters are its own, too, and what it calls in `output` is passed in the same mode::

    class Block(nn.Layer):
        def __init__(self, units):
            super().__init__()
            self.inner = nn.Dense(units, activation="relu")

        def output(self, x, forward):
            return x + self.inner(x)
"""

import inspect
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any, Self

import numpy as np

from symnet.config import config
from symnet.errors import ConfigError, DataError, ShapeError, SymnetError, TypeMismatchError
from symnet.graph import origin as origins
from symnet.graph.clone import clone_replace
from symnet.graph.origin import Origin
from symnet.graph.variables import SharedVariable, Variable, make_shared
from symnet.nn import names, seeds
from symnet.ops.arithmetic import add, identity
from symnet.ops.random import RandomStreams
from symnet.tensor.assembly import as_tensor

Shape = tuple[int | None, ...]


class Forward:
    """One pass through a network: what layers need to know, and what they leave behind.

    train      whether it is for training: dropout and noise work only then
    random     where draws come from; made on first use if none is given
    updates    new values of shared variables, such as running means
    penalties  scalar expressions to add to the loss, beyond those on parameters
    calls      every call of a layer, in order; that of a model comes after those inside it
    """

    def __init__(self, train: bool = False, random: RandomStreams | None = None):
        self.train = train
        self.updates: dict[SharedVariable, Variable] = {}
        self.penalties: list[Variable] = []
        self.calls: list[Call] = []
        self.given: Sequence[Variable] = ()  # the inputs of the layer whose `output` is running
        self._random = random

    @property
    def random(self) -> RandomStreams:
        if self._random is None:
            self._random = RandomStreams(seeds.drawn())
        return self._random

    def update(self, shared: SharedVariable, new: Variable) -> None:
        """Let the training step also give `shared` the value `new`.

        Updates of one variable, by a layer that is called twice, follow each other: what `new`
        computes from `shared` and from the layer's inputs starts from the value before.
        """
        if shared in self.updates:
            known = {v: v for v in self.given}
            (new,) = clone_replace([new], known | {shared: self.updates[shared]})
        self.updates[shared] = new

    def penalize(self, penalty: Variable) -> None:
        """Add a scalar expression to the loss."""
        self.penalties.append(penalty)


class _Running(threading.local):
    forward: Forward | None = None  # of the layer whose `output` is running


_running = _Running()


class Call:
    """A record of a layer's call. Symbolic outputs carry it on their tags, and models replay it."""

    __slots__ = ("inputs", "layer", "outputs")

    def __init__(self, layer: "Layer", inputs: list[Variable], outputs: list[Variable]):
        self.layer = layer
        self.inputs = inputs
        self.outputs = outputs


def call_of(variable: Variable) -> Call | None:
    """The call of a layer that made this variable. Copies of the variable, which share its tag,
    have none: their inputs are others."""
    tag = variable._tag
    call: Call | None = getattr(tag, "call", None) if tag is not None else None
    if call is not None and any(variable is made for made in call.outputs):
        return call
    return None


class Layer:
    """Base of all layers.

    A subclass answers `output`, and `build` if it has parameters. What its `__init__` was called
    with is remembered, so that models with it can be saved: see `config`.

    name       what it is called in a model; one is made up where none is given
    seed       of its initial values; by default the model's, else of `nn.set_seed`
    trainable  whether training changes the parameters
    origin     the user's line that made the layer; all nodes that it builds carry it
    """

    origin: Origin
    trainable: bool
    built: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # here, not in __init__: subclasses may forget to call it
        self = super().__new__(cls)
        self.origin = origins.here()
        self.trainable = True
        self.built = False
        self.preset = None
        self.seed = None
        self._given_name = self._name = None
        self._prefix = ""
        self._arguments = (args, kwargs)
        self._parameters = {}
        self._state = {}
        self._penalties = []
        self._generator = None
        return self

    preset: Mapping[str, np.ndarray] | None  # initial values that a file holds
    seed: Any
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _given_name: str | None
    _name: str | None
    _prefix: str
    _parameters: dict[str, SharedVariable]
    _state: dict[str, SharedVariable]
    _penalties: list[tuple[Callable[[Variable], Variable], SharedVariable]]
    _generator: np.random.Generator | None

    @property
    def _parts(self) -> dict[str, "Layer"]:
        """Layers among the attributes, by name. Looked up each time: lists grow."""
        found: dict[str, Layer] = {}
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                found[name] = value
            elif isinstance(value, (list, tuple)):
                parts = {f"{name}_{k}": v for k, v in enumerate(value) if isinstance(v, Layer)}
                found |= parts
            elif isinstance(value, dict):
                parts = {f"{name}_{k}": v for k, v in value.items() if isinstance(v, Layer)}
                found |= {checked_name(key): part for key, part in parts.items()}
        return found

    def __init__(self, name: str | None = None, seed: Any = None):
        self.seed = seed
        if name is not None:
            self._given_name = checked_name(name)

    # ---- what subclasses write

    def build(self, *shapes: Shape) -> None:
        """Make the parameters, for inputs of these static shapes; the batch, of unknown size
        None, comes first."""

    def output(self, *inputs: Any, forward: Forward) -> Any:
        """The layer as an expression (or a list of expressions) over its inputs."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its output is")

    def config(self) -> dict[str, Any]:
        """What to call `__init__` with to make an equal layer, in terms of JSON. By default what
        it was called with. Errors: ConfigError for anything that JSON has no word for."""
        return {
            key: _plain(value, key, self)
            for key, value in self.arguments().items()
            if key not in ("name", "seed")
        }

    def describe(self) -> dict[str, Any]:
        """The layer in terms of JSON, see `models.description`. Errors: ConfigError."""
        return {"class": type(self).__name__, "name": self.name, "config": self.config()}

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Self:
        """The layer that `config` describes."""
        return cls(**settings)

    def flops(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Floating-point operations per example, for inputs and an output of these shapes."""
        return 0

    # ---- what subclasses call

    def parameter(
        self, name: str, shape: Sequence[int], initializer: Any = "zeros", penalty: Any = None
    ) -> SharedVariable:
        """A new parameter of dtype floatX.

        initializer  a name, or a function f(shape, rng, dtype) that returns an array
        penalty      a name, or a function from an expression to a scalar that the loss grows by

        Errors: ShapeError for a size that is not known; ConfigError for unknown names.
        """
        shared = self._shared(name, shape, initializer)
        self._parameters[name] = shared
        if penalty is not None:
            self._penalties.append((names.lookup("penalty", penalty), shared))
        return shared

    def state_variable(
        self, name: str, shape: Sequence[int], initializer: Any = "zeros"
    ) -> SharedVariable:
        """A new variable that is saved with the layer but not trained; see `Forward.update`."""
        shared = self._shared(name, shape, initializer)
        self._state[name] = shared
        return shared

    # ---- what users see

    @property
    def name(self) -> str:
        """Unique among the layers of a model: "dense", "dense_1" ... where none was given."""
        return self._name or self._given_name or snake_case(type(self).__name__)

    @property
    def parameters(self) -> list[SharedVariable]:
        """What training changes, in the order made, each named "<layer>.<parameter>".

        With `trainable = False` that is nothing; the parameters are part of the state then.
        """
        if not self.trainable:
            return []
        own = [*self._parameters.values(), *(v for p in self._parts.values() for v in p.parameters)]
        return list(dict.fromkeys(own))

    @property
    def state(self) -> list[SharedVariable]:
        """What is saved with the layer but not trained."""
        trained = set(self.parameters)
        return [v for v in self.named_variables().values() if v not in trained]

    def named_variables(self) -> dict[str, SharedVariable]:
        """Everything that is saved, by its name within the layer; trained or not."""
        found = {v: name for name, v in (self._parameters | self._state).items()}
        for part_name, part in self._parts.items():
            for name, v in part.named_variables().items():
                found.setdefault(v, f"{part_name}.{name}")
        return {name: v for v, name in found.items()}

    def penalties(self) -> dict[SharedVariable, Variable]:
        """What the penalty of each trained parameter adds to the loss, a scalar expression."""
        if not self.trainable:
            return {}
        with origins.at(self.origin):
            found = {shared: penalty(shared) for penalty, shared in self._penalties}
        for part in self._parts.values():
            found |= part.penalties()
        return found

    def penalty(self) -> Variable | None:
        """The sum of `penalties()`; None where there are none."""
        terms = list(self.penalties().values())
        return reduce(add, terms) if terms else None

    def arguments(self) -> dict[str, Any]:
        """What `__init__` was called with, by name; what was left out is left out."""
        args, kwargs = self._arguments
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        found = dict(list(bound.arguments.items())[1:])
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                found.update(found.pop(name, {}))
            elif parameter.kind is parameter.VAR_POSITIONAL and name in found:
                raise ConfigError(f"{self.described()}: *{name} cannot be saved; write config()")
        return found

    def __call__(
        self, *inputs: Any, train: bool | None = None, forward: Forward | None = None
    ) -> Any:
        """The layer's output for symbolic inputs, or for arrays, which become constants.

        Several inputs may come as one list. The first call builds the layer. Inside the `output`
        of another layer the pass is that one's, else it is not for training, unless you say so.

        Errors: those of `build` and `output`, which also name the layer and the line that made it.
        """
        given = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)) else inputs
        if not given:
            raise TypeMismatchError(f"{self.described()}: called without an input")
        with self._naming():
            variables = [as_tensor(x) for x in given]
        if forward is None:
            running = _running.forward
            forward = running if running and train is None else Forward(bool(train))
        made = self.apply(variables, forward)
        with origins.at(self.origin):
            outputs = [of_its_own(v) for v in made]
        call = Call(self, variables, outputs)
        for output in outputs:
            output.tag.call = call
        return outputs[0] if len(outputs) == 1 else outputs

    def apply(self, inputs: Sequence[Variable], forward: Forward) -> list[Variable]:
        """The outputs for inputs, building the layer if need be; no record is made."""
        with self._naming(), origins.at(self.origin):
            self.ensure_built([v.type.shape for v in inputs])
            before, _running.forward = _running.forward, forward
            outer, forward.given = forward.given, inputs
            try:
                made = self.output(*inputs, forward=forward)
            finally:
                _running.forward, forward.given = before, outer
            if made is None:
                raise TypeMismatchError(f"{type(self).__name__}.output returned None")
            outputs = [as_tensor(v) for v in (made if isinstance(made, (list, tuple)) else [made])]
        forward.calls.append(Call(self, list(inputs), outputs))
        return outputs

    def ensure_built(self, shapes: Sequence[Shape]) -> None:
        """Build the layer unless it is built; after an error it is as before."""
        if self.built:
            return
        try:
            self.build(*shapes)
        except BaseException:
            self.forget()
            raise
        self._hand_down()
        self.built = True
        self.preset = self._generator = None
        self.rename(self.name, self._prefix)

    def _hand_down(self) -> None:
        """Let parts that are not built have their share of a file's values, or of the seed."""
        if self.seed is not None and self._generator is None:
            self._generator = seeds.generator(self.seed)
        for name, part in self._parts.items():
            if part.built:
                continue
            if self.preset is not None:
                part.preset = values_under(name, self.preset)
            elif self._generator is not None:
                part.seed_from(np.random.SeedSequence(seeds.number(self._generator)))

    def forget(self) -> None:
        """Be as before the first call, without parameters."""
        self._parameters, self._state, self._penalties = {}, {}, []
        self.built = False
        for part in self._parts.values():
            part.forget()

    def seed_from(self, sequence: np.random.SeedSequence) -> None:
        """Draw initial values from this sequence, if the layer has no seed of its own."""
        if self.seed is None and not self.built:
            self._generator = np.random.default_rng(sequence)

    def rename(self, name: str, prefix: str | None = None) -> None:
        """Be called `name` in a model; parameters are then called prefix + name + "." + theirs."""
        prefix = prefix or ""
        self._name, self._prefix = name, prefix
        for own, shared in (self._parameters | self._state).items():
            shared.name = f"{prefix}{name}.{own}"
        for part_name, part in self._parts.items():
            part.rename(part_name, f"{prefix}{name}.")

    @property
    def has_given_name(self) -> bool:
        return self._given_name is not None

    def described(self) -> str:
        """For messages: its name, class and line."""
        return f"layer {self.name} ({type(self).__name__}), made at {self.origin}"

    def count_params(self) -> int:
        """How many numbers are saved, trained or not."""
        return sum(math.prod(v.current_shape) for v in self.named_variables().values())

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the values of everything that is saved, in the order of `named_variables`."""
        return [v.get_value() for v in self.named_variables().values()]

    def set_weights(self, values: Sequence[Any]) -> None:
        """Set everything to arrays as `get_weights` returns them. Errors: ShapeError and
        TypeMismatchError, before anything is changed."""
        variables = list(self.named_variables().values())
        if len(values) != len(variables):
            raise ShapeError(
                f"{self.described()} has {len(variables)} parameters and state variables "
                f"({', '.join(map(str, variables)) or 'none'}), got {len(values)} arrays"
            )
        fitting = [
            v.type.filter(value, True, f"the value for {v}") for v, value in zip(variables, values)
        ]
        for variable, value in zip(variables, fitting):
            variable.set_value(value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _shared(self, name: str, shape: Sequence[int], initializer: Any) -> SharedVariable:
        if checked_name(name) in self._parameters | self._state:
            raise ConfigError(f"{self.described()} has a parameter {name} already")
        sizes = tuple(shape)
        if any(not isinstance(n, (int, np.integer)) or n < 0 for n in sizes):
            raise ShapeError(f"parameter {name} of shape {sizes}: every size must be known")
        value = self._initial(name, sizes, initializer)
        shared = make_shared(value, f"{self._prefix}{self.name}.{name}", shape=sizes)
        shared.origin = self.origin
        return shared

    def _initial(self, name: str, shape: tuple[int, ...], initializer: Any) -> np.ndarray:
        if self.preset is not None:
            if name not in self.preset:
                raise DataError(f"no values for {self.name}.{name}")
            value = self.preset[name]
            if value.shape != shape or value.dtype.name != config.floatX:
                raise DataError(
                    f"{self.name}.{name} is {value.dtype}{value.shape}, "
                    f"the layer wants {config.floatX}{shape} (its dtype is symnet.config.floatX)"
                )
            return value
        if self._generator is None:
            self._generator = seeds.generator(self.seed)
        make = names.lookup("initializer", initializer)
        value = np.asarray(make(shape, self._generator, dtype=config.floatX))
        if value.shape != shape:
            raise ShapeError(f"the initial value of {name} has shape {value.shape}, not {shape}")
        return value.astype(config.floatX, copy=False)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Errors inside also name the layer and the line that made it."""
        try:
            yield
        except SymnetError as error:
            text = f"in {self.described()}"
            if text not in str(error):
                error.args = (f"{error}\n  {text}",)
            raise
        except Exception as error:
            error.add_note(f"in {self.described()}")
            raise


def of_its_own(variable: Variable) -> Variable:
    """A variable with the same value that nobody else holds, so that it can carry a record.

    The node is made once more rather than wrapped: rules look for what is next to each other, and
    equal nodes become one when a function is compiled.
    """
    owner = variable.owner
    if owner is None:
        return identity(variable)
    return owner.op.make_node(*owner.inputs, origin=owner.origin).outputs[variable.index]


def values_under(name: str, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values whose names start with `name` and a dot, by the rest of their names."""
    return {k[len(name) + 1 :]: v for k, v in values.items() if k.startswith(f"{name}.")}


def snake_case(name: str) -> str:
    """GaussianNoise becomes gaussian_noise."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def checked_name(name: Any) -> str:
    """A name fit for layers and parameters. Errors: ConfigError."""
    if not isinstance(name, str) or not re.fullmatch(r"[^\s./]+", name):
        raise ConfigError(f"{name!r} is no name: letters, digits and signs but . and / are wanted")
    return name


def _plain(value: Any, key: str, layer: Layer) -> Any:
    """A value in terms of JSON."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, key, layer) for item in value]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {k: _plain(item, key, layer) for k, item in value.items()}
    raise ConfigError(
        f"{layer.described()}: {key}={value!r:.60} cannot be written to a file; "
        f"write {type(layer).__name__}.config() and from_config() to say what to keep"
    )
