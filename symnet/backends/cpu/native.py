"""Word programs: a small subset of Python over int64, compiled straight to LLVM.

The pool and the tape are a few hundred lines of integer and pointer arithmetic. Numba takes about a
second to type them; this compiler takes a few hundredths, for it has one type. Kernels, which need
every dtype, go through Numba (compile.py).

A program is the text of a module. Its functions take and return int64 (no `return` means 0). In
their bodies:

    names        local variables, the constants handed in, and functions of the program, whose
                 value is their address
    p[i]         the int64 at the address p + 8 * i, to read or to assign
    operators    + - * & | ^ << >> wrap; // and % round down as in Python (divisors must not be 0);
                 comparisons, `and`, `or`, `not` and `a if c else b`
    statements   assignment, if, while, for over range, break, continue, return
    calls        functions of the program, and the words of `_WORDS` below: atomic access to p[i],
                 narrow loads, calls of C functions by address, the clock
"""

import ast
import hashlib
from collections.abc import Mapping
from typing import Any

from symnet.backends.cpu.compile import fingerprint, once
from symnet.backends.cpu.compile_llvm import Code, emit
from symnet.errors import CompilerError


def word_functions(text: str, constants: Mapping[str, int]) -> dict[str, int]:
    """Compile a word program; returns the addresses of its functions by name.

    `constants` are the names that the program may use for numbers. Raises `CompilerError` naming
    the line when the text is outside the subset.
    """
    numbers = sorted((name, value) for name, value in constants.items() if isinstance(value, int))
    content = f"word program 1\n{numbers}\n{fingerprint()}\n{text}"
    key = hashlib.sha256(content.encode()).hexdigest()[:40]
    return once(key, lambda: _compile(text, dict(numbers), f"symnet_{key}"))


def _compile(text: str, constants: dict[str, int], prefix: str) -> Code:
    symbols, assembly = _assembly(text, constants, prefix)
    return emit([assembly], symbols, thorough=False)


def _assembly(text: str, constants: dict[str, int], prefix: str) -> tuple[dict[str, str], str]:
    from llvmlite import ir  # noqa: PLC0415  (only when compiling)

    module = ir.Module("words")
    word = ir.IntType(64)
    definitions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    functions = {}
    for node in definitions:
        signature = ir.FunctionType(word, [word] * len(node.args.args))
        functions[node.name] = ir.Function(module, signature, f"{prefix}_{node.name}")
    for node in definitions:
        _Function(ir, node, functions, constants).translate()
    return {name: function.name for name, function in functions.items()}, str(module)


class _Function:
    """Translates one function. Variables live on the stack until LLVM promotes them."""

    def __init__(self, ir: Any, node: ast.FunctionDef, functions: dict, constants: dict):
        self.ir, self.node, self.functions, self.constants = ir, node, functions, constants
        self.word, self.byte = ir.IntType(64), ir.IntType(8)
        self.function = functions[node.name]
        entry = self.function.append_basic_block("entry")
        self.b = ir.IRBuilder(self.function.append_basic_block("body"))
        self.entry = ir.IRBuilder(entry)
        self.variables: dict[str, Any] = {}
        self.loops: list[tuple[Any, Any]] = []  # (where continue goes, where break goes)

    def translate(self) -> None:
        for argument, value in zip(self.node.args.args, self.function.args):
            self.b.store(value, self.variable(argument.arg))
        self.block(self.node.body)
        if not self.b.block.is_terminated:
            self.b.ret(self.number(0))
        self.entry.branch(self.function.blocks[1])

    # ---- helpers ----

    def number(self, value: int) -> Any:
        return self.ir.Constant(self.word, int(value))

    def variable(self, name: str) -> Any:
        if name not in self.variables:
            self.variables[name] = self.entry.alloca(self.word, name=name)
            self.entry.store(self.number(0), self.variables[name])
        return self.variables[name]

    def refuse(self, node: ast.AST) -> CompilerError:
        line = getattr(node, "lineno", "?")
        return CompilerError(f"line {line}: not in the subset: {ast.unparse(node)}")

    def pointer(self, address: Any, kind: Any = None) -> Any:
        return self.b.inttoptr(address, (kind or self.word).as_pointer())

    def condition(self, node: ast.expr) -> Any:
        return self.b.icmp_signed("!=", self.value(node), self.number(0))

    # ---- statements ----

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if self.b.block.is_terminated:
                return
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=value):
                self.value(value)
            case ast.Assign(targets=targets, value=value):
                self.assign(node, targets, value)
            case ast.AugAssign(target=target, op=op, value=value):
                loaded = ast.copy_location(ast.BinOp(_as_load(target), op, value), node)
                self.store(target, self.value(loaded))
            case ast.If(test=test, body=body, orelse=otherwise):
                self.branches(test, body, otherwise)
            case ast.While(test=test, body=body, orelse=[]):
                self.loop(lambda: self.condition(test), body, lambda: None)
            case ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(func=ast.Name(id="range"), args=limits),
                orelse=[],
            ):
                self.count(name, limits, node.body)
            case ast.Return(value=value):
                self.b.ret(self.value(value) if value else self.number(0))
            case ast.Break():
                self.b.branch(self.loops[-1][1])
            case ast.Continue():
                self.b.branch(self.loops[-1][0])
            case _:
                raise self.refuse(node)

    def assign(self, node: ast.Assign, targets: list[ast.expr], value: ast.expr) -> None:
        if len(targets) == 1 and isinstance(targets[0], ast.Tuple):
            if not isinstance(value, ast.Tuple) or len(value.elts) != len(targets[0].elts):
                raise self.refuse(node)
            values = [self.value(element) for element in value.elts]
            for target, element in zip(targets[0].elts, values):
                self.store(target, element)
        else:
            result = self.value(value)
            for target in targets:
                self.store(target, result)

    def store(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name) if name not in self.constants and name not in self.functions:
                self.b.store(value, self.variable(name))
            case ast.Subscript(value=base, slice=index):
                self.b.store(value, self.place(base, index), align=8)
            case _:
                raise self.refuse(target)

    def place(self, base: ast.expr, index: ast.expr) -> Any:
        pointer = self.pointer(self.value(base))
        return self.b.gep(pointer, [self.value(index)], source_etype=self.word)

    def branches(self, test: ast.expr, body: list[ast.stmt], otherwise: list[ast.stmt]) -> None:
        then, other, after = (self.function.append_basic_block() for _ in range(3))
        self.b.cbranch(self.condition(test), then, other)
        for start, statements in ((then, body), (other, otherwise)):
            self.b.position_at_end(start)
            self.block(statements)
            if not self.b.block.is_terminated:
                self.b.branch(after)
        self.b.position_at_end(after)

    def loop(self, test: Any, body: list[ast.stmt], step: Any) -> None:
        head, inside, next_, after = (self.function.append_basic_block() for _ in range(4))
        self.b.branch(head)
        self.b.position_at_end(head)
        self.b.cbranch(test(), inside, after)
        self.b.position_at_end(inside)
        self.loops.append((next_, after))
        self.block(body)
        self.loops.pop()
        if not self.b.block.is_terminated:
            self.b.branch(next_)
        self.b.position_at_end(next_)
        step()
        self.b.branch(head)
        self.b.position_at_end(after)

    def count(self, name: str, limits: list[ast.expr], body: list[ast.stmt]) -> None:
        """As Python: the limits are read once, and assigning the variable does not end the loop."""
        values = [self.value(limit) for limit in limits]
        start, stop = (self.number(0), values[0]) if len(values) == 1 else values[:2]
        if len(values) == 3:
            raise CompilerError("range with a step is not in the subset")
        counter = self.entry.alloca(self.word)
        self.b.store(start, counter)
        variable = self.variable(name)

        def test() -> Any:
            now = self.b.load(counter, typ=self.word)
            more = self.b.icmp_signed("<", now, stop)
            # the variable keeps its last value when the loop ends
            kept = self.b.select(more, now, self.b.load(variable, typ=self.word))
            self.b.store(kept, variable)
            return more

        def step() -> None:
            now = self.b.load(counter, typ=self.word)
            self.b.store(self.b.add(now, self.number(1)), counter)

        self.loop(test, body, step)

    # ---- expressions ----

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int(value)):
                return self.number(value)
            case ast.Name(id=name) if name in self.variables:
                return self.b.load(self.variables[name], typ=self.word)
            case ast.Name(id=name) if name in self.constants:
                return self.number(self.constants[name])
            case ast.Name(id=name) if name in self.functions:
                return self.b.ptrtoint(self.functions[name], self.word)
            case ast.Subscript(value=base, slice=index):
                return self.b.load(self.place(base, index), align=8, typ=self.word)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _BINARY[type(op)](self.b, self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.b.neg(self.value(operand))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.b.zext(self.b.not_(self.condition(operand)), self.word)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                left, right = self.value(left), self.value(right)
                return self.b.zext(self.b.icmp_signed(_COMPARE[type(op)], left, right), self.word)
            case ast.BoolOp(op=op, values=values):
                return self.shortcut(isinstance(op, ast.And), values)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self.choice(test, lambda: self.value(body), lambda: self.value(otherwise))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(node, name, [self.value(a) for a in args])
            case _:
                raise self.refuse(node)

    def shortcut(self, both: bool, values: list[ast.expr]) -> Any:
        """`and` and `or`, which give 0 or 1."""
        first, rest = values[0], values[1:]
        if not rest:
            return self.b.zext(self.condition(first), self.word)
        go_on = lambda: self.shortcut(both, rest)
        decided = lambda: self.number(0 if both else 1)
        return self.choice(first, go_on, decided) if both else self.choice(first, decided, go_on)

    def choice(self, test: ast.expr, yes: Any, no: Any) -> Any:
        result = self.entry.alloca(self.word)
        then, other, after = (self.function.append_basic_block() for _ in range(3))
        self.b.cbranch(self.condition(test), then, other)
        for start, make in ((then, yes), (other, no)):
            self.b.position_at_end(start)
            self.b.store(make(), result)
            self.b.branch(after)
        self.b.position_at_end(after)
        return self.b.load(result, typ=self.word)

    def call(self, node: ast.expr, name: str, args: list[Any]) -> Any:
        if name in self.functions:
            if len(args) != len(self.functions[name].args):
                raise self.refuse(node)
            return self.b.call(self.functions[name], args)
        if name not in _WORDS:
            raise self.refuse(node)
        result = _WORDS[name](self, *args)
        return self.number(0) if result is None else result


def _as_load(target: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(target), mode="eval").body


def _floor_divide(b: Any, x: Any, y: Any) -> Any:
    quotient = b.sdiv(x, y)
    return b.sub(quotient, b.zext(_rounds_up(b, x, y), x.type))


def _floor_remainder(b: Any, x: Any, y: Any) -> Any:
    rest = b.srem(x, y)
    return b.add(rest, b.select(_rounds_up(b, x, y), y, x.type(0)))


def _rounds_up(b: Any, x: Any, y: Any) -> Any:
    """Whether the machine's quotient, cut towards zero, is above the floor."""
    rest = b.srem(x, y)
    inexact = b.icmp_signed("!=", rest, x.type(0))
    return b.and_(inexact, b.icmp_signed("<", b.xor(rest, y), x.type(0)))


_BINARY = {
    ast.Add: lambda b, x, y: b.add(x, y),
    ast.Sub: lambda b, x, y: b.sub(x, y),
    ast.Mult: lambda b, x, y: b.mul(x, y),
    ast.BitAnd: lambda b, x, y: b.and_(x, y),
    ast.BitOr: lambda b, x, y: b.or_(x, y),
    ast.BitXor: lambda b, x, y: b.xor(x, y),
    ast.LShift: lambda b, x, y: b.shl(x, y),
    ast.RShift: lambda b, x, y: b.ashr(x, y),
    ast.FloorDiv: _floor_divide,
    ast.Mod: _floor_remainder,
}
_COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


# ---- words: what a program may call ----


def _narrow_load(bits: int, signed: bool) -> Any:
    def load(f: _Function, address: Any) -> Any:
        kind = f.ir.IntType(bits)
        value = f.b.load(f.pointer(address, kind), align=1, typ=kind)
        return (f.b.sext if signed else f.b.zext)(value, f.word)

    return load


def _word_at(f: _Function, base: Any, index: Any) -> Any:
    return f.b.gep(f.pointer(base), [index], source_etype=f.word)


def _atomic_load(f: _Function, base: Any, index: Any) -> Any:
    return f.b.load_atomic(_word_at(f, base, index), "seq_cst", 8, typ=f.word)


def _atomic_store(f: _Function, base: Any, index: Any, value: Any) -> None:
    f.b.store_atomic(value, _word_at(f, base, index), "release", 8)


def _atomic_read_modify_write(operation: str) -> Any:
    """Returns the value before."""

    def modify(f: _Function, base: Any, index: Any, value: Any) -> Any:
        return f.b.atomic_rmw(operation, _word_at(f, base, index), value, "seq_cst")

    return modify


def _atomic_cas(f: _Function, base: Any, index: Any, expected: Any, value: Any) -> Any:
    """Returns the value before, which is `expected` when the exchange took place."""
    place = _word_at(f, base, index)
    return f.b.extract_value(f.b.cmpxchg(place, expected, value, "seq_cst", "seq_cst"), 0)


def _c_call(result_bits: int) -> Any:
    """Call a C function by address with int64 arguments."""

    def call(f: _Function, address: Any, *args: Any) -> Any:
        result = f.ir.IntType(result_bits) if result_bits else f.ir.VoidType()
        kind = f.ir.FunctionType(result, [f.word] * len(args))
        value = f.b.call(f.pointer(address, kind), args)
        return f.b.sext(value, f.word) if 0 < result_bits < 64 else value if result_bits else None

    return call


def _variadic_call(f: _Function, address: Any, first: Any, *rest: Any) -> Any:
    """Call a C function of the form `long f(long, ...)`, as `syscall` is."""
    kind = f.ir.FunctionType(f.word, [f.word], var_arg=True)
    return f.b.call(f.pointer(address, kind), [first, *rest])


def _stack(f: _Function, words: Any) -> Any:
    """The address of a constant number of words on the stack, the same in every iteration."""
    return f.b.ptrtoint(f.entry.alloca(f.word, words), f.word)


def _clock_ns(f: _Function, clock_gettime: Any, clock: Any) -> Any:
    """Nanoseconds of a POSIX clock."""
    time = f.entry.alloca(f.word, f.number(2))
    _c_call(32)(f, clock_gettime, clock, f.b.ptrtoint(time, f.word))
    seconds = f.b.load(time, typ=f.word)
    rest = f.b.load(f.b.gep(time, [f.number(1)], source_etype=f.word), typ=f.word)
    return f.b.add(f.b.mul(seconds, f.number(10**9)), rest)


def _pause(f: _Function) -> None:
    """Tell the processor that this thread is spinning."""
    import platform  # noqa: PLC0415

    machine = platform.machine()
    if machine in ("x86_64", "AMD64"):
        name, args = "llvm.x86.sse2.pause", []
    elif machine in ("aarch64", "arm64"):
        name, args = "llvm.aarch64.hint", [f.ir.Constant(f.ir.IntType(32), 1)]
    else:
        return
    module = f.function.module
    known = module.globals.get(name)
    kind = f.ir.FunctionType(f.ir.VoidType(), [a.type for a in args])
    f.b.call(known or f.ir.Function(module, kind, name), args)


_WORDS = {
    **{f"load_int{n}": _narrow_load(n, True) for n in (8, 16, 32)},
    **{f"load_uint{n}": _narrow_load(n, False) for n in (8, 16, 32)},
    "atomic_load": _atomic_load,
    "atomic_store": _atomic_store,
    "atomic_add": _atomic_read_modify_write("add"),
    "atomic_exchange": _atomic_read_modify_write("xchg"),
    "atomic_cas": _atomic_cas,
    "call_c": _c_call(64),
    "call_int": _c_call(32),
    "call_void": _c_call(0),
    "call_variadic": _variadic_call,
    "min": lambda f, x, y: f.b.select(f.b.icmp_signed("<", x, y), x, y),
    "max": lambda f, x, y: f.b.select(f.b.icmp_signed(">", x, y), x, y),
    "stack": _stack,
    "clock_ns": _clock_ns,
    "pause": _pause,
}
