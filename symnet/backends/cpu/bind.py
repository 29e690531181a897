"""Binding: a linked program for concrete sizes becomes a frame that can be called.

A frame owns the argument blocks, the arena and the step table of one call at a time. Binding is a
few NumPy operations and one pass over the steps: a new batch size costs microseconds (design D15).
It compiles nothing, except that the first binding with thousands of short rows compiles their
variant of a kernel (lanes.py).
"""

from collections.abc import Sequence

import numpy as np

from symnet.backends.arena import place, rounded
from symnet.backends.cpu import lanes
from symnet.backends.cpu import tape_layout as layout
from symnet.backends.cpu.blas import blas
from symnet.backends.cpu.compile import native_function
from symnet.backends.cpu.emit import emit
from symnet.backends.cpu.link import ALWAYS, Linked, StepPlan
from symnet.backends.cpu.pairing import Pair
from symnet.backends.cpu.pool import pool, thread_count
from symnet.backends.words import itemsize
from symnet.kernels import gemm, permutation
from symnet.schedule.program import Ref, Reg

ALIGN = 64  # bytes, of every buffer in the arena

# nanoseconds that one more operand or operation costs per element, in vectorised code; and the
# work from which it pays to share a step among threads. Measured once, good for decisions only.
NS_PER_OPERATION = 0.02
SHARE_NS = 4000.0
PIECES = 4  # slabs per thread where a gemm and the kernel behind it move more than they compute
MOST_FREE_DEPTH = 64  # inner size up to which a gemm does not mind which way it is cut


class Functions:
    """Addresses of the native code of a linked program, compiled or loaded when made."""

    def __init__(self, linked: Linked):
        self.kernels = [native_function(emit(k), "kernel") for k in linked.program.kernels]
        across = {linked.steps[first + 1].number for first, p in linked.pairs.items() if p.either}
        kernels = linked.program.kernels
        self.across = {n: native_function(emit(kernels[n], "across"), "kernel") for n in across}
        self._lanes: dict[int, int] = {}
        kinds = {(s.kind, s.number) for s in linked.steps}
        self.gemm: dict[int, int] = {}
        self.blas: dict[int, int] = {}
        self.core = ""
        if any(kind == "gemm" for kind, _ in kinds):
            text, key = gemm.source()
            library = blas()
            self.core = library.core
            for size, entry in ((4, "sgemm"), (8, "dgemm")):
                if ("gemm", size) in kinds:
                    self.gemm[size] = native_function(text, entry, extra_key=key)
                    self.blas[size] = getattr(library, entry)
        self.shuffle = 0
        if ("shuffle", 0) in kinds:
            self.shuffle = native_function(permutation.source(), "shuffle")
        self._program = linked.program

    def lanes(self, number: int) -> int:
        """The variant of a kernel for many short rows, compiled or loaded when first bound: few
        programs need it, and the others should not wait for it."""
        address = self._lanes.get(number)
        if address is None:
            address = native_function(emit(self._program.kernels[number], "lanes"), "kernel")
            self._lanes[number] = address
        return address


class Frame:
    """One binding of a program: everything native code touches while a call runs.

    `objects` takes the ids of the arrays: inputs, shared, constants and outputs, in the order of
    the program's objects. `output_shapes` are those of the arrays to be made before a call.
    """

    def __init__(
        self,
        linked: Linked,
        functions: Functions,
        registers: Sequence[int],
        profile: np.ndarray | None = None,
    ):
        self.linked = linked
        program = linked.program
        values = np.asarray(registers, np.int64)
        threads = self.threads = thread_count()

        def number(ref: Ref) -> int:
            if isinstance(ref, Reg):
                return int(values[linked.register_of[ref.number]])
            return ref

        args = self.args = linked.template.copy()
        args[linked.size_words] = values[linked.size_registers]
        addresses = self._plan_arena(number, threads)
        if len(linked.pointer_words):
            args[linked.pointer_words] = addresses[linked.pointer_buffers] + linked.pointer_offsets
        words = self.words = np.zeros(layout.FRAME_WORDS, np.int64)
        base = args.ctypes.data
        args[linked.error_words] = words.ctypes.data + layout.ERROR * layout.WORD
        for word, stride, size, length, row in linked.scratch:
            args[word] = self._scratch + row * self._row * threads
            args[stride] = rounded(size * number(length), ALIGN)
        code = self.code = linked.code.copy()
        code[linked.patched_rows, 5] += base
        table = self._step_table(functions, number, threads, profile is not None)
        self.steps = np.array(table, np.int64).reshape(-1, layout.STEP_WORDS)
        shared = int((self.steps[:, layout.STEP_SLABS] > 1).sum())
        self.register_values = np.zeros(max(linked.registers, 1), np.int64)
        self.keys = np.stack([linked.keys, values[linked.keys]], axis=1).copy()
        self.object_ids = np.zeros(max(len(program.objects), 1), np.int64)
        self.profile = profile
        words[layout.CODE], words[layout.N_CODE] = code.ctypes.data, len(code)
        words[layout.REGISTERS] = self.register_values.ctypes.data
        words[layout.KEYS], words[layout.N_KEYS] = self.keys.ctypes.data, len(self.keys)
        words[layout.STEPS], words[layout.N_STEPS] = self.steps.ctypes.data, len(self.steps)
        words[layout.SHARED_STEPS] = shared
        words[layout.THREADS] = threads
        words[layout.OBJECTS] = self.object_ids.ctypes.data
        words[layout.POOL] = pool().address
        words[layout.ARRAY_TYPE] = id(np.ndarray)
        words[layout.PROFILE] = 0 if profile is None else profile.ctypes.data
        self.objects = memoryview(self.object_ids)
        self.status = memoryview(words)
        self.address = words.ctypes.data
        self.output_shapes = [tuple(number(s) for s in o.shape) for o in program.outputs]

    # ---- memory

    def _plan_arena(self, number, threads: int) -> np.ndarray:  # type: ignore[no-untyped-def]
        """Addresses of the buffers."""
        buffers = self.linked.program.buffers
        # two steps that run as a pair must not share memory, see pairing.py
        offsets, top = place(
            [itemsize(b.dtype) * number(b.size) for b in buffers],
            [(b.first, b.last) for b in buffers],
            ALIGN,
            apart=1,
        )
        # a row for each scratch operand of a step and each thread; steps share them
        self._row = max(
            (
                rounded(size * number(length), ALIGN)
                for _, _, size, length, _ in self.linked.scratch
            ),
            default=0,
        )
        several = max((row + 1 for *_, row in self.linked.scratch), default=0)
        self.arena_bytes = top + self._row * threads * several
        self._arena = np.empty(self.arena_bytes + ALIGN, np.uint8)
        start = rounded(self._arena.ctypes.data, ALIGN)
        self._scratch = start + top
        return start + np.array(offsets, np.int64)

    def _step_table(self, functions: Functions, number, threads: int, apart: bool) -> list[tuple]:  # type: ignore[no-untyped-def]
        """The steps as the tape reads them; gemms and the kernels paired with them are one step,
        unless they are to be measured `apart`."""
        linked, base = self.linked, self.args.ctypes.data
        self.pairs = np.zeros((len(linked.pairs), layout.PAIR_WORDS), np.int64)
        rows: list[tuple] = []
        done = 0
        skip = False
        for index, step in enumerate(linked.steps):
            if skip:
                skip = False
                continue
            function, extent, slabs, align = self._slabs(step, functions, number, threads)
            args = base + step.first * layout.WORD
            can_fail = step.can_fail
            pair = None if apart else linked.pairs.get(index)
            if pair is not None and slabs > 1:
                shared = self._shared_cut(pair, step, number, slabs)
                if shared is not None:
                    extent, slabs, align = shared
                    following = linked.steps[index + 1]
                    block = self.pairs[done]
                    block[layout.PAIR_FN], block[layout.PAIR_ARGS] = function, args
                    across = pair.either and self.args[step.first + gemm.AXIS] == gemm.BY_COLUMNS
                    block[layout.PAIR_NEXT_FN] = (
                        functions.across[following.number]
                        if across
                        else self._kernel(following, functions, number)
                    )
                    block[layout.PAIR_NEXT_ARGS] = base + following.first * layout.WORD
                    block[layout.PAIR_SCALE] = number(step.work[1]) if pair.flat else 1
                    function, args = pool().functions["pair"], block.ctypes.data
                    can_fail = following.can_fail
                    done += 1
                    skip = True
            flags = layout.CAN_FAIL if can_fail else 0
            rows.append((function, args, extent, slabs, align, flags, index, 0))
        return rows

    def _shared_cut(self, pair: Pair, step: StepPlan, number, slabs: int):  # type: ignore[no-untyped-def]
        """(extent, slabs, alignment) by which a gemm and the kernel behind it are cut; None where
        the gemm is much better off with another cut."""
        args = self.args[step.first : step.first + gemm.WORDS]
        m, n, k, _ = (number(ref) for ref in step.work)
        axis = int(args[gemm.AXIS]) if pair.either else pair.axis
        if args[gemm.AXIS] != axis:
            if k > MOST_FREE_DEPTH:
                return None
            args[gemm.AXIS] = axis
        extent = (m, n)[axis]
        align = gemm.alignment(axis, "float32" if step.number == 4 else "float64")
        if k <= MOST_FREE_DEPTH:  # little work, much memory: pieces that stay in the nearest cache
            slabs = max(slabs, min(PIECES * self.threads, extent // (4 * align)))
        slabs = min(slabs, -(-extent // align))
        return (extent, slabs, align) if slabs > 1 else None

    def _slabs(self, step: StepPlan, functions: Functions, number, threads: int):  # type: ignore[no-untyped-def]
        """(address, extent, slabs, alignment of slab bounds) of a step for these sizes."""
        if step.kind == "gemm":
            m, n, k, batch = (number(r) for r in step.work)
            size = step.number
            dtype = "float32" if size == 4 else "float64"
            plan = gemm.plan(
                m, n, k, dtype, threads, batch=batch, tb=bool(step.cost), blas_core=functions.core
            )
            args = self.args[step.first : step.first + gemm.WORDS]
            args[gemm.AXIS], args[gemm.OWN] = plan.axis, plan.own
            args[gemm.BLAS] = functions.blas[size]
            extent = (m, n, batch)[plan.axis]
            return functions.gemm[size], extent, plan.slabs, plan.align
        if step.kind == "shuffle":
            return functions.shuffle, 1, 1, 1
        address = self._kernel(step, functions, number)
        if isinstance(step.extent, int) and step.extent == ALWAYS:
            return address, 1, 1, 1
        extent = number(step.extent)
        if threads == 1 or extent < 2:
            return address, extent, 1, 1
        elements = 1
        for ref in step.work:
            elements *= number(ref)
        work = elements * step.cost * NS_PER_OPERATION
        if work < SHARE_NS:
            return address, extent, 1, 1
        slabs = threads if work < 40 * SHARE_NS else 4 * threads
        align = 16 if extent >= 64 * slabs else 1
        return address, extent, min(slabs, extent), align

    def _kernel(self, step: StepPlan, functions: Functions, number) -> int:  # type: ignore[no-untyped-def]
        """The address of a kernel in the variant for these sizes."""
        kernel = self.linked.program.kernels[step.number]
        if lanes.pays(kernel, [number(ref) for ref in step.work]) and lanes.suits(kernel):
            return functions.lanes(step.number)
        return functions.kernels[step.number]
