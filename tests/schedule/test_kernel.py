"""The kernel IR: its printout, and what the checker refuses."""

from dataclasses import replace

import pytest

from symnet.errors import CompilerError
from symnet.schedule.kernel import (
    Accumulator,
    CheckIndex,
    Counter,
    Index,
    Kernel,
    Let,
    Literal,
    Load,
    Operand,
    Scalar,
    Stage,
    Store,
    check_kernel,
)

ROW, FULL = Index((1, 0)), Index(("s2", 1))
READ = Operand("float32", 0, written=False)
WRITTEN = Operand("float32", 1, written=True)


def rows(stages, operands=(READ, WRITTEN), **more):
    return Kernel("rows", 1, 1, operands, ("float32",), 3, tuple(stages), **more)


def shifted_by_its_maximum(store):
    """x - max(x, axis=1), written by `store`."""
    return rows(
        [
            Stage(
                (), (Load("v0", 0, FULL, "float32"),), (Accumulator("v1", "max", "v0", "float32"),)
            ),
            Stage(
                (),
                (Load("v2", 0, FULL, "float32"), Let("v3", "sub", ("v2", "v1"), "float32"), store),
            ),
        ]
    )


GOOD = shifted_by_its_maximum(Store(1, FULL, "v3"))


def map_kernel(*statements, operands=(READ, WRITTEN), **more):
    """A map over one loop."""
    return Kernel("map", 1, 0, operands, ("float32",), 1, (Stage(tuple(statements)),), **more)


LOAD, STORE = Load("v0", 0, Index((1,)), "float32"), Store(1, Index((1,)), "v0")


def test_printout():
    assert str(GOOD) == (
        "kernel rows, 1 kept and 1 reduced loops\n"
        "  p0: float32* scope 0\n"
        "  p1: float32* scope 1 written\n"
        "  for i0<s0:\n"
        "    for i1<s1:\n"
        "      v0: float32 = p0[i0*s2 + i1]\n"
        "      v1: float32 = max of v0\n"
        "    for i1<s1:\n"
        "      v2: float32 = p0[i0*s2 + i1]\n"
        "      v3: float32 = sub(v2, v1)\n"
        "      p1[i0*s2 + i1] = v3"
    )


def test_printout_of_every_statement():
    kernel = map_kernel(
        Scalar("v0", 0, "float32"),
        Counter("v1", Index((1,)), 3),
        CheckIndex("v2", "v1", "s0", 0, negative=True),
        CheckIndex("v3", "v1", "s0", 1, negative=False),
        Let("v4", "add", ("v0", Literal(0.5, "float32")), "float32"),
        Load("v5", 0, Index((0,), (("v2", 1), ("v3", 4))), "float32"),
        Store(1, Index((1,)), "v4", add=True),
        can_fail=True,
    )
    check_kernel(kernel)
    assert str(kernel).splitlines()[4:] == [
        "    v0: float32 = scalar 0",
        "    v1: int64 = i0 + 3",
        "    v2: int64 = check_index(v1, s0)",
        "    v3: int64 = check_label(v1, s0)",
        "    v4: float32 = add(v0, 0.5:float32)",
        "    v5: float32 = p0[v2 + v3*4]",
        "    p1[i0] += v4",
    ]


def test_one_place_chosen_at_run_time_may_be_written_in_any_order():
    at = Load("v1", 1, Index((0,)), "int64")
    store = Store(2, Index((1,), (("v1", "s1"),)), "v0", add=True)
    operands = (READ, Operand("int64", 1, written=False), replace(WRITTEN, scope=2))
    kernel = replace(map_kernel(LOAD, at, store, operands=operands), slots=2)
    check_kernel(kernel)
    with pytest.raises(CompilerError, match="twice"):
        check_kernel(
            replace(
                map_kernel(LOAD, replace(at, index=Index((1,))), store, operands=operands), slots=2
            )
        )


def test_good_kernels_pass():
    check_kernel(GOOD)
    check_kernel(map_kernel(LOAD, STORE))
    in_place = (replace(READ, written=True),)
    check_kernel(map_kernel(LOAD, Store(0, Index((1,)), "v0"), operands=in_place))


BAD = {
    "form": replace(GOOD, form="spiral"),
    "no reductions": replace(map_kernel(LOAD, STORE), reduced=1, slots=2),
    "one stage": replace(GOOD, form="blocks"),
    "slots for the extents": replace(GOOD, slots=1),
    "used before": map_kernel(STORE),
    "defined twice": map_kernel(LOAD, LOAD, STORE),
    "no operand": map_kernel(replace(LOAD, operand=7), STORE),
    "no slot": map_kernel(replace(LOAD, index=Index(("s4",))), STORE),
    "no scalar": map_kernel(Scalar("v0", 1, "float32"), STORE),
    "strides": map_kernel(replace(LOAD, index=FULL), STORE),
    "not written": map_kernel(LOAD, replace(STORE, operand=0)),
    "over reduced loops": rows([Stage((Load("v0", 0, FULL, "float32"),))]),
    "can fail": map_kernel(LOAD, CheckIndex("v1", "v0", 3, 0, True), STORE),
    "writes an element many times": map_kernel(LOAD, replace(STORE, index=Index((0,)))),
    "may write an element twice": map_kernel(
        LOAD, Counter("v1", Index((1,))), Store(1, Index((1,), (("v1", 1),)), "v0")
    ),
    "write one array": map_kernel(LOAD, STORE, STORE),
}


@pytest.mark.parametrize("why", BAD)
def test_malformed_kernels_are_refused(why):
    with pytest.raises(CompilerError, match=why) as caught:
        check_kernel(BAD[why])
    assert str(BAD[why]) in str(caught.value)


BOTH = replace(READ, written=True)
HAZARDS = {
    "overwrites what": [
        map_kernel(LOAD, Store(0, Index((-1,)), "v0"), operands=(BOTH,)),
        # the same array by another offset
        map_kernel(LOAD, Store(1, Index((1,)), "v0"), operands=(READ, replace(BOTH, scope=0))),
    ],
    "has overwritten": [
        map_kernel(Scalar("v1", 0, "float32"), Store(0, Index((1,)), "v1"), LOAD, operands=(BOTH,)),
        replace(
            rows(
                [
                    Stage(
                        (),
                        (Load("v0", 0, FULL, "float32"), Store(0, FULL, "v0")),
                        (Accumulator("v1", "max", "v0", "float32"),),
                    ),
                    Stage((), (Load("v2", 0, FULL, "float32"), Store(1, FULL, "v2"))),
                ]
            ),
            operands=(BOTH, WRITTEN),
        ),
    ],
}


@pytest.mark.parametrize("why", HAZARDS)
def test_values_that_are_overwritten_too_early_are_found(why):
    for kernel in HAZARDS[why]:
        with pytest.raises(CompilerError, match=why):
            check_kernel(kernel)


def test_equal_kernels_are_equal_whatever_they_cost():
    again = shifted_by_its_maximum(Store(1, FULL, "v3"))
    assert replace(again, cost=9) == GOOD
    assert hash(replace(again, cost=9)) == hash(GOOD)


HALF = Operand("float16", 1, written=True)
WIDE = Load("v0", 0, Index((1,)), "float64")


@pytest.mark.parametrize(
    "kernel",
    [
        map_kernel(Load("v0", 0, Index((1,)), "float16"), STORE),
        map_kernel(LOAD, Let("v1", "neg", ("v0",), "bfloat16"), STORE),
        map_kernel(LOAD, Store(1, Index((1,)), Literal(1.0, "bfloat16"))),
        map_kernel(WIDE, STORE, operands=(replace(READ, dtype="float64"), HALF)),
        map_kernel(LOAD, STORE, operands=(READ, replace(HALF, per_thread=True))),
        replace(map_kernel(LOAD, STORE), scalars=("float16",)),
    ],
    ids=["loaded", "computed", "literal", "stored", "scratch", "scalar"],
)
def test_halves_are_in_memory_only(kernel):
    with pytest.raises(CompilerError, match="halves"):
        check_kernel(kernel)


def test_halves_in_memory():
    check_kernel(map_kernel(LOAD, STORE, operands=(replace(READ, dtype="bfloat16"), HALF)))
