"""Running a linked program: leasing frames, rebinding, and turning native statuses into errors.

A frame is bound to sizes and used by one call at a time. Calls take a free frame of the last
binding; the native side compares the actual sizes with the binding's and says REBIND when they
differ, before anything has happened. So the common call is: fill in addresses, one native call.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np

from symnet.backends import failure, shortage
from symnet.backends.cpu import tape_layout as layout
from symnet.backends.cpu.bind import Frame, Functions
from symnet.backends.cpu.link import Linked
from symnet.backends.cpu.pool import pool, thread_count
from symnet.backends.cpu.tape import calls
from symnet.backends.overflow import check_fit
from symnet.backends.words import itemsize
from symnet.config import config
from symnet.errors import CompilerError, OutOfMemoryError, ShapeError, TypeMismatchError
from symnet.graph.origin import Origin
from symnet.graph.types import HALVES, NUMPY_DTYPES
from symnet.graph.variables import SharedVariable, Variable
from symnet.schedule.program import Ref, Reg, Storage, written

BINDINGS = 16  # sets of sizes whose frames are kept
THREADS_FOR = 0.1  # seconds for which the number of threads is remembered: asking costs 1 us

_threads = (0.0, -1, 0)  # valid until, config.threads then, the number


def current_threads() -> int:
    """`thread_count()`, possibly a tenth of a second old."""
    global _threads
    until, setting, found = _threads
    now = time.monotonic()
    if now >= until or setting != config.threads:
        found = thread_count()
        _threads = now + THREADS_FOR, config.threads, found
    return found


def apart(array: np.ndarray, roots: Container[int]) -> bool:
    """Whether an array certainly shares no memory with those whose ids are `roots`.

    `roots` own their memory. Cheap: an array without base owns its memory too, and NumPy lets a
    view's base be the array that owns.
    """
    base = array.base
    if base is None:
        return id(array) not in roots
    return type(base) is np.ndarray and base.base is None and id(base) not in roots


class _Everything:
    def __contains__(self, item: object) -> bool:
        return True


class LeasedFrame(Frame):
    """A frame with what its runner keeps about it.

    registers the sizes that it is for
    home      the list it goes back to after a call
    epoch     SharedVariable.epoch when the shared variables' arrays were entered
    storages  those arrays, kept alive
    roots     ids of the arrays that own the memory the program overwrites
    alone     whether the number of threads makes no difference to it
    cells     for each scalar input, but for halves, the id of an array of this frame, and a view to
              write its number
    """

    def __init__(
        self,
        runner: "Runner",
        registers: Sequence[int],
        home: "list[LeasedFrame]",
    ):
        super().__init__(runner.linked, runner.functions, registers, runner.profile)
        self.registers = registers
        self.home = home
        self.epoch = -1
        self.storages: list[np.ndarray] = []
        self.roots: Container[int] = ()
        self.alone = self.threads > 1 and not self.status[layout.SHARED_STEPS]
        self._arrays = [
            None if o.shape or o.dtype in HALVES else np.zeros((), o.dtype)
            for o in (runner.program.objects[n] for n in runner.input_numbers)
        ]
        self.cells = [
            None if a is None else (id(a), memoryview(a.reshape(1))) for a in self._arrays
        ]


class Runner:
    """An executable program together with the arrays it works on.

    `run(arrays)` takes one fitting array per input (dtype, dimensions, contiguity as the types
    say) and returns fresh output arrays. Shared variables are read and updated.
    """

    def __init__(
        self,
        linked: Linked,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        constants: Sequence[np.ndarray],
        origins: Sequence[Origin],
        profile: bool = False,
    ):
        self._bindings: OrderedDict[tuple[int, ...], list[LeasedFrame]] = OrderedDict()
        self.linked = linked
        linked.code = linked.local_code()
        self.program = linked.program
        self.inputs = list(inputs)
        self.shared = list(shared)
        self.constants = list(constants)
        self.origins = list(origins)
        self.kept: set[int] = set()  # all arrays are the host's
        self.functions = Functions(linked)
        self.native = calls()
        self.call = self.native.call
        steps = max(len(self.program.steps), 1)
        self.profile = np.zeros((steps, 2), np.int64) if profile else None
        self.input_numbers: list[int] = []
        self.output_numbers: list[int] = []
        self.shared_numbers: list[tuple[int, int]] = []
        self.constant_numbers: list[tuple[int, int]] = []
        for number, o in enumerate(self.program.objects):
            if o.role == "input":
                self.input_numbers.append(number)
            elif o.role == "output":
                self.output_numbers.append(number)
            elif o.role == "shared":
                self.shared_numbers.append((number, o.position))
            else:
                self.constant_numbers.append((number, o.position))
        self.output_dtypes = [NUMPY_DTYPES[o.dtype] for o in self.program.outputs]
        self.overwritten = self._overwritten()
        self.free: list[LeasedFrame] = []  # of the last binding
        self._lock = threading.Lock()

    def __del__(self) -> None:
        for free in self._bindings.values():
            free.clear()  # frames and the lists they lie in keep each other, and arenas, alive

    @property
    def runners(self) -> "list[Runner]":
        """The native programs: itself."""
        return [self]

    def adopt(self, value: object) -> np.ndarray:
        """No device's array is one for this program. Errors: TypeMismatchError."""
        raise TypeMismatchError(f"an array of the host is wanted, not {type(value).__name__}")

    def _overwritten(self) -> list[int]:
        """Positions of shared variables whose storage the program writes."""
        changed = written(self.program)
        return [p for number, p in self.shared_numbers if ("object", number) in changed]

    # ---- frames

    def lease(self) -> LeasedFrame | None:
        """A free frame of the last binding, its shared addresses up to date; or None."""
        try:
            frame = self.free.pop()
        except IndexError:
            return None
        if frame.threads != current_threads():
            self.clear()
            return None
        if frame.epoch != SharedVariable.epoch:
            self._attach(frame)
        return frame

    def clear(self) -> None:
        """Forget the bindings, their arenas, and the arrays of shared variables they hold; those of
        a call that is running go when it is done."""
        with self._lock:
            for free in self._bindings.values():
                free.clear()  # as in __del__
            self._bindings.clear()
            self.free = []

    def _attach(self, frame: LeasedFrame) -> None:
        """Enter the arrays that are not arguments into a frame."""
        epoch = SharedVariable.epoch
        storages = self._storages()
        if SharedVariable.epoch != epoch:  # bringing values home counts, too
            epoch = SharedVariable.epoch
            storages = self._storages()
        for number, position in self.shared_numbers:
            frame.objects[number] = id(storages[position])
        for number, position in self.constant_numbers:
            frame.objects[number] = id(self.constants[position])
        written = [storages[p] for p in self.overwritten]
        roots = [s if s.base is None else s.base for s in written]
        owned = all(type(r) is np.ndarray and r.flags.owndata for r in roots)
        frame.roots = frozenset(map(id, roots)) if owned else _Everything()
        frame.storages = storages
        frame.epoch = epoch

    def _storages(self) -> list[np.ndarray]:
        """The shared variables' arrays on the host, current; what is only read may be elsewhere,
        too."""
        written = self.overwritten
        return [s.storage if p in written else s.peek() for p, s in enumerate(self.shared)]

    def _bind(self, registers: Sequence[int]) -> LeasedFrame:
        """A frame for the sizes in `registers`, made or taken from those kept."""
        values = np.asarray(registers, np.int64)
        key = (thread_count(), *values[self.linked.keys].tolist())
        with self._lock:
            known = self._bindings.get(key)
            if known is None:
                known = self._bindings[key] = []
                while len(self._bindings) > BINDINGS:
                    self._bindings.popitem(last=False)
            else:
                self._bindings.move_to_end(key)
            self.free = known
            try:
                frame = known.pop()
            except IndexError:
                frame = None
        if frame is None:
            check_fit(self.program, partial(self._number, values))
            try:
                frame = LeasedFrame(self, values, known)
            except (MemoryError, ValueError) as error:  # ValueError: more than any memory has
                raise self._too_large(error, values) from None
        if frame.epoch != SharedVariable.epoch:
            self._attach(frame)
        return frame

    def _probe(self, arrays: Sequence[np.ndarray]) -> LeasedFrame:
        """Run the shape program alone, to learn the sizes of the first binding."""
        linked = self.linked
        args = linked.template.copy()
        code = linked.code.copy()
        code[linked.patched_rows, 5] += args.ctypes.data
        registers = np.zeros(max(linked.registers, 1), np.int64)
        ids = np.zeros(max(len(self.program.objects), 1), np.int64)
        # outputs are looked at for their address only, which is not used here
        ids[:] = id(_NOTHING)
        words = np.zeros(layout.FRAME_WORDS, np.int64)
        words[layout.CODE], words[layout.N_CODE] = code.ctypes.data, len(code)
        words[layout.REGISTERS] = registers.ctypes.data
        words[layout.OBJECTS] = ids.ctypes.data
        words[layout.POOL] = pool().address
        words[layout.ARRAY_TYPE] = id(np.ndarray)
        storages = [self.shared[position].peek() for _, position in self.shared_numbers]
        for (number, _), storage in zip(self.shared_numbers, storages):
            ids[number] = id(storage)
        for number, position in self.constant_numbers:
            ids[number] = id(self.constants[position])
        for number, array in zip(self.input_numbers, arrays):
            ids[number] = id(array)
        # reads of the arena's addresses are patched rows of the code too; they read zeros here
        status = self.call(words.ctypes.data)
        if status:
            self._fail(status, memoryview(words), arrays)
        return self._bind(registers)

    # ---- calls

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One call with fitting arrays. Errors: ShapeError, IndexOutOfBoundsError;
        OutOfMemoryError."""
        arrays = self._apart(arrays)
        frame = self.lease()
        outputs = None if frame is None else self._outputs(frame)
        if frame is None or outputs is None:  # the last call's sizes may be too large, not these
            frame = self._probe(arrays)
            outputs = self._outputs(frame)
        while True:
            if outputs is None:
                raise self._too_large("an output", frame.registers)
            try:
                for number, array in zip(self.input_numbers, arrays):
                    frame.objects[number] = id(array)
                for number, out in zip(self.output_numbers, outputs):
                    frame.objects[number] = id(out)
                status = self.call(frame.address)
                if status == layout.OK:
                    return self.finish(outputs)
                if status == layout.REBIND:
                    registers = frame.register_values.copy()
                else:
                    self._fail(status, frame.status, arrays)
            finally:
                frame.home.append(frame)
            frame = self._bind(registers)
            outputs = self._outputs(frame)

    def _outputs(self, frame: LeasedFrame, *calls: int) -> list[np.ndarray] | None:
        """Fresh arrays for the outputs of a call, or stacked of several; None if there is no memory
        for them."""
        try:
            return [
                np.empty((*calls, *shape), dtype)
                for shape, dtype in zip(frame.output_shapes, self.output_dtypes)
            ]
        except (MemoryError, ValueError):
            return None

    def finish(self, outputs: list[np.ndarray]) -> list[np.ndarray]:
        """Shared variables whose value changed its shape take their new array."""
        for position, output in self.program.rebinds:
            self.shared[position].rebind(outputs[output])
        return outputs[len(self.program.rebinds) :] if self.program.rebinds else outputs

    def _apart(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Arguments that overlap a storage about to be overwritten are copied first."""
        if not self.overwritten:
            return list(arrays)
        storages = [self.shared[p].storage for p in self.overwritten]
        return [a.copy() if any(np.may_share_memory(a, s) for s in storages) else a for a in arrays]

    def map(
        self,
        sequences: Sequence[np.ndarray],
        count: int,
        between: Callable[[int], bool] | None = None,
        limit_ns: int = 50_000_000,
    ) -> list[np.ndarray]:
        """`count` calls in native code, the k-th with element k of every sequence; outputs stacked.

        About every `limit_ns` the loop comes back to Python: `between(calls done)` is called and
        pending signals are served; it ends early, with what is done, if `between` returns True.
        Each call is atomic; after an error or an interrupt the calls before it have happened.
        """
        sequences = [np.ascontiguousarray(s) for s in self._apart(sequences)]
        stacked: list[np.ndarray] | None = None
        done = 0
        while done < count:
            views = [s[done : done + 1].reshape(s.shape[1:]) for s in sequences]
            frame = self.lease() or self._probe(views)
            try:
                if stacked is None:
                    stacked = self._outputs(frame, count)
                    if stacked is None:
                        many = f"the outputs of {count} calls, each with"
                        raise self._too_large(many, frame.registers)
                elif [s.shape[1:] for s in stacked] != frame.output_shapes:
                    raise ShapeError(
                        f"map: outputs of call {done} have shapes {frame.output_shapes}, those "
                        f"before had {[s.shape[1:] for s in stacked]}; they cannot be stacked"
                    )
                outs = [s[done : done + 1].reshape(s.shape[1:]) for s in stacked]
                table = []
                header = layout.OBJECT_HEADER + layout.ARRAY_DATA
                for number, view in zip(self.input_numbers, views):
                    frame.objects[number] = id(view)
                    table.append((id(view) + header, view.nbytes))
                for number, out in zip(self.output_numbers, outs):
                    frame.objects[number] = id(out)
                    table.append((id(out) + header, out.nbytes))
                # the data addresses of these private views are advanced natively, call by call
                rows = np.array(table, np.int64).reshape(-1, 2)
                completed = self.native.call_many(  # type: ignore[operator]
                    frame.address, count - done, rows.ctypes.data, len(rows), limit_ns
                )
                done += completed
                status = frame.status[layout.STATUS]
                if status == layout.REBIND:
                    registers = frame.register_values.copy()
                elif status != layout.OK:
                    self._fail(status, frame.status, views)
            finally:
                frame.home.append(frame)
            if status == layout.REBIND:
                again = self._bind(registers)
                again.home.append(again)
            if between is not None and between(done):
                break
        if stacked is None:
            shapes = [(0,) * (1 + len(o.shape)) for o in self.program.outputs]
            return [np.empty(s, dtype) for s, dtype in zip(shapes, self.output_dtypes)]
        return [s[:done] for s in stacked]

    # ---- errors

    def _number(self, values: Sequence[int], ref: Ref) -> int:
        """A size, from the registers of native code."""
        return int(values[self.linked.register_of[ref.number]]) if isinstance(ref, Reg) else ref

    def _too_large(self, reason: object, values: Sequence[int]) -> OutOfMemoryError:
        """Outputs or intermediate results for which there is no memory."""
        program, number = self.program, partial(self._number, values)
        rebound = {output: self.shared[position] for position, output in program.rebinds}

        def want(kind: str, size: int, storage: Storage) -> _Want:
            return _Want(size, lambda: kind + shortage.made_by(program, self.origins, storage))

        wants = []
        for k, o in enumerate(program.outputs):
            shape = tuple(map(number, o.shape))
            what = f"new value of {rebound[k]}" if k in rebound else "output"
            storage = "object", o.object
            wants.append(
                want(f"{o.dtype}{shape}, {what}", prod(shape) * itemsize(o.dtype), storage)
            )
        for k, b in enumerate(program.buffers):
            size = number(b.size) * itemsize(b.dtype)
            wants.append(want(f"{b.dtype} result", size, ("buffer", k)))
        return OutOfMemoryError(shortage.too_large("cpu", str(reason), wants))

    def _fail(self, status: int, words: memoryview, arrays: Sequence[np.ndarray]) -> None:
        """Raise what a native status means."""
        error, a, b = (words[layout.ERROR + k] for k in range(3))
        if status == layout.SLOW:
            raise CompilerError(f"object {a} is not of its type")  # `run` gets fitting arrays
        if status not in (layout.CHECK, layout.KERNEL_ERROR):
            raise CompilerError(f"native status {status}")
        kind, *rest = self.linked.checks[error]
        if kind == "static":
            number, axis, size = rest
            position = self.program.objects[number].position
            raise failure.wrong_input(self.inputs[position], axis, a, size)
        if kind == "size":
            raise failure.wrong_sizes(self, self.program.checks[rest[0]], a, b, arrays)
        _, origin, _ = rest
        raise failure.wrong_index(self, origin, a, b, arrays)


class _Want(NamedTuple):
    """A `shortage.Want`."""

    size: int
    what: Callable[[], str]


_NOTHING = np.zeros(())
