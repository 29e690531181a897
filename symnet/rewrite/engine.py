"""The rule engine: one bottom-up walk that brings every node to the form no rule changes.

Nodes are visited after their inputs. A visited node is rebuilt if an input changed, exchanged for
an equal node if there is one (`intern`), and offered to the rules that name its op. When a rule
answers, the new nodes are visited in the same way before the walk goes on, so that every node is
settled exactly once: linear in the nodes of the graph and of the replacements.

Termination is the rules' business: each lowers a cost or moves towards a canonical form. The
engine counts anyway: a replacement of a replacement of ... more than `DEEPEST` times is a bug in
a rule. Inside `strict()` (tests) that raises CompilerError; otherwise the node stays as it is.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from symnet.config import config
from symnet.errors import CompilerError, ShapeError, TypeMismatchError
from symnet.graph import Apply, Constant, Op, Origin, Variable, toposort
from symnet.graph.types import FLOATS, HALVES
from symnet.ops.elementwise import Elementwise
from symnet.rewrite.intern import Interner
from symnet.rewrite.sizes import Sizes

DEEPEST = 60

Answer = Variable | Sequence[Variable] | None


@dataclass(frozen=True, eq=False)
class Rule:
    """A local equation between graphs.

    name      what traces and error messages call it
    heads     the ops it starts from: element-wise ops, or classes of ops; None: any op
    apply     apply(node, walk) -> the replacement (a variable per output), or None
    examples  expressions that the rule must change, for the tests: () -> list of variables
    doc       the equation in one line, where `apply` does not say it itself
    """

    name: str
    heads: tuple[Any, ...] | None
    apply: Callable[[Apply, "Walk"], Answer]
    examples: Callable[[], Sequence[Variable]] | None = None
    doc: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.doc or self.apply}"


def rewrites(
    *heads: Any, examples: Callable[[], Sequence[Variable]] | None = None
) -> Callable[[Callable[[Apply, "Walk"], Answer]], Rule]:
    """Make a rule of a function(node, walk); its docstring is the equation."""

    def make(function: Callable[[Apply, "Walk"], Answer]) -> Rule:
        name = function.__name__.replace("_", " ")
        return Rule(name, heads or None, function, examples, (function.__doc__ or "").strip())

    return make


class Step(NamedTuple):
    """One application of a rule. Strings are made when asked for."""

    rule: str
    before: Variable
    after: Variable
    origin: Origin

    def __str__(self) -> str:
        return f"{self.rule}: {_show(self.before)} -> {_show(self.after)}   ({self.origin})"


class RuleIndex:
    """Rules by the op at their root, in the order given."""

    def __init__(self, rules: Iterable[Rule]):
        self.rules = tuple(rules)
        self._universal = tuple(rule for rule in self.rules if rule.heads is None)
        self._by_head: dict[Any, tuple[Rule, ...]] = {}
        for rule in self.rules:
            for head in rule.heads or ():
                self._by_head[head] = ()
        for head in self._by_head:
            self._by_head[head] = tuple(
                rule for rule in self.rules if rule.heads is None or head in rule.heads
            )

    def of(self, op: Op) -> tuple[Rule, ...]:
        kind = type(op)
        return self._by_head.get(op if kind is Elementwise else kind, self._universal)


_strict = False


@contextlib.contextmanager
def strict() -> Iterator[None]:
    """Inside the block a misbehaving rule raises CompilerError instead of being ignored."""
    global _strict
    before, _strict = _strict, True
    try:
        yield
    finally:
        _strict = before


class Walk:
    """One run of the engine, and what rules may ask while it goes."""

    def __init__(
        self,
        index: RuleIndex,
        barriers: Collection[Variable] = (),
        interner: Interner | None = None,
    ):
        self.log: list[Step] = []
        self._index = index
        self._barriers = frozenset(barriers)
        self._interner = Interner() if interner is None else interner
        self._settled: set[Apply] = set()
        self._final: dict[Variable, Variable] = {}  # changed variables only
        self._original: set[Apply] = set()
        self._uses: dict[Variable, int] = {}
        self._uses_counted = False
        self._order: list[Apply] = []
        self._outputs: list[Variable] = []
        self._sizes = Sizes(self.owner)

    # ---- what rules may ask

    def owner(self, variable: Variable) -> Apply | None:
        """The node behind a variable; None at a barrier. Rules look into the graph only here."""
        return None if variable in self._barriers else variable.owner

    def made_by(self, variable: Variable, head: Any) -> Apply | None:
        """The node behind `variable` if its op is `head` (an element-wise op or a class)."""
        node = variable.owner
        if node is None or variable in self._barriers:
            return None
        op = node.op
        return node if op is head or type(op) is head else None

    def sizes(self, variable: Variable) -> tuple:
        """Run-time sizes as expressions that are the same object if equal."""
        return self._sizes.of(variable)

    def value(self, variable: Variable) -> Any:
        """An integer scalar as a size expression."""
        return self._sizes.value(variable)

    def uses(self, variable: Variable) -> int:
        """How many inputs and outputs of the graph, as it was before this walk, are `variable`."""
        if not self._uses_counted:
            self._uses_counted = True
            for node in self._order:
                for v in node.inputs:
                    self._uses[v] = self._uses.get(v, 0) + 1
            for v in self._outputs:
                self._uses[v] = self._uses.get(v, 0) + 1
            for old, new in self._final.items():
                self._uses[new] = max(self._uses.get(old, 0), self._uses.get(new, 0))
        return self._uses.get(variable, 0)

    # ---- the walk

    def run(self, outputs: Sequence[Variable]) -> list[Variable]:
        """`outputs` in settled form."""
        self._outputs = list(outputs)
        self._order = toposort(outputs, self._barriers)
        self._original = set(self._order)
        for node in self._order:
            self._visit(node)
        final = self._final
        results = []
        for before in outputs:
            after = before if before in self._barriers else final.get(before, before)
            if before.owner is None and isinstance(before, Constant):
                after = self._interner.constant(before)
            if after is not before and self._may_be_named(after):
                after.name = before.name
            results.append(after)
        return results

    def _may_be_named(self, variable: Variable) -> bool:
        """Whether it is known to this walk only, and has no name yet."""
        return (
            variable.name is None
            and variable.owner is not None
            and variable.owner not in self._original
        )

    def _visit(self, node: Apply, depth: int = 0) -> None:
        """Settle a node whose inputs are settled; `_final` then has its outputs if they changed."""
        current = self._with_final_inputs(node)
        known = self._interner.node(current)
        if known is not current:
            self._replace(current.outputs, known.outputs)
            current = known
            ends = [self._final.get(v, v) for v in known.outputs]  # it may have been replaced
            if ends[0] is not known.outputs[0]:
                self._replace(current.outputs, ends)
                self._replace(node.outputs, ends)
                return
        if current is not node:
            self._replace(node.outputs, current.outputs)
        if current in self._settled:
            return
        for rule in self._index.of(current.op):
            answer = rule.apply(current, self)
            if answer is None:
                continue
            results = (answer,) if isinstance(answer, Variable) else tuple(answer)
            if results == current.outputs or not self._accept(rule, current, results, depth):
                continue
            for before, after in zip(current.outputs, results):
                self.log.append(Step(rule.name, before, after, current.origin))
            for new in self._unsettled(results, current.origin):
                self._visit(new, depth + 1)
            results = tuple([self._end(v) for v in results])
            self._replace(current.outputs, results)
            if current is not node:
                self._replace(node.outputs, results)
            return
        self._settled.add(current)

    def _end(self, variable: Variable) -> Variable:
        """What a variable that a rule gave has become."""
        variable = self._final.get(variable, variable)
        if variable.owner is None and isinstance(variable, Constant):
            return self._interner.constant(variable)
        return variable

    def _with_final_inputs(self, node: Apply) -> Apply:
        final = self._final
        changed = False
        inputs = []
        for v in node.inputs:
            new = final.get(v)
            if new is None:
                new = v
                if v.owner is None and isinstance(v, Constant) and v not in self._barriers:
                    new = self._interner.constant(v)
                    if new is not v:
                        final[v] = new
                        changed = True
            else:
                changed = True
            inputs.append(new)
        if not changed:
            return node
        return self._rebuild(node, inputs)

    def _rebuild(self, node: Apply, inputs: list[Variable]) -> Apply:
        if type(node.op) is Elementwise and all(
            a.type is b.type for a, b in zip(node.inputs, inputs)
        ):
            copy = Apply(node.op, inputs, [out.type for out in node.outputs], node.origin)
        else:
            try:
                copy = node.op.make_node(*inputs, origin=node.origin)
                if copy.outputs[0].type.dtype != node.outputs[0].type.dtype:
                    copy = _rebuild_with_its_float(node, inputs)
            except (ShapeError, TypeMismatchError):
                # Sharper static shapes showed what only the run would have: let the run say it.
                return node
            if any(
                a.type.dtype != b.type.dtype or a.type.ndim != b.type.ndim
                for a, b in zip(node.outputs, copy.outputs)
            ):
                return node
        for before, after in zip(node.outputs, copy.outputs):
            after.name = before.name
            after._tag = before._tag
        return copy

    def _replace(self, before: Sequence[Variable], after: Sequence[Variable]) -> None:
        for old, new in zip(before, after):
            if old is not new:
                self._final[old] = new
                if self._uses_counted and old in self._uses:
                    self._uses[new] = max(self._uses[old], self._uses.get(new, 0))

    def _accept(self, rule: Rule, node: Apply, results: tuple[Variable, ...], depth: int) -> bool:
        """Whether a replacement is of the right types and not the end of an endless story."""
        problem = None
        if depth >= DEEPEST:
            problem = f"is applied to its own result again and again at {node}"
        elif len(results) != len(node.outputs):
            problem = f"gives {len(results)} results for {len(node.outputs)} outputs of {node}"
        else:
            for before, after in zip(node.outputs, results):
                if not before.type.accepts(after.type):
                    problem = f"replaces {before} of {before.type} by {after} of {after.type}"
        if problem is not None and _strict:
            raise CompilerError(f"rewrite rule {rule.name!r} {problem}")
        return problem is None

    def _unsettled(self, results: Iterable[Variable], origin: Origin) -> list[Apply]:
        """The nodes that a rule made, inputs first; they inherit the origin."""
        settled, barriers = self._settled, self._barriers
        order: list[Apply] = []
        seen: set[Apply] = set()
        for result in results:
            root = result.owner
            if root is None or root in settled or root in seen or result in barriers:
                continue
            seen.add(root)
            stack = [(root, iter(root.inputs))]
            while stack:
                node, rest = stack[-1]
                for v in rest:
                    below = v.owner
                    if (
                        below is not None
                        and below not in settled
                        and below not in seen
                        and v not in barriers
                    ):
                        seen.add(below)
                        stack.append((below, iter(below.inputs)))
                        break
                else:
                    order.append(node)
                    stack.pop()
        for node in order:
            if node not in self._original:
                node.origin = origin
                for out in node.outputs:
                    out.origin = origin
        return order


def rewrite(
    outputs: Sequence[Variable],
    rules: Sequence[Rule] | RuleIndex,
    barriers: Collection[Variable] = (),
    interner: Interner | None = None,
) -> tuple[list[Variable], list[Step]]:
    """`outputs` with `rules` applied wherever they fit, and the list of what was done.

    The given graph is not changed. Replacements have the dtype and dimensions of what they
    replace and static sizes at least as precise. Barriers are not replaced and not looked behind.

    Errors: CompilerError inside `strict()` if a rule breaks these promises.
    """
    index = rules if isinstance(rules, RuleIndex) else RuleIndex(rules)
    walk = Walk(index, barriers, interner)
    return walk.run(outputs), walk.log


def _rebuild_with_its_float(node: Apply, inputs: Sequence[Variable]) -> Apply:
    """Integer operands became floatX when the node was built; floatX may be another one now."""
    dtype = node.outputs[0].type.dtype
    if dtype not in FLOATS - HALVES:
        return node.op.make_node(*inputs, origin=node.origin)
    with config.change(floatX=dtype):
        return node.op.make_node(*inputs, origin=node.origin)


def _show(variable: Variable, levels: int = 3) -> str:
    """The expression behind a variable, a few levels deep."""
    node = variable.owner
    if node is None or levels == 0:
        return str(variable) if node is None or variable.name else "..."
    inner = ", ".join(_show(v, levels - 1) for v in node.inputs)
    return f"{node.op}({inner})"
