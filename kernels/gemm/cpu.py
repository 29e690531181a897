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
    BY_COLUMNS,
    BY_MATRICES,
    BY_ROWS,
    DEPTH,
    HEIGHT,
    LDA,
    LDB,
    LDC,
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
        self.function.attributes.add("optsize")
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

    def minimum(self, x, y):
        return self.b.select(self.b.icmp_signed("<", x, y), x, y)

    def to_double(self, value):
        return value if self.size == 8 else self.b.fpext(value, ir.DoubleType())

    def from_double(self, value):
        return value if self.size == 8 else self.b.fptrunc(value, self.element)

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
    """panel[k][VECTORS vectors] = b[k][:cols], then zeros: (panel, b, row stride, cols, k)."""
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


def _product(module, real):
    """C = alpha A B + beta C for one matrix, with our own kernel; m, n, k >= 1.

    (a, row stride, column stride, b, row stride of B as it lies, whether B is transposed, c, row
    stride, m, n, k, alpha, beta), strides in bytes."""
    name = f"symnet_gemm_{real}_product"
    if name in module.globals:
        return module.globals[name]
    w = _Writer(module, name, real, "piipiipiiiirr")
    b, size = w.b, _I64(w.size)
    a, row_a, column_a, right, row_b, tb, c, row_c, m, n, k, alpha, beta = w.function.args
    kernels = [_tile_kernel(module, real, ROWS, v) for v in range(1, VECTORS + 1)]
    width = _I64(VECTORS * w.lanes)
    row_panel = _I64(VECTORS * BYTES)
    panel = b.alloca(w.vector, _I64(DEPTH * VECTORS))
    panel.align = 64
    transposed = b.icmp_signed("!=", tb, _I64(0))
    shared = b.icmp_signed(">", m, _I64(SHARED_TILES * ROWS))
    row_right = b.select(b.or_(transposed, shared), row_panel, row_b)
    one = ir.Constant(w.element, 1.0)

    def depths(k0, _):
        depth = w.minimum(_I64(DEPTH), b.sub(k, k0))
        beta_now = b.select(b.icmp_signed("==", k0, _I64(0)), beta, one)

        def heights(i0, _):
            height = w.minimum(_I64(HEIGHT), b.sub(m, i0))
            tiles = b.sdiv(height, _I64(ROWS))
            full = b.mul(tiles, _I64(ROWS))
            rest = b.sub(height, full)

            def widths(j0, _):
                cols = w.minimum(width, b.sub(n, j0))
                along, across = b.select(transposed, j0, k0), b.select(transposed, k0, j0)
                source = w.at(right, b.add(b.mul(along, row_b), b.mul(across, size)))
                block = b.select(b.or_(transposed, shared), panel, source)
                with b.if_else(transposed) as (columns, rows):
                    with columns:
                        b.call(_pack_columns(module, real), [panel, source, row_b, cols, depth])
                    with rows, b.if_then(shared):
                        b.call(_pack_rows(module, real), [panel, source, row_b, cols, depth])
                kernel = kernels[0]
                for v in range(1, VECTORS):
                    wider = b.icmp_signed(">", cols, _I64(v * w.lanes))
                    kernel = b.select(wider, kernels[v], kernel)
                left = w.at(a, b.add(b.mul(i0, row_a), b.mul(k0, column_a)))
                out = w.at(c, b.add(b.mul(i0, row_c), b.mul(j0, size)))
                same = [cols, depth, alpha, beta_now]
                with b.if_then(b.icmp_signed(">", tiles, _I64(0))):
                    strided = [left, row_a, column_a, block, row_right, out, row_c]
                    b.call(kernel, [*strided, _I64(ROWS), tiles, *same])
                with b.if_then(b.icmp_signed(">", rest, _I64(0))):
                    left, out = w.at(left, b.mul(full, row_a)), w.at(out, b.mul(full, row_c))
                    strided = [left, row_a, column_a, block, row_right, out, row_c]
                    b.call(kernel, [*strided, rest, _I64(1), *same])
                return []

            w.loop(_I64(0), n, width, [], widths)
            return []

        w.loop(_I64(0), m, _I64(HEIGHT), [], heights)
        return []

    w.loop(_I64(0), k, _I64(DEPTH), [], depths)
    b.ret_void()
    return w.function


def _scale(module, real):
    """C = beta C: (c, row stride, m, n, beta); m, n >= 1."""
    name = f"symnet_gemm_{real}_scale"
    if name in module.globals:
        return module.globals[name]
    w = _Writer(module, name, real, "piiir")
    b = w.b
    c, row_c, m, n, beta = w.function.args
    betas = w.splat(beta)
    reads = w.splat(b.fcmp_unordered("!=", beta, ir.Constant(w.element, 0.0)))

    def rows(_, places):
        def columns(j, _):
            place = w.at(places[0], b.mul(j, _I64(w.size)))
            mask = w.first(b.sub(n, j))
            old = w.masked_load(place, b.and_(mask, reads))
            w.masked_store(b.fmul(betas, old), place, mask)
            return []

        w.loop(_I64(0), n, _I64(w.lanes), [], columns)
        return [w.at(places[0], row_c)]

    w.loop(_I64(0), m, _I64(1), [c], rows)
    b.ret_void()
    return w.function


def _step(module, real):
    """The step itself: (args, lo, hi)."""
    name = f"symnet_gemm_{real}_step"
    if name in module.globals:
        return module.globals[name]
    w = _Writer(module, name, real, "pii")
    b, size = w.b, _I64(w.size)
    args, lo, hi = w.function.args
    word = lambda index: b.load(w.at(args, _I64(8 * index)), align=8, typ=_I64)
    flag = lambda index: b.icmp_signed("!=", word(index), _I64(0))
    zero = _I64(0)

    unit = b.alloca(w.element)
    b.store(ir.Constant(w.element, 1.0), unit)
    scalar = b.select(flag(ALPHA), b.inttoptr(word(ALPHA), _PTR), unit)
    scalar = w.to_double(b.load(scalar, align=w.size, typ=w.element))
    alpha = w.from_double(b.fmul(scalar, b.bitcast(word(ALPHA_CONST), ir.DoubleType())))
    beta = w.from_double(b.bitcast(word(BETA), ir.DoubleType()))

    ta, tb = flag(TA), flag(TB)
    lda, ldb, ldc = word(LDA), word(LDB), word(LDC)
    row_a, row_b, row_c = (b.mul(ld, size) for ld in (lda, ldb, ldc))
    down_a, along_a = b.select(ta, size, row_a), b.select(ta, row_a, size)
    down_b = b.select(tb, row_b, size)
    cut = [
        b.icmp_signed("==", word(AXIS), _I64(axis)) for axis in (BY_ROWS, BY_COLUMNS, BY_MATRICES)
    ]
    length = b.sub(hi, lo)
    m, n = b.select(cut[0], length, word(M)), b.select(cut[1], length, word(N))
    first, last = b.select(cut[2], lo, zero), b.select(cut[2], hi, word(BATCH))
    row, column = b.select(cut[0], lo, zero), b.select(cut[1], lo, zero)
    a0 = w.at(b.inttoptr(word(A), _PTR), b.mul(row, down_a))
    b0 = w.at(b.inttoptr(word(B), _PTR), b.mul(column, down_b))
    c0 = w.at(b.inttoptr(word(C), _PTR), b.add(b.mul(row, row_c), b.mul(column, size)))
    strides = [b.mul(word(stride), size) for stride in (STRIDE_A, STRIDE_B, STRIDE_C)]
    k = b.select(b.fcmp_ordered("==", alpha, ir.Constant(w.element, 0.0)), zero, word(K))
    own, blas = flag(OWN), word(BLAS)

    def matrices(index, _):
        at_a, at_b, at_c = (w.at(p, b.mul(index, s)) for p, s in zip((a0, b0, c0), strides))
        with b.if_else(b.icmp_signed("<=", k, zero)) as (scaled, multiplied):
            with scaled:
                b.call(_scale(module, real), [at_c, row_c, m, n, beta])
            with multiplied, b.if_else(own) as (ours, theirs):
                with ours:
                    left = [at_a, down_a, along_a]
                    right = [at_b, row_b, b.zext(tb, _I64)]
                    both = [*left, *right, at_c, row_c, m, n, k, alpha, beta]
                    b.call(_product(module, real), both)
                with theirs:
                    call_cblas(at_a, at_b, at_c)
        return []

    def call_cblas(at_a, at_b, at_c):
        wide = lambda ld, cols: b.select(b.icmp_signed(">", ld, cols), ld, cols)
        transpose = lambda flag: b.select(flag, _I32(112), _I32(111))
        sizes = [m, n, k, wide(lda, b.select(ta, m, k)), wide(ldb, b.select(tb, k, n))]
        m_, n_, k_, lda_, ldb_ = (b.trunc(value, _I32) for value in sizes)
        ldc_ = b.trunc(wide(ldc, n), _I32)
        values = [
            _I32(101), transpose(ta), transpose(tb), m_, n_, k_,
            alpha, at_a, lda_, at_b, ldb_, beta, at_c, ldc_,
        ]  # fmt: skip
        signature = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        b.call(b.inttoptr(blas, signature.as_pointer()), values)

    some = b.and_(b.icmp_signed(">", m, zero), b.icmp_signed(">", n, zero))
    with b.if_then(b.and_(some, b.icmp_signed("<", first, last))):
        w.loop(first, last, _I64(1), [], matrices)
    b.ret_void()
    return w.function


def _entry(real):
    """A Numba function of int64 (args, lo, hi) that runs the step."""

    def generate(context, builder, signature, values):
        args, lo, hi = values
        builder.call(_step(builder.module, real), [builder.inttoptr(args, _PTR), lo, hi])
        return context.get_dummy_value()

    @intrinsic
    def run(typing_context, args, lo, hi):
        return types.void(types.int64, types.int64, types.int64), generate

    return run


_run_float32, _run_float64 = _entry(types.float32), _entry(types.float64)


def sgemm(args, lo, hi, thread):
    """The step in float32."""
    _run_float32(args, lo, hi)


def dgemm(args, lo, hi, thread):
    """The step in float64."""
    _run_float64(args, lo, hi)
