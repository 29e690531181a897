import io

import pytest

import symnet
from symnet.errors import TypeMismatchError
from symnet.graph import TensorType
from symnet.graph.printing import debugprint, pp
from symnet.ops.arithmetic import add, mul, neg, sub
from symnet.ops.exponential import power

VECTOR = TensorType("float32", (None,))
x, y = VECTOR("x"), VECTOR("y")


def test_shared_parts_are_printed_once():
    s = add(x, y)
    s.name = "s"
    assert debugprint(mul(s, s), file="str") == (
        "mul [id A] <float32(?)>\n"
        "├─ add [id B] <float32(?)> 's'\n"
        "│  ├─ x [id C] <float32(?)>\n"
        "│  └─ y [id D] <float32(?)>\n"
        "└─ add [id B] <float32(?)> 's' ...\n"
    )


def test_options():
    out = neg(neg(x))
    assert debugprint([out], file="str", print_type=False, ids="int", depth=2) == (
        "neg [id 0]\n└─ neg [id 1] ...\n"
    )
    assert debugprint(out.owner, file="str", print_type=False, ids="") == ("neg\n└─ neg\n   └─ x\n")
    stream = io.StringIO()
    debugprint(x, file=stream)
    assert stream.getvalue() == "x [id A] <float32(?)>\n"
    with pytest.raises(TypeMismatchError):
        debugprint(x, ids="roman")
    with pytest.raises(TypeMismatchError):
        debugprint(3)


def test_prints_to_standard_output(capsys):
    debugprint(add(x, y), ids="")
    assert capsys.readouterr().out.startswith("add")


def test_one_line():
    assert pp(add(mul(x, y), x)) == "x * y + x"
    assert pp(mul(add(x, y), x)) == "(x + y) * x"
    assert pp(sub(x, sub(y, x))) == "x - (y - x)"
    assert pp(power(power(x, y), x)) == "(x ** y) ** x"
    assert pp(power(neg(x), 2.0)) == "(-x) ** 2."
    assert pp(mul(x, -2.0), neg(x)) == "x * -2., -x"


def test_long_chains():
    out = x
    for _ in range(20_000):
        out = add(out, out)
    assert len(debugprint(out, file="str", depth=10).splitlines()) == 19
    whole = debugprint(out, file="str")
    assert len(whole.splitlines()) == 40_001 and max(map(len, whole.splitlines())) < 300
    assert "..." in pp(out)


def test_one_line_of_compiled_functions_and_lists():
    out = mul(add(x, y), x)
    assert pp(symnet.function([x, y], [out, x])) == "(x + y) * x, x" == pp([out, x])
    with pytest.raises(TypeMismatchError):
        pp(3)
