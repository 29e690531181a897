"""The child process in which a peer is set up, checked and timed.

    python -P worker.py <peer> <threads> ["device"]

The last argument chooses the table of the peers on a device.

It reads one JSON object a line from standard input and answers each with one on standard output:

    {"do": "setup", "family": ..., "parameters": {...}}  {"versions": {...}, "blas": [...],
                                                          "limit": ...} or {"unavailable": why}
    {"do": "check"}                                       {"values": [...], "against": reference}
    {"do": "facts"}                                       {"facts": {...}}
    {"do": "device", "name": ...}                         facts about it or {"missing": why}
    {"do": "time", "iterations": n}                       {"seconds": s}
    {"do": "memory"}                                      {"bytes": b}

An exception is answered by {"error": last line, "traceback": all}. Whatever the peer itself prints
goes to standard error. The file is run by path and imports only its own folder, under another
name, so that a peer's interpreter needs no symnet, and symnet's import cost falls on symnet alone.
"""

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
import traceback

PACKAGE = "_symnet_benchmarks"


def load(module: str):
    """Import a module of this folder as `_symnet_benchmarks.<module>`."""
    if PACKAGE not in sys.modules:
        spec = importlib.machinery.ModuleSpec(PACKAGE, None, is_package=True)
        spec.submodule_search_locations = [os.path.dirname(os.path.abspath(__file__))]
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{PACKAGE}.{module}")


def build(peer, family: str, wrapper: str | None = None, **parameters: object):
    """The peer's program for a family of cases, wrapped if asked for."""
    program = load(f"peers.{peer.module}").PROGRAMS[family]
    if wrapper is None:
        return program(**parameters)
    return load("cases.wrappers").WRAPPERS[wrapper](program, **parameters)


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Of the packages that are installed (a checkout of symnet is not)."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


class Session:
    """The answers; `programs` are what `setup` built, by the `slot` that requests may name."""

    def __init__(self, name: str, on_device: bool = False):
        self.peers = load("peers")
        self.peer = (self.peers.DEVICE_PEERS if on_device else self.peers.PEERS)[name]
        self.programs = {}

    def setup(self, family: str, parameters: dict, slot: str = "") -> dict:
        try:
            program = self.programs[slot] = build(self.peer, family, **parameters)
        except ModuleNotFoundError as error:
            if not self.peer.foreign:
                raise
            return {"unavailable": f"{error.name} is not installed"}
        except self.peers.Unavailable as error:
            return {"unavailable": str(error)}
        return {
            "versions": versions(self.peer.packages),
            "blas": load("machine").loaded_blas(),
            "limit": getattr(program, "limit", None),
        }

    def check(self, slot: str = "") -> dict:
        program = self.programs[slot]
        return {"values": program.check(), "against": program.against}

    def facts(self, slot: str = "") -> dict:
        """What the program tells of itself besides its time."""
        facts = getattr(self.programs[slot], "facts", None)
        return {"facts": facts() if facts else {}}

    def device(self, name: str) -> dict:
        return load("accelerator").describe(name)

    def memory(self) -> dict:
        return {"bytes": load("machine").peak_memory()}

    def time(self, iterations: int, slot: str = "") -> dict:
        run = self.programs[slot].run
        start = time.perf_counter()
        counted = run(iterations)
        seconds = time.perf_counter() - start
        return {"seconds": seconds if counted is None else counted}


def main(name: str, threads: int, table: str = "") -> None:
    if hasattr(os, "sched_setaffinity"):  # before a library counts the cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session = Session(name, table == "device")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(session, request.pop("do"))(**request)
        except Exception as error:
            answer = {
                "error": f"{type(error).__name__}: {error}".strip().splitlines()[0],
                "traceback": traceback.format_exc(),
            }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
