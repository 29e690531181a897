"""Networks of any shape, from symbolic inputs to symbolic outputs."""

from collections.abc import Sequence
from typing import Any

from symnet.errors import ConfigError, ShapeError, TypeMismatchError, UnusedInputError
from symnet.graph.describe import describe as described_variable
from symnet.graph.describe import listed
from symnet.graph.variables import Constant, SharedVariable, Variable
from symnet.nn.layers.base import Call, Forward, call_of
from symnet.nn.models.description import described_layer, described_type
from symnet.nn.models.network import Network, placeholder
from symnet.nn.models.replay import Step, layers_in, replay, steps_between
from symnet.nn.models.sequential import fits


class Model(Network):
    """The network between symbolic inputs and outputs.

    ::

        x = nn.Input(784)
        h = nn.Dense(100, activation="relu")(x)
        model = nn.Model(x, nn.Dense(10, activation="softmax")(h + nn.Dense(100)(x)))

    Layers are called anew for training. Ordinary expressions between them are part of the
    network, too; shared variables in those are not parameters, and a file cannot hold them.

    Errors: TypeMismatchError; MissingInputError and UnusedInputError where the outputs depend on
    other inputs than these; ConfigError for two layers of one name.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        name: str | None = None,
    ):
        super().__init__(name)
        given = _variables(inputs, "input")
        targets = _variables(outputs, "output")
        for variable in given:
            if isinstance(variable, (Constant, SharedVariable)) or variable.type.ndim < 1:
                raise TypeMismatchError(
                    f"Model: {described_variable(variable)}\nis no input: a symbolic variable "
                    "with a batch of examples is wanted"
                )
        if len(set(given)) < len(given):
            raise TypeMismatchError(f"Model: the same input twice{listed(given)}")
        self._steps: list[Step] = steps_between(given, targets)
        _check_use(given, targets, self._steps)
        self._from, self._to = given, targets
        self.layers = layers_in(self._steps)
        self.name_layers()
        # of its own: the user's may be expressions themselves, or made for training
        self.inputs = [
            placeholder(v.type.shape, v.type.dtype, v.name or f"input_{k}")
            for k, v in enumerate(given)
        ]
        forward = Forward()
        with self._naming():
            self.outputs = self._connect(self.inputs, forward)
        self._name_outputs()
        self.calls = [call for call in forward.calls if call.layer in self.layers]
        self.built = True

    def build(self, input_shapes: Any) -> None:  # type: ignore[override]
        """Only a check: the network is built. Errors: ShapeError for inputs of other shapes."""
        given = list(input_shapes)
        shapes = given if given and isinstance(given[0], (list, tuple)) else [given]
        known = [v.type.shape for v in self.inputs]
        if len(shapes) != len(known) or not all(map(fits, shapes, known)):
            raise ShapeError(
                f"{self.described()} takes {', '.join(str(v.type) for v in self.inputs)}, not "
                f"shapes {', '.join(str(tuple(s)) for s in shapes)}"
            )

    def _name_outputs(self) -> None:
        """Call the outputs as the user does, or else after the layers that make them."""
        taken: set[str] = set()
        for output, target in zip(self.outputs, self._to):
            call = call_of(target)
            base = target.name or (call.layer.name if call else "output")
            name, count = base, 0
            while name in taken:
                count += 1
                name = f"{base}_{count}"
            taken.add(name)
            if output.owner is not None:
                output.name = name

    def _connect(self, inputs: list[Any], forward: Forward) -> list[Any]:
        return replay(self._steps, self._to, dict(zip(self._from, inputs)), forward)

    def describe(self) -> dict[str, Any]:
        calls = [step for step in self._steps if isinstance(step, Call)]
        others = [step for step in self._steps if not isinstance(step, Call)]
        if others:
            raise ConfigError(
                f"{self.described()} has expressions between its layers, which no file can hold: "
                f"{others[0].op}, built at {others[0].origin}; put them into a subclass of "
                "nn.Layer, or save the parameters alone with save_weights"
            )
        places = {v: ["input", k] for k, v in enumerate(self._from)}
        for number, call in enumerate(calls):
            for k, output in enumerate(call.outputs):
                places.setdefault(output, ["call", number, k])
        try:
            return {
                "class": "Model",
                "name": self.name,
                "inputs": [described_type(v.type, v.name) for v in self.inputs],
                "layers": [described_layer(layer) for layer in self.layers],
                "calls": [
                    {
                        "layer": self.layers.index(call.layer),
                        "inputs": [places[v] for v in call.inputs],
                    }
                    for call in calls
                ],
                "outputs": [places[v] for v in self._to],
            }
        except KeyError as missing:
            raise ConfigError(
                f"{self.described()}: {described_variable(missing.args[0])}\nis an input of a "
                "layer, but neither the model's input nor a layer's output: no file can hold it"
            ) from None


def _variables(given: Any, what: str) -> list[Variable]:
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    wrong = [v for v in found if not isinstance(v, Variable)]
    if wrong or not found:
        raise TypeMismatchError(
            f"Model: {wrong[0]!r:.60} as an {what}: a symbolic variable is wanted"
            if wrong
            else f"Model: no {what}"
        )
    return found


def _check_use(inputs: Sequence[Variable], outputs: Sequence[Variable], steps: list[Step]) -> None:
    used = {v for step in steps for v in step.inputs} | set(outputs)
    unused = [v for v in inputs if v not in used]
    if unused:
        raise UnusedInputError(f"Model: the outputs do not depend on{listed(unused)}")
