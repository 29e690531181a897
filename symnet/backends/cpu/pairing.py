"""Which kernels may follow a gemm slab by slab, on the same thread, without waiting for the others.

A kernel that reads each row (or column) of a product only where it works on that row is run by the
thread that has just computed it: the values are still in its own cache, and a barrier falls away.
Bias and activation after a layer, softmax with cross-entropy after the last one, and the masking of
a gradient with the sum that updates a bias are of this kind.

The pair is one step of the tape (`pair` in tape_native.py). Memory that the gemm reads must not be
what the kernel writes; the arena is planned so that no buffer reuses what died one step before.
"""

from dataclasses import dataclass

from symnet.kernels import gemm
from symnet.schedule.kernel import CheckIndex, Index, Kernel, Load, Store
from symnet.schedule.program import KernelStep, MatmulStep, Program


@dataclass(frozen=True, slots=True)
class Pair:
    """Step `first`, a gemm, and the kernel behind it share their slabs along `axis` of gemm.

    flat    the kernel's loop runs over all elements, so slab bounds count rows times columns
    either  the kernel can be cut along either axis, whatever suits the gemm
    """

    first: int
    axis: int
    flat: bool = False
    either: bool = False


def find_pairs(program: Program) -> dict[int, Pair]:
    """The pairs of a program, by the number of their gemm; no step is in two."""
    found: dict[int, Pair] = {}
    for number, (step, following) in enumerate(zip(program.steps, program.steps[1:])):
        if isinstance(step, MatmulStep) and isinstance(following, KernelStep):
            pair = _pair(number, step, following, program.kernels[following.kernel])
            if pair is not None:
                found[number] = pair
    return found


def _pair(number: int, product: MatmulStep, step: KernelStep, kernel: Kernel) -> Pair | None:
    if product.batch != 1 or product.out.column != 1 or step.blocks is not None:
        return None
    storage = product.out.place[0]
    shared = [k for k, place in enumerate(step.operands) if place[0] == storage]
    if not shared or any(step.operands[k] != product.out.place for k in shared):
        return None
    read = {product.a.place[0], product.b.place[0]}
    if product.alpha is not None:
        read.add(product.alpha[0])
    written = {p[0] for p, o in zip(step.operands, kernel.operands) if o.written}
    if written & read:
        return None
    m, n, row = product.m, product.n, product.out.row
    slots = step.slots

    def value(stride: object) -> object:
        return slots[int(stride[1:])] if isinstance(stride, str) else stride

    indices = [
        s.index for s in kernel.statements() if isinstance(s, (Load, Store)) and s.operand in shared
    ]
    checked = {s.name for s in kernel.statements() if isinstance(s, CheckIndex)}

    def stays(index: Index, strides: tuple[object, ...]) -> bool:
        """Whether an access moves as `strides` say, but for places within the row."""
        inside = all(name in checked and stride == 1 for name, stride in index.values)
        moves = tuple(value(s) for s in index.strides)
        if index.values:
            return inside and moves[0] == strides[0] and not any(moves[1:])
        return moves == strides

    if kernel.form == "map" and kernel.loops == 1 and row == n:
        if all(stays(i, (1,)) and not i.values for i in indices):
            return Pair(number, gemm.BY_ROWS, flat=True)
    elif kernel.form in ("map", "rows") and kernel.loops == 2 and slots[0] == m and slots[1] == n:
        if (kernel.form == "map" or kernel.kept == 1) and all(stays(i, (row, 1)) for i in indices):
            return Pair(number, gemm.BY_ROWS, either=kernel.form == "map")
    elif kernel.form == "columns" and kernel.loops == 2 and kernel.kept == 1:
        fits = slots[0] == n and slots[1] == m
        if fits and all(stays(i, (1, row)) and not i.values for i in indices):
            return Pair(number, gemm.BY_COLUMNS)
    return None
