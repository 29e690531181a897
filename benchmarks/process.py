"""Processes of the peers: their interpreter, their environment, and talking to a worker."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import symnet

from .peers import Peer

BLAS_CHOICES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
GPU_CHOICES = ("NVIDIA_TF32_OVERRIDE", "CUDA_LAUNCH_BLOCKING")  # of products; of waiting
_WORKER = Path(__file__).with_name("worker.py")
_ROOT = Path(symnet.__file__).resolve().parents[1]


class WorkerError(Exception):
    """A worker answered with an error, died, or took too long."""


def interpreter(peer: Peer) -> str:
    """The Python that runs a peer: ours, or `SYMNET_BENCH_PYTHON` for the foreign ones."""
    chosen = os.environ.get("SYMNET_BENCH_PYTHON")
    return chosen if chosen and peer.foreign else sys.executable


def environment(
    peer: Peer, *, threads: int, scratch: Path, keep: bool = False, extra: dict | None = None
) -> dict[str, str]:
    """The peer's environment: the same number of threads for all, caches below `scratch`.

    Unless `keep`, the variables that force OpenBLAS's choice of kernels are taken out, and on a
    device those that change its products or make every launch wait.
    """
    env = dict(os.environ)
    if not keep:
        for name in (*BLAS_CHOICES, *(GPU_CHOICES if peer.on_device else ())):
            env.pop(name, None)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    env |= dict.fromkeys((*names, "NPROC"), str(threads))  # NPROC: XLA's idea of the cores
    env |= {
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "jax",
        "JAX_COMPILATION_CACHE_DIR": str(scratch / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "PYTENSOR_FLAGS": f"base_compiledir={scratch / 'pytensor'}",
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "torch"),
        "SYMNET_CACHE": str(scratch / "symnet"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    if peer.on_device:
        # the peers live side by side, and XLA would take most of the device's memory at once
        env |= {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if peer.name in ("symnet", "copy"):
        given = env.get("SYMNET_FLAGS", "").split(",")
        flags = [f for f in given if f and not f.strip().startswith(("threads=", "device="))]
        env["SYMNET_FLAGS"] = ",".join([*flags, f"threads={threads}"])
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), env.get("PYTHONPATH"))))
    return env | (extra or {})


class Worker:
    """A running `worker.py`. Use as a context manager, or call `close`."""

    def __init__(self, peer: Peer, env: dict[str, str], threads: int):
        table = ["device"] if peer.on_device else []
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        self.process = subprocess.Popen(
            [interpreter(peer), "-P", str(_WORKER), peer.name, str(threads), *table],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )
        self.pending = b""

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def ask(self, do: str, *, timeout: float = 600.0, **request: object) -> dict:
        """Send one request and wait for its answer. Raises `WorkerError`."""
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise WorkerError(self._last_words()) from None
        line = self._line(timeout)
        try:
            answer = json.loads(line)
        except ValueError:
            raise WorkerError(f"answered {line[:80]!r}") from None
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _line(self, timeout: float) -> bytes:
        end = time.monotonic() + timeout
        descriptor = self.process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self.pending:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise WorkerError(f"no answer after {timeout:g} seconds")
                block = os.read(descriptor, 1 << 16)
                if not block:
                    raise WorkerError(self._last_words())
                self.pending += block
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        return f"died with status {self.process.poll()}: {lines[-1] if lines else 'silently'}"

    def close(self) -> None:
        """End the process (and what it started)."""
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self.process.pid, signal.SIGKILL)
                else:
                    self.process.kill()
            self.process.wait()
        self.errors.close()
