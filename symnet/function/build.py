"""From a signature to something that runs: rewrite, schedule, link; or load what is stored.

A linked program is stored under a key of the graph as the user built it, before any rewriting
(structure, types, names, constants, the compiler's own sources). So a second process neither
rewrites nor schedules nor compiles (design D19). Graphs with ops from outside symnet are not
stored.
"""

import dataclasses
import hashlib
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import symnet.kernels
from symnet.backends.choice import BackEnd, Executable, Runner, back_end
from symnet.backends.cpu import cache
from symnet.backends.cpu.segments import SegmentedRunner, split
from symnet.backends.reference import run_node
from symnet.function.arguments import Signature
from symnet.function.modes import Mode
from symnet.graph.collection import without_collection
from symnet.graph.op import Op
from symnet.graph.origin import UNKNOWN
from symnet.graph.traversal import toposort
from symnet.graph.variables import Constant, SharedVariable, Variable
from symnet.ops.elementwise import Elementwise
from symnet.rewrite import optimise
from symnet.schedule.buffers import NotNative, Planner, plan
from symnet.schedule.shapes import NotASize

_FORMAT = "symnet program 1"


def build(signature: Signature, mode: Mode, profile: bool, device: str) -> Executable:
    """The executable of a signature in a compiled mode, on a device. Errors: BackendError."""
    with without_collection():
        made = _build(signature, mode, profile, back_end(device))
    made.kept.update(signature.kept)
    return made


def _build(signature: Signature, mode: Mode, profile: bool, target: BackEnd) -> Executable:
    graph = _Graph(signature)
    key = graph.key(mode, target)
    if key is not None and not profile:
        stored = _load(key)
        if stored is not None:
            return stored.runner(graph, target)

    def store(linked: Any, planner: Planner) -> None:
        if key is not None:
            _store(key, graph, linked, planner)

    return _compiled(
        signature.variables, signature.outputs, signature.updates, mode, target, profile, store
    )


def compile_graph(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]],
    mode: Mode,
    device: str = "cpu",
) -> Executable:
    """Rewrite, schedule and link; nothing is stored."""
    return _compiled(inputs, outputs, updates, mode, back_end(device))


def _compiled(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]],
    mode: Mode,
    target: BackEnd,
    profile: bool = False,
    store: Callable[[Any, Planner], None] | None = None,
) -> Executable:
    """Rewrite, schedule and link. `store` is given a program of one segment before it runs."""
    roots = [*outputs, *(v for _, v in updates)]
    rewritten, _ = optimise(
        roots, level=mode.rewrite, native_half_products=target.native_half_products
    )
    results = rewritten[: len(outputs)]
    written = list(zip([s for s, _ in updates], rewritten[len(outputs) :]))
    try:
        program, planner = plan(inputs, results, written, reuse=mode.reuse, fuse=mode.fuse)
    except (NotNative, NotASize):
        return _segmented(inputs, results, written, mode, target, profile)
    linked = target.link(program)
    if store is not None:
        store(linked, planner)
    return _runner(target, linked, planner, inputs, profile)


def _segmented(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]],
    mode: Mode,
    target: BackEnd,
    profile: bool,
) -> SegmentedRunner:
    """Native segments with host nodes between them."""
    segments = split(inputs, outputs, updates)
    runners: list[Runner | None] = []
    for segment in segments:
        last = segment is segments[-1]
        if not segment.outputs and not last:
            runners.append(None)
            continue
        own = updates if last else ()
        program, planner = plan(
            segment.inputs, segment.outputs, own, reuse=mode.reuse, fuse=mode.fuse
        )
        runners.append(_runner(target, target.link(program), planner, segment.inputs, profile))
    return SegmentedRunner(segments, runners, inputs, run_node, profile, target.fetch)


def _runner(
    target: BackEnd, linked: Any, planner: Planner, inputs: Sequence[Variable], profile: bool
) -> Runner:
    constants = [c.data for c in planner.constants]
    return target.make_runner(linked, inputs, planner.shared, constants, planner.origins, profile)


@dataclasses.dataclass
class _Stored:
    """What the cache holds: a program, and where its pieces are in the graph as built."""

    linked: Any
    shared: list[int]  # position among the graph's shared variables
    constants: list[Any]  # position among the graph's constants, or the array itself
    origins: list[int]  # node of the graph with that origin, or -1

    def runner(self, graph: "_Graph", target: BackEnd) -> Runner:
        constants = [graph.constants[c].data if isinstance(c, int) else c for c in self.constants]
        origins = [graph.nodes[n].origin if n >= 0 else UNKNOWN for n in self.origins]
        shared = [graph.shared[k] for k in self.shared]
        return target.make_runner(self.linked, graph.inputs, shared, constants, origins)


class _Graph:
    """A signature's graph in a fixed order, so that positions mean the same in every process."""

    def __init__(self, signature: Signature):
        self.inputs = signature.variables
        self.outputs = signature.outputs
        self.updates = signature.updates
        roots = self.outputs + [v for _, v in self.updates]
        self.nodes = toposort(roots, stop=set(self.inputs))
        self.shared: list[SharedVariable] = []
        self.constants: list[Constant] = []
        self.number: dict[Variable, int] = {}
        for variable in self.inputs:
            self._enter(variable)
        for shared, _ in self.updates:
            self._enter(shared)
        for node in self.nodes:
            for variable in node.inputs:
                self._enter(variable)
            for variable in node.outputs:
                self._enter(variable)
        for variable in roots:
            self._enter(variable)

    def _enter(self, variable: Variable) -> None:
        if variable in self.number:
            return
        self.number[variable] = len(self.number)
        if isinstance(variable, SharedVariable):
            self.shared.append(variable)
        elif isinstance(variable, Constant):
            self.constants.append(variable)

    def key(self, mode: Mode, target: BackEnd) -> str | None:
        """A digest of everything the program depends on; None if some op cannot be named."""
        digest = hashlib.blake2b(digest_size=20)
        head = (_FORMAT, target.identity(), mode.rewrite, mode.reuse, mode.fuse, _sources())
        digest.update(repr(head).encode())
        number = self.number
        texts: dict[Op, str] = {}
        parts: list[str] = []
        for node in self.nodes:
            op = node.op
            text = texts.get(op)
            if text is None:
                named = _name(op)
                if named is None:
                    return None
                text = texts[op] = named
            ins = ",".join([str(number[v]) for v in node.inputs])
            outs = ",".join([f"{v.type.dtype}{v.type.shape}" for v in node.outputs])
            parts.append(f"{text}({ins}):{outs}")
        digest.update("\n".join(parts).encode())
        # names stand in the messages of a stored program
        digest.update(repr([v.name for v in self.number]).encode())
        for variable in self.number:
            if variable.owner is None or variable in self.inputs:
                kind = type(variable).__name__
                head = (kind, number[variable], variable.type.dtype, variable.type.shape)
                digest.update(repr(head).encode())
                if isinstance(variable, Constant):
                    digest.update(np.ascontiguousarray(variable.data).tobytes())
        tail = (
            [number[v] for v in self.inputs],
            [number[v] for v in self.outputs],
            [(number[s], number[v]) for s, v in self.updates],
        )
        digest.update(repr(tail).encode())
        return digest.hexdigest()


def _name(op: Op) -> str | None:
    """A text that identifies an op across processes; None for ops from outside symnet."""
    kind = type(op)
    if not kind.__module__.startswith("symnet."):
        return None
    if isinstance(op, Elementwise):
        return f"{op.name}={op.expression}"
    if dataclasses.is_dataclass(op):
        fields = [(f.name, getattr(op, f.name)) for f in dataclasses.fields(op)]
        if all(_plain(value) for _, value in fields):
            return f"{kind.__module__}.{kind.__qualname__}{fields}"
    return None


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


_fingerprint: str | None = None


def _sources() -> str:
    """Names, sizes and times of symnet's own sources: another compiler makes other programs."""
    global _fingerprint
    if _fingerprint is None:
        digest = hashlib.blake2b(digest_size=16)
        folders = {str(Path(__file__).parent.parent)} | set(map(str, symnet.kernels.__path__))
        for folder in sorted(folders):
            pending = [folder]
            while pending:
                with os.scandir(pending.pop()) as entries:
                    for entry in sorted(entries, key=lambda e: e.name):
                        if entry.is_dir():
                            if entry.name != "__pycache__":
                                pending.append(entry.path)
                        elif entry.name.endswith((".py", ".cu")):
                            stat = entry.stat()
                            digest.update(
                                f"{entry.name} {stat.st_size} {stat.st_mtime_ns}".encode()
                            )
        _fingerprint = digest.hexdigest()
    return _fingerprint


def _store(key: str, graph: _Graph, linked: Any, planner: Planner) -> None:
    shared_at = {s: k for k, s in enumerate(graph.shared)}
    constant_at = {c: k for k, c in enumerate(graph.constants)}
    # by identity: rewriting hands the object on, and the same graph may be written on other lines
    origin_at = {id(node.origin): number for number, node in enumerate(graph.nodes)}
    stored = _Stored(
        linked,
        [shared_at[s] for s in planner.shared],
        [constant_at.get(c, c.data) for c in planner.constants],
        [origin_at.get(id(o), -1) for o in planner.origins],
    )
    cache.store("programs", key, pickle.dumps(stored, protocol=5))


def _load(key: str) -> _Stored | None:
    data = cache.load("programs", key)
    if data is None:
        return None
    try:
        stored = pickle.loads(data)
    except Exception:  # written by another version of the classes
        return None
    return stored if isinstance(stored, _Stored) else None
