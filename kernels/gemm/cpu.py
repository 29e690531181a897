"""Text of the gemm step: C = alpha op(A) op(B) + beta C by our own register tiles or by the BLAS.

`sgemm` and `dgemm` are plain functions for Numba's `cfunc` with the signature of a step,
`void(args, lo, hi, thread)`; their argument block is described in the package's docstring.

The own kernel keeps a tile of C of `ROWS` rows and up to three vectors in registers and walks down
k: three vector loads of a row of op(B), a broadcast of each of the `ROWS` elements of op(A) (so a
transposed A costs nothing), one fused multiply-add per accumulator. Rows of op(B) must be
contiguous, so a transposed B is first turned into a panel on the stack, `LANES` x `LANES` elements
at a time in registers; a B that many row tiles share is copied there too, where it stays in the
cache without a page per row. This is the inner half of the scheme of Goto and van de Geijn,
"Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from symnet.kernels.gemm import (
    ALPHA,
    ALPHA_CONST,
    AXIS,
    BATCH,
    BETA,
    BLAS,
    COLUMNS,
    DEPTH,
    LDA,
    LDB,
    LDC,
    MATRICES,
    OWN,
    SHARED_TILES,
    STRIDE_A,
    STRIDE_B,
    STRIDE_C,
    TA,
    TB,
    VECTORS,
    A,
    B,
    C,
    K,
    M,
    N,
    tile_rows,
    vector_bytes,
)
from symnet.kernels.intrinsics import (
    address_of,
    as_ptr_float32,
    as_ptr_float64,
    bits_to_float64,
    call_dgemm,
    call_sgemm,
    invariant_word,
    load,
    stack_float32,
    stack_float64,
)

BYTES = vector_bytes()
ROWS = tile_rows()

_I1, _I8, _I32, _I64 = (ir.IntType(n) for n in (1, 8, 32, 64))
_PTR = ir.PointerType()
_REAL = {types.float32: (ir.FloatType(), 4), types.float64: (ir.DoubleType(), 8)}


class _Writer:
    """Writes one internal LLVM function over vectors of a real type."""

    def __init__(self, module, name, real, parameters):
        self.element, self.size = _REAL[real]
        self.lanes = BYTES // self.size
        self.vector = ir.VectorType(self.element, self.lanes)
        self.suffix = f"v{self.lanes}f{8 * self.size}"
        self.mask_type = ir.VectorType(_I1, self.lanes)
        self.module = module
        kinds = {"p": _PTR, "i": _I64, "r": self.element}
        signature = ir.FunctionType(ir.VoidType(), [kinds[kind] for kind in parameters])
        self.function = ir.Function(module, signature, name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.function.attributes.add("nounwind")
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))

    def at(self, pointer, offset):
        return self.b.gep(pointer, [offset], inbounds=True, source_etype=_I8)

    def vector_at(self, pointer, index):
        return self.at(pointer, _I64(index * BYTES))

    def load(self, pointer):
        return self.b.load(pointer, align=self.size, typ=self.vector)

    def store(self, value, pointer):
        self.b.store(value, pointer, align=self.size)

    def _masked(self, name, result, arguments):
        function_type = ir.FunctionType(result, [a.type for a in arguments])
        name = f"llvm.masked.{name}.{self.suffix}.p0"
        function = cgutils.get_or_insert_function(self.module, function_type, name)
        return self.b.call(function, arguments)

    def masked_load(self, pointer, mask):
        zero = ir.Constant(self.vector, None)
        return self._masked("load", self.vector, [pointer, _I32(self.size), mask, zero])

    def masked_store(self, value, pointer, mask):
        self._masked("store", ir.VoidType(), [value, pointer, _I32(self.size), mask])

    def splat(self, value):
        lanes = ir.VectorType(value.type, self.lanes)
        undefined = ir.Constant(lanes, ir.Undefined)
        one = self.b.insert_element(undefined, value, _I32(0))
        zeros = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        return self.b.shuffle_vector(one, undefined, zeros)

    def first(self, count):
        """Mask of the first `count` lanes; all for a larger, none for a negative count."""
        many = ir.VectorType(_I64, self.lanes)
        index = ir.Constant(many, list(range(self.lanes)))
        return self.b.icmp_signed("<", index, self.splat(count))

    def shuffle(self, x, y, lanes):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, self.lanes), lanes))

    def multiply_add(self, x, y, z):
        function_type = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.{self.suffix}"
        function = cgutils.get_or_insert_function(self.module, function_type, name)
        return self.b.call(function, [x, y, z])

    def loop(self, start, stop, step, carried, body):
        """for i in range(start, stop, step), at least once; `body(i, values) -> values`."""
        before = self.b.block
        head = self.function.append_basic_block("loop")
        after = self.function.append_basic_block("after")
        self.b.branch(head)
        self.b.position_at_end(head)
        index = self.b.phi(_I64)
        index.add_incoming(start, before)
        values = []
        for value in carried:
            phi = self.b.phi(value.type)
            phi.add_incoming(value, before)
            values.append(phi)
        results = body(index, values)
        following = self.b.add(index, step, flags=("nsw",))
        index.add_incoming(following, self.b.block)
        for phi, result in zip(values, results):
            phi.add_incoming(result, self.b.block)
        self.b.cbranch(self.b.icmp_signed("<", following, stop), head, after)
        self.b.position_at_end(after)
        return results


def _tile_kernel(module, real, rows, vectors):
    """C[:, :cols] = alpha A B + beta C for `tiles` tiles of `height` <= rows rows each.

    (a, row stride, column stride, b, row stride, c, row stride, height, tiles, cols, k, alpha,
    beta), strides in bytes. Missing rows compute on the last row again and are not stored; the last
    vector is masked."""
    name = f"symnet_gemm_{real}_{rows}x{vectors}"
    if name in module.globals:
        return module.globals[name]
    w = _Writer(module, name, real, "piipipiiiiirr")
    b, function = w.b, w.function
    a0, row_a, column_a, b0, row_b, c0, row_c, height, tiles, cols, k, alpha, beta = function.args
    last = w.first(b.sub(cols, _I64((vectors - 1) * w.lanes)))
    reads = w.splat(b.fcmp_unordered("!=", beta, ir.Constant(w.element, 0.0)))
    alphas, betas = w.splat(alpha), w.splat(beta)
    bottom = b.sub(height, _I64(1))
    offsets = []
    for i in range(rows):
        inside = b.icmp_signed("<", _I64(i), bottom)
        offsets.append(b.mul(b.select(inside, _I64(i), bottom), row_a))
    zero = ir.Constant(w.vector, None)

    def one_tile(tile, _):
        top = b.mul(tile, _I64(rows))
        a = w.at(a0, b.mul(top, row_a))
        c = w.at(c0, b.mul(top, row_c))

        def one_k(_, values):
            a_k, b_k, *sums = values
            right = [w.load(w.vector_at(b_k, v)) for v in range(vectors - 1)]
            right.append(w.masked_load(w.vector_at(b_k, vectors - 1), last))
            out = []
            for i in range(rows):
                left = b.load(w.at(a_k, offsets[i]), align=w.size, typ=w.element)
                left = w.splat(left)
                for v in range(vectors):
                    out.append(w.multiply_add(left, right[v], sums[i * vectors + v]))
            return [w.at(a_k, column_a), w.at(b_k, row_b), *out]

        _, _, *sums = w.loop(_I64(0), k, _I64(1), [a, b0, *[zero] * (rows * vectors)], one_k)
        done = function.append_basic_block("done")
        for i in range(rows):
            row = w.at(c, b.mul(_I64(i), row_c))
            for v in range(vectors):
                place = w.vector_at(row, v)
                mask = last if v == vectors - 1 else None
                old = w.masked_load(place, reads if mask is None else b.and_(reads, mask))
                new = w.multiply_add(alphas, sums[i * vectors + v], b.fmul(betas, old))
                if mask is None:
                    w.store(new, place)
                else:
                    w.masked_store(new, place, mask)
            if i + 1 < rows:
                more = function.append_basic_block("row")
                b.cbranch(b.icmp_signed("<", _I64(i), bottom), more, done)
                b.position_at_end(more)
        b.branch(done)
        b.position_at_end(done)
        return []

    w.loop(_I64(0), tiles, _I64(1), [], one_tile)
    b.ret_void()
    return function


def _pack_rows(module, real):
    """panel[k][VECTORS vectors] = b[k][:cols], zero beyond cols: (panel, b, row stride, cols, k)."""
    name = f"symnet_gemm_{real}_rows"
    if name in module.globals:
        return module.globals[name]
    w = _Writer(module, name, real, "ppiii")
    b = w.b
    panel, source, row, cols, k = w.function.args
    masks = [w.first(b.sub(cols, _I64(v * w.lanes))) for v in range(VECTORS)]

    def one_k(_, places):
        to, origin = places
        for v in range(VECTORS):
            w.store(w.masked_load(w.vector_at(origin, v), masks[v]), w.vector_at(to, v))
        return [w.at(to, _I64(VECTORS * BYTES)), w.at(origin, row)]

    w.loop(_I64(0), k, _I64(1), [panel, source], one_k)
    b.ret_void()
    return w.function


def _pack_columns(module, real):
    """panel[k][VECTORS vectors] = b[:cols][k]: (panel, b, row stride, cols, k); k is rounded up.

    Squares of `lanes` x `lanes` elements are transposed in log2(lanes) rounds: round h exchanges,
    between rows i and i + h, the elements whose lane has bit h."""
    name = f"symnet_gemm_{real}_columns"
    if name in module.globals:
        return module.globals[name]
    w = _Writer(module, name, real, "ppiii")
    b, lanes = w.b, w.lanes
    panel, source, row, cols, k = w.function.args
    bottom = b.sub(cols, _I64(1))

    def one_strip(first, _):
        offsets = []
        for i in range(lanes):
            index = b.add(first, _I64(i))
            inside = b.icmp_signed("<", index, bottom)
            offsets.append(b.mul(b.select(inside, index, bottom), row))
        column = w.at(panel, b.mul(first, _I64(w.size)))

        def one_square(at, _):
            mask = w.first(b.sub(k, at))
            origin = w.at(source, b.mul(at, _I64(w.size)))
            square = [w.masked_load(w.at(origin, offset), mask) for offset in offsets]
            h = lanes // 2
            while h:
                low = [n + lanes - h if n & h else n for n in range(lanes)]
                high = [n + lanes if n & h else n + h for n in range(lanes)]
                for i in range(lanes):
                    if not i & h:
                        x, y = square[i], square[i + h]
                        square[i] = w.shuffle(x, y, low)
                        square[i + h] = w.shuffle(x, y, high)
                h //= 2
            to = w.at(column, b.mul(at, _I64(VECTORS * BYTES)))
            for i in range(lanes):
                w.store(square[i], w.vector_at(to, i * VECTORS))
            return []

        w.loop(_I64(0), k, _I64(lanes), [], one_square)
        return []

    w.loop(_I64(0), cols, _I64(lanes), [], one_strip)
    b.ret_void()
    return w.function


def _caller(build, real, kinds):
    """A Numba function that calls what `build(module)` makes; addresses arrive as int64."""
    parameters = [real if kind == "r" else types.int64 for kind in kinds]

    def generate(context, builder, signature, args):
        values = cgutils.unpack_tuple(builder, args[0])
        fitted = [
            builder.inttoptr(value, _PTR) if kind == "p" else value
            for value, kind in zip(values, kinds)
        ]
        builder.call(build(builder.module), fitted)
        return context.get_dummy_value()

    @intrinsic
    def call(typing_context, *arguments):
        return types.void(types.StarArgTuple.from_types(parameters)), generate

    return call


def _step(real, as_pointer, panel_on_stack, call_blas):
    size = _REAL[real][1]
    lanes = BYTES // size
    width = VECTORS * lanes
    length = DEPTH * width
    one_vector, two_vectors, three_vectors = (
        _caller(lambda module, v=v: _tile_kernel(module, real, ROWS, v), real, "piipipiiiiirr")
        for v in (1, 2, 3)
    )
    pack_rows = _caller(lambda module: _pack_rows(module, real), real, "ppiii")
    pack_columns = _caller(lambda module: _pack_columns(module, real), real, "ppiii")

    def step(args, lo, hi, thread):
        m, n, k = (invariant_word(args, M), invariant_word(args, N), invariant_word(args, K))
        ta, tb = invariant_word(args, TA), invariant_word(args, TB)
        axis = invariant_word(args, AXIS)
        row_a = invariant_word(args, LDA) * size
        row_b = invariant_word(args, LDB) * size
        row_c = invariant_word(args, LDC) * size
        first_matrix, last_matrix = 0, invariant_word(args, BATCH)
        shift_a = shift_b = shift_c = 0
        if axis == MATRICES:
            first_matrix, last_matrix = lo, hi
        elif axis == COLUMNS:
            n = hi - lo
            shift_b = lo * (row_b if tb else size)
            shift_c = lo * size
        else:
            m = hi - lo
            shift_a = lo * (size if ta else row_a)
            shift_c = lo * row_c
        if m <= 0 or n <= 0:
            return
        factor = bits_to_float64(invariant_word(args, ALPHA_CONST))
        if invariant_word(args, ALPHA):
            factor *= load(as_pointer(invariant_word(args, ALPHA)), 0)
        alpha = real(factor)
        beta = real(bits_to_float64(invariant_word(args, BETA)))
        if alpha == 0:
            k = 0
        panel = address_of(panel_on_stack(length))
        for matrix in range(first_matrix, last_matrix):
            a = invariant_word(args, A) + shift_a + matrix * invariant_word(args, STRIDE_A) * size
            b = invariant_word(args, B) + shift_b + matrix * invariant_word(args, STRIDE_B) * size
            c = invariant_word(args, C) + shift_c + matrix * invariant_word(args, STRIDE_C) * size
            if k <= 0:
                if beta != 1:
                    for i in range(m):
                        row = as_pointer(c + i * row_c)
                        for j in range(n):
                            row[j] = beta * row[j] if beta != 0 else real(0)
            elif not invariant_word(args, OWN):
                call_blas(
                    invariant_word(args, BLAS), 112 if ta else 111, 112 if tb else 111, m, n, k,
                    alpha, a, max(row_a // size, m if ta else k),
                    b, max(row_b // size, k if tb else n), beta, c, max(row_c // size, n),
                )  # fmt: skip
            else:
                down_a, along_a = (size, row_a) if ta else (row_a, size)
                copy = m > SHARED_TILES * ROWS
                for k0 in range(0, k, DEPTH):
                    depth = min(DEPTH, k - k0)
                    for j in range(0, n, width):
                        cols = min(width, n - j)
                        right, row_right = b + k0 * row_b + j * size, row_b
                        if tb:
                            right = panel
                            pack_columns(panel, b + j * row_b + k0 * size, row_b, cols, depth)
                            row_right = width * size
                        elif copy:
                            pack_rows(panel, right, row_b, cols, depth)
                            right = panel
                            row_right = width * size
                        at_a, at_c, left = a + k0 * along_a, c + j * size, m
                        while left > 0:
                            height = min(left, ROWS)
                            tiles = max(left // ROWS, 1)
                            if cols > 2 * lanes:
                                three_vectors(
                                    at_a, down_a, along_a, right, row_right, at_c, row_c,
                                    height, tiles, cols, depth, alpha, beta,
                                )  # fmt: skip
                            elif cols > lanes:
                                two_vectors(
                                    at_a, down_a, along_a, right, row_right, at_c, row_c,
                                    height, tiles, cols, depth, alpha, beta,
                                )  # fmt: skip
                            else:
                                one_vector(
                                    at_a, down_a, along_a, right, row_right, at_c, row_c,
                                    height, tiles, cols, depth, alpha, beta,
                                )  # fmt: skip
                            left -= tiles * height
                            at_a += tiles * height * down_a
                            at_c += tiles * height * row_c
                    beta = real(1)

    return step


sgemm = _step(types.float32, as_ptr_float32, stack_float32, call_sgemm)
dgemm = _step(types.float64, as_ptr_float64, stack_float64, call_dgemm)
