"""Networks as recorded expressions: finding the layers in them, and building them again.

A layer's outputs carry a record of its call (`layers.base.Call`). A walk from the outputs of a
model to its inputs meets calls and, between them, nodes of ordinary expressions; each is a step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from symnet import tensor as T
from symnet.errors import MissingInputError, TypeMismatchError
from symnet.graph.describe import describe, listed
from symnet.graph.types import FLOATS
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable
from symnet.nn.layers.base import Call, Forward, Layer, Shape, call_of

Step = Call | Apply


def steps_between(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> list[Step]:
    """Calls and nodes on the way from `inputs` to `outputs`, each after what it needs; not those
    nodes that depend on neither inputs nor layers.

    Errors: MissingInputError for other inputs that `outputs` depend on.
    """
    return _depending(all_steps(inputs, outputs), set(inputs))


def all_steps(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> list[Step]:
    """`steps_between`, and nodes over constants and shared variables alone."""
    known = set(inputs)
    order: list[Step] = []
    seen: set[Step] = set()
    missing: dict[Variable, None] = {}
    for output in outputs:
        stack: list[tuple[Step | None, Any]] = [(None, iter([output]))]
        while stack:
            step, rest = stack[-1]
            for variable in rest:
                if variable in known:
                    continue
                maker = step_of(variable)
                if maker is None:
                    if not isinstance(variable, (Constant, SharedVariable)):
                        missing[variable] = None
                elif maker not in seen:
                    seen.add(maker)
                    stack.append((maker, iter(maker.inputs)))
                    break
            else:
                if step is not None:
                    order.append(step)
                stack.pop()
    if missing:
        raise MissingInputError(
            f"the outputs also depend on inputs that are not the model's{listed(list(missing))}"
        )
    return order


def step_of(variable: Variable) -> Step | None:
    """The call of a layer, or else the node, that a variable comes from."""
    return call_of(variable) or variable.owner


def _depending(order: Sequence[Step], inputs: set[Variable]) -> list[Step]:
    """Calls, and of the nodes those that depend on calls or inputs; others can stay as they are."""
    varying = set(inputs)
    kept = []
    for step in order:
        if isinstance(step, Call) or any(v in varying for v in step.inputs):
            kept.append(step)
            varying.update(step.outputs)
    return kept


def layers_in(steps: Sequence[Step]) -> list[Layer]:
    """The layers called, each once, in order of their first call."""
    return list(dict.fromkeys(step.layer for step in steps if isinstance(step, Call)))


def replay(
    steps: Sequence[Step],
    outputs: Sequence[Variable],
    given: Mapping[Variable, Any],
    forward: Forward,
) -> list[Variable]:
    """`outputs` built again with the keys of `given` exchanged for its values.

    Layers are called anew, in the mode that `forward` says; nodes between them are copied.
    """
    table: dict[Variable, Any] = dict(given)
    for step in steps:
        new = [table.get(v, v) for v in step.inputs]
        if isinstance(step, Call):
            made: Sequence[Variable] = step.layer.apply(new, forward)
        else:
            made = step.op.make_node(*new, origin=step.origin).outputs
        for before, after in zip(step.outputs, made):
            # what is the model's input stays what was given for it
            table.setdefault(before, after)
    return [table.get(v, v) for v in outputs]


def fits(shape: Shape, declared: Shape) -> bool:
    """Whether inputs of `shape` can be of the declared one; the batch does not matter."""
    return len(shape) == len(declared) and all(
        a is None or b is None or a == b for a, b in zip(shape[1:], declared[1:])
    )


def fitted(x: Variable, placeholder: Variable) -> Any:
    """`x` in the place of an input: converted to its dtype.

    Errors: TypeMismatchError for another number of dimensions, sizes known to differ, or floats
    in the place of integers.
    """
    wanted = placeholder.type
    if not fits(x.type.shape, wanted.shape):
        raise TypeMismatchError(
            f"{describe(x)}\nis not fit for the model's input\n{describe(placeholder)}"
        )
    if x.type.dtype == wanted.dtype:
        return x
    if x.type.dtype in FLOATS and wanted.dtype not in FLOATS:
        raise TypeMismatchError(
            f"{describe(x)}\nwould lose digits as the model's input\n{describe(placeholder)}"
        )
    return T.cast(x, wanted.dtype)
