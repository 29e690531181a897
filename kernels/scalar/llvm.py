"""Traces as LLVM IR, for Numba's CPU back end. Imported only when something is compiled."""

from __future__ import annotations

import functools
import platform
from typing import Any

import llvmlite.binding
from llvmlite import ir

from symnet.kernels.scalar.registry import FUNCTIONS
from symnet.kernels.scalar.trace import Number, Target, Value, bits_of

_OPERATIONS = {
    "and": "and_", "or": "or_", "xor": "xor", "shl": "shl",
    "add": "add", "sub": "sub", "mul": "mul",
}  # fmt: skip
_PREDICATES = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_INTRINSICS = {
    "abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "round_even": "roundeven",
}  # fmt: skip


def llvm_type(dtype: str) -> ir.Type:
    """The register type of a dtype (bool is i1; integers have no sign)."""
    if dtype == "float32":
        return ir.FloatType()
    return ir.DoubleType() if dtype == "float64" else ir.IntType(bits_of(dtype))


class LLVMTarget(Target):
    """Writes through an llvmlite builder at its current position."""

    def __init__(self, builder: ir.IRBuilder, fused: bool = True):
        self.builder, self.fused = builder, fused

    def constant(self, value: Number, dtype: str) -> Any:
        kind = llvm_type(dtype)
        return ir.Constant(kind, float(value) if dtype.startswith("float") else int(value))

    def binary(self, op: str, a: Value, b: Value) -> Any:
        build = self.builder
        if op == "shr":
            return (build.ashr if a.signed else build.lshr)(a.handle, b.handle)
        if op in ("div", "rem"):
            prefix = "f" if a.floating else "s" if a.signed else "u"
            return getattr(build, prefix + op)(a.handle, b.handle)
        name = "f" + op if a.floating else _OPERATIONS[op]
        return getattr(build, name)(a.handle, b.handle)

    def unary(self, op: str, a: Value) -> Any:
        if op == "neg":
            return self.builder.fneg(a.handle) if a.floating else self.builder.neg(a.handle)
        if op == "invert":
            return self.builder.not_(a.handle)
        return self._intrinsic(_INTRINSICS[op], a.dtype, [a.handle])

    def compare(self, op: str, a: Value, b: Value) -> Any:
        sign = _PREDICATES[op]
        if a.floating:
            test = self.builder.fcmp_unordered if op == "ne" else self.builder.fcmp_ordered
        else:
            test = self.builder.icmp_signed if a.signed else self.builder.icmp_unsigned
        return test(sign, a.handle, b.handle)

    def select(self, condition: Value, a: Value, b: Value) -> Any:
        return self.builder.select(condition.handle, a.handle, b.handle)

    def muladd(self, a: Value, b: Value, c: Value) -> Any:
        return self._intrinsic("fmuladd", a.dtype, [a.handle, b.handle, c.handle])

    def product_error(self, a: Value, b: Value, product: Value) -> Any:
        minus = self.builder.fneg(product.handle)
        return self._intrinsic("fma", a.dtype, [a.handle, b.handle, minus])

    def convert(self, a: Value, dtype: str) -> Any:
        build, kind = self.builder, llvm_type(dtype)
        if a.floating:
            if dtype.startswith("float"):
                return (build.fpext if bits_of(dtype) > a.width else build.fptrunc)(a.handle, kind)
            return (build.fptoui if dtype[0] == "u" else build.fptosi)(a.handle, kind)
        if dtype.startswith("float"):
            return (build.sitofp if a.signed else build.uitofp)(a.handle, kind)
        if bits_of(dtype) == a.width:
            return a.handle
        if bits_of(dtype) < a.width:
            return build.trunc(a.handle, kind)
        return (build.sext if a.signed else build.zext)(a.handle, kind)

    def bitcast(self, a: Value, dtype: str) -> Any:
        kind = llvm_type(dtype)
        return a.handle if a.handle.type == kind else self.builder.bitcast(a.handle, kind)

    def _intrinsic(self, name: str, dtype: str, arguments: list) -> Any:
        full = f"llvm.{name}.f{bits_of(dtype)}"
        function = self.builder.module.globals.get(full)
        if function is None:
            kind = ir.FunctionType(llvm_type(dtype), [a.type for a in arguments])
            function = ir.Function(self.builder.module, kind, full)
        return self.builder.call(function, arguments)


@functools.cache
def converts_halves() -> bool:
    """Whether this processor converts float32 to float16 and back; LLVM calls a library if not."""
    if platform.machine() in ("aarch64", "arm64"):
        return True
    return bool(llvmlite.binding.get_host_cpu_features().get("f16c", False))


def _converted_half(build: ir.IRBuilder, name: str, a: Any) -> Any:
    """What the functions of float16 in half.py compute, by the processor's conversions."""
    if name == "float16_from_bits":
        return build.fpext(build.bitcast(a, ir.HalfType()), ir.FloatType())
    half = build.fptrunc(a, ir.HalfType())
    if name == "float16_bits":
        return build.bitcast(half, ir.IntType(16))
    return build.fpext(half, ir.FloatType())


_CONVERSIONS = {
    ("float16_from_bits", ("uint16",)),
    ("float16_bits", ("float32",)),
    ("round_float16", ("float32",)),
}


def emit(builder: ir.IRBuilder, name: str, dtypes: tuple[str, ...], arguments: list) -> Any:
    """The value of one of our functions at the builder's position.

    A definition of more than a few instructions becomes a private function of the module, written
    once and inlined by LLVM: a kernel with twenty calls of exp carries one copy of its text.
    """
    if (name, tuple(dtypes)) in _CONVERSIONS and converts_halves():
        return _converted_half(builder, name, arguments[0])
    function = FUNCTIONS[name]
    result = function.result_dtype(*dtypes)
    if function.inline:
        target = LLVMTarget(builder)
        values = [Value(target, a, d) for a, d in zip(arguments, dtypes)]
        return function.build(target, *values).handle
    symbol = ".".join(["symnet", name, *dtypes])
    private = builder.module.globals.get(symbol)
    if private is None:
        kind = ir.FunctionType(llvm_type(result), [llvm_type(d) for d in dtypes])
        private = ir.Function(builder.module, kind, symbol)
        private.linkage = "internal"
        private.attributes.add("alwaysinline")
        private.attributes.add("nounwind")
        inner = ir.IRBuilder(private.append_basic_block("entry"))
        target = LLVMTarget(inner)
        values = [Value(target, a, d) for a, d in zip(private.args, dtypes)]
        inner.ret(function.build(target, *values).handle)
    return builder.call(private, arguments)


__all__ = ["LLVMTarget", "emit", "llvm_type"]
