"""Expressions, sizes, lines and quantities in words that fit into a table."""

import os
import re
import string
from collections.abc import Callable, Collection, Mapping, Sequence

from symnet.backends.words import itemsize
from symnet.graph.op import Op
from symnet.graph.origin import UNKNOWN, Origin
from symnet.graph.printing import pp
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.arithmetic import add, mul, neg, strong_div, strong_mul, sub, true_div
from symnet.ops.barrier import Barrier
from symnet.ops.casting import CASTS
from symnet.ops.contraction import Dot, Gemm
from symnet.ops.gather import CheckedIndex, Take
from symnet.ops.generate import Generate
from symnet.ops.movement import BroadcastTo, DimShuffle
from symnet.ops.shape import ShapeOf
from symnet.schedule.program import Program, Ref, Reg, Storage

LEVELS = 9  # of an expression that is written on one line, at most
TRIES = 16  # parts below these levels for which room is looked for
_WALK = 400  # variables that are looked at to find what two expressions have in common

_CASTS = set(CASTS.values())
_PLAIN: dict[Op, Op] = {strong_mul: mul, strong_div: true_div}

Named = Callable[[Variable], str | None]


# ---- expressions


def brief(variable: Variable, named: Named, width: int = 72, loose: bool = False) -> str:
    """The expression behind a variable on one line of `width` characters, or little more.

    named  the text that stands for a variable; None: it is written out. What does not fit is `…`
    loose  leave out what only arranges dimensions and dtypes: for a glance, not for a proof
    """
    for levels in range(LEVELS, 0, -1):
        cut = _Cut(named, loose)
        text = pp(cut.of(variable, levels))
        if len(text) <= width:
            break
    tries = iter(range(TRIES))
    again = True
    while again:  # there may be room for more here and there
        again = False
        for closed in cut.closed:
            if next(tries, None) is None:
                return text
            wider = _Cut(named, loose, cut.opened | {closed})
            longer = pp(wider.of(variable, levels))
            if len(longer) <= width:
                cut, text, again = wider, longer, True
                break
    return text if len(text) <= 2 * width else f"{variable.owner.op if variable.owner else ''}(…)"


class _Cut:
    """Copies of the tops of expressions, with placeholders below.

    opened  variables that are written out although they lie deeper than the others
    closed  variables that `…` stands for in the last copy, in order
    """

    def __init__(self, named: Named, loose: bool, opened: frozenset[Variable] = frozenset()):
        self.named = named
        self.loose = loose
        self.opened = opened
        self.closed: list[Variable] = []

    def of(self, variable: Variable, levels: int, root: bool = True) -> Variable:
        known = None if root else self.named(variable)
        if known is not None:
            return _placeholder(variable, known)
        node = variable.owner
        if node is None:
            return variable
        if self.loose:
            below = _arranged(node)
            if below is not None:
                return self.of(below, levels, root=False)
        if levels <= 0 and variable not in self.opened:
            if variable not in self.closed:
                self.closed.append(variable)
            return _placeholder(variable, "…")
        if self.loose:
            text = self._said(node, levels)
            if text is not None:
                return _placeholder(variable, text)
            if isinstance(node.op, Gemm):
                return self._gemm(node, levels)
        inputs = [self.of(v, levels - 1, False) for v in node.inputs]
        op = _PLAIN.get(node.op, node.op) if self.loose else node.op
        return Apply(op, inputs, [out.type for out in node.outputs], UNKNOWN).outputs[
            variable.index
        ]

    def _text(self, variable: Variable, levels: int) -> str:
        return pp(self.of(variable, levels - 1, False))

    def _said(self, node: Apply, levels: int) -> str | None:
        """Ops that NumPy has a better notation for."""
        op, inputs = node.op, node.inputs
        if isinstance(op, DimShuffle) and op.order == (1, 0):
            return f"{_atom(self._text(inputs[0], levels))}.T"
        if isinstance(op, ShapeOf):
            return f"{_atom(self._text(inputs[0], levels))}.shape[{op.axis}]"
        if isinstance(op, Take) and op.axes == tuple(range(len(op.axes))):
            indices = ", ".join(self._text(v, levels) for v in inputs[1:])
            return f"{_atom(self._text(inputs[0], levels))}[{indices}]"
        if (
            isinstance(op, Generate)
            and op.name == "arange"
            and [*map(str, inputs[1:])] == ["0", "1"]
        ):
            return f"arange({self._text(inputs[0], levels)})"
        return None

    def _gemm(self, node: Apply, levels: int) -> Variable:
        """A product with what it is added to, as it would be written."""
        c, scale, a, b, weight = node.inputs

        def make(op: Op, *inputs: Variable) -> Variable:
            return Apply(op, inputs, [node.outputs[0].type], UNKNOWN).outputs[0]

        product = make(Dot(), self.of(a, levels - 1, False), self.of(b, levels - 1, False))
        number = str(scale) if isinstance(scale, Constant) else ""
        joined = sub if number.startswith("-") else add
        if number not in ("1.", "-1."):
            factor = (
                _placeholder(scale, number.lstrip("-"))
                if number
                else self.of(scale, levels - 1, False)
            )
            product = make(mul, factor, product)
        if isinstance(weight, Constant) and not weight.data.any():
            return make(neg, product) if joined is sub else product
        start = self.of(c, levels - 1, False)
        if str(weight) != "1.":
            start = make(mul, self.of(weight, levels - 1, False), start)
        return make(joined, start, product)


def _placeholder(variable: Variable, text: str) -> Variable:
    return Variable(variable.type, name=text, origin=UNKNOWN)


def _atom(text: str) -> str:
    """A text to which a suffix may be added."""
    return text if re.fullmatch(r"[\w.]+|…", text) else f"({text})"


def _arranged(node: Apply) -> Variable | None:
    """What a node only arranges or checks, or gives another dtype."""
    op = node.op
    plain = isinstance(op, (BroadcastTo, Barrier, CheckedIndex)) or op in _CASTS
    if plain or (isinstance(op, DimShuffle) and op.kept == tuple(sorted(op.kept))):
        return node.inputs[0]
    return None


def equation(
    before: Variable, after: Variable, taken: Collection[str] = (), width: int = 64
) -> tuple[str, str, list[str]]:
    """Both sides of a rewriting, and what the letters in them stand for.

    Parts that the sides share are written as letters where they are long; not by those `taken`.
    """
    inside = _inside(before)
    shared: dict[Variable, None] = {}
    stack, seen = [after], {after}
    while stack and len(seen) < _WALK:
        variable = stack.pop()
        if variable in inside:
            shared.setdefault(variable)
        elif variable.owner is not None:
            fresh = [v for v in variable.owner.inputs if v not in seen]
            seen.update(fresh)
            stack.extend(reversed(fresh))
    taken = {*taken, *(v.name for v in [*inside, *seen] if v.name)}
    letters = iter([c for c in string.ascii_lowercase if c not in taken and c not in "eijlo"])
    names: dict[Variable, str] = {}
    legend: list[str] = []

    def plain(variable: Variable) -> str | None:
        return variable.name or None

    for variable in shared:
        if variable.owner is None:
            continue
        text = variable.name or brief(variable, plain, 56)
        if variable.name or text.replace("_", "").isalnum():
            names[variable] = text
            continue
        letter = next(letters, None)
        if letter is not None:
            names[variable] = letter
            legend.append(f"{letter} = {text}")

    def named(variable: Variable) -> str | None:
        return names.get(variable) or plain(variable)

    left = brief(before, named, width)
    right = names[after] if after in names else brief(after, named, width)
    used = "".join((left, " ", right))
    return left, right, [text for text in legend if _mentions(used, text[0])]


def _mentions(text: str, letter: str) -> bool:
    padded = f" {text} "
    return any(
        padded[k] == letter and not (padded[k - 1].isalnum() or padded[k + 1].isalnum())
        for k in range(1, len(padded) - 1)
    )


def _inside(root: Variable) -> set[Variable]:
    """Variables behind `root`, the nearest first, up to a limit."""
    found: dict[Variable, None] = {}
    level = [root]
    while level and len(found) < _WALK:
        below: list[Variable] = []
        for variable in level:
            for v in variable.owner.inputs if variable.owner is not None else ():
                if v not in found:
                    found[v] = None
                    below.append(v)
        level = below
    return set(found)


def typed(type_: TensorType) -> str:
    """A dtype with sizes, as `float32[?, 784]`; a scalar has none."""
    sizes = ", ".join("?" if s is None else str(s) for s in type_.shape)
    return f"{type_.dtype}[{sizes}]" if type_.shape else type_.dtype


def constant_text(variable: Constant) -> str:
    return str(variable) if variable.data.size <= 4 else f"constant {typed(variable.type)}"


# ---- lines


def place(origin: Origin) -> str:
    """`file:line`; the file as seen from the working folder, where it lies below that."""
    if origin.file == UNKNOWN.file:
        return "(unknown)"
    return f"{file_text(origin.file)}:{origin.line}"


def file_text(file: str) -> str:
    if not os.path.isabs(file):
        return file
    try:
        near = os.path.relpath(file)
    except ValueError:  # another drive
        return file
    return file if near.startswith("..") else near


# ---- sizes

_SIGNS = {
    "add": " + ", "sub": " - ", "mul": "·", "floordiv": " // ", "mod": " % ",
    "eq": " == ", "ne": " != ", "lt": " < ", "le": " <= ", "and": " and ", "or": " or ",
}  # fmt: skip


class Sizes:
    """The sizes of a program as texts and, where a binding is known, as numbers.

    labels  what the program's objects are called
    values  the registers of the shape program, or None
    """

    def __init__(self, program: Program, labels: Sequence[str], values: Mapping[int, int] | None):
        self._program = program
        self._values = values
        self._dims = {
            (args[0], args[1]): Reg(k)
            for k, (operator, *args) in enumerate(program.registers)
            if operator == "dim"
        }
        self._shapes: dict[int, Sequence[Ref]] = {o.object: o.shape for o in program.outputs}
        self._texts: list[str] = []
        for operator, *args in program.registers:
            if operator == "dim":
                text = f"{labels[args[0]]}.shape[{args[1]}]"
            elif operator == "value":
                text = labels[args[0]]
            else:
                parts = [self._part(a) for a in args]
                sign = _SIGNS.get(operator)
                text = sign.join(parts) if sign else f"{operator}({', '.join(parts)})"
            self._texts.append(text)

    def _part(self, ref: object) -> str:
        text = self.text(ref)
        return f"({text})" if " " in text and not text.endswith(")") else text

    def number(self, ref: object) -> int | None:
        """A size as a number; None where it is not known."""
        if isinstance(ref, Reg):
            return None if self._values is None else self._values[ref.number]
        return ref if isinstance(ref, int) else None

    def bytes(self, storage: Storage) -> int | None:
        """The size of an array or buffer; None where it is not known."""
        kind, number = storage
        if kind == "buffer":
            buffer = self._program.buffers[number]
            dtype = buffer.dtype
            sizes: list[Ref | None] = [buffer.size]
        elif kind == "object":
            o = self._program.objects[number]
            dtype = o.dtype
            static = [
                self._dims.get((number, k)) if s is None else s for k, s in enumerate(o.shape)
            ]
            sizes = [*self._shapes.get(number, static)]
        else:
            return None
        total = itemsize(dtype)
        for ref in sizes:
            size = self.number(ref)
            if size is None:
                return None
            total *= size
        return total

    def text(self, ref: object) -> str:
        """A size as the formula by which it is computed before a call."""
        if isinstance(ref, Reg):
            text = self._texts[ref.number]
            return text if len(text) <= 60 else f"r{ref.number}"
        return str(ref)

    def shown(self, ref: object) -> str:
        """The number, or where it is not known the formula."""
        number = self.number(ref)
        return self.text(ref) if number is None else str(number)


# ---- quantities


def bytes_text(count: int | None) -> str:
    """Bytes in the unit that leaves three digits or so; powers of 1024."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return (
        f"{count} B"
        if unit == "B"
        else f"{size:.3g} {unit}"
        if size < 999.5
        else f"{size:.0f} {unit}"
    )


def time_text(seconds: float | None) -> str:
    """Seconds as microseconds, milliseconds or seconds."""
    if seconds is None:
        return ""
    if seconds < 0.9995e-3:
        micro = seconds * 1e6
        return (
            f"{micro:.0f} µs"
            if micro >= 99.5
            else f"{micro:.1f} µs"
            if micro >= 9.95
            else f"{micro:.2f} µs"
        )
    if seconds < 1:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds:.2f} s"


def rate_text(per_second: float, unit: str) -> str:
    """`12.3 GB/s`, in thousands of millions."""
    rate = per_second * 1e-9
    return f"{rate:.0f} G{unit}" if rate >= 99.5 else f"{rate:#.3g} G{unit}"


def counted(number: int, one: str) -> str:
    """`1 kernel`, `2 kernels`."""
    return f"{number} {one}{'' if number == 1 else 's'}"


def times_text(number: int) -> str:
    return "once" if number == 1 else "twice" if number == 2 else f"{number} times"


def table(rows: Sequence[Sequence[str]], right: str) -> list[str]:
    """Rows of cells as lines, columns aligned; `right` has an `r` for each to go to the right."""
    columns = max(map(len, rows))
    widths = [max((len(r[k]) for r in rows if k < len(r)), default=0) for k in range(columns)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(widths[k]) if k < len(right) and right[k] == "r" else cell.ljust(widths[k])
            for k, cell in enumerate(row)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
