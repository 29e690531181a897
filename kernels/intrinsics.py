"""What generated kernels may say to the machine, as Numba intrinsics.

Kernels, the pool and the tape are Numba `cfunc`s over raw addresses (design D17). This module gives
them pointers, loads and stores that LLVM knows to be independent, the few floating-point operations
whose order may change, atomics, and calls by address. It imports Numba, so it is imported only when
something is compiled.

Aliasing. `load_k(p, i)` and `store_k(p, i, v)` belong to scope k, 0 <= k < SCOPES. An access in one
scope is promised not to overlap an access in any other scope during the call (LLVM's `alias.scope`
and `noalias`), so a loop vectorises without run-time checks. Give a scope to every buffer that the
buffer plan proves disjoint; buffers that may overlap share a scope. Plain `load` and `store`
promise nothing.

Booleans occupy one byte in memory, any non-zero byte is true, and true is stored as 1.
"""

import platform

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = [
    "DTYPES",
    "SCOPES",
    "add_reassoc",
    "address_of",
    "atomic_add",
    "atomic_cas",
    "atomic_exchange",
    "atomic_load",
    "atomic_store",
    "bits_to_float32",
    "bits_to_float64",
    "call_dgemm",
    "call_dgemv",
    "call_integer",
    "call_sgemm",
    "call_sgemv",
    "call_step",
    "call_void",
    "float32_to_bits",
    "float64_to_bits",
    "invariant_word",
    "load",
    "max_step",
    "memory_copy",
    "memory_fill",
    "memory_move",
    "min_step",
    "mul_reassoc",
    "pause",
    "prefetch",
    "store",
    "system_call",
    "transpose_in",
    "transpose_out",
]

SCOPES = 24
TILE = 16  # rows and columns of what `transpose_in` and `transpose_out` move
DTYPES = {
    "bool": types.boolean,
    **{f"int{n}": getattr(types, f"int{n}") for n in (8, 16, 32, 64)},
    **{f"uint{n}": getattr(types, f"uint{n}") for n in (8, 16, 32, 64)},
    "float32": types.float32,
    "float64": types.float64,
}

_I1, _I8, _I32, _I64 = (ir.IntType(n) for n in (1, 8, 32, 64))
_F32, _F64, _VOID = ir.FloatType(), ir.DoubleType(), ir.VoidType()
_WORD = types.int64


# ---- pointers, loads and stores ----


def _element(pointer):
    """LLVM type of an element in memory."""
    dtype = pointer.dtype
    if dtype == types.boolean:
        return _I8
    if isinstance(dtype, types.Float):
        return _F32 if dtype.bitwidth == 32 else _F64
    return ir.IntType(dtype.bitwidth)


def _size(pointer):
    return 1 if pointer.dtype == types.boolean else pointer.dtype.bitwidth // 8


def _is_pointer(ty):
    return isinstance(ty, types.CPointer) and ty.dtype in _DTYPE_SET


_DTYPE_SET = frozenset(DTYPES.values())


def _pointer_cast(name, dtype):
    """`as_ptr_<dtype>(address) -> pointer`."""
    pointer = types.CPointer(dtype)

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(pointer))

    def cast(typing_context, address):
        if isinstance(address, types.Integer):
            return pointer(_WORD), generate
        return None

    return _named(cast, f"as_ptr_{name}")


def _named(function, name):
    function.__name__ = function.__qualname__ = name
    return intrinsic(function)


def _scopes(builder, scope, instruction):
    """Mark one access as belonging to `scope` and to no other."""
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, "symnet")])
    nodes = [
        module.add_metadata([ir.MetaDataString(module, f"symnet.{k}"), domain])
        for k in range(SCOPES)
    ]
    instruction.set_metadata("alias.scope", module.add_metadata([nodes[scope]]))
    others = nodes[:scope] + nodes[scope + 1 :]
    instruction.set_metadata("noalias", module.add_metadata(others))


def _locate(builder, pointer, address, index):
    element = _element(pointer)
    base = builder.bitcast(address, element.as_pointer())
    return builder.gep(base, [index], inbounds=True, source_etype=element)


def _loader(name, scope):
    """`load(p, i)` or `load_k(p, i)`."""

    def generate(context, builder, signature, args):
        pointer = signature.args[0]
        place = _locate(builder, pointer, args[0], args[1])
        value = builder.load(place, align=_size(pointer), typ=_element(pointer))
        if scope is not None:
            _scopes(builder, scope, value)
        if pointer.dtype == types.boolean:
            return builder.icmp_unsigned("!=", value, _I8(0))
        return value

    def load(typing_context, pointer, index):
        if _is_pointer(pointer) and isinstance(index, types.Integer):
            return pointer.dtype(pointer, _WORD), generate
        return None

    return _named(load, name)


def _storer(name, scope):
    """`store(p, i, v)` or `store_k(p, i, v)`; v is converted to the pointer's dtype."""

    def generate(context, builder, signature, args):
        pointer = signature.args[0]
        value = args[2]
        if pointer.dtype == types.boolean:
            value = builder.zext(value, _I8)
        place = _locate(builder, pointer, args[0], args[1])
        done = builder.store(value, place, align=_size(pointer))
        if scope is not None:
            _scopes(builder, scope, done)
        return context.get_dummy_value()

    def store(typing_context, pointer, index, value):
        if _is_pointer(pointer) and isinstance(index, types.Integer):
            return types.void(pointer, _WORD, pointer.dtype), generate
        return None

    return _named(store, name)


load = _loader("load", None)
store = _storer("store", None)
for _name, _dtype in DTYPES.items():
    globals()[f"as_ptr_{_name}"] = _pointer_cast(_name, _dtype)
    __all__.append(f"as_ptr_{_name}")
for _scope in range(SCOPES):
    globals()[f"load_{_scope}"] = _loader(f"load_{_scope}", _scope)
    globals()[f"store_{_scope}"] = _storer(f"store_{_scope}", _scope)
    __all__ += [f"load_{_scope}", f"store_{_scope}"]


@intrinsic
def invariant_word(typing_context, address, index):
    """int64 number `index` of an argument block: a word that nobody writes during the call."""

    def generate(context, builder, signature, args):
        base = builder.inttoptr(args[0], _I64.as_pointer())
        place = builder.gep(base, [args[1]], inbounds=True, source_etype=_I64)
        value = builder.load(place, align=8, typ=_I64)
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        return value

    return _WORD(_WORD, _WORD), generate


@intrinsic
def address_of(typing_context, pointer):
    """The address that a pointer holds, as int64."""

    def generate(context, builder, signature, args):
        return builder.ptrtoint(args[0], _I64)

    return (_WORD(pointer), generate) if isinstance(pointer, types.CPointer) else None


def _stack(name, dtype):
    """`stack_<dtype>(n)`: n elements on the stack, n a literal, aligned to 64 bytes."""
    pointer = types.CPointer(dtype)

    def generate(context, builder, signature, args):
        count = signature.args[0].literal_value
        with builder.goto_entry_block():
            place = builder.alloca(_element(pointer), _I64(count))
            place.align = 64
        return builder.bitcast(place, context.get_value_type(pointer))

    def stack(typing_context, count):
        if isinstance(count, types.IntegerLiteral):
            return pointer(count), generate
        return None

    stack.__name__ = stack.__qualname__ = f"stack_{name}"
    return intrinsic(prefer_literal=True)(stack)


for _name, _dtype in DTYPES.items():
    globals()[f"stack_{_name}"] = _stack(_name, _dtype)
    __all__.append(f"stack_{_name}")


# ---- arithmetic whose order is free ----


def _reassociated(name, operation):
    """A product or sum step of a reduction. Only this instruction may be reassociated, so LLVM can
    keep several partial results in a vector; everything else stays exact. Integers wrap."""

    def generate(context, builder, signature, args):
        if isinstance(signature.return_type, types.Float):
            return getattr(builder, "f" + operation)(*args, flags=("reassoc", "nsz"))
        return getattr(builder, operation)(*args)

    def step(typing_context, accumulator, value):
        if accumulator in _DTYPE_SET and accumulator != types.boolean:
            return accumulator(accumulator, accumulator), generate
        return None

    return _named(step, name)


add_reassoc = _reassociated("add_reassoc", "add")
mul_reassoc = _reassociated("mul_reassoc", "mul")


def _extremum(name, float_intrinsic, integer_comparison):
    """A max or min step: NaN wins, -0 < +0 (IEEE 754-2019 maximum and minimum)."""

    def generate(context, builder, signature, args):
        dtype = signature.return_type
        if isinstance(dtype, types.Float):
            real = args[0].type
            binary = ir.FunctionType(real, [real, real])
            function = builder.module.declare_intrinsic(float_intrinsic, [real], binary)
            return builder.call(function, args)
        signed = isinstance(dtype, types.Integer) and dtype.signed
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return builder.select(compare(integer_comparison, *args), *args)

    def step(typing_context, accumulator, value):
        if accumulator in _DTYPE_SET:
            return accumulator(accumulator, accumulator), generate
        return None

    return _named(step, name)


max_step = _extremum("max_step", "llvm.maximum", ">")
min_step = _extremum("min_step", "llvm.minimum", "<")


def _bit_cast(name, source, target, llvm_type):
    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], llvm_type)

    def cast(typing_context, value):
        return target(source), generate

    return _named(cast, name)


float32_to_bits = _bit_cast("float32_to_bits", types.float32, types.int32, _I32)
float64_to_bits = _bit_cast("float64_to_bits", types.float64, types.int64, _I64)
bits_to_float32 = _bit_cast("bits_to_float32", types.int32, types.float32, _F32)
bits_to_float64 = _bit_cast("bits_to_float64", types.int64, types.float64, _F64)


# ---- atomics on memory words (pointers to int32 or int64) ----


def _atomic(name, arity, generate_access):
    """`atomic_*(p, i, ...)` on element i of an int32 or int64 pointer."""

    def generate(context, builder, signature, args):
        pointer = signature.args[0]
        place = _locate(builder, pointer, args[0], args[1])
        return generate_access(builder, pointer, place, args[2:])

    def typed(pointer, values):
        if not (_is_pointer(pointer) and pointer.dtype in (types.int32, types.int64)):
            return None
        result = types.void if name == "atomic_store" else pointer.dtype
        return result(pointer, _WORD, *[pointer.dtype] * len(values)), generate

    if arity == 0:

        def access(typing_context, pointer, index):
            return typed(pointer, ())

    elif arity == 1:

        def access(typing_context, pointer, index, value):
            return typed(pointer, (value,))

    else:

        def access(typing_context, pointer, index, expected, value):
            return typed(pointer, (expected, value))

    return _named(access, name)


def _fence_free_store(builder, pointer, place, values):
    builder.store_atomic(values[0], place, "release", _size(pointer))


def _compare_and_swap(builder, pointer, place, values):
    pair = builder.cmpxchg(place, values[0], values[1], "acq_rel", "acquire")
    return builder.extract_value(pair, 0)


atomic_load = _atomic(
    "atomic_load",
    0,
    lambda builder, pointer, place, values: builder.load_atomic(
        place, "seq_cst", _size(pointer), typ=_element(pointer)
    ),
)
atomic_store = _atomic("atomic_store", 1, _fence_free_store)
atomic_add = _atomic(
    "atomic_add",
    1,
    lambda builder, pointer, place, values: builder.atomic_rmw("add", place, values[0], "seq_cst"),
)
atomic_exchange = _atomic(
    "atomic_exchange",
    1,
    lambda builder, pointer, place, values: builder.atomic_rmw("xchg", place, values[0], "seq_cst"),
)
atomic_cas = _atomic("atomic_cas", 2, _compare_and_swap)


# ---- calls by address ----


def _called(builder, address, function_type, arguments):
    return builder.call(builder.inttoptr(address, function_type.as_pointer()), arguments)


@intrinsic
def call_step(typing_context, function, args, lo, hi, thread):
    """Run a step, `void(args, lo, hi, thread)`, by its address."""

    def generate(context, builder, signature, values):
        _called(builder, values[0], ir.FunctionType(_VOID, [_I64] * 4), values[1:])
        return context.get_dummy_value()

    return types.void(*[_WORD] * 5), generate


def _caller(name, result):
    """Call a C function of int64 arguments by address: `call_integer(function, a, b, ...)`."""

    def generate(context, builder, signature, args):
        values = cgutils.unpack_tuple(builder, args[1])
        function_type = ir.FunctionType(result, [_I64] * len(values))
        out = _called(builder, args[0], function_type, values)
        return context.get_dummy_value() if result is _VOID else out

    def call(typing_context, function, *args):
        if all(isinstance(a, types.Integer) for a in args):
            packed = types.StarArgTuple.from_types([_WORD] * len(args))
            return (types.void if result is _VOID else _WORD)(_WORD, packed), generate
        return None

    return _named(call, name)


call_integer = _caller("call_integer", _I64)
call_void = _caller("call_void", _VOID)


@intrinsic
def system_call(typing_context, function, number, a, b, c, d, e, f):
    """`syscall(number, ...)` of the C library, whose address is `function`: a variadic function."""

    def generate(context, builder, signature, args):
        function_type = ir.FunctionType(_I64, [_I64], var_arg=True)
        return _called(builder, args[0], function_type, args[1:])

    return _WORD(*[_WORD] * 8), generate


_ROW_MAJOR = 101


def _matrix_product(name, real, llvm_real):
    """cblas_?gemm, row-major, 32-bit integers: (function, ta, tb, m, n, k, alpha, a, lda, b, ldb,
    beta, c, ldc) with ta and tb 111 (as it is) or 112 (transposed), a, b and c addresses."""
    i = _WORD
    parameters = [_I32] * 6 + [llvm_real, _I64, _I32, _I64, _I32, llvm_real, _I64, _I32]

    def generate(context, builder, signature, args):
        values = [_I32(_ROW_MAJOR), *args[1:]]
        fitted = [
            builder.trunc(value, _I32) if parameter is _I32 and value.type == _I64 else value
            for parameter, value in zip(parameters, values)
        ]
        _called(builder, args[0], ir.FunctionType(_VOID, parameters), fitted)
        return context.get_dummy_value()

    def gemm(
        typing_context, function, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc
    ):  # fmt: skip
        return types.void(i, i, i, i, i, i, real, i, i, i, i, real, i, i), generate

    return _named(gemm, name)


def _matrix_vector(name, real, llvm_real):
    """cblas_?gemv, row-major: (function, ta, m, n, alpha, a, lda, x, incx, beta, y, incy)."""
    i = _WORD
    parameters = [_I32] * 4 + [llvm_real, _I64, _I32, _I64, _I32, llvm_real, _I64, _I32]

    def generate(context, builder, signature, args):
        values = [_I32(_ROW_MAJOR), *args[1:]]
        fitted = [
            builder.trunc(value, _I32) if parameter is _I32 and value.type == _I64 else value
            for parameter, value in zip(parameters, values)
        ]
        _called(builder, args[0], ir.FunctionType(_VOID, parameters), fitted)
        return context.get_dummy_value()

    def gemv(typing_context, function, ta, m, n, alpha, a, lda, x, incx, beta, y, incy):
        return types.void(i, i, i, i, real, i, i, i, i, real, i, i), generate

    return _named(gemv, name)


call_sgemm = _matrix_product("call_sgemm", types.float32, _F32)
call_dgemm = _matrix_product("call_dgemm", types.float64, _F64)
call_sgemv = _matrix_vector("call_sgemv", types.float32, _F32)
call_dgemv = _matrix_vector("call_dgemv", types.float64, _F64)


# ---- transposing ----

_ROW = ir.VectorType(_F32, TILE)
_MASK = ir.VectorType(ir.IntType(1), TILE)


def _transposed(builder, rows):
    """Exchange of ever larger blocks off the diagonal: log2(TILE) shuffles per row."""
    rows, distance = list(rows), 1
    while distance < TILE:
        keep = [e if e & distance == 0 else e - distance + TILE for e in range(TILE)]
        give = [e + distance if e & distance == 0 else e + TILE for e in range(TILE)]
        for low in range(TILE):
            if low & distance == 0:
                pair = rows[low], rows[low + distance]
                for place, order in ((low, keep), (low + distance, give)):
                    mask = ir.Constant(ir.VectorType(_I32, TILE), order)
                    rows[place] = builder.shuffle_vector(*pair, mask)
        distance *= 2
    return rows


def _below(builder, count):
    """Mask of the first `count` elements of a row."""
    numbers = ir.Constant(ir.VectorType(_I64, TILE), list(range(TILE)))
    empty = ir.Constant(ir.VectorType(_I64, TILE), ir.Undefined)
    first = builder.insert_element(empty, count, _I32(0))
    order = ir.Constant(ir.VectorType(_I32, TILE), [0] * TILE)
    return builder.icmp_signed("<", numbers, builder.shuffle_vector(first, empty, order))


def _least(builder, a, b):
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _tile(name, write):
    """A function of the module, called from where the intrinsic stands: it is large."""

    def generate(context, builder, signature, args):
        pointer = _F32.as_pointer()
        kinds = [pointer, _I64, _I64, pointer, _I64, _I64, _I64, _I64]
        module = builder.module
        function = module.globals.get(f"symnet.{name}")
        if function is None:
            function = ir.Function(module, ir.FunctionType(_VOID, kinds), f"symnet.{name}")
            function.linkage = "internal"
            inside = ir.IRBuilder(function.append_basic_block())
            write(inside, *function.args)
            inside.ret_void()
        values = [builder.bitcast(a, k) if k is pointer else a for a, k in zip(args, kinds)]
        builder.call(function, values)
        return context.get_dummy_value()

    def tile(typing_context, to, at, stride, source, where, step, rows, columns):
        single = types.CPointer(types.float32)
        if (to, source) == (single, single):
            return types.void(single, *[_WORD] * 2, single, *[_WORD] * 4), generate
        return None

    return _named(tile, name)


def _row_place(builder, base, first, stride, number):
    offset = builder.add(first, builder.mul(stride, _I64(number)))
    place = builder.gep(base, [offset], inbounds=True, source_etype=_F32)
    return builder.bitcast(place, _ROW.as_pointer())


def _write_in(builder, to, at, stride, source, where, step, rows, columns):
    kind = ir.FunctionType(_ROW, [_ROW.as_pointer(), _I32, _MASK, _ROW])
    load_some = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.load.v16f32.p0")
    mask, last = _below(builder, columns), builder.sub(rows, _I64(1))
    zeros = ir.Constant(_ROW, [0.0] * TILE)
    loaded = []
    for number in range(TILE):
        row = builder.mul(_least(builder, _I64(number), last), step)
        place = _row_place(builder, source, builder.add(where, row), step, 0)
        loaded.append(builder.call(load_some, [place, _I32(4), mask, zeros]))
    for number, row in enumerate(_transposed(builder, loaded)):
        builder.store(row, _row_place(builder, to, at, stride, number), align=4)


def _write_out(builder, to, at, stride, source, where, step, rows, columns):
    kind = ir.FunctionType(_VOID, [_ROW, _ROW.as_pointer(), _I32, _MASK])
    store_some = cgutils.get_or_insert_function(builder.module, kind, "llvm.masked.store.v16f32.p0")
    loaded = [
        builder.load(_row_place(builder, source, where, step, number), align=4, typ=_ROW)
        for number in range(TILE)
    ]
    for number, row in enumerate(_transposed(builder, loaded)):
        within = builder.icmp_signed("<", _I64(number), rows)
        mask = _below(builder, builder.select(within, columns, _I64(0)))
        place = _row_place(builder, to, at, stride, number)
        builder.call(store_some, [row, place, _I32(4), mask])


# transpose_in(to, at, stride, source, where, step, rows, columns), all in float32:
#     to[at + j * stride + r] = source[where + min(r, rows - 1) * step + j] for r, j < TILE,
# and 0 where j >= columns, which is not read. rows and columns are at least 1.
transpose_in = _tile("transpose_in", _write_in)

# transpose_out(to, at, stride, source, where, step, rows, columns):
#     to[at + r * stride + j] = source[where + j * step + r] for r < rows, j < columns, both < TILE;
# TILE rows of the source are read.
transpose_out = _tile("transpose_out", _write_out)


# ---- the processor ----


@intrinsic
def pause(typing_context):
    """Tell the processor that this thread is spinning."""

    def generate(context, builder, signature, args):
        # inline assembly would need LLVM's assembly parser, which Numba does not initialise
        if platform.machine() in ("x86_64", "AMD64"):
            name, parameters, values = "llvm.x86.sse2.pause", [], []
        elif platform.machine() in ("aarch64", "arm64"):
            name, parameters, values = "llvm.aarch64.hint", [_I32], [_I32(1)]  # yield
        else:
            return context.get_dummy_value()
        function_type = ir.FunctionType(_VOID, parameters)
        hint = cgutils.get_or_insert_function(builder.module, function_type, name)
        builder.call(hint, values)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def prefetch(typing_context, pointer, index):
    """Ask for the cache line of element `index`; the address need not be valid."""

    def generate(context, builder, signature, args):
        element = _element(signature.args[0])
        place = builder.gep(args[0], [args[1]], source_etype=element)
        void_pointer = _I8.as_pointer()
        function_type = ir.FunctionType(_VOID, [void_pointer, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
        place = builder.bitcast(place, void_pointer)
        builder.call(function, [place, _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return (types.void(pointer, _WORD), generate) if _is_pointer(pointer) else None


def _memory_transfer(name, operation):
    """`memory_copy(to, from, bytes)` (no overlap) and `memory_move` (overlap allowed)."""

    def generate(context, builder, signature, args):
        to, source = (builder.inttoptr(a, _I8.as_pointer()) for a in args[:2])
        operation(builder, to, source, args[2], 1)
        return context.get_dummy_value()

    def transfer(typing_context, to, source, count):
        return types.void(_WORD, _WORD, _WORD), generate

    return _named(transfer, name)


memory_copy = _memory_transfer("memory_copy", cgutils.raw_memcpy)
memory_move = _memory_transfer("memory_move", cgutils.raw_memmove)


@intrinsic
def memory_fill(typing_context, to, byte, count):
    """Set `count` bytes at the address `to`."""

    def generate(context, builder, signature, args):
        place = builder.inttoptr(args[0], _I8.as_pointer())
        cgutils.memset(builder, place, args[2], builder.trunc(args[1], _I8))
        return context.get_dummy_value()

    return types.void(_WORD, _WORD, _WORD), generate
