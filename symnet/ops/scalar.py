"""Scalar expressions: the one text from which an element-wise op is lowered to every back end.

Grammar, a common subset of Python and C::

    expression = name                        an argument
               | number                      weak: takes the dtype of its neighbours
               | function(expression, ...)   a name in FUNCTIONS, OURS in meaning (kernels/scalar)
               | expression op expression    + - * / // % < <= > >= == != & | ^
               | -expression | ~expression

Parsed once into trees of `Arg`, `Number` and `Call`. No Python object of the text survives.
"""

import ast
import functools
from dataclasses import dataclass

from symnet.errors import CompilerError

# name: (number of arguments, dtype of the result). "same": the common dtype of the arguments;
# "where": that of the last two; anything else is a dtype.
FUNCTIONS: dict[str, tuple[int, str]] = {
    **dict.fromkeys(
        "neg abs sign square sqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan "
        "arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh sigmoid softplus erf erfc "
        "floor ceil trunc round_even bit_not".split(),
        (1, "same"),
    ),
    **dict.fromkeys(
        "add sub mul true_div floor_div floor_mod maximum minimum power strong_mul arctan2 "
        "bit_and bit_or bit_xor shift_left shift_right".split(),
        (2, "same"),
    ),
    **dict.fromkeys("lt le gt ge eq neq".split(), (2, "bool")),
    **dict.fromkeys("logical_and logical_or logical_xor".split(), (2, "bool")),
    **dict.fromkeys("isnan isinf isfinite".split(), (1, "bool")),
    "logical_not": (1, "bool"),
    "where": (3, "where"),
    **{
        f"cast_{dtype}": (1, dtype)
        for dtype in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
        "float32 float64".split()
    },
    # the nearest half, as a float32; and the way of halves to and from memory
    "round_float16": (1, "float32"),
    "round_bfloat16": (1, "float32"),
    "float16_from_bits": (1, "float32"),
    "bfloat16_from_bits": (1, "float32"),
    "float16_bits": (1, "uint16"),
    "bfloat16_bits": (1, "uint16"),
    **{f"philox_word{k}": (6, "uint32") for k in range(4)},
    "uniform_from_bits_float32": (1, "float32"),
    "uniform_from_bits_float64": (2, "float64"),
    "normal_from_bits_float32": (2, "float32"),
    "normal_from_bits_float64": (4, "float64"),
    "bounded_from_bits": (3, "int64"),
}

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "true_div",
    ast.FloorDiv: "floor_div", ast.Mod: "floor_mod", ast.BitAnd: "logical_and",
    ast.BitOr: "logical_or", ast.BitXor: "logical_xor",
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "neq",
}  # fmt: skip
_UNARY = {ast.USub: "neg", ast.Invert: "logical_not"}


@dataclass(frozen=True, slots=True)
class Arg:
    """The argument at a position."""

    position: int


@dataclass(frozen=True, slots=True)
class Number:
    """A weak literal."""

    value: float | int | bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function of FUNCTIONS applied to trees."""

    function: str
    args: "tuple[Tree, ...]"


Tree = Arg | Number | Call


@functools.cache
def parse(text: str, names: tuple[str, ...]) -> Tree:
    """The tree of a scalar expression over the arguments `names`."""
    positions = {name: k for k, name in enumerate(names)}

    def build(node: ast.AST) -> Tree:  # depth is that of a hand-written text
        if isinstance(node, ast.Name) and node.id in positions:
            return Arg(positions[node.id])
        if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
            return Number(node.value)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return call(_BINARY[type(node.op)], node.left, node.right)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _BINARY:
            return call(_BINARY[type(node.ops[0])], node.left, node.comparators[0])
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
                return Number(-node.operand.value)  # type: ignore[operator]
            return call(_UNARY[type(node.op)], node.operand)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return call(node.func.id, *node.args)
        raise CompilerError(f"scalar expression {text!r}: {ast.dump(node)} is not allowed")

    def call(function: str, *args: ast.AST) -> Tree:
        if function not in FUNCTIONS or FUNCTIONS[function][0] != len(args):
            raise CompilerError(f"scalar expression {text!r}: no {function} of {len(args)}")
        return Call(function, tuple(build(a) for a in args))

    return build(ast.parse(text, mode="eval").body)
