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
    PREFETCH_DEPTH,
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
        self.module, self.real = module, real
        self.element, self.size = _REAL[real]
        self.lanes = BYTES // self.size
        self.vector = ir.VectorType(self.element, self.lanes)
        kinds = {"p": _PTR, "i": _I64, "r": self.element}
        signature = ir.FunctionType(ir.VoidType(), [kinds[kind] for kind in parameters])
        self.function = ir.Function(module, signature, name)
        self.function.linkage = "internal"
        # optsize keeps LLVM from unrolling loops that are already as wide as the machine
        for attribute in ("noinline", "nounwind", "optsize"):
            self.function.attributes.add(attribute)
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))

    # ---- memory ----

    def at(self, pointer, offset):
        """`pointer` moved by a number of bytes."""
        return self.b.gep(pointer, [offset], inbounds=True, source_etype=_I8)

    def vector_at(self, pointer, index):
        return self.at(pointer, _I64(index * BYTES))

    def load(self, pointer, kind):
        return self.b.load(pointer, align=self.size, typ=kind)

    def store(self, value, pointer):
        self.b.store(value, pointer, align=self.size)

    def masked_load(self, pointer, mask):
        zero = ir.Constant(self.vector, None)
        arguments = [pointer, _I32(self.size), mask, zero]
        return self._intrinsic("masked.load", ".p0", self.vector, arguments)

    def masked_store(self, value, pointer, mask):
        arguments = [value, pointer, _I32(self.size), mask]
        self._intrinsic("masked.store", ".p0", ir.VoidType(), arguments)

    def prefetch(self, pointer):
        arguments = [pointer, _I32(1), _I32(3), _I32(1)]
        function_type = ir.FunctionType(ir.VoidType(), [a.type for a in arguments])
        function = cgutils.get_or_insert_function(self.module, function_type, "llvm.prefetch.p0")
        self.b.call(function, arguments)

    # ---- values ----

    def _intrinsic(self, name, ending, result, arguments):
        name = f"llvm.{name}.v{self.lanes}f{8 * self.size}{ending}"
        function_type = ir.FunctionType(result, [a.type for a in arguments])
        function = cgutils.get_or_insert_function(self.module, function_type, name)
        return self.b.call(function, arguments)

    def multiply_add(self, x, y, z):
        return self._intrinsic("fmuladd", "", self.vector, [x, y, z])

    def splat(self, value):
        lanes = ir.VectorType(value.type, self.lanes)
        undefined = ir.Constant(lanes, ir.Undefined)
        one = self.b.insert_element(undefined, value, _I32(0))
        return self.shuffle(one, undefined, [0] * self.lanes)

    def shuffle(self, x, y, lanes):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, self.lanes), lanes))

    def first(self, count):
        """Mask of the first `count` lanes; all for a larger, none for a negative count."""
        many = ir.VectorType(_I64, self.lanes)
        index = ir.Constant(many, list(range(self.lanes)))
        return self.b.icmp_signed("<", index, self.splat(count))

    def is_nonzero(self, value):
        if value.type == _I64:
            return self.b.icmp_signed("!=", value, _I64(0))
        return self.b.fcmp_unordered("!=", value, ir.Constant(self.element, 0.0))

    def less(self, x, y):
        return self.b.icmp_signed("<", x, y)

    def minimum(self, x, y):
        return self.b.select(self.less(x, y), x, y)

    def maximum(self, x, y):
        return self.b.select(self.less(x, y), y, x)

    def to_double(self, value):
        return value if self.size == 8 else self.b.fpext(value, ir.DoubleType())

    def from_double(self, value):
        return value if self.size == 8 else self.b.fptrunc(value, self.element)

    # ---- control ----

    def loop(self, start, stop, step, body, carried=()):
        """for i in range(start, stop, step), at least once; `body(i, *values) -> values`."""
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
        results = body(index, *values) or ()
        following = self.b.add(index, step, flags=("nsw",))
        index.add_incoming(following, self.b.block)
        for phi, result in zip(values, results):
            phi.add_incoming(result, self.b.block)
        self.b.cbranch(self.less(following, stop), head, after)
        self.b.position_at_end(after)
        return results

    def call(self, function, *arguments):
        """Call what a `_routine` makes, or an LLVM function value."""
        if not isinstance(function, ir.Value):
            function = function(self.module, self.real)
        self.b.call(function, arguments)


def _routine(parameters):
    """Decorator: a writer's body becomes `get(module, real, *variant)`, an LLVM function of it.

    `parameters` has a letter for each: p pointer, i int64, r real. The body is called with the
    writer, the LLVM values of the parameters, and the variant."""

    def decorate(body):
        def get(module, real, *variant):
            name = "_".join(["symnet_gemm", str(real), body.__name__, *map(str, variant)])
            if name not in module.globals:
                w = _Writer(module, name, real, parameters)
                body(w, *w.function.args, *variant)
                w.b.ret_void()
            return module.globals[name]

        return get

    return decorate


@_routine("piipipiiiiirr")
def _tiles(w, a0, row_a, column_a, b0, row_b, c0, row_c, height, tiles, cols, k, alpha, beta, wide):
    """C[:, :cols] = alpha A B + beta C, `tiles` tiles of `ROWS` rows and `wide` vectors.

    Strides are in bytes. Of each tile only `height` rows exist: the others compute on the last
    again and are not stored. The last vector is masked."""
    b = w.b
    last = w.first(b.sub(cols, _I64((wide - 1) * w.lanes)))
    reads = w.splat(w.is_nonzero(beta))
    alphas, betas = w.splat(alpha), w.splat(beta)
    bottom = b.sub(height, _I64(1))
    offsets = [b.mul(w.minimum(_I64(i), bottom), row_a) for i in range(ROWS)]
    zero = ir.Constant(w.vector, None)
    deep = w.less(_I64(PREFETCH_DEPTH), k)

    def one_tile(tile):
        top = b.mul(tile, _I64(ROWS))
        a = w.at(a0, b.mul(top, row_a))
        c = w.at(c0, b.mul(top, row_c))
        with b.if_then(deep):
            for i in range(ROWS):
                row = w.at(c, b.mul(w.minimum(_I64(i), bottom), row_c))
                for v in range(wide):
                    w.prefetch(w.vector_at(row, v))

        def one_k(_, a_k, b_k, *sums):
            right = [w.load(w.vector_at(b_k, v), w.vector) for v in range(wide - 1)]
            right.append(w.masked_load(w.vector_at(b_k, wide - 1), last))
            out = []
            for i in range(ROWS):
                left = w.splat(w.load(w.at(a_k, offsets[i]), w.element))
                for v in range(wide):
                    out.append(w.multiply_add(left, right[v], sums[i * wide + v]))
            return [w.at(a_k, column_a), w.at(b_k, row_b), *out]

        _, _, *sums = w.loop(_I64(0), k, _I64(1), one_k, [a, b0, *[zero] * (ROWS * wide)])
        done = w.function.append_basic_block("done")
        for i in range(ROWS):
            row = w.at(c, b.mul(_I64(i), row_c))
            for v in range(wide):
                place = w.vector_at(row, v)
                full = v < wide - 1
                old = w.masked_load(place, reads if full else b.and_(reads, last))
                new = w.multiply_add(alphas, sums[i * wide + v], b.fmul(betas, old))
                if full:
                    w.store(new, place)
                else:
                    w.masked_store(new, place, last)
            if i + 1 < ROWS:
                more = w.function.append_basic_block("row")
                b.cbranch(w.less(_I64(i), bottom), more, done)
                b.position_at_end(more)
        b.branch(done)
        b.position_at_end(done)

    w.loop(_I64(0), tiles, _I64(1), one_tile)


@_routine("pipiii")
def _copy(w, panel, row_panel, source, row, cols, k):
    """panel[i][j] = source[i][j] for i < k and j < cols, zeros up to a full vector."""
    b = w.b

    def one_row(_, to, origin):
        def one_vector(j):
            offset = b.mul(j, _I64(w.size))
            w.store(w.masked_load(w.at(origin, offset), w.first(b.sub(cols, j))), w.at(to, offset))

        w.loop(_I64(0), cols, _I64(w.lanes), one_vector)
        return [w.at(to, row_panel), w.at(origin, row)]

    w.loop(_I64(0), k, _I64(1), one_row, [panel, source])


@_routine("pipiii")
def _transpose(w, panel, row_panel, source, row, cols, k):
    """panel[i][j] = source[j][i] for i < k and j < cols; both are rounded up to full vectors.

    Squares of `lanes` x `lanes` elements are transposed in log2(lanes) rounds: round h exchanges,
    between rows i and i + h, the elements whose lane has bit h."""
    b, lanes = w.b, w.lanes
    bottom = b.sub(cols, _I64(1))

    def one_strip(j):
        offsets = [b.mul(w.minimum(b.add(j, _I64(i)), bottom), row) for i in range(lanes)]
        column = w.at(panel, b.mul(j, _I64(w.size)))

        def one_square(i0, to):
            mask = w.first(b.sub(k, i0))
            origin = w.at(source, b.mul(i0, _I64(w.size)))
            square = [w.masked_load(w.at(origin, offset), mask) for offset in offsets]
            h = lanes // 2
            while h:
                low = [n + lanes - h if n & h else n for n in range(lanes)]
                high = [n + lanes if n & h else n + h for n in range(lanes)]
                for i in range(lanes):
                    if not i & h:
                        x, y = square[i], square[i + h]
                        square[i], square[i + h] = w.shuffle(x, y, low), w.shuffle(x, y, high)
                h //= 2
            for value in square:
                w.store(value, to)
                to = w.at(to, row_panel)
            return [to]

        w.loop(_I64(0), k, _I64(lanes), one_square, [column])

    w.loop(_I64(0), cols, _I64(lanes), one_strip)


@_routine("piipiipiiiirr")
def _product(w, a, row_a, column_a, right, row_b, tb, c, row_c, m, n, k, alpha, beta):
    """C = alpha A B + beta C for one matrix with our own kernel; m, n, k >= 1.

    Strides are in bytes; of A the row and column stride as op(A), of B the row stride as it lies.
    """
    b, size = w.b, _I64(w.size)
    kernels = [_tiles(w.module, w.real, wide) for wide in range(1, VECTORS + 1)]
    width, row_panel = _I64(VECTORS * w.lanes), _I64(VECTORS * BYTES)
    panel = b.alloca(w.vector, _I64(DEPTH * VECTORS))
    panel.align = 64
    transposed = w.is_nonzero(tb)
    shared = b.icmp_signed(">", m, _I64(SHARED_TILES * ROWS))
    packed = b.or_(transposed, shared)
    row_right = b.select(packed, row_panel, row_b)

    def depths(k0):
        depth = w.minimum(_I64(DEPTH), b.sub(k, k0))
        beta_now = b.select(w.is_nonzero(k0), ir.Constant(w.element, 1.0), beta)
        both = [depth, alpha, beta_now]

        def heights(i0):
            height = w.minimum(_I64(HEIGHT), b.sub(m, i0))
            tiles = b.sdiv(height, _I64(ROWS))
            full = b.mul(tiles, _I64(ROWS))
            rest = b.sub(height, full)
            left = w.at(a, b.add(b.mul(i0, row_a), b.mul(k0, column_a)))

            def widths(j0):
                cols = w.minimum(width, b.sub(n, j0))
                i_b, j_b = b.select(transposed, j0, k0), b.select(transposed, k0, j0)
                source = w.at(right, b.add(b.mul(i_b, row_b), b.mul(j_b, size)))
                with b.if_else(transposed) as (lies_by_columns, lies_by_rows):
                    with lies_by_columns:
                        w.call(_transpose, panel, row_panel, source, row_b, cols, depth)
                    with lies_by_rows, b.if_then(shared):
                        w.call(_copy, panel, row_panel, source, row_b, cols, depth)
                source = b.select(packed, panel, source)
                kernel = kernels[0]
                for wide in range(1, VECTORS):
                    kernel = b.select(w.less(_I64(wide * w.lanes), cols), kernels[wide], kernel)
                out = w.at(c, b.add(b.mul(i0, row_c), b.mul(j0, size)))
                with b.if_then(w.is_nonzero(tiles)):
                    strided = [left, row_a, column_a, source, row_right, out, row_c]
                    w.call(kernel, *strided, _I64(ROWS), tiles, cols, *both)
                with b.if_then(w.is_nonzero(rest)):
                    under, out = w.at(left, b.mul(full, row_a)), w.at(out, b.mul(full, row_c))
                    strided = [under, row_a, column_a, source, row_right, out, row_c]
                    w.call(kernel, *strided, rest, _I64(1), cols, *both)

            w.loop(_I64(0), n, width, widths)

        w.loop(_I64(0), m, _I64(HEIGHT), heights)

    w.loop(_I64(0), k, _I64(DEPTH), depths)


@_routine("piiir")
def _scale(w, c, row_c, m, n, beta):
    """C = beta C, zero for beta = 0 whatever C holds; m, n >= 1."""
    b = w.b
    betas, reads = w.splat(beta), w.splat(w.is_nonzero(beta))

    def one_row(_, row):
        def one_vector(j):
            place = w.at(row, b.mul(j, _I64(w.size)))
            mask = w.first(b.sub(n, j))
            old = w.masked_load(place, b.and_(mask, reads))
            w.masked_store(b.fmul(betas, old), place, mask)

        w.loop(_I64(0), n, _I64(w.lanes), one_vector)
        return [w.at(row, row_c)]

    w.loop(_I64(0), m, _I64(1), one_row, [c])


@_routine("pii")
def _step(w, args, lo, hi):
    """The step: read the argument block, cut out lo..hi, loop over the matrices of the batch."""
    b, size, zero, one = w.b, _I64(w.size), _I64(0), _I64(1)
    word = lambda index: b.load(w.at(args, _I64(8 * index)), align=8, typ=_I64)

    unit = b.alloca(w.element)
    w.store(ir.Constant(w.element, 1.0), unit)
    scalar = b.select(w.is_nonzero(word(ALPHA)), b.inttoptr(word(ALPHA), _PTR), unit)
    scalar = w.to_double(w.load(scalar, w.element))
    alpha = w.from_double(b.fmul(scalar, b.bitcast(word(ALPHA_CONST), ir.DoubleType())))
    beta = w.from_double(b.bitcast(word(BETA), ir.DoubleType()))

    ta, tb = w.is_nonzero(word(TA)), w.is_nonzero(word(TB))
    lda, ldb, ldc = word(LDA), word(LDB), word(LDC)
    row_a, row_b, row_c = (b.mul(ld, size) for ld in (lda, ldb, ldc))
    down_a, along_a = b.select(ta, size, row_a), b.select(ta, row_a, size)
    across_b = b.select(tb, row_b, size)

    by_rows, by_columns, by_matrices = (
        b.icmp_signed("==", word(AXIS), _I64(axis)) for axis in (BY_ROWS, BY_COLUMNS, BY_MATRICES)
    )
    m = b.select(by_rows, b.sub(hi, lo), word(M))
    n = b.select(by_columns, b.sub(hi, lo), word(N))
    first, last = b.select(by_matrices, lo, zero), b.select(by_matrices, hi, word(BATCH))
    i, j = b.select(by_rows, lo, zero), b.select(by_columns, lo, zero)
    a0 = w.at(b.inttoptr(word(A), _PTR), b.mul(i, down_a))
    b0 = w.at(b.inttoptr(word(B), _PTR), b.mul(j, across_b))
    c0 = w.at(b.inttoptr(word(C), _PTR), b.add(b.mul(i, row_c), b.mul(j, size)))
    strides = [b.mul(word(stride), size) for stride in (STRIDE_A, STRIDE_B, STRIDE_C)]
    k = b.select(w.is_nonzero(alpha), word(K), zero)
    own, blas = w.is_nonzero(word(OWN)), word(BLAS)

    def call_blas(a, b_, c):
        # a contiguous vector is a row and a column: the transposition that BLAS does best
        alone = lambda count, ld: b.and_(b.icmp_signed("==", count, one), ld)
        packed_a, packed_b = b.icmp_signed("==", lda, one), b.icmp_signed("==", ldb, one)
        row = b.or_(alone(m, b.and_(ta, packed_a)), alone(k, b.and_(b.not_(ta), packed_a)))
        ta_, lda_ = b.xor(ta, row), b.select(row, one, lda)
        column = b.or_(alone(n, b.and_(b.not_(tb), packed_b)), alone(k, b.and_(tb, packed_b)))
        tb_, ldb_ = b.xor(tb, column), b.select(column, one, ldb)
        transpose = lambda flag: b.select(flag, _I32(112), _I32(111))
        lda_ = w.maximum(lda_, b.select(ta_, m, k))
        ldb_ = w.maximum(ldb_, b.select(tb_, k, n))
        short = lambda value: b.trunc(value, _I32)
        values = [
            _I32(101), transpose(ta_), transpose(tb_), short(m), short(n), short(k),
            alpha, a, short(lda_), b_, short(ldb_), beta, c, short(w.maximum(ldc, n)),
        ]  # fmt: skip
        signature = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        b.call(b.inttoptr(blas, signature.as_pointer()), values)

    def one_matrix(index):
        a, b_, c = (w.at(p, b.mul(index, stride)) for p, stride in zip((a0, b0, c0), strides))
        with b.if_else(w.less(zero, k)) as (multiplied, scaled):
            with multiplied, b.if_else(own) as (ours, theirs):
                with ours:
                    left, right = [a, down_a, along_a], [b_, row_b, b.zext(tb, _I64)]
                    w.call(_product, *left, *right, c, row_c, m, n, k, alpha, beta)
                with theirs:
                    call_blas(a, b_, c)
            with scaled:
                w.call(_scale, c, row_c, m, n, beta)

    some = b.and_(b.and_(w.less(zero, m), w.less(zero, n)), w.less(first, last))
    with b.if_then(some):
        w.loop(first, last, one, one_matrix)


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
