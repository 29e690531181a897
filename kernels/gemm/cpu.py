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

import functools

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
    DOT_VECTORS,
    FEW_ROWS,
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

    def sum(self, value):
        """Sum of the lanes, by halves."""
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f{8 * self.size}"
        function_type = ir.FunctionType(self.element, [self.element, self.vector])
        function = cgutils.get_or_insert_function(self.module, function_type, name)
        zero = ir.Constant(self.element, -0.0)
        return self.b.call(function, [zero, value], fastmath=("reassoc",))

    def splat(self, value):
        lanes = ir.VectorType(value.type, self.lanes)
        undefined = ir.Constant(lanes, ir.Undefined)
        one = self.b.insert_element(undefined, value, _I32(0))
        return self.shuffle(one, undefined, [0] * self.lanes)

    def shuffle(self, x, y, lanes):
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, self.lanes), lanes))

    def first(self, count):
        """Mask of the first `count` lanes; all for a larger, none for a negative count."""
        count = self.b.trunc(self.minimum(count, _I64(self.lanes)), _I32)
        index = ir.Constant(ir.VectorType(_I32, self.lanes), list(range(self.lanes)))
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

    def when(self, condition, values):
        """`values()` where the condition holds, else zeros; a list of vectors."""
        before = self.b.block
        with self.b.if_then(condition):
            some = values()
            inside = self.b.block
        out = []
        for value in some:
            phi = self.b.phi(value.type)
            phi.add_incoming(value, inside)
            phi.add_incoming(ir.Constant(value.type, None), before)
            out.append(phi)
        return out

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
    reads, deep = w.is_nonzero(beta), w.less(_I64(PREFETCH_DEPTH), k)
    alphas, betas = w.splat(alpha), w.splat(beta)
    bottom = b.sub(height, _I64(1))
    rows = [w.minimum(_I64(i), bottom) for i in range(ROWS)]
    offsets_a, offsets_c = [b.mul(i, row_a) for i in rows], [b.mul(i, row_c) for i in rows]
    zero = ir.Constant(w.vector, None)

    def places(row):
        return [w.vector_at(row, v) for v in range(wide)]

    def read(row):
        *full, partial = places(row)
        return [*(w.load(place, w.vector) for place in full), w.masked_load(partial, last)]

    def one_tile(tile):
        top = b.mul(tile, _I64(ROWS))
        a = w.at(a0, b.mul(top, row_a))
        c = w.at(c0, b.mul(top, row_c))
        with b.if_then(deep):
            for offset in offsets_c:
                for place in places(w.at(c, offset)):
                    w.prefetch(place)

        def one_k(_, a_k, b_k, *sums):
            right = read(b_k)
            out = []
            for i in range(ROWS):
                left = w.splat(w.load(w.at(a_k, offsets_a[i]), w.element))
                for v in range(wide):
                    out.append(w.multiply_add(left, right[v], sums[i * wide + v]))
            return [w.at(a_k, column_a), w.at(b_k, row_b), *out]

        _, _, *sums = w.loop(_I64(0), k, _I64(1), one_k, [a, b0, *[zero] * (ROWS * wide)])
        done = w.function.append_basic_block("done")
        # rows of a narrow C lie in each other's vectors: read a few before the first is written
        group = max(ROWS // wide**2, 1)
        for i in range(ROWS):
            row = w.at(c, b.mul(_I64(i), row_c))
            if i % group == 0:
                some = [w.at(c, offset) for offset in offsets_c[i : i + group]]
                old = w.when(reads, lambda some=some: [v for row in some for v in read(row)])
            for v, place in enumerate(places(row)):
                before = b.fmul(betas, old[i % group * wide + v])
                new = w.multiply_add(alphas, sums[i * wide + v], before)
                if v < wide - 1:
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


@_routine("pipipiirr")
def _combine(w, x, step_x, rows, row_b, y, n, k, alpha, beta):
    """y = alpha sum_k x[k] rows[k] + beta y for contiguous y and rows of n elements."""
    b = w.b

    def add_rows(count):
        def add(k0, beta_now):
            reads, betas = w.is_nonzero(beta_now), w.splat(beta_now)
            x_k, rows_k = w.at(x, b.mul(k0, step_x)), w.at(rows, b.mul(k0, row_b))
            factors, places = [], []
            for i in range(count):
                factor = w.load(w.at(x_k, b.mul(_I64(i), step_x)), w.element)
                factors.append(w.splat(b.fmul(alpha, factor)))
                places.append(w.at(rows_k, b.mul(_I64(i), row_b)))
            readable = w.splat(reads)

            def one_vector(j):
                offset, mask = b.mul(j, _I64(w.size)), w.first(b.sub(n, j))
                place = w.at(y, offset)
                value = b.fmul(betas, w.masked_load(place, b.and_(mask, readable)))
                for factor, row in zip(factors, places):
                    row = w.masked_load(w.at(row, offset), mask)
                    value = w.multiply_add(factor, row, value)
                w.masked_store(value, place, mask)

            w.loop(_I64(0), n, _I64(w.lanes), one_vector)
            return [ir.Constant(w.element, 1.0)]

        return add

    blocks = b.mul(b.sdiv(k, _I64(ROWS)), _I64(ROWS))
    start = b.block
    with b.if_then(w.is_nonzero(blocks)):
        w.loop(_I64(0), blocks, _I64(ROWS), add_rows(ROWS), [beta])
        end = b.block
    beta_now = b.phi(w.element)
    beta_now.add_incoming(beta, start)
    beta_now.add_incoming(ir.Constant(w.element, 1.0), end)
    with b.if_then(w.less(blocks, k)):
        w.loop(blocks, k, _I64(1), add_rows(1), [beta_now])


@_routine("pipipiirr")
def _dots(w, x, row_b, rows, step_y, y, n, k, alpha, beta, count):
    """y[j] = alpha x . rows[j] + beta y[j] for contiguous x and rows of k elements.

    `count` rows at a time. Every lane sums `DOT_VECTORS` products before it adds them to the total,
    so rounding does not grow with k as in a running sum."""
    b = w.b
    zeros = [ir.Constant(w.vector, None)] * count
    block = _I64(DOT_VECTORS * w.lanes)
    reads = w.is_nonzero(beta)

    def some_rows(j0):
        bottom = b.sub(b.sub(n, j0), _I64(1))
        offsets = [b.mul(b.add(j0, w.minimum(_I64(i), bottom)), row_b) for i in range(count)]
        places = [w.at(rows, offset) for offset in offsets]

        def one_vector(i, *sums):
            offset, mask = b.mul(i, _I64(w.size)), w.first(b.sub(k, i))
            left = w.masked_load(w.at(x, offset), mask)
            right = [w.masked_load(w.at(row, offset), mask) for row in places]
            return [w.multiply_add(left, row, value) for row, value in zip(right, sums)]

        def one_block(i0, *totals):
            end = w.minimum(k, b.add(i0, block))
            sums = w.loop(i0, end, _I64(w.lanes), one_vector, zeros)
            return [b.fadd(total, value) for total, value in zip(totals, sums)]

        for i, value in enumerate(w.loop(_I64(0), k, block, one_block, zeros)):
            with b.if_then(b.icmp_signed("<=", _I64(i), bottom)):
                place = w.at(y, b.mul(b.add(j0, _I64(i)), step_y))
                (old,) = w.when(reads, lambda place=place: [w.load(place, w.element)])
                w.store(b.fadd(b.fmul(alpha, w.sum(value)), b.fmul(beta, old)), place)

    w.loop(_I64(0), n, _I64(count), some_rows)


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


@_routine("piipiipiiiirr")
def _own(w, a, row_a, column_a, right, row_b, tb, c, row_c, m, n, k, alpha, beta):
    """`_product`, with vectors and outer products on ways of their own."""
    b, size, zero, one = w.b, _I64(w.size), _I64(0), _I64(1)
    equal = lambda x, y: b.icmp_signed("==", x, y)
    transposed = w.is_nonzero(tb)
    a_lies_by_rows, a_lies_by_columns = equal(column_a, size), equal(row_a, size)
    b_is_column, c_is_column = equal(n, one), equal(row_c, size)
    step_b = b.select(transposed, size, row_b)
    dots, dot = _dots(w.module, w.real, ROWS), _dots(w.module, w.real, 1)
    scalars = [alpha, beta]

    def column_of_dots():
        kernel = b.select(equal(m, one), dot, dots)
        w.call(kernel, right, row_a, a, row_c, c, m, k, *scalars)

    def combined_columns():
        w.call(_combine, right, step_b, a, column_a, c, m, k, *scalars)

    def rows_of_dots():
        def one_row(i):
            row, out = w.at(a, b.mul(i, row_a)), w.at(c, b.mul(i, row_c))
            w.call(dots, row, row_b, right, size, out, n, k, *scalars)

        w.loop(zero, m, one, one_row)

    def combined_rows():
        def one_row(i):
            row, out = w.at(a, b.mul(i, row_a)), w.at(c, b.mul(i, row_c))
            w.call(_combine, row, column_a, right, row_b, out, n, k, *scalars)

        w.loop(zero, m, one, one_row)

    few, single = w.less(m, _I64(FEW_ROWS)), b.or_(equal(m, one), equal(k, one))
    ways = [
        ([b_is_column, equal(step_b, size), a_lies_by_rows], column_of_dots),
        ([b_is_column, c_is_column, a_lies_by_columns], combined_columns),
        ([transposed, a_lies_by_rows, few], rows_of_dots),
        ([b.not_(transposed), single], combined_rows),
    ]
    for conditions, way in ways:
        with b.if_then(functools.reduce(b.and_, conditions)):
            way()
            b.ret_void()
    w.call(_product, a, row_a, column_a, right, row_b, tb, c, row_c, m, n, k, *scalars)


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
                    w.call(_own, *left, *right, c, row_c, m, n, k, alpha, beta)
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
