"""Networks of any shape, from symbolic inputs to symbolic outputs."""

from collections.abc import Sequence
from typing import Any

from symnet.errors import ConfigError, ShapeError, TypeMismatchError, UnusedInputError
from symnet.graph.describe import describe as described_variable
from symnet.graph.describe import listed
from symnet.graph.variables import Constant, SharedVariable, Variable
from symnet.nn.layers.base import Call, Forward, call_of
from symnet.nn.models.description import described_layer, described_type
from symnet.nn.models.expressions import described_constant, described_op
from symnet.nn.models.network import Network, check_calls, placeholder
from symnet.nn.models.replay import Step, all_steps, fits, layers_in, replay, steps_between


class Model(Network):
    """The network between symbolic inputs and outputs.

    ::

        x = nn.Input(784)
        h = nn.Dense(100, activation="relu")(x)
        model = nn.Model(x, nn.Dense(10, activation="softmax")(h + nn.Dense(100)(x)))

    Layers are called anew for training. Ordinary expressions between them are part of the
    network, too; shared variables in those are not parameters, and files do not hold them.

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
            check_calls(self, forward.calls)
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
            base = target.name or (self.name_of(call.layer) if call else "output")
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
        places = {v: ["input", k] for k, v in enumerate(self._from)}
        constants: list[Constant] = []
        steps = []

        def place(variable: Variable) -> list[Any]:
            if variable not in places:
                if not isinstance(variable, Constant):
                    raise ConfigError(
                        f"{self.described()}: {described_variable(variable)}\nis a shared variable "
                        f"outside the layers, whose values no file would hold; {_WAY_OUT}"
                    )
                places[variable] = ["constant", len(constants)]
                constants.append(variable)
            return places[variable]

        for number, step in enumerate(all_steps(self._from, self._to)):
            inputs = [place(v) for v in step.inputs]
            steps.append({**self._described_step(step), "inputs": inputs})
            for k, output in enumerate(step.outputs):
                places.setdefault(output, ["step", number, k])
        outputs = [place(v) for v in self._to]
        return {
            "class": "Model",
            "name": self.name,
            "inputs": [described_type(v.type, v.name) for v in self.inputs],
            "constants": [described_constant(c) for c in constants],
            "layers": [described_layer(v, self.name_of(v)) for v in self.layers],
            "steps": steps,
            "outputs": outputs,
        }

    def _described_step(self, step: Step) -> dict[str, Any]:
        if isinstance(step, Call):
            return {"layer": self.layers.index(step.layer)}
        try:
            return described_op(step.op)
        except ConfigError as error:
            raise ConfigError(
                f"{self.described()}: {error}, built at {step.origin}; {_WAY_OUT}"
            ) from None


_WAY_OUT = "use a subclass of nn.Layer, or save the parameters alone with save_weights"


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
