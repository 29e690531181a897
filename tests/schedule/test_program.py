"""The program IR: its printout, and what the checker refuses."""

from dataclasses import replace

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import CompilerError
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan
from symnet.schedule.program import Program, Reg, check_program

x = T.matrix("x")
labels = T.lvector("labels")


def example() -> Program:
    """A gather that can fail, a product, and a product that is added to a weight."""
    w = symnet.shared(np.ones((4, 4), "float32"), shape=(4, 4))
    h = T.tanh(T.dot(x, w))
    out, new = optimise([h[labels].sum(), w - 0.1 * T.dot(x.T, h)])[0]
    return plan([x, labels], [out], [(w, new)])[0]


def changed(program, **more):
    fields = {name: getattr(program, name) for name in program.__slots__}
    return Program(**(fields | more))


def test_printout():
    lines = str(example()).splitlines()
    assert lines[:5] == [
        "objects",
        "  object 0: input 0 float32(None, None)",
        "  object 1: input 1 int64(None,)",
        "  object 2: shared 0 float32(4, 4)",
        "  object 3: output 0 float32()",
    ]
    assert lines.index("sizes") < lines.index("buffers") < lines.index("steps")
    (product, added) = (line for line in lines if ": gemm" in line)
    assert "gemm object 0 @ object 2" in product
    assert "-0.1 * object 0 @ buffer" in added
    assert added.endswith("+ 1 * itself -> object 2")
    assert lines[-1] == "output 3: float32()"


def test_the_example_is_well_formed():
    program = example()
    check_program(program)
    destroying = len(program.steps) - 1
    assert [bool(getattr(s, "checks", ())) for s in program.steps].index(True) < destroying


def bad_programs():
    program = example()
    steps = program.steps
    failing = next(k for k, s in enumerate(steps) if getattr(s, "checks", ()))
    late = [*steps[:failing], steps[-1], *steps[failing:-1]]
    everywhere = tuple(replace(b, first=0, last=len(steps)) for b in program.buffers)
    shifted = tuple(replace(b, first=b.last) for b in program.buffers)
    product, first = steps[0], next(s for s in steps if hasattr(s, "operands"))
    place = first.operands[0]
    yield "it can fail after", changed(program, steps=tuple(late), buffers=everywhere)
    yield "outside its lifetime", changed(program, buffers=shifted)
    yield "read before it is written", changed(program, steps=steps[1:], buffers=everywhere)
    yield (
        "must not be written",
        changed(program, steps=(replace(product, out=product.a), *steps[1:]), buffers=everywhere),
    )
    yield (
        "reads what it overwrites",
        changed(
            program, steps=(*steps[:-1], replace(steps[-1], a=steps[-1].out)), buffers=everywhere
        ),
    )
    yield "is not written", changed(program, steps=())
    yield (
        "do not fit",
        changed(program, steps=(steps[0], replace(first, operands=first.operands + (place,)))),
    )
    kernel = program.kernels[first.kernel]
    wrong = replace(
        kernel, operands=tuple(replace(o, scope=k) for k, o in enumerate(kernel.operands))
    )
    two = replace(wrong, operands=(*wrong.operands, replace(wrong.operands[0], scope=99)))
    yield (
        "share an array",
        changed(
            program,
            kernels=tuple(two if k is kernel else k for k in program.kernels),
            steps=(steps[0], replace(first, operands=first.operands + (place,))),
            buffers=everywhere,
        ),
    )


BAD = dict(bad_programs())


@pytest.mark.parametrize("why", BAD)
def test_malformed_programs_are_refused(why):
    with pytest.raises(CompilerError, match=why):
        check_program(BAD[why])


def test_registers_serve_all_sizes():
    """The shape program computes every size from dimensions and values of the sources."""
    program = example()
    operators = {op for op, *_ in program.registers}
    assert "dim" in operators
    for number, (_, *args) in enumerate(program.registers):
        assert all(a.number < number for a in args if isinstance(a, Reg))


def test_lifetimes_without_reuse_are_the_whole_program():
    h = T.tanh(T.dot(x, x))
    program, _ = plan([x], [T.dot(h, h), T.dot(T.dot(h, h), h)], reuse=False)
    assert program.buffers
    assert {(b.first, b.last) for b in program.buffers} == {(0, len(program.steps))}
